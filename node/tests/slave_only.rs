//! A slave-only node with a real Neo4j 3.4.6: it follows a master, and never becomes or founds anything by itself.

use std::time::{Duration, Instant};

use crate::task::{Task, alone, fetch, real_neo4j};
use rustix::process::Signal;
use serde_json::json;

const STACK: [(&str, &str); 5] = [
    ("DIALECT", "HA"),
    ("CORE_SERVICES", "core-1"),
    ("SLAVE_ONLY_SERVICES", "slave-1"),
    ("NEO4J_dbms_memory_heap_max__size", "256m"),
    ("NEO4J_dbms_memory_pagecache_size", "16m"),
];

fn until(what: &str, wanted: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(120);
    while !wanted() {
        assert!(Instant::now() < deadline, "{what}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// For longer than an election takes, or than a core node looks for a cluster before it founds one (2 s here).
fn is_never_master(task: &Task) {
    let until = Instant::now() + Duration::from_secs(15);
    while Instant::now() < until {
        assert_ne!(fetch(task, "/role").0, 200, "a slave-only node is the master");
        std::thread::sleep(Duration::from_millis(200));
    }
}

#[test]
fn a_slave_only_node_founds_nothing_follows_its_master_and_never_takes_its_place() {
    let _alone = alone();
    let core = Task::new(40, &real_neo4j());
    let slave = Task::with_metadata(41, &real_neo4j(), &json!({"ServiceName": "slave-1"}));
    std::fs::write(slave.volume.join("slot.json"), r#"{"stack":"s","slot":"slave-1"}"#).unwrap();
    // ECS knows the core's task, which has not started Neo4j yet.
    slave.cloud.peers.lock().unwrap()[0] = Some(core.address);
    let alone = slave.start(&STACK);
    until("it looks for a cluster", || alone.log().contains("Attempting to join cluster"));
    is_never_master(&slave);
    assert!(!alone.log().contains("Creating new cluster"), "{}", alone.log());
    drop(alone);

    let (master, follower) = (core.start(&STACK), slave.start(&STACK));
    until("the core is the master", || fetch(&core, "/role").0 == 200);
    until("the slave-only node serves reads", || fetch(&slave, "/read").0 == 200);
    assert_ne!(fetch(&slave, "/role").0, 200);

    rustix::process::kill_process(master.neo4j(), Signal::KILL).unwrap();
    is_never_master(&slave);
    drop(follower);
}
