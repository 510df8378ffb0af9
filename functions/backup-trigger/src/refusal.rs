//! Reasons not to begin a backup, as values, each with one sentence that says what is awaited.

use std::fmt;

use backups::Time;
use serde::Serialize;
use topology::Kind;

/// An enum that lists its own variants, so that no test can forget one.
macro_rules! listed {
    ($of:ident: $($name:ident),+ $(,)?) => {
        impl $of {
            /// The names of all variants.
            pub const NAMES: &[&str] = &[$(stringify!($name)),+];

            /// The variant's name.
            pub fn name(&self) -> &'static str {
                match self { $(Self::$name { .. } => stringify!($name)),+ }
            }
        }
    };
}

listed!(
    Refusal: OtherOwner, Unlisted, PauseUnknown, Paused, NotOneTask, NotReady, Rolling, NoMaster, SeveralMasters, NoSource,
    NoOtherSlave, UnknownSlot, UnfitSlot, TooLarge, Waits
);
listed!(
    Unfit: NoTask, NotStarted, Stopping, Silent, NotFirm, IsMaster, BackupServerOff, Behind, HowFarUnknown, NoSubnet,
    WasInconsistent
);

/// Why a backup that is due is not begun.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "refusal", rename_all = "kebab-case")]
pub enum Refusal {
    /// The bucket belongs to another stack.
    OtherOwner {
        /// The id in its owner object.
        stack: String,
    },
    /// The tasks were not listed.
    Unlisted { reason: String },
    /// Whether the election is paused could not be read.
    PauseUnknown { reason: String },
    /// An operator paused the election, and works on the cluster.
    Paused { owner: String, until: Time },
    /// A slot has no task, or one too many.
    NotOneTask { slot: String, tasks: usize },
    /// The one task of a core slot does not answer firmly.
    NotReady { slot: String, why: Unfit },
    /// Tasks of one kind are of several task definitions: a roll is under way.
    Rolling { kind: Kind },
    /// No core node is the master.
    NoMaster,
    /// Several nodes say that they are.
    SeveralMasters { slots: Vec<String> },
    /// No slave is fit, and the master may not be the source.
    NoSource {
        /// Every slot, and why it is not fit.
        unfit: Vec<(String, Unfit)>,
    },
    /// A second opinion needs a slave other than this slot, and none is fit.
    NoOtherSlave { slot: String, unfit: Vec<(String, Unfit)> },
    /// An operator named a slot that the cluster does not have.
    UnknownSlot { slot: String, slots: Vec<String> },
    /// The slot that an operator named is not fit.
    UnfitSlot { slot: String, why: Unfit },
    /// The store does not fit on the largest disk that a worker can have.
    TooLarge {
        slot: String,
        /// Bytes of the store.
        bytes: u64,
        /// The disk that it would need, and the largest that there is, in GiB.
        needed: u64,
        most: u32,
    },
    /// Three runs were begun within an hour.
    Waits { until: Time },
}

/// Why a node is not the source of a backup, as a clause.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Unfit {
    NoTask,
    /// Its task is not running yet, or has no address.
    NotStarted,
    /// ECS was asked to stop its task.
    Stopping,
    /// Its node program did not answer.
    Silent,
    /// It has no role that it is sure of.
    NotFirm {
        /// The role that it reports.
        role: String,
        phase: String,
    },
    IsMaster,
    BackupServerOff,
    /// It is too far behind the master.
    Behind {
        transactions: u64,
        most: u64,
    },
    /// It, or the master, does not report its last transaction.
    HowFarUnknown,
    /// ECS does not report its subnet.
    NoSubnet,
    /// The inconsistent backup was taken from it.
    WasInconsistent,
}

impl Refusal {
    /// What makes it another refusal than the one before. Numbers do not: a lag is another one at every tick.
    pub fn key(&self) -> String {
        let all = |unfit: &[(String, Unfit)]| {
            let each: Vec<String> =
                unfit.iter().map(|(slot, why)| format!("{slot} {}", why.name())).collect();
            each.join(", ")
        };
        let more = match self {
            Self::NotOneTask { slot, .. } | Self::UnknownSlot { slot, .. } | Self::TooLarge { slot, .. } => {
                slot.clone()
            }
            Self::NotReady { slot, why } | Self::UnfitSlot { slot, why } => format!("{slot} {}", why.name()),
            Self::NoSource { unfit } | Self::NoOtherSlave { unfit, .. } => all(unfit),
            Self::OtherOwner { stack } => stack.clone(),
            _ => return self.name().to_owned(),
        };
        format!("{}: {more}", self.name())
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OtherOwner { stack } => write!(
                f,
                "the backup bucket belongs to the stack {stack} (owner.json), so nothing is begun, tagged or stopped: give this \
                 stack a bucket of its own, or delete owner.json when that stack is gone"
            ),
            Self::Unlisted { reason } => write!(f, "the cluster's tasks must be listed first ({reason})"),
            Self::PauseUnknown { reason } => {
                write!(f, "it must be known first whether the election is paused ({reason})")
            }
            Self::Paused { owner, until } => {
                write!(f, "{owner} paused the election until {until}: the end of the pause is awaited")
            }
            Self::NotOneTask { slot, tasks } => {
                write!(
                    f,
                    "{slot} has {tasks} tasks: exactly one in every core slot, and no second one elsewhere, is awaited"
                )
            }
            Self::NotReady { slot, why } => {
                write!(f, "{slot} {why}: a firm answer of every core node is awaited")
            }
            Self::Rolling { kind } => {
                let kind = if *kind == Kind::Core { "core" } else { "slave-only" };
                write!(
                    f,
                    "the tasks of the {kind} slots are of several task definitions: the end of the roll is awaited"
                )
            }
            Self::NoMaster => f.write_str("no core node is the master: an election is awaited"),
            Self::SeveralMasters { slots } => {
                write!(f, "{} all say that they are the master: a single one is awaited", slots.join(", "))
            }
            Self::NoSource { unfit } => {
                write!(f, "no node is fit to be backed up ({}): a fit one is awaited", list(unfit))
            }
            Self::NoOtherSlave { slot, unfit } => write!(
                f,
                "the backup from {slot} is inconsistent, and a second opinion needs another slave ({}): one is awaited",
                list(unfit)
            ),
            Self::UnknownSlot { slot, slots } => {
                write!(f, "{slot} is not a slot of this cluster: name one of {}, or none", slots.join(", "))
            }
            Self::UnfitSlot { slot, why } => {
                write!(f, "{slot} {why}: name another slot, or none, and request the backup again")
            }
            Self::TooLarge { slot, bytes, needed, most } => write!(
                f,
                "the store of {slot} has {bytes} bytes and its backup needs a disk of {needed} GiB, and a worker has at most {most}: \
                 it must be backed up by another way, such as a snapshot of its volume"
            ),
            Self::Waits { until } => {
                write!(f, "three runs were begun within an hour, so the next one waits until {until}")
            }
        }
    }
}

fn list(unfit: &[(String, Unfit)]) -> String {
    unfit.iter().map(|(slot, why)| format!("{slot} {why}")).collect::<Vec<_>>().join("; ")
}

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoTask => f.write_str("has no task"),
            Self::NotStarted => f.write_str("has a task that is not running yet"),
            Self::Stopping => f.write_str("is stopping"),
            Self::Silent => f.write_str("does not answer on its status port"),
            Self::NotFirm { role, phase } => write!(f, "has no firm role (role {role:?}, phase {phase:?})"),
            Self::IsMaster => f.write_str(
                "is the master, from which a backup is taken only when that is allowed and no slave is fit",
            ),
            Self::BackupServerOff => f.write_str("has no backup server before its next start"),
            Self::Behind { transactions, most } => {
                write!(f, "is {transactions} transactions behind the master, and {most} are allowed")
            }
            Self::HowFarUnknown => f.write_str(
                "may be far behind, because it or the master does not report its last transaction",
            ),
            Self::NoSubnet => f.write_str("has a task whose subnet ECS does not report"),
            Self::WasInconsistent => f.write_str("is where the inconsistent backup is from"),
        }
    }
}
