//! What a tick needs from its environment: the seam between what is decided and how it is seen and done.

use std::time::Duration;

use aws::TaskEnd;
use backups::{Listed, Time};
use topology::{Pause, UnknownVersion};

use crate::{
    Decision, Node,
    runs::{NotRuns, Run, Runs},
};

/// The cloud, the nodes and the clock. The live one calls AWS and Neo4j; tests have one in memory.
#[allow(async_fn_in_trait)] // a function handles one event at a time, on one thread
pub trait World {
    fn now(&self) -> Time;
    async fn sleep(&self, time: Duration);
    /// An id that was never used before, of letters, digits and dashes, at most 64.
    ///
    /// # Errors
    /// When the system has no random numbers.
    fn id(&self) -> Result<String, Trouble>;
    /// Reads the state; `None` if the object is absent.
    ///
    /// # Errors
    /// When it cannot be read, or is malformed.
    async fn load(&self) -> Result<(Option<Runs>, Version), Trouble>;
    /// Writes the state if it is still at `seen`, in one try.
    ///
    /// # Errors
    /// When the answer is an error or is lost: then it is not known whether the state was written.
    async fn store(&self, runs: &Runs, seen: &Version) -> Result<Stored, Trouble>;
    /// The id of the stack that owns the bucket; `None` if no stack has claimed it.
    ///
    /// # Errors
    /// When the owner object cannot be read, or is malformed.
    async fn owner(&self) -> Result<Option<String>, Trouble>;
    /// Claims the bucket for `stack` if no stack owns it. Whether it did, [`owner`](Self::owner) says.
    async fn claim(&self, stack: &str) -> Result<(), Trouble>;
    /// All objects of the backup bucket whose key starts with `prefix`.
    async fn list(&self, prefix: &str) -> Result<Vec<Listed>, aws::Error>;
    /// Reads these manifests, many at once, in their order; `None` for one that is gone. An error of one says
    /// nothing of the others.
    async fn manifests(&self, keys: &[String]) -> Vec<Result<Option<Vec<u8>>, aws::Error>>;
    /// The tasks of all slots, and what the node program of each that runs reports.
    async fn nodes(&self) -> Result<Vec<Node>, aws::Error>;
    /// The pause of the election; `None` if there is none.
    async fn pause(&self) -> Result<Option<Pause>, Trouble>;
    /// Starts the worker of a run, or finds the one that was started for it, and returns the task's ARN.
    ///
    /// # Errors
    /// When nothing was started, or, if the kind passes, when that is not known.
    async fn launch(&self, run: &Run) -> Result<String, aws::Error>;
    /// The task that was started for a run and is meant to run; `None` if there is none.
    async fn started(&self, run: &Run) -> Result<Option<String>, aws::Error>;
    async fn task(&self, arn: &str) -> Result<TaskEnd, aws::Error>;
    async fn stop(&self, arn: &str, reason: &str) -> Result<(), aws::Error>;
    /// Tags an object of the backup bucket as expired.
    async fn tag(&self, key: &str) -> Result<(), aws::Error>;
    /// Takes all tags off an object of the backup bucket.
    async fn untag(&self, key: &str) -> Result<(), aws::Error>;
    /// Called with each decision before it is written and executed. A hook for counters; does nothing by default.
    fn decided(&self, _decision: &Decision) {}
}

/// The version of the state that was read; `None` if the object was absent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Version(pub Option<String>);

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stored {
    /// It was written; this is its version now.
    Written(Version),
    /// The object is not the version that was read. S3 also answers so when the caller's own earlier try
    /// succeeded and its answer was lost: read the object before believing that the race is lost.
    Lost,
    /// Another conditional write is under way (409): retry.
    Busy,
}

/// Why a tick cannot be finished.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Trouble {
    #[error(transparent)]
    Call(#[from] aws::Error),
    #[error(
        "{object} is not a state of backups ({reason}): delete it, and a run that is under way is forgotten, so look first \
         whether a task of the backup family still runs"
    )]
    NotRuns {
        /// Bucket and key.
        object: String,
        reason: NotRuns,
    },
    #[error(
        "{object} does not name the stack that owns the bucket ({reason}), so nothing is begun, tagged or stopped: look whose \
         bucket it is, and delete the object if it is this stack's"
    )]
    NotAnOwner { object: String, reason: String },
    #[error("{object} is not a state of the election ({reason})")]
    NotAState { object: String, reason: String },
    #[error(transparent)]
    Version(#[from] UnknownVersion),
    #[error("concurrent ticks wrote the state each time: the next tick goes on")]
    Contended,
    #[error("the bucket was claimed and still has no owner: the next tick claims it again")]
    Unclaimed,
    #[error("the system has no random numbers: {0}")]
    NoId(String),
    #[error("the time of this invocation is over and a call has not returned: the next tick goes on")]
    OutOfTime,
}
