//! ECS as AWS documents it: one case per sentence that the local cloud claims to follow. Tasks are real processes.
//!
//! Pages are of docs.aws.amazon.com: `API/...` of the ECS API reference, `dev/...` of its developer guide. What they do not
//! say is marked as such.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant, SystemTime},
};

use axum::{Json, Router, extract::State, http::HeaderMap, routing::post};
use local::{
    ecs::{Ecs, Image, Task, api},
    emulator::Emulator,
    network::{Kind, Network},
    processes::Processes,
};
use serde_json::{Value, json};

const CLUSTER: &str = "arn:aws:ecs:us-east-1:000000000000:cluster/c";
const IGNORES_SIGTERM: &str = "trap '' TERM; echo up; while :; do sleep 0.1; done";
const OBEYS_SIGTERM: &str = "trap 'exit 0' TERM; echo up; while :; do sleep 0.1; done";

/// The part of the emulator that keeps services: one service, whose desired count a test can change.
#[derive(Clone)]
struct Services(Arc<AtomicUsize>, Option<&'static str>);

async fn answer(State(services): State<Services>, headers: HeaderMap) -> Json<Value> {
    let target = headers["x-amz-target"].to_str().unwrap();
    Json(match target.rsplit('.').next().unwrap() {
        "ListClusters" => json!({"clusterArns": [CLUSTER]}),
        "ListServices" => json!({"serviceArns": ["arn:service/c/core-1"]}),
        "DescribeServices" => {
            json!({"services": [{"serviceName": "core-1", "status": "ACTIVE", "clusterArn": CLUSTER,
            "desiredCount": services.0.load(Ordering::SeqCst), "taskDefinition": "arn:d:1",
            "placementConstraints": [{"type": "memberOf", "expression": "attribute:neo4j.slot == core-1"}]}]})
        }
        "DescribeTaskDefinition" => {
            let mut containers = vec![json!({"name": "neo4j", "essential": true, "stopTimeout": 2,
                "mountPoints": [{"sourceVolume": "data", "containerPath": "/data"}, {"sourceVolume": "logs", "containerPath": "/logs"}]})];
            containers.extend(services.1.map(|script| {
                json!({"name": "beside", "essential": false, "command": ["-c", script],
                    "mountPoints": [{"sourceVolume": "logs", "containerPath": "/logs", "readOnly": true}]})
            }));
            json!({"taskDefinition": {"taskDefinitionArn": "arn:d:1", "family": "core-1",
            "volumes": [{"name": "data", "host": {"sourcePath": "/var/lib/neo4j"}}, {"name": "logs"}],
            "containerDefinitions": containers}})
        }
        other => panic!("{other} is not the emulator's to answer"),
    })
}

struct Stage {
    ecs: Ecs,
    desired: Arc<AtomicUsize>,
    dir: PathBuf,
}

impl Stage {
    async fn set(name: &str, script: &str) -> Self {
        Self::set_with(name, script, None).await
    }

    /// With a second container, which is not essential.
    async fn set_with(name: &str, script: &str, beside: Option<&'static str>) -> Self {
        let desired = Arc::new(AtomicUsize::new(1));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let emulator = Emulator { at: listener.local_addr().unwrap() };
        let app = Router::new().route("/", post(answer)).with_state(Services(desired.clone(), beside));
        tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        let dir = std::env::temp_dir().join(format!("ecs-{}-{name}", std::process::id()));
        let _absent = fs::remove_dir_all(&dir);
        fs::create_dir_all(&dir).unwrap();
        let image = Image {
            program: "/bin/sh".into(),
            arguments: vec!["-c".into(), script.into()],
            environment: vec![],
            hosts: dir.join("hosts"),
            logs: dir.clone(),
            built: None,
        };
        let gateway = SocketAddr::from(([127, 0, 0, 1], 1));
        let processes = Processes::new(dir.join("journal"));
        let network = Network::set_up(Kind::Loopback).unwrap();
        Self { ecs: Ecs::new(emulator, gateway, image, processes, network), desired, dir }
    }

    /// Reconciles until the tasks are as `wanted` says.
    async fn until(&self, what: &str, wanted: impl Fn(&[Task]) -> bool) -> Vec<Task> {
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            self.ecs.reconcile().await.unwrap();
            let tasks = self.ecs.tasks();
            if wanted(&tasks) {
                return tasks;
            }
            assert!(Instant::now() < deadline, "{what}: {tasks:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    async fn one_running(&self) -> Task {
        let tasks = self
            .until("one task runs", |tasks| tasks.iter().any(|task| task.last_status() == "RUNNING"))
            .await;
        let log = self.dir.join(format!("core-1-{}.log", tasks[0].id()));
        self.until("its program is up", |_| fs::read_to_string(&log).is_ok_and(|text| text.contains("up")))
            .await;
        tasks.into_iter().find(|task| task.last_status() == "RUNNING").unwrap()
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.ecs.shutdown();
    }
}

fn ended(tasks: &[Task], arn: &str) -> Option<local::ecs::Stopped> {
    tasks.iter().find(|task| task.arn == arn)?.stopped.clone()
}

/// What a look at the whole cluster lists.
fn listed(tasks: &[Task], desired: &str) -> Vec<String> {
    let answer = api::list_tasks(tasks, &json!({"cluster": "c", "desiredStatus": desired})).unwrap();
    answer["taskArns"].as_array().unwrap().iter().map(|arn| arn.as_str().unwrap().to_owned()).collect()
}

/// `dev/ecs_services.html`: the scheduler keeps the desired number of tasks, and replaces one that stops.
#[tokio::test]
async fn a_task_that_ends_is_stopped_and_replaced_on_another_address() {
    let stage = Stage::set("replaced", OBEYS_SIGTERM).await;
    let first = stage.one_running().await;
    local::processes::signal_group(first.pid, local::processes::Signal::KILL);
    let tasks = stage
        .until("a second task runs", |tasks| tasks.iter().any(|t| t.pid != first.pid && t.stopped.is_none()))
        .await;
    let end = ended(&tasks, &first.arn).unwrap();
    // API/API_Task.html, stopCode: EssentialContainerExited when an essential container exits; 137 is 128 + SIGKILL.
    assert_eq!((end.code, end.exit), ("EssentialContainerExited", Some(137)));
    let second = tasks.iter().find(|task| task.stopped.is_none()).unwrap();
    assert_ne!(second.address, first.address, "a new elastic network interface has a new address");
    assert_ne!(second.arn, first.arn);
}

/// `API/API_StopTask.html`: SIGTERM, then a wait of the stop timeout, then SIGKILL.
#[tokio::test]
async fn stop_task_kills_what_ignores_sigterm_after_the_stop_timeout() {
    let stage = Stage::set("killed", IGNORES_SIGTERM).await;
    let task = stage.one_running().await;
    stage.desired.store(0, Ordering::SeqCst);
    let asked = Instant::now();
    stage.ecs.stop(&task.arn, "enough", "UserInitiated");
    let stopping = stage.ecs.tasks();
    assert_eq!((stopping[0].last_status(), stopping[0].desired_status()), ("DEACTIVATING", "STOPPED"));
    // API/API_ListTasks.html: RUNNING lists what ECS has set the desired status of to RUNNING. So it is out at once.
    assert_eq!(listed(&stopping, "RUNNING"), [] as [String; 0]);
    assert_eq!(listed(&stopping, "STOPPED"), [task.arn.as_str()]);
    let tasks = stage.until("it is stopped", |tasks| ended(tasks, &task.arn).is_some()).await;
    assert!(asked.elapsed() >= Duration::from_secs(2), "SIGKILL came before the stop timeout of 2 s");
    let end = ended(&tasks, &task.arn).unwrap();
    assert_eq!((end.exit, end.reason.as_str(), end.code), (Some(137), "enough", "UserInitiated"));
    assert_eq!(tasks[0].last_status(), "STOPPED");
}

/// `API/API_StopTask.html`: no SIGKILL for a container that handles SIGTERM and exits in time.
#[tokio::test]
async fn stop_task_leaves_what_obeys_sigterm_to_end_by_itself() {
    let stage = Stage::set("obeys", OBEYS_SIGTERM).await;
    let task = stage.one_running().await;
    stage.desired.store(0, Ordering::SeqCst);
    stage.ecs.stop(&task.arn, "enough", "UserInitiated");
    let tasks = stage.until("it is stopped", |tasks| ended(tasks, &task.arn).is_some()).await;
    assert_eq!(ended(&tasks, &task.arn).unwrap().exit, Some(0));
}

/// `dev/service_definition_parameters.html`: with a minimum healthy percent of 0 and a maximum of 100 the old task ends
/// before the new one starts.
#[tokio::test]
async fn the_replacement_waits_until_the_old_task_let_go_of_its_volume() {
    let stage = Stage::set("waits", IGNORES_SIGTERM).await;
    let task = stage.one_running().await;
    stage.ecs.stop(&task.arn, "enough", "UserInitiated");
    let overlap = |tasks: &[Task]| tasks.iter().filter(|task| task.stopped.is_none()).count() > 1;
    let replaced = |tasks: &[Task]| tasks.iter().any(|t| t.arn != task.arn && t.stopped.is_none());
    stage
        .until("it is replaced", |tasks| {
            assert!(!overlap(tasks), "two tasks of one slot at once");
            replaced(tasks)
        })
        .await;
}

/// `dev/bind-mounts.html`: a host volume outlives the task that wrote to it.
#[tokio::test]
async fn a_volume_belongs_to_the_slots_host_and_outlives_its_tasks() {
    let script = "echo x >> $DATA_DIR/starts; echo up; trap 'exit 0' TERM; while :; do sleep 0.1; done";
    let stage = Stage::set("volume", script).await;
    let first = stage.one_running().await;
    stage.ecs.stop(&first.arn, "enough", "UserInitiated");
    stage
        .until("it is replaced", |tasks| tasks.iter().any(|t| t.arn != first.arn && t.stopped.is_none()))
        .await;
    let starts = stage.dir.join("hosts/core-1/var/lib/neo4j/starts");
    stage
        .until("the second start left its mark", |_| {
            fs::read_to_string(&starts).is_ok_and(|text| text == "x\nx\n")
        })
        .await;
}

/// `API/API_ContainerDefinition.html`, `essential`: a task goes on without a container that is not essential, and when an essential one
/// ends, all others of the task are stopped. `API/API_StopTask.html`: all containers of the task get SIGTERM.
#[tokio::test]
async fn a_task_goes_on_without_a_container_that_is_not_essential_and_ends_all_of_them() {
    let gone = Stage::set_with("beside-gone", OBEYS_SIGTERM, Some("echo up; exit 1")).await;
    let task = gone.one_running().await;
    let process = Path::new("/proc").join(task.beside[0].to_string());
    gone.until("the other one has ended", |_| {
        fs::read_to_string(process.join("stat")).is_ok_and(|stat| stat.contains(") Z ")) || !process.exists()
    })
    .await;
    assert_eq!(gone.ecs.tasks()[0].last_status(), "RUNNING");

    let stage = Stage::set_with(
        "beside",
        "echo line > $LOGS_DIR/file; exec sleep 1000",
        Some("until cat $LOGS_DIR/file 2>/dev/null; do sleep 0.05; done; exec sleep 1000"),
    )
    .await;
    let tasks =
        stage.until("it runs", |tasks| tasks.iter().any(|task| task.last_status() == "RUNNING")).await;
    let task = &tasks[0];
    let names: Vec<Value> =
        task.describe()["containers"].as_array().unwrap().iter().map(|one| one["name"].clone()).collect();
    assert_eq!(names, ["beside", "neo4j"]);
    let log = stage.dir.join(format!("core-1-{}-beside.log", task.id()));
    stage.until("they share a volume", |_| fs::read_to_string(&log).is_ok_and(|text| text == "line\n")).await;
    stage.desired.store(0, Ordering::SeqCst);
    local::processes::signal_group(task.pid, local::processes::Signal::KILL);
    let tasks = stage.until("it is stopped", |tasks| ended(tasks, &task.arn).is_some()).await;
    assert_eq!(ended(&tasks, &task.arn).unwrap().exit, Some(137), "the exit code of the essential one");
    assert!(!Path::new("/proc").join(task.beside[0].to_string()).exists(), "the other one is gone with it");
}

/// `API/API_ListTasks.html`: RUNNING is the default status; cluster, service and family filter; pages have a token.
#[tokio::test]
async fn list_tasks_filters_and_pages() {
    let stage = Stage::set("list", OBEYS_SIGTERM).await;
    stage.desired.store(2, Ordering::SeqCst);
    let tasks = stage.until("two tasks run", |tasks| tasks.len() == 2).await;
    let list = |request: Value| api::list_tasks(&tasks, &request).unwrap();
    let length = |answer: &Value| answer["taskArns"].as_array().unwrap().len();
    assert_eq!(length(&list(json!({"cluster": "c"}))), 2, "without a service: the whole cluster");
    assert_eq!(length(&list(json!({"cluster": CLUSTER, "serviceName": "core-1", "family": "core-1"}))), 2);
    assert_eq!(length(&list(json!({"cluster": "c", "serviceName": "other"}))), 0);
    assert_eq!(length(&list(json!({"cluster": "c", "desiredStatus": "STOPPED"}))), 0);
    assert_eq!(length(&list(json!({}))), 0, "the cluster named default is assumed");
    let first = list(json!({"cluster": "c", "maxResults": 1}));
    assert_eq!(length(&first), 1);
    let second = list(json!({"cluster": "c", "maxResults": 1, "nextToken": first["nextToken"]}));
    assert_eq!((length(&second), second["nextToken"].is_null()), (1, true));
    assert_eq!(
        api::list_tasks(&tasks, &json!({"maxResults": 101})).unwrap_err().kind,
        "InvalidParameterException"
    );
}

/// `API/API_DescribeTasks.html`: what is not found is a failure `MISSING`; stopped tasks stay visible; an awsvpc task
/// carries its address (`API/API_NetworkInterface.html`).
#[tokio::test]
async fn describe_tasks_tells_addresses_failures_and_ends() {
    let stage = Stage::set("describe", OBEYS_SIGTERM).await;
    let task = stage.one_running().await;
    let describe = |tasks: &[Task]| {
        api::describe_tasks(tasks, &json!({"cluster": "c", "tasks": [task.id(), "arn:nobody/c/1"]})).unwrap()
    };
    let answer = describe(&stage.ecs.tasks());
    let address = task.address.to_string();
    let described = &answer["tasks"][0];
    assert_eq!(described["containers"][0]["networkInterfaces"][0]["privateIpv4Address"], address.as_str());
    assert_eq!(described["attachments"][0]["details"][0]["value"], address.as_str());
    assert_eq!(
        (&described["lastStatus"], &described["group"]),
        (&json!("RUNNING"), &json!("service:core-1"))
    );
    assert_eq!(answer["failures"], json!([{"arn": "arn:nobody/c/1", "reason": "MISSING"}]));

    stage.desired.store(0, Ordering::SeqCst);
    stage.ecs.stop(&task.arn, "enough", "UserInitiated");
    let tasks = stage.until("it is stopped", |tasks| ended(tasks, &task.arn).is_some()).await;
    let described = &describe(&tasks)["tasks"][0];
    assert_eq!(
        (&described["lastStatus"], &described["stoppedReason"]),
        (&json!("STOPPED"), &json!("enough"))
    );
    assert_eq!(described["containers"][0]["exitCode"], 0);
    // API/API_DescribeTasks.html: stopped tasks appear for at least one hour. After that they may be missing, and here they are.
    let later = |hours: u64| SystemTime::now() + Duration::from_secs(hours * 3600 - 60);
    assert_eq!(describe(&stage.ecs.tasks_at(later(1)))["tasks"][0]["lastStatus"], "STOPPED");
    let gone = describe(&stage.ecs.tasks_at(later(2)));
    assert_eq!(gone["failures"][0], json!({"arn": task.id(), "reason": "MISSING"}));
    assert!(api::stop_task(&tasks, &json!({"cluster": "c", "task": "nobody"})).is_err());
}

/// `dev/ECS_agent.html`: the agent on an instance starts and stops its tasks whenever ECS asks it to, and sends what runs to ECS;
/// `API/API_StopTask.html`. So with a dead agent the call is accepted, the listing follows it, and the containers run on.
#[tokio::test]
async fn with_a_dead_agent_stop_task_is_accepted_and_nothing_happens_until_it_is_back() {
    let stage = Stage::set("dead-agent", IGNORES_SIGTERM).await;
    let task = stage.one_running().await;
    stage.ecs.kill_agent("core-1");
    for reason in ["first", "again"] {
        stage.ecs.stop(&task.arn, reason, "UserInitiated");
        let tasks = stage.ecs.tasks();
        assert!(api::stop_task(&tasks, &json!({"cluster": "c", "task": task.arn})).is_ok());
        assert_eq!((tasks[0].last_status(), tasks[0].desired_status()), ("RUNNING", "STOPPED"));
        assert_eq!(listed(&tasks, "RUNNING"), [] as [String; 0], "it leaves the listing at once");
        assert_eq!(tasks[0].describe()["stoppedReason"], "first");
    }
    // Longer than the stop timeout of two seconds. No successor: with a minimum healthy percent of 0 and a maximum of 100 the old
    // task holds the slot (dev/service_definition_parameters.html).
    let until = Instant::now() + Duration::from_secs(3);
    while Instant::now() < until {
        stage.ecs.reconcile().await.unwrap();
        let tasks = stage.ecs.tasks();
        assert_eq!((tasks.len(), tasks[0].last_status()), (1, "RUNNING"));
        assert!(fs::exists(format!("/proc/{}", task.pid)).unwrap(), "its process was ended");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let back = Instant::now();
    stage.ecs.revive_agent("core-1");
    assert_eq!(stage.ecs.tasks()[0].last_status(), "DEACTIVATING");
    let tasks = stage
        .until("it is stopped and replaced", |tasks| {
            ended(tasks, &task.arn).is_some() && tasks.iter().any(|task| task.stopped.is_none())
        })
        .await;
    assert!(back.elapsed() >= Duration::from_secs(2), "SIGKILL came before the stop timeout of 2 s");
    let end = ended(&tasks, &task.arn).unwrap();
    assert_eq!((end.exit, end.reason.as_str(), end.code), (Some(137), "first", "UserInitiated"));
}

/// `dev/ECS_agent.html` again: what the agent does not report is not known. A task whose processes are gone stays RUNNING.
#[tokio::test]
async fn with_a_dead_agent_an_end_is_not_known_until_it_is_back() {
    let stage = Stage::set("unreported", OBEYS_SIGTERM).await;
    let task = stage.one_running().await;
    stage.ecs.kill_agent("core-1");
    local::processes::signal_group(task.pid, local::processes::Signal::KILL);
    let until = Instant::now() + Duration::from_secs(1);
    while Instant::now() < until {
        stage.ecs.reconcile().await.unwrap();
        assert_eq!(listed(&stage.ecs.tasks(), "RUNNING"), [task.arn.as_str()]);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(!fs::exists(format!("/proc/{}", task.pid)).unwrap(), "its process is gone");
    stage.ecs.revive_agent("core-1");
    let end = ended(&stage.ecs.tasks(), &task.arn).unwrap();
    assert_eq!((end.code, end.exit), ("EssentialContainerExited", Some(137)));
    stage.until("it is replaced", |tasks| listed(tasks, "RUNNING").len() == 1).await;
}

/// `dev/ecs_task_events.html`: when an instance is terminated, the tasks on it are transitioned to STOPPED. The reason is ECS's
/// own sentence; which stop code it has is not documented.
#[tokio::test]
async fn a_terminated_instance_ends_its_task_and_the_slot_goes_on_with_its_volume() {
    let script = "echo x >> $DATA_DIR/starts; trap '' TERM; echo up; while :; do sleep 0.1; done";
    let stage = Stage::set("terminated", script).await;
    let task = stage.one_running().await;
    stage.ecs.kill_agent("core-1");
    stage.ecs.stop(&task.arn, "a fence", "UserInitiated");
    // What an operator finds: a task that is frozen, and an agent that does nothing about it.
    local::processes::signal_group(task.pid, local::processes::Signal::STOP);
    stage.ecs.terminate_instance("core-1");
    let tasks = stage
        .until("it is replaced", |tasks| {
            ended(tasks, &task.arn).is_some() && listed(tasks, "RUNNING").len() == 1
        })
        .await;
    let end = ended(&tasks, &task.arn).unwrap();
    assert!(
        end.reason.starts_with("Host EC2 (instance i-") && end.reason.ends_with(") terminated."),
        "{end:?}"
    );
    assert_eq!(end.exit, None, "no agent was left to read it");
    assert!(stage.ecs.dead_agents().is_empty(), "the next instance has an agent of its own");
    let starts = stage.dir.join("hosts/core-1/var/lib/neo4j/starts");
    stage
        .until("the volume is kept", |_| fs::read_to_string(&starts).is_ok_and(|text| text == "x\nx\n"))
        .await;
}
