//! Calls that shall fail: the edge of AWS is where such faults are injected, and nowhere else.

use std::sync::{Arc, Mutex};

use axum::response::{IntoResponse, Response};
use http::{StatusCode, header};
use serde::{Deserialize, Serialize};

/// The next `times` calls of `action` are answered with an error and not done.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Fault {
    /// Such as `elasticloadbalancing`.
    pub service: String,
    /// Such as `DeregisterTargets`.
    pub action: String,
    /// How often.
    pub times: u32,
    /// AWS's error code, such as `Throttling` or `AccessDenied`.
    pub code: String,
    /// HTTP status.
    pub status: u16,
}

/// The faults still to come. Clones are the same list.
#[derive(Clone, Debug, Default)]
pub struct Faults(Arc<Mutex<Vec<Fault>>>);

impl Faults {
    /// Adds one.
    pub fn inject(&self, fault: Fault) {
        self.0.lock().expect("no panic while faults are held").push(fault);
    }

    /// The fault of this call, if it shall fail.
    pub(super) fn next(&self, service: &str, action: &str) -> Option<Fault> {
        let mut faults = self.0.lock().expect("as above");
        faults.retain(|fault| fault.times > 0);
        let fault = faults.iter_mut().find(|fault| fault.service == service && fault.action == action)?;
        fault.times -= 1;
        Some(fault.clone())
    }
}

impl Fault {
    pub(super) fn response(&self, json: bool) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::BAD_REQUEST);
        let code = &self.code;
        let (kind, body) = if json {
            let body = serde_json::json!({"__type": code, "message": "injected"}).to_string();
            ("application/x-amz-json-1.1", body)
        } else {
            let error = format!("<Type>Sender</Type><Code>{code}</Code><Message>injected</Message>");
            (
                "text/xml",
                format!("<ErrorResponse><Error>{error}</Error><RequestId>0</RequestId></ErrorResponse>"),
            )
        };
        (status, [(header::CONTENT_TYPE, kind)], body).into_response()
    }
}
