//! What a round needs from its environment: the seam between what is decided and how it is seen and done.

use std::{collections::BTreeSet, time::Duration};

use topology::{Action, Answer, Decision, Group, Millis, Node, State, UnknownVersion};

/// The cloud, the nodes and the clock. The live one calls AWS and Neo4j; tests have one in memory.
#[allow(async_fn_in_trait)] // a function handles one event at a time, on one thread
pub trait World {
    fn now(&self) -> Millis;
    async fn sleep(&self, time: Duration);
    /// Lists our running tasks, and describes the `remembered` ones (ARNs) with them.
    async fn list(&self, remembered: &[String]) -> Listing;
    /// Asks all `nodes` at once for their role, each with [`topology::PATIENCE`]; answers are in their order.
    /// Tasks in `unanswered` left a question unanswered before: Bolt is asked too. It ends early, after
    /// [`topology::GRACE`], when the answers so far are `enough`.
    async fn probe(&self, nodes: &[Node], unanswered: &BTreeSet<String>, enough: Enough<'_>) -> Vec<Answer>;
    /// Asks a node that says that it is the master for the server ids of the members that it hears.
    async fn alive(&self, node: &Node) -> Option<BTreeSet<u32>>;
    async fn groups(&self) -> Registered;
    /// Reads the state; the default state if the object is absent.
    ///
    /// # Errors
    /// When it cannot be read, or is malformed.
    async fn load(&self) -> Result<(State, Version), Trouble>;
    /// Writes the state if it is still at `seen`, in one try.
    ///
    /// # Errors
    /// When the answer is an error or is lost: then it is not known whether the state was written.
    async fn store(&self, state: &State, seen: &Version) -> Result<Stored, Trouble>;
    /// Called with each decision before it is executed. A hook for counters; does nothing by default.
    fn decided(&self, _decision: &Decision) {}
    async fn act(&self, action: &Action) -> Result<(), Trouble>;
}

/// Whether the answers so far, in the order of the nodes, are enough.
pub type Enough<'a> = &'a dyn Fn(&[Option<Answer>]) -> bool;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Registered {
    /// The write groups that could be read.
    pub write: Vec<Group>,
    /// The read groups that could be read.
    pub read: Vec<Group>,
    /// Why a write group could not be read; it is left alone.
    pub failures: Vec<aws::Error>,
    /// The same for read groups.
    pub reader_failures: Vec<aws::Error>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listing {
    /// Tasks that run, or are stopping and have not stopped.
    pub nodes: Vec<Node>,
    /// Remembered tasks that ECS reports STOPPED or MISSING.
    pub ended: BTreeSet<String>,
    /// Why tasks may be missing; empty when everything was listed and described.
    pub failures: Vec<aws::Error>,
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

/// Why a round cannot be finished.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Trouble {
    #[error(transparent)]
    Call(#[from] aws::Error),
    #[error("{object} is not a state ({reason}): delete it, and the master is found again from scratch")]
    NotAState {
        /// Bucket and key.
        object: String,
        reason: String,
    },
    #[error("concurrent invocations wrote the state each time: try again")]
    Contended,
    #[error("the time of this invocation is over and a call has not returned: the next one goes on")]
    OutOfTime,
    #[error(transparent)]
    Version(#[from] UnknownVersion),
}

impl Trouble {
    /// Whether a retry within this invocation cannot help.
    pub fn is_final(&self) -> bool {
        match self {
            Self::Call(error) => error.kind == aws::Kind::Denied,
            Self::NotAState { .. } | Self::Version(_) | Self::OutOfTime => true,
            Self::Contended => false,
        }
    }
}
