//! The envelope: everything in an event but its properties, each field read by itself so that a
//! malformed one hides no other.

use std::{fmt, time::Duration};

use serde_json::Value;

use crate::{
    Failure, ResponseUrl,
    answer::{Echo, LONGEST_ECHO, cut},
};

/// How long CloudFormation waits by default, which is also the most that it waits.
const SERVICE_TIMEOUT_SECONDS: u64 = 3600;

/// Whether an event comes from CloudFormation, for functions that receive other events too. An event that
/// lost a field still counts: it needs an answer that says so.
pub fn is_request(event: &Value) -> bool {
    let has = |name: &str| event.get(name).is_some();
    has("ResponseURL") || (has("RequestType") && has("StackId"))
}

/// One request.
pub(crate) struct Request<'a> {
    /// The whole event.
    pub(crate) event: &'a Value,
    pub(crate) url: ResponseUrl,
    pub(crate) echo: Echo,
    pub(crate) resource_type: &'a str,
    pub(crate) physical_id: Option<&'a str>,
    /// How long CloudFormation waits for the answer, from the first delivery on.
    pub(crate) service_timeout: Duration,
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Create,
    Update,
    Delete,
}

impl Kind {
    pub(crate) fn step(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Update => "update",
            Self::Delete => "delete",
        }
    }
}

impl<'a> Request<'a> {
    /// `None` without a URL to answer to.
    pub(crate) fn lift(event: &'a Value) -> Option<Self> {
        let text = |name| text(event, name);
        // An answer must repeat all three ids; a missing one cannot be repeated, and the Reason says so.
        let echoed = |name| cut(text(name).unwrap_or("unknown"), LONGEST_ECHO);
        Some(Self {
            event,
            url: ResponseUrl::read(text("ResponseURL")?)?,
            echo: Echo {
                stack_id: echoed("StackId"),
                request_id: echoed("RequestId"),
                logical_id: echoed("LogicalResourceId"),
            },
            resource_type: text("ResourceType").unwrap_or_default(),
            physical_id: text("PhysicalResourceId"),
            service_timeout: service_timeout(event),
        })
    }

    /// Create, Update or Delete, of an envelope in which no field is missing.
    pub(crate) fn kind(&self) -> Result<Kind, Failure> {
        for name in ["StackId", "RequestId", "LogicalResourceId", "ResourceType"] {
            if text(self.event, name).is_none() {
                return Err(Failure::new(format_args!("the request has no {name}; nothing was done")));
            }
        }
        let kind = match text(self.event, "RequestType") {
            Some("Create") => return Ok(Kind::Create),
            Some("Update") => Kind::Update,
            Some("Delete") => Kind::Delete,
            Some(other) => {
                let other: String = other.chars().take(100).collect();
                return Err(Failure::new(format_args!(
                    "RequestType is {other:?}, which is none of Create, Update, Delete; nothing was done"
                )));
            }
            None => return Err(Failure::new("the request has no RequestType; nothing was done")),
        };
        match self.physical_id {
            Some(_) => Ok(kind),
            None => Err(Failure::new("the request has no PhysicalResourceId; nothing was done")),
        }
    }

    /// The id in the answer to a Create that made nothing. The Delete that follows has
    /// this id, and is a no-op.
    pub(crate) fn not_created(&self) -> String {
        format!("{}-not-created", self.echo.logical_id)
    }
}

impl fmt::Debug for Request<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request").field("url", &self.url).field("echo", &self.echo).finish_non_exhaustive()
    }
}

fn text<'a>(event: &'a Value, name: &str) -> Option<&'a str> {
    event.get(name)?.as_str().filter(|text| !text.trim().is_empty())
}

/// CloudFormation refuses a template with a malformed value, so a malformed one here is read as the default.
fn service_timeout(event: &Value) -> Duration {
    let number = |value: &Value| match value {
        Value::String(text) => text.trim().parse().ok(),
        other => other.as_u64(),
    };
    let said = [
        event.get("ResourceProperties").and_then(|properties| properties.get("ServiceTimeout")),
        event.get("ServiceTimeout"),
    ];
    let seconds = said.into_iter().flatten().find_map(number).unwrap_or(SERVICE_TIMEOUT_SECONDS);
    Duration::from_secs(seconds.clamp(1, SERVICE_TIMEOUT_SECONDS))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_timeout_is_found_in_either_place_and_kept_within_cloudformations_limits() {
        let table = [
            (json!({}), 3600),
            (json!({"ResourceProperties": {"ServiceTimeout": "120"}}), 120),
            (json!({"ResourceProperties": {"ServiceTimeout": 5}, "ServiceTimeout": 9}), 5),
            (json!({"ServiceTimeout": 9}), 9),
            (json!({"ResourceProperties": {"ServiceTimeout": "soon"}, "ServiceTimeout": 9}), 9),
            (json!({"ServiceTimeout": 0}), 1),
            (json!({"ServiceTimeout": 99999}), 3600),
            (json!({"ServiceTimeout": -1}), 3600),
        ];
        for (event, seconds) in table {
            assert_eq!(service_timeout(&event), Duration::from_secs(seconds), "{event}");
        }
    }

    #[test]
    fn a_broken_field_hides_no_other() {
        let event = json!({"ResponseURL": "https://host/x?secret", "StackId": 3, "RequestId": "r",
            "LogicalResourceId": "L", "ResourceProperties": {"Password": "hunter2"}});
        let request = Request::lift(&event).unwrap();
        assert_eq!(
            request.echo,
            Echo { stack_id: "unknown".into(), request_id: "r".into(), logical_id: "L".into() }
        );
        assert_eq!(request.kind().unwrap_err().to_string(), "the request has no StackId; nothing was done");
        let printed = format!("{request:?}");
        assert!(!printed.contains("hunter2") && !printed.contains("secret"), "{printed}");
    }
}
