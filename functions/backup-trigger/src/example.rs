//! An example of a cluster at rest and of a bucket, for the tests of the pure parts.

use std::time::Duration;

use backups::{
    Catalogue, Consistency, Counts, Data, Entry, Folder, Keep, Listed, MANIFEST_FORMAT, Manifest, Retention,
    Seen, Tier, Time,
};
use jiff::tz::TimeZone;
use neo4j::{Status, phase};
use topology::{Kind, Mode, Slot};

use crate::{Node, Owner, Policy, Schedule, Started, View};

/// Three core slots and a slave-only one, hourly backups and a daily one at 02:00 in UTC.
pub(crate) fn policy() -> Policy {
    let deadline = Duration::from_secs(7200);
    Policy {
        stack_id: "arn:s".into(),
        mode: Mode::Ha,
        slots: Slot::numbered(&["core-1", "core-2", "core-3"], &["slave-1"]),
        schedule: Schedule { hourly: true, daily: Some("02:00".parse().unwrap()), zone: TimeZone::UTC },
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

/// A node at rest. The first one is the master; all are at transaction 1000.
pub(crate) fn node(slot: &Slot) -> Node {
    let last = u8::try_from(slot.server_id).unwrap();
    Node {
        slot: slot.clone(),
        task: format!("task-{}", slot.name),
        definition: if slot.kind == Kind::Core { "core:7".into() } else { "slave:7".into() },
        address: Some([10, 0, 0, last].into()),
        subnet: Some(format!("subnet-{last}")),
        running: true,
        stopping: false,
        status: Some(Status {
            phase: phase::RUNNING.into(),
            role: if slot.server_id == 1 { "master".into() } else { "slave".into() },
            last_transaction: Some(1000),
            store_bytes: Some(1 << 30),
            backup_server: Some(true),
            ..Status::default()
        }),
    }
}

/// All nodes of [`policy`] at rest.
pub(crate) fn view() -> View {
    View {
        id: "id-1".into(),
        owner: Owner::Ours,
        task: None,
        started: Started::NotKnown,
        nodes: Ok(policy().slots.iter().map(node).collect()),
        pause: Ok(None),
    }
}

/// A backup from core-3 that took a minute.
pub(crate) fn entry(tier: Tier, began: u64, consistency: Consistency) -> Entry {
    let folder = Folder::new(tier, Time::of_epoch(began), format!("e{began}")).unwrap();
    let manifest = manifest(&folder, consistency);
    Entry { data: Some(manifest.data.bytes), manifest: Ok(manifest), held: false, folder }
}

pub(crate) fn manifest(folder: &Folder, consistency: Consistency) -> Manifest {
    Manifest {
        format: MANIFEST_FORMAT,
        neo4j: "3.4.6".parse().unwrap(),
        dialect: "HA".into(),
        store_format: None,
        database: "graph.db".into(),
        created: folder.time,
        source: "core-3".into(),
        last_transaction: Some(42),
        counts: Some(Counts { nodes: 1, relationships: 1 }),
        data: Data { key: folder.data(), bytes: 100, sha256: "0".repeat(64) },
        consistency,
        tool: "neo4j-admin backup 3.4.6".into(),
        store_id: None,
        store_bytes: Some(1000),
        finished: Some(Time::of_epoch(folder.time.epoch() + 60)),
        source_role: Some("slave".into()),
        master: Some(Seen { last_transaction: 50, at: folder.time }),
        seconds: None,
    }
}

/// These backups, newest first, and nothing else.
pub(crate) fn catalogue(mut entries: Vec<Entry>) -> Catalogue {
    entries.sort_by(|a, b| b.folder.cmp(&a.folder));
    let mut catalogue = Catalogue::default();
    catalogue.entries = entries;
    catalogue
}

/// The objects of folders without a manifest.
pub(crate) fn leftovers(folders: &[Folder]) -> Catalogue {
    let listing: Vec<Listed> = folders.iter().map(|folder| Listed { key: folder.data(), bytes: 9 }).collect();
    Catalogue::of(&listing, &std::collections::BTreeMap::new())
}
