//! Lambda's `Invoke` for the type `Event`: accepted, and put into the queue.

use axum::response::{IntoResponse, Response};
use http::{Method, StatusCode, header};
use serde_json::{Value, json};

use super::{deliveries::Deliveries, request::Parsed};
use crate::{
    emulator::Error,
    form::{decode, decode_form},
};

/// Payloads of asynchronous invocations end at 1 MB.
const LONGEST_PAYLOAD: usize = 1 << 20;

/// A function as a request names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Function {
    /// Its name.
    pub name: String,
    /// A version or an alias.
    pub qualifier: Option<String>,
}

/// Reads `FunctionName`: a name, a partial ARN (`ACCOUNT:function:NAME`) or an ARN, each with or without a qualifier at its end.
pub fn function(text: &str) -> Option<Function> {
    let parts: Vec<&str> = text.split(':').collect();
    let rest = match parts[..] {
        ["arn", _, "lambda", _, _, "function", ref rest @ ..] | [_, "function", ref rest @ ..] => rest,
        ref name => name,
    };
    let (name, qualifier) = match *rest {
        [name] => (name, None),
        [name, qualifier] => (name, Some(qualifier.to_owned())),
        _ => return None,
    };
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_".contains(c);
    (!name.is_empty() && name.chars().all(plain)).then(|| Function { name: name.to_owned(), qualifier })
}

impl std::fmt::Display for Function {
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.qualifier {
            Some(qualifier) => write!(to, "{}:{qualifier}", self.name),
            None => write!(to, "{}", self.name),
        }
    }
}

/// 202 to an asynchronous invocation, whose event is in the queue then; the calls that are not one are the emulator's.
pub(super) async fn answer(deliveries: &Deliveries, parsed: &Parsed) -> Option<Response> {
    let (path, query) = parsed.path_and_query.split_once('?').unwrap_or((&parsed.path_and_query, ""));
    let named = path.strip_prefix("/2015-03-31/functions/")?.strip_suffix("/invocations")?;
    let kind = parsed.headers.get("x-amz-invocation-type").and_then(|kind| kind.to_str().ok());
    if parsed.method != Method::POST || kind != Some("Event") {
        return None;
    }
    Some(queue(deliveries, &decode(named), query, &parsed.body).await.unwrap_or_else(|refusal| refusal))
}

async fn queue(deliveries: &Deliveries, named: &str, query: &str, body: &[u8]) -> Result<Response, Response> {
    let invalid =
        |message: String| refusal(StatusCode::BAD_REQUEST, "InvalidParameterValueException", &message);
    let mut function =
        function(named).ok_or_else(|| invalid(format!("{named} does not name a function.")))?;
    if let Some(qualifier) = decode_form(query.as_bytes()).remove("Qualifier") {
        if function.qualifier.as_ref().is_some_and(|own| *own != qualifier) {
            return Err(invalid(
                "The derived qualifier from the function name does not match the specified qualifier.".into(),
            ));
        }
        function.qualifier = Some(qualifier);
    }
    if body.len() > LONGEST_PAYLOAD {
        let message = format!("{} byte payload is too large for the Event invocation type", body.len());
        return Err(refusal(StatusCode::PAYLOAD_TOO_LARGE, "RequestTooLargeException", &message));
    }
    let event: Value = if body.is_empty() {
        json!({})
    } else {
        serde_json::from_slice(body).map_err(|error| {
            let message = format!("Could not parse request body into json: {error}");
            refusal(StatusCode::BAD_REQUEST, "InvalidRequestContentException", &message)
        })?
    };
    let function = function.to_string();
    match deliveries.emulator().can_be_invoked(&function).await {
        Ok(()) => {}
        Err(Error::Refused { status: 404, .. }) => {
            let message = format!("Function not found: {function}");
            return Err(refusal(StatusCode::NOT_FOUND, "ResourceNotFoundException", &message));
        }
        Err(error) => {
            return Err(refusal(StatusCode::INTERNAL_SERVER_ERROR, "ServiceException", &error.to_string()));
        }
    }
    deliveries.put(&function, &event);
    Ok((StatusCode::ACCEPTED, [("x-amz-executed-version", "$LATEST")]).into_response())
}

fn refusal(status: StatusCode, code: &'static str, message: &str) -> Response {
    let body = json!({"Type": "User", "Message": message, "message": message}).to_string();
    (status, [(header::CONTENT_TYPE, "application/json"), (ERROR_TYPE, code)], body).into_response()
}

/// Where the SDKs find the code of an error of a REST service.
const ERROR_TYPE: http::HeaderName = http::HeaderName::from_static("x-amzn-errortype");
