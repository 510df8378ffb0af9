//! What is to be done, as data: the executor has no choices left.

use std::{fmt, net::IpAddr};

use serde::Serialize;

/// One call to AWS.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(tag = "call", rename_all = "kebab-case")]
pub enum Action {
    /// Put `address` into the group.
    Register {
        /// ARN of the target group.
        group: String,
        /// The group's port, which is the target's.
        port: u16,
        /// Address of the task.
        address: IpAddr,
    },
    /// Take `address` out of the group; its connections are terminated.
    Deregister {
        /// ARN of the target group.
        group: String,
        /// The group's port, which is the target's.
        port: u16,
        /// Address of the task.
        address: IpAddr,
    },
    /// Stop the task of a node that is frozen, so that the others can elect or go on.
    Fence {
        /// ARN of the task.
        task: String,
        /// The slot: the name of its ECS service.
        slot: String,
        /// Address of the task.
        address: IpAddr,
        /// The reason, for ECS's `stoppedReason`.
        reason: String,
    },
}

impl Action {
    /// The group that the call changes; `None` for a fence.
    pub fn group(&self) -> Option<&str> {
        match self {
            Self::Register { group, .. } | Self::Deregister { group, .. } => Some(group),
            Self::Fence { .. } => None,
        }
    }

    /// Address of the task that the call is about.
    pub fn address(&self) -> IpAddr {
        match self {
            Self::Register { address, .. }
            | Self::Deregister { address, .. }
            | Self::Fence { address, .. } => *address,
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Register { port, address, .. } => write!(f, "register {address} for {port}"),
            Self::Deregister { port, address, .. } => write!(f, "deregister {address} for {port}"),
            Self::Fence { slot, address, .. } => write!(f, "fence {slot} at {address}"),
        }
    }
}
