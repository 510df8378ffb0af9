//! What the templates say, read as text and as data: what the emulator drops or does not feel is asserted here.

mod alarms;
mod backups;
mod data;
mod iam;
mod logs;
mod names;
mod network;
mod parameters;
mod restores;
mod slots;

use end_to_end::repository::{of_type, root, template, text};
use serde_json::Value;

const ALL: [&str; 11] = [
    "template.yml",
    "cluster/alarms.yml",
    "cluster/backups.yml",
    "cluster/balancer.yml",
    "cluster/late-alarms.yml",
    "cluster/logs.yml",
    "cluster/network.yml",
    "cluster/roles.yml",
    "cluster/slot.yml",
    "cluster/state.yml",
    "cluster/task.yml",
];

fn attribute<'a>(list: &'a Value, key: &str) -> &'a str {
    let pairs = list.as_array().unwrap();
    let pair = pairs.iter().find(|pair| pair["Key"] == *key);
    pair.unwrap_or_else(|| panic!("{key} is not set"))["Value"].as_str().unwrap()
}

/// What a condition puts in, or the part itself.
fn when_it_is_there(part: &Value) -> &Value {
    part.get("Fn::If").map_or(part, |choice| &choice[1])
}

/// `(where, statement)` of every statement that allows or denies, in policies of every kind.
fn statements() -> Vec<(String, Value)> {
    let mut found = Vec::new();
    for file in ALL {
        let main = template(file);
        for (name, resource) in main["Resources"].as_object().unwrap() {
            let properties = &resource["Properties"];
            let mut documents = vec![&properties["PolicyDocument"]];
            let policies = properties["Policies"].as_array().into_iter().flatten().map(when_it_is_there);
            documents.extend(policies.map(|policy| &policy["PolicyDocument"]));
            let statements = documents.into_iter().filter_map(|document| document["Statement"].as_array());
            let statements = statements.flatten().map(when_it_is_there);
            found.extend(statements.map(|statement| (format!("{file}: {name}"), statement.clone())));
        }
    }
    found
}

fn actions(statement: &Value) -> Vec<String> {
    let all = match &statement["Action"] {
        Value::Array(actions) => actions.clone(),
        one => vec![one.clone()],
    };
    all.iter().map(|action| action.as_str().unwrap().to_owned()).collect()
}
