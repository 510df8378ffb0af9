//! The end of a history: faults stop, and the cluster must come to rest.

use std::time::Duration;

use tokio::time::{Instant, sleep};
use topology::Mode;

use crate::{
    cloud::Weather,
    member::{Process, Role},
    schedule::Stage,
    world::{Sim, rests},
};

/// The calm at the end. Whatever the faults were, the groups must be right within it: every frozen node wakes
/// up or is replaced, a pause ends, and the hold-off of a fence and two sweeps pass.
pub const CALM: Duration = Duration::from_secs(900);

/// Faults stop: half of the frozen members wake up, cut-off ones are heard again, calls
/// work. Slow nodes stay slow.
pub fn calm(stage: &Stage) {
    let sim = &mut *stage.sim.borrow_mut();
    let now = stage.now();
    let before = describe(sim);
    sim.checks.tell(|| format!("{now:>8} CALM {before}"));
    (sim.cloud.weather, sim.stall_ms) = (Weather::default(), 0);
    for index in 0..sim.cluster.members.len() {
        if sim.chance.one_in(2) || sim.cluster.members[index].agent_dead.is_some() {
            sim.cluster.thaw(index, now, &mut sim.chance);
        }
        sim.cluster.agent_ends(index, now, &mut sim.chance);
        let member = &mut sim.cluster.members[index];
        (member.cut, member.hidden, member.lies, member.misreports) = (false, false, None, None);
    }
    operate(sim, now);
}

/// An operator wakes up members that the rules refuse to fence.
fn operate(sim: &mut Sim, now: u64) {
    if let Some(reason) = refused(sim) {
        sim.checks.counts.count(THAWED, reason);
        sim.checks.tell(|| format!("{now:>8} an operator thaws: {reason}"));
        (0..sim.cluster.members.len()).for_each(|index| sim.cluster.thaw(index, now, &mut sim.chance));
    }
}

/// How often to look whether the cluster is at rest.
const REST: Duration = Duration::from_secs(1);
/// How often an operator looks: the followed master may have changed.
const OPERATOR: u64 = 120_000;

/// The kind under which thawed members are counted.
pub const THAWED: &str = "thawed by an operator";
/// Why the rules refuse to fence a frozen member, and leave it to operators; counted, so that rules that
/// refuse too much are seen.
pub const REFUSED: [&str; 5] = [FENCING_OFF, RAFT, SEVERAL, NO_MAJORITY, NOT_THE_LAST_MASTER];
const FENCING_OFF: &str = "fencing is off";
const RAFT: &str = "Raft goes on beside it";
const SEVERAL: &str = "several are frozen";
const NO_MAJORITY: &str = "no majority of core slots without it";
const NOT_THE_LAST_MASTER: &str = "no master, and it was not the last one";

fn refused(sim: &Sim) -> Option<&'static str> {
    let mut frozen = sim.cluster.members.iter().filter(|member| member.process == Process::Frozen);
    let (first, more) = (frozen.next()?, frozen.next().is_some());
    let followed = sim.cloud.state().and_then(|state| state.master.as_ref());
    let last_master = followed.is_none_or(|master| master.task == first.task);
    match () {
        () if first.stopping && !more => None,
        () if sim.setting.policy.mode == Mode::Cluster => Some(RAFT),
        () if sim.setting.policy.fence_after.is_zero() => Some(FENCING_OFF),
        () if more => Some(SEVERAL),
        () if sim.setting.policy.core_size == 1 => Some(NO_MAJORITY),
        () if !last_master && (sim.cluster.waits_for_frozen || sim.cluster.master().is_none()) => {
            Some(NOT_THE_LAST_MASTER)
        }
        () => None,
    }
}

/// At rest: one master, followed by the state, and the groups as they must be. What had to be cut was cut.
pub async fn until_rest(stage: &Stage) -> bool {
    let deadline = Instant::now() + CALM;
    let mut operator = stage.now() + OPERATOR;
    while Instant::now() < deadline {
        sleep(REST).await;
        let sim = &mut *stage.sim.borrow_mut();
        if !sim.checks.broken.is_empty() {
            return true;
        }
        let now = stage.now();
        if now >= operator {
            operator = now + OPERATOR;
            operate(sim, now);
        }
        let settled = sim.cluster.members.iter().all(|member| match member.process {
            Process::Up => member.runs() && !member.stopping && member.role != Role::Pending,
            Process::Away => true,
            Process::Frozen | Process::Lost { .. } | Process::Dead { .. } => false,
        });
        let mut writers = sim.cluster.writers();
        let (Some(writer), None) = (writers.next().map(|member| member.address), writers.next()) else {
            continue;
        };
        let followed = sim.cloud.state().and_then(|state| state.master.as_ref());
        let followed = followed.is_some_and(|master| master.address == writer);
        if settled && followed && rests(sim, writer) && !sim.checks.bounds.is_uncut() {
            return true;
        }
    }
    false
}

/// The state of all members, for the line that says what did not come to rest.
pub fn describe(sim: &Sim) -> String {
    let member = |m: &crate::member::Member| {
        let marks = [("stopping", m.stopping), ("cut", m.cut), ("hidden", m.hidden), ("left", m.left)];
        let marks: Vec<&str> = marks.into_iter().filter(|(_, set)| *set).map(|(mark, _)| mark).collect();
        let (slow, stale) = (m.slow, m.stale);
        format!("{} {} {:?} {:?} {marks:?} slow {slow} stale {stale:?}", m.slot, m.address, m.process, m.role)
    };
    let members: Vec<String> = sim.cluster.members.iter().map(member).collect();
    let held: Vec<_> = sim.cloud.write.iter().chain(&sim.cloud.read).map(|g| (&g.arn, &g.targets)).collect();
    let state = sim.cloud.state().map(|state| (state.master.as_ref().map(|m| m.address), &state.sentence));
    format!("{members:#?}; groups {held:?}; state {state:?}; {:?}", sim.setting.policy)
}
