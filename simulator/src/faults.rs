//! What goes wrong, one thing at a time, as often as chance decides.

use topology::{Answer, Kind, NotKnown};

use crate::{
    Chance,
    cloud::Weather,
    member::{FalseView, Process, Role},
    world::Sim,
};

/// What delaying proxies were set to on real nodes, and what is close to the patience.
const SLOW: [u64; 4] = [300, 900, 1_900, 1_950];

macro_rules! faults {
    ($($(#[$doc:meta])* $name:ident),+ $(,)?) => {
        /// A kind of fault. Faults are counted by kind in each history: a kind that
        /// never came up proves nothing.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Fault {
            $($(#[$doc])* $name),+
        }

        impl Fault {
            pub const ALL: &[Self] = &[$(Self::$name),+];
        }
    };
}

faults! {
    Kill,
    KillMaster,
    KillTwo,
    Freeze,
    /// The master freezes, and its survivors may wait for it.
    FreezeMaster,
    /// Frozen members wake up.
    Thaw,
    /// A member is cut off from the others.
    Partition,
    /// The master is cut off from the others.
    PartitionMaster,
    /// Partitions and blindness end, and slow members are fast again.
    Heal,
    /// The function loses sight of some members.
    Hide,
    /// The function loses sight of the master.
    HideMaster,
    /// A member lies about its role for a while.
    Lie,
    /// A member lies about the other members for a while.
    Misreport,
    /// A member answers late, from now on.
    Slow,
    /// All members answer late, each after its own time.
    SlowAll,
    /// All HTTP workers of the master are taken for a while.
    WorkersTaken,
    /// A host's agent dies: `StopTask` is accepted there and nothing stops.
    AgentDies,
    /// A host dies: its node is silent and RUNNING for minutes.
    HostDies,
    /// ECS is asked to stop a task, as a deployment does.
    StopTask,
    /// ECS is asked to stop the master's task.
    StopMaster,
    /// A slave-only slot leaves cleanly.
    ScaleIn,
    /// A slave-only slot gets a task.
    ScaleOut,
    /// Calls are throttled, succeed with a lost answer, or fail.
    BadWeather,
    /// Calls work again.
    GoodWeather,
    /// A foreign address is in a write group: one of ours that AWS gave to something else.
    Foreign,
    /// An event that means nothing.
    FalseBell,
    /// An event that is delivered twice at the same time.
    TwinBells,
    /// The state object is lost.
    StateLost,
    /// An operator pauses the election.
    Pause,
    /// An invocation is frozen in the middle and continues later.
    Stall,
}

impl Fault {
    pub(crate) fn strike(self, sim: &mut Sim, now: u64) {
        let count = u64::try_from(sim.cluster.members.len()).unwrap_or(1);
        let any = usize::try_from(sim.chance.between(0, count - 1)).unwrap_or(0);
        let master =
            sim.cluster.members.iter().position(|m| m.role == Role::Master && m.process == Process::Up);
        let (cluster, chance) = (&mut sim.cluster, &mut sim.chance);
        match self {
            Self::Kill => cluster.kill(any, now, chance),
            Self::KillMaster => master.into_iter().for_each(|master| cluster.kill(master, now, chance)),
            Self::KillTwo => {
                cluster.kill(any, now, chance);
                cluster.kill((any + 1) % cluster.members.len(), now, chance);
            }
            Self::Freeze => freeze(sim, any),
            Self::FreezeMaster => {
                cluster.waits_for_frozen = chance.one_in(2);
                master.into_iter().for_each(|master| freeze(sim, master));
            }
            Self::Thaw => (0..cluster.members.len()).for_each(|index| cluster.thaw(index, now, chance)),
            Self::Partition => cluster.members[any].cut = true,
            Self::PartitionMaster => master.into_iter().for_each(|master| cluster.members[master].cut = true),
            Self::Heal => cluster.members.iter_mut().for_each(|member| {
                (member.cut, member.hidden, member.slow) = (false, false, 0);
            }),
            Self::Hide => cluster.members.iter_mut().for_each(|member| member.hidden = chance.one_in(3)),
            Self::HideMaster => master.into_iter().for_each(|master| cluster.members[master].hidden = true),
            Self::Lie => lie(sim, any, now),
            Self::Misreport => {
                let view = if chance.one_in(2) { FalseView::All } else { FalseView::Itself };
                let liar = master.filter(|_| chance.one_in(2)).unwrap_or(any);
                cluster.members[liar].misreports = Some((now + chance.between(5_000, 60_000), view));
            }
            Self::Slow => {
                let slow = chance.pick(&SLOW).copied().unwrap_or(300);
                cluster.members[master.filter(|_| chance.one_in(2)).unwrap_or(any)].slow = slow;
            }
            Self::SlowAll => cluster.members.iter_mut().for_each(|m| m.slow = chance.between(50, 1_950)),
            Self::WorkersTaken => {
                cluster.members[master.unwrap_or(any)].workers_taken = now + chance.between(5_000, 120_000);
            }
            Self::AgentDies => {
                let index = master.filter(|_| chance.one_in(2)).unwrap_or(any);
                cluster.members[index].agent_dead = Some(now + chance.between(30_000, 300_000));
            }
            Self::HostDies => cluster.lose(any, now + chance.between(30_000, 300_000)),
            Self::StopTask => cluster.stop(any, now, chance),
            Self::StopMaster => master.into_iter().for_each(|master| cluster.stop(master, now, chance)),
            Self::ScaleIn | Self::ScaleOut => {
                let only = |index: &usize| cluster.members[*index].kind == Kind::SlaveOnly;
                let slots: Vec<usize> = (0..cluster.members.len()).filter(only).collect();
                if let Some(slot) = chance.pick(&slots) {
                    cluster.scale(*slot, self == Self::ScaleOut, now, chance);
                }
            }
            Self::BadWeather => sim.cloud.weather = bad_weather(now, sim.cloud.write.len(), chance),
            Self::GoodWeather => sim.cloud.weather = Weather::default(),
            Self::Foreign => {
                let last = u8::try_from(chance.between(1, 250)).unwrap_or(1);
                let group = usize::try_from(chance.draw()).unwrap_or(0) % sim.cloud.write.len();
                sim.cloud.write[group].targets.insert([192, 168, 0, last].into());
                sim.cloud.changed(now);
            }
            Self::FalseBell => sim.bells = 1,
            Self::TwinBells => sim.bells = 2,
            Self::StateLost => {
                sim.cloud.state = None;
                sim.checks.loses_state(now);
            }
            Self::Pause => sim.pauses = true,
            Self::Stall => sim.stall_ms = chance.between(1_000, 60_000),
        }
    }
}

fn freeze(sim: &mut Sim, index: usize) {
    let member = &mut sim.cluster.members[index];
    if member.process == Process::Up {
        member.process = Process::Frozen;
    }
}

fn lie(sim: &mut Sim, index: usize, now: u64) {
    let not = Answer::NotKnown;
    let lies = [Answer::Master, Answer::Slave, not(NotKnown::Unexpected), not(NotKnown::Forbidden)];
    let until = now + sim.chance.between(100, 20_000);
    let lie = sim.chance.pick(&lies).copied().unwrap_or(Answer::Slave);
    sim.cluster.members[index].lies = Some((until, lie));
}

fn bad_weather(now: u64, groups: usize, chance: &mut Chance) -> Weather {
    let group = usize::try_from(chance.draw()).unwrap_or(0) % groups;
    Weather {
        until: now + chance.between(5_000, 60_000),
        throttled: chance.between(0, 3),
        refused_group: chance.one_in(2).then_some(group),
        unreadable: chance.between(0, 3),
        half_done: chance.between(0, 4),
        state_fails: chance.between(0, 6),
        own_412: chance.between(0, 4),
        busy: chance.between(0, 3),
        incomplete: chance.one_in(2),
        unlisted: chance.one_in(4),
        slow_listing: chance.one_in(3),
        deaf: chance.one_in(2),
    }
}
