//! What invokes the function: the schedule, doorbells, an operator; and the watcher that looks
//! at the world in between.

use std::{cell::RefCell, rc::Rc, time::Duration};

use master_election::{Invoked, Request, pause, run as invoke};
use tokio::{
    task::spawn_local,
    time::{Instant, sleep, sleep_until},
};
use topology::{Millis, Policy};

use crate::{
    Chance,
    bounds::SWEEP,
    cloud::Weather,
    member::Role,
    world::{Seen, Sim, millis},
};

/// How long an invocation may begin rounds; Lambda ends it five seconds later.
const INVOCATION: Duration = Duration::from_secs(50);
const OVERTIME: Duration = Duration::from_secs(5);
/// How often the watcher looks at the world for what must not be.
pub const LOOK: Duration = Duration::from_millis(100);

/// Everything that an invocation needs to begin.
#[derive(Clone)]
pub struct Stage {
    pub sim: Rc<RefCell<Sim>>,
    /// When the world began.
    pub began: Instant,
    policy: Rc<Policy>,
    invocations: Rc<RefCell<u64>>,
}

impl Stage {
    pub fn new(sim: Sim) -> Self {
        let policy = Rc::new(sim.setting.policy.clone());
        Self { sim: Rc::new(RefCell::new(sim)), began: Instant::now(), policy, invocations: Rc::default() }
    }

    /// Milliseconds since the world began.
    pub fn now(&self) -> u64 {
        millis(self.began.elapsed())
    }

    pub fn invocations(&self) -> u64 {
        *self.invocations.borrow()
    }

    /// The schedule: once a minute, whatever the invocation before does.
    pub async fn sweeps(self, seed: u64) {
        let mut chance = Chance::new(seed);
        loop {
            self.start(&mut chance, "sweep", Duration::ZERO);
            sleep(Duration::from_millis(SWEEP)).await;
        }
    }

    /// Looks every 100 ms, and never waits for anything else. It rings when a role changes: sometimes twice,
    /// sometimes late, sometimes not at all; and when an event means nothing.
    pub async fn watch(self, seed: u64) {
        let mut chance = Chance::new(seed);
        let mut before: Vec<(u64, Role)> = Vec::new();
        loop {
            sleep(LOOK).await;
            self.look();
            let (changed, bells, pauses, deaf) = {
                let sim = &mut *self.sim.borrow_mut();
                let roles = || sim.cluster.members.iter().map(|member| (member.started, member.role));
                let changed = !roles().eq(before.iter().copied());
                if changed {
                    before = roles().collect();
                }
                (
                    changed,
                    std::mem::take(&mut sim.bells),
                    std::mem::take(&mut sim.pauses),
                    sim.cloud.weather.deaf,
                )
            };
            if pauses {
                self.clone().operate(&mut chance);
            }
            // One event that is delivered twice is two invocations at the same moment.
            (0..bells).for_each(|_| self.start(&mut chance, "bell", Duration::ZERO));
            if !changed || deaf || chance.one_in(5) {
                continue;
            }
            for _ in 0..chance.between(1, 2) {
                let late = if chance.one_in(4) { chance.between(1, 30_000) } else { 0 };
                self.start(&mut chance, "bell", Duration::from_millis(late));
            }
        }
    }

    /// Lets happen what is due, and looks for what must not be.
    pub fn look(&self) {
        let (sim, now) = (&mut *self.sim.borrow_mut(), self.now());
        sim.cluster.step(now, &mut sim.chance);
        if now >= sim.cloud.weather.until {
            sim.cloud.weather = Weather::default();
        } else {
            sim.failed_at = Some(now);
        }
        let works = sim.works(now);
        sim.checks.look(now, works, &sim.cluster, &mut sim.cloud, &sim.setting);
    }

    /// An operator pauses for a minute or two, and believes the answer.
    fn operate(self, chance: &mut Chance) {
        let seen = self.seen(chance, "operator");
        let time = Duration::from_millis(chance.between(10_000, 120_000));
        spawn_local(async move {
            let until = Millis(self.now() + 50_000);
            let request = Request::Pause { owner: "ada".to_owned(), time };
            let told = pause(&seen, &request, until).await;
            let quiet = told.ok().filter(|told| told.acting.is_none()).and_then(|told| told.pause);
            self.sim.borrow_mut().checks.calls.promised = quiet.map(|pause| pause.until.0);
        });
    }

    pub(crate) fn seen(&self, chance: &mut Chance, why: &str) -> Seen {
        *self.invocations.borrow_mut() += 1;
        // Clocks of two invocations differ by up to a second.
        let skew = i64::try_from(chance.between(0, 1_000)).unwrap_or(500) - 500;
        Seen::new(self.sim.clone(), self.began, skew, format!("{why}-{}", self.invocations.borrow()))
    }

    fn start(&self, chance: &mut Chance, why: &str, late: Duration) {
        let (seen, stage, rung) = (self.seen(chance, why), self.clone(), why == "bell");
        spawn_local(async move {
            if !late.is_zero() {
                sleep(late).await;
            }
            let until = Millis(millis(stage.began.elapsed() + INVOCATION));
            let invoked = Invoked { owner: &seen.owner, rung, until };
            // Lambda ends an invocation that does not end by itself.
            let broke_off = tokio::select! {
                ended = invoke(&seen, &stage.policy, invoked) => ended.outcome.is_err(),
                () = sleep_until(Instant::now() + INVOCATION + OVERTIME) => true,
            };
            stage.sim.borrow_mut().checks.ended(&seen.owner, broke_off);
        });
    }
}
