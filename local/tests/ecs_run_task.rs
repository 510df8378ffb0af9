//! Stand-alone tasks on Fargate, through the gateway and with real processes: one case per sentence that is followed.
//!
//! Pages are of docs.aws.amazon.com: `API/...` of the ECS API reference, `dev/...` of its developer guide, `eb/...` of EventBridge's.

use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use crate::account::{Account, PATIENCE};
use local::{
    control,
    gateway::{Fault, events},
    http as wire,
    processes::{Signal, signal_group},
};
use serde_json::{Value, json};

const TARGET: &str = "AmazonEC2ContainerServiceV20141113";
/// Says what it was given, and ends when a file on its disk says so.
const WORKER: &str = "echo \"$ORDER $STACK $AWS_ENDPOINT_URL $ECS_CONTAINER_METADATA_URI_V4\" > $DATA_DIR/given; echo up; \
                      until [ -e $DATA_DIR/end ]; do sleep 0.02; done; exit 3";
const OBEYS_SIGTERM: &str = "trap 'exit 0' TERM; echo up; while :; do sleep 0.05; done";
const IGNORES_SIGTERM: &str = "trap '' TERM; echo up; while :; do sleep 0.05; done";
const CAPACITY: &str =
    "Capacity is unavailable at this time. Please try again later or in a different availability zone";

/// A stack with a cluster `c` and a definition of the family `c-backup` whose program is `script`.
fn resources(script: &str) -> Value {
    json!({
        "Cluster": {"Type": "AWS::ECS::Cluster", "Properties": {"ClusterName": "c"}},
        "Backup": {"Type": "AWS::ECS::TaskDefinition", "Properties": {
            "Family": "c-backup", "NetworkMode": "awsvpc", "RequiresCompatibilities": ["FARGATE"], "Cpu": "1024", "Memory": "2048",
            "Volumes": [{"Name": "data"}],
            "ContainerDefinitions": [{"Name": "backup", "Image": "i", "Essential": true, "StopTimeout": 2, "Command": ["-c", script],
                "Environment": [{"Name": "STACK", "Value": "c"}, {"Name": "ORDER", "Value": "none"}],
                "MountPoints": [{"SourceVolume": "data", "ContainerPath": "/data"}]}]}},
    })
}

/// The account, and the ARN of the definition.
async fn with_definition(name: &str, script: &str) -> (Account, String) {
    let account = Account::with_tasks(name, "exit 1").await;
    account.create("s", resources(script)).await.must_be("CREATE_COMPLETE").unwrap();
    let arn = local::stacks::resource(account.at, "s", "Backup").await.unwrap();
    (account, arn)
}

/// What `RunTask` is asked for, with a token of its own.
fn run(definition: &str, token: &str) -> Value {
    json!({"cluster": "c", "taskDefinition": definition, "count": 1, "launchType": "FARGATE", "startedBy": "backup-trigger",
        "networkConfiguration": {"awsvpcConfiguration": {"subnets": ["subnet-2"], "securityGroups": ["sg-1"], "assignPublicIp": "DISABLED"}},
        "overrides": {"containerOverrides": [{"name": "backup", "environment": [{"name": "ORDER", "value": "{\"format\":1}"}]}],
            "ephemeralStorage": {"sizeInGiB": 40}},
        "clientToken": token})
}

async fn call(account: &Account, action: &str, body: &Value) -> (u16, Value) {
    account.json("ecs", &format!("{TARGET}.{action}"), body).await
}

async fn ecs(account: &Account, action: &str, body: &Value) -> Value {
    let (status, answer) = call(account, action, body).await;
    assert_eq!(status, 200, "{action}: {answer}");
    answer
}

/// Starts a task, and waits until its program is up; its ARN.
async fn started(account: &Account, definition: &str, token: &str) -> String {
    let answer = ecs(account, "RunTask", &run(definition, token)).await;
    assert_eq!((answer["failures"].clone(), answer["tasks"].as_array().unwrap().len()), (json!([]), 1));
    let arn = answer["tasks"][0]["taskArn"].as_str().unwrap().to_owned();
    let log = account.layout.log(&format!("c-backup-{}", id(&arn)));
    account
        .until("its program is up", PATIENCE, |_| {
            fs::read_to_string(&log).is_ok_and(|text| text.contains("up"))
        })
        .await;
    arn
}

async fn described(account: &Account, arn: &str) -> Value {
    ecs(account, "DescribeTasks", &json!({"cluster": "c", "tasks": [arn]})).await["tasks"][0].clone()
}

async fn until_stopped(account: &Account, arn: &str) -> Value {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let task = described(account, arn).await;
        if task["lastStatus"] == "STOPPED" {
            return task;
        }
        assert!(Instant::now() < deadline, "{task:#}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn listed(account: &Account, filter: Value) -> usize {
    let mut request = json!({"cluster": "c"});
    request.as_object_mut().unwrap().extend(filter.as_object().unwrap().clone());
    ecs(account, "ListTasks", &request).await["taskArns"].as_array().unwrap().len()
}

fn id(arn: &str) -> &str {
    arn.rsplit('/').next().unwrap()
}

fn disk(account: &Account, arn: &str) -> PathBuf {
    account.layout.run.join("hosts/fargate").join(format!("c-backup-{}", id(arn)))
}

fn pid(account: &Account, arn: &str) -> i32 {
    account.gateway.ecs.tasks().iter().find(|task| task.arn == arn).unwrap().pid
}

fn runs(pid: i32) -> bool {
    Path::new("/proc").join(pid.to_string()).exists()
}

/// `API/API_RunTask`: overrides, startedBy, and a group that is the family's by default. `dev/task-metadata-endpoint-v4-fargate`,
/// `dev/fargate-task-storage`: each task has an endpoint that tells of it, and a disk of its own that is gone with it.
/// `API/API_Task`, `dev/stopped-task-error-codes`: how a task has ended.
#[tokio::test]
async fn a_task_is_a_process_with_a_disk_of_its_own_until_it_ends_by_itself() {
    let (account, definition) = with_definition("fargate", WORKER).await;
    let accepted = ecs(&account, "RunTask", &run(&definition, "t")).await["tasks"][0].clone();
    // `dev/task-lifecycle-explanation`: PROVISIONING is first.
    assert_eq!(
        (&accepted["lastStatus"], &accepted["desiredStatus"]),
        (&json!("PROVISIONING"), &json!("RUNNING"))
    );
    let arn = accepted["taskArn"].as_str().unwrap();
    let given = disk(&account, arn).join("data/given");
    account
        .until("it says what it was given", PATIENCE, |_| {
            fs::read_to_string(&given).is_ok_and(|text| text.contains('\n'))
        })
        .await;
    let task = described(&account, arn).await;
    for (field, value) in [
        ("lastStatus", json!("RUNNING")),
        ("group", json!("family:c-backup")),
        ("startedBy", json!("backup-trigger")),
        ("launchType", json!("FARGATE")),
        ("availabilityZone", json!("us-east-1a")),
        ("taskDefinitionArn", json!(definition)),
        ("ephemeralStorage", json!({"sizeInGiB": 40})),
        ("overrides", run(&definition, "t")["overrides"].clone()),
    ] {
        assert_eq!(task[field], value, "{field}");
    }
    let details = task["attachments"][0]["details"].as_array().unwrap();
    let detail = |name: &str| details.iter().find(|detail| detail["name"] == name).unwrap()["value"].clone();
    assert_eq!(detail("subnetId"), "subnet-2");
    let address = detail("privateIPv4Address");
    assert!(address.as_str().unwrap().starts_with("127."), "{address}");

    let given = fs::read_to_string(given).unwrap();
    let given: Vec<&str> = given.split_whitespace().collect();
    assert_eq!(given[..3], ["{\"format\":1}", "c", &format!("http://{}", account.at)]);
    let path = given[3].strip_prefix(given[2]).unwrap();
    let (_, metadata) = wire::get(account.at, &format!("{path}/task"), PATIENCE).await.unwrap();
    let metadata: Value = serde_json::from_slice(&metadata).unwrap();
    assert_eq!((&metadata["TaskARN"], &metadata["LaunchType"]), (&json!(arn), &json!("FARGATE")));
    assert_eq!(metadata["Containers"][0]["Networks"][0]["IPv4Addresses"], json!([address]));
    assert!(metadata["ServiceName"].is_null(), "{metadata}");

    let status = control::status(&account.gateway).await;
    assert!(status.nodes.is_empty(), "it is no node");
    assert_eq!((status.tasks[0].family.as_str(), status.tasks[0].status.as_str()), ("c-backup", "RUNNING"));

    fs::write(disk(&account, arn).join("data/end"), "").unwrap();
    let task = until_stopped(&account, arn).await;
    for (field, value) in [
        ("desiredStatus", json!("STOPPED")),
        ("stopCode", json!("EssentialContainerExited")),
        ("stoppedReason", json!("Essential container in task exited")),
    ] {
        assert_eq!(task[field], value, "{field}");
    }
    assert_eq!(task["containers"][0]["exitCode"], 3);
    assert!(!disk(&account, arn).exists(), "its disk is left");
    let log = fs::read_to_string(account.layout.log(&format!("c-backup-{}", id(arn)))).unwrap();
    assert_eq!(log, "up\n", "what it said stays");
    // Nothing starts another one.
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(account.gateway.ecs.tasks().len(), 1);
}

/// `API/API_ListTasks`: family, cluster, launch type and who started it; a service lists its own tasks. `startedBy` is of the task.
#[tokio::test]
async fn it_is_listed_by_what_it_is_of_and_is_no_services_task() {
    let (account, definition) = with_definition("fargate-list", OBEYS_SIGTERM).await;
    let arn = started(&account, &definition, "t").await;
    for (filter, expected) in [
        (json!({}), 1),
        (json!({"family": "c-backup"}), 1),
        (json!({"family": "c"}), 0),
        (json!({"launchType": "FARGATE"}), 1),
        (json!({"launchType": "EC2"}), 0),
        (json!({"startedBy": "backup-trigger"}), 1),
        (json!({"startedBy": "other"}), 0),
        (json!({"serviceName": "c-backup"}), 0),
        (json!({"desiredStatus": "STOPPED"}), 0),
        (json!({"cluster": "other"}), 0),
    ] {
        assert_eq!(listed(&account, filter.clone()).await, expected, "{filter}");
    }
    signal_group(pid(&account, &arn), Signal::KILL);
    assert_eq!(until_stopped(&account, &arn).await["containers"][0]["exitCode"], 137);
    assert_eq!(
        (listed(&account, json!({})).await, listed(&account, json!({"desiredStatus": "STOPPED"})).await),
        (0, 1)
    );
}

/// `API/API_StopTask`: SIGTERM, and SIGKILL after the stop timeout.
#[tokio::test]
async fn stop_task_ends_it_as_it_ends_a_services_task() {
    for (name, script, code, least) in
        [("fargate-term", OBEYS_SIGTERM, 0, 0), ("fargate-kill", IGNORES_SIGTERM, 137, 2)]
    {
        let (account, definition) = with_definition(name, script).await;
        let arn = started(&account, &definition, "t").await;
        let asked = Instant::now();
        let stop = json!({"cluster": "c", "task": arn, "reason": "its deadline has passed"});
        let stopping = ecs(&account, "StopTask", &stop).await["task"].clone();
        assert_eq!(
            (&stopping["lastStatus"], &stopping["desiredStatus"]),
            (&json!("DEACTIVATING"), &json!("STOPPED"))
        );
        let task = until_stopped(&account, &arn).await;
        assert!(asked.elapsed() >= Duration::from_secs(least), "SIGKILL came before the stop timeout");
        assert_eq!(
            (&task["stopCode"], &task["stoppedReason"], &task["containers"][0]["exitCode"]),
            (&json!("UserInitiated"), &json!("its deadline has passed"), &json!(code))
        );
        assert!(!disk(&account, &arn).exists(), "its disk is left");
    }
}

/// `API/ECS_Idempotency`: "If you retry an API request with the same client token and the same request parameters after it has completed
/// successfully, the result of the original request is returned"; with others it "fails with a ConflictException". Both when the answer
/// was lost, and when two calls meet.
#[tokio::test]
async fn a_token_starts_one_task_however_often_it_is_sent() {
    let (account, definition) = with_definition("fargate-token", OBEYS_SIGTERM).await;
    account.gateway.faults.inject(Fault::answer_lost("ecs", "RunTask", 1));
    let request = run(&definition, "t");
    let lost = account.try_json("ecs", &format!("{TARGET}.RunTask"), &request).await;
    assert!(matches!(lost, Err(wire::Failure::Connection(..))), "{lost:?}");
    let (one, two) = tokio::join!(ecs(&account, "RunTask", &request), ecs(&account, "RunTask", &request));
    assert_eq!(one["tasks"][0]["taskArn"], two["tasks"][0]["taskArn"]);
    assert_eq!(one["tasks"][0]["lastStatus"], "RUNNING", "it runs since the first call");
    assert_eq!(account.gateway.ecs.tasks().len(), 1, "one task was started");
    let (new, again) = (run(&definition, "new"), run(&definition, "new"));
    let (one, two) = tokio::join!(ecs(&account, "RunTask", &new), ecs(&account, "RunTask", &again));
    assert_eq!(one["tasks"][0]["taskArn"], two["tasks"][0]["taskArn"], "two first calls at once");
    assert_eq!(account.gateway.ecs.tasks().len(), 2);

    let mut other = request.clone();
    other["overrides"]["containerOverrides"][0]["environment"][0]["value"] = "another order".into();
    let (status, conflict) = call(&account, "RunTask", &other).await;
    assert_eq!((status, &conflict["__type"]), (400, &json!("ConflictException")));
    let first = account.gateway.ecs.tasks()[0].arn.clone();
    assert_eq!(conflict["resourceIds"], json!([first]));
    signal_group(pid(&account, &first), Signal::KILL);
    until_stopped(&account, &first).await;
    let answer = ecs(&account, "RunTask", &request).await;
    let stopped = json!([{"taskArn": first, "lastStatus": "STOPPED", "desiredStatus": "STOPPED"}]);
    assert_eq!(answer["tasks"], stopped, "no second one is started after its end");
}

/// `dev/api_failures_messages`, `API/API_RunTask`: a task that cannot be placed is one of `failures` of an answer with HTTP 200. By
/// `API/ECS_Idempotency` that is the result which a retry with the same token gets.
#[tokio::test]
async fn without_capacity_there_is_a_failure_and_no_task() {
    let (account, definition) = with_definition("fargate-capacity", OBEYS_SIGTERM).await;
    account.gateway.faults.inject(Fault::no_task(1, CAPACITY));
    for _retry in 0..2 {
        let answer = ecs(&account, "RunTask", &run(&definition, "t")).await;
        assert_eq!(answer, json!({"tasks": [], "failures": [{"reason": CAPACITY}]}));
    }
    assert!(account.gateway.ecs.tasks().is_empty());
    started(&account, &definition, "another").await;
    // The same by the API of the local cloud, which the commands use.
    let fault = json!({"service": "ecs", "action": "RunTask", "times": 1, "how": "failure", "code": "RESOURCE:ENI", "message": "none left"});
    wire::post(account.at, "/_local/faults", fault.to_string().into(), PATIENCE).await.unwrap();
    let answer = ecs(&account, "RunTask", &run(&definition, "third")).await;
    assert_eq!(answer["failures"], json!([{"reason": "RESOURCE:ENI", "detail": "none left"}]));
}

/// `dev/stopped-task-error-codes`: `TaskFailedToStart`, with the error of the container. The call has succeeded then.
#[tokio::test]
async fn a_task_whose_container_cannot_be_started_has_stopped() {
    let (account, definition) = with_definition("fargate-start", OBEYS_SIGTERM).await;
    let place = account.layout.run.join("hosts");
    fs::create_dir_all(&place).unwrap();
    fs::write(place.join("fargate"), "no directory").unwrap();
    let accepted = ecs(&account, "RunTask", &run(&definition, "t")).await["tasks"][0].clone();
    assert_eq!((&accepted["lastStatus"], &accepted["stopCode"]), (&json!("PROVISIONING"), &Value::Null));
    let task = described(&account, accepted["taskArn"].as_str().unwrap()).await;
    assert_eq!((&task["lastStatus"], &task["stopCode"]), (&json!("STOPPED"), &json!("TaskFailedToStart")));
    assert!(task["stoppedReason"].as_str().unwrap().starts_with("CannotStartContainerError: "), "{task}");
    assert!(task["containers"][0]["exitCode"].is_null() && task["startedAt"].is_null(), "{task}");
}

/// `API/API_RunTask`, errors; `API/API_AwsVpcConfiguration`, `API/API_EphemeralStorage`. The words are in `src/ecs/run_task.rs`.
#[tokio::test]
async fn what_ecs_refuses_is_refused_and_nothing_is_started() {
    let (account, definition) = with_definition("fargate-refused", OBEYS_SIGTERM).await;
    for (path, value, kind) in [
        ("/networkConfiguration/awsvpcConfiguration/subnets", json!([]), "InvalidParameterException"),
        ("/networkConfiguration/awsvpcConfiguration/securityGroups", json!([]), "InvalidParameterException"),
        ("/overrides/ephemeralStorage/sizeInGiB", json!(20), "InvalidParameterException"),
        ("/overrides/ephemeralStorage/sizeInGiB", json!(201), "InvalidParameterException"),
        ("/overrides/containerOverrides/0/name", json!("neo4j"), "InvalidParameterException"),
        (
            "/taskDefinition",
            json!("arn:aws:ecs:us-east-1:000000000000:task-definition/c-backup:9"),
            "ClientException",
        ),
        ("/cluster", json!("other"), "ClusterNotFoundException"),
        ("/count", json!(3), "UnsupportedFeatureException"),
    ] {
        let mut request = run(&definition, "t");
        *request.pointer_mut(path).unwrap() = value;
        let (status, answer) = call(&account, "RunTask", &request).await;
        assert_eq!((status, &answer["__type"]), (400, &json!(kind)), "{path}: {answer}");
    }
    assert!(account.gateway.ecs.tasks().is_empty());
    let (status, answer) = call(&account, "StartTask", &run(&definition, "t")).await;
    assert_eq!(
        (status, &answer["__type"]),
        (400, &json!("UnsupportedFeatureException")),
        "the emulator would pretend to"
    );
    started(&account, &definition, "t").await;
}

/// `dev/ecs_task_events`: every change of a stand-alone task is an event too; `eb/eb-event-patterns`: its group tells it from a service's.
#[tokio::test]
async fn its_changes_are_events_that_a_rule_hears_by_its_group() {
    let (account, definition) = with_definition("fargate-events", OBEYS_SIGTERM).await;
    tokio::spawn(events::deliver(account.gateway.deliveries.clone(), account.gateway.ecs.changes()));
    let pattern = |group: &str| {
        json!({"source": ["aws.ecs"], "detail-type": ["ECS Task State Change"],
            "detail": {"clusterArn": ["arn:aws:ecs:us-east-1:000000000000:cluster/c"], "group": [group]}})
    };
    let rule = |group: &str| {
        json!({"Type": "AWS::Events::Rule", "Properties": {"EventPattern": pattern(group),
            "Targets": [{"Id": "1", "Arn": {"Fn::GetAtt": ["F", "Arn"]}}]}})
    };
    let heard = json!({"F": account.function("hears", &json!({})), "Own": rule("family:c-backup"), "Other": rule("service:c-backup")});
    account.create("rules", heard).await.must_be("CREATE_COMPLETE").unwrap();
    let arn = started(&account, &definition, "t").await;
    signal_group(pid(&account, &arn), Signal::KILL);
    account.until("both changes are heard", PATIENCE, |account| account.invocations().len() >= 2).await;
    let mut details: Vec<Value> =
        account.invocations().iter().map(|invocation| invocation["event"]["detail"].clone()).collect();
    details.sort_by_key(|detail| detail["version"].as_u64());
    let told: Vec<&str> = details.iter().map(|detail| detail["lastStatus"].as_str().unwrap()).collect();
    assert_eq!(told, ["RUNNING", "STOPPED"]);
    for detail in &details {
        assert_eq!(
            (&detail["group"], &detail["startedBy"], &detail["launchType"], &detail["taskArn"]),
            (&json!("family:c-backup"), &json!("backup-trigger"), &json!("FARGATE"), &json!(arn))
        );
    }
    assert_eq!(details[1]["containers"][0]["exitCode"], 137);
}

/// Not AWS: there a cluster with active tasks is not deleted (`API/API_DeleteCluster`). Here no process outlives its cluster or the cloud.
#[tokio::test]
async fn no_process_outlives_its_cluster_or_the_cloud() {
    let (account, definition) = with_definition("fargate-end", OBEYS_SIGTERM).await;
    let first = started(&account, &definition, "t").await;
    let process = pid(&account, &first);
    account.delete("s").await;
    account.until("its process is gone", PATIENCE, |_| !runs(process)).await;

    let (account, definition) = with_definition("fargate-end-of-cloud", IGNORES_SIGTERM).await;
    let second = started(&account, &definition, "t").await;
    let process = pid(&account, &second);
    account.gateway.ecs.shutdown();
    account.until("its process is gone", PATIENCE, |_| !runs(process)).await;
    let answer = ecs(&account, "RunTask", &run(&definition, "late")).await;
    assert_eq!(answer["tasks"], json!([]), "nothing starts while the cloud ends");
}
