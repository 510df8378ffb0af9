//! `Custom::SnapshotBootstrap` through the protocol, against S3 in memory: what it records, what it refuses,
//! and that it touches nothing else.

use crate::stage::{
    BACKUPS, Buckets, Cluster, FOUNDING, Function, NEW, OLD, STATE, data, event, event_with, reason,
};
use aws::Kind;
use backups::{Consistency, Founding, Phase};
use serde_json::{Value, json};

fn function(buckets: &Buckets) -> Function {
    Function::new(buckets, &Cluster::default())
}

fn with_source(source: &str) -> Value {
    event_with("snapshot-bootstrap-create-latest", &[("Source", json!(source))])
}

fn sealed(buckets: &Buckets) -> Founding {
    let sealed = Founding { phase: Phase::Sealed, ..buckets.founding().unwrap() };
    buckets.write(STATE, FOUNDING, &sealed.write());
    sealed
}

#[tokio::test]
async fn latest_is_one_object_in_one_version_and_it_is_recorded() {
    let buckets = Buckets::with_backups();
    let answer = function(&buckets).answer(&event("snapshot-bootstrap-create-latest")).await;
    let expected = json!({
        "Bucket": BACKUPS, "Key": format!("{NEW}/store.tar.zst"), "ETag": "\"3\"",
        "ManifestKey": format!("{NEW}/manifest.json"), "Version": "3.4.6", "Nodes": "60000", "Relationships": "13",
    });
    assert_eq!(data(&answer), &expected);
    assert_eq!(answer["PhysicalResourceId"], "neo4j-local-snapshot");
    let founding = buckets.founding().unwrap();
    let restored = founding.to_restore().unwrap();
    assert_eq!((restored.asked.as_str(), restored.etag.as_str(), restored.bytes), ("latest", "\"3\"", 7));
    assert_eq!(restored.key, format!("{NEW}/store.tar.zst"));
}

#[tokio::test]
async fn a_uri_is_the_backup_that_it_names() {
    let buckets = Buckets::with_backups();
    let answer = function(&buckets).answer(&event("snapshot-bootstrap-create-uri")).await;
    assert_eq!(data(&answer)["Key"], format!("{OLD}/store.tar.zst"));
    assert_eq!(data(&answer)["Nodes"], "50000");
}

#[tokio::test]
async fn without_a_source_an_empty_cluster_is_founded() {
    let buckets = Buckets::with_backups();
    let answer = function(&buckets).answer(&event("snapshot-bootstrap-create-empty")).await;
    let attributes = data(&answer).as_object().unwrap();
    assert_eq!(attributes.len(), 7, "a template may read each of them: {attributes:?}");
    assert!(attributes.values().all(|value| value == ""), "{attributes:?}");
    let founding = buckets.founding().unwrap();
    assert_eq!((founding.phase, founding.to_restore()), (Phase::Founding, None));
}

/// Fault 16: each case has its own sentence that names the object, and nothing is recorded or touched.
#[tokio::test]
async fn a_snapshot_that_is_not_fit_is_refused_with_its_reason_and_nothing_is_touched() {
    type Break = fn(&Buckets);
    let manifest = format!("s3://{BACKUPS}/{OLD}/manifest.json");
    let store = format!("s3://{BACKUPS}/{OLD}/store.tar.zst");
    let table: [(Break, &str, &str); 17] = [
        (|b| b.remove(BACKUPS, &format!("{OLD}/manifest.json")), &manifest, "there is no object"),
        (|b| b.remove(BACKUPS, &format!("{OLD}/store.tar.zst")), &store, "there is no object"),
        (|b| b.fail(BACKUPS, &format!("{OLD}/manifest.json"), Kind::Denied), &manifest, "may not be read"),
        (|b| b.fail(BACKUPS, &format!("{OLD}/store.tar.zst"), Kind::Denied), &store, "may not be read"),
        (
            |b| b.fail(BACKUPS, &format!("{OLD}/store.tar.zst"), Kind::Other),
            &store,
            "failed: Other; nothing was recorded",
        ),
        (
            |b| b.write(BACKUPS, &format!("{OLD}/store.tar.zst"), b"123"),
            &store,
            "has 3 bytes and its manifest says 7",
        ),
        (
            |b| b.write(BACKUPS, &format!("{OLD}/store.tar.zst"), b"12345678"),
            &store,
            "has 8 bytes and its manifest says 7",
        ),
        (|b| b.write(BACKUPS, &format!("{OLD}/store.tar.zst"), b""), &store, "has zero bytes"),
        (|b| b.back_up(OLD, |m| m.data.bytes = 0), &manifest, "its data has zero bytes"),
        (
            |b| b.back_up(OLD, |m| m.data.key = format!("{OLD}/../../../state/x")),
            &manifest,
            "may only name what lies beside it",
        ),
        (
            |b| b.back_up(OLD, |m| m.data.key = "/etc/passwd".into()),
            &manifest,
            "may only name what lies beside it",
        ),
        (
            |b| b.back_up(OLD, |m| m.neo4j = "3.5.1".parse().unwrap()),
            &manifest,
            "it is of Neo4j 3.5.1 and the cluster is 3.4.6",
        ),
        (
            |b| b.back_up(OLD, |m| m.consistency = Consistency::Unchecked),
            &manifest,
            "its consistency was never checked",
        ),
        (
            |b| b.back_up(OLD, |m| m.store_bytes = Some(181_000_000_000)),
            &manifest,
            "unpacks to 181 GB, which takes longer than an hour at 50 MB/s",
        ),
        (
            |b| b.write(BACKUPS, &format!("{OLD}/manifest.json"), b"<Error/>"),
            &manifest,
            "it is not a manifest",
        ),
        (
            |b| b.write(BACKUPS, &format!("{OLD}/manifest.json"), br#"{"format":2}"#),
            &manifest,
            "its format is 2",
        ),
        (
            |b| b.write(BACKUPS, &format!("{OLD}/manifest.json"), &vec![b' '; 70_000]),
            &manifest,
            "it is larger than 65536 bytes",
        ),
    ];
    for (break_it, names, says) in table {
        let buckets = Buckets::with_backups();
        break_it(&buckets);
        let before = buckets.all();
        let answer = function(&buckets).answer(&event("snapshot-bootstrap-create-uri")).await;
        let reason = reason(&answer);
        assert!(reason.contains(names) && reason.contains(says), "{says}: {reason}");
        assert_eq!((buckets.all(), buckets.puts()), (before, 0), "{says}");
        assert_eq!(answer["PhysicalResourceId"], "neo4j-local-snapshot");
    }
}

#[tokio::test]
async fn a_backup_in_another_bucket_is_refused_with_the_way_to_use_it() {
    let buckets = Buckets::with_backups();
    let answer = function(&buckets).answer(&with_source("s3://another-stacks-bucket/backups/x")).await;
    assert_eq!(
        reason(&answer),
        "s3://another-stacks-bucket/backups/x/manifest.json is in another bucket than this stack's own, which is neo4j-backups, \
         and neither this function nor the nodes may read it: copy the backup's folder to s3://neo4j-backups/backups/ and name \
         that one"
    );
    assert_eq!(buckets.puts(), 0);
}

#[tokio::test]
async fn a_uri_of_nothing_and_latest_of_nothing_are_refused() {
    let answer = function(&Buckets::with_backups()).answer(&event("snapshot-bootstrap-missing")).await;
    assert!(
        reason(&answer)
            .starts_with("there is no object s3://neo4j-backups/backups/daily/2026-11-23T03-00-00Z-gone/")
    );
    let answer = function(&Buckets::default()).answer(&event("snapshot-bootstrap-create-latest")).await;
    assert!(
        reason(&answer).starts_with("there is no backup with a manifest below s3://neo4j-backups/backups/")
    );
}

#[tokio::test]
async fn properties_of_no_use_are_named_and_never_repeated() {
    let table = [
        (
            json!("https://host.example/x?X-Amz-Signature=s3cret"),
            json!(""),
            "ResourceProperties.Source: it must be latest",
        ),
        (json!("s3://neo4j-backups/a/../b"), json!(""), "ResourceProperties.Source: the key in it"),
        (json!({"Bucket": "b"}), json!(""), "ResourceProperties.Source:"),
        (json!("latest"), json!("3.4"), "ResourceProperties.ExpectedVersion:"),
    ];
    for (source, version, says) in table {
        let buckets = Buckets::with_backups();
        let event = event_with(
            "snapshot-bootstrap-create-latest",
            &[("Source", source), ("ExpectedVersion", version)],
        );
        let answer = function(&buckets).answer(&event).await;
        assert!(reason(&answer).starts_with(says), "{says}: {answer}");
        assert!(!answer.to_string().contains("s3cret"), "{answer}");
        assert_eq!(buckets.puts(), 0);
    }
    let mut event = event("snapshot-bootstrap-create-latest");
    event["ResourceProperties"].as_object_mut().unwrap().remove("Source");
    let answer = function(&Buckets::default()).answer(&event).await;
    assert!(reason(&answer).contains("Source"), "{answer}");
}

#[tokio::test]
async fn the_version_that_is_expected_is_the_one_that_must_fit() {
    let buckets = Buckets::with_backups();
    let event = event_with("snapshot-bootstrap-create-uri", &[("ExpectedVersion", json!("5.26.0"))]);
    let answer = function(&buckets).answer(&event).await;
    assert!(reason(&answer).contains("it is of Neo4j 3.4.6 and the cluster is 5.26.0"), "{answer}");
}

/// Fault 7: `latest` of the second delivery is still the backup of the first.
#[tokio::test]
async fn the_same_event_twice_has_one_effect_although_a_backup_was_made_meanwhile() {
    let buckets = Buckets::with_backups();
    let function = function(&buckets);
    let first = function.answer(&event("snapshot-bootstrap-create-latest")).await;
    buckets.back_up("backups/hourly/2026-11-26T00-00-00Z-c3", |_| {});
    let founding = buckets.founding();
    let second = function.answer(&event("snapshot-bootstrap-create-latest")).await;
    assert_eq!((first, founding), (second, buckets.founding()));
    assert_eq!(buckets.puts(), 1);
}

#[tokio::test]
async fn a_sealed_cluster_refuses_another_snapshot_and_says_what_to_do() {
    let buckets = Buckets::with_backups();
    let function = function(&buckets);
    function.answer(&event("snapshot-bootstrap-create-uri")).await;
    sealed(&buckets);
    let before = buckets.all();
    let answer = function.answer(&event("snapshot-bootstrap-update-sealed")).await;
    let reason = reason(&answer);
    assert!(reason.starts_with(&format!(
        "this cluster was founded from s3://{BACKUPS}/{OLD}/store.tar.zst and is sealed since"
    )));
    assert!(reason.contains("deploy a second stack with it as Snapshot and switch the DNS name"), "{reason}");
    // Fault 10: the old id, so that CloudFormation replaces nothing.
    assert_eq!(answer["PhysicalResourceId"], "neo4j-local-snapshot");

    // CloudFormation rolls back by sending the old properties as an Update.
    let mut rollback = event("snapshot-bootstrap-update-sealed");
    let new = rollback["ResourceProperties"].take();
    rollback["ResourceProperties"] = rollback["OldResourceProperties"].take();
    rollback["OldResourceProperties"] = new;
    let answer = function.answer(&rollback).await;
    assert_eq!(data(&answer)["Key"], format!("{OLD}/store.tar.zst"));

    // The parameter is removed after the bootstrap: nothing to restore is fine.
    let without = event_with("snapshot-bootstrap-update-sealed", &[("Source", json!("none"))]);
    assert_eq!(data(&function.answer(&without).await)["Key"], "");
    assert_eq!(buckets.all(), before, "nothing of all this wrote or removed anything");
    // The same when retention has let both go: what is restored in no case is not looked for.
    for folder in [OLD, NEW] {
        for name in ["manifest.json", "store.tar.zst"] {
            buckets.remove(BACKUPS, &format!("{folder}/{name}"));
        }
    }
    let answer = function.answer(&event("snapshot-bootstrap-update-sealed")).await;
    assert!(self::reason(&answer).contains("deploy a second stack with it as Snapshot"), "{answer}");
    let answer = function.answer(&rollback).await;
    assert_eq!(data(&answer)["Key"], format!("{OLD}/store.tar.zst"));
}

#[tokio::test]
async fn a_sealed_cluster_does_not_mind_the_snapshot_that_it_came_from_by_whatever_name() {
    let buckets = Buckets::with_backups();
    let function = function(&buckets);
    function.answer(&event("snapshot-bootstrap-create-latest")).await;
    let founding = sealed(&buckets);
    let same = event_with(
        "snapshot-bootstrap-update-sealed",
        &[("Source", json!(format!("s3://{BACKUPS}/{NEW}/")))],
    );
    assert_eq!(data(&function.answer(&same).await)["ETag"], "\"3\"");
    // Its backup has expired since, and the version has moved on: history is not looked up again.
    buckets.remove(BACKUPS, &format!("{NEW}/manifest.json"));
    let again = event_with(
        "snapshot-bootstrap-update-sealed",
        &[("Source", json!("latest")), ("ExpectedVersion", json!("3.5.0"))],
    );
    assert_eq!(data(&function.answer(&again).await)["ETag"], "\"3\"");
    assert_eq!(buckets.founding(), Some(founding));
}

#[tokio::test]
async fn while_nodes_may_restore_the_first_intent_stands() {
    let buckets = Buckets::with_backups();
    let function = function(&buckets);
    function.answer(&event("snapshot-bootstrap-create-uri")).await;
    let before = buckets.founding();
    let answer = function.answer(&with_source(&format!("s3://{BACKUPS}/{NEW}"))).await;
    assert!(reason(&answer).starts_with("this cluster is being founded from"), "{answer}");
    assert_eq!(buckets.founding(), before);
}

#[tokio::test]
async fn whoever_loses_the_write_decides_afresh_on_what_the_other_wrote() {
    let recorded = async |source: &str| {
        let buckets = Buckets::with_backups();
        function(&buckets).answer(&with_source(source)).await;
        buckets.founding().unwrap()
    };
    let (latest, old) = (recorded("latest").await, recorded(&format!("s3://{BACKUPS}/{OLD}")).await);

    let buckets = Buckets::with_backups();
    buckets.rival(latest.write());
    let answer = function(&buckets).answer(&with_source("latest")).await;
    assert_eq!(data(&answer)["Key"], format!("{NEW}/store.tar.zst"), "the rival wanted the same");
    assert_eq!((buckets.founding(), buckets.puts()), (Some(latest), 1));

    let buckets = Buckets::with_backups();
    buckets.rival(old.write());
    let answer = function(&buckets).answer(&with_source("latest")).await;
    assert!(reason(&answer).starts_with("this cluster is being founded from"), "{answer}");
    assert_eq!(buckets.founding(), Some(old));
}

/// 409 means that nothing was written, and to retry; a lost answer means that it may have been written.
#[tokio::test(start_paused = true)]
async fn a_busy_record_is_tried_again_and_a_lost_answer_is_looked_up() {
    let buckets = Buckets::with_backups();
    buckets.busy(2);
    let answer = function(&buckets).answer(&with_source("latest")).await;
    assert_eq!(data(&answer)["Key"], format!("{NEW}/store.tar.zst"));
    assert_eq!(buckets.puts(), 3);

    let buckets = Buckets::with_backups();
    buckets.lose_answers(1);
    let answer = function(&buckets).answer(&with_source("latest")).await;
    assert_eq!(data(&answer)["Key"], format!("{NEW}/store.tar.zst"));
    assert_eq!(buckets.puts(), 1, "it was written, so it is not written again");

    let buckets = Buckets::with_backups();
    buckets.busy(99);
    let answer = function(&buckets).answer(&with_source("latest")).await;
    assert!(reason(&answer).contains("was written by others 5 times in a row"), "{answer}");
    assert_eq!((buckets.puts(), buckets.founding()), (5, None));
}

#[tokio::test]
async fn a_record_that_is_lost_or_unreadable_is_no_blank_page() {
    let buckets = Buckets::with_backups();
    let answer = function(&buckets).answer(&event("snapshot-bootstrap-update-sealed")).await;
    assert!(
        reason(&answer).starts_with("the record of what this cluster was founded from is gone"),
        "{answer}"
    );
    assert_eq!(buckets.founding(), None);

    for (body, says) in
        [(&b"{\"format\":9}"[..], "is of format 9"), (b"oops", "cannot be read (expected value")]
    {
        buckets.write(STATE, FOUNDING, body);
        let before = buckets.all();
        let answer = function(&buckets).answer(&event("snapshot-bootstrap-create-latest")).await;
        let expected = format!("s3://{STATE}/{FOUNDING}: the founding record {says}");
        assert!(reason(&answer).starts_with(&expected), "{answer}");
        assert_eq!((buckets.all(), buckets.puts()), (before, 0));
    }
}

#[tokio::test]
async fn a_record_that_may_not_be_written_fails_with_what_to_compare() {
    let buckets = Buckets::with_backups();
    buckets.fail(STATE, FOUNDING, Kind::Denied);
    let answer = function(&buckets).answer(&event("snapshot-bootstrap-create-latest")).await;
    assert!(reason(&answer).contains("compare the role's policy in cluster/roles.yml"), "{answer}");
    assert!(reason(&answer).ends_with("nothing was changed"), "{answer}");
}

/// Faults 11 and 13: after a failed Create, with malformed properties, with an id that
/// CloudFormation invented.
#[tokio::test]
async fn a_delete_succeeds_and_removes_nothing() {
    let buckets = Buckets::with_backups();
    let function = function(&buckets);
    function.answer(&event("snapshot-bootstrap-create-uri")).await;
    let before = buckets.all();
    let mut invented = event("snapshot-bootstrap-delete");
    invented["PhysicalResourceId"] = json!("neo4j-local-Snapshot-1ABCDEF");
    let unreadable = event_with("snapshot-bootstrap-delete", &[("Source", json!({"not": "text"}))]);
    buckets.fail(STATE, FOUNDING, Kind::Denied);
    for delete in [event("snapshot-bootstrap-delete"), invented, unreadable] {
        let answer = function.answer(&delete).await;
        assert_eq!(answer["Status"], "SUCCESS", "{answer}");
        assert_eq!(answer["PhysicalResourceId"], delete["PhysicalResourceId"]);
    }
    assert_eq!(buckets.all(), before);
}
