//! Conditions of a cluster, and reasons not to act, each with one description.

use std::{fmt, net::IpAddr};

use serde::Serialize;

/// What a round found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
pub enum Verdict {
    /// The known master is the only one.
    Steady,
    /// Another node than the known master is the only one.
    NewMaster,
    /// A majority answered, and nobody is the master.
    NoMaster,
    /// The same, and the last master answers nothing while all others do: they wait for it.
    FrozenMaster,
    /// More than one node says that it is the master.
    DualMaster,
    /// Fewer than a majority answered.
    PartialView,
    /// Nobody answered.
    Blind,
    /// Somebody asked for nothing to be done for a while.
    Paused,
}

impl Verdict {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Steady,
        Self::NewMaster,
        Self::NoMaster,
        Self::FrozenMaster,
        Self::DualMaster,
        Self::PartialView,
        Self::Blind,
        Self::Paused,
    ];
}

impl Verdict {
    /// One line for people.
    pub fn description(self) -> &'static str {
        match self {
            Self::Steady => "the known master is the only one",
            Self::NewMaster => "another node than the known master is the only one that says it is",
            Self::NoMaster => "a majority answered, and nobody is the master",
            Self::FrozenMaster => {
                "nobody is the master, and the last one answers nothing while all others do"
            }
            Self::DualMaster => "more than one node says that it is the master",
            Self::PartialView => "fewer than a majority of the members answered",
            Self::Blind => "no member answered",
            Self::Paused => "somebody asked for nothing to be done for a while",
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// Why something was not done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "refusal", rename_all = "kebab-case")]
pub enum Refusal {
    /// Whoever sees a minority may be the one who is cut off.
    NoMajority {
        /// Members that took part.
        answered: usize,
        /// Members it takes.
        needed: usize,
    },
    /// One answer may be late or wrong.
    Unconfirmed {
        /// The claimant.
        address: IpAddr,
        /// Rounds in a row that it was the only claimant.
        rounds: u32,
        /// Rounds it takes; more when masters changed often lately.
        needed: u32,
    },
    /// A slave is never registered as a writer because there is no master.
    NobodyToFollow,
    /// A slave-only node can not be elected: its claim is a fault of its own.
    SlaveOnlyClaims {
        /// The node.
        address: IpAddr,
    },
    /// Two masters, and none of them is the one that was followed: list order decides nothing.
    NoEvidence {
        /// The claimants.
        claimants: Vec<IpAddr>,
    },
    /// Not every task could be listed, so absence proves nothing.
    IncompleteListing {
        /// Registered addresses that were not seen.
        kept: Vec<IpAddr>,
    },
    /// Fencing is switched off.
    FencingOff {
        /// The silent node.
        address: IpAddr,
    },
    /// A node is frozen only when it has been silent for long enough.
    NotLongSilent {
        /// The silent node.
        address: IpAddr,
        /// For how long, seconds.
        silent: u64,
        /// How long it takes, seconds.
        needed: u64,
    },
    /// With more than one node silent it is not one of them that is frozen.
    SeveralMissing {
        /// Core nodes that do not take part.
        addresses: Vec<IpAddr>,
    },
    /// The silent node is not the one that was followed: somebody else was the master, and is not any more.
    NotTheLastMaster {
        /// The silent node.
        address: IpAddr,
        /// The slot of the last master.
        master: String,
    },
    /// Not every task could be listed: who else is missing is not known.
    MissingUnknown {
        /// The silent node.
        address: IpAddr,
    },
    /// One fence per hold-off.
    HoldOff {
        /// The silent node.
        address: IpAddr,
        /// The slot that was fenced last.
        fenced: String,
        /// Seconds until another one may be.
        seconds: u64,
    },
    /// Its task was asked to stop a moment ago.
    FenceUnderWay {
        /// The node.
        address: IpAddr,
        /// Seconds since then.
        seconds: u64,
    },
    /// A fence was asked for, and the task still runs or nobody was elected.
    FenceFailed {
        /// The slot.
        slot: String,
        /// ARN of the task.
        task: String,
        /// Seconds since it was asked for.
        seconds: u64,
        /// The task is gone, and nobody was elected.
        gone: bool,
    },
    /// Another invocation acts.
    Leased {
        /// The invocation.
        owner: String,
    },
    /// Nothing is done until somebody resumes, or the pause ends by itself.
    Paused {
        /// Who asked for it.
        owner: String,
        /// Seconds that are left.
        seconds: u64,
    },
    /// A group without targets refuses everybody.
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
                write!(f, "nobody is fenced because more than one core node is missing: {}", list(addresses))
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
            Self::FenceFailed { slot, seconds, gone: true, .. } => {
                write!(
                    f,
                    "{slot} was fenced {seconds} s ago and is gone, and the others have elected nobody: see their logs"
                )
            }
            Self::FenceFailed { slot, task, seconds, gone: false } => {
                write!(f, "the fence of {slot} has had no effect for {seconds} s: stop task {task} by hand")
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
