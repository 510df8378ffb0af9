//! ECS task events, which the emulator does not send and nobody else may put: matched against its rules and delivered to
//! their functions the way EventBridge and Lambda's queue do.

use std::time::Duration;

use serde_json::{Value, json};
use tracing::warn;

use super::Gateway;
use crate::{ecs::Changes, emulator::REGION};

/// An asynchronous invocation that is throttled is tried again, from one second on, while the event is young.
const FIRST_RETRY: Duration = Duration::from_secs(1);
const TRIES: u32 = 5;

/// Delivers every change until the cloud ends.
pub async fn deliver(gateway: Gateway, mut changes: Changes) {
    let mut number = 0_u64;
    while let Some(detail) = changes.recv().await {
        number += 1;
        let event = event(number, &detail);
        match targets(&gateway, &event).await {
            Ok(functions) => {
                for function in functions {
                    tokio::spawn(invoke(gateway.clone(), function, event.clone()));
                }
            }
            Err(reason) => warn!(reason, "rules for ECS events cannot be read"),
        }
    }
}

fn event(number: u64, detail: &Value) -> Value {
    json!({
        "version": "0",
        "id": format!("00000000-0000-0000-0000-{number:012}"),
        "detail-type": "ECS Task State Change",
        "source": "aws.ecs",
        "account": "000000000000",
        "region": REGION,
        "resources": [detail["taskArn"]],
        "detail": detail,
    })
}

/// The functions of all rules whose pattern the event matches.
async fn targets(gateway: &Gateway, event: &Value) -> Result<Vec<String>, String> {
    let call = async |action: &str, body: Value| {
        let answer = gateway.emulator.json("events", &format!("AWSEvents.{action}"), &body).await;
        answer.map_err(|error| error.to_string())
    };
    let rules = call("ListRules", json!({})).await?;
    let mut functions = Vec::new();
    for rule in rules["Rules"].as_array().into_iter().flatten() {
        let pattern = rule["EventPattern"].as_str().and_then(|text| serde_json::from_str(text).ok());
        let enabled = rule["State"] != "DISABLED";
        if !enabled || !pattern.is_some_and(|pattern: Value| matches(&pattern, event)) {
            continue;
        }
        let targets = call("ListTargetsByRule", json!({"Rule": rule["Name"]})).await?;
        let arns =
            targets["Targets"].as_array().into_iter().flatten().filter_map(|target| target["Arn"].as_str());
        functions.extend(arns.filter_map(|arn| arn.split(":function:").nth(1)).map(str::to_owned));
    }
    Ok(functions)
}

/// EventBridge's exact matching: every field of the pattern is in the event, with one of the pattern's values.
fn matches(pattern: &Value, event: &Value) -> bool {
    match pattern {
        Value::Object(fields) => fields.iter().all(|(name, inner)| matches(inner, &event[name])),
        Value::Array(values) => values.contains(event),
        _ => false,
    }
}

async fn invoke(gateway: Gateway, function: String, event: Value) {
    let mut wait = FIRST_RETRY;
    for _try in 0..TRIES {
        match gateway.emulator.invoke_async(&function, &event).await {
            Ok(()) => return,
            Err(error) => warn!(function, %error, "an ECS event waits in the queue"),
        }
        tokio::time::sleep(wait).await;
        wait *= 2;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// eventbridge/eb-event-patterns: all fields of the pattern match, each by one of the listed values; fields that the
    /// pattern does not name do not matter.
    #[test]
    fn a_pattern_matches_by_every_field_it_names() {
        let event = event(1, &json!({"taskArn": "t", "clusterArn": "c", "lastStatus": "RUNNING"}));
        let matching = json!({"source": ["aws.ecs"], "detail": {"clusterArn": ["other", "c"]}});
        assert!(matches(&matching, &event));
        for other in [
            json!({"source": ["neo4j.node"]}),
            json!({"source": ["aws.ecs"], "detail": {"clusterArn": ["d"]}}),
            json!({"detail": {"absent": ["x"]}}),
        ] {
            assert!(!matches(&other, &event), "{other}");
        }
    }
}
