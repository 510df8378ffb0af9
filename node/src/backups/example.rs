//! A bucket of backups for the tests of the pure parts: one of each kind, as they are at [`now`].

use std::collections::BTreeMap;

use backups::{
    Catalogue, Consistency, Counts, Data, Folder, Listed, MANIFEST_FORMAT, Manifest, Seconds, Seen, Time,
    Unreadable,
};
use runtime::Environment;

use super::{
    bucket::Stock,
    facts::{self, Backup},
    hold::Hold,
    policy::Policy,
};

pub(super) const BUCKET: &str = "s-backups";
/// The newest verified one.
pub(super) const A1: &str = "backups/hourly/2026-11-25T21-15-05Z-a1";
/// Newer, and unchecked.
pub(super) const B2: &str = "backups/hourly/2026-11-25T22-15-05Z-b2";
/// Newer, and its data is gone.
pub(super) const C3: &str = "backups/daily/2026-11-25T23-15-05Z-c3";
/// Its manifest is not one.
pub(super) const D4: &str = "backups/hourly/2026-11-25T20-15-05Z-d4";
/// Inconsistent, and held.
pub(super) const E5: &str = "backups/manual/2026-11-25T20-15-05Z-e5";
/// Verified, and older than anything is kept.
pub(super) const F6: &str = "backups/hourly/2026-11-20T20-15-05Z-f6";
/// Without a manifest, for an hour and for four.
pub(super) const ORPHANS: [&str; 2] =
    ["backups/hourly/2026-11-25T23-00-00Z-g7", "backups/hourly/2026-11-25T20-00-00Z-h8"];

pub(super) fn now() -> Time {
    time("2026-11-26T00-00-05Z")
}

pub(super) fn time(text: &str) -> Time {
    text.parse().unwrap()
}

/// The newest one is kept, and of the hourly ones what is younger than a day.
pub(super) fn policy() -> Policy {
    let set = [
        ("KEEP_HOURLY", "1"),
        ("HOURLY_DAYS", "1"),
        ("KEEP_DAILY", "7"),
        ("DAILY_DAYS", "14"),
        ("BACKUP_DEADLINE_MINUTES", "120"),
    ];
    Policy::read(&set.into_iter().collect::<Environment>()).unwrap()
}

pub(super) fn manifest(folder: &str, consistency: Consistency) -> Manifest {
    let folder: Folder = folder.parse().unwrap();
    Manifest {
        format: MANIFEST_FORMAT,
        neo4j: "3.4.6".parse().unwrap(),
        dialect: "HA".into(),
        store_format: Some("vE.H.4".into()),
        database: "graph.db".into(),
        created: folder.time,
        source: "core-3".into(),
        last_transaction: Some(1042),
        counts: Some(Counts { nodes: 50_000, relationships: 1200 }),
        data: Data { key: folder.data(), bytes: 3 << 20, sha256: "0123456789abcdef".repeat(4) },
        consistency,
        tool: "neo4j-admin backup 3.4.6".into(),
        store_id: Some("1764105305123-8271".into()),
        store_bytes: Some(20 << 20),
        finished: Some(Time::of_epoch(folder.time.epoch() + 72)),
        source_role: Some("slave".into()),
        master: Some(Seen { last_transaction: 1050, at: folder.time }),
        seconds: Some(Seconds { copy: 40, check: 20, stream: 8, read_back: 2 }),
    }
}

/// What `folders` are, each a manifest with the length of its data.
pub(super) fn stock(backups: &[(Manifest, Option<u64>)], others: &[(&str, u64)]) -> Stock {
    let mut listing = Vec::new();
    let mut manifests = BTreeMap::new();
    let mut object = |key: String, bytes| listing.push(Listed { key, bytes });
    for (manifest, data) in backups {
        let folder = Folder::of_object(&manifest.data.key).unwrap();
        object(folder.manifest(), 900);
        if let Some(bytes) = data {
            object(folder.data(), *bytes);
        }
        manifests.insert(folder.manifest(), Ok(manifest.clone()));
    }
    for (key, bytes) in others {
        object((*key).to_owned(), *bytes);
    }
    for key in others.iter().map(|(key, _)| *key).filter(|key| key.ends_with("manifest.json")) {
        manifests.insert(key.to_owned(), Err(Unreadable::Malformed("EOF while parsing".into())));
    }
    Stock { catalogue: Catalogue::of(&listing, &manifests), holds: BTreeMap::new() }
}

/// One of each kind.
pub(super) fn one_of_each() -> Stock {
    let whole = Some(3 << 20);
    let backups = [
        (manifest(A1, Consistency::Consistent), whole),
        (manifest(B2, Consistency::Unchecked), whole),
        (manifest(C3, Consistency::Consistent), None),
        (manifest(E5, Consistency::Inconsistent), whole),
        (manifest(F6, Consistency::Consistent), whole),
    ];
    let keys = [
        format!("{D4}/manifest.json"),
        format!("{D4}/store.tar.zst"),
        format!("{E5}/hold.json"),
        format!("{}/store.tar.zst", ORPHANS[0]),
        format!("{}/store.tar.zst", ORPHANS[1]),
    ];
    let others: Vec<(&str, u64)> = keys.iter().map(|key| (key.as_str(), 5000)).collect();
    let mut stock = stock(&backups, &others);
    stock.holds.insert(E5.parse().unwrap(), hold());
    stock
}

pub(super) fn hold() -> Hold {
    let since = Some(time("2026-11-25T21-00-00Z"));
    Hold { reason: Some("the audit".into()), owner: Some("ann".into()), since }
}

/// The facts of one of them.
pub(super) fn backup(folder: &str) -> Backup {
    let stock = one_of_each();
    let all = facts::all(&stock.catalogue, &stock.holds, &policy(), now());
    all.into_iter().find(|backup| backup.folder == folder).unwrap()
}
