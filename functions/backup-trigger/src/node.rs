//! A node as a tick sees it: its task, and what its node program reports.

use std::{fmt, net::IpAddr};

use neo4j::{Status, phase};
use topology::{PATIENCE, Slot};

use crate::Unfit;

/// One task of a slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    pub slot: Slot,
    /// ARN of its task.
    pub task: String,
    /// ARN of the revision of its task definition.
    pub definition: String,
    pub address: Option<IpAddr>,
    pub subnet: Option<String>,
    pub running: bool,
    pub stopping: bool,
    /// What its node program reports; `None` if it did not answer, or was not asked.
    pub status: Option<Status>,
}

/// A role that a node is sure of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    Master,
    Slave,
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Master => "master",
            Self::Slave => "slave",
        })
    }
}

/// A node that runs and answers firmly.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Firm<'n> {
    pub node: &'n Node,
    pub address: IpAddr,
    pub role: Role,
    pub status: &'n Status,
}

impl Node {
    pub(crate) fn firm(&self) -> Result<Firm<'_>, Unfit> {
        if self.stopping {
            return Err(Unfit::Stopping);
        }
        let address = self.address.filter(|_| self.running).ok_or(Unfit::NotStarted)?;
        let status = self.status.as_ref().ok_or(Unfit::Silent)?;
        // The role is the last one that it reported, and may be old when its Neo4j is silent.
        let is_silent = u128::from(status.silent_ms) > PATIENCE.as_millis();
        let role = match status.role.as_str() {
            // A slave that is about to be started once more is in another phase, and has not joined.
            _ if is_silent || status.phase != phase::RUNNING => None,
            "master" => Some(Role::Master),
            "slave" => Some(Role::Slave),
            _ => None,
        };
        let not_firm = || {
            let role = if is_silent { "silent".to_owned() } else { status.role.clone() };
            Unfit::NotFirm { role, phase: status.phase.clone() }
        };
        Ok(Firm { node: self, address, role: role.ok_or_else(not_firm)?, status })
    }
}
