//! Faults that tests inject at the edge of AWS: what a caller sees of them, and what is done behind it.

use std::{
    net::SocketAddr,
    path::PathBuf,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{Router, body::Bytes, extract::State, http::Uri, routing::put};
use http::{Method, Request};
use http_body_util::Full;
use local::{
    control,
    ecs::{Ecs, Image},
    elb::Elb,
    emulator::Emulator,
    gateway::{Fault, Gateway},
    http as wire,
    network::{Kind, Network},
    processes::Processes,
};

const STATE: &str = "/bucket/master-election/state.json";
const FOUNDING: &str = "/bucket/cluster/founding.json";

/// What the emulator's S3 was given.
type Written = Arc<Mutex<Vec<String>>>;

async fn write(State(written): State<Written>, uri: Uri, body: Bytes) {
    written.lock().unwrap().push(format!("{} {}", uri.path(), String::from_utf8_lossy(&body)));
}

/// A gateway before an S3 that keeps everything.
async fn gateway() -> (Gateway, SocketAddr, Written) {
    let written = Written::default();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let emulator = Emulator { at: listener.local_addr().unwrap() };
    let app = Router::new().route("/{*key}", put(write)).with_state(Arc::clone(&written));
    tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });

    let network = Network::set_up(Kind::Loopback).unwrap();
    let nowhere = PathBuf::from("/nonexistent");
    let image = Image {
        program: "/bin/false".into(),
        arguments: vec![],
        environment: vec![],
        hosts: nowhere.clone(),
        logs: nowhere.clone(),
        built: None,
    };
    let elb = Elb::new(&format!("http://{}", emulator.at), network.services.clone(), Duration::ZERO);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    let ecs = Ecs::new(emulator, at, image, Processes::new(nowhere), network);
    let gateway = Gateway::new(emulator, ecs, elb);
    tokio::spawn(gateway.clone().serve(listener, control::routes()));
    (gateway, at, written)
}

async fn put_object(at: SocketAddr, key: &str, body: &'static str) -> Result<wire::Answer, wire::Failure> {
    let scope = "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0";
    let request = Request::builder().method(Method::PUT).uri(key).header("host", at.to_string());
    let request = request.header("authorization", scope).body(Full::new(Bytes::from_static(body.as_bytes())));
    wire::send(at, request.unwrap(), Duration::from_secs(5)).await
}

/// What every SDK's retry must live with: the write is done, and the caller does not know.
#[tokio::test]
async fn an_answer_is_lost_after_the_call_was_done() {
    let (gateway, at, written) = gateway().await;
    gateway.faults.inject(Fault::answer_lost("s3", "PUT", 1).at("master-election/state.json"));
    assert_eq!(put_object(at, FOUNDING, "other").await.unwrap().0, 200, "another object is not meant");
    let lost = put_object(at, STATE, "1").await;
    assert!(matches!(lost, Err(wire::Failure::Connection(..))), "{lost:?}");
    assert_eq!(put_object(at, STATE, "2").await.unwrap().0, 200, "once was asked for");
    let expected = [format!("{FOUNDING} other"), format!("{STATE} 1"), format!("{STATE} 2")];
    assert_eq!(*written.lock().unwrap(), expected);
    let answered: Vec<bool> =
        gateway.calls.of("s3", &["PUT"]).iter().map(|call| call.answered.is_some()).collect();
    assert_eq!(answered, [true, false, true]);
}

/// `API/API_PutObject.html` of S3: 409 when a conflicting operation occurs during the upload; nothing is written.
#[tokio::test]
async fn a_conflict_is_answered_in_s3s_own_form_and_nothing_is_done() {
    let (gateway, at, written) = gateway().await;
    gateway.faults.inject(Fault::refused("s3", "PUT", 1, "ConditionalRequestConflict", 409).at(STATE));
    let (status, body) = put_object(at, STATE, "1").await.unwrap();
    let body = String::from_utf8_lossy(&body);
    assert_eq!(status, 409);
    assert!(body.starts_with("<Error><Code>ConditionalRequestConflict</Code>"), "{body}");
    assert!(written.lock().unwrap().is_empty());
    assert_eq!(put_object(at, STATE, "1").await.unwrap().0, 200);
}

/// The form that `POST /_local/faults` takes, with and without what came later.
#[test]
fn a_fault_is_a_few_words_of_json() {
    let read = |text: &str| serde_json::from_str::<Fault>(text).unwrap();
    let old = read(r#"{"service":"ecs","action":"StopTask","times":3,"code":"Throttling","status":400}"#);
    assert_eq!((old.times, old.path.as_str(), old.status), (3, "", 400));
    let lost = read(r#"{"service":"s3","action":"PUT","path":"state.json","times":1,"how":"answer-lost"}"#);
    assert_eq!(lost.how, local::gateway::How::AnswerLost);
}
