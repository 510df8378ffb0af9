//! What is to be done, as data: the executor has no choices left.

use std::fmt;

use crate::runs::Run;

/// One call to AWS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Start the task of a run, with the id of its folder as token: also the second time, when it is not
    /// known what became of the first.
    Launch {
        run: Box<Run>,
        /// Whether a refusal means that there is no task: not when an earlier call may have started one.
        conclusive: bool,
    },
    /// Stop the task of a run whose deadline has passed.
    StopTask {
        /// ARN of the task.
        task: String,
        /// For ECS's `stoppedReason`.
        reason: String,
    },
    /// Tag an object as expired, unless an operator holds its folder by now.
    Tag { key: String },
    /// Take that tag off again: what was let go is kept by now, because an operator holds it or the policy keeps more.
    Untag { key: String },
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Launch { run, .. } => write!(f, "start a worker for {}", run.order.folder),
            Self::StopTask { task, .. } => write!(f, "stop the task {task}"),
            Self::Tag { key } => write!(f, "tag {key} as expired"),
            Self::Untag { key } => write!(f, "take the tag off {key}"),
        }
    }
}
