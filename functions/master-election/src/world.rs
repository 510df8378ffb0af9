//! What a round needs from outside: the seam between what is decided and how it is seen and done.

use std::{collections::BTreeSet, time::Duration};

use topology::{Action, Answer, Decision, Group, Millis, Node, State, UnknownVersion};

/// The cloud, the nodes and the clock. The live one calls AWS and Neo4j; tests have one in memory.
#[allow(async_fn_in_trait)] // a function handles one event at a time, on one thread
pub trait World {
    /// The clock.
    fn now(&self) -> Millis;
    /// Waits.
    async fn pause(&self, time: Duration);
    /// Lists our tasks that run, and describes those that are `remembered` (ARNs) with them.
    async fn list(&self, remembered: &[String]) -> Listing;
    /// Asks all `nodes` at once for their role, each with [`topology::PATIENCE`]; answers in their order. Tasks that are
    /// `unanswered` left a question open before: Bolt is asked beside. It ends early, after [`topology::GRACE`], when what was
    /// answered so far is `enough`.
    async fn probe(&self, nodes: &[Node], unanswered: &BTreeSet<String>, enough: Enough<'_>) -> Vec<Answer>;
    /// Asks one node, which says that it is the master, for the server ids of the members that it hears.
    async fn alive(&self, node: &Node) -> Option<BTreeSet<u32>>;
    /// Reads who is registered in every group.
    async fn groups(&self) -> Registered;
    /// Reads the state.
    ///
    /// # Errors
    /// When it cannot be read, or is none.
    async fn load(&self) -> Result<(State, Version), Trouble>;
    /// Writes the state if it is still at `seen`, in one try.
    ///
    /// # Errors
    /// When the answer is an error or is lost: then it is not known whether it was written.
    async fn store(&self, state: &State, seen: &Version) -> Result<Stored, Trouble>;
    /// Is told of every decision before anything is done about it: for those who keep count.
    fn decided(&self, _decision: &Decision) {}
    /// Does one call.
    async fn act(&self, action: &Action) -> Result<(), Trouble>;
}

/// Whether what the nodes said so far, in their order, needs no more answers.
pub type Enough<'a> = &'a dyn Fn(&[Option<Answer>]) -> bool;

/// Who is registered where.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Registered {
    /// In the write groups that could be read.
    pub write: Vec<Group>,
    /// In the read groups that could be read.
    pub read: Vec<Group>,
    /// Why a write group could not be read; it is left alone.
    pub failures: Vec<aws::Error>,
    /// The same of read groups.
    pub reader_failures: Vec<aws::Error>,
}

/// Our tasks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listing {
    /// Those that run, or are stopping and have not stopped.
    pub nodes: Vec<Node>,
    /// The remembered ones that ECS reports STOPPED or MISSING.
    pub ended: BTreeSet<String>,
    /// Why others may be missing; empty when everything was listed and described.
    pub failures: Vec<aws::Error>,
}

/// The version of the state that was read: none when there was none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Version(pub Option<String>);

/// How a conditional write ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stored {
    /// Written; this is its version now.
    Written(Version),
    /// The object is another one than was read. S3 says so of one's own earlier try too, when its answer was lost: read before
    /// believing it.
    Lost,
    /// Another conditional write is under way (409): try again.
    Busy,
}

/// What keeps a round from being finished.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Trouble {
    /// An AWS call failed.
    #[error(transparent)]
    Call(#[from] aws::Error),
    /// The state is there and can not be read.
    #[error("{object} is not a state ({reason}): delete it, and the master is found afresh")]
    NotAState {
        /// Where it is.
        object: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Concurrent writes of the state, each time.
    #[error("concurrent invocations wrote the state each time: try again")]
    Contended,
    /// The invocation's time is over in the middle of a round.
    #[error("the time of this invocation is over and a call has not returned: the next one goes on")]
    OutOfTime,
    /// The state is of another version.
    #[error(transparent)]
    Version(#[from] UnknownVersion),
}

impl Trouble {
    /// Whether trying again within this invocation is of no use.
    pub fn is_final(&self) -> bool {
        match self {
            Self::Call(error) => error.kind == aws::Kind::Denied,
            Self::NotAState { .. } | Self::Version(_) | Self::OutOfTime => true,
            Self::Contended => false,
        }
    }
}
