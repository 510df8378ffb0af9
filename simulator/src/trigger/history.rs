//! One history: some days of faults, then a day and a half of quiet, in which every bound must be in force.

use std::{collections::BTreeMap, time::Duration};

use tokio::{
    task::{LocalSet, spawn_local},
    time::sleep,
};

use super::{
    check::Checks,
    faults::{Fault, founded},
    schedule::Stage,
    setting::{STACK, Setting},
    sim::Sim,
    weather::Weather,
};
use crate::{Broken, Chance};

/// From one fault to the next, milliseconds.
const BETWEEN: (u64, u64) = (60_000, 14_400_000);
/// The quiet at the end: eight hours and a half until nothing from before holds anything up, a day of 25 hours
/// until a daily backup is due, and three hours for it, with the longest deadline and the longest backups.
const CALM: Duration = Duration::from_secs(37 * 3_600);

#[derive(Clone, Debug, Default)]
pub struct History {
    pub checks: Checks,
    /// How often each fault struck.
    pub faults: BTreeMap<Fault, u64>,
    /// Simulated hours.
    pub hours: u64,
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

/// The same history with as few faults as still break it.
pub fn shrink(broken: Broken) -> Broken {
    (0..broken.faults).find_map(|faults| run(broken.seed, faults).err()).unwrap_or(broken)
}

fn begin(seed: u64, faults: usize, telling: bool) -> Result<History, Broken> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .map_err(|error| Broken { seed, faults, what: error.to_string() })?;
    Ok(LocalSet::new().block_on(&runtime, play(seed, faults, telling)))
}

async fn play(seed: u64, faults: usize, telling: bool) -> History {
    let mut chance = Chance::new(seed);
    let setting = Setting::choose(&mut chance);
    let mut sim = Sim::new(setting, &chance, telling);
    let setting = format!("{:?}", sim.setting.policy);
    sim.checks.tell(|| setting);
    founded(&mut sim, &mut chance);
    let stage = Stage::new(sim);
    let schedule = spawn_local(stage.clone().ticks(chance.draw()));
    let watcher = spawn_local(stage.clone().watch(chance.draw()));
    let mut struck: BTreeMap<Fault, u64> = BTreeMap::new();
    for _ in 0..faults {
        sleep(Duration::from_millis(chance.between(BETWEEN.0, BETWEEN.1))).await;
        let fault = *chance.pick(Fault::ALL).unwrap_or(&Fault::NodeDies);
        let (now, sim) = (stage.now(), &mut *stage.sim.borrow_mut());
        sim.step(now);
        fault.strike(sim, now);
        sim.checks.tell(|| format!("{now:>9} FAULT {fault:?}"));
        *struck.entry(fault).or_default() += 1;
        if !sim.checks.broken.is_empty() {
            break;
        }
    }
    if stage.sim.borrow().checks.broken.is_empty() {
        calm(&stage);
        sleep(CALM).await;
    }
    schedule.abort();
    watcher.abort();
    let hours = stage.now() / 3_600_000;
    let sim = &mut *stage.sim.borrow_mut();
    History { checks: std::mem::take(&mut sim.checks), faults: struck, hours }
}

/// Faults stop, and no worker that is started from now on fails. What is under way goes on.
fn calm(stage: &Stage) {
    let (now, sim) = (stage.now(), &mut *stage.sim.borrow_mut());
    sim.checks.tell(|| format!("{now:>9} CALM"));
    (sim.weather, sim.stall_ms, sim.disturbed) = (Weather::default(), 0, 0);
    sim.ecs.courses.clear();
    sim.bucket.owner = Some(STACK.to_owned());
    sim.nodes.calm(now);
}
