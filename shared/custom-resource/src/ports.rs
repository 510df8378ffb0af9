//! What the protocol needs from its environment.

use std::time::Duration;

use serde_json::Value;

use crate::ResponseUrl;

/// The way to CloudFormation's answer URL.
pub trait Answers: Send + Sync {
    /// One PUT of `body` with an empty content type (the presigned URL is signed for that), and the status of
    /// its answer. Redirects are not followed, and the body of the answer is not needed.
    fn put(
        &self,
        url: &ResponseUrl,
        body: Vec<u8>,
        within: Duration,
    ) -> impl Future<Output = Result<u16, Broken>> + Send;
}

/// A PUT without a status. The answer may have arrived all the same; the same body may be sent again.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    /// No status in time.
    #[error("no answer in time")]
    TimedOut,
    /// No connection, or a broken one; the text does not contain the URL.
    #[error("{0}")]
    Connection(String),
}

/// The way to a further invocation of the same function.
pub trait HandOver: Send + Sync {
    /// Invokes it asynchronously with `event`, which contains the presigned URL and must not be logged. `Err`
    /// is a clause for the reader: which call was made, and why it was refused.
    fn invoke(&self, event: Value) -> impl Future<Output = Result<(), String>> + Send;
}

/// For resources that are never [`Unfinished`](crate::Outcome::Unfinished) for longer than one
/// invocation: it invokes nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct OneInvocation;

impl HandOver for OneInvocation {
    async fn invoke(&self, _event: Value) -> Result<(), String> {
        Err("this function does not continue in a further invocation".to_owned())
    }
}
