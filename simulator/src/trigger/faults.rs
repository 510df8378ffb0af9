//! What goes wrong, one thing at a time, as often as chance decides.

use backups::{Folder, Tier, Time};
use topology::{Millis, Pause};

use super::{
    bounds::LARGE,
    bucket::Said,
    ecs::Course,
    member::{Process, Quiet, Role},
    setting::{NO_SLOT, STACK},
    sim::{Ask, Sim},
    weather::Weather,
};
use crate::Chance;

macro_rules! faults {
    ($($(#[$doc:meta])* $name:ident),+ $(,)?) => {
        /// A kind of fault. Faults are counted by kind in each history: a kind that never came up proves nothing.
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
    /// A node's task ends, and another one is started.
    NodeDies,
    MasterDies,
    /// A node's task is asked to stop, and takes its time.
    NodeStops,
    /// Slave-only slots are scaled to zero for a while.
    ScaledToZero,
    /// A second node says that it is the master.
    TwoMasters,
    /// No node says that it is.
    NoMaster,
    /// A node program does not answer.
    Silent,
    /// It answers, and its Neo4j is silent.
    Deaf,
    /// A node is between roles.
    Pending,
    Lags,
    AllLag,
    /// The master does not report how far it is.
    LagUnknown,
    BackupServerOff,
    NoSubnet,
    /// A slot has two tasks.
    TwinTasks,
    Roll,
    /// The store fits on no disk of a worker.
    StoreGrows,
    /// No node program reports the size of its store.
    StoreUnknown,
    WorkerFails,
    WorkerVanishes,
    WorkerHangs,
    /// It does not even end at its deadline.
    WorkerFreezes,
    /// It does not end when it is done.
    WorkerLingers,
    /// It is done when its deadline comes.
    WorkerSlow,
    /// Its data is of another length than its manifest says.
    DataShort,
    Unchecked,
    Inconsistent,
    /// Three in a row.
    AllInconsistent,
    /// One while a single slave can be backed up.
    NoOtherSlave,
    /// A manifest of another version, or none at all.
    ManifestUnread,
    /// Some of the next workers are chosen at random.
    AnyWorkers,
    BadWeather,
    GoodWeather,
    /// Ticks are lost, late or cut off for a while.
    Disturbed,
    /// Events are lost for a while.
    EventsLost,
    /// A tick is frozen in the middle and continues later.
    Stall,
    /// An operator pauses the election.
    Pause,
    /// An operator wants a backup.
    Request,
    /// An operator wants one of a slot.
    RequestSlot,
    /// A request names a slot that the cluster does not have any more.
    RequestNoSlot,
    Explain,
    /// An operator holds a backup.
    Hold,
    /// An operator ends all holds.
    Release,
    /// The bucket is another stack's for a while.
    Foreign,
    /// An administrator gives it back, or deletes the owner object.
    Owned,
    /// An administrator deletes the state, while nothing runs.
    StateLost,
    /// An administrator deletes data that its manifest promises.
    DataLost,
    /// There is data of another program's, or of a run that was never recorded.
    Debris,
}

const MINUTE: u64 = 60_000;
/// Transactions behind the master: the most that are allowed, and more.
const LAGS: [u64; 3] = [1_000, 1_001, 500_000];

impl Fault {
    #[allow(clippy::too_many_lines)] // one arm a fault
    pub(crate) fn strike(self, sim: &mut Sim, now: u64) {
        let count = sim.nodes.now.members.len() as u64;
        let (nodes, chance) = (&mut sim.nodes, &mut sim.chance);
        let any = usize::try_from(chance.between(0, count - 1)).unwrap_or(0);
        let master = nodes.master().unwrap_or(any);
        let short = now + chance.between(5, 90) * MINUTE;
        let long = now + chance.between(10, 300) * MINUTE;
        match self {
            Self::NodeDies => nodes.dies(any, now, chance),
            Self::MasterDies => nodes.dies(master, now, chance),
            Self::NodeStops => nodes.stops(any, now, chance),
            Self::ScaledToZero => nodes.scales_to_zero(long),
            Self::TwoMasters => nodes.claims(any, short),
            Self::NoMaster => nodes.loses_master(short),
            Self::Silent => nodes.ails(any, short, |member| member.quiet = Quiet::Silent),
            Self::Deaf => nodes.ails(any, short, |member| member.quiet = Quiet::Deaf),
            Self::Pending => nodes.ails(any, short, |member| {
                if member.process == Process::Up && member.role == Role::Slave {
                    member.role = Role::Pending;
                }
            }),
            Self::Lags => {
                let lag = *chance.pick(&LAGS).unwrap_or(&LAGS[0]);
                nodes.ails(any, long, |member| member.lag = lag);
            }
            Self::AllLag => {
                (0..nodes.now.members.len()).filter(|slot| *slot != master).for_each(|slot| {
                    nodes.ails(slot, long, |member| member.lag = LAGS[1]);
                });
            }
            Self::LagUnknown => {
                let slot = if chance.one_in(2) { master } else { any };
                nodes.ails(slot, long, |member| member.reports_lag = false);
            }
            Self::BackupServerOff => {
                let said = if chance.one_in(4) { None } else { Some(false) };
                nodes.ails(any, long, |member| member.backup_server = said);
            }
            Self::NoSubnet => nodes.ails(any, long, |member| member.has_subnet = false),
            Self::TwinTasks => nodes.doubles(any, short),
            Self::Roll => nodes.roll(now),
            Self::StoreGrows => nodes.grows(Some(LARGE), long),
            Self::StoreUnknown => nodes.grows(None, long),
            Self::WorkerFails => {
                let fails = [Course::FailsEarly, Course::FailsHalf, Course::FailsLate];
                let count = chance.between(1, 5);
                sim.ecs.courses.extend((0..count).filter_map(|_| chance.pick(&fails)));
            }
            Self::WorkerVanishes => sim.ecs.courses.push_back(Course::Vanishes),
            Self::WorkerHangs => sim.ecs.courses.push_back(Course::Hangs),
            Self::WorkerFreezes => sim.ecs.courses.push_back(Course::Freezes),
            Self::WorkerLingers => sim.ecs.courses.push_back(Course::Lingers),
            Self::WorkerSlow => sim.ecs.courses.push_back(Course::Slow),
            Self::DataShort => sim.ecs.courses.push_back(Course::Short),
            Self::Unchecked => sim.ecs.courses.push_back(Course::Well(Said::Unchecked)),
            Self::Inconsistent => sim.ecs.courses.push_back(Course::Well(Said::Inconsistent)),
            Self::AllInconsistent => sim.ecs.courses.extend([Course::Well(Said::Inconsistent); 3]),
            Self::NoOtherSlave => {
                let slaves = (0..nodes.now.members.len()).filter(|slot| *slot != master).skip(1);
                slaves.for_each(|slot| nodes.ails(slot, long, |member| member.backup_server = Some(false)));
                sim.ecs.courses.push_back(Course::Well(Said::Inconsistent));
            }
            Self::ManifestUnread => {
                let said = if chance.one_in(2) { Said::Newer } else { Said::Garbage };
                sim.ecs.courses.push_back(Course::Well(said));
            }
            Self::AnyWorkers => {
                let count = chance.between(2, 8);
                sim.ecs.courses.extend((0..count).filter_map(|_| chance.pick(&ANY)));
            }
            Self::BadWeather => sim.weather = Weather::bad(now, chance),
            Self::GoodWeather => sim.weather = Weather::default(),
            Self::Disturbed => sim.disturbed = long,
            Self::EventsLost => sim.deaf = long,
            Self::Stall => sim.stall_ms = chance.between(1_000, 100_000),
            Self::Pause => {
                let until = Millis(sim.setting.epoch_ms(short));
                nodes.now.pause = Some(Pause { owner: "ada".to_owned(), until });
            }
            Self::Request => sim.asks.push(Ask::Backup(None)),
            Self::RequestSlot => {
                let slot = sim.setting.policy.slots[any].name.clone();
                sim.asks.push(Ask::Backup(Some(slot)));
            }
            Self::RequestNoSlot => sim.asks.push(Ask::Backup(Some(NO_SLOT.to_owned()))),
            Self::Explain => sim.asks.push(Ask::Explain),
            Self::Hold => {
                let all: Vec<Folder> = sim.bucket.backups().map(|(folder, ..)| folder.clone()).collect();
                if let Some(folder) = chance.pick(&all) {
                    sim.bucket.put(folder.hold(), 100);
                }
            }
            Self::Release => sim.bucket.objects.retain(|key, _| !key.ends_with(backups::HOLD)),
            Self::Foreign => sim.loses_bucket(short),
            Self::Owned => sim.bucket.owner = Some(STACK.to_owned()).filter(|_| chance.one_in(2)),
            Self::StateLost => {
                let idle = sim.invocations == 0 && sim.ecs.workers.iter().all(|w| w.ended.is_some());
                if idle && sim.runs.as_ref().is_some_and(|runs| runs.current.is_none()) {
                    sim.loses_state();
                }
            }
            Self::DataLost => {
                let all: Vec<String> = sim.bucket.verified().map(Folder::data).collect();
                if let Some(data) = chance.pick(&all) {
                    sim.bucket.objects.remove(data);
                    sim.bucket.lost_data = Some(now);
                }
            }
            Self::Debris => debris(sim, now),
        }
        sim.nodes.changed(now);
    }
}

const ANY: [Course; 14] = [
    Course::FailsEarly,
    Course::FailsHalf,
    Course::FailsLate,
    Course::Vanishes,
    Course::Hangs,
    Course::Freezes,
    Course::Lingers,
    Course::Slow,
    Course::Short,
    Course::Well(Said::Consistent),
    Course::Well(Said::Unchecked),
    Course::Well(Said::Inconsistent),
    Course::Well(Said::Newer),
    Course::Well(Said::Garbage),
];

/// Objects below backups/ that no run of ours wrote.
fn debris(sim: &mut Sim, now: u64) {
    let hours = sim.chance.between(0, 48);
    let time = Time::of_epoch(sim.setting.epoch_ms(now) / 1_000 - hours * 3_600);
    let tier = *sim.chance.pick(&Tier::ALL).unwrap_or(&Tier::Hourly);
    let id = format!("{:x}", sim.chance.draw());
    let folder = Folder { time, tier, id };
    sim.bucket.put(folder.data(), 9);
    sim.bucket.put(format!("{folder}/deep/er"), 9);
    sim.bucket.put(format!("backups/{tier}/notes.txt"), 9);
}

/// What is there when a history begins: backups of the days before.
pub fn founded(sim: &mut Sim, chance: &mut Chance) {
    let mut hours: Vec<u64> = (0..chance.between(0, 12)).map(|_| chance.between(1, 90)).collect();
    hours.sort_unstable();
    for hours in hours {
        let time = Time::of_epoch(sim.setting.starts - hours * 3_600);
        let tier = *chance.pick(&Tier::ALL).unwrap_or(&Tier::Hourly);
        let folder = Folder { time, tier, id: format!("{:x}", chance.draw()) };
        sim.bucket.put(folder.data(), 1_000);
        let said = if chance.one_in(4) {
            *chance.pick(&Said::ALL).unwrap_or(&Said::Garbage)
        } else {
            Said::Consistent
        };
        sim.bucket.commit(&folder, said, 1_000, "core-2", time);
    }
}
