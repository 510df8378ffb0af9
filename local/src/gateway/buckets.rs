//! Denials of a bucket's policy, which the emulator keeps and does not enforce.
//!
//! Pages: `s3/conditional-writes-enforce` and `s3/security_iam_service-with-iam` of S3's user guide; `API/API_DeleteObjects`.

use axum::response::{IntoResponse, Response};
use http::{HeaderMap, Method, StatusCode, header};
use serde_json::Value;
use tracing::warn;

use super::{
    policy::{Act, denies},
    request::Parsed,
};
use crate::{
    emulator::Emulator,
    form::{Form, decode, decode_form},
};

/// Operations on a part of an object that no policy of this project is about.
const OTHERS: [&str; 4] = ["acl", "retention", "legal-hold", "annotation"];

/// 403 to a call that the policy of its bucket denies.
pub(super) async fn refuse(emulator: Emulator, parsed: &Parsed) -> Option<Response> {
    let (path, query) = parsed.path_and_query.split_once('?').unwrap_or((&parsed.path_and_query, ""));
    // A plus sign is a space in a query only.
    let path = decode(&path.trim_start_matches('/').replace('+', "%2B"));
    let (bucket, key) = path.split_once('/').unwrap_or((&path, ""));
    let query = decode_form(query.as_bytes());
    let many = key.is_empty() && parsed.method == Method::POST && query.contains_key("delete");
    let act = act(&parsed.method, &parsed.headers, bucket, key, &query);
    if bucket.is_empty() || (act.is_none() && !many) {
        return None;
    }
    let policy = emulator.get_object(&format!("{bucket}?policy")).await.ok()?;
    let policy: Value = serde_json::from_slice(&policy).ok()?;
    let denied = |act: &Act| {
        denies(&policy, act).unwrap_or_else(|error| {
            warn!(bucket, action = act.action, %error, "a denial has no effect");
            false
        })
    };
    if many {
        return refuse_many(bucket, &parsed.body, denied);
    }
    let act = act.filter(denied)?;
    Some(answer(StatusCode::FORBIDDEN, &error("AccessDenied", &sentence(&act), "")))
}

/// What a call does, if it is one of those that policies of this project deny.
fn act(method: &Method, headers: &HeaderMap, bucket: &str, key: &str, query: &Form) -> Option<Act> {
    let has = |name: &str| query.contains_key(name);
    let (action, creates) = match *method {
        _ if key.is_empty() || OTHERS.iter().any(|name| has(name)) => return None,
        Method::PUT if has("tagging") => ("s3:PutObjectTagging", None),
        Method::PUT => ("s3:PutObject", Some(!has("uploadId"))),
        Method::POST if has("uploads") => ("s3:PutObject", Some(false)),
        Method::POST if has("uploadId") => ("s3:PutObject", Some(true)),
        Method::DELETE if has("uploadId") => ("s3:AbortMultipartUpload", None),
        Method::DELETE if has("tagging") => ("s3:DeleteObjectTagging", None),
        Method::DELETE if has("versionId") => ("s3:DeleteObjectVersion", None),
        Method::DELETE => ("s3:DeleteObject", None),
        _ => return None,
    };
    let resource = format!("arn:aws:s3:::{bucket}/{key}");
    let (if_none_match, if_match) =
        (headers.contains_key(header::IF_NONE_MATCH), headers.contains_key(header::IF_MATCH));
    Some(Act { action, resource, if_none_match, if_match, creates })
}

/// `DeleteObjects` is answered with 200, and an error for each key that is denied.
fn refuse_many(bucket: &str, body: &[u8], denied: impl Fn(&Act) -> bool) -> Option<Response> {
    let text = String::from_utf8_lossy(body);
    let keys: Vec<&str> =
        text.split("<Key>").skip(1).filter_map(|rest| rest.split("</Key>").next()).collect();
    let errors: Vec<String> = keys
        .iter()
        .filter_map(|key| {
            let act = act(&Method::DELETE, &HeaderMap::new(), bucket, key, &Form::new())
                .filter(|act| denied(act))?;
            Some(error("AccessDenied", &sentence(&act), &format!("<Key>{key}</Key>")))
        })
        .collect();
    match errors.len() {
        0 => None,
        all if all == keys.len() => {
            Some(answer(StatusCode::OK, &format!("<DeleteResult>{}</DeleteResult>", errors.concat())))
        }
        _ => {
            let message =
                "The local cloud does not delete a part of the keys of one call: delete them one by one.";
            Some(answer(StatusCode::NOT_IMPLEMENTED, &error("NotImplemented", message, "")))
        }
    }
}

/// As AWS says it of an explicit denial.
fn sentence(act: &Act) -> String {
    let (action, resource) = (act.action, &act.resource);
    format!(
        "Not authorized to perform: {action} on resource: {resource} with an explicit deny in a resource-based policy"
    )
}

fn error(code: &str, message: &str, further: &str) -> String {
    format!("<Error>{further}<Code>{code}</Code><Message>{message}</Message></Error>")
}

fn answer(status: StatusCode, body: &str) -> Response {
    let body = format!(r#"<?xml version="1.0" encoding="UTF-8"?>{body}"#);
    (status, [(header::CONTENT_TYPE, "application/xml")], body).into_response()
}
