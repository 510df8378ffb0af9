//! The catalogue as JSON, for operators and scripts: a field that is there stays.

use backups::{Catalogue, Entry, Fate, Folder, Retention, Standing, Time};
use serde::Serialize;

/// The answer to `{"catalogue":true}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Shown {
    /// The format of this answer: 1.
    pub format: u32,
    /// When the bucket was listed.
    pub at: Time,
    /// The id of the stack that owns the bucket; `null` if none has claimed it.
    pub owner: Option<String>,
    /// The folder of the newest verified backup.
    pub latest: Option<Folder>,
    /// Newest first.
    pub entries: Vec<Line>,
    /// Folders with objects and without a manifest: they are not backups.
    pub orphans: Vec<Folder>,
}

/// One backup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Line {
    pub folder: Folder,
    pub tier: String,
    /// When it was begun.
    pub time: Time,
    /// `verified`, `unchecked`, `inconsistent`, `missing` or `unreadable`.
    pub verdict: String,
    /// Why its manifest cannot be relied on.
    pub reason: Option<String>,
    pub expires: bool,
    /// The fate, as a sentence.
    pub fate: String,
    pub held: bool,
    /// The slot and the role of its source.
    pub source: Option<String>,
    pub source_role: Option<String>,
    pub neo4j: Option<String>,
    /// The length of its data, as it was listed.
    pub bytes: Option<u64>,
    /// Bytes of the unpacked store.
    pub store_bytes: Option<u64>,
    /// How long it took.
    pub seconds: Option<u64>,
    pub last_transaction: Option<u64>,
    /// Transactions that the master had when the source was chosen and the backup lacks.
    pub behind: Option<u64>,
}

/// Everything that there is.
pub fn show(now: Time, owner: Option<String>, catalogue: &Catalogue, retention: &Retention) -> Shown {
    let fates = retention.fates(now, catalogue);
    Shown {
        format: 1,
        at: now,
        owner,
        latest: catalogue.latest().chosen.map(|entry| entry.folder.clone()),
        entries: catalogue.entries.iter().zip(fates).map(|(entry, (_, fate))| line(entry, &fate)).collect(),
        orphans: catalogue.orphans.clone(),
    }
}

fn line(entry: &Entry, fate: &Fate) -> Line {
    let manifest = entry.manifest.as_ref();
    let made = manifest.ok();
    let verdict = entry.verdict();
    let reason = match verdict {
        Standing::Missing => Some("its data is gone, or of another length than its manifest says".to_owned()),
        _ => manifest.err().map(ToString::to_string),
    };
    let behind = |master: backups::Seen, last: u64| master.last_transaction.saturating_sub(last);
    Line {
        folder: entry.folder.clone(),
        tier: entry.folder.tier.to_string(),
        time: entry.folder.time,
        verdict: verdict.to_string(),
        reason,
        expires: *fate == Fate::Expires,
        fate: fate.to_string(),
        held: entry.held,
        source: made.map(|made| made.source.clone()),
        source_role: made.and_then(|made| made.source_role.clone()),
        neo4j: made.map(|made| made.neo4j.to_string()),
        bytes: entry.data,
        store_bytes: made.and_then(|made| made.store_bytes),
        seconds: made.and_then(|made| Some(made.finished?.since(made.created).as_secs())),
        last_transaction: made.and_then(|made| made.last_transaction),
        behind: made.and_then(|made| Some(behind(made.master?, made.last_transaction?))),
    }
}

#[cfg(test)]
mod tests {
    use backups::{Consistency, Tier, Unreadable};
    use serde_json::json;

    use super::*;
    use crate::example::{catalogue, entry, policy};

    #[test]
    fn each_backup_is_a_line_with_its_verdict_and_its_fate() {
        let made = entry(Tier::Daily, 1_000_000, Consistency::Consistent);
        let mut broken = entry(Tier::Hourly, 900_000, Consistency::Consistent);
        (broken.manifest, broken.data) = (Err(Unreadable::Format(2)), None);
        let old = entry(Tier::Hourly, 90_000, Consistency::Unchecked);
        let all = catalogue(vec![made, broken, old]);
        let shown = show(Time::of_epoch(1_000_100), Some("arn:s".into()), &all, &policy().retention);
        let shown = json!(shown);
        assert_eq!(shown["latest"], "backups/daily/1970-01-12T13-46-40Z-e1000000");
        let first = json!({"folder": "backups/daily/1970-01-12T13-46-40Z-e1000000", "tier": "daily",
            "time": "1970-01-12T13-46-40Z", "verdict": "verified", "reason": null, "expires": false,
            "fate": "kept: it is the newest verified backup of all, which never expires", "held": false,
            "source": "core-3", "source_role": "slave", "neo4j": "3.4.6", "bytes": 100, "store_bytes": 1000,
            "seconds": 60, "last_transaction": 42, "behind": 8});
        assert_eq!(shown["entries"][0], first);
        assert_eq!(shown["entries"][1]["verdict"], "unreadable");
        assert!(shown["entries"][1]["reason"].as_str().unwrap().starts_with("its format is 2"));
        assert_eq!(shown["entries"][2]["expires"], true);
        assert_eq!((&shown["owner"], &shown["format"]), (&json!("arn:s"), &json!(1)));
    }
}
