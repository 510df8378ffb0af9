//! What the author of a custom resource implements.

use std::{collections::BTreeMap, fmt, time::Duration};

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::Call;

/// One type of custom resource. Everything in it must be idempotent: CloudFormation, Lambda and the hand-over
/// may each deliver the same request twice.
///
/// The futures must not block their thread: the guard that answers before Lambda ends the function is a timer
/// beside them. Tasks that they spawn run outside the guards, also outside the one against panics.
pub trait Resource: Send + Sync + 'static {
    /// The type of `ResourceProperties`, without `ServiceToken` and `ServiceTimeout`. CloudFormation sends
    /// every scalar as a string; numbers and booleans are read from strings all the same (see
    /// [`text`](crate::text) for the two cases in which serde needs an attribute).
    type Properties: DeserializeOwned + Send + Sync;

    /// The resource type in the template, such as `Custom::Bucket`.
    const TYPE: &'static str;

    /// Checks what a type cannot express; the sentence must name the property. Nothing has
    /// been made when this fails.
    fn validate(&self, properties: &Self::Properties) -> Result<(), Failure>;

    /// Stable, from what the resource *is*: never a log stream, never a secret. At most 1024 bytes. Another
    /// id on an Update is a replacement: then [`create`](Self::create) runs, and CloudFormation sends a
    /// Delete for the old id later.
    fn physical_id(&self, call: &Call, properties: &Self::Properties) -> String;

    /// Creates it, or continues from [`Call::progress`]. A Delete may arrive while a Create still runs in
    /// another invocation: the invocation that ends last must leave nothing behind.
    fn create(
        &self,
        call: &Call,
        properties: &Self::Properties,
    ) -> impl Future<Output = Result<Outcome, Failure>> + Send;

    /// Changes it: the physical id is the same, and a property changed. `old` is `None` if the old properties
    /// cannot be read. When a rename failed and is rolled back, `old` is what the failed replacement was to
    /// be: its physical id is not this one's.
    fn update(
        &self,
        call: &Call,
        properties: &Self::Properties,
        old: Option<&Self::Properties>,
    ) -> impl Future<Output = Result<Outcome, Failure>> + Send;

    /// Deletes it; deleting what does not exist succeeds. `properties` are not
    /// validated; `None` if unreadable.
    fn delete(
        &self,
        call: &Call,
        physical_id: &str,
        properties: Option<&Self::Properties>,
    ) -> impl Future<Output = Result<Outcome, Failure>> + Send;

    /// Whether this resource makes ids like `physical_id`. A Delete of any other id (CloudFormation invents
    /// one when a Create never answered) is a no-op.
    fn owns(&self, call: &Call, physical_id: &str) -> bool;

    /// Whether a Delete of `physical_id` has anything to do. This is asked without the resource itself, in a
    /// function that cannot work ([`Unable`](crate::Unable)): a Delete without anything to do is answered
    /// SUCCESS all the same, every other one FAILED, because what may exist must not be reported as gone.
    /// `true` is right for every type. A type whose Delete never does anything returns `false`; a type that
    /// recognises its ids by their form returns `false` for other ids.
    fn needs_delete(_physical_id: &str) -> bool {
        true
    }
}

/// How far the work came.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// It is complete, with the answer's attributes.
    Done(Data),
    /// Not complete: call again, in this invocation or, when its time is over, in a further one.
    Unfinished {
        /// What the next call finds in [`Call::progress`]; small, and without secrets.
        progress: Value,
        /// The pause before the next call.
        after: Duration,
        /// One clause for the sentence of a timeout, such as `core-2 says waiting-for-peers`.
        waiting_for: String,
    },
}

/// The attributes that a template reads with `Fn::GetAtt`.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Data {
    pub(crate) values: BTreeMap<String, String>,
    pub(crate) no_echo: bool,
}

impl Data {
    /// No attributes.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds one attribute.
    #[must_use]
    pub fn with(mut self, name: impl Into<String>, value: impl fmt::Display) -> Self {
        self.values.insert(name.into(), value.to_string());
        self
    }

    /// CloudFormation then masks them in its console and API (not in Outputs or Metadata of the template).
    #[must_use]
    pub fn no_echo(mut self) -> Self {
        self.no_echo = true;
        self
    }
}

impl fmt::Debug for Data {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.values.keys()).finish()
    }
}

/// Why it did not work: one sentence for the reader of the stack's events. It becomes the answer's Reason.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{sentence}")]
pub struct Failure {
    sentence: String,
    nothing_made: bool,
}

impl Failure {
    /// Something may have been made: CloudFormation sends a Delete after a failed Create, with the resource's
    /// own physical id, which undoes it.
    pub fn new(sentence: impl fmt::Display) -> Self {
        Self { sentence: sentence.to_string(), nothing_made: false }
    }

    /// Nothing was made, or what exists belongs to something else: the Delete that follows a failed Create
    /// must not reach the resource at all.
    #[must_use]
    pub fn nothing_made(self) -> Self {
        Self { nothing_made: true, ..self }
    }

    pub(crate) fn made_something(&self) -> bool {
        !self.nothing_made
    }
}
