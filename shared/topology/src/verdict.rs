//! Conditions of a cluster, and reasons not to act, each with one description.

use std::{fmt, net::IpAddr};

use serde::Serialize;

/// An enum that lists its own variants: a variant that the list lacks does not compile, so no
/// count or test can forget it.
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

listed!(Verdict: Steady, NewMaster, NoMaster, MasterUnseen, FrozenMaster, DualMaster, PartialView, Blind, Paused, Leased);
listed!(
    Refusal: NoMajority, Unconfirmed, Unbacked, NobodyToFollow, StillFollowed, SlaveOnlyClaims, NoEvidence, IncompleteListing,
    FencingOff, NotLongSilent, SeveralMissing, NotTheLastMaster, StillHeard, MasterDoesNotSay, MissingUnknown, HoldOff,
    FenceUnderWay, FenceFailed, Leased, Paused, WouldEmpty
);

/// What a round found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
pub enum Verdict {
    /// The known master is the only one.
    Steady,
    /// Another node than the known master is the only one.
    NewMaster,
    /// A majority answered, and no core node says that it is the master.
    NoMaster,
    /// A majority answered, no core node says that it is the master, and some nodes are slaves: they have a
    /// master that this function does not reach.
    MasterUnseen,
    /// No core node says that it is the master, the last master has been silent for so long that it would be
    /// fenced, and all others answer and wait.
    FrozenMaster,
    /// More than one node says that it is the master.
    DualMaster,
    /// Fewer than a majority answered.
    PartialView,
    /// No core node answered.
    Blind,
    /// An operator asked for nothing to be done for a while.
    Paused,
    /// A bell found the lease of another invocation, which looks again when it has acted.
    Leased,
}

impl Verdict {
    /// One line for operators.
    pub fn description(self) -> &'static str {
        match self {
            Self::Steady => "the known master is the only one",
            Self::NewMaster => "another node than the known master is the only one that says it is",
            Self::NoMaster => "a majority answered, and none is the master",
            Self::MasterUnseen => {
                "none is the master, and slaves report that they have one: this function does not reach it"
            }
            Self::FrozenMaster => {
                "none is the master, and the last one has been silent for too long while all others wait for it"
            }
            Self::DualMaster => "more than one node says that it is the master",
            Self::PartialView => "fewer than a majority of the core nodes answered",
            Self::Blind => "no core node answered",
            Self::Paused => "an operator asked for nothing to be done for a while",
            Self::Leased => "another invocation acts, and looks again when it has",
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Why something was not done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "refusal", rename_all = "kebab-case")]
pub enum Refusal {
    /// A function that sees only a minority may be the one that is cut off.
    NoMajority {
        /// Core slots that took part.
        answered: usize,
        /// Core slots that are needed: a majority.
        needed: usize,
    },
    /// One answer may be late or wrong.
    Unconfirmed {
        /// Address of the claimant.
        address: IpAddr,
        /// Rounds in a row that it was the only claimant, or the only one of several whose members are a majority.
        rounds: u32,
        /// Rounds that are needed: of an only claimant more when masters changed often lately, of several two.
        needed: u32,
    },
    /// Not every task could be listed, and the claimant does not report that it hears a majority: the master
    /// may be a task that was not asked.
    Unbacked {
        /// Address of the claimant.
        address: IpAddr,
    },
    /// There is no master, and a slave is never registered as a writer for want of one.
    NobodyToFollow,
    /// A node is silent, and a firm slave proves that a master lives. That may be the silent node, so no node
    /// is fenced for want of a master.
    StillFollowed {
        /// Address of the silent node.
        address: IpAddr,
        /// Addresses of the firm slaves.
        slaves: Vec<IpAddr>,
    },
    /// A slave-only node cannot be elected: its claim is a fault of its own.
    SlaveOnlyClaims {
        /// Address of the slave-only node.
        address: IpAddr,
    },
    /// Several claimants, and no evidence for one of them: list order decides nothing.
    NoEvidence {
        /// Addresses of the claimants.
        claimants: Vec<IpAddr>,
    },
    /// Not every task could be listed, so absence proves nothing.
    IncompleteListing {
        /// Registered addresses that were not seen.
        kept: Vec<IpAddr>,
    },
    /// Fencing is switched off.
    FencingOff {
        /// Address of the silent node.
        address: IpAddr,
    },
    /// A node is frozen only when it has been silent for long enough.
    NotLongSilent {
        /// Address of the silent node.
        address: IpAddr,
        /// How long it has been silent, seconds.
        silent: u64,
        /// How long it must be silent, seconds.
        needed: u64,
    },
    /// A fence needs that every other node answers.
    SeveralMissing {
        /// Addresses of nodes that are listed and did not answer.
        addresses: Vec<IpAddr>,
    },
    /// The silent node is not the last master: another node was, and is not the master any more.
    NotTheLastMaster {
        /// Address of the silent node.
        address: IpAddr,
        /// The slot of the last master.
        master: String,
    },
    /// The master reports that it hears the silent member: the way from this function to it
    /// is broken, not the member.
    StillHeard {
        /// Address of the silent node.
        address: IpAddr,
    },
    /// The master did not report whether it hears the silent member, or hears no majority itself.
    MasterDoesNotSay {
        /// Address of the silent node.
        address: IpAddr,
    },
    /// Not every task could be listed: it is not known which other nodes are missing.
    MissingUnknown {
        /// Address of the silent node.
        address: IpAddr,
    },
    /// One fence per hold-off.
    HoldOff {
        /// Address of the silent node.
        address: IpAddr,
        /// The slot that was fenced last.
        fenced: String,
        /// Seconds until another node may be fenced.
        seconds: u64,
    },
    /// ECS was asked to stop its task a moment ago.
    FenceUnderWay {
        /// Address of the fenced node.
        address: IpAddr,
        /// Seconds since the first request.
        seconds: u64,
    },
    /// A fence was asked for, and ECS still does not report the task STOPPED.
    FenceFailed {
        /// The slot: the name of its ECS service.
        slot: String,
        /// ARN of the task.
        task: String,
        /// Seconds since the first request.
        seconds: u64,
        /// Whether ECS has accepted the call: it means to stop the task, and the host's agent does not do it.
        accepted: bool,
    },
    /// Another invocation acts.
    Leased {
        /// Owner of the lease: request id and a random part.
        owner: String,
    },
    /// Nothing is done until an operator resumes, or the pause ends by itself.
    Paused {
        /// The operator who asked for it.
        owner: String,
        /// Seconds that are left.
        seconds: u64,
    },
    /// A group without targets refuses every client.
    WouldEmpty {
        /// The group's port.
        port: u16,
        /// The address that stays although it is not ours.
        address: IpAddr,
    },
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoMajority { answered, needed } => {
                write!(f, "nothing is changed with {answered} answers where a majority is {needed}")
            }
            Self::Unconfirmed { address, rounds, needed } => {
                write!(
                    f,
                    "{address} is not followed before {needed} rounds in a row confirm it ({rounds} so far)"
                )
            }
            Self::Unbacked { address } => {
                write!(
                    f,
                    "{address} is not followed while the tasks are not listed completely and it does not report that it hears a majority"
                )
            }
            Self::NobodyToFollow => {
                f.write_str("no slave is made the write target because there is no master")
            }
            Self::SlaveOnlyClaims { address } => {
                write!(f, "{address} is not followed because it is a slave-only node")
            }
            Self::NoEvidence { claimants } => {
                write!(f, "none of {} is preferred without evidence", list(claimants))
            }
            Self::IncompleteListing { kept } => {
                write!(f, "{} stay registered because the tasks were not listed completely", list(kept))
            }
            Self::FencingOff { address } => {
                write!(f, "{address} is not fenced because FENCE_AFTER_SECONDS is 0")
            }
            Self::NotLongSilent { address, silent, needed } => {
                write!(f, "{address} is not fenced before it is silent for {needed} s ({silent} so far)")
            }
            Self::SeveralMissing { addresses } => {
                write!(f, "no node is fenced because more than one does not answer: {}", list(addresses))
            }
            Self::StillFollowed { address, slaves } => {
                write!(f, "{address} is not fenced because slaves still follow a master ({})", list(slaves))
            }
            Self::StillHeard { address } => {
                write!(f, "{address} is not fenced because the master hears it: only this function does not")
            }
            Self::MasterDoesNotSay { address } => {
                write!(f, "{address} is not fenced because the master does not report whether it hears it")
            }
            Self::NotTheLastMaster { address, master } => {
                write!(f, "{address} is not fenced because the last master was {master}")
            }
            Self::MissingUnknown { address } => {
                write!(f, "{address} is not fenced while the tasks are not listed completely")
            }
            Self::HoldOff { address, fenced, seconds } => {
                write!(f, "{address} is not fenced because {fenced} was a moment ago; {seconds} s are left")
            }
            Self::FenceUnderWay { address, seconds } => {
                write!(f, "{address} was fenced {seconds} s ago and is waited for")
            }
            Self::FenceFailed { slot, task, seconds, accepted: true } => {
                write!(
                    f,
                    "{slot} was fenced {seconds} s ago and ECS means to stop its task, but does not report it STOPPED: the host's \
                     agent is dead, so terminate the instance that runs task {task}"
                )
            }
            Self::FenceFailed { slot, task, seconds, accepted: false } => {
                write!(
                    f,
                    "the fence of {slot} was not accepted by ECS for {seconds} s: run aws ecs stop-task for task {task}"
                )
            }
            Self::Leased { owner } => write!(f, "invocation {owner} acts now"),
            Self::Paused { owner, seconds } => {
                write!(
                    f,
                    "{owner} paused it for {seconds} s more: invoke it with {{\"resume\":true}} to end that"
                )
            }
            Self::WouldEmpty { port, address } => {
                write!(f, "{address} stays registered for {port} because the group would be empty")
            }
        }
    }
}

pub(crate) fn list(addresses: &[IpAddr]) -> String {
    addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(" and ")
}
