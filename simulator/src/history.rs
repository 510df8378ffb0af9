//! One history: faults for a while, then quiet, and the cluster has to come to rest.

use std::{cell::RefCell, collections::BTreeMap, rc::Rc, time::Duration};

use master_election::run as invoke;
use tokio::{
    task::LocalSet,
    time::{Instant, sleep, sleep_until},
};
use topology::{Kind, Millis, Policy, Rearm};

use crate::{
    Chance, Fault,
    check::Checks,
    cloud::{Cloud, Weather},
    cluster::{Cluster, Process, Role},
    world::{Seen, Sim, millis, rests},
};

/// How long an invocation may last, and how often the schedule invokes.
const INVOCATION: Duration = Duration::from_secs(50);
const SWEEP: Duration = Duration::from_secs(60);
/// Calm at the end. Whatever the faults were, the groups must be right within it: every frozen node wakes up or is
/// replaced, a pause ends, and the hold-off of a fence and two sweeps go by.
const CALM: Duration = Duration::from_secs(900);
/// How often the world looks at itself for what must not be.
const LOOK: Duration = Duration::from_millis(100);
/// The state is read again at the end of a lease at the latest; calls of one history are bounded per hour.
const CALLS_PER_HOUR: u64 = 1_200;

/// An invariant that did not hold, with all it takes to see it again.
#[derive(Clone, Debug)]
pub struct Broken {
    /// The seed of the history.
    pub seed: u64,
    /// How many faults it had.
    pub faults: usize,
    /// What happened.
    pub what: String,
}

/// What a history was.
#[derive(Clone, Debug, Default)]
pub struct History {
    /// Counts.
    pub checks: Checks,
    /// How often each fault struck.
    pub faults: BTreeMap<Fault, u64>,
    /// Invocations.
    pub invocations: u64,
}

/// Plays the history of `seed` with at most `faults` faults.
///
/// # Errors
/// The first invariant that did not hold.
pub fn run(seed: u64, faults: usize) -> Result<History, Broken> {
    let history = begin(seed, faults, false)?;
    match history.checks.broken.first() {
        None => Ok(history),
        Some(what) => Err(Broken { seed, faults, what: what.clone() }),
    }
}

/// The story of a history, line by line, and what it broke at the end.
pub fn tell(seed: u64, faults: usize) -> Vec<String> {
    match begin(seed, faults, true) {
        Ok(history) => {
            let mut told = history.checks.told.unwrap_or_default();
            told.extend(history.checks.broken.into_iter().map(|what| format!("BROKEN {what}")));
            told
        }
        Err(broken) => vec![broken.what],
    }
}

fn begin(seed: u64, faults: usize, telling: bool) -> Result<History, Broken> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .map_err(|error| Broken { seed, faults, what: error.to_string() })?;
    Ok(LocalSet::new().block_on(&runtime, play(seed, faults, telling)))
}

/// The same history with as few faults as still break it.
pub fn shrink(broken: Broken) -> Broken {
    (0..broken.faults).find_map(|faults| run(broken.seed, faults).err()).unwrap_or(broken)
}

fn policy(core: usize, slave_only: usize) -> Policy {
    Policy {
        heartbeat_timeout: Duration::from_secs(2),
        rearm: Rearm::After(Duration::from_secs(20)),
        fence_after: Duration::from_secs(10),
        fence_verify: Duration::from_secs(60),
        ..Policy::of(core, slave_only)
    }
}

async fn play(seed: u64, faults: usize, telling: bool) -> History {
    let mut chance = Chance::new(seed);
    let (core, slave_only) = *chance.pick(&[(3, 0), (3, 0), (3, 2), (5, 0)]).unwrap_or(&(3, 0));
    let cluster = Cluster::new(core, slave_only);
    let registered = cluster.members.iter().filter(|member| member.kind == Kind::Core);
    let propagation = if chance.one_in(3) { 60_000 } else { 0 };
    let cloud = Cloud::new(registered.map(|member| member.address).collect(), propagation);
    let checks = Checks::new(telling);
    let world = Sim { cluster, cloud, chance: chance.clone(), checks, bell: false, stall_ms: 0 };
    let sim = Rc::new(RefCell::new(world));
    let began = Instant::now();
    let policy = Rc::new(policy(core, slave_only));
    let counts: Rc<RefCell<(BTreeMap<Fault, u64>, u64)>> = Rc::default();

    let ending = Rc::new(RefCell::new(None::<Instant>));
    let schedule =
        tokio::task::spawn_local(sweeps(sim.clone(), policy.clone(), began, counts.clone(), chance.draw()));
    let bells = tokio::task::spawn_local(doorbells(
        sim.clone(),
        policy.clone(),
        began,
        counts.clone(),
        chance.draw(),
    ));
    for _ in 0..faults {
        sleep(Duration::from_millis(chance.between(50, 25_000))).await;
        let fault = *chance.pick(&Fault::ALL).unwrap_or(&Fault::Kill);
        let now = millis(began.elapsed());
        fault.strike(&mut sim.borrow_mut(), now);
        sim.borrow_mut().checks.tell(|| format!("{now:>8} FAULT {fault:?}"));
        *counts.borrow_mut().0.entry(fault).or_default() += 1;
        if !sim.borrow().checks.broken.is_empty() {
            break;
        }
    }
    calm(&sim, began);
    *ending.borrow_mut() = Some(Instant::now());
    let rested = until_rest(&sim, began).await;
    schedule.abort();
    bells.abort();
    let hours = began.elapsed().as_secs() / 3600 + 1;
    let mut world = sim.borrow_mut();
    if !rested && world.checks.broken.is_empty() {
        let what = describe(&world);
        world
            .checks
            .breaks(Millis(millis(began.elapsed())), &format!("did not come to rest in {CALM:?}: {what}"));
    }
    if world.cloud.calls > CALLS_PER_HOUR * hours {
        let calls = world.cloud.calls;
        world.checks.breaks(Millis(millis(began.elapsed())), &format!("{calls} calls in {hours} hours"));
    }
    let (faults, invocations) = counts.take();
    History { checks: std::mem::take(&mut world.checks), faults, invocations }
}

/// Faults stop: what is frozen wakes up, what is cut off is heard again, calls work.
fn calm(sim: &Rc<RefCell<Sim>>, began: Instant) {
    let mut sim = sim.borrow_mut();
    let now = millis(began.elapsed());
    let before = describe(&sim);
    sim.checks.tell(|| format!("{now:>8} CALM {before}"));
    sim.cloud.weather = Weather::default();
    sim.stall_ms = 0;
    let several = sim.cluster.members.iter().filter(|m| m.process == Process::Frozen).count() > 1;
    for index in 0..sim.cluster.members.len() {
        // Half of the frozen ones stay frozen: the election has to do something about them.
        if sim.chance.one_in(2) || sim.cluster.members[index].agent_dead {
            sim.cluster.thaw(index, now);
        }
        let member = &mut sim.cluster.members[index];
        (member.cut, member.hidden, member.slow, member.lies, member.agent_dead) =
            (false, false, false, None, false);
    }
    let frozen: Vec<String> =
        sim.cluster.members.iter().filter(|m| m.process == Process::Frozen).map(|m| m.task.clone()).collect();
    let followed =
        sim.cloud.state.as_ref().and_then(|(state, _)| state.master.as_ref()).map(|m| m.task.clone());
    // Refused by rule, and so for people to wake up: more than one, or a master that nobody had seen as one.
    let unseen = followed.is_some_and(|followed| !frozen.contains(&followed));
    if several || (unseen && sim.cluster.waits_for_frozen) {
        (0..sim.cluster.members.len()).for_each(|index| sim.cluster.thaw(index, now));
    }
}

/// At rest: one master, registered with all other core nodes, and followed by the state.
async fn until_rest(sim: &Rc<RefCell<Sim>>, began: Instant) -> bool {
    let deadline = Instant::now() + CALM;
    while Instant::now() < deadline {
        sleep(LOOK).await;
        let now = millis(began.elapsed());
        let sim = &mut *sim.borrow_mut();
        sim.cluster.step(now, &mut sim.chance);
        if !sim.checks.broken.is_empty() {
            return true;
        }
        let settled = sim
            .cluster
            .members
            .iter()
            .all(|member| member.process == Process::Up && member.role != Role::Pending);
        let [writer] = sim.cluster.writers()[..] else { continue };
        let followed = sim.cloud.state.as_ref().and_then(|(state, _)| state.master.as_ref());
        if settled && followed.is_some_and(|master| master.address == writer) && rests(sim, writer) {
            return true;
        }
    }
    false
}

fn describe(sim: &Sim) -> String {
    let members: Vec<String> = sim
        .cluster
        .members
        .iter()
        .map(|m| format!("{} {} {:?} {:?}", m.slot, m.address, m.process, m.role))
        .collect();
    let state = sim
        .cloud
        .state
        .as_ref()
        .map(|(state, _)| (state.master.as_ref().map(|m| m.address), state.sentence.clone()));
    format!(
        "{members:?} (waits for frozen: {}); registered {:?}; state {state:?}",
        sim.cluster.waits_for_frozen, sim.cloud.write.targets
    )
}

/// Who takes writes through the balancer: registered as far as the data plane knows, let in by its check or by fail-open,
/// and a master in its own eyes.
fn usable_writers(sim: &mut Sim, now: u64) {
    sim.cloud.note(now);
    let (visible, masters) = (sim.cloud.visible(), sim.cluster.writers());
    let usable = masters.iter().filter(|address| visible.contains(address)).count();
    let propagation = sim.cloud.propagation;
    sim.checks.writers(now, usable, propagation);
}

type Counts = Rc<RefCell<(BTreeMap<Fault, u64>, u64)>>;

/// The schedule: once a minute, whatever the invocation before does.
async fn sweeps(sim: Rc<RefCell<Sim>>, policy: Rc<Policy>, began: Instant, counts: Counts, seed: u64) {
    let mut chance = Chance::new(seed);
    loop {
        start(&sim, &policy, began, &counts, &mut chance, "sweep");
        sleep(SWEEP).await;
    }
}

/// Doorbells: when a role changes, sometimes twice, sometimes late, sometimes not at all; and those that mean nothing.
async fn doorbells(sim: Rc<RefCell<Sim>>, policy: Rc<Policy>, began: Instant, counts: Counts, seed: u64) {
    let mut chance = Chance::new(seed);
    let mut before = Vec::new();
    loop {
        sleep(LOOK).await;
        let (now_roles, false_bell, deaf) = {
            let sim = &mut *sim.borrow_mut();
            sim.cluster.step(millis(began.elapsed()), &mut sim.chance);
            usable_writers(sim, millis(began.elapsed()));
            let roles: Vec<_> = sim.cluster.members.iter().map(|m| (m.task.clone(), m.role)).collect();
            (roles, std::mem::take(&mut sim.bell), sim.cloud.weather.deaf)
        };
        if now_roles != before || false_bell {
            before = now_roles;
            if deaf || chance.one_in(5) {
                continue;
            }
            for _ in 0..chance.between(1, 2) {
                if chance.one_in(4) {
                    sleep(Duration::from_millis(chance.between(1, 30_000))).await;
                }
                start(&sim, &policy, began, &counts, &mut chance, "bell");
            }
        }
    }
}

fn start(
    sim: &Rc<RefCell<Sim>>,
    policy: &Rc<Policy>,
    began: Instant,
    counts: &Counts,
    chance: &mut Chance,
    why: &str,
) {
    let number = {
        let mut counts = counts.borrow_mut();
        counts.1 += 1;
        counts.1
    };
    // Clocks of two invocations differ by up to half a second.
    let skew = i64::try_from(chance.between(0, 1_000)).unwrap_or(500) - 500;
    let seen = Seen::new(sim.clone(), began, skew, format!("{why}-{number}"));
    let (sim, policy) = (sim.clone(), policy.clone());
    let deadline = Instant::now() + INVOCATION + Duration::from_secs(5);
    tokio::task::spawn_local(async move {
        let until = Millis(millis(began.elapsed() + INVOCATION));
        // Lambda ends what does not end by itself.
        tokio::select! {
            _ended = invoke(&seen, &policy, &seen.owner, until) => {}
            () = sleep_until(deadline) => {}
        }
        sim.borrow_mut().checks.ended(&seen.owner);
    });
}
