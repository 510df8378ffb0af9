//! EventBridge: what nodes put and what ECS tells, matched against the emulator's rules and given to Lambda's queue.
//!
//! ```text
//! PutEvents ----.
//!               +--> rules of the bus --> functions --> queue
//! ECS changes --'
//! ```
//!
//! The emulator would do the first itself, but it drops an event whose function is throttled; it never sends the second.

use std::time::SystemTime;

use aws_sdk_elasticloadbalancingv2::primitives::{DateTime, DateTimeFormat};
use serde_json::{Value, json};
use tracing::warn;

use super::{deliveries::Deliveries, pattern};
use crate::{
    ecs::{Changes, api::Refusal},
    emulator::{Emulator, REGION},
    random::uuid,
};

/// Entries of one `PutEvents`.
const MOST_ENTRIES: usize = 10;
const DEFAULT_BUS: &str = "default";
const ACCOUNT: &str = "000000000000";

/// Delivers every change of a task until the cloud ends.
pub async fn deliver(deliveries: Deliveries, mut changes: Changes) {
    while let Some(detail) = changes.recv().await {
        let event = event("aws.ecs", "ECS Task State Change", &json!([detail["taskArn"]]), &detail);
        route(&deliveries, DEFAULT_BUS, &event).await;
    }
}

/// `PutEvents`: each entry is accepted or refused on its own, and the answer says so in the entries' order.
///
/// # Errors
/// When the request as a whole is refused.
pub async fn put(deliveries: &Deliveries, request: &Value) -> Result<Value, Refusal> {
    let entries = request["Entries"].as_array().map(Vec::as_slice).unwrap_or_default();
    if !(1..=MOST_ENTRIES).contains(&entries.len()) {
        let message = format!("Entries must have 1 to {MOST_ENTRIES} members, not {}", entries.len());
        return Err(Refusal::new("ValidationException", message));
    }
    let (mut results, mut failed) = (Vec::new(), 0);
    for entry in entries {
        results.push(match accept(entry) {
            Ok(event) => {
                let bus = entry["EventBusName"].as_str().unwrap_or(DEFAULT_BUS);
                route(deliveries, bus.rsplit("event-bus/").next().unwrap_or(bus), &event).await;
                json!({"EventId": event["id"]})
            }
            Err((code, message)) => {
                failed += 1;
                json!({"ErrorCode": code, "ErrorMessage": message})
            }
        });
    }
    Ok(json!({"FailedEntryCount": failed, "Entries": results}))
}

/// The event that an entry becomes, or the code and the sentence that refuse it.
fn accept(entry: &Value) -> Result<Value, (&'static str, String)> {
    let text = |name: &str| {
        let missing = || format!("Parameter {name} is not valid. Reason: {name} is a required argument.");
        entry[name].as_str().filter(|text| !text.is_empty()).ok_or_else(|| ("InvalidArgument", missing()))
    };
    let (source, kind, detail) = (text("Source")?, text("DetailType")?, text("Detail")?);
    if source.starts_with("aws.") {
        return Err(("NotAuthorizedForSourceException", "Not authorized for the source.".into()));
    }
    match serde_json::from_str::<Value>(detail) {
        Ok(detail @ Value::Object(_)) => {
            let resources = entry.get("Resources").cloned().unwrap_or_else(|| json!([]));
            Ok(event(source, kind, &resources, &detail))
        }
        _ => Err(("MalformedDetail", "Detail is malformed.".into())),
    }
}

/// The event as rules and targets see it.
fn event(source: &str, kind: &str, resources: &Value, detail: &Value) -> Value {
    let now = DateTime::from_secs(DateTime::from(SystemTime::now()).secs());
    json!({
        "version": "0",
        "id": uuid(),
        "detail-type": kind,
        "source": source,
        "account": ACCOUNT,
        "time": now.fmt(DateTimeFormat::DateTime).unwrap_or_default(),
        "region": REGION,
        "resources": resources,
        "detail": detail,
    })
}

/// Puts the event into the queue of each function whose rule it matches.
async fn route(deliveries: &Deliveries, bus: &str, event: &Value) {
    match targets(deliveries.emulator(), bus, event).await {
        Ok(invocations) => {
            invocations.into_iter().for_each(|(function, payload)| deliveries.put(&function, &payload));
        }
        Err(reason) => warn!(reason, bus, "an event is lost: the rules cannot be read"),
    }
}

/// `(function, payload)` of every target of the enabled rules of `bus` whose pattern the event matches.
async fn targets(emulator: Emulator, bus: &str, event: &Value) -> Result<Vec<(String, Value)>, String> {
    let call = async |action: &str, body: Value| {
        let answer = emulator.json("events", &format!("AWSEvents.{action}"), &body).await;
        answer.map_err(|error| error.to_string())
    };
    let rules = call("ListRules", json!({"EventBusName": bus})).await?;
    let mut invocations = Vec::new();
    for rule in rules["Rules"].as_array().into_iter().flatten() {
        let Some(text) = rule["EventPattern"].as_str().filter(|_| rule["State"] != "DISABLED") else {
            continue;
        };
        let matched = serde_json::from_str(text).map_err(|error| error.to_string());
        match matched.and_then(|read| pattern::matches(&read, event).map_err(|error| error.to_string())) {
            Ok(true) => {}
            Ok(false) => continue,
            Err(reason) => {
                warn!(rule = %rule["Name"], reason, "a rule hears nothing");
                continue;
            }
        }
        let found = call("ListTargetsByRule", json!({"Rule": rule["Name"], "EventBusName": bus})).await?;
        for target in found["Targets"].as_array().into_iter().flatten() {
            if let Some(function) = target["Arn"].as_str().and_then(|arn| arn.split(":function:").nth(1)) {
                invocations.push((function.to_owned(), payload(target, event)));
            } else {
                warn!(target = %target["Arn"], "only functions are targets in the local cloud");
            }
        }
    }
    Ok(invocations)
}

/// A target's constant `Input` takes the place of the event.
fn payload(target: &Value, event: &Value) -> Value {
    let constant = target["Input"].as_str().and_then(|text| serde_json::from_str(text).ok());
    constant.unwrap_or_else(|| event.clone())
}
