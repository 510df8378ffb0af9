//! One history: faults for a while, then quiet, and the cluster must come to rest.

use std::{collections::BTreeMap, time::Duration};

use tokio::{
    task::{LocalSet, spawn_local},
    time::sleep,
};
use topology::Kind;

use crate::{
    Chance, Fault,
    check::Checks,
    cloud::Cloud,
    rest::{CALM, calm, describe, until_rest},
    schedule::Stage,
    setting::Setting,
    world::Sim,
};

/// The most calls of one history, per hour and port.
const CALLS_PER_HOUR: u64 = 1_200;

/// An invariant that did not hold, with all that is needed to reproduce it.
#[derive(Clone, Debug)]
pub struct Broken {
    pub seed: u64,
    /// Number of its faults.
    pub faults: usize,
    pub what: String,
}

#[derive(Clone, Debug, Default)]
pub struct History {
    pub checks: Checks,
    /// How often each fault struck.
    pub faults: BTreeMap<Fault, u64>,
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

async fn play(seed: u64, faults: usize, telling: bool) -> History {
    let mut chance = Chance::new(seed);
    let stage = Stage::new(begin_world(&mut chance, telling));
    let schedule = spawn_local(stage.clone().sweeps(chance.draw()));
    let watcher = spawn_local(stage.clone().watch(chance.draw()));
    let mut struck: BTreeMap<Fault, u64> = BTreeMap::new();
    for _ in 0..faults {
        sleep(Duration::from_millis(chance.between(50, 25_000))).await;
        let fault = *chance.pick(Fault::ALL).unwrap_or(&Fault::Kill);
        let (sim, now) = (&mut *stage.sim.borrow_mut(), stage.now());
        fault.strike(sim, now);
        sim.checks.tell(|| format!("{now:>8} FAULT {fault:?}"));
        *struck.entry(fault).or_default() += 1;
        if !sim.checks.broken.is_empty() {
            break;
        }
    }
    if stage.sim.borrow().checks.broken.is_empty() {
        calm(&stage);
    }
    let rested = until_rest(&stage).await;
    schedule.abort();
    watcher.abort();
    let now = stage.now();
    let sim = &mut *stage.sim.borrow_mut();
    if !rested && sim.checks.broken.is_empty() {
        let what = describe(sim);
        sim.checks.breaks(now, &format!("did not come to rest in {CALM:?}: {what}"));
    }
    let hours = now / 3_600_000 + 1;
    let ports = u64::try_from(sim.setting.ports).unwrap_or(1);
    if sim.cloud.calls > CALLS_PER_HOUR * hours * ports {
        let calls = sim.cloud.calls;
        sim.checks.breaks(now, &format!("{calls} calls in {hours} hours"));
    }
    History { checks: std::mem::take(&mut sim.checks), faults: struck, invocations: stage.invocations() }
}

fn begin_world(chance: &mut Chance, telling: bool) -> Sim {
    let setting = Setting::choose(chance);
    world(setting, chance, telling)
}

/// A cluster in this setting that is well and registered, without a state yet.
pub(crate) fn world(setting: Setting, chance: &Chance, telling: bool) -> Sim {
    let cluster = setting.cluster();
    let registered = cluster.members.iter().filter(|member| member.kind == Kind::Core);
    let registered = registered.map(|member| member.address).collect();
    let cloud = Cloud::new(setting.ports, &registered, setting.propagation);
    Sim {
        setting,
        cluster,
        cloud,
        chance: chance.clone(),
        checks: Checks::new(telling),
        bells: 0,
        pauses: false,
        stall_ms: 0,
        stalled_until: 0,
        failed_at: None,
    }
}
