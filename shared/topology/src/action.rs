//! What is to be done, as data: the executor has no choices left.

use std::{fmt, net::IpAddr};

use serde::Serialize;

/// One call on one target group.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(tag = "call", rename_all = "kebab-case")]
pub enum Action {
    /// Put `address` into the group.
    Register {
        /// ARN of the target group.
        group: String,
        /// The group's port, which is the target's.
        port: u16,
        /// The node.
        address: IpAddr,
    },
    /// Take `address` out of the group; its connections are terminated.
    Deregister {
        /// ARN of the target group.
        group: String,
        /// The group's port, which is the target's.
        port: u16,
        /// The node.
        address: IpAddr,
    },
}

impl Action {
    /// The group it changes.
    pub fn group(&self) -> &str {
        match self {
            Self::Register { group, .. } | Self::Deregister { group, .. } => group,
        }
    }

    /// The node it is about.
    pub fn address(&self) -> IpAddr {
        match self {
            Self::Register { address, .. } | Self::Deregister { address, .. } => *address,
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Register { port, address, .. } => write!(f, "register {address} for {port}"),
            Self::Deregister { port, address, .. } => write!(f, "deregister {address} for {port}"),
        }
    }
}
