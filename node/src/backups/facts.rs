//! What is known of one backup: what every verb reports of it, as text and as JSON.

use std::{collections::BTreeMap, time::Duration};

use backups::{Catalogue, Entry, Fate, Folder, Manifest, Standing, Tier, Time};
use serde::Serialize;

use super::{
    figures::{number, plain, size, span},
    hold::Hold,
    policy::Policy,
};

/// One backup in JSON. Every field is always there; what is not known is null. Times are spelled as in keys, `2026-11-25T21-15-05Z`, so
/// that they name a backup wherever one is asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Backup {
    /// Its folder in the bucket: `backups/<tier>/<time>-<id>`.
    pub folder: String,
    /// `hourly`, `daily` or `manual`.
    pub tier: Tier,
    /// When it was begun.
    pub time: Time,
    /// How long ago that was.
    pub age_seconds: u64,
    /// `verified`, `unchecked`, `inconsistent`, `missing-data` or `unreadable`. Only a verified one is ever `latest`.
    pub verdict: Verdict,
    /// Why it is not verified, in words; null for one that is.
    pub fault: Option<String>,
    /// Whether it is kept; false means that it expires at the next tick of the backup trigger.
    pub kept: bool,
    /// Why it is kept, or why it expires, in words.
    pub why: String,
    /// The hold of an operator; null without one.
    pub hold: Option<Hold>,
    /// The key of its data.
    pub data_key: Option<String>,
    /// The length of its data as the manifest has it, bytes.
    pub bytes: Option<u64>,
    /// The length of its data as the bucket has it, bytes; null if the data is gone.
    pub bytes_found: Option<u64>,
    /// SHA-256 of its data, 64 small hexadecimal digits.
    pub sha256: Option<String>,
    /// The length of the unpacked store, bytes.
    pub store_bytes: Option<u64>,
    /// When it was finished.
    pub finished: Option<Time>,
    /// From its beginning to its end.
    pub duration_seconds: Option<u64>,
    /// How much of that was the copy from the source.
    pub copy_seconds: Option<u64>,
    /// How much of that was the consistency check.
    pub check_seconds: Option<u64>,
    /// How much of that was packing and sending.
    pub stream_seconds: Option<u64>,
    /// How much of that was reading the sent data back.
    pub read_back_seconds: Option<u64>,
    /// The slot that it was taken from.
    pub source: Option<String>,
    /// What that slot was then: `slave` or `master`.
    pub source_role: Option<String>,
    /// The last transaction in it.
    pub last_transaction: Option<u64>,
    /// The master's last transaction when the source was chosen.
    pub master_last_transaction: Option<u64>,
    /// When the master was seen there.
    pub master_seen: Option<Time>,
    /// How many transactions of the master it lacks: its recovery point. 0 when it has all that the master had then.
    pub transactions_behind: Option<u64>,
    /// Nodes in it.
    pub nodes: Option<u64>,
    /// Relationships in it.
    pub relationships: Option<u64>,
    /// The version of Neo4j that wrote it.
    pub neo4j: Option<String>,
    /// How its cluster was clustered: `HA`, `CLUSTER` or `SINGLE`.
    pub dialect: Option<String>,
    /// The database, such as `graph.db`.
    pub database: Option<String>,
    /// The store's own format.
    pub store_format: Option<String>,
    /// The store's id.
    pub store_id: Option<String>,
    /// What made it.
    pub tool: Option<String>,
}

/// [`Standing`], as it is spelled in JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Verdict {
    Verified,
    Unchecked,
    Inconsistent,
    MissingData,
    Unreadable,
}

impl Verdict {
    fn of(entry: &Entry) -> Self {
        match entry.verdict() {
            Standing::Verified => Self::Verified,
            Standing::Unchecked => Self::Unchecked,
            Standing::Inconsistent => Self::Inconsistent,
            Standing::Missing => Self::MissingData,
            Standing::Unreadable => Self::Unreadable,
        }
    }

    pub(super) fn words(self) -> &'static str {
        match self {
            Self::Verified => "verified",
            Self::Unchecked => "unchecked",
            Self::Inconsistent => "inconsistent",
            Self::MissingData => "missing data",
            Self::Unreadable => "unreadable",
        }
    }
}

/// All backups, newest first.
pub(super) fn all(
    catalogue: &Catalogue,
    holds: &BTreeMap<Folder, Hold>,
    policy: &Policy,
    now: Time,
) -> Vec<Backup> {
    let fates: BTreeMap<Folder, Fate> = policy.retention().fates(now, catalogue).into_iter().collect();
    let backup = |entry: &Entry| {
        let hold = holds.get(&entry.folder).cloned().filter(|_| entry.held);
        Backup::of(entry, fates.get(&entry.folder), hold, now)
    };
    catalogue.entries.iter().map(backup).collect()
}

impl Backup {
    fn of(entry: &Entry, fate: Option<&Fate>, hold: Option<Hold>, now: Time) -> Self {
        let verdict = Verdict::of(entry);
        let manifest = entry.manifest.as_ref().ok();
        let of = |field: fn(&Manifest) -> Option<String>| manifest.and_then(field);
        let seconds = manifest.and_then(|manifest| manifest.seconds.as_ref());
        let master = manifest.and_then(|manifest| manifest.master.as_ref());
        let last = manifest.and_then(|manifest| manifest.last_transaction);
        let finished = manifest.and_then(|manifest| manifest.finished);
        let master_last = master.map(|master| master.last_transaction);
        Self {
            folder: entry.folder.to_string(),
            tier: entry.folder.tier,
            time: entry.folder.time,
            age_seconds: now.since(entry.folder.time).as_secs(),
            verdict,
            fault: fault(entry, verdict),
            // A backup of which nothing is decided is not said to go.
            kept: !matches!(fate, Some(Fate::Expires)),
            why: fate.map(why).unwrap_or_default(),
            hold,
            data_key: of(|manifest| Some(manifest.data.key.clone())),
            bytes: manifest.map(|manifest| manifest.data.bytes),
            bytes_found: entry.data,
            sha256: of(|manifest| Some(manifest.data.sha256.clone())),
            store_bytes: manifest.and_then(|manifest| manifest.store_bytes),
            finished,
            duration_seconds: finished.map(|finished| finished.since(entry.folder.time).as_secs()),
            copy_seconds: seconds.map(|seconds| seconds.copy),
            check_seconds: seconds.map(|seconds| seconds.check),
            stream_seconds: seconds.map(|seconds| seconds.stream),
            read_back_seconds: seconds.map(|seconds| seconds.read_back),
            source: of(|manifest| Some(manifest.source.clone())),
            source_role: of(|manifest| manifest.source_role.clone()),
            last_transaction: last,
            master_last_transaction: master_last,
            master_seen: master.map(|master| master.at),
            // It was begun after the master was seen, so it may have more.
            transactions_behind: master_last.zip(last).map(|(master, last)| master.saturating_sub(last)),
            nodes: manifest.and_then(|manifest| manifest.counts).map(|counts| counts.nodes),
            relationships: manifest.and_then(|manifest| manifest.counts).map(|counts| counts.relationships),
            neo4j: of(|manifest| Some(manifest.neo4j.to_string())),
            dialect: of(|manifest| Some(manifest.dialect.clone())),
            database: of(|manifest| Some(manifest.database.clone())),
            store_format: of(|manifest| manifest.store_format.clone()),
            store_id: of(|manifest| manifest.store_id.clone()),
            tool: of(|manifest| Some(manifest.tool.clone())),
        }
    }

    /// `<time>-<id>`, which is the name that an operator types.
    pub(super) fn name(&self) -> &str {
        self.folder.rsplit('/').next().unwrap_or(&self.folder)
    }

    pub(super) fn age(&self) -> String {
        span(Duration::from_secs(self.age_seconds))
    }

    pub(super) fn duration(&self) -> String {
        or_dash(self.duration_seconds, |seconds| span(Duration::from_secs(seconds)))
    }

    /// As the bucket has it, or else as the manifest has it.
    pub(super) fn size(&self) -> String {
        or_dash(self.bytes_found.or(self.bytes), size)
    }

    /// The verdict, with what is behind it where the word alone does not say it.
    pub(super) fn verdict(&self) -> String {
        match &self.fault {
            Some(fault) => format!("{}: {fault}", self.verdict.words()),
            None => self.verdict.words().to_owned(),
        }
    }

    /// Why it is kept or goes, with the words of its hold.
    pub(super) fn reason(&self) -> String {
        match &self.hold {
            Some(hold) => format!("{} ({hold})", self.why),
            None => self.why.clone(),
        }
    }
}

/// `-` for what is not known.
pub(super) fn or_dash<T>(value: Option<T>, text: impl FnOnce(T) -> String) -> String {
    value.map_or_else(|| "-".to_owned(), text)
}

pub(super) fn count(value: Option<u64>) -> String {
    or_dash(value, number)
}

/// The reason alone: whether it is kept is said beside it.
fn why(fate: &Fate) -> String {
    match fate {
        Fate::Kept(why) => why.to_string(),
        Fate::Expires => {
            let sentence = fate.to_string();
            sentence.strip_prefix("expires: ").map_or_else(|| sentence.clone(), str::to_owned)
        }
    }
}

fn fault(entry: &Entry, verdict: Verdict) -> Option<String> {
    let manifest = match (verdict, &entry.manifest) {
        (Verdict::Verified, _) => return None,
        (_, Err(unreadable)) => return Some(plain(&format!("of its manifest, {unreadable}"))),
        (_, Ok(manifest)) => manifest,
    };
    Some(match (verdict, entry.data) {
        (Verdict::Inconsistent, _) => "its consistency check found the store inconsistent".to_owned(),
        (Verdict::MissingData, None) => format!("there is no {}", plain(&manifest.data.key)),
        (Verdict::MissingData, Some(found)) => {
            let (found, said) = (number(found), number(manifest.data.bytes));
            format!("its data has {found} bytes and its manifest says {said}")
        }
        _ => "its consistency was never checked, or the check itself failed".to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backups::example::{A1, B2, C3, D4, E5, F6, backup, manifest, now, policy, stock};

    #[test]
    fn each_verdict_has_its_words() {
        let unchecked = "unchecked: its consistency was never checked, or the check itself failed";
        for (folder, verdict) in [
            (A1, "verified"),
            (B2, unchecked),
            (C3, "missing data: there is no backups/daily/2026-11-25T23-15-05Z-c3/store.tar.zst"),
            (D4, "unreadable: of its manifest, it is not a manifest: EOF while parsing"),
            (E5, "inconsistent: its consistency check found the store inconsistent"),
        ] {
            assert_eq!(backup(folder).verdict(), verdict);
        }
        let short = stock(&[(manifest(A1, backups::Consistency::Consistent), Some(1))], &[]);
        let all = all(&short.catalogue, &short.holds, &policy(), now());
        assert_eq!(all[0].verdict(), "missing data: its data has 1 bytes and its manifest says 3,145,728");
        assert_eq!(all[0].size(), "1 B", "what is there");
    }

    #[test]
    fn why_one_is_kept_or_goes_is_what_retention_says_and_a_hold_has_its_words() {
        assert_eq!(backup(A1).reason(), "it is the newest verified backup of all, which never expires");
        let gone = backup(F6);
        assert!(!gone.kept && gone.reason().starts_with("it is older than the days of its tier"), "{gone:?}");
        let held = backup(E5);
        assert!(held.kept, "{held:?}");
        assert!(held.reason().starts_with("an operator holds it (hold.json)"), "{held:?}");
        assert!(held.reason().ends_with(" (the audit, by ann, since 2026-11-25T21-00-00Z)"), "{held:?}");
    }

    #[test]
    fn the_recovery_point_is_what_the_master_had_more() {
        assert_eq!(backup(A1).transactions_behind, Some(8));
        let mut more = manifest(A1, backups::Consistency::Consistent);
        more.last_transaction = Some(2000);
        let mut unknown = more.clone();
        unknown.master = None;
        for (manifest, behind) in [(more, Some(0)), (unknown, None)] {
            let stock = stock(&[(manifest, None)], &[]);
            let all = all(&stock.catalogue, &stock.holds, &policy(), now());
            assert_eq!(all[0].transactions_behind, behind);
        }
    }

    /// Programs of operators read it: a field that is renamed or lost breaks them.
    #[test]
    fn json_has_all_fields_whether_they_are_known_or_not() {
        let known = serde_json::to_value(backup(A1)).unwrap();
        let expected = serde_json::json!({
            "folder": A1, "tier": "hourly", "time": "2026-11-25T21-15-05Z", "age_seconds": 9900, "verdict": "verified",
            "fault": null, "kept": true, "why": "it is the newest verified backup of all, which never expires",
            "hold": null, "data_key": format!("{A1}/store.tar.zst"), "bytes": 3_145_728, "bytes_found": 3_145_728,
            "sha256": "0123456789abcdef".repeat(4), "store_bytes": 20_971_520, "finished": "2026-11-25T21-16-17Z",
            "duration_seconds": 72, "copy_seconds": 40, "check_seconds": 20, "stream_seconds": 8,
            "read_back_seconds": 2, "source": "core-3", "source_role": "slave", "last_transaction": 1042,
            "master_last_transaction": 1050, "master_seen": "2026-11-25T21-15-05Z", "transactions_behind": 8,
            "nodes": 50_000, "relationships": 1200, "neo4j": "3.4.6", "dialect": "HA", "database": "graph.db",
            "store_format": "vE.H.4", "store_id": "1764105305123-8271", "tool": "neo4j-admin backup 3.4.6",
        });
        assert_eq!(known, expected);
        let unreadable = serde_json::to_value(backup(D4)).unwrap();
        let names =
            |value: &serde_json::Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
        assert_eq!(names(&unreadable), names(&known));
        assert_eq!((&unreadable["verdict"], &unreadable["bytes"]), (&"unreadable".into(), &().into()));
        assert_eq!(serde_json::to_value(backup(C3)).unwrap()["verdict"], "missing-data");
    }
}
