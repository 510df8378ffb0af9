//! An account for tests: the real emulator behind the real gateway, a function that keeps a journal, and no nodes.

use std::{
    fs,
    net::SocketAddr,
    path::PathBuf,
    time::{Duration, Instant},
};

use axum::body::Bytes;
use http::Request;
use http_body_util::Full;
use local::{
    control,
    ecs::{Ecs, Image},
    elb::Elb,
    emulator::Emulator,
    gateway::Gateway,
    http as wire,
    layout::Layout,
    network::{Kind, Network},
    processes::{self, Processes},
    stacks::{self, Ended},
};
use serde_json::{Value, json};

/// The bucket of the function's package.
const CODE: &str = "code";
/// Two cores that other suites use too.
pub const PATIENCE: Duration = Duration::from_secs(60);

pub struct Account {
    pub gateway: Gateway,
    pub at: SocketAddr,
    pub layout: Layout,
}

impl Account {
    pub async fn start(name: &str) -> Self {
        Self::with_tasks(name, "exit 1").await
    }

    /// An account whose tasks run `script`, and are looked at often.
    pub async fn with_tasks(name: &str, script: &str) -> Self {
        let mut layout = Layout::find("unused").unwrap();
        layout.run = std::env::temp_dir().join(format!("account-{}-{name}", std::process::id()));
        Self::at(layout, script).await
    }

    async fn at(layout: Layout, script: &str) -> Self {
        layout.make_run().unwrap();
        let network = Network::set_up(Kind::Loopback).unwrap();
        let ip = network.services.next();
        let listener = tokio::net::TcpListener::bind((ip, 4566)).await.unwrap();
        let at = listener.local_addr().unwrap();
        let processes = Processes::new(layout.journal());
        let (emulator, _child) = Emulator::start(&layout, &processes, ip, 4565, at).await.unwrap();
        let image = Image {
            program: "/bin/sh".into(),
            arguments: vec!["-c".into(), script.into()],
            environment: vec![],
            hosts: layout.run.join("hosts"),
            logs: layout.run.join("logs"),
            built: None,
        };
        let elb = Elb::new(&format!("http://{}", emulator.at), network.services.clone(), Duration::ZERO);
        let gateway = Gateway::new(emulator, Ecs::new(emulator, at, image, processes, network), elb);
        tokio::spawn(gateway.clone().serve(listener, control::routes()));
        let ecs = gateway.ecs.clone();
        tokio::spawn(async move {
            loop {
                ecs.reconcile().await.unwrap();
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        });
        let account = Self { gateway, at, layout };
        account.package().await;
        account
    }

    async fn package(&self) {
        let python = self.layout.cloud_python();
        let source = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/account/function.py"));
        let (bootstrap, zip) = (self.layout.run.join("bootstrap"), self.layout.run.join("code.zip"));
        fs::write(&bootstrap, format!("#!{}\n{}", python.display(), source.unwrap())).unwrap();
        let zipped = std::process::Command::new(python)
            .args(["-m", "zipfile", "-c"])
            .args([&zip, &bootstrap])
            .status();
        assert!(zipped.unwrap().success());
        let emulator = self.gateway.emulator;
        emulator.put_object(CODE, Bytes::new()).await.unwrap();
        emulator.put_object(&format!("{CODE}/code.zip"), fs::read(zip).unwrap().into()).await.unwrap();
    }

    /// The function `name` as a resource, with these further properties.
    pub fn function(&self, name: &str, further: &Value) -> Value {
        let mut function = json!({"Type": "AWS::Lambda::Function", "Properties": {
            "FunctionName": name,
            "Runtime": "provided.al2023",
            "Handler": "bootstrap",
            "Timeout": 60,
            "Role": "arn:aws:iam::000000000000:role/r",
            "Code": {"S3Bucket": CODE, "S3Key": "code.zip"},
            "Environment": {"Variables": {"JOURNAL": self.journal()}},
        }});
        let properties = function["Properties"].as_object_mut().unwrap();
        properties.extend(further.as_object().unwrap().clone());
        function
    }

    /// A custom resource of the function `F` of the same template.
    pub fn custom(properties: &Value) -> Value {
        let mut all = json!({"ServiceToken": {"Fn::GetAtt": ["F", "Arn"]}, "ServiceTimeout": 60});
        all.as_object_mut().unwrap().extend(properties.as_object().unwrap().clone());
        json!({"Type": "Custom::Thing", "Properties": all})
    }

    pub async fn create(&self, name: &str, resources: Value) -> Ended {
        stacks::create(self.at, name, &json!({"Resources": resources}), PATIENCE).await.unwrap()
    }

    pub async fn update(&self, name: &str, resources: Value) -> Ended {
        stacks::update(self.at, name, &json!({"Resources": resources}), PATIENCE).await.unwrap()
    }

    pub async fn delete(&self, name: &str) {
        stacks::delete(self.at, name, PATIENCE).await.unwrap();
    }

    /// An asynchronous invocation of what `function` names in the path; the HTTP status and the answer.
    pub async fn invoke(&self, function: &str, event: &Value) -> (u16, String) {
        self.invoke_at(&format!("{function}/invocations"), &event.to_string()).await
    }

    /// The same with the rest of the path and the body as they are.
    pub async fn invoke_at(&self, path: &str, body: &str) -> (u16, String) {
        let scope = "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/lambda/aws4_request, SignedHeaders=host, Signature=0";
        let request = Request::post(format!("/2015-03-31/functions/{path}"))
            .header("host", self.at.to_string())
            .header("authorization", scope)
            .header("x-amz-invocation-type", "Event")
            .body(Full::new(Bytes::from(body.to_owned())));
        let (status, body) = wire::send(self.at, request.unwrap(), PATIENCE).await.unwrap();
        (status, String::from_utf8_lossy(&body).into_owned())
    }

    /// A call of a service with a JSON protocol; the HTTP status and the answer.
    pub async fn json(&self, service: &str, target: &str, body: &Value) -> (u16, Value) {
        self.try_json(service, target, body).await.unwrap()
    }

    /// The same, of which the answer may be lost.
    pub async fn try_json(
        &self,
        service: &str,
        target: &str,
        body: &Value,
    ) -> Result<(u16, Value), wire::Failure> {
        let scope = format!("AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/{service}/aws4_request");
        let request = Request::post("/")
            .header("host", self.at.to_string())
            .header("authorization", format!("{scope}, SignedHeaders=host, Signature=0"))
            .header("content-type", "application/x-amz-json-1.1")
            .header("x-amz-target", target)
            .body(Full::new(Bytes::from(body.to_string())));
        let (status, body) = wire::send(self.at, request.unwrap(), PATIENCE).await?;
        Ok((status, serde_json::from_slice(&body).unwrap_or_default()))
    }

    /// A call of S3; the HTTP status and the answer.
    pub async fn s3(
        &self,
        method: &str,
        path_and_query: &str,
        headers: &[(&str, &str)],
        body: Bytes,
    ) -> (u16, String) {
        let scope = "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0";
        let mut request =
            Request::builder().method(method).uri(path_and_query).header("authorization", scope);
        request = request.header("host", self.at.to_string());
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::new(body)).unwrap();
        let (status, body) = wire::send(self.at, request, PATIENCE).await.unwrap();
        (status, String::from_utf8_lossy(&body).into_owned())
    }

    pub fn journal(&self) -> PathBuf {
        self.layout.run.join("journal-of-the-function")
    }

    fn entries(&self) -> Vec<Value> {
        let text = fs::read_to_string(self.journal()).unwrap_or_default();
        text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    /// The invocations so far, the oldest first: `at`, `pid` and `event` of each.
    pub fn invocations(&self) -> Vec<Value> {
        self.entries().into_iter().filter(|entry| entry["event"].is_object()).collect()
    }

    /// `RequestType PhysicalResourceId` of the events of custom resources, the oldest first.
    pub fn requests(&self) -> Vec<String> {
        let invocations = self.invocations();
        let events = invocations.iter().map(|invocation| &invocation["event"]);
        let told = events.filter(|event| event["RequestType"].is_string()).map(|event| {
            let physical = event["PhysicalResourceId"].as_str().unwrap_or("-");
            format!("{} {physical}", event["RequestType"].as_str().unwrap())
        });
        told.collect()
    }

    /// HTTP status of every answer that the function sent and heard of.
    pub fn answers(&self) -> Vec<u64> {
        self.entries().iter().filter_map(|entry| entry["status"].as_u64()).collect()
    }

    /// When each of them was sent, in seconds.
    pub fn answered_at(&self) -> Vec<f64> {
        let entries = self.entries();
        let answers = entries.iter().filter(|entry| entry["status"].is_u64());
        answers.filter_map(|entry| entry["at"].as_f64()).collect()
    }

    pub async fn until(&self, what: &str, within: Duration, wanted: impl Fn(&Self) -> bool) {
        let deadline = Instant::now() + within;
        while !wanted(self) {
            let log = processes::tail(&self.layout.log("ministack"), 20);
            assert!(Instant::now() < deadline, "{what}: {:#?}\n{log}", self.entries());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        self.gateway.ecs.shutdown();
        processes::end_all(&self.layout.journal(), Duration::from_secs(2));
        if !std::thread::panicking() {
            let _left = fs::remove_dir_all(&self.layout.run);
        }
    }
}
