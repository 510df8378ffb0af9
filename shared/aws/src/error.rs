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
    pub call: &'static str,
    /// What it was about: a cluster, a target group, an object.
    pub what: String,
    /// AWS's code and message, or why there was no answer.
    pub reason: String,
    pub kind: Kind,
}

/// What to do about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A retry at once cannot help until an operator changes a policy.
    Denied,
    /// Too many calls: retry more slowly.
    Throttled,
    /// AWS did not answer, answered with a fault of its own (5xx), or gave an answer that the next call will
    /// not repeat: a retry may succeed in a moment.
    Passing,
    /// Anything else, such as a request that AWS calls invalid: the next round retries, and
    /// most likely fails again.
    Other,
}

impl Kind {
    /// Whether a retry may succeed in a moment, without a change by an operator.
    pub fn passes(self) -> bool {
        match self {
            Self::Throttled | Self::Passing => true,
            Self::Denied | Self::Other => false,
        }
    }

    fn hint(self) -> &'static str {
        match self {
            Self::Denied => {
                " (compare the role's policy in cluster/roles.yml, or cluster/task.yml of a node, with the one that is deployed)"
            }
            Self::Throttled | Self::Passing | Self::Other => "",
        }
    }
}

impl Error {
    pub(crate) fn of<E>(
        call: &'static str,
        what: impl fmt::Display,
        error: &SdkError<E, HttpResponse>,
    ) -> Self
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
    {
        let code = error.code().unwrap_or_default();
        let kind = kind_of(code, error);
        let reason = match error.message() {
            Some(message) if !code.is_empty() => format!("{code}: {message}"),
            _ if !code.is_empty() => code.to_owned(),
            _ => match error.raw_response() {
                // Not an AWS error document (a proxy, perhaps): the body is untrusted, so
                // only the status is reported.
                Some(raw) => format!("HTTP {} without an error code", raw.status().as_u16()),
                None => DisplayErrorContext(error).to_string(),
            },
        };
        Self { call, what: what.to_string(), reason, kind }
    }
}

fn kind_of<E>(code: &str, error: &SdkError<E, HttpResponse>) -> Kind {
    match (code, error) {
        ("AccessDenied" | "AccessDeniedException" | "UnauthorizedOperation", _) => Kind::Denied,
        // The Parameter Store: another write of the same parameter is under way.
        ("RequestLimitExceeded" | "SlowDown" | "TooManyRequestsException" | "TooManyUpdates", _) => {
            Kind::Throttled
        }
        (code, _) if code.starts_with("Throttl") => Kind::Throttled,
        // An answer that cannot be read was most likely cut off.
        (_, SdkError::TimeoutError(_) | SdkError::ResponseError(_)) => Kind::Passing,
        (_, SdkError::DispatchFailure(failure)) if !failure.is_user() => Kind::Passing,
        (_, SdkError::ServiceError(failed)) if failed.raw().status().is_server_error() => Kind::Passing,
        _ => Kind::Other,
    }
}

#[cfg(test)]
mod tests {
    use crate::{Inventory, Kind, fake::Fake};

    #[tokio::test]
    async fn what_passes_is_told_from_what_an_operator_must_change() {
        // An HTTP status and AWS's code; 0 is no answer at all.
        let table = [
            (400, "AccessDeniedException", Kind::Denied, false),
            (400, "ThrottlingException", Kind::Throttled, true),
            (400, "TooManyUpdates", Kind::Throttled, true),
            (500, "ServerException", Kind::Passing, true),
            (503, "", Kind::Passing, true),
            (400, "InvalidParameterException", Kind::Other, false),
            (0, "", Kind::Passing, true),
        ];
        for (status, code, kind, passes) in table {
            let body = if code.is_empty() { String::new() } else { format!(r#"{{"__type":"{code}"}}"#) };
            let fake = Fake::start(move |_, _| (status > 0).then(|| (status, body.clone()))).await;
            let error = Inventory::new(&fake.config, "c").look(&[]).await.unwrap_err();
            assert_eq!((error.kind, error.kind.passes()), (kind, passes), "{status} {code}: {error}");
        }
    }
}
