//! What one round saw.

use std::{collections::BTreeSet, net::IpAddr};

use serde::{Deserialize, Serialize};

use crate::{Answer, Millis};

/// What a node may become.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// May be elected master.
    Core,
    /// Votes, and is never master.
    SlaveOnly,
}

/// A RUNNING task of ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// The slot: the name of its ECS service. A node that returns with a new address is the same slot.
    pub slot: String,
    /// What it may become.
    pub kind: Kind,
    /// ARN of the task.
    pub task: String,
    /// Its address now.
    pub address: IpAddr,
}

/// A node and what it said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observation {
    /// Who was asked.
    pub node: Node,
    /// What it said.
    pub answer: Answer,
    /// How many members it says are alive, itself among them; asked only of those who claim to be the master when there
    /// are several, and none when it does not tell.
    pub alive: Option<usize>,
}

/// A target group and who is registered in it (draining ones are not).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// Its ARN.
    pub arn: String,
    /// Its port.
    pub port: u16,
    /// The registered addresses.
    pub targets: BTreeSet<IpAddr>,
}

/// One round.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct View {
    /// When the tasks were listed; a hot loop lists them less often than it probes.
    pub listed_at: Millis,
    /// Whether every service's tasks were listed and described; only then is absence evidence.
    pub complete: bool,
    /// Every RUNNING task of ours, with its answer.
    pub observations: Vec<Observation>,
    /// The write groups of all ports.
    pub groups: Vec<Group>,
    /// The read groups of all ports; none when readers have no endpoint of their own.
    pub readers: Vec<Group>,
}

impl View {
    /// The nodes that may be master and say they are.
    pub(crate) fn claimants(&self) -> Vec<&Node> {
        self.says_master(Kind::Core)
    }

    /// The nodes that can not be master and say they are.
    pub(crate) fn impostors(&self) -> Vec<&Node> {
        self.says_master(Kind::SlaveOnly)
    }

    /// How many members took part.
    pub(crate) fn answered(&self) -> usize {
        self.observations.iter().filter(|seen| seen.answer.took_part()).count()
    }

    fn says_master(&self, kind: Kind) -> Vec<&Node> {
        let claims = self.observations.iter().filter(|seen| seen.answer == Answer::Master);
        claims.map(|seen| &seen.node).filter(|node| node.kind == kind).collect()
    }
}
