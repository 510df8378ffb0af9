//! EventBridge and Lambda's queue as AWS documents them: one case per sentence that the local cloud claims to follow.
//!
//! Pages are of docs.aws.amazon.com: `API/...` of the EventBridge API reference, `eb/...` of its user guide, `lambda/...` of
//! Lambda's developer guide.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use axum::{
    Json, Router,
    body::Bytes,
    extract::{Path, State},
    http::{HeaderMap, StatusCode},
    routing::{get, post},
};
use local::{
    emulator::Limits,
    emulator::{Emulator, Ran},
    gateway::{
        deliveries::Deliveries,
        events, pattern,
        queue::{self, Tries},
    },
};
use serde_json::{Value, json};

const FUNCTION: &str = "neo4j-master-election";
const PATIENCE: Duration = Duration::from_secs(20);

/// The part of the emulator that keeps rules and runs functions. Answers of the function are taken from `throttled` on.
#[derive(Clone, Default)]
struct Account {
    rules: Arc<Mutex<Vec<(Value, Value)>>>,
    throttled: Arc<Mutex<u32>>,
    invoked: Arc<Mutex<Vec<(Instant, Value)>>>,
}

async fn service(State(account): State<Account>, headers: HeaderMap, body: Bytes) -> Json<Value> {
    let body: Value = serde_json::from_slice(&body).unwrap();
    let rules = account.rules.lock().unwrap();
    Json(match headers["x-amz-target"].to_str().unwrap() {
        "AWSEvents.ListRules" if body["EventBusName"] == "default" => {
            json!({"Rules": rules.iter().map(|(rule, _)| rule.clone()).collect::<Vec<_>>()})
        }
        "AWSEvents.ListRules" => json!({"Rules": []}),
        "AWSEvents.ListTargetsByRule" => {
            let (_, targets) = rules.iter().find(|(rule, _)| rule["Name"] == body["Rule"]).unwrap();
            json!({"Targets": targets})
        }
        other => panic!("{other} is not asked of the emulator"),
    })
}

async fn invoked(
    State(account): State<Account>,
    Path(function): Path<String>,
    headers: HeaderMap,
    Json(event): Json<Value>,
) -> (StatusCode, Json<Value>) {
    assert_eq!(function, FUNCTION);
    assert!(headers.get("x-amz-invocation-type").is_none(), "the emulator drops what it cannot run at once");
    account.invoked.lock().unwrap().push((Instant::now(), event));
    let mut throttled = account.throttled.lock().unwrap();
    if *throttled > 0 {
        *throttled -= 1;
        return (StatusCode::TOO_MANY_REQUESTS, Json(json!({"__type": "TooManyRequestsException"})));
    }
    (StatusCode::OK, Json(json!({"verdict": "Steady"})))
}

impl Account {
    async fn emulator(&self) -> Emulator {
        let config = async || Json(json!({"MaximumEventAgeInSeconds": "60", "MaximumRetryAttempts": "0"}));
        let app = Router::new()
            .route("/", post(service))
            .route("/2015-03-31/functions/{function}/invocations", post(invoked))
            .route("/2019-09-25/functions/{function}/event-invoke-config", get(config))
            .with_state(self.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at: SocketAddr = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, app).await });
        Emulator { at }
    }

    fn rule(&self, pattern: &Value) {
        let mut rules = self.rules.lock().unwrap();
        let name = format!("rule-{}", rules.len());
        let rule = json!({"Name": name, "State": "ENABLED", "EventPattern": pattern.to_string()});
        let arn = format!("arn:aws:lambda:us-east-1:000000000000:function:{FUNCTION}");
        rules.push((rule, json!([{"Id": "1", "Arn": arn}])));
    }

    async fn wait_for(&self, invocations: usize) -> Vec<(Instant, Value)> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let seen = self.invoked.lock().unwrap().clone();
            if seen.len() >= invocations {
                return seen;
            }
            assert!(Instant::now() < deadline, "{} of {invocations} invocations", seen.len());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

fn entry(source: &str, detail: &Value) -> Value {
    json!({"Source": source, "DetailType": "became-master", "Detail": detail.to_string()})
}

fn bell(stack: &str) -> Value {
    entry("neo4j.node", &json!({"stack": stack, "slot": "core-1"}))
}

/// The rule of this project's template.
fn doorbell() -> Value {
    json!({"source": ["neo4j.node"], "detail": {"stack": ["neo4j"]}})
}

/// eb/eb-events: the fields of an event; API/API_PutEvents: an entry that is accepted gets an event id.
#[tokio::test]
async fn what_is_put_reaches_the_function_of_the_rule_that_it_matches_and_no_other() {
    let account = Account::default();
    account.rule(&doorbell());
    account.rule(&json!({"source": ["aws.ecs"], "detail-type": ["ECS Task State Change"]}));
    let emulator = account.emulator().await;
    let put = json!({"Entries": [bell("another"), bell("neo4j")]});
    let answer = events::put(&Deliveries::new(emulator), &put).await.unwrap();
    assert_eq!(answer["FailedEntryCount"], 0);
    let ids: Vec<&str> = answer["Entries"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| entry["EventId"].as_str().unwrap())
        .collect();
    assert_ne!(ids[0], ids[1]);

    let seen = account.wait_for(1).await;
    let [(_, event)] = &seen[..] else { panic!("one of two entries matches: {seen:?}") };
    assert_eq!(event["id"], ids[1]);
    assert_eq!(event["source"], "neo4j.node");
    assert_eq!(event["detail-type"], "became-master");
    assert_eq!(event["detail"], json!({"stack": "neo4j", "slot": "core-1"}));
    for field in ["version", "account", "time", "region", "resources"] {
        assert!(!event[field].is_null(), "{field} is missing in {event}");
    }
    let time = event["time"].as_str().unwrap();
    assert!(time.len() == 20 && time.ends_with('Z'), "not of whole seconds in UTC: {time}");
}

/// API/API_PutEventsResultEntry: `NotAuthorizedForSourceException` for what AWS itself emits; the others of the same call
/// are accepted, and "the response includes an entry for each event in your request, in the same order".
#[tokio::test]
async fn each_entry_is_refused_or_accepted_on_its_own() {
    let account = Account::default();
    account.rule(&json!({"source": ["aws.ecs", "neo4j.node"]}));
    let emulator = account.emulator().await;
    let put = json!({"Entries": [
        entry("aws.ecs", &json!({"lastStatus": "STOPPED"})),
        {"Source": "neo4j.node", "DetailType": "joined", "Detail": "not JSON"},
        {"Source": "neo4j.node", "DetailType": "joined", "Detail": "[1]"},
        {"DetailType": "joined", "Detail": "{}"},
        {"Source": "neo4j.node", "Detail": "{}"},
        bell("neo4j"),
    ]});
    let answer = events::put(&Deliveries::new(emulator), &put).await.unwrap();
    assert_eq!(answer["FailedEntryCount"], 5);
    let codes: Vec<&str> = answer["Entries"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| entry["ErrorCode"].as_str().unwrap_or(""))
        .collect();
    let bad = "InvalidArgument";
    assert_eq!(
        codes,
        ["NotAuthorizedForSourceException", "MalformedDetail", "MalformedDetail", bad, bad, ""]
    );
    let seen = account.wait_for(1).await;
    assert_eq!(seen[0].1["detail"]["stack"], "neo4j", "only the accepted one is delivered: {seen:?}");
}

/// API/API_PutEvents: "Array Members: Minimum number of 1 item. Maximum number of 10 items."
#[tokio::test]
async fn a_call_has_one_to_ten_entries() {
    let emulator = Account::default().emulator().await;
    for number in [0, 11] {
        let put = json!({"Entries": vec![bell("neo4j"); number]});
        let refusal = events::put(&Deliveries::new(emulator), &put).await.unwrap_err();
        assert_eq!(refusal.kind, "ValidationException", "{number}");
    }
}

/// lambda/invocation-async-error-handling: "For throttling errors (429) and system errors (500-series), Lambda returns the
/// event to the queue and attempts to run the function again [...] The retry interval increases exponentially from 1 second".
#[tokio::test]
async fn a_throttled_event_is_tried_again_until_it_gets_through() {
    let account = Account::default();
    account.rule(&doorbell());
    *account.throttled.lock().unwrap() = 2;
    let emulator = account.emulator().await;
    events::put(&Deliveries::new(emulator), &json!({"Entries": [bell("neo4j")]})).await.unwrap();
    let seen = account.wait_for(3).await;
    assert!(seen.iter().all(|(_, event)| event == &seen[0].1), "the same event each time");
    let waits: Vec<Duration> = seen.windows(2).map(|pair| pair[1].0.duration_since(pair[0].0)).collect();
    assert!(waits[0] >= Duration::from_secs(1) && waits[1] >= Duration::from_secs(2), "{waits:?}");
}

/// The same page: "to a maximum of 5 minutes", "for up to 6 hours"; lambda/invocation-async-configuring: the function's own
/// maximum age. Of function errors: two more tries, "one minute" and "two minutes" later.
#[test]
fn an_event_waits_while_it_is_young() {
    let throttled = |times| Tries { throttled: times, failed: 0 };
    let failed = |times| Tries { throttled: 0, failed: times };
    let seconds = Duration::from_secs;
    let (six_hours, minute) = (Limits::default(), Limits { age: seconds(60), retries: 0 });
    for (limits, tries, last, age, expected) in [
        (six_hours, throttled(1), Ran::Throttled, 0, Some(1)),
        (six_hours, throttled(4), Ran::Throttled, 7, Some(8)),
        (six_hours, throttled(12), Ran::Throttled, 900, Some(300)),
        (six_hours, throttled(90), Ran::Throttled, 6 * 3600 - 300, Some(300)),
        (six_hours, throttled(90), Ran::Throttled, 6 * 3600 - 299, None),
        (minute, throttled(5), Ran::Throttled, 31, Some(16)),
        (minute, throttled(6), Ran::Throttled, 47, None),
        (six_hours, failed(1), Ran::Failed, 0, Some(60)),
        (six_hours, failed(2), Ran::Failed, 60, Some(120)),
        (six_hours, failed(3), Ran::Failed, 180, None),
        (minute, failed(1), Ran::Failed, 0, None),
        (six_hours, Tries::default(), Ran::Well, 0, None),
    ] {
        let wait = queue::wait(limits, tries, last, seconds(age));
        assert_eq!(wait, expected.map(seconds), "{limits:?} {tries:?} {last:?} after {age} s");
    }
}

/// lambda/invocation-async-configuring: `MaximumEventAgeInSeconds` and `MaximumRetryAttempts` of the function are obeyed;
/// CloudFormation hands them on as text.
#[tokio::test]
async fn the_functions_own_limits_are_read() {
    let emulator = Account::default().emulator().await;
    let limits = emulator.event_invoke_config(FUNCTION).await;
    assert_eq!(limits, Limits { age: Duration::from_secs(60), retries: 0 });
    let nobody = Emulator { at: "127.0.0.1:9".parse().unwrap() };
    assert_eq!(nobody.event_invoke_config(FUNCTION).await, Limits::default());
}

/// eb/eb-event-patterns: "For a pattern to match an event, the event must contain all the field names listed in the pattern,
/// [...] with the same nesting structure"; "the value in the event [...] matches if it is included in the array"; fields that
/// the pattern does not name do not matter; of an array in the event any element may match; eb/eb-create-pattern-operators:
/// prefix and exists.
#[test]
fn a_pattern_matches_by_every_field_it_names_however_deep() {
    let event = json!({"source": "neo4j.node", "detail-type": "joined",
        "detail": {"stack": "neo4j", "lastStatus": "STOPPED", "members": ["a", "b"], "node": {"slot": "core-1", "number": 1}}});
    for (pattern, expected) in [
        (doorbell(), true),
        (json!({"detail": {"node": {"slot": ["core-2", "core-1"]}}}), true),
        (json!({"detail": {"node": {"number": [1]}}}), true),
        (json!({"detail": {"members": ["b"]}}), true),
        (json!({"detail": {"stack": [{"prefix": "neo"}]}}), true),
        (json!({"detail": {"lastStatus": ["RUNNING", "STOPPED"]}}), true),
        (json!({"detail": {"lastStatus": ["PENDING", "DEACTIVATING"]}}), false),
        (json!({"detail": {"cluster": [{"exists": false}]}}), true),
        (json!({"detail": {"stack": ["neo4j-2"]}}), false),
        (json!({"detail": {"node": {"slot": ["core-2"]}}}), false),
        (json!({"detail": {"node": {"number": ["1"]}}}), false),
        (json!({"detail": {"slot": ["core-1"]}}), false),
        (json!({"detail": {"absent": {"deep": ["x"]}}}), false),
        (json!({"detail": {"stack": [{"prefix": "other"}]}}), false),
        (json!({"detail": {"stack": [{"exists": false}]}}), false),
        (json!({"source": ["aws.ecs"], "detail": {"stack": ["neo4j"]}}), false),
    ] {
        assert_eq!(pattern::matches(&pattern, &event), Ok(expected), "{pattern}");
    }
}

/// A rule that asks for more than the local cloud follows is named, and not just deaf.
#[test]
fn a_filter_that_is_not_followed_is_an_error_whatever_the_event_says() {
    let event = json!({"source": "other"});
    for pattern in [
        json!({"source": ["neo4j.node"], "detail": {"stack": [{"anything-but": "x"}]}}),
        json!({"source": "neo4j.node"}),
        json!(["neo4j.node"]),
    ] {
        assert!(pattern::matches(&pattern, &event).is_err(), "{pattern}");
    }
}
