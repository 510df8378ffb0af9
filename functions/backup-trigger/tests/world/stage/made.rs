//! A cluster at rest, its rules, and what a worker writes.

use std::time::Duration;

use backup_trigger::{DailyAt, Node, Policy, Schedule};
use backups::{Consistency, Data, Keep, MANIFEST_FORMAT, Manifest, Order, Retention, Time};
use neo4j::{Status, phase};
use topology::{Mode, Slot};

use super::STACK;

pub fn policy() -> Policy {
    let deadline = Duration::from_secs(2 * 3600);
    Policy {
        stack_id: STACK.into(),
        mode: Mode::Ha,
        slots: Slot::numbered(&["core-1", "core-2", "core-3"], &["slave-1"]),
        schedule: Schedule {
            hourly: true,
            daily: Some("02:00".parse::<DailyAt>().unwrap()),
            zone: jiff::tz::TimeZone::UTC,
        },
        retention: Retention {
            hourly: Keep { newest: 6, days: Some(1) },
            daily: Keep { newest: 7, days: Some(14) },
            manual: Keep { newest: 0, days: None },
            deadline,
        },
        deadline,
        max_lag: 100,
        from_master: false,
    }
}

pub fn node(slot: &Slot) -> Node {
    let last = u8::try_from(slot.server_id).unwrap();
    Node {
        slot: slot.clone(),
        task: format!("task-{}", slot.name),
        definition: format!("{:?}:7", slot.kind),
        address: Some([10, 0, 0, last].into()),
        subnet: Some(format!("subnet-{last}")),
        running: true,
        stopping: false,
        status: Some(Status {
            phase: phase::RUNNING.into(),
            role: if last == 1 { "master".into() } else { "slave".into() },
            last_transaction: Some(1000),
            store_bytes: Some(1 << 30),
            backup_server: Some(true),
            ..Status::default()
        }),
    }
}

pub fn manifest(order: &Order, consistency: Consistency, done: u64) -> Manifest {
    let folder = &order.folder;
    Manifest {
        format: MANIFEST_FORMAT,
        neo4j: "3.4.6".parse().unwrap(),
        dialect: "HA".into(),
        store_format: None,
        database: "graph.db".into(),
        created: folder.time,
        source: order.source.slot.clone(),
        last_transaction: Some(1000),
        counts: None,
        data: Data { key: folder.data(), bytes: 100, sha256: "0".repeat(64) },
        consistency,
        tool: "test".into(),
        store_id: None,
        store_bytes: Some(1 << 30),
        finished: Some(Time::of_epoch(done)),
        source_role: Some(order.source.role.clone()),
        master: order.master,
        seconds: None,
    }
}
