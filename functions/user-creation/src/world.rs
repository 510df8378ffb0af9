//! What is needed from AWS: the seam at which tests have a cloud in memory. Neo4j is not behind it.

use std::net::IpAddr;

use aws::{Secret, Stage};
use neo4j::UserName;

use crate::{
    RequestId, Said,
    desired::{NotARecord, Record},
};

/// The cloud. The live one calls AWS.
pub trait World: Send + Sync + 'static {
    /// The nodes of every service, RUNNING or not.
    fn nodes(&self) -> impl Future<Output = Result<Vec<Node>, Trouble>> + Send;
    /// Whether the cluster is gone, or all its services are. Nodes without a running task are not gone: their
    /// files, with users in them, are there when the tasks are back.
    fn gone(&self) -> impl Future<Output = Result<bool, Trouble>> + Send;
    /// One version of a secret; `None` if absent.
    fn secret(&self, arn: &str, stage: Stage)
    -> impl Future<Output = Result<Option<Secret>, Trouble>> + Send;
    /// All records, and the malformed parameters below their path.
    fn records(&self) -> impl Future<Output = Result<Vec<Result<Record, NotARecord>>, Trouble>> + Send;
    /// The record of `user`; `None` if absent.
    fn record(&self, user: &UserName) -> impl Future<Output = Result<Option<Record>, Trouble>> + Send;
    /// Writes a record, whether one exists or not.
    fn write(&self, record: &Record) -> impl Future<Output = Result<(), Trouble>> + Send;
    /// Writes a record unless one exists; returns whether it was written.
    fn write_new(&self, record: &Record) -> impl Future<Output = Result<bool, Trouble>> + Send;
    /// Removes the record named `user`; one that is absent is not an error.
    fn forget(&self, user: &str) -> impl Future<Output = Result<(), Trouble>> + Send;
    /// What was answered to `request`; `None` if it was not concluded, or too long ago to be remembered.
    fn said(&self, request: &RequestId) -> impl Future<Output = Result<Option<Said>, Trouble>> + Send;
    /// Remembers the answer to `request`, unless one is remembered already. Returns the
    /// one that counts, the first.
    fn say(&self, request: &RequestId, said: &Said) -> impl Future<Output = Result<Said, Trouble>> + Send;
    /// All remembered requests: their names below their path, and their values.
    fn requests(&self) -> impl Future<Output = Result<Vec<(String, String)>, Trouble>> + Send;
    /// Removes a remembered request; one that is absent is not an error.
    fn forget_request(&self, name: &str) -> impl Future<Output = Result<(), Trouble>> + Send;
}

/// A slot of the cluster, and where its task answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// The name of its ECS service.
    pub slot: String,
    /// `None` while no task of the slot is RUNNING.
    pub address: Option<IpAddr>,
}

impl Node {
    /// `core-3 at 10.0.0.3`.
    pub fn place(&self) -> String {
        match self.address {
            Some(address) => format!("{} at {address}", self.slot),
            None => self.slot.clone(),
        }
    }
}

impl Trouble {
    /// Whether a retry may succeed in a moment, without a change by an operator.
    pub fn passes(&self) -> bool {
        match self {
            Self::Call(error) => error.kind.passes(),
            Self::Record(_) | Self::NoSecret { .. } | Self::NoPassword { .. } => false,
        }
    }
}

/// Why the function cannot do anything.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Trouble {
    #[error(transparent)]
    Call(#[from] aws::Error),
    #[error(transparent)]
    Record(#[from] NotARecord),
    #[error(
        "the secret {arn} is not there, or has no version AWSCURRENT: put a password into it, then try again"
    )]
    NoSecret {
        /// ARN of the secret.
        arn: String,
    },
    #[error(
        "the secret {arn} holds no password: {reason}; it must be the password as plain text, or a JSON object with a text \
         \"password\""
    )]
    NoPassword {
        /// ARN of the secret.
        arn: String,
        reason: aws::NoPassword,
    },
}
