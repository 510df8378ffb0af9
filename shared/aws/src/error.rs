//! What an AWS call that failed means for an operator.

use std::fmt;

use aws_sdk_ecs::{
    config::http::HttpResponse,
    error::{DisplayErrorContext, ProvideErrorMetadata, SdkError},
};

/// A call that failed, after the SDK's own tries.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{call} on {what} failed: {reason}{hint}", hint = kind.hint())]
pub struct Error {
    /// The API call.
    pub call: &'static str,
    /// What it was about: a cluster, a target group, an object.
    pub what: String,
    /// AWS's code and message, or why there was no answer.
    pub reason: String,
    /// What kind of failure it is.
    pub kind: Kind,
}

/// What to do about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Trying again at once is of no use until somebody changes a policy.
    Denied,
    /// Too many calls: try again, more slowly.
    Throttled,
    /// Anything else: the next round tries again.
    Other,
}

impl Kind {
    fn hint(self) -> &'static str {
        match self {
            Self::Denied => " (compare the role's policy in template.yml with the one that is deployed)",
            Self::Throttled | Self::Other => "",
        }
    }
}

impl Error {
    /// Reads an SDK error.
    pub(crate) fn of<E>(
        call: &'static str,
        what: impl fmt::Display,
        error: &SdkError<E, HttpResponse>,
    ) -> Self
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
    {
        let code = error.code().unwrap_or_default();
        let kind = match code {
            "AccessDenied" | "AccessDeniedException" | "UnauthorizedOperation" => Kind::Denied,
            code if code.starts_with("Throttl") || code == "RequestLimitExceeded" || code == "SlowDown" => {
                Kind::Throttled
            }
            _ => Kind::Other,
        };
        let reason = match error.message() {
            Some(message) if !code.is_empty() => format!("{code}: {message}"),
            _ if !code.is_empty() => code.to_owned(),
            _ => match error.raw_response() {
                // Whoever answered is no AWS: its words are of no use, and may be anything.
                Some(raw) => format!("HTTP {} without an error code", raw.status().as_u16()),
                None => DisplayErrorContext(error).to_string(),
            },
        };
        Self { call, what: what.to_string(), reason, kind }
    }
}
