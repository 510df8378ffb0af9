//! Which backup a source is, against S3 in memory: what is chosen, what is passed over and named, and what is refused.

use crate::stage::{BACKUPS, Buckets, Cluster, FOUNDING, Function, STATE, data, event_with, reason};
use aws::Kind;
use backups::{Consistency, Manifest, Seconds, Target, Time};
use serde_json::json;
use snapshot_bootstrap::{Refusal, Resolved, resolve};

const A: &str = "backups/daily/2026-11-24T03-00-00Z-a";
const B: &str = "backups/hourly/2026-11-24T10-00-00Z-b";
const C: &str = "backups/hourly/2026-11-24T11-00-00Z-c";
const D: &str = "backups/manual/2026-11-24T12-00-00Z-d";
/// All of them are in the past.
const NOW: &str = "2026-11-25T00-00-00Z";

type Change = fn(&Buckets);

fn unchecked(manifest: &mut Manifest) {
    manifest.consistency = Consistency::Unchecked;
}

fn inconsistent(manifest: &mut Manifest) {
    manifest.consistency = Consistency::Inconsistent;
}

/// Four verified backups, changed as a test says.
fn buckets(change: Change) -> Buckets {
    let buckets = Buckets::default();
    for folder in [A, B, C, D] {
        buckets.back_up(folder, |_| {});
    }
    change(&buckets);
    buckets
}

async fn resolved(buckets: &Buckets, source: &str, accepts: bool) -> Result<Resolved, String> {
    let target = Target::of("3.4.6".parse().unwrap()).accepting_unverified(accepts);
    let now: Time = NOW.parse().unwrap();
    let found = resolve(buckets, &source.parse().unwrap(), BACKUPS, &target, now).await;
    found.map(Option::unwrap).map_err(|refusal: Refusal| refusal.to_string())
}

async fn refused(change: Change, source: &str) -> String {
    resolved(&buckets(change), source, false).await.unwrap_err()
}

/// Each: what the bucket is, the source, the backup that it is, and what is named as passed over.
#[tokio::test]
async fn the_newest_verified_backup_is_chosen_and_the_newer_ones_are_named() {
    let table: [(&str, Change, &str, &str, &[&str]); 10] = [
        ("all verified", |_| {}, "latest", D, &[]),
        ("by its bucket", |_| {}, "s3://neo4j-backups/latest", D, &[]),
        (
            "the newest was never checked, the next one is damaged",
            |b| {
                b.back_up(D, unchecked);
                b.back_up(C, inconsistent);
            },
            "latest",
            B,
            &[
                "backups/manual/2026-11-24T12-00-00Z-d is unchecked",
                "backups/hourly/2026-11-24T11-00-00Z-c is inconsistent",
            ],
        ),
        (
            "the newest is without its data, the next one's is cut",
            |b| {
                b.remove(BACKUPS, &format!("{D}/store.tar.zst"));
                b.write(BACKUPS, &format!("{C}/store.tar.zst"), b"123");
            },
            "latest",
            B,
            &[
                "the data of backups/manual/2026-11-24T12-00-00Z-d is gone, or of another length than its manifest says",
                "the data of backups/hourly/2026-11-24T11-00-00Z-c is gone, or of another length than its manifest says",
            ],
        ),
        (
            "two manifests that cannot be read",
            |b| {
                b.write(BACKUPS, &format!("{D}/manifest.json"), br#"{"format":2}"#);
                b.write(BACKUPS, &format!("{C}/manifest.json"), &vec![b' '; 70_000]);
            },
            "latest",
            B,
            &[
                "the manifest of backups/manual/2026-11-24T12-00-00Z-d cannot be relied on: its format is 2",
                "the manifest of backups/hourly/2026-11-24T11-00-00Z-c cannot be relied on: it is longer than 65536",
            ],
        ),
        ("what is older than the chosen one is not named", |b| b.back_up(B, inconsistent), "latest", D, &[]),
        ("a time between two", |_| {}, "before:2026-11-24T11:30Z", C, &[]),
        ("the moment of a backup", |_| {}, "before:2026-11-24T11:00Z", B, &[]),
        (
            "the one before that time is not verified",
            |b| b.back_up(C, unchecked),
            "before:2026-11-24T11:30:00Z",
            B,
            &["backups/hourly/2026-11-24T11-00-00Z-c is unchecked"],
        ),
        (
            "a copy that went on until after that time",
            |b| {
                b.back_up(C, |manifest| {
                    manifest.finished = Some("2026-11-24T11-40-00Z".parse().unwrap());
                    manifest.seconds = Some(Seconds { copy: 2100, check: 200, stream: 90, read_back: 10 });
                });
            },
            "s3://neo4j-backups/before:2026-11-24T11:30Z",
            B,
            &[],
        ),
    ];
    for (case, change, source, folder, skipped) in table {
        let found = resolved(&buckets(change), source, false).await.unwrap();
        assert_eq!(found.snapshot.manifest, format!("{folder}/manifest.json"), "{case}");
        assert_eq!(found.skipped.len(), skipped.len(), "{case}: {:?}", found.skipped);
        for (said, start) in found.skipped.iter().zip(skipped) {
            assert!(said.starts_with(start), "{case}: {said}");
        }
    }
}

#[tokio::test]
async fn a_time_that_names_nothing_is_refused_with_what_there_is() {
    let nothing: Change = |_| {};
    assert_eq!(
        refused(nothing, "before:2026-11-25T00:01Z").await,
        format!(
            "before:2026-11-25T00-01-00Z is in the future, because it is {NOW} now; the newest verified backup is {D}, which latest \
             names"
        )
    );
    assert_eq!(
        refused(nothing, "before:2026-11-24T03:00Z").await,
        format!(
            "no verified backup below s3://{BACKUPS}/backups/ fits before:2026-11-24T03-00-00Z: the oldest one is {A}, whose data \
             is of 2026-11-24T03-00-00Z; name a later time, or a backup by its URI"
        )
    );
    let damaged: Change = |b| {
        b.back_up(A, inconsistent);
        b.back_up(B, unchecked);
    };
    assert_eq!(
        refused(damaged, "before:2026-11-24T10:30Z").await,
        format!(
            "no verified backup below s3://{BACKUPS}/backups/ fits before:2026-11-24T10-30-00Z: the oldest one is {C}, whose data \
             is of 2026-11-24T11-00-00Z ({B} is unchecked; {A} is inconsistent); name a later time, or a backup by its URI"
        )
    );
}

#[tokio::test]
async fn a_bucket_without_a_verified_backup_is_refused_with_what_is_wrong() {
    let all: Change = |b| {
        for folder in [A, B, C] {
            b.back_up(folder, unchecked);
        }
        b.remove(BACKUPS, &format!("{D}/store.tar.zst"));
    };
    for source in ["latest", "before:2026-11-24T23:00Z"] {
        let refused = refused(all, source).await;
        assert!(
            refused.starts_with("no backup below s3://neo4j-backups/backups/ is verified, so "),
            "{refused}"
        );
        assert!(refused.contains(&format!("the data of {D} is gone")), "{refused}");
        assert!(refused.contains(&format!("; {A} is unchecked; name one of them by its URI")), "{refused}");
    }
    let future = refused(all, "before:2027-01-01T00:00Z").await;
    assert!(future.ends_with("; no verified backup is there at all"), "{future}");
    let empty = Buckets::default();
    let refused = resolved(&empty, "before:2026-11-24T23:00Z", false).await.unwrap_err();
    assert!(
        refused
            .starts_with("there is no backup with a manifest below s3://neo4j-backups/backups/, so before:")
    );
}

/// It may be the newest verified one: an older one must not be restored in its place.
#[tokio::test]
async fn a_manifest_that_cannot_be_read_just_now_is_not_passed_over() {
    for (kind, says) in [(Kind::Passing, "nothing was recorded"), (Kind::Denied, "may not be read")] {
        let buckets = buckets(|_| {});
        buckets.fail(BACKUPS, &format!("{D}/manifest.json"), kind);
        let refused = resolved(&buckets, "latest", false).await.unwrap_err();
        assert!(refused.contains(says) && refused.contains(D), "{refused}");
    }
}

#[tokio::test]
async fn an_unverified_backup_needs_its_uri_and_the_word_of_an_operator() {
    for change in [unchecked, inconsistent] {
        let buckets = buckets(|_| {});
        buckets.back_up(D, change);
        let uri = format!("s3://{BACKUPS}/{D}");
        let refused = resolved(&buckets, &uri, false).await.unwrap_err();
        assert!(refused.ends_with("with AcceptUnverified set to true"), "{refused}");
        let found = resolved(&buckets, &uri, true).await.unwrap();
        assert_eq!(found.snapshot.manifest, format!("{D}/manifest.json"));
        let latest = resolved(&buckets, "latest", true).await.unwrap();
        assert_eq!(latest.snapshot.manifest, format!("{C}/manifest.json"), "the word is for a URI");
    }
}

#[tokio::test]
async fn the_properties_are_those_of_the_template() {
    let source = format!("s3://{BACKUPS}/{D}");
    let with = |source: &str, accept: &str| {
        let properties = [("Source", json!(source)), ("AcceptUnverified", json!(accept))];
        event_with("snapshot-bootstrap-create-latest", &properties)
    };
    let table = [
        (
            source.as_str(),
            "false",
            "s3://neo4j-backups/backups/manual/2026-11-24T12-00-00Z-d/manifest.json is refused",
        ),
        (source.as_str(), "yes", "ResourceProperties.AcceptUnverified: it must be true or false"),
        ("latest", "true", "AcceptUnverified is true and Snapshot is latest, which is verified in any case"),
    ];
    for (source, accept, says) in table {
        let buckets = buckets(|b| b.back_up(D, unchecked));
        let answer = Function::new(&buckets, &Cluster::default()).answer(&with(source, accept)).await;
        assert!(reason(&answer).starts_with(says), "{answer}");
        assert_eq!(buckets.puts(), 0);
    }
    let buckets = buckets(|b| b.back_up(D, unchecked));
    let answer = Function::new(&buckets, &Cluster::default()).answer(&with(&source, "true")).await;
    assert_eq!(data(&answer)["Key"], format!("{D}/store.tar.zst"));
    assert!(buckets.all().contains_key(&format!("s3://{STATE}/{FOUNDING}")));

    // Without backups of its own the function has the bucket from the template.
    let properties = [("BackupBucket", json!("another-bucket"))];
    let answer = Function::new(&buckets, &Cluster::default())
        .answer(&event_with("snapshot-bootstrap-update-sealed", &properties))
        .await;
    assert!(reason(&answer).contains("another-bucket"), "{answer}");
}
