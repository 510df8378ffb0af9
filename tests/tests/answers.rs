//! The protocol of custom resources on the binaries that are shipped: each runs under a Runtime API, answers to a
//! loopback URL, and calls an AWS that says what the test wants. (What they do to real nodes is in cluster/.)

#[path = "answers/killed.rs"]
mod killed;
#[path = "answers/unable.rs"]
mod unable;

use std::{
    collections::BTreeMap,
    fs,
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Router,
    extract::State,
    http::{HeaderMap, StatusCode, Uri},
    response::{IntoResponse, Response},
};
use local::{
    layout::Layout,
    runtime_api::{Function, Put},
};
use serde_json::{Value, json};

/// Far above what any answer takes.
const PATIENCE: Duration = Duration::from_secs(30);
/// What CloudFormation takes at most.
const LONGEST: usize = 4096;

/// What AWS says to a call: a status and a body, or nothing at all.
type Reply = Option<(u16, Value)>;

/// AWS at its edge: replies by action (the last part of the target), 500 to everything else.
#[derive(Clone, Default)]
struct Aws(Arc<Mutex<Edge>>);

#[derive(Default)]
struct Edge {
    replies: BTreeMap<&'static str, Reply>,
    calls: Vec<String>,
}

impl Aws {
    async fn start(replies: impl IntoIterator<Item = (&'static str, Reply)>) -> (Self, SocketAddr) {
        let aws = Self::default();
        aws.0.lock().unwrap().replies = replies.into_iter().collect();
        let routes = Router::new().fallback(reply).with_state(aws.clone());
        let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let at = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, routes).await });
        (aws, at)
    }

    fn calls(&self) -> Vec<String> {
        self.0.lock().unwrap().calls.clone()
    }
}

async fn reply(State(aws): State<Aws>, uri: Uri, headers: HeaderMap) -> Response {
    let target = headers.get("x-amz-target").and_then(|target| target.to_str().ok());
    let action = target.map_or(uri.path(), |target| target.rsplit('.').next().unwrap_or(target)).to_owned();
    let reply = {
        let mut edge = aws.0.lock().unwrap();
        edge.calls.push(action.clone());
        edge.replies.get(action.as_str()).cloned()
    };
    match reply {
        Some(Some((status, body))) => (
            StatusCode::from_u16(status).unwrap(),
            [("content-type", "application/x-amz-json-1.1")],
            body.to_string(),
        )
            .into_response(),
        Some(None) => std::future::pending().await,
        None => (StatusCode::INTERNAL_SERVER_ERROR, "{}").into_response(),
    }
}

fn binary(name: &str) -> PathBuf {
    let binary = Layout::find("answers").unwrap().binary(name);
    assert!(binary.exists(), "{}: run `make release`", binary.display());
    binary
}

/// What the template sets, for both functions.
fn environment(endpoint: &str) -> Vec<(&str, &str)> {
    let own = [
        ("AWS_ENDPOINT_URL", endpoint),
        ("STACK", "neo4j"),
        ("ADMIN_SECRET_ARN", "arn:aws:secretsmanager:us-east-1:000000000000:secret:neo4j/admin-AbCdEf"),
        ("STATE_BUCKET", "state"),
    ];
    runtime::example::CLUSTER.into_iter().filter(|(name, _)| *name != "STACK").chain(own).collect()
}

struct Bench {
    function: Function,
    aws: Aws,
    log: PathBuf,
}

impl Bench {
    /// The shipped binary `name`.
    async fn of(
        name: &'static str,
        test: &str,
        replies: impl IntoIterator<Item = (&'static str, Reply)>,
    ) -> Self {
        Self::with(name, test, replies, &[]).await
    }

    /// The same with `changed` variables; `None` is one that is not set.
    async fn with(
        name: &'static str,
        test: &str,
        replies: impl IntoIterator<Item = (&'static str, Reply)>,
        changed: &[(&str, Option<&str>)],
    ) -> Self {
        let (aws, at) = Aws::start(replies).await;
        let log = std::env::temp_dir().join(format!("answers-{}-{test}.log", std::process::id()));
        let endpoint = format!("http://{at}");
        let mut environment = environment(&endpoint);
        for (name, value) in changed {
            environment.retain(|(set, _)| set != name);
            environment.extend(value.map(|value| (*name, value)));
        }
        let function = Function::start(&binary(name), &environment, &log).await.unwrap();
        Self { function, aws, log }
    }

    /// Hands out `event`, answered to this test's URL, with `time` left, and returns every PUT it caused.
    async fn answers(&self, mut event: Value, time: Duration) -> Vec<Put> {
        event["ResponseURL"] = self.function.answer_url().into();
        self.handle(event, time).await
    }

    async fn handle(&self, event: Value, time: Duration) -> Vec<Put> {
        self.function.invoke(event, time);
        let ended = self.function.ended(PATIENCE).await;
        assert!(ended.is_some(), "the function did not end:\n{}", self.log());
        self.function.puts()
    }

    async fn answer(&self, event: Value) -> Value {
        let puts = self.answers(event, PATIENCE).await;
        assert_eq!(puts.len(), 1, "one answer, exactly:\n{}", self.log());
        well_formed(&puts[0]);
        puts[0].json()
    }

    fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        let _absent = fs::remove_file(&self.log);
    }
}

fn well_formed(put: &Put) {
    let answer = put.json();
    assert!(put.body.len() <= LONGEST, "{} bytes", put.body.len());
    assert!(put.content_type.as_deref().is_none_or(str::is_empty), "{:?}", put.content_type);
    for field in ["Status", "PhysicalResourceId", "StackId", "RequestId", "LogicalResourceId"] {
        assert!(answer[field].as_str().is_some_and(|text| !text.is_empty()), "{field}: {answer}");
    }
    if answer["Status"] == "FAILED" {
        assert!(answer["Reason"].as_str().is_some_and(|text| !text.is_empty()), "{answer}");
    }
}

/// A request as CloudFormation sends it.
#[allow(clippy::needless_pass_by_value)] // as every caller has it
fn request(kind: &str, properties: Value) -> Value {
    json!({
        "RequestType": kind,
        "RequestId": "5a8d3bd6-9f60-4f1a-8f4b-0d4d0f3f0a11",
        "StackId": "arn:aws:cloudformation:us-east-1:000000000000:stack/neo4j/6f2a",
        "ResourceType": "Custom::Neo4jUser",
        "LogicalResourceId": "AppUser",
        "ResourceProperties": properties,
    })
}

fn user() -> Value {
    json!({
        "ServiceToken": "arn:aws:lambda:us-east-1:000000000000:function:neo4j-user-creation",
        "Username": "app",
        "Role": "reader",
        "PasswordSecretArn": "arn:aws:secretsmanager:us-east-1:000000000000:secret:neo4j/users/app-AbCdEf",
    })
}

fn without(mut properties: Value, name: &str) -> Value {
    properties.as_object_mut().unwrap().remove(name);
    properties
}

fn with(mut properties: Value, name: &str, value: Value) -> Value {
    properties[name] = value;
    properties
}

#[tokio::test]
async fn fault_1_2_14_15_bad_properties_are_one_sentence_that_names_them() {
    let bench = Bench::of("user-creation", "bad", []).await;
    let table = [
        (without(user(), "Username"), "Username"),
        (without(user(), "PasswordSecretArn"), "PasswordSecretArn"),
        (with(user(), "Role", json!("root")), "Role"),
        (with(user(), "Username", json!("neo4j")), "Username"),
        (with(user(), "Username", json!("x`) DETACH DELETE (n")), "Username"),
        (with(user(), "Suspended", json!("perhaps")), "Suspended"),
        (with(user(), "Username", json!({"nested": ["x"]})), "Username"),
        (json!(null), "ResourceProperties"),
    ];
    for (properties, named) in table {
        let puts = bench.answers(request("Create", properties), PATIENCE).await;
        assert_eq!(puts.len(), 1, "{named}");
        well_formed(&puts[0]);
        let answer = puts[0].json();
        assert_eq!(answer["Status"], "FAILED", "{answer}");
        assert!(answer["Reason"].as_str().unwrap().contains(named), "{named}: {answer}");
        assert!(puts[0].took < Duration::from_secs(1), "{named}: {:?}", puts[0].took);
    }
    let answer = bench.answer(request("Replace", user())).await;
    assert!(
        answer["Status"] == "FAILED" && answer["Reason"].as_str().unwrap().contains("Replace"),
        "{answer}"
    );
    let mut other = request("Create", user());
    other["ResourceType"] = json!("Custom::Neo4jIndex");
    let answer = bench.answer(other).await;
    assert!(answer["Reason"].as_str().unwrap().contains("Custom::Neo4jIndex"), "{answer}");
    assert!(bench.aws.calls().is_empty(), "nothing was called: {:?}", bench.aws.calls());
}

#[tokio::test]
async fn fault_4_the_answer_comes_before_lambda_ends_the_function() {
    // AWS accepts every connection and says nothing.
    let silent = ["GetSecretValue", "PutParameter", "GetParameter", "GetParametersByPath", "ListTasks"];
    let bench = Bench::of("user-creation", "silent", silent.map(|action| (action, None))).await;
    let time = Duration::from_secs(2);
    let puts = bench.answers(request("Create", user()), time).await;
    assert_eq!(puts.len(), 1, "{}", bench.log());
    well_formed(&puts[0]);
    assert!(puts[0].took < time, "{:?}", puts[0].took);
    let reason = puts[0].json()["Reason"].as_str().unwrap().to_owned();
    assert!(reason.contains("timed out at step"), "{reason}");
}

#[tokio::test]
async fn fault_5_an_answer_that_is_not_taken_is_sent_again_and_one_that_is_refused_is_not() {
    let bench = Bench::of("user-creation", "retries", []).await;
    let bad = || request("Create", without(user(), "Username"));
    bench.function.replies([Some(500), Some(503)]);
    let puts = bench.answers(bad(), PATIENCE).await;
    assert_eq!(puts.len(), 3, "{}", bench.log());
    assert!(puts.iter().all(|put| put.body == puts[0].body), "the same answer each time");
    bench.function.replies([Some(403)]);
    assert_eq!(bench.answers(bad(), PATIENCE).await.len(), 1, "an expired URL stays expired");
    assert!(bench.log().contains("403"), "{}", bench.log());
    assert!(!bench.log().contains("secret-signature"), "the presigned URL is in the log:\n{}", bench.log());
}

#[tokio::test]
async fn fault_6_7_a_long_reason_is_cut_and_the_same_event_has_the_same_answer() {
    let bench = Bench::of("user-creation", "long", []).await;
    let long = request("Create", with(user(), "Role", json!("ü".repeat(5000))));
    let (first, second) = (bench.answer(long.clone()).await, bench.answer(long).await);
    assert_eq!(first["Status"], "FAILED");
    assert!(first["Reason"].as_str().unwrap().contains("Role"), "{first}");
    assert_eq!(first["PhysicalResourceId"], second["PhysicalResourceId"]);
}

#[tokio::test]
async fn fault_8_11_13_what_needs_nobody_asks_nobody() {
    let gone = json!({"__type": "ClusterNotFoundException", "message": "Cluster not found."});
    let replies = [
        ("ListTasks", Some((400, gone.clone()))),
        ("DescribeServices", Some((400, gone))),
        ("PutParameter", Some((200, json!({"Version": 2})))),
        ("DeleteParameter", Some((400, json!({"__type": "ParameterNotFound", "message": "none"})))),
        ("GetParameter", Some((400, json!({"__type": "ParameterNotFound", "message": "none"})))),
        ("GetSecretValue", Some((400, json!({"__type": "ResourceNotFoundException", "message": "none"})))),
    ];
    let bench = Bench::of("user-creation", "delete", replies).await;
    let mut invented = request("Delete", user());
    invented["PhysicalResourceId"] = json!("neo4j-AppUser-1EXAMPLE");
    assert_eq!(bench.answer(invented).await["Status"], "SUCCESS");
    assert!(bench.aws.calls().is_empty(), "{:?}", bench.aws.calls());

    // The id of a Create that failed on its properties comes back with a Delete.
    let failed = bench.answer(request("Create", without(user(), "Username"))).await;
    let mut delete = request("Delete", without(user(), "Username"));
    delete["PhysicalResourceId"] = failed["PhysicalResourceId"].clone();
    assert_eq!(bench.answer(delete).await["Status"], "SUCCESS");

    let mut unchanged = request("Update", user());
    unchanged["PhysicalResourceId"] = json!("neo4j/app");
    unchanged["OldResourceProperties"] = user();
    let answer = bench.answer(unchanged.clone()).await;
    assert_eq!((&answer["Status"], &answer["PhysicalResourceId"]), (&json!("SUCCESS"), &json!("neo4j/app")));
    assert!(bench.aws.calls().is_empty(), "{:?}", bench.aws.calls());

    // The cluster went first: nothing is left to wait for.
    let mut delete = request("Delete", user());
    delete["PhysicalResourceId"] = json!("neo4j/app");
    let puts = bench.answers(delete, PATIENCE).await;
    assert_eq!(puts.len(), 1);
    assert_eq!(puts[0].json()["Status"], "SUCCESS", "{}\n{}", puts[0].json(), bench.log());
    assert!(puts[0].took < Duration::from_secs(5), "{:?}", puts[0].took);
}

#[tokio::test]
async fn without_an_answer_url_nobody_is_told_and_the_next_event_is_handled() {
    let bench = Bench::of("user-creation", "nowhere", []).await;
    let nowhere = bench.handle(request("Create", user()), PATIENCE).await;
    assert!(nowhere.is_empty());
    let answer = bench.answer(request("Create", without(user(), "Username"))).await;
    assert_eq!(answer["Status"], "FAILED");
}

#[tokio::test]
async fn fault_16_a_snapshot_that_cannot_be_is_refused_with_its_name() {
    let bench = Bench::of("snapshot-bootstrap", "snapshot", []).await;
    for source in ["s3://", "yesterday", "https://bucket/key", "s3://bucket/../../etc/passwd"] {
        let mut event = request("Create", json!({"Source": source}));
        event["ResourceType"] = json!("Custom::SnapshotBootstrap");
        let answer = bench.answer(event).await;
        assert_eq!(answer["Status"], "FAILED", "{source}: {answer}");
        assert!(answer["Reason"].as_str().unwrap().contains("Source"), "{source}: {answer}");
    }
    let mut delete = request("Delete", json!({"Source": "latest"}));
    delete["ResourceType"] = json!("Custom::SnapshotBootstrap");
    delete["PhysicalResourceId"] = json!("neo4j-snapshot");
    assert_eq!(bench.answer(delete).await["Status"], "SUCCESS", "data is never destroyed");
    assert!(bench.aws.calls().is_empty(), "{:?}", bench.aws.calls());
}
