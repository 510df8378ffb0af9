//! What a resource knows about the invocation that it runs in.

use std::{
    fmt,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::time::Instant;

/// One call of a resource.
pub struct Call {
    /// The stack's ARN.
    pub stack_id: String,
    /// The stack's name, taken from the ARN.
    pub stack_name: String,
    /// The resource's name in the template.
    pub logical_id: String,
    /// CloudFormation's id of the request: the same in a repeated delivery and in every continuation.
    pub request_id: String,
    /// What the call before this one left; `None` in the first one.
    pub progress: Option<Value>,
    /// When the first call of this request began, since 1970.
    pub began: Duration,
    /// When this call began, since 1970. With `began` it says how long the request has been
    /// waiting, over all invocations.
    pub now: Duration,
    until: Instant,
    step: Mutex<String>,
}

impl Call {
    /// A call that ends at `until`.
    pub fn new(stack_id: &str, logical_id: &str, request_id: &str, until: Instant) -> Self {
        Self {
            stack_id: stack_id.to_owned(),
            stack_name: name_of(stack_id).to_owned(),
            logical_id: logical_id.to_owned(),
            request_id: request_id.to_owned(),
            progress: None,
            began: Duration::ZERO,
            now: Duration::ZERO,
            until,
            step: Mutex::new("begin".to_owned()),
        }
    }

    /// Names the current step, for `timed out at step "..."`. Everyone who can see the stack may see it.
    pub fn step(&self, name: impl Into<String>) {
        *self.step.lock().unwrap_or_else(PoisonError::into_inner) = name.into();
    }

    /// What the call before this one left; the default in the first call, and if it is malformed.
    pub fn left<T: DeserializeOwned + Default>(&self) -> T {
        self.progress.clone().and_then(|progress| serde_json::from_value(progress).ok()).unwrap_or_default()
    }

    /// How long the request has been worked on, all invocations together.
    pub fn waited(&self) -> Duration {
        self.now.saturating_sub(self.began)
    }

    /// The time until the guard answers in place of the resource. A resource that needs longer must return
    /// [`Unfinished`](crate::Outcome::Unfinished) before that.
    pub fn remaining(&self) -> Duration {
        self.until.saturating_duration_since(Instant::now())
    }

    pub(crate) fn step_under_way(&self) -> String {
        self.step.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl fmt::Debug for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call")
            .field("stack_name", &self.stack_name)
            .field("logical_id", &self.logical_id)
            .field("request_id", &self.request_id)
            .field("step", &self.step_under_way())
            .finish_non_exhaustive()
    }
}

/// The `NAME` of `arn:aws:cloudformation:REGION:ACCOUNT:stack/NAME/UUID`, or the whole id if it is malformed.
fn name_of(stack_id: &str) -> &str {
    stack_id.split_once(":stack/").map_or(stack_id, |(_, rest)| rest.split('/').next().unwrap_or(rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_is_in_the_arn() {
        let arn = "arn:aws:cloudformation:eu-west-1:123456789012:stack/graph/51af3dc0-da77-11e4";
        assert_eq!(name_of(arn), "graph");
        assert_eq!(name_of("whatever"), "whatever");
        assert_eq!(name_of(""), "");
    }
}
