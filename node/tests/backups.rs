//! `node backups`: the real program, as an operator types it, on a bucket of this test's own.

use axum::http::Method;
use backups::{Consistency, Tier};
use serde_json::{Value, json};

use bucket::{BUCKET, Bucket, sha256};

mod bucket;

const HOUR: u64 = 3600;
const DAY: u64 = 24 * HOUR;

#[test]
fn list_is_a_table_of_all_and_ends_with_what_latest_is() {
    let bucket = Bucket::new();
    let verified = bucket.backup(Tier::Hourly, 2 * HOUR, "a1", Consistency::Consistent);
    let unchecked = bucket.backup(Tier::Hourly, HOUR, "b2", Consistency::Unchecked);
    let damaged = bucket.backup(Tier::Daily, 3 * HOUR, "c3", Consistency::Consistent);
    bucket.put(&damaged.manifest(), "not a manifest");
    bucket.put("owner.json", "{}");
    bucket.put("backups/hourly/2026-11-25T21-15-05Z-x/store.tar.zst", "left");
    let (code, text, said) = bucket.ended(&["list"], &[]);
    assert_eq!((code, said.as_str()), (Some(0), ""), "{text}");
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines[1].starts_with("TIER ") && lines.len() == 8, "{text}");
    let row = format!("hourly  {}-a1  2 h 00 min  ", verified.time);
    assert!(lines[3].starts_with(&row), "{text}");
    for part in
        ["  1 min 12 s  core-3    1,042       8  50,000             12  verified", "KEEP_HOURLY, HOURLY_DAYS"]
    {
        assert!(text.contains(part), "{part:?} is not in\n{text}");
    }
    assert!(lines[4].contains("  unreadable  "), "{text}");
    assert!(lines[5].starts_with("no backup, because it has no manifest"), "{text}");
    let end = format!("latest is {verified}; newer ones are passed over: {unchecked} (unchecked: ");
    assert!(lines[7].starts_with(&end), "{text}");

    let json = bucket.json(&["list", "--tier", "hourly"]);
    let folders = json["backups"].as_array().unwrap().iter().map(|backup| backup["folder"].clone());
    assert_eq!(folders.collect::<Vec<_>>(), [json!(unchecked), json!(verified)]);
    assert_eq!((&json["latest"], &json["skipped"][0]["verdict"]), (&json!(verified), &json!("unchecked")));
    assert_eq!(json["retention"]["assumed"].as_array().unwrap().len(), 5);
    let stacks = [("KEEP_HOURLY", "2"), ("DAILY_DAYS", "30")];
    let (_, text, _) = bucket.ended(&["list"], &stacks);
    assert!(text.contains("the newest 2 verified") && text.contains("all of 30 d"), "{text}");
}

/// What is said to be the template's default is.
#[test]
fn the_assumed_retention_is_the_templates() {
    let template = concat!(env!("CARGO_MANIFEST_DIR"), "/../template.yml");
    let template = std::fs::read_to_string(template).unwrap();
    let assumed = Bucket::new().json(&["list"])["retention"].clone();
    for (parameter, field) in [
        ("KeepHourly", "keep_hourly"),
        ("HourlyDays", "hourly_days"),
        ("KeepDaily", "keep_daily"),
        ("DailyDays", "daily_days"),
        ("BackupDeadlineMinutes", "backup_deadline_minutes"),
    ] {
        let mut lines = template.lines();
        let line = lines.find(|line| line.starts_with(&format!("  {parameter}: {{Type: Number"))).unwrap();
        assert!(line.contains(&format!(" Default: {},", assumed[field])), "{field} of {assumed}: {line}");
    }
}

#[test]
fn a_bucket_without_backups_is_an_answer_and_an_absent_one_is_a_failure() {
    let bucket = Bucket::new();
    let text = bucket.printed(&["list"]);
    assert!(
        text.contains("\nthere is none; ") && text.ends_with("because no backup is verified\n"),
        "{text}"
    );
    let absent = bucket.refusal(&["list", "--bucket", "another"]);
    assert!(absent.starts_with("there is no bucket another, or not in this region"), "{absent}");
    let (code, _, said) = bucket.ended(&["list"], &[("BACKUP_BUCKET", "")]);
    assert_eq!(code, Some(1));
    assert!(said.starts_with("no bucket is named: give --bucket NAME, or set BACKUP_BUCKET"), "{said}");
    assert_eq!(bucket.refusal(&["show", "latest"]).lines().count(), 1);
}

/// As in a shell that has not logged in.
#[test]
fn without_credentials_it_says_so() {
    let bucket = Bucket::new();
    let without =
        [("AWS_ACCESS_KEY_ID", ""), ("AWS_SECRET_ACCESS_KEY", ""), ("AWS_EC2_METADATA_DISABLED", "true")];
    let (code, _, said) = bucket.ended(&["list"], &without);
    assert_eq!(code, Some(1));
    assert!(said.starts_with("AWS was not asked, because no credentials were found"), "{said}");
}

#[test]
fn what_is_denied_is_named() {
    let bucket = Bucket::new();
    let folder = bucket.backup(Tier::Hourly, HOUR, "a1", Consistency::Consistent);
    bucket.refuse(Method::GET, "/store.tar.zst", 403, "AccessDenied");
    bucket.refuse(Method::PUT, "/hold.json", 403, "AccessDenied");
    let said = bucket.refusal(&["verify", "latest"]);
    let begin =
        format!("the data of {folder} is not proven: reading s3://{BUCKET}/{folder}/store.tar.zst broke off");
    assert!(
        said.contains(&begin) && said.contains("s3:GetObject") && said.contains("AccessDenied"),
        "{said}"
    );
    let said = bucket.refusal(&["hold", "latest", "--reason", "audit"]);
    assert!(
        said.starts_with(&format!("s3:PutObject on s3://{BUCKET}/{folder}/hold.json is denied")),
        "{said}"
    );
    bucket.refuse(Method::GET, "/manifest.json", 403, "AccessDenied");
    let said = bucket.refusal(&["list"]);
    assert!(
        said.starts_with(&format!("s3:GetObject on s3://{BUCKET}/{folder}/manifest.json is denied")),
        "{said}"
    );
    bucket.refuse(Method::GET, BUCKET, 403, "AccessDenied");
    bucket.refuse(Method::GET, &format!("{BUCKET}/"), 403, "AccessDenied");
    let said = bucket.refusal(&["list"]);
    assert!(said.starts_with(&format!("s3:ListBucket on s3://{BUCKET}/backups/ is denied")), "{said}");
}

/// One manifest that cannot be had costs one line.
#[test]
fn a_manifest_that_is_not_read_and_one_that_is_none_are_lines_of_the_table() {
    let bucket = Bucket::new();
    bucket.backup(Tier::Hourly, HOUR, "a1", Consistency::Consistent);
    let failing = bucket.backup(Tier::Hourly, 2 * HOUR, "b2", Consistency::Consistent);
    let long = bucket.backup(Tier::Hourly, 3 * HOUR, "c3", Consistency::Consistent);
    bucket.refuse(Method::GET, &failing.manifest(), 500, "InternalError");
    bucket.put(&long.manifest(), vec![b'x'; (64 << 10) + 1]);
    let json = bucket.json(&["list"]);
    let verdicts = json["backups"].as_array().unwrap().iter().map(|backup| backup["verdict"].clone());
    assert_eq!(verdicts.collect::<Vec<_>>(), ["verified", "unreadable", "unreadable"]);
    let fault = |index: usize| json["backups"][index]["fault"].as_str().unwrap().to_owned();
    assert!(fault(1).contains("could not be read just now"), "{json}");
    assert!(fault(2).contains("longer than 65536 bytes"), "{json}");
    assert!(!bucket.calls().iter().any(|call| call.ends_with(&long.manifest())), "it is not even asked for");
}

#[test]
fn show_takes_any_name_and_refuses_what_is_not_one_backup() {
    let bucket = Bucket::new();
    let folder = bucket.backup(Tier::Hourly, HOUR, "a1", Consistency::Consistent);
    let other = bucket.backup(Tier::Manual, HOUR, "b2", Consistency::Inconsistent);
    let uri = format!("s3://{BUCKET}/{folder}/manifest.json");
    let time = format!("{}-a", folder.time);
    for name in [uri.as_str(), folder.to_string().as_str(), time.as_str(), "hourly", "latest"] {
        let text = bucket.printed(&["show", name]);
        assert!(text.starts_with(&format!("{uri}\n  verdict           verified\n")), "{name}: {text}");
        let lines: Vec<&str> = text.lines().rev().take(4).collect();
        assert_eq!(lines[3], format!("  aws s3 cp s3://{BUCKET}/{folder}/store.tar.zst store.tar.zst"));
        assert_eq!(
            lines[..3],
            ["  tar -xf store.tar -C store", "  mkdir store", "  zstd -d store.tar.zst -o store.tar"]
        );
    }
    let (code, text, _) = bucket.ended(&["show", &uri], &[("BACKUP_BUCKET", "")]);
    assert_eq!(code, Some(0), "a URI says the bucket: {text}");
    assert_eq!(bucket.json(&["show", "manual"])["backup"]["verdict"], "inconsistent");
    let said = bucket.refusal(&["show", &folder.time.to_string()]);
    assert!(said.contains("is the beginning of 2 backups: name one of them\n"), "{said}");
    assert!(said.contains(&folder.to_string()) && said.contains(&other.to_string()), "{said}");
    let said = bucket.refusal(&["show", "1999"]);
    assert!(said.starts_with("there is no backup \"1999\": the nearest to it are\n  backups/"), "{said}");
    let said = bucket.refusal(&["show", &uri, "--bucket", "another"]);
    assert!(said.starts_with("the backup is in the bucket s-backups and --bucket says another"), "{said}");
}

#[test]
fn verify_reads_all_data_and_fails_when_a_byte_is_another() {
    let bucket = Bucket::new();
    let folder = bucket.backup(Tier::Hourly, HOUR, "a1", Consistency::Consistent);
    let data = bucket.get(&folder.data()).unwrap();
    let (code, text, said) = bucket.ended(&["verify", "latest"], &[]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.starts_with("reading ") && said.contains(&folder.data()), "{said}");
    let begin = format!("the data of {folder} is what its manifest says: ");
    assert!(text.starts_with(&begin) && text.contains(&sha256(&data)), "{text}");
    assert_eq!(bucket.json(&["verify", &folder.to_string()])["sha256"], sha256(&data));

    let mut flipped = data.to_vec();
    flipped[7] ^= 1;
    bucket.put(&folder.data(), flipped.clone());
    let said = bucket.refusal(&["verify", "latest"]);
    let sentence = said.lines().last().unwrap();
    assert!(sentence.starts_with(&format!("the data of {folder} is NOT what its manifest says: ")), "{said}");
    assert!(sentence.contains(&format!("the SHA-256 {}", sha256(&flipped))), "{said}");
    assert!(sentence.contains("do not restore it"), "{said}");

    // Listed as whole, and cut when it is read.
    bucket.shared.lock().unwrap().listed.insert(folder.data(), data.len() as u64);
    bucket.put(&folder.data(), data.slice(..100));
    let said = bucket.refusal(&["verify", "latest", "--json"]);
    assert!(said.contains("store.tar.zst has 100 bytes, and the manifest says "), "{said}");
}

/// What the listing shows costs no transfer of a whole store.
#[test]
fn verify_reads_nothing_of_what_cannot_be_whole() {
    let bucket = Bucket::new();
    let folder = bucket.backup(Tier::Daily, HOUR, "a1", Consistency::Consistent);
    bucket.put(&folder.data(), "cut");
    let said = bucket.refusal(&["verify", &folder.to_string()]);
    let begin = format!("the data of {folder} cannot be proven, and nothing of it was read: missing data: ");
    assert!(said.starts_with(&begin), "{said}");
    assert!(!bucket.calls().iter().any(|call| call.ends_with("store.tar.zst")), "{:?}", bucket.calls());
}

#[test]
fn expire_says_what_goes_and_changes_nothing() {
    let bucket = Bucket::new();
    let newest = bucket.backup(Tier::Hourly, HOUR, "a1", Consistency::Consistent);
    let old = bucket.backup(Tier::Hourly, 2 * DAY, "b2", Consistency::Unchecked);
    let text = bucket.printed(&["expire", "--dry-run"]);
    assert!(text.contains(&format!("\nkeep    {newest} ")), "{text}");
    assert!(text.contains(&format!("\nEXPIRE  {old} ")), "{text}");
    assert!(text.contains("\n1 of 2 folders go: ") && text.ends_with("Nothing was changed now.\n"), "{text}");
    assert_eq!(bucket.json(&["expire", "--dry-run"])["tagged_next"], json!([old.manifest()]));
    let looked = bucket.calls().len();
    let said = bucket.refusal(&["expire"]);
    assert!(said.contains("lets nothing expire: the backup trigger does it at each tick"), "{said}");
    assert_eq!(bucket.calls().len(), looked, "it does not even look");
    assert!(bucket.calls().iter().all(|call| call.starts_with("GET ")), "{:?}", bucket.calls());
}

#[test]
fn a_hold_is_written_once_and_is_released_by_an_administrator() {
    let bucket = Bucket::new();
    bucket.backup(Tier::Hourly, HOUR, "a1", Consistency::Consistent);
    let old = bucket.backup(Tier::Hourly, 2 * DAY, "b2", Consistency::Unchecked);
    let name = old.to_string();
    let said = bucket.refusal(&["hold", &name, "--release"]);
    assert!(said.starts_with(&format!("{old} is not held, so there is nothing to release")), "{said}");
    let text = bucket.printed(&["hold", &name, "--reason", "the audit", "--owner", "ann"]);
    assert!(text.starts_with(&format!("{old} is held (the audit, by ann, since 20")), "{text}");
    let untag = format!("aws s3api delete-object-tagging --bucket {BUCKET} --key {old}/manifest.json");
    assert!(text.contains(&untag), "it was to expire: {text}");
    let written = bucket.get(&old.hold()).unwrap();
    let hold: Value = serde_json::from_slice(&written).unwrap();
    assert_eq!((&hold["reason"], &hold["owner"]), (&json!("the audit"), &json!("ann")));

    let text = bucket.printed(&["expire", "--dry-run"]);
    assert!(
        text.contains(&format!("\nkeep  {old} ")) && text.contains("(the audit, by ann, since "),
        "{text}"
    );
    let said = bucket.refusal(&["hold", &name, "--reason", "another", "--json"]);
    assert!(said.starts_with(&format!("{old} is held already (the audit, by ann, ")), "{said}");
    let said = bucket.refusal(&["hold", &name, "--release"]);
    let command = format!("\n  aws s3api delete-object --bucket {BUCKET} --key {old}/hold.json\n");
    assert!(said.contains("this program deletes nothing") && said.ends_with(&command), "{said}");
    assert_eq!(bucket.get(&old.hold()).unwrap(), written, "a hold is never overwritten");
}

#[test]
fn a_hold_that_meets_another_write_is_tried_again_and_then_refused() {
    let bucket = Bucket::new();
    let folder = bucket.backup(Tier::Hourly, HOUR, "a1", Consistency::Consistent);
    bucket.refuse(Method::PUT, "/hold.json", 409, "ConditionalRequestConflict");
    let said = bucket.refusal(&["hold", "latest", "--reason", "audit"]);
    assert!(said.starts_with(&format!("s3://{BUCKET}/{folder}/hold.json is written by others")), "{said}");
    assert_eq!(bucket.calls().iter().filter(|call| call.starts_with("PUT ")).count(), 5);
}
