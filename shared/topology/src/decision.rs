//! What follows from a round.

use crate::{Action, Memory, Refusal, State, Verdict};

/// The plan of a round: data, which the executor carries out without a choice of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// What was found.
    pub verdict: Verdict,
    /// What is to be done, registrations first.
    pub actions: Vec<Action>,
    /// What is not done, and why.
    pub refusals: Vec<Refusal>,
    /// One English sentence: log line and status at once.
    pub sentence: String,
    /// The state from now on. Its generation is raised when it must be written: write it before acting, and
    /// drop the plan when a concurrent write was faster.
    pub state: State,
    /// What the next round of this invocation needs.
    pub memory: Memory,
    /// Whether something is under way that the next sweep would be too late for.
    pub next: Next,
}

impl Decision {
    /// Whether the state has to be written before the actions are done.
    pub fn writes(&self, before: &State) -> bool {
        self.state.generation != before.generation
    }
}

/// What follows a round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Nothing until the next sweep or bell.
    Rest,
    /// Another round of this invocation.
    LookAgain,
}

impl Next {
    pub(crate) fn look_again_if(something_is_under_way: bool) -> Self {
        if something_is_under_way { Self::LookAgain } else { Self::Rest }
    }
}
