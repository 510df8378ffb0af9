//! Calls that fail: the edge of AWS is where such faults are injected, and nowhere else.

use std::{
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll},
};

use axum::{
    body::{Body, HttpBody},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use http::{StatusCode, header};
use hyper::body::Frame;
use serde::{Deserialize, Serialize};

use crate::ecs::Failure;

/// The next `times` calls of `action` fail.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Fault {
    /// Such as `elasticloadbalancing`.
    pub service: String,
    /// Such as `DeregisterTargets`; for S3 `GET`, `PUT` and so on.
    pub action: String,
    /// Only calls whose path holds this, such as an object's key; all when it is empty.
    #[serde(default)]
    pub path: String,
    /// How often.
    pub times: u32,
    /// What becomes of the call.
    #[serde(default)]
    pub how: How,
    /// AWS's error code, such as `Throttling` or `AccessDenied`, or the reason of a failure.
    #[serde(default)]
    pub code: String,
    /// HTTP status.
    #[serde(default)]
    pub status: u16,
    /// What the answer says; "injected" when it is empty.
    #[serde(default)]
    pub message: String,
}

/// What becomes of a call that fails.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum How {
    /// It is answered with `code` and `status`, and not done.
    #[default]
    Refused,
    /// It is done, and the connection ends before its answer: the caller cannot know.
    AnswerLost,
    /// `RunTask` starts no task, and is answered with 200 and one of `failures`: its reason is `code`, its detail `message`.
    Failure,
}

/// The faults still to come. Clones are the same list.
#[derive(Clone, Debug, Default)]
pub struct Faults(Arc<Mutex<Vec<Fault>>>);

impl Faults {
    /// Adds one.
    pub fn inject(&self, fault: Fault) {
        self.0.lock().expect("no panic while faults are held").push(fault);
    }

    /// The fault of this call, if it fails.
    pub(super) fn next(&self, service: &str, action: &str, path: &str) -> Option<Fault> {
        let mut faults = self.0.lock().expect("as above");
        faults.retain(|fault| fault.times > 0);
        let meant = |fault: &&mut Fault| {
            fault.service == service && fault.action == action && path.contains(&fault.path)
        };
        let fault = faults.iter_mut().find(meant)?;
        fault.times -= 1;
        Some(fault.clone())
    }
}

impl Fault {
    /// `action` of `service` is refused `times` times.
    pub fn refused(service: &str, action: &str, times: u32, code: &str, status: u16) -> Self {
        let (service, action, code) = (service.to_owned(), action.to_owned(), code.to_owned());
        Self { service, action, times, code, status, ..Self::default() }
    }

    /// `action` of `service` is done `times` times without an answer.
    pub fn answer_lost(service: &str, action: &str, times: u32) -> Self {
        let (service, action) = (service.to_owned(), action.to_owned());
        Self { service, action, times, how: How::AnswerLost, ..Self::default() }
    }

    /// `RunTask` starts no task `times` times, for a reason such as `Capacity is unavailable at this time`.
    pub fn no_task(times: u32, reason: &str) -> Self {
        let (service, action, code) = ("ecs".to_owned(), "RunTask".to_owned(), reason.to_owned());
        Self { service, action, times, how: How::Failure, code, ..Self::default() }
    }

    /// The failure that `RunTask` is answered with, if it is that.
    pub(super) fn failure(&self) -> Option<Failure> {
        (self.how == How::Failure)
            .then(|| Failure { reason: self.code.clone(), detail: self.message.clone() })
    }

    /// Only of calls whose path holds `path`.
    #[must_use]
    pub fn at(self, path: &str) -> Self {
        Self { path: path.to_owned(), ..self }
    }

    pub(super) fn response(&self, json: bool) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::BAD_REQUEST);
        let code = &self.code;
        let message = if self.message.is_empty() { "injected" } else { &self.message };
        if self.service == "lambda" {
            let body = serde_json::json!({"Type": "User", "message": message}).to_string();
            let kind = [("content-type", "application/json"), ("x-amzn-errortype", code.as_str())];
            return (status, kind, body).into_response();
        }
        let (kind, body) = if json {
            let body = serde_json::json!({"__type": code, "message": message}).to_string();
            ("application/x-amz-json-1.1", body)
        } else if self.service == "s3" {
            // Of the services that answer in XML, S3 is the one without an envelope.
            ("application/xml", format!("<Error><Code>{code}</Code><Message>{message}</Message></Error>"))
        } else {
            let error = format!("<Type>Sender</Type><Code>{code}</Code><Message>{message}</Message>");
            (
                "text/xml",
                format!("<ErrorResponse><Error>{error}</Error><RequestId>0</RequestId></ErrorResponse>"),
            )
        };
        (status, [(header::CONTENT_TYPE, kind)], body).into_response()
    }
}

/// An answer of which not a byte is sent: its body fails before the head is flushed, and the connection is closed.
pub(super) fn lost_answer() -> Response {
    Response::new(Body::new(Broken))
}

struct Broken;

impl HttpBody for Broken {
    type Data = Bytes;
    type Error = &'static str;

    fn poll_frame(
        self: Pin<&mut Self>,
        _context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, &'static str>>> {
        Poll::Ready(Some(Err("the answer is lost on purpose")))
    }
}
