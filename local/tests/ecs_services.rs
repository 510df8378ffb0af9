//! What `DescribeServices` tells, through the gateway and with real processes: one case per sentence that is followed.
//!
//! Pages are of docs.aws.amazon.com: `API/...` of the ECS API reference, `dev/...` of its developer guide.

use std::time::{Duration, Instant};

use crate::account::{Account, PATIENCE};
use serde_json::{Value, json};

const TARGET: &str = "AmazonEC2ContainerServiceV20141113";
const OBEYS_SIGTERM: &str = "trap 'exit 0' TERM; while :; do sleep 0.1; done";
const IGNORES_SIGTERM: &str = "trap '' TERM; while :; do sleep 0.1; done";

fn resources(image: &str) -> Value {
    json!({
        "Cluster": {"Type": "AWS::ECS::Cluster", "Properties": {"ClusterName": "c"}},
        "Definition": {"Type": "AWS::ECS::TaskDefinition", "Properties": {"Family": "core-1", "ContainerDefinitions": [
            {"Name": "neo4j", "Image": image, "Memory": 64, "Essential": true, "StopTimeout": 2}]}},
        "Service": {"Type": "AWS::ECS::Service", "Properties": {
            "ServiceName": "core-1", "Cluster": {"Ref": "Cluster"}, "TaskDefinition": {"Ref": "Definition"},
            "DesiredCount": 1, "LaunchType": "EC2",
            "PlacementConstraints": [{"Type": "memberOf", "Expression": "attribute:neo4j.slot == core-1"}],
            "DeploymentConfiguration": {"MinimumHealthyPercent": 0, "MaximumPercent": 100}}},
    })
}

async fn with_service(name: &str, script: &str) -> Account {
    let account = Account::with_tasks(name, script).await;
    account.create("s", resources("one")).await.must_be("CREATE_COMPLETE").unwrap();
    account
}

async fn ecs(account: &Account, action: &str, body: Value) -> Value {
    let (status, answer) = account.json("ecs", &format!("{TARGET}.{action}"), &body).await;
    assert_eq!(status, 200, "{action}: {answer}");
    answer
}

async fn service(account: &Account) -> Value {
    ecs(account, "DescribeServices", json!({"cluster": "c", "services": ["core-1"]})).await["services"][0]
        .clone()
}

fn messages(service: &Value) -> Vec<&str> {
    service["events"].as_array().unwrap().iter().map(|event| event["message"].as_str().unwrap()).collect()
}

async fn until(account: &Account, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let service = service(account).await;
        if wanted(&service) {
            return service;
        }
        assert!(Instant::now() < deadline, "{what}: {service:#}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn is_steady(service: &Value) -> bool {
    messages(service).first().is_some_and(|message| message.ends_with("has reached a steady state."))
}

async fn listed(account: &Account, desired: &str) -> Vec<String> {
    let answer = ecs(account, "ListTasks", json!({"cluster": "c", "desiredStatus": desired})).await;
    answer["taskArns"].as_array().unwrap().iter().map(|arn| arn.as_str().unwrap().to_owned()).collect()
}

fn id(arn: &str) -> &str {
    arn.rsplit('/').next().unwrap()
}

/// `API/API_Service`, `API/API_Deployment`, `API/API_ServiceEvent`: counts, events with the newest one first, times in seconds, and a
/// deployment that is COMPLETED when the service has reached a steady state. `dev/service-event-messages-list` has the words.
#[tokio::test]
async fn a_service_tells_of_its_task_and_its_steady_state() {
    let account = with_service("steady", OBEYS_SIGTERM).await;
    let service = until(&account, "it is steady", is_steady).await;
    let task = listed(&account, "RUNNING").await.remove(0);
    assert_eq!(
        messages(&service),
        [
            "(service core-1) has reached a steady state.".to_owned(),
            format!("(service core-1) has started 1 tasks: (task {}).", id(&task))
        ]
    );
    assert_eq!((&service["runningCount"], &service["pendingCount"]), (&json!(1), &json!(0)));
    let deployments = service["deployments"].as_array().unwrap();
    assert_eq!(deployments.len(), 1);
    let primary = &deployments[0];
    for (field, value) in [
        ("status", json!("PRIMARY")),
        ("rolloutState", json!("COMPLETED")),
        ("runningCount", json!(1)),
        ("pendingCount", json!(0)),
        ("failedTasks", json!(0)),
    ] {
        assert_eq!(primary[field], value, "{field}");
    }
    for time in [
        &service["createdAt"],
        &primary["createdAt"],
        &primary["updatedAt"],
        &service["events"][0]["createdAt"],
    ] {
        assert!(time.as_f64().is_some_and(|seconds| seconds > 1.7e9), "{time} is not a time in seconds");
    }
    assert_ne!(service["events"][0]["id"], service["events"][1]["id"]);
}

/// `dev/service-event-messages-list`: the scheduler tells when it stops a task; `API/API_Deployment`: a rolling update is IN_PROGRESS until
/// the service is steady again.
#[tokio::test]
async fn a_deployment_is_in_progress_until_its_task_runs() {
    let account = with_service("deployment", IGNORES_SIGTERM).await;
    until(&account, "it is steady", is_steady).await;
    let old = listed(&account, "RUNNING").await.remove(0);
    account.update("s", resources("two")).await.must_be("UPDATE_COMPLETE").unwrap();
    let stopped = format!("(service core-1) has stopped 1 running tasks: (task {}).", id(&old));
    let service = until(&account, "the old task stops", |service| messages(service)[0] == stopped).await;
    assert_eq!(service["deployments"][0]["rolloutState"], "IN_PROGRESS");
    assert_eq!(service["runningCount"], 0, "the old task ends before the new one starts");
    let service = until(&account, "it is steady again", is_steady).await;
    assert_eq!(service["deployments"][0]["rolloutState"], "COMPLETED");
    assert_eq!(messages(&service).len(), 5);
}

/// `dev/service-event-messages-list`: no container instance met all of the requirements; `dev/service-event-messages`: "duplicate event
/// messages are omitted until either the cause is resolved or six hours passes".
#[tokio::test]
async fn without_a_host_no_task_is_placed_and_the_service_says_so_once() {
    let account = with_service("host", OBEYS_SIGTERM).await;
    until(&account, "it is steady", is_steady).await;
    let task = listed(&account, "RUNNING").await.remove(0);
    let ecs_of = account.gateway.ecs.clone();
    ecs_of.take_host("core-1");
    let no_host = "(service core-1) was unable to place a task because no container instance met all of its requirements. Reason: No \
        Container Instances were found in your cluster. For more information, see the Troubleshooting section of the Amazon ECS Developer \
        Guide.";
    let service = until(&account, "it cannot be placed", |service| messages(service)[0] == no_host).await;
    assert_eq!((&service["runningCount"], &service["desiredCount"]), (&json!(0), &json!(1)));
    let described =
        ecs(&account, "DescribeTasks", json!({"cluster": "c", "tasks": [task]})).await["tasks"][0].clone();
    assert_eq!(described["lastStatus"], "STOPPED");
    assert!(described["stoppedReason"].as_str().unwrap().starts_with("Host EC2 (instance i-"), "{described}");
    // The scheduler looks at it many times in this second.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let service = self::service(&account).await;
    assert_eq!(messages(&service).iter().filter(|message| **message == no_host).count(), 1);
    assert!(listed(&account, "RUNNING").await.is_empty());
    assert_eq!(ecs_of.without_host().into_iter().collect::<Vec<_>>(), ["core-1"]);

    ecs_of.give_host("core-1");
    until(&account, "it is steady again", is_steady).await;
    assert_eq!(listed(&account, "RUNNING").await.len(), 1);
    ecs_of.take_host("core-1");
    until(&account, "it is said again", |service| messages(service)[0] == no_host).await;
}

/// `dev/stopped-task-error-codes`: "Essential container in task exited"; `API/API_Task`: stopCode, and the container's exit code. `API/API_Deployment`:
/// failedTasks counts what did not get as far as RUNNING; `dev/service-throttle-logic`: nor is there a message for what did.
#[tokio::test]
async fn a_task_that_ends_again_and_again_is_seen_among_the_stopped_ones_only() {
    let account = with_service("ends", "exit 3").await;
    let deadline = Instant::now() + PATIENCE;
    let stopped = loop {
        let stopped = listed(&account, "STOPPED").await;
        if stopped.len() >= 3 {
            break stopped;
        }
        assert!(Instant::now() < deadline, "{stopped:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    let answer = ecs(&account, "DescribeTasks", json!({"cluster": "c", "tasks": stopped})).await;
    for task in answer["tasks"].as_array().unwrap() {
        assert_eq!(task["stoppedReason"], "Essential container in task exited");
        assert_eq!(
            (&task["stopCode"], &task["containers"][0]["exitCode"]),
            (&json!("EssentialContainerExited"), &json!(3))
        );
        assert_eq!(task["group"], "service:core-1");
    }
    let service = service(&account).await;
    assert_eq!(service["deployments"][0]["failedTasks"], 0);
    let messages = messages(&service);
    assert!(
        messages.iter().all(|message| message.contains("has started") || message.contains("steady")),
        "{messages:?}"
    );
}

/// `API/API_DescribeServices`: a failure for what is not found; what was deleted is INACTIVE; ten services at most.
#[tokio::test]
async fn what_is_missing_and_what_is_inactive() {
    let account = with_service("missing", OBEYS_SIGTERM).await;
    let answer =
        ecs(&account, "DescribeServices", json!({"cluster": "c", "services": ["core-1", "core-9"]})).await;
    assert_eq!(answer["services"].as_array().unwrap().len(), 1);
    assert_eq!(answer["failures"][0]["reason"], "MISSING");
    assert!(answer["failures"][0]["arn"].as_str().unwrap().ends_with("service/c/core-9"), "{answer}");
    let mut without = resources("one");
    without.as_object_mut().unwrap().remove("Service");
    account.update("s", without).await.must_be("UPDATE_COMPLETE").unwrap();
    assert_eq!(service(&account).await["status"], "INACTIVE");
    for number in [0, 11] {
        let body = json!({"cluster": "c", "services": vec!["core-1"; number]});
        let (status, answer) = account.json("ecs", &format!("{TARGET}.DescribeServices"), &body).await;
        assert_eq!((status, &answer["__type"]), (400, &json!("InvalidParameterException")), "{number}");
    }
}

/// `API/API_NetworkInterface`, `API/API_Task`: the interface of a task is in a subnet that its service names, and the task in its zone.
#[tokio::test]
async fn a_task_is_in_one_of_the_subnets_of_its_service() {
    let account = Account::with_tasks("subnets", OBEYS_SIGTERM).await;
    let mut all = resources("one");
    for number in 1..=3 {
        let mut service = all["Service"].clone();
        let slot = format!("attribute:neo4j.slot == core-{number}");
        service["Properties"]["ServiceName"] = format!("core-{number}").into();
        service["Properties"]["PlacementConstraints"][0]["Expression"] = slot.into();
        service["Properties"]["NetworkConfiguration"] = json!({"AwsvpcConfiguration": {
            "Subnets": ["subnet-1", "subnet-2"], "SecurityGroups": ["sg-1"]}});
        all[format!("S{number}")] = service;
    }
    all.as_object_mut().unwrap().remove("Service");
    account.create("s", all).await.must_be("CREATE_COMPLETE").unwrap();
    account.until("three tasks run", PATIENCE, |account| account.gateway.ecs.tasks().len() == 3).await;
    let tasks = listed(&account, "RUNNING").await;
    let answer = ecs(&account, "DescribeTasks", json!({"cluster": "c", "tasks": tasks})).await;
    let of = |task: &Value| {
        let details = task["attachments"][0]["details"].as_array().unwrap();
        let subnet = details.iter().find(|detail| detail["name"] == "subnetId").unwrap();
        format!("{} {}", subnet["value"].as_str().unwrap(), task["availabilityZone"].as_str().unwrap())
    };
    let mut seen: Vec<String> = answer["tasks"].as_array().unwrap().iter().map(of).collect();
    seen.sort();
    assert_eq!(seen, ["subnet-1 us-east-1a", "subnet-1 us-east-1a", "subnet-2 us-east-1b"]);
}
