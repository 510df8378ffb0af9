//! The node program as a process, before it starts Neo4j: which slot it is in, and whether the data directory is that slot's.

use std::{
    fs,
    time::{Duration, Instant},
};

use crate::task::{Node, OBEYS, THREE, Task};
use rustix::process::Signal;
use serde_json::{Value, json};

const SLAVE: (&str, &str) = ("SLAVE_ONLY_SERVICES", "slave-1");

/// The one line that it has logged before it ended with a failure.
fn refusal(task: &Task, mut node: Node) -> Value {
    assert_eq!(node.until_ended().code(), Some(1), "{}", node.log());
    assert_eq!(node.log().lines().count(), 1, "{}", node.log());
    assert!(!task.dir.join("conf/neo4j.conf").exists(), "nothing is written");
    serde_json::from_str(&node.log()).unwrap()
}

fn conf(task: &Task, node: &Node) -> String {
    node.until_log("neo4j-started");
    fs::read_to_string(task.dir.join("conf/neo4j.conf")).unwrap()
}

fn all_peers(task: &Task) {
    *task.cloud.peers.lock().unwrap() = [1, 2, 3].map(|last| Some([10, 0, 0, last].into())).to_vec();
}

#[test]
fn fault_53_a_directory_of_another_slot_or_of_none_is_refused_and_left_as_it_is() {
    let task = Task::new(30, OBEYS);
    let file = task.volume.join("slot.json");
    let large = format!("{{\"stack\":\"s\",\"slot\":\"core-1\"}}{}", " ".repeat(1 << 20));
    for (text, event, said) in [
        (
            Some("{\"stack\":\"s\",\"slot\":\"core-2\"}"),
            "not-this-slots-volume",
            "belongs to the slot core-2 of the stack s,",
        ),
        (
            Some("{\"stack\":\"t\",\"slot\":\"core-1\"}"),
            "not-this-slots-volume",
            "belongs to the slot core-1 of the stack t,",
        ),
        (Some("{\"stack\":\"s\""), "volume-without-identity", "slot.json is not valid"),
        (Some(&large), "volume-without-identity", "it has more than 4096 bytes"),
        (None, "volume-without-identity", "has no slot.json"),
    ] {
        match text {
            Some(text) => fs::write(&file, text).unwrap(),
            None => fs::remove_file(&file).unwrap(),
        }
        // A secret and peers that cannot be had are not looked for.
        let secret = [("NEO4J_dbms_security_auth__enabled", "true"), ("ADMIN_SECRET_ARN", "arn:other")];
        let line = refusal(&task, task.start(&[THREE[0], THREE[1], secret[0], secret[1]]));
        assert_eq!((&line["event"], &line["slot"]), (&json!(event), &json!("core-1")), "{line}");
        assert!(line["message"].as_str().unwrap().contains(said), "{line}");
        assert_eq!(fs::read_to_string(&file).ok().as_deref(), text, "only the host writes it");
        assert_eq!(fs::read_dir(&task.volume).unwrap().count(), usize::from(text.is_some()));
    }
}

#[test]
fn fault_45_the_root_disk_is_refused_even_with_the_slots_own_file() {
    let task = Task::new(31, OBEYS);
    let place = task.dir.join("data");
    fs::create_dir(&place).unwrap();
    fs::write(place.join("slot.json"), r#"{"stack":"s","slot":"core-1"}"#).unwrap();
    let line = refusal(&task, task.start(&[("DATA_DIR", place.to_str().unwrap())]));
    assert_eq!(line["event"], "no-volume");
    assert!(
        line["message"]
            .as_str()
            .unwrap()
            .contains("is on the file system where the container engine keeps its files"),
        "{line}"
    );
    let absent = task.volume.join("absent");
    let line = refusal(&task, task.start(&[("DATA_DIR", absent.to_str().unwrap())]));
    assert_eq!(line["event"], "no-volume");
    assert!(line["message"].as_str().unwrap().contains("cannot be read (No such file"), "{line}");
    let line = refusal(&task, task.start(&[("ROOT_DISK", absent.to_str().unwrap())]));
    assert!(line["message"].as_str().unwrap().contains("let ROOT_DISK name a file"), "{line}");
}

#[test]
fn the_slot_is_that_of_the_tasks_service() {
    let task = Task::with_metadata(32, OBEYS, &json!({"ServiceName": "core-2", "TaskARN": "t3"}));
    fs::write(task.volume.join("slot.json"), r#"{"stack":"s","slot":"core-2"}"#).unwrap();
    all_peers(&task);
    let node = task.start(&THREE);
    let conf = conf(&task, &node);
    assert!(conf.contains("ha.server_id=2\n") && conf.contains("ha.slave_only=false\n"), "{conf}");
    let hosts = format!("ha.initial_hosts=10.0.0.1:5001,{}:5001,10.0.0.3:5001\n", task.address);
    assert!(conf.contains(&hosts), "{conf}");
    for line in node.log().lines().filter(|line| line.starts_with('{')) {
        let line: Value = serde_json::from_str(line).unwrap();
        assert_eq!(line["slot"], "core-2", "a stream of all slots has the lines of each: {line}");
    }
}

#[test]
fn an_agent_before_1_63_tells_no_service_and_then_ecs_is_asked() {
    let task = Task::with_metadata(33, OBEYS, &json!({"TaskARN": "t3"}));
    fs::write(task.volume.join("slot.json"), r#"{"stack":"s","slot":"core-3"}"#).unwrap();
    all_peers(&task);
    let node = task.start(&THREE);
    assert!(conf(&task, &node).contains("ha.server_id=3\n"));
}

#[test]
fn a_task_of_no_slot_is_refused() {
    for (test, told, said) in [
        (
            34,
            json!({"ServiceName": "core-4", "TaskARN": "t1"}),
            "this task's service core-4 is not a slot of the cluster",
        ),
        (35, json!({"TaskARN": "t0"}), "ECS reports no service of this task"),
    ] {
        let task = Task::with_metadata(test, OBEYS, &told);
        let line = refusal(&task, task.start(&THREE));
        assert_eq!((&line["event"], &line["slot"]), (&json!("no-slot"), &Value::Null), "{line}");
        assert!(line["message"].as_str().unwrap().starts_with(said), "{line}");
    }
}

#[test]
fn a_slave_only_slot_waits_for_the_core_and_is_no_part_of_what_forms() {
    let task = Task::with_metadata(36, OBEYS, &json!({"ServiceName": "slave-1"}));
    fs::write(task.volume.join("slot.json"), r#"{"stack":"s","slot":"slave-1"}"#).unwrap();
    let node = task.start(&[THREE[0], THREE[1], SLAVE]);
    node.until_log("no address yet of core-1, core-2, core-3");
    all_peers(&task);
    let conf = conf(&task, &node);
    for line in [
        "ha.server_id=4",
        "ha.slave_only=true",
        "ha.allow_init_cluster=false",
        "ha.initial_hosts=10.0.0.1:5001,10.0.0.2:5001,10.0.0.3:5001",
    ] {
        assert!(conf.lines().any(|found| found == line), "{line} is not in\n{conf}");
    }
    drop(node);
    let line = refusal_without_conf(&task);
    assert_eq!(line["event"], "no-slot");
    assert!(
        line["message"]
            .as_str()
            .unwrap()
            .starts_with("the slot slave-1 is slave-only, which only DIALECT=HA has")
    );
}

/// In CLUSTER, which knows no slave-only members.
fn refusal_without_conf(task: &Task) -> Value {
    fs::remove_file(task.dir.join("conf/neo4j.conf")).unwrap();
    refusal(task, task.start(&[("DIALECT", "CLUSTER"), THREE[1], SLAVE]))
}

#[test]
fn fault_46_a_branched_store_rings_until_it_is_heard() {
    let task = Task::new(37, OBEYS);
    fs::create_dir_all(task.volume.join("databases/graph.db/branched/1700000000000")).unwrap();
    task.cloud.deaf.store(1, std::sync::atomic::Ordering::SeqCst);
    let mut node = task.start(&[("EVENT_BUS", "default")]);
    node.until_log("branched-store");
    node.until_log("doorbell-failed");
    let bell = ("branched-store".to_owned(), r#"{"stack":"s","slot":"core-1"}"#.to_owned());
    let bells = || task.cloud.bells.lock().unwrap().clone();
    let deadline = Instant::now() + Duration::from_secs(30);
    while bells().len() < 2 {
        assert!(Instant::now() < deadline, "{:?}", bells());
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(bells(), [bell.clone(), bell], "refused once, and rung again");
    node.signal(Signal::TERM);
    assert_eq!(node.until_ended().code(), Some(0), "{}", node.log());
    assert_eq!(node.log().matches("\"event\":\"branched-store\"").count(), 1, "logged once");
}
