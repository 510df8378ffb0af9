//! A slave-only node with a real Neo4j 3.4.6: it follows a master, and never becomes or founds anything by itself.

mod task;

use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::json;
use task::{Task, fetch, real_neo4j};

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

/// Longer than an election takes, and than a node that may found a cluster waits for one to join.
fn is_never_master(task: &Task) {
    let until = Instant::now() + Duration::from_secs(45);
    while Instant::now() < until {
        assert_ne!(fetch(task, "/role").0, 200, "a slave-only node is the master");
        std::thread::sleep(Duration::from_millis(200));
    }
}

#[test]
fn a_slave_only_node_waits_for_its_master_follows_it_and_takes_no_place_of_it() {
    let core = Task::new(40, &real_neo4j());
    let slave = Task::with_metadata(41, &real_neo4j(), &json!({"ServiceName": "slave-1"}));
    std::fs::write(slave.volume.join("slot.json"), r#"{"stack":"s","slot":"slave-1"}"#).unwrap();
    // ECS knows the core's task, which has not started Neo4j yet.
    slave.cloud.peers.lock().unwrap()[0] = Some(core.address);
    let alone = slave.start(&STACK);
    alone.until_log("neo4j-started");
    is_never_master(&slave);

    let master = core.start(&STACK);
    until("the core is the master", || fetch(&core, "/role").0 == 200);
    until("the slave-only node serves reads", || fetch(&slave, "/read").0 == 200);
    assert_ne!(fetch(&slave, "/role").0, 200);

    rustix::process::kill_process(master.neo4j(), Signal::KILL).unwrap();
    is_never_master(&slave);
    drop(alone);
}
