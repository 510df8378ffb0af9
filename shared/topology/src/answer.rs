//! What one node answered to the question for its role.

use serde::{Deserialize, Serialize};

/// The answer of one node to one probe.
///
/// Firm only on the two answers Neo4j gives when it is sure of its role; everything else is *not
/// known*, and its kind is kept because a node that is between roles, one that is down and one that is
/// frozen mean different things.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    /// `200 true`: it is the master (the leader, or the only node).
    Master,
    /// `404 false`: it is a slave (a follower).
    Slave,
    /// Anything else.
    #[serde(untagged)]
    NotKnown(NotKnown),
}

/// Why an answer is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NotKnown {
    /// It answered, within its dialect, that it has no role now: `404 UNKNOWN` in HA.
    Unsettled,
    /// The connection was refused or reset: nothing listens there.
    Refused,
    /// The role endpoint was silent for the whole patience, and Bolt was not: it answered, refused, or was
    /// not asked. A node whose HTTP workers are all taken looks like this, so it is evidence of nothing.
    Late,
    /// Neither the role endpoint nor Bolt answered, each asked with the whole patience. Only this
    /// is evidence for a fence.
    Silent,
    /// The round ended before it answered or its patience was over: evidence of nothing (see `enough`).
    NotAwaited,
    /// `401` or `403`: role endpoints ask for a password, or the node runs in another mode.
    Forbidden,
    /// A complete answer that no node of this dialect gives: HTML, a redirect, `5xx`, `200
    /// false`, a body over the bound.
    Unexpected,
}

impl Answer {
    /// Whether the node is sure of its role.
    pub fn is_firm(self) -> bool {
        matches!(self, Self::Master | Self::Slave)
    }

    /// Whether a Neo4j of this dialect took part in this round: firm, or between roles. Only these count
    /// towards a majority: a proxy's error page is not a voter.
    pub fn took_part(self) -> bool {
        self.is_firm() || self == Self::NotKnown(NotKnown::Unsettled)
    }

    /// Whether the role endpoint was asked with the whole patience and did not answer, whatever Bolt did.
    pub fn is_unanswered(self) -> bool {
        matches!(self, Self::NotKnown(NotKnown::Late | NotKnown::Silent))
    }
}
