//! What one invocation passes to the next one, in the event itself.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::Failure;

const FIELD: &str = "Continuation";

/// The field that is added to CloudFormation's own fields of the event.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Continuation {
    pub(crate) progress: Value,
    /// When the first invocation began, in milliseconds since 1970.
    started: u64,
    /// No call is made before this, in milliseconds since 1970.
    not_before: u64,
    pub(crate) waiting_for: String,
    /// Counts invocations; the first one, which has no continuation, is 1.
    number: u32,
    /// The id in a FAILED from now on: a Create may have made something in an earlier invocation, and an
    /// invocation that cannot plan any more (the function's environment has changed) cannot compute that id
    /// again. `None` if an earlier version wrote the continuation.
    #[serde(default)]
    pub(crate) physical_id: Option<String>,
}

impl Continuation {
    pub(crate) fn new(
        progress: Value,
        started: Duration,
        not_before: Duration,
        waiting_for: String,
        number: u32,
        physical_id: String,
    ) -> Self {
        let (started, not_before) = (millis(started), millis(not_before));
        Self { progress, started, not_before, waiting_for, number, physical_id: Some(physical_id) }
    }

    /// `None` in an event as CloudFormation sends it.
    pub(crate) fn of(event: &Value) -> Result<Option<Self>, Failure> {
        match event.get(FIELD) {
            None => Ok(None),
            Some(field) => Self::deserialize(field).map(Some).map_err(|_| {
                Failure::new(format_args!(
                    "the {FIELD} in the event is none that an earlier invocation wrote; nothing more was done"
                ))
            }),
        }
    }

    /// Since 1970, and never later than `now`: a clock that is wrong must not lengthen the wait.
    pub(crate) fn started(&self, now: Duration) -> Duration {
        Duration::from_millis(self.started).min(now)
    }

    pub(crate) fn not_before(&self) -> Duration {
        Duration::from_millis(self.not_before)
    }

    pub(crate) fn number(&self) -> u32 {
        self.number
    }

    /// `event` as the next invocation receives it.
    pub(crate) fn within(&self, event: &Value) -> Value {
        let mut event = event.clone();
        event[FIELD] = serde_json::to_value(self).expect("a struct of plain fields is always JSON");
        event
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
