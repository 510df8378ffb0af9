//! From a raw event to exactly one answer.

use std::{
    fmt,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use serde_json::Value;
use tokio::time::Instant;

use crate::{
    Answers, Data, Failure, HandOver, Resource, Unable,
    answer::Answer,
    continuation::Continuation,
    deliver::{Delivery, deliver},
    plan::Served,
    request::{Kind, Request},
    run::{Conclusion, Run},
};

/// The moment and the deadline of one invocation.
#[derive(Clone, Copy, Debug)]
pub struct Invocation {
    pub(crate) now: Duration,
    pub(crate) remaining: Duration,
}

impl Invocation {
    /// An invocation that begins now. `deadline_ms` is when Lambda ends it, in milliseconds since
    /// 1970, as Lambda reports it.
    pub fn until(deadline_ms: u64) -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self::at(now, Duration::from_millis(deadline_ms).saturating_sub(now))
    }

    /// An invocation that begins at `now` (since 1970) and ends after `remaining`; Lambda
    /// allows at most 15 minutes.
    pub fn at(now: Duration, remaining: Duration) -> Self {
        Self { now, remaining: remaining.min(Duration::from_secs(900)) }
    }

    /// The time from its beginning to its end.
    pub fn remaining(&self) -> Duration {
        self.remaining
    }
}

/// How the handling of an event ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Handled {
    /// CloudFormation accepted the answer.
    Answered {
        /// Whether the answer was a SUCCESS.
        success: bool,
        /// The physical id in the answer.
        physical_id: String,
    },
    /// A further invocation continues, and will answer.
    HandedOver,
    /// The event has no URL to answer to.
    NoResponseUrl,
    /// The answer was refused with this status: the URL has expired, or CloudFormation did not sign it.
    Refused(u16),
    /// Every try failed in a way that may pass: let the same event be delivered again.
    Undelivered,
}

impl fmt::Display for Handled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Answered { success: true, physical_id } => write!(f, "answered SUCCESS of {physical_id}"),
            Self::Answered { success: false, physical_id } => write!(f, "answered FAILED of {physical_id}"),
            Self::HandedOver => f.write_str("handed over to a further invocation"),
            Self::NoResponseUrl => f.write_str("not answered: there is no ResponseURL"),
            Self::Refused(status) => write!(f, "the answer was refused with status {status}"),
            Self::Undelivered => {
                f.write_str("the answer could not be delivered; the same event is worth another delivery")
            }
        }
    }
}

/// The protocol: pass it CloudFormation's events, and it answers them.
pub struct Protocol<A, H> {
    answers: A,
    hand_over: H,
    resources: Vec<Box<dyn Served>>,
}

impl<A: Answers, H: HandOver> Protocol<A, H> {
    /// A protocol that serves no resource yet.
    pub fn new(answers: A, hand_over: H) -> Self {
        Self { answers, hand_over, resources: Vec::new() }
    }

    /// Serves requests for [`Resource::TYPE`] too.
    #[must_use]
    pub fn with<R: Resource>(mut self, resource: R) -> Self {
        self.resources.push(Box::new(resource));
        self
    }

    /// Answers requests for [`Resource::TYPE`] although the function cannot do the work.
    #[must_use]
    pub fn without<R: Resource>(mut self, unable: &Unable) -> Self {
        self.resources.push(Box::new(unable.serving::<R>()));
        self
    }

    /// Handles one event: never an error, never a panic, and one answer unless there is no URL to send it to,
    /// or a further invocation will answer.
    pub async fn handle(&self, event: &Value, invocation: Invocation) -> Handled {
        let begun = Instant::now();
        let Some(request) = Request::lift(event) else {
            tracing::error!(
                event = "custom-resource-unanswerable",
                "the event has no ResponseURL that is an http(s) URL: nothing was done, and no answer can be sent"
            );
            return Handled::NoResponseUrl;
        };
        let conclusion = self.conclude(&request, begun, invocation).await;
        let Conclusion::Answer(answer) = conclusion else { return Handled::HandedOver };
        self.answer(&request, answer, begun + invocation.remaining).await
    }

    async fn answer(&self, request: &Request<'_>, answer: Answer, deadline: Instant) -> Handled {
        let (logical_id, request_id) = (&request.echo.logical_id, &request.echo.request_id);
        let success = answer.result.is_ok();
        if let Err(failure) = &answer.result {
            tracing::error!(event = "custom-resource-failed", logical_id, request_id, "{failure}");
        }
        let body = answer.body(&request.echo);
        match deliver(&self.answers, &request.url, body, deadline).await {
            Delivery::Taken => {
                let physical_id = answer.physical_id;
                tracing::info!(
                    event = "custom-resource-answered",
                    logical_id,
                    request_id,
                    physical_id,
                    success,
                    "CloudFormation has the answer"
                );
                Handled::Answered { success, physical_id }
            }
            Delivery::Refused(status) => Handled::Refused(status),
            Delivery::Lost => Handled::Undelivered,
        }
    }

    async fn conclude(&self, request: &Request<'_>, begun: Instant, invocation: Invocation) -> Conclusion {
        // The answer to a failure before anything was planned.
        let refused = |failure| {
            let sent = request.physical_id.filter(|_| !matches!(request.kind(), Ok(Kind::Create)));
            Conclusion::of(sent.map_or_else(|| request.not_created(), str::to_owned), Err(failure))
        };
        let kind = match request.kind() {
            Ok(kind) => kind,
            Err(failure) => return refused(failure),
        };
        if kind == Kind::Delete && request.physical_id == Some(request.not_created().as_str()) {
            return Conclusion::of(request.not_created(), Ok(Data::new()));
        }
        let Some(resource) =
            self.resources.iter().find(|served| served.resource_type() == request.resource_type)
        else {
            return refused(self.unserved(request));
        };
        let continuation = match Continuation::of(request.event) {
            Ok(continuation) => continuation,
            Err(failure) => return refused(failure),
        };
        let run = Run::new(request, kind, resource.as_ref(), begun, invocation, continuation);
        run.complete(&self.hand_over).await.unwrap_or_else(refused)
    }

    fn unserved(&self, request: &Request<'_>) -> Failure {
        let served: Vec<&str> = self.resources.iter().map(|resource| resource.resource_type()).collect();
        let asked: String = request.resource_type.chars().take(100).collect();
        Failure::new(format_args!(
            "ResourceType is {asked:?}, which this function does not serve (it serves {}); nothing was done. Give the resource \
             the ServiceToken of the function that does",
            served.join(", ")
        ))
    }
}
