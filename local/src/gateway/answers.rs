//! The URL that a custom resource answers to: presigned for S3 on AWS, and taken by the emulator here.

use axum::response::{IntoResponse, Response};
use http::{Method, StatusCode, header};

use super::{deliveries::Deliveries, request::Parsed};

/// `launcher.py` makes the URLs, and kills what serves the event when the path ends so.
const ANSWERS: &str = "/_ministack/cfn-response/";
const AND_KILL: &str = "/kill";

fn is_answer(parsed: &Parsed) -> bool {
    parsed.method == Method::PUT && parsed.path_and_query.starts_with(ANSWERS)
}

/// S3 refuses a PUT with a content type that was not signed, and CloudFormation signs an empty one.
pub(super) fn refuse(parsed: &Parsed) -> Option<Response> {
    let kind = parsed.headers.get(header::CONTENT_TYPE);
    if !is_answer(parsed) || kind.is_none_or(|kind| kind.is_empty()) {
        return None;
    }
    let message = "The request signature we calculated does not match the signature you provided.";
    let body = format!("<Error><Code>SignatureDoesNotMatch</Code><Message>{message}</Message></Error>");
    Some((StatusCode::FORBIDDEN, [(header::CONTENT_TYPE, "application/xml")], body).into_response())
}

/// Marks an answer whose function is to be killed for it.
pub(super) fn mark(deliveries: &Deliveries, parsed: &mut Parsed) {
    if is_answer(parsed) && deliveries.is_to_be_killed(&parsed.path_and_query) {
        parsed.path_and_query.push_str(AND_KILL);
    }
}
