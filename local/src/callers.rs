//! What invokes functions by itself: schedules and rules, as the services list them.

use serde_json::{Value, json};

use crate::emulator::Emulator;

/// A schedule or a rule with one function that it invokes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// The schedule's or the rule's name.
    pub name: String,
    /// The function's name.
    pub function: String,
    /// What a rule listens to; null for a schedule.
    pub pattern: Value,
    /// What a schedule sends in place of its own event; empty if nothing.
    pub input: String,
}

/// Every schedule and every rule of the default bus with a pattern, once for each function that it invokes.
///
/// # Errors
/// When they cannot be listed.
pub async fn all(emulator: Emulator) -> Result<Vec<Caller>, String> {
    let mut all = schedules(emulator).await?;
    all.extend(rules(emulator).await?);
    Ok(all)
}

async fn schedules(emulator: Emulator) -> Result<Vec<Caller>, String> {
    let listed = emulator.get("scheduler", "/schedules?MaxResults=100").await?;
    let mut schedules = Vec::new();
    for schedule in listed["Schedules"].as_array().into_iter().flatten() {
        let (name, group) = (text(&schedule["Name"]), text(&schedule["GroupName"]));
        let whole = emulator.get("scheduler", &format!("/schedules/{name}?groupName={group}")).await?;
        let (function, input) = (function(&whole["Target"]), text(&whole["Target"]["Input"]));
        schedules.push(Caller { name, function, pattern: Value::Null, input });
    }
    Ok(schedules)
}

async fn rules(emulator: Emulator) -> Result<Vec<Caller>, String> {
    let call = async |action: &str, body: Value| {
        let answer = emulator.json("events", &format!("AWSEvents.{action}"), &body).await;
        answer.map_err(|error| error.to_string())
    };
    let listed = call("ListRules", json!({"Limit": 100})).await?;
    let mut rules = Vec::new();
    for rule in listed["Rules"].as_array().into_iter().flatten() {
        let Some(pattern) = rule["EventPattern"].as_str().filter(|pattern| !pattern.is_empty()) else {
            continue;
        };
        let pattern: Value = serde_json::from_str(pattern).map_err(|error| error.to_string())?;
        let targets = call("ListTargetsByRule", json!({"Rule": rule["Name"]})).await?;
        for target in targets["Targets"].as_array().into_iter().flatten() {
            let (name, input) = (text(&rule["Name"]), text(&target["Input"]));
            rules.push(Caller { name, function: function(target), pattern: pattern.clone(), input });
        }
    }
    Ok(rules)
}

fn function(target: &Value) -> String {
    let arn = text(&target["Arn"]);
    arn.split(":function:").nth(1).unwrap_or(&arn).to_owned()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
