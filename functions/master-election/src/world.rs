//! What a round needs from outside: the seam between what is decided and how it is seen and done.

use std::time::Duration;

use topology::{Action, Answer, Decision, Group, Kind, Millis, Node, State, UnknownVersion};

/// The cloud, the nodes and the clock. The live one calls AWS and Neo4j; tests have one in memory.
#[allow(async_fn_in_trait)] // a function handles one event at a time, on one thread
pub trait World {
    /// The clock.
    fn now(&self) -> Millis;
    /// Waits.
    async fn pause(&self, time: Duration);
    /// Lists our RUNNING tasks.
    async fn list(&self) -> Listing;
    /// Asks all `nodes` at once, each with `deadline`; answers in their order. It ends early, after [`topology::GRACE`], when
    /// what was answered so far is `enough`.
    async fn probe(&self, nodes: &[Node], deadline: Duration, enough: Enough<'_>) -> Vec<Answer>;
    /// Asks one node, which claims to be the master beside another one, how many members it sees alive.
    async fn alive(&self, node: &Node) -> Option<usize>;
    /// Reads who is registered in every group.
    async fn groups(&self) -> Result<Registered, Trouble>;
    /// Reads the state.
    async fn load(&self) -> Result<(State, Version), Trouble>;
    /// Writes the state if it is still at `seen`.
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
    /// In the write groups.
    pub write: Vec<Group>,
    /// In the read groups.
    pub read: Vec<Group>,
}

/// Our RUNNING tasks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listing {
    /// The nodes that were found.
    pub nodes: Vec<Node>,
    /// Why others may be missing; empty when every service answered.
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
    /// Somebody else wrote since it was read.
    Lost,
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
    /// Others wrote the state each time.
    #[error("the state was written by others each time: try again")]
    Contended,
    /// The state is of another version.
    #[error(transparent)]
    Version(#[from] UnknownVersion),
}

impl Trouble {
    /// Whether trying again within this invocation is of no use.
    pub fn is_final(&self) -> bool {
        match self {
            Self::Call(error) => error.kind == aws::Kind::Denied,
            Self::NotAState { .. } | Self::Version(_) => true,
            Self::Contended => false,
        }
    }
}

impl Listing {
    /// Whether absence from it proves anything.
    pub fn complete(&self) -> bool {
        self.failures.is_empty()
    }

    /// Adds the RUNNING tasks of one slot.
    pub(crate) fn add(&mut self, slot: &str, kind: Kind, tasks: Vec<aws::Task>) {
        let running = tasks.into_iter().filter(|task| task.running);
        self.nodes.extend(running.filter_map(|task| {
            Some(Node { slot: slot.to_owned(), kind, address: task.address?, task: task.arn })
        }));
    }
}
