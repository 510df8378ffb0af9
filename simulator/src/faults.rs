//! What goes wrong, one thing at a time, as often as chance has it.

use topology::{Answer, NotKnown};

use crate::{
    Chance,
    cloud::Weather,
    cluster::{Process, Role},
    world::Sim,
};

/// A kind of fault. Its number in a history is counted: a kind that never came up proves nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// A process is killed.
    Kill,
    /// The master is killed.
    KillMaster,
    /// A member freezes.
    Freeze,
    /// The master freezes, and its survivors wait for it.
    FreezeMaster,
    /// A frozen member wakes up.
    Thaw,
    /// A member is cut off from the others.
    Partition,
    /// Partitions and blindness end.
    Heal,
    /// The prober loses sight of some members.
    Hide,
    /// A member says something false for a while.
    Lie,
    /// A member answers late.
    Slow,
    /// A host's agent dies: `StopTask` does nothing there.
    AgentDies,
    /// Calls are throttled, half done, or fail.
    BadWeather,
    /// Calls work again.
    GoodWeather,
    /// A foreign address is in the write group: one of ours that AWS gave to someone else.
    Foreign,
    /// An event that means nothing, or one that comes again.
    FalseBell,
    /// The state object is lost.
    StateLost,
    /// Somebody pauses the election.
    Pause,
    /// An invocation is frozen in the middle and goes on later.
    Stall,
    /// Two nodes die at once.
    KillTwo,
}

impl Fault {
    /// All kinds.
    pub const ALL: [Self; 19] = [
        Self::Kill,
        Self::KillMaster,
        Self::Freeze,
        Self::FreezeMaster,
        Self::Thaw,
        Self::Partition,
        Self::Heal,
        Self::Hide,
        Self::Lie,
        Self::Slow,
        Self::AgentDies,
        Self::BadWeather,
        Self::GoodWeather,
        Self::Foreign,
        Self::FalseBell,
        Self::StateLost,
        Self::Pause,
        Self::Stall,
        Self::KillTwo,
    ];

    /// Makes it happen at `now`.
    pub(crate) fn strike(self, sim: &mut Sim, now: u64) {
        let count = u64::try_from(sim.cluster.members.len()).unwrap_or(1);
        let any = usize::try_from(sim.chance.between(0, count - 1)).unwrap_or(0);
        let master =
            sim.cluster.members.iter().position(|m| m.role == Role::Master && m.process == Process::Up);
        match self {
            Self::Kill => sim.cluster.kill(any, now, &mut sim.chance),
            Self::KillMaster => {
                if let Some(master) = master {
                    sim.cluster.kill(master, now, &mut sim.chance);
                }
            }
            Self::KillTwo => {
                sim.cluster.kill(any, now, &mut sim.chance);
                sim.cluster.kill((any + 1) % sim.cluster.members.len(), now, &mut sim.chance);
            }
            Self::Freeze => freeze(sim, any),
            Self::FreezeMaster => {
                sim.cluster.waits_for_frozen = sim.chance.one_in(2);
                if let Some(master) = master {
                    freeze(sim, master);
                }
            }
            Self::Thaw => (0..sim.cluster.members.len()).for_each(|index| sim.cluster.thaw(index, now)),
            Self::Partition => sim.cluster.members[any].cut = true,
            Self::Heal => {
                for member in &mut sim.cluster.members {
                    (member.cut, member.hidden, member.slow) = (false, false, false);
                }
            }
            Self::Hide => {
                for index in 0..sim.cluster.members.len() {
                    sim.cluster.members[index].hidden = sim.chance.one_in(2);
                }
            }
            Self::Lie => {
                let lies = [
                    Answer::Master,
                    Answer::Slave,
                    Answer::NotKnown(NotKnown::Unexpected),
                    Answer::NotKnown(NotKnown::Forbidden),
                ];
                let until = now + sim.chance.between(100, 20_000);
                let lie = sim.chance.pick(&lies).copied().unwrap_or(Answer::Slave);
                sim.cluster.members[any].lies = Some((until, lie));
            }
            Self::Slow => sim.cluster.members[any].slow = true,
            Self::AgentDies => sim.cluster.members[any].agent_dead = true,
            Self::BadWeather => sim.cloud.weather = bad_weather(&mut sim.chance),
            Self::GoodWeather => sim.cloud.weather = Weather::default(),
            Self::Foreign => {
                let last = u8::try_from(sim.chance.between(1, 250)).unwrap_or(1);
                sim.cloud.write.targets.insert([192, 168, 0, last].into());
            }
            Self::FalseBell => sim.bell = true,
            Self::StateLost => {
                sim.cloud.state = None;
                sim.checks.loses_state(now);
            }
            Self::Pause => sim.pause(now),
            Self::Stall => sim.stall_ms = sim.chance.between(1_000, 60_000),
        }
    }
}

fn freeze(sim: &mut Sim, index: usize) {
    let member = &mut sim.cluster.members[index];
    if member.process == Process::Up {
        member.process = Process::Frozen;
    }
}

fn bad_weather(chance: &mut Chance) -> Weather {
    Weather {
        throttled: chance.between(0, 3),
        half_done: chance.between(0, 4),
        state_fails: chance.between(0, 6),
        incomplete: chance.one_in(2),
        deaf: chance.one_in(2),
    }
}
