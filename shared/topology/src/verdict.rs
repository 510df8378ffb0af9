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
    /// More than one node says that it is the master.
    DualMaster,
    /// Fewer than a majority answered.
    PartialView,
    /// Nobody answered.
    Blind,
}

impl Verdict {
    /// One line for people.
    pub fn description(self) -> &'static str {
        match self {
            Self::Steady => "the known master is the only one",
            Self::NewMaster => "another node than the known master is the only one that says it is",
            Self::NoMaster => "a majority answered, and nobody is the master",
            Self::DualMaster => "more than one node says that it is the master",
            Self::PartialView => "fewer than a majority of the members answered",
            Self::Blind => "no member answered",
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
            Self::WouldEmpty { port, address } => {
                write!(f, "{address} stays registered for {port} because the group would be empty")
            }
        }
    }
}

pub(crate) fn list(addresses: &[IpAddr]) -> String {
    addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(" and ")
}
