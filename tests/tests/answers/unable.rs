//! No parameter keeps a custom resource from being answered: missing or nonsense, Create and Update are FAILED with its name, and a
//! Delete is SUCCESS when it has nothing to do.

use std::{collections::BTreeSet, process::Command, time::Duration};

use end_to_end::repository::template;
use serde_json::{Value, json};

use crate::{Bench, PATIENCE, binary, request, user, well_formed};

/// Of an answer that asks no one.
const AT_ONCE: Duration = Duration::from_secs(1);

struct Function {
    name: &'static str,
    /// In the template.
    logical_id: &'static str,
    /// Variables that must be set.
    needed: &'static [&'static str],
    /// Those of the template's that have a default, or are only used when a request asks for them.
    optional: &'static [&'static str],
    nonsense: &'static [(&'static str, &'static str)],
}

const FUNCTIONS: [Function; 2] = [
    Function {
        name: "user-creation",
        logical_id: "UserCreation",
        needed: &["DIALECT", "NEO4J_VERSION", "CLUSTER", "CORE_SERVICES", "STACK", "ADMIN_SECRET_ARN"],
        optional: &["AUTH_ENABLED"],
        nonsense: &[
            ("DIALECT", "ORACLE"),
            ("CORE_SERVICES", " , "),
            ("AUTH_ENABLED", "perhaps"),
            ("HTTP_PORT", "http"),
            ("BOLT_PORT", "99999"),
            ("AWS_LAMBDA_FUNCTION_NAME", ""),
        ],
    },
    Function {
        name: "snapshot-bootstrap",
        logical_id: "SnapshotBootstrap",
        needed: &[
            "DIALECT",
            "NEO4J_VERSION",
            "CLUSTER",
            "CORE_SERVICES",
            "STACK",
            "ADMIN_SECRET_ARN",
            "STATE_BUCKET",
        ],
        optional: &[],
        nonsense: &[
            ("DIALECT", "ORACLE"),
            ("CORE_SERVICES", " , "),
            ("NEO4J_VERSION", "latest"),
            ("HTTP_PORT", "http"),
            ("STATUS_PORT", "99999"),
            ("AWS_LAMBDA_FUNCTION_NAME", ""),
        ],
    },
];

/// `(type, id of one that exists, whether its Delete has something to do)`.
fn types(function: &str) -> &'static [(&'static str, &'static str, bool)] {
    match function {
        "user-creation" => &[
            ("Custom::Neo4jUser", "neo4j/app", true),
            ("Custom::Neo4jUserRecords", "neo4j-user-records", false),
        ],
        _ => &[
            ("Custom::SnapshotBootstrap", "neo4j-snapshot", false),
            ("Custom::RollCheck", "neo4j-roll", false),
            ("Custom::ClusterReady", "neo4j-ready", false),
        ],
    }
}

/// One answer, at once, to a request of type `kind` and `resource`.
async fn answer(bench: &Bench, kind: &str, resource: &str, id: Option<&str>, more: Option<Value>) -> Value {
    let mut event = request(kind, user());
    event["ResourceType"] = json!(resource);
    if let Some(id) = id {
        event["PhysicalResourceId"] = json!(id);
    }
    if let Some(continuation) = more {
        event["Continuation"] = continuation;
    }
    let puts = bench.answers(event, PATIENCE).await;
    assert_eq!(puts.len(), 1, "one answer, exactly:\n{}", bench.log());
    well_formed(&puts[0]);
    assert!(puts[0].took < AT_ONCE, "{:?}", puts[0].took);
    puts[0].json()
}

async fn is_answered(function: &Function, parameter: &str, value: Option<&str>) {
    let test = format!("unable-{}-{parameter}-{}", function.name, value.unwrap_or("missing").trim());
    let bench = Bench::with(function.name, &test, [], &[(parameter, value)]).await;
    let what = format!("{} with {parameter}={value:?}", function.name);
    let is_refused = |answer: &Value, id: &str| {
        assert_eq!(answer["Status"], "FAILED", "{what}: {answer}");
        assert_eq!(answer["PhysicalResourceId"], id, "{what}: {answer}");
        let reason = answer["Reason"].as_str().unwrap().to_owned();
        assert!(reason.starts_with(&format!("{parameter} is ")), "{what}: {reason}");
        reason
    };
    for (resource, id, needs_delete) in types(function.name) {
        let ask = |kind, id, more| answer(&bench, kind, resource, id, more);
        let reason = is_refused(&ask("Create", None, None).await, "AppUser-not-created");
        assert!(reason.contains("nothing was done"), "{reason}");
        is_refused(&ask("Update", Some(id), None).await, id);
        for nothing in ["AppUser-not-created", "neo4j-AppUser-1EXAMPLE"] {
            assert_eq!(ask("Delete", Some(nothing), None).await["Status"], "SUCCESS", "{what}: {nothing}");
        }
        let delete = ask("Delete", Some(id), None).await;
        if *needs_delete {
            let reason = is_refused(&delete, id);
            assert!(reason.contains("delete again") && reason.contains("retain"), "{reason}");
        } else {
            assert_eq!(delete["Status"], "SUCCESS", "{what}: {delete}");
        }
        // What an earlier invocation began, before the parameter was changed.
        let earlier = json!({"Progress": {"since": 1}, "Started": 0, "NotBefore": 0, "WaitingFor": "core-2", "Number": 2,
            "PhysicalId": id});
        is_refused(&ask("Create", None, Some(earlier)).await, id);
    }
    assert!(bench.aws.calls().is_empty(), "{what}: {:?}", bench.aws.calls());
    // What is not CloudFormation's: the schedule, a node that has joined.
    bench.function.invoke(json!({"source": "aws.scheduler"}), PATIENCE);
    let ended = bench.function.ended(PATIENCE).await.expect("the event is handled");
    if function.name == "user-creation" {
        let error = ended.result.expect_err("a reconcile without its parameters").to_string();
        assert!(error.contains(parameter), "{what}: {error}");
    }
    let log = bench.log();
    assert_eq!(log.matches("\"event\":\"custom-resource-unable\"").count(), 1, "once, at the start:\n{log}");
}

#[tokio::test]
async fn a_parameter_that_is_missing_is_the_reason_of_every_answer() {
    for function in &FUNCTIONS {
        for parameter in function.needed {
            is_answered(function, parameter, None).await;
        }
    }
}

#[tokio::test]
async fn a_parameter_that_is_nonsense_is_the_reason_of_every_answer() {
    for function in &FUNCTIONS {
        for (parameter, value) in function.nonsense {
            is_answered(function, parameter, Some(value)).await;
        }
    }
}

/// A variable that the template begins to set must be in the tables above.
#[test]
fn every_variable_that_the_template_sets_is_tried() {
    let template = template("template.yml");
    for function in &FUNCTIONS {
        let variables = &template["Resources"][function.logical_id]["Properties"]["Environment"]["Variables"];
        let set: BTreeSet<&str> = variables.as_object().unwrap().keys().map(String::as_str).collect();
        let known: BTreeSet<&str> = function.needed.iter().chain(function.optional).copied().collect();
        assert_eq!(set, known, "{}", function.name);
    }
}

/// Without roots there is nothing to answer with.
#[test]
fn without_root_certificates_a_function_ends_and_says_that_it_cannot_answer() {
    for function in &FUNCTIONS {
        let output = Command::new(binary(function.name))
            .env_clear()
            .env("SSL_CERT_FILE", "/nowhere/roots.pem")
            .output()
            .unwrap();
        let log = String::from_utf8(output.stdout).unwrap();
        assert!(!output.status.success(), "{}", function.name);
        assert!(log.contains("\"event\":\"init-failed\"") && log.contains("no answer can be sent"), "{log}");
    }
}
