//! Where tasks are placed, and whose volume they find there: with the real node program, through the gateway.
//!
//! Pages are of docs.aws.amazon.com: `dev/...` of ECS's developer guide, `cfn/...` of CloudFormation's template reference.

use std::{
    fs,
    path::PathBuf,
    time::{Duration, Instant},
};

use crate::account::{Account, PATIENCE};
use local::{ecs::Task, layout::Layout};
use serde_json::{Value, json};

const TARGET: &str = "AmazonEC2ContainerServiceV20141113";
/// A program that knows nothing of slots, and leaves a mark on what it finds as its volume.
const CARELESS: &str = "echo $$ >> $DATA_DIR/marks; trap 'exit 0' TERM; while :; do sleep 0.1; done";
/// Neo4j obeys SIGTERM.
const NEO4J: &str = "#!/bin/sh\ntrap 'exit 143' TERM\nwhile :; do sleep 0.1; done\n";

fn definition(family: &str, environment: &Value) -> Value {
    json!({"Type": "AWS::ECS::TaskDefinition", "Properties": {"Family": family,
        "Volumes": [{"Name": "data", "Host": {"SourcePath": "/var/lib/neo4j"}}],
        "ContainerDefinitions": [{"Name": "neo4j", "Image": "i", "Memory": 64, "Essential": true, "StopTimeout": 2,
            "MountPoints": [{"SourceVolume": "data", "ContainerPath": "/data"}], "Environment": environment}]}})
}

/// A service of the cluster `s`; `on` is the slot whose host it asks for, if any.
fn service(name: &str, on: Option<&str>) -> Value {
    let mut service = json!({"Type": "AWS::ECS::Service", "Properties": {
        "ServiceName": name, "Cluster": {"Ref": "Cluster"}, "TaskDefinition": {"Ref": "Definition"},
        "DesiredCount": 1, "LaunchType": "EC2",
        "DeploymentConfiguration": {"MinimumHealthyPercent": 0, "MaximumPercent": 100}}});
    if let Some(slot) = on {
        let expression = format!("attribute:neo4j.slot == {slot}");
        service["Properties"]["PlacementConstraints"] =
            json!([{"Type": "memberOf", "Expression": expression}]);
    }
    service
}

fn stack(cluster: &str, services: &[(&str, Value)], environment: &Value) -> Value {
    let mut resources = json!({
        "Cluster": {"Type": "AWS::ECS::Cluster", "Properties": {"ClusterName": cluster}},
        "Definition": definition(cluster, environment),
    });
    for (logical, service) in services {
        resources[*logical] = service.clone();
    }
    resources
}

/// Waits until the tasks are as `wanted` says.
async fn until(account: &Account, what: &str, wanted: impl Fn(&[Task]) -> bool) -> Vec<Task> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let tasks = account.gateway.ecs.tasks();
        if wanted(&tasks) {
            return tasks;
        }
        assert!(Instant::now() < deadline, "{what}: {tasks:#?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn running<'a>(tasks: &'a [Task], service: &str) -> Option<&'a Task> {
    tasks.iter().find(|task| task.service == service && task.last_status() == "RUNNING")
}

/// What the service reports first.
async fn newest_event(account: &Account, cluster: &str, service: &str) -> String {
    let body = json!({"cluster": cluster, "services": [service]});
    let (_, answer) = account.json("ecs", &format!("{TARGET}.DescribeServices"), &body).await;
    answer["services"][0]["events"][0]["message"].as_str().unwrap_or_default().to_owned()
}

async fn until_event(account: &Account, cluster: &str, service: &str, wanted: &str) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let newest = newest_event(account, cluster, service).await;
        if newest.contains(wanted) {
            return;
        }
        assert!(Instant::now() < deadline, "{newest:?} and not {wanted:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn volume(account: &Account, slot: &str) -> PathBuf {
    account.layout.run.join("hosts").join(slot).join("var/lib/neo4j")
}

/// An account whose tasks are the real node program with a stand-in for Neo4j, and its variables.
async fn with_nodes(name: &str) -> (Account, Value) {
    let program = Layout::find("unused").unwrap().node_program();
    assert!(program.exists(), "{} is not built: run `make release`", program.display());
    let account = Account::with_tasks(name, &format!("exec {} run", program.display())).await;
    let home = account.layout.run.join("home");
    fs::create_dir_all(home.join("bin")).unwrap();
    let neo4j = home.join("bin/neo4j");
    fs::write(&neo4j, NEO4J).unwrap();
    fs::set_permissions(&neo4j, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let variables = [
        ("DIALECT", "SINGLE"),
        ("NEO4J_VERSION", "3.4.6"),
        ("CLUSTER", "s"),
        ("STACK", "s"),
        ("CORE_SERVICES", "s-core-1"),
        ("NEO4J_dbms_security_auth__enabled", "false"),
        ("NEO4J_ACCEPT_LICENSE_AGREEMENT", "yes"),
        ("NEO4J_HOME", home.to_str().unwrap()),
        // On no disk: without root there is no second one to put volumes on.
        ("ROOT_DISK", "/proc/version"),
    ];
    (account, variables.iter().map(|(name, value)| json!({"Name": name, "Value": value})).collect())
}

/// The log of a task, and that it has ended with exit code 1.
async fn refused(account: &Account, service: &str) -> String {
    let failed = |task: &&Task| {
        let end = task.stopped.as_ref().filter(|end| end.code == "EssentialContainerExited");
        task.service == service && end.is_some_and(|end| end.exit == Some(1))
    };
    let tasks =
        until(account, "its node program refuses", |tasks| tasks.iter().any(|task| failed(&task))).await;
    let id = tasks.iter().find(failed).unwrap().id().to_owned();
    fs::read_to_string(account.layout.run.join(format!("logs/{service}-{id}.log"))).unwrap()
}

/// Which of the lines that the program has logged is an error.
fn error(log: &str) -> Value {
    let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let mut errors = lines.filter(|line| line["level"] == "ERROR");
    errors.next().unwrap_or_else(|| panic!("no error in {log}"))
}

/// `dev/task-placement-constraints`: a constraint is binding. So each slot has its own host, and its own volume.
#[tokio::test]
async fn each_slot_is_placed_on_its_own_host() {
    let account = Account::with_tasks("own-hosts", CARELESS).await;
    let services =
        [("A", service("s-core-1", Some("s-core-1"))), ("B", service("s-core-2", Some("s-core-2")))];
    account.create("s", stack("s", &services, &json!([]))).await.must_be("CREATE_COMPLETE").unwrap();
    let both = |tasks: &[Task]| ["s-core-1", "s-core-2"].iter().all(|name| running(tasks, name).is_some());
    let tasks = until(&account, "both run", both).await;
    for slot in ["s-core-1", "s-core-2"] {
        assert_eq!(running(&tasks, slot).unwrap().host, slot);
        let identity = fs::read_to_string(volume(&account, slot).join("slot.json")).unwrap();
        assert_eq!(serde_json::from_str::<Value>(&identity).unwrap(), json!({"stack": "s", "slot": slot}));
    }
    // `dev/task-placement-constraints` again: what no host meets is not placed.
    let mut elsewhere = stack("s", &services, &json!([]));
    let zone = json!([{"Type": "memberOf", "Expression": "attribute:ecs.availability-zone == us-east-1a"}]);
    elsewhere["C"] = service("s-core-3", None);
    elsewhere["C"]["Properties"]["PlacementConstraints"] = zone;
    account.update("s", elsewhere).await.must_be("UPDATE_COMPLETE").unwrap();
    let event = "was unable to place a task because no container instance met all of its requirements. Reason: MemberOf placement \
                 constraint unsatisfied.";
    until_event(&account, "s", "s-core-3", event).await;
}

/// `cfn/aws-resource-ecs-service`, `dev/cluster-query-language`: an expression that cannot be read fails the deployment.
#[tokio::test]
async fn a_constraint_that_is_not_known_fails_the_deployment() {
    let account = Account::with_tasks("constraint", CARELESS).await;
    for constraint in [
        json!({"Type": "memberOf", "Expression": "neo4j.slot = s-core-1"}),
        json!({"Type": "memberOf"}),
        json!({"Type": "distinctInstance"}),
    ] {
        let mut own = service("s-core-1", None);
        own["Properties"]["PlacementConstraints"] = json!([constraint]);
        let ended = account.create("s", stack("s", &[("A", own)], &json!([]))).await;
        ended.must_be("ROLLBACK_COMPLETE").unwrap();
        account.delete("s").await;
    }
    assert!(account.gateway.ecs.tasks().is_empty() && account.gateway.ecs.hosts().is_empty());
}

/// `dev/task-placement`: without a constraint a task is placed on any host of its cluster with room; `dev/task-networking-awsvpc`: each
/// task takes an interface, of which a `.large` instance has two to give.
#[tokio::test]
async fn without_a_constraint_a_task_gets_any_host_of_its_cluster_that_has_room() {
    let account = Account::with_tasks("any-host", CARELESS).await;
    let mut services = vec![("A", service("s-core-1", None))];
    account.create("s", stack("s", &services, &json!([]))).await.must_be("CREATE_COMPLETE").unwrap();
    until_event(&account, "s", "s-core-1", "Reason: No Container Instances were found in your cluster.")
        .await;
    // A host of another cluster is none of this one's.
    let other = [("A", service("t-core-1", Some("t-core-1")))];
    account.create("t", stack("t", &other, &json!([]))).await.must_be("CREATE_COMPLETE").unwrap();
    until(&account, "the other one runs", |tasks| running(tasks, "t-core-1").is_some()).await;
    assert!(newest_event(&account, "s", "s-core-1").await.contains("No Container Instances"));

    services.push(("B", service("s-core-2", Some("s-core-2"))));
    services.push(("C", service("s-core-3", None)));
    account.update("s", stack("s", &services, &json!([]))).await.must_be("UPDATE_COMPLETE").unwrap();
    let two = |tasks: &[Task]| tasks.iter().filter(|task| task.host == "s-core-2").count() == 2;
    let tasks = until(&account, "two tasks are on the one host", two).await;
    let left = ["s-core-1", "s-core-2", "s-core-3"].into_iter().find(|name| running(&tasks, name).is_none());
    until_event(&account, "s", left.unwrap(), "s-core-2 encountered error \"RESOURCE:ENI\".").await;
    // `dev/bind-mounts`: both have the host's directory.
    let marks = volume(&account, "s-core-2").join("marks");
    let deadline = Instant::now() + PATIENCE;
    while fs::read_to_string(&marks).unwrap_or_default().lines().count() < 2 {
        assert!(Instant::now() < deadline, "two programs have written to one volume");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// `dev/bind-mounts`: what is on a host's disk outlives a task, and ends with the disk. A volume of its own outlives the instance; one that
/// is lost with it does not.
#[tokio::test]
async fn a_volume_is_kept_with_another_instance_and_blank_after_a_loss() {
    let account = Account::with_tasks("lost", CARELESS).await;
    let services = [("A", service("s-core-1", Some("s-core-1")))];
    account.create("s", stack("s", &services, &json!([]))).await.must_be("CREATE_COMPLETE").unwrap();
    let marks = volume(&account, "s-core-1").join("marks");
    let until_marks = async |number: usize| {
        let deadline = Instant::now() + PATIENCE;
        while fs::read_to_string(&marks).unwrap_or_default().lines().count() != number {
            assert!(Instant::now() < deadline, "not {number} marks");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    until_marks(1).await;
    account.gateway.ecs.terminate_instance("s-core-1");
    until_marks(2).await;
    account.gateway.ecs.lose("s-core-1").unwrap();
    until_marks(1).await;
    let identity = fs::read_to_string(volume(&account, "s-core-1").join("slot.json")).unwrap();
    assert_eq!(serde_json::from_str::<Value>(&identity).unwrap(), json!({"stack": "s", "slot": "s-core-1"}));
    assert!(account.gateway.ecs.lose("s-core-9").is_err(), "there is no such host");
}

/// Fault 53, from the side of the cloud: nothing in ECS keeps a task without a constraint off another slot's volume. The node
/// program does.
#[tokio::test]
async fn fault_53_two_slots_on_one_host_are_seen_to_fail() {
    let (account, variables) = with_nodes("one-host").await;
    let services = [("A", service("s-core-1", Some("s-core-1")))];
    account.create("s", stack("s", &services, &variables)).await.must_be("CREATE_COMPLETE").unwrap();
    until(&account, "core-1 runs", |tasks| running(tasks, "s-core-1").is_some()).await;

    let mut both = stack("s", &services, &variables);
    let mut second = variables.clone();
    second[4] = json!({"Name": "CORE_SERVICES", "Value": "s-core-2"});
    both["Second"] = definition("second", &second);
    both["B"] = service("s-core-2", None);
    both["B"]["Properties"]["TaskDefinition"] = json!({"Ref": "Second"});
    account.update("s", both).await.must_be("UPDATE_COMPLETE").unwrap();

    let log = refused(&account, "s-core-2").await;
    let error = error(&log);
    assert_eq!(
        (&error["event"], &error["slot"]),
        (&json!("not-this-slots-volume"), &json!("s-core-2")),
        "{log}"
    );
    let said = error["message"].as_str().unwrap();
    assert!(
        said.contains("belongs to the slot s-core-1 of the stack s, and this task is in the slot s-core-2"),
        "{said}"
    );
    assert!(!log.contains("neo4j-started"), "{log}");
    let tasks = account.gateway.ecs.tasks();
    assert!(running(&tasks, "s-core-1").is_some(), "the slot whose host it is goes on: {tasks:#?}");
    let identity = fs::read_to_string(volume(&account, "s-core-1").join("slot.json")).unwrap();
    assert!(identity.contains("s-core-1"), "only the host writes it: {identity}");
}

/// Fault 45: the volume is not mounted, and Docker makes the path that is missing.
#[tokio::test]
async fn fault_45_a_volume_that_is_not_mounted_is_refused_until_its_host_is_given_another_one() {
    let (account, variables) = with_nodes("not-mounted").await;
    let services = [("A", service("s-core-1", Some("s-core-1")))];
    account.create("s", stack("s", &services, &variables)).await.must_be("CREATE_COMPLETE").unwrap();
    until(&account, "it runs", |tasks| running(tasks, "s-core-1").is_some()).await;
    let ecs = account.gateway.ecs.clone();
    ecs.take_host("s-core-1");
    let all_ended = |tasks: &[Task]| tasks.iter().all(|task| task.stopped.is_some());
    until(&account, "its task is gone", all_ended).await;
    let place = volume(&account, "s-core-1");
    fs::remove_dir_all(&place).unwrap();
    ecs.give_host("s-core-1");
    let log = refused(&account, "s-core-1").await;
    assert!(place.is_dir(), "the path is made, as Docker does it");
    assert_eq!(error(&log)["event"], "volume-without-identity", "{log}");
    assert_eq!(fs::read_dir(&place).unwrap().count(), 0, "nothing is written to it");

    // A new instance with a blank volume of the slot's own.
    ecs.lose("s-core-1").unwrap();
    until(&account, "it runs again", |tasks| running(tasks, "s-core-1").is_some()).await;
    assert!(place.join("slot.json").exists());
}
