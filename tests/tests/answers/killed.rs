//! A function that is killed right after its answer: Lambda delivers the event again, and the second delivery says the same and does
//! nothing.

use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, Method, StatusCode, Uri},
    response::{IntoResponse, Response},
};
use local::runtime_api::{Function, Put};
use serde_json::{Value, json};

use crate::{PATIENCE, binary, environment, request, well_formed};

/// A bucket: objects, and every call as `PUT /state/key`.
#[derive(Clone, Default)]
struct Bucket(Arc<Mutex<Inside>>);

#[derive(Default)]
struct Inside {
    objects: BTreeMap<String, Bytes>,
    calls: Vec<String>,
}

impl Bucket {
    async fn start() -> (Self, SocketAddr) {
        let bucket = Self::default();
        let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let at = listener.local_addr().unwrap();
        let routes = Router::new().fallback(object).with_state(bucket.clone());
        tokio::spawn(async move { axum::serve(listener, routes).await });
        (bucket, at)
    }

    /// Calls since the last time, and all objects.
    fn seen(&self) -> (Vec<String>, BTreeMap<String, Bytes>) {
        let mut inside = self.0.lock().unwrap();
        (std::mem::take(&mut inside.calls), inside.objects.clone())
    }
}

async fn object(
    State(bucket): State<Bucket>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let mut inside = bucket.0.lock().unwrap();
    let path = uri.path().to_owned();
    inside.calls.push(format!("{method} {path}"));
    let etag = [("etag", "\"1\"")];
    match (method, inside.objects.get(&path)) {
        (Method::GET, Some(body)) => (etag, body.clone()).into_response(),
        (Method::GET, None) => {
            let missing = "<Error><Code>NoSuchKey</Code><Message>none</Message></Error>";
            (StatusCode::NOT_FOUND, missing).into_response()
        }
        // On the condition that there is none yet.
        (Method::PUT, None) if headers.contains_key("if-none-match") => {
            inside.objects.insert(path, body);
            (etag, "").into_response()
        }
        _ => StatusCode::PRECONDITION_FAILED.into_response(),
    }
}

/// One delivery of `event`: CloudFormation takes the answer and its connection stays silent, so that the function cannot know; then it
/// is killed.
async fn killed_after_its_answer(aws: SocketAddr, event: &Value) -> Put {
    let log = std::env::temp_dir().join(format!("answers-{}-killed.log", std::process::id()));
    let endpoint = format!("http://{aws}");
    let function =
        Function::start(&binary("snapshot-bootstrap"), &environment(&endpoint), &log).await.unwrap();
    function.replies([None]);
    let mut event = event.clone();
    event["ResponseURL"] = function.answer_url().into();
    function.invoke(event, PATIENCE);
    let deadline = Instant::now() + PATIENCE;
    let answer = loop {
        if let Some(put) = function.puts().pop() {
            break put;
        }
        let log = || std::fs::read_to_string(&log).unwrap_or_default();
        assert!(Instant::now() < deadline, "no answer:\n{}", log());
        tokio::time::sleep(Duration::from_millis(2)).await;
    };
    let process = format!("/proc/{}/exe", function.pid().unwrap());
    // SIGKILL.
    drop(function);
    while std::fs::read_link(&process).is_ok() {
        assert!(Instant::now() < deadline, "it lives on");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    let _absent = std::fs::remove_file(log);
    answer
}

#[tokio::test]
async fn an_event_that_comes_again_after_a_kill_has_the_same_answer_and_no_effect() {
    let (bucket, aws) = Bucket::start().await;
    let mut event = request("Create", json!({"Source": ""}));
    event["ResourceType"] = json!("Custom::SnapshotBootstrap");
    let first = killed_after_its_answer(aws, &event).await;
    well_formed(&first);
    assert_eq!(first.json()["Status"], "SUCCESS", "{}", first.json());
    let (calls, founded) = bucket.seen();
    assert_eq!(calls, ["GET /state/cluster/founding.json", "PUT /state/cluster/founding.json"]);

    let second = killed_after_its_answer(aws, &event).await;
    assert_eq!(second.body, first.body, "{} and {}", second.json(), first.json());
    let (calls, still) = bucket.seen();
    assert_eq!(calls, ["GET /state/cluster/founding.json"], "it looks, and changes nothing");
    assert_eq!(still, founded);

    // The Delete twice in the same way: it asks S3 nothing.
    event["RequestType"] = json!("Delete");
    event["PhysicalResourceId"] = first.json()["PhysicalResourceId"].clone();
    let (first, second) =
        (killed_after_its_answer(aws, &event).await, killed_after_its_answer(aws, &event).await);
    assert_eq!((&first.json()["Status"], &first.body), (&json!("SUCCESS"), &second.body));
    assert_eq!(bucket.seen(), (vec![], founded));
}
