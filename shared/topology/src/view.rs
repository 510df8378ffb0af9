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
    /// Votes, and can never become master.
    SlaveOnly,
}

/// A task of ours that runs: RUNNING, or on its way to STOPPED.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Node {
    /// The slot: the name of its ECS service. A node that returns with a new address is the same slot.
    pub slot: String,
    /// Whether it may be elected.
    pub kind: Kind,
    /// The slot's server id, by which the other members know it.
    pub id: u32,
    /// ARN of the task.
    pub task: String,
    /// Private address of the task.
    pub address: IpAddr,
    /// ECS was asked to stop it and does not report it STOPPED yet. It may still run, answer and be the
    /// master, for as long as its stop timeout, and on a host without an agent for ever.
    pub stopping: bool,
}

/// A node and what it said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observation {
    /// The node that was asked.
    pub node: Node,
    /// What it answered.
    pub answer: Answer,
    /// Server ids of the members that it reports alive, its own among them. Each claimant is asked when there
    /// are several or not all tasks could be listed, and the master is asked when another member is silent;
    /// `None` if the node was not asked or does not report them.
    pub alive: Option<BTreeSet<u32>>,
}

/// A target group and the addresses that are registered in it (draining ones are not).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// Its ARN.
    pub arn: String,
    /// Port of the group and of its targets.
    pub port: u16,
    /// The registered addresses.
    pub targets: BTreeSet<IpAddr>,
}

/// One round.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct View {
    /// When the tasks were listed; a hot loop lists them less often than it probes.
    pub listed_at: Millis,
    /// When the nodes were asked: a silence counts from here.
    pub asked_at: Millis,
    /// Whether all tasks were listed and described; only then is absence evidence.
    pub complete: bool,
    /// Every task of ours that runs, with its answer.
    pub observations: Vec<Observation>,
    /// Tasks known from before that ECS reports STOPPED or MISSING: they have ended.
    pub ended: BTreeSet<String>,
    /// Whether all write groups were read. A sweep of a cluster at rest does not read them, and one
    /// of them may be unreadable.
    pub read: bool,
    /// Whether all read groups were read, with the same exceptions.
    pub readers_read: bool,
    /// The write groups of all ports that could be read.
    pub groups: Vec<Group>,
    /// The read groups of all ports that could be read; empty when readers have no endpoint of their own.
    pub readers: Vec<Group>,
}

impl View {
    /// The nodes that may be master and say they are.
    pub(crate) fn claimants(&self) -> Vec<&Node> {
        self.says_master(Kind::Core)
    }

    /// The nodes that cannot be master and say they are.
    pub(crate) fn impostors(&self) -> Vec<&Node> {
        self.says_master(Kind::SlaveOnly)
    }

    /// How many core slots took part. A slot may have two tasks while one is replaced; it has one vote.
    pub(crate) fn answered(&self) -> usize {
        let core = self.observations.iter().filter(|seen| seen.node.kind == Kind::Core);
        core.filter(|seen| seen.answer.took_part()).map(|seen| &seen.node.slot).collect::<BTreeSet<_>>().len()
    }

    /// What the node of the task answered; `None` if the task is not listed.
    pub(crate) fn of(&self, task: &str) -> Option<&Observation> {
        self.observations.iter().find(|seen| seen.node.task == task)
    }

    /// Nodes that are listed as running and did not take part, slave-only ones too. A node that is
    /// stopping is not expected to.
    pub(crate) fn missing(&self) -> Vec<&Node> {
        let missing = self.observations.iter().filter(|seen| !seen.answer.took_part() && !seen.node.stopping);
        missing.map(|seen| &seen.node).collect()
    }

    /// Addresses of the nodes that say firmly that they are slaves.
    pub(crate) fn slaves(&self) -> Vec<IpAddr> {
        let slaves = self.observations.iter().filter(|seen| seen.answer == Answer::Slave);
        slaves.map(|seen| seen.node.address).collect()
    }

    fn says_master(&self, kind: Kind) -> Vec<&Node> {
        let claims = self.observations.iter().filter(|seen| seen.answer == Answer::Master);
        claims.map(|seen| &seen.node).filter(|node| node.kind == kind).collect()
    }
}
