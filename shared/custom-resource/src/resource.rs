//! What the author of a custom resource writes.

use std::{collections::BTreeMap, fmt, time::Duration};

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::Call;

/// One type of custom resource. Everything in it is idempotent: CloudFormation, Lambda and the hand-over may each deliver
/// the same request twice.
///
/// The futures must not block their thread: the guard that answers before Lambda ends the function is a timer beside them.
/// What they spawn is outside the guards, against panics too.
pub trait Resource: Send + Sync + 'static {
    /// What `ResourceProperties` says, without `ServiceToken` and `ServiceTimeout`. CloudFormation sends every scalar as a
    /// string; numbers and booleans are read from strings all the same (see [`text`](crate::text) for the two cases in which
    /// serde needs to be told).
    type Properties: DeserializeOwned + Send + Sync;

    /// Such as `Custom::Bucket`.
    const TYPE: &'static str;

    /// What a type cannot say; the sentence names the property. Nothing has been made when this fails.
    fn validate(&self, properties: &Self::Properties) -> Result<(), Failure>;

    /// Stable, from what the resource *is*: never a log stream, never a secret. At most 1024 bytes. Another id on an Update
    /// is a replacement: then [`create`](Self::create) runs, and CloudFormation sends a Delete for the old id later.
    fn physical_id(&self, call: &Call, properties: &Self::Properties) -> String;

    /// Makes it, or goes on making it from [`Call::progress`]. A Delete may come while a Create still runs in another
    /// invocation: whoever ends last must leave nothing.
    fn create(
        &self,
        call: &Call,
        properties: &Self::Properties,
    ) -> impl Future<Output = Result<Outcome, Failure>> + Send;

    /// The same physical id, and something changed. `old` is none when the old properties cannot be read. When a rename
    /// failed and is rolled back, `old` is what the failed replacement was to be: its physical id is not this one's.
    fn update(
        &self,
        call: &Call,
        properties: &Self::Properties,
        old: Option<&Self::Properties>,
    ) -> impl Future<Output = Result<Outcome, Failure>> + Send;

    /// Removes it. Of what is not there: success. `properties` are not validated, and none when they cannot be read.
    fn delete(
        &self,
        call: &Call,
        physical_id: &str,
        properties: Option<&Self::Properties>,
    ) -> impl Future<Output = Result<Outcome, Failure>> + Send;

    /// Whether `physical_id` is one that this resource makes. Others (CloudFormation invents one when a Create never
    /// answered) are deleted by doing nothing.
    fn owns(&self, call: &Call, physical_id: &str) -> bool;

    /// Whether a Delete of `physical_id` has anything to do. It is asked without the resource itself, of a function that
    /// cannot work ([`Unable`](crate::Unable)): a Delete without anything to do is answered SUCCESS all the same, every other one
    /// FAILED, because what may exist must not be reported as gone. `true` is right for every type; a type whose Delete never does
    /// anything returns `false`, and one that tells its ids by their form returns `false` for the others.
    fn needs_delete(_physical_id: &str) -> bool {
        true
    }
}

/// How far it came.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// To the end, with the answer's attributes.
    Done(Data),
    /// Not yet: call again, in this invocation or, when its time runs out, in a further one.
    Unfinished {
        /// What the next call finds in [`Call::progress`]; small, and without secrets.
        progress: Value,
        /// The pause before it.
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
    /// None.
    pub fn new() -> Self {
        Self::default()
    }

    /// One more.
    #[must_use]
    pub fn with(mut self, name: impl Into<String>, value: impl fmt::Display) -> Self {
        self.values.insert(name.into(), value.to_string());
        self
    }

    /// CloudFormation masks them in its console and API (not in Outputs or Metadata of the template).
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

/// Why it did not work: one sentence for whoever reads the stack's events. It becomes the answer's Reason.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{sentence}")]
pub struct Failure {
    sentence: String,
    nothing_made: bool,
}

impl Failure {
    /// Something may have been made: the Delete that CloudFormation sends after a failed Create will come with the
    /// resource's own physical id, and undo it.
    pub fn new(sentence: impl fmt::Display) -> Self {
        Self { sentence: sentence.to_string(), nothing_made: false }
    }

    /// Nothing was made, or what is there belongs to somebody else: the Delete that follows a failed Create must not reach
    /// the resource at all.
    #[must_use]
    pub fn nothing_made(self) -> Self {
        Self { nothing_made: true, ..self }
    }

    pub(crate) fn made_something(&self) -> bool {
        !self.nothing_made
    }
}
