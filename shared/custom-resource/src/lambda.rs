//! Serves custom resources as a whole Lambda function.

use std::collections::BTreeMap;

use lambda_runtime::{Context, Error, LambdaEvent, service_fn};
use serde_json::{Value, json, value::RawValue};

use crate::{Answers, HandOver, Handled, Invocation, Protocol, is_request};

impl From<&Context> for Invocation {
    fn from(context: &Context) -> Self {
        Self::until(context.deadline)
    }
}

/// Serves a function that receives only CloudFormation's requests, until the process ends.
///
/// # Errors
/// Errors of the Lambda runtime.
pub async fn serve<A: Answers, H: HandOver>(protocol: Protocol<A, H>) -> Result<(), Error> {
    let protocol = &protocol;
    // Raw: an event with one field that is not JSON for the parser would otherwise never be answered.
    let handle = async |event: LambdaEvent<Box<RawValue>>| {
        answer(protocol, &lenient(event.payload.get()), Invocation::from(&event.context)).await
    };
    lambda_runtime::run(service_fn(handle)).await
}

/// The same for a function that also receives other events: `other` handles those.
///
/// # Errors
/// Errors of the Lambda runtime.
pub async fn serve_beside<A: Answers, H: HandOver>(
    protocol: Protocol<A, H>,
    other: impl AsyncFn(Value, Invocation) -> Result<Value, Error>,
) -> Result<(), Error> {
    let (protocol, other) = (&protocol, &other);
    let handle = async |event: LambdaEvent<Box<RawValue>>| {
        let (payload, invocation) = (lenient(event.payload.get()), Invocation::from(&event.context));
        if is_request(&payload) {
            answer(protocol, &payload, invocation).await
        } else {
            other(payload, invocation).await
        }
    };
    lambda_runtime::run(service_fn(handle)).await
}

async fn answer<A: Answers, H: HandOver>(
    protocol: &Protocol<A, H>,
    request: &Value,
    invocation: Invocation,
) -> Result<Value, Error> {
    // Boxed: as one value the futures of several SDKs are too deep for the compiler.
    match Box::pin(protocol.handle(request, invocation)).await {
        // After such an end Lambda delivers the event again, and the work is idempotent.
        undelivered @ Handled::Undelivered => Err(undelivered.to_string().into()),
        handled => Ok(json!(handled.to_string())),
    }
}

/// A payload as JSON. If it cannot be read as a whole (nested deeper than the parser allows,
/// half a surrogate), each field is read by itself, and a malformed one is null: the others
/// still say where to answer.
pub fn lenient(payload: &str) -> Value {
    serde_json::from_str(payload).unwrap_or_else(|_| {
        let fields: BTreeMap<String, &RawValue> = serde_json::from_str(payload).unwrap_or_default();
        let read = |raw: &RawValue| serde_json::from_str(raw.get()).unwrap_or(Value::Null);
        fields.into_iter().map(|(name, raw)| (name, read(raw))).collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_unreadable_field_is_null() {
        let deep = format!("{}{}", "[".repeat(1000), "]".repeat(1000));
        for bad in [deep.as_str(), r#""\ud800""#] {
            let payload = format!(r#"{{"ResponseURL":"https://host/x","ResourceProperties":{{"A":{bad}}}}}"#);
            assert!(serde_json::from_str::<Value>(&payload).is_err());
            assert_eq!(
                lenient(&payload),
                json!({"ResponseURL": "https://host/x", "ResourceProperties": null})
            );
        }
        assert_eq!(lenient("[1]"), json!([1]));
        assert_eq!(lenient("nonsense"), json!({}));
    }
}
