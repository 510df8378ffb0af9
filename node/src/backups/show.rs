//! `node backups show`: everything that is known of one backup, and how it is restored without any of these programs.

use std::time::Duration;

use backups::{DATA, Time};
use serde::Serialize;

use super::{
    bucket,
    facts::{Backup, Verdict, count},
    figures::{number, plain, size, span},
    json,
};

/// The JSON of `show`. A later version may add fields, as long as `format` is 1.
#[derive(Debug, Serialize)]
struct Shown<'s> {
    /// 1.
    format: u32,
    /// The bucket.
    bucket: &'s str,
    /// When it was looked at.
    now: Time,
    /// `s3://<bucket>/<folder>/manifest.json`: a new stack is founded from it by this name.
    uri: String,
    /// The same as in `list`.
    backup: &'s Backup,
    /// The commands that restore it by hand, in their order; empty if there is nothing to restore.
    by_hand: Vec<String>,
}

pub(super) fn render(backup: &Backup, bucket: &str, now: Time, as_json: bool) -> String {
    let uri = bucket::manifest(bucket, &backup.folder);
    let by_hand = by_hand(backup, bucket);
    if as_json {
        return json(&Shown { format: 1, bucket, now, uri, backup, by_hand });
    }
    let mut text = format!("{uri}\n");
    for (name, fact) in facts(backup, bucket) {
        text += &format!("  {name:<18}{fact}\n");
    }
    text + &restore(backup, &by_hand)
}

/// Data of which a manifest can be relied on is restored by these; the manifest's own key cannot lead elsewhere.
fn by_hand(backup: &Backup, bucket: &str) -> Vec<String> {
    let (Some(key), Some(_)) = (&backup.data_key, backup.bytes_found) else { return Vec::new() };
    let tar = DATA.trim_end_matches(".zst");
    vec![
        format!("aws s3 cp s3://{bucket}/{key} {DATA}"),
        format!("zstd -d {DATA} -o {tar}"),
        "mkdir store".to_owned(),
        format!("tar -xf {tar} -C store"),
    ]
}

fn facts(backup: &Backup, bucket: &str) -> Vec<(&'static str, String)> {
    let mut facts =
        vec![("verdict", backup.verdict()), ("begun", format!("{}, {} ago", backup.time, backup.age()))];
    let mut fact = |name, fact: Option<String>| facts.extend(fact.map(|fact| (name, fact)));
    fact("finished", finished(backup));
    fact("source", source(backup));
    fact("last transaction", backup.last_transaction.map(number));
    fact("behind the master", behind(backup));
    fact("nodes", backup.nodes.map(number));
    fact("relationships", backup.relationships.map(number));
    fact("Neo4j", neo4j(backup));
    fact("store id", backup.store_id.as_deref().map(plain));
    fact("unpacked", backup.store_bytes.map(size));
    fact("data", data(backup, bucket));
    fact("SHA-256", backup.sha256.clone());
    fact("made by", backup.tool.as_deref().map(plain));
    fact(if backup.kept { "kept, because" } else { "expires, because" }, Some(backup.why.clone()));
    fact("hold", backup.hold.as_ref().map(ToString::to_string));
    facts
}

fn finished(backup: &Backup) -> Option<String> {
    let mut text = format!("{}, after {}", backup.finished?, backup.duration());
    let phases = [
        ("copy", backup.copy_seconds),
        ("check", backup.check_seconds),
        ("packing and sending", backup.stream_seconds),
        ("reading back", backup.read_back_seconds),
    ];
    let phases = phases.into_iter().filter_map(|(name, seconds)| {
        seconds.map(|seconds| format!("{name} {}", span(Duration::from_secs(seconds))))
    });
    let phases = phases.collect::<Vec<_>>().join(", ");
    if !phases.is_empty() {
        text += &format!(" ({phases})");
    }
    Some(text)
}

fn source(backup: &Backup) -> Option<String> {
    let role =
        backup.source_role.as_deref().map_or_else(String::new, |role| format!(", then {}", plain(role)));
    Some(plain(backup.source.as_deref()?) + &role)
}

fn behind(backup: &Backup) -> Option<String> {
    let (behind, master, seen) =
        (backup.transactions_behind, backup.master_last_transaction?, backup.master_seen?);
    Some(format!("{} of the {} that the master had at {seen}", count(behind), number(master)))
}

fn neo4j(backup: &Backup) -> Option<String> {
    let format = backup.store_format.as_deref();
    let format = format.map_or_else(String::new, |format| format!(", store format {}", plain(format)));
    let (dialect, database) = (backup.dialect.as_deref()?, backup.database.as_deref()?);
    Some(format!("{}, {}, database {}{format}", backup.neo4j.as_deref()?, plain(dialect), plain(database)))
}

fn data(backup: &Backup, bucket: &str) -> Option<String> {
    let (key, bytes) = (backup.data_key.as_deref()?, backup.bytes?);
    let found = match backup.bytes_found {
        None => "gone".to_owned(),
        Some(found) if found == bytes => "there".to_owned(),
        Some(found) => format!("there with {}", number(found)),
    };
    Some(format!("s3://{bucket}/{key}, {} ({} bytes), {found}", size(bytes), number(bytes)))
}

fn restore(backup: &Backup, by_hand: &[String]) -> String {
    if by_hand.is_empty() {
        return "It cannot be restored; `node backups list` names another one.\n".to_owned();
    }
    let warning = match backup.verdict {
        Verdict::Verified => "",
        _ => "It is NOT verified: `node backups list` says which one `latest` is.\n",
    };
    let room = backup.bytes.zip(backup.store_bytes);
    let room = room.map_or_else(String::new, |(bytes, store)| {
        // The archive, the tar of it, and what is in the tar.
        format!(" with {} free", size(bytes.saturating_add(store.saturating_mul(2))))
    });
    let lines = by_hand.iter().fold(String::new(), |text, line| text + "  " + line + "\n");
    // The archive has the files of one database, without a folder around them; its name is no part of a command.
    let becomes = backup.neo4j.as_deref().zip(backup.database.as_deref());
    let becomes = becomes.map_or_else(String::new, |(neo4j, database)| {
        format!(", whose folder store becomes the directory {} of a Neo4j {neo4j}", plain(database))
    });
    format!("{warning}By hand, in an empty folder{room}{becomes}:\n{lines}")
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::backups::example::{A1, BUCKET, C3, D4, E5, backup, now};

    fn shown(folder: &str) -> (String, Value) {
        let of = |as_json| render(&backup(folder), BUCKET, now(), as_json);
        (of(false), serde_json::from_str(&of(true)).unwrap())
    }

    #[test]
    fn everything_about_one_and_three_lines_to_restore_it() {
        let (text, json) = shown(A1);
        assert_eq!(
            text,
            "s3://s-backups/backups/hourly/2026-11-25T21-15-05Z-a1/manifest.json
  verdict           verified
  begun             2026-11-25T21-15-05Z, 2 h 45 min ago
  finished          2026-11-25T21-16-17Z, after 1 min 12 s (copy 40 s, check 20 s, packing and sending 8 s, reading back 2 s)
  source            core-3, then slave
  last transaction  1,042
  behind the master 8 of the 1,050 that the master had at 2026-11-25T21-15-05Z
  nodes             50,000
  relationships     1,200
  Neo4j             3.4.6, HA, database graph.db, store format vE.H.4
  store id          1764105305123-8271
  unpacked          20.0 MiB
  data              s3://s-backups/backups/hourly/2026-11-25T21-15-05Z-a1/store.tar.zst, 3.0 MiB (3,145,728 bytes), there
  SHA-256           0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef
  made by           neo4j-admin backup 3.4.6
  kept, because     it is the newest verified backup of all, which never expires
By hand, in an empty folder with 43.0 MiB free, whose folder store becomes the directory graph.db of a Neo4j 3.4.6:
  aws s3 cp s3://s-backups/backups/hourly/2026-11-25T21-15-05Z-a1/store.tar.zst store.tar.zst
  zstd -d store.tar.zst -o store.tar
  mkdir store
  tar -xf store.tar -C store
"
        );
        assert_eq!(
            (&json["uri"], &json["bucket"]),
            (&json!(format!("s3://{BUCKET}/{A1}/manifest.json")), &json!(BUCKET))
        );
        assert_eq!(
            (&json["backup"]["folder"], &json["by_hand"][3]),
            (&json!(A1), &json!("tar -xf store.tar -C store"))
        );
    }

    #[test]
    fn one_that_is_not_verified_says_so_where_it_is_restored() {
        let (text, _) = shown(E5);
        assert!(
            text.contains("\nIt is NOT verified: `node backups list`") && text.contains("\n  tar -xf"),
            "{text}"
        );
        assert!(
            text.contains("\n  hold              the audit, by ann, since 2026-11-25T21-00-00Z\n"),
            "{text}"
        );
    }

    #[test]
    fn what_cannot_be_restored_has_no_lines_for_it() {
        for folder in [C3, D4] {
            let (text, json) = shown(folder);
            assert!(
                text.ends_with("It cannot be restored; `node backups list` names another one.\n"),
                "{text}"
            );
            assert_eq!(json["by_hand"], json!([]));
        }
        assert!(shown(C3).0.contains("3.0 MiB (3,145,728 bytes), gone\n"));
    }
}
