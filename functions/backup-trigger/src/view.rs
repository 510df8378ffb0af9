//! What one tick saw, beside the catalogue.

use aws::TaskEnd;
use topology::Pause;

use crate::Node;

/// One look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct View {
    /// The id that a run would have that is begun now: letters, digits and dashes, never used before.
    pub id: String,
    pub owner: Owner,
    /// What became of the task of the run that is under way, as it was before the bucket was listed; `None`
    /// without such a task, or when ECS did not say.
    pub task: Option<TaskEnd>,
    /// The task of a run whose ARN was never recorded.
    pub started: Started,
    /// The tasks of all slots, or why they are not known.
    pub nodes: Result<Vec<Node>, String>,
    /// The election's pause, or why it is not known.
    pub pause: Result<Option<Pause>, String>,
}

/// What ECS says about a run whose `RunTask` was not answered, or whose ARN was not recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Started {
    /// There is no such run, or ECS did not say.
    NotKnown,
    /// No task of it is meant to run.
    Nothing,
    /// This one, an ARN.
    Task(String),
}

/// Whose bucket it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Owner {
    /// This stack's, or no stack's yet.
    Ours,
    /// The stack with this id.
    Another(String),
}
