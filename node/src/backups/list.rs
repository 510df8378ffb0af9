//! `node backups list`: every backup in one table, and which of them `latest` is.

use backups::{Catalogue, Tier, Time};
use serde::Serialize;

use super::{
    bucket::Stock,
    facts::{self, Backup, Verdict, count, or_dash},
    figures::{Align, plain, size, table},
    json,
    policy::Policy,
};

/// The JSON of `list`. A later version may add fields; it neither takes one away nor changes what one means, as long as `format` is 1.
#[derive(Debug, Serialize)]
pub(super) struct Listing<'l> {
    /// 1.
    pub format: u32,
    /// The bucket.
    pub bucket: &'l str,
    /// When it was looked at.
    pub now: Time,
    /// The tier that was asked for; null for all.
    pub tier: Option<Tier>,
    /// What decides how long each is kept.
    pub retention: &'l Policy,
    /// The backups of the tier that was asked for, newest first.
    pub backups: Vec<Backup>,
    /// Folders with objects and without a manifest, newest first: under way, or cut short. They are not backups.
    pub leftovers: Vec<Leftover>,
    /// The folder that `latest` means, of all tiers; null if no backup is verified.
    pub latest: Option<String>,
    /// The backups of all tiers that are newer than that, and that `latest` passes over.
    pub skipped: Vec<Skipped>,
}

/// A folder without a manifest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Leftover {
    /// `backups/<tier>/<time>-<id>`.
    pub folder: String,
    /// When it was begun.
    pub time: Time,
    /// How long ago that was.
    pub age_seconds: u64,
    /// The length of all objects in it, bytes.
    pub bytes: u64,
}

/// A backup that is newer than the latest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Skipped {
    /// `backups/<tier>/<time>-<id>`.
    pub folder: String,
    /// Why it is passed over.
    pub verdict: Verdict,
    /// The same in words.
    pub why: String,
}

pub(super) fn render(
    stock: &Stock,
    bucket: &str,
    policy: &Policy,
    now: Time,
    tier: Option<Tier>,
    as_json: bool,
) -> String {
    let all = facts::all(&stock.catalogue, &stock.holds, policy, now);
    let listing = Listing {
        format: 1,
        bucket,
        now,
        tier,
        retention: policy,
        leftovers: leftovers(stock, tier, now),
        latest: stock.catalogue.latest().chosen.map(|entry| entry.folder.to_string()),
        skipped: skipped(&stock.catalogue, &all),
        backups: all.into_iter().filter(|backup| tier.is_none_or(|tier| backup.tier == tier)).collect(),
    };
    if as_json { json(&listing) } else { text(&listing) }
}

pub(super) fn leftovers(stock: &Stock, tier: Option<Tier>, now: Time) -> Vec<Leftover> {
    let asked = stock.catalogue.orphans.iter().filter(|folder| tier.is_none_or(|tier| folder.tier == tier));
    let leftover = |folder: &backups::Folder| Leftover {
        folder: folder.to_string(),
        time: folder.time,
        age_seconds: now.since(folder.time).as_secs(),
        bytes: stock.bytes(folder),
    };
    asked.map(leftover).collect()
}

fn skipped(catalogue: &Catalogue, all: &[Backup]) -> Vec<Skipped> {
    let folders: Vec<String> =
        catalogue.latest().skipped.iter().map(|entry| entry.folder.to_string()).collect();
    let of = |backup: &Backup| Skipped {
        folder: backup.folder.clone(),
        verdict: backup.verdict,
        why: backup.verdict(),
    };
    all.iter().filter(|backup| folders.contains(&backup.folder)).map(of).collect()
}

fn text(listing: &Listing) -> String {
    let mut text = format!("backups in s3://{}/{} at {}\n", listing.bucket, backups::ROOT, listing.now);
    if listing.backups.is_empty() {
        text += &format!(
            "there is none{}; the backup trigger says why when it is invoked with {{\"explain\":true}}\n",
            listing.tier.map_or_else(String::new, |tier| format!(" of the tier {tier}"))
        );
    } else {
        text += &rows(&listing.backups);
    }
    for leftover in &listing.leftovers {
        text += &format!(
            "no backup, because it has no manifest (under way, or cut short): {}, {}\n",
            leftover.folder,
            size(leftover.bytes)
        );
    }
    text + &listing.retention.sentence() + "\n" + &latest(listing) + "\n"
}

fn rows(backups: &[Backup]) -> String {
    use Align::{Left, Right};
    let head = [
        ("TIER", Left),
        ("TIME-ID", Left),
        ("AGE", Right),
        ("SIZE", Right),
        ("TOOK", Right),
        ("SOURCE", Left),
        ("LAST TX", Right),
        ("BEHIND", Right),
        ("NODES", Right),
        ("RELATIONSHIPS", Right),
        ("VERDICT", Left),
        ("KEPT BECAUSE, OR WHEN IT GOES", Left),
    ];
    let row = |backup: &Backup| {
        [
            backup.tier.to_string(),
            backup.name().to_owned(),
            backup.age(),
            backup.size(),
            backup.duration(),
            or_dash(backup.source.as_deref(), plain),
            count(backup.last_transaction),
            count(backup.transactions_behind),
            count(backup.nodes),
            count(backup.relationships),
            backup.verdict.words().to_owned(),
            backup.reason(),
        ]
    };
    table(head, &backups.iter().map(row).collect::<Vec<_>>())
}

/// The last line: what `latest` means now.
fn latest(listing: &Listing) -> String {
    let chosen = match &listing.latest {
        Some(folder) => format!("latest is {folder}"),
        None => "latest is none, because no backup is verified".to_owned(),
    };
    let skipped = listing.skipped.iter().map(|skipped| format!("{} ({})", skipped.folder, skipped.why));
    let skipped = skipped.collect::<Vec<_>>().join(", ");
    match (skipped.is_empty(), &listing.latest) {
        (true, _) => chosen,
        (false, Some(_)) => format!("{chosen}; newer ones are passed over: {skipped}"),
        (false, None) => format!("{chosen}: {skipped}"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::backups::example::{A1, B2, BUCKET, C3, ORPHANS, manifest, now, one_of_each, policy, stock};

    fn rendered(stock: &Stock, tier: Option<Tier>) -> (String, Value) {
        let of = |as_json| render(stock, BUCKET, &policy(), now(), tier, as_json);
        (of(false), serde_json::from_str(&of(true)).unwrap())
    }

    #[test]
    fn a_table_of_all_and_what_latest_passes_over() {
        let (text, json) = rendered(&one_of_each(), None);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "backups in s3://s-backups/backups/ at 2026-11-26T00-00-05Z");
        let columns = "TIER    TIME-ID                          AGE     SIZE        TOOK  SOURCE  LAST TX  BEHIND   NODES  \
                       RELATIONSHIPS  VERDICT       KEPT BECAUSE, OR WHEN IT GOES";
        assert_eq!(lines[1], columns);
        assert_eq!(
            lines[4],
            "hourly  2026-11-25T21-15-05Z-a1   2 h 45 min  3.0 MiB  1 min 12 s  core-3    1,042       8  50,000          1,200  \
             verified      it is the newest verified backup of all, which never expires"
        );
        let verdict = lines[1].find("VERDICT").unwrap();
        for (line, word) in [
            (2, "missing data"),
            (3, "unchecked"),
            (4, "verified"),
            (5, "inconsistent"),
            (6, "unreadable"),
            (7, "verified"),
        ] {
            assert_eq!(&lines[line][verdict..][..word.len()], word, "{text}");
        }
        assert!(
            lines[6].contains("  4.8 KiB  "),
            "what is there, although its manifest does not say it: {}",
            lines[6]
        );
        assert_eq!(
            lines[8],
            "no backup, because it has no manifest (under way, or cut short): backups/hourly/2026-11-25T23-00-00Z-g7, 4.8 KiB"
        );
        assert!(lines[10].starts_with("kept: hourly the newest 1 verified and all of 1 d, "), "{text}");
        assert_eq!(
            lines[11..],
            [format!(
                "latest is {A1}; newer ones are passed over: {C3} (missing data: there is no {C3}/store.tar.zst), {B2} (unchecked: \
                 its consistency was never checked, or the check itself failed)"
            )]
        );
        assert_eq!(
            (&json["format"], &json["bucket"], &json["tier"]),
            (&json!(1), &json!(BUCKET), &json!(null))
        );
        assert_eq!((&json["latest"], &json["now"]), (&json!(A1), &json!("2026-11-26T00-00-05Z")));
        assert_eq!(json["backups"].as_array().unwrap().len(), 6);
        assert_eq!(json["skipped"][0]["folder"], C3);
        assert_eq!(json["skipped"][0]["verdict"], "missing-data");
        assert_eq!(
            json["leftovers"][0],
            json!({"folder": ORPHANS[0], "time": "2026-11-25T23-00-00Z", "age_seconds": 3605, "bytes": 5000})
        );
        assert_eq!(
            json["retention"],
            json!({"keep_hourly": 1, "hourly_days": 1, "keep_daily": 7, "daily_days": 14, "backup_deadline_minutes": 120,
                "assumed": []})
        );
    }

    /// What is left out of the table is not left out of what a restore would take.
    #[test]
    fn a_tier_is_a_part_of_the_table_and_latest_is_of_all() {
        let (text, json) = rendered(&one_of_each(), Some(Tier::Daily));
        assert!(
            text.contains("\ndaily ") && !text.contains("\nhourly") && !text.contains(ORPHANS[0]),
            "{text}"
        );
        assert!(text.contains(&format!("\nlatest is {A1}; newer ones")), "{text}");
        assert_eq!(json["backups"].as_array().unwrap().len(), 1);
        assert_eq!((&json["tier"], &json["latest"]), (&json!("daily"), &json!(A1)));
    }

    #[test]
    fn without_a_backup_and_without_a_verified_one_latest_is_none() {
        let (text, json) = rendered(&Stock::default(), Some(Tier::Manual));
        assert!(text.contains("\nthere is none of the tier manual; the backup trigger says why"), "{text}");
        assert!(text.ends_with("\nlatest is none, because no backup is verified\n"), "{text}");
        assert_eq!((&json["latest"], &json["backups"]), (&json!(null), &json!([])));
        let unchecked = stock(&[(manifest(B2, backups::Consistency::Unchecked), Some(3 << 20))], &[]);
        let (text, _) = rendered(&unchecked, None);
        assert!(text.contains(&format!("no backup is verified: {B2} (unchecked: ")), "{text}");
    }

    #[test]
    fn nothing_newer_is_nothing_passed_over() {
        let one = stock(&[(manifest(A1, backups::Consistency::Consistent), Some(3 << 20))], &[]);
        assert!(rendered(&one, None).0.ends_with(&format!("\nlatest is {A1}\n")));
    }
}
