//! Requests that fail and are rolled back, come late or twice, or come while other work is in progress.

use std::time::Duration;

use neo4j::{Denied, Role};
use serde_json::json;

use crate::stage::{APP_PASSWORD, APP_SECRET, Stage, create, delete, event, logs::Logs, stage_like};

/// CloudFormation undoes a rename that failed because a node was away, with an Update to the old properties.
/// No Delete of the new login ever comes.
pub async fn a_failed_rename_takes_the_new_login_away_again(stage: &Stage, logs: &Logs) {
    stage.cloud.node("core-2", Some(stage.address));
    stage.send(event("user-create")).await.succeeded();
    stage.cloud.node("core-2", None);
    let renamed = stage.send(event("user-rename")).await;
    assert!(renamed.failed().contains("core-2: it has no running task"), "{}", renamed.failed());
    assert_eq!(renamed.id(), "neo4j-local/app", "a failed replacement leaves the old one in force");
    assert_eq!(stage.login("app-2", APP_PASSWORD).await, Ok(()), "the new login is on a node");
    let start = logs.len();
    let rolled_back = stage.send(event("user-rename-rollback")).await;
    assert_eq!(rolled_back.succeeded().id(), "neo4j-local/app");
    assert_eq!(stage.login("app-2", APP_PASSWORD).await, Err(Denied::Unauthorized));
    assert_eq!(stage.login("app", APP_PASSWORD).await, Ok(()));
    let absent = stage.cloud.record_of("app-2").expect("core-2 may have it still");
    assert_eq!(absent.desired, None);
    assert!(logs.since(start).contains("user-removed-in-part"), "{}", logs.since(start));
    assert_eq!(stage.reconcile().await.applied, 0);
    stage.cloud.node("core-2", Some(stage.address));
    stage.reconcile().await;
    assert_eq!((stage.roles("app-2").await, stage.cloud.record_of("app-2")), (None, None));
}

/// A node goes away before a role is changed, and is still away when CloudFormation changes the role back.
pub async fn a_failed_change_of_a_role_is_rolled_back_without_the_node_that_is_away(
    stage: &Stage,
    logs: &Logs,
) {
    stage.cloud.node("core-2", Some(stage.address));
    stage.send(event("user-create")).await.succeeded();
    stage.cloud.node("core-2", None);
    let forth = event("user-update-role");
    let failed = stage.send(forth.clone()).await;
    assert!(failed.failed().contains("core-2: it has no running task"), "{}", failed.failed());
    assert_eq!(stage.roles("app").await, Some(vec!["publisher".to_owned()]), "it is done on core-1");
    let mut back = event("user-update-role");
    back["ResourceProperties"] = forth["OldResourceProperties"].clone();
    back["OldResourceProperties"] = forth["ResourceProperties"].clone();
    let start = logs.len();
    stage.send(back).await.succeeded();
    assert!(logs.since(start).contains("user-applied-in-part"), "{}", logs.since(start));
    assert_eq!(stage.roles("app").await, Some(vec!["reader".to_owned()]));
    stage.cloud.node("core-2", Some(stage.address));
    assert!(stage.reconcile().await.in_order());
}

pub async fn a_rename_to_a_login_of_another_resource_leaves_that_one_its_login(stage: &Stage, _: &Logs) {
    let mut other = create("app-2", Role::Reader);
    stage.send(other.clone()).await.succeeded();
    stage.send(event("user-create")).await.succeeded();
    // Away during the rename only.
    stage.cloud.node("core-2", None);
    stage.send(event("user-rename")).await.failed();
    stage.cloud.node("core-2", Some(stage.address));
    stage.send(event("user-rename-rollback")).await.succeeded();
    assert_eq!(stage.login("app-2", APP_PASSWORD).await, Ok(()));
    other["RequestType"] = json!("Delete");
    stage.send(delete(&other)).await.succeeded();
    assert_eq!(stage.roles("app-2").await, None);
}

/// The reconcile has read both records, or the one record, when an Update of the second
/// user is done and answered.
pub async fn a_user_suspended_during_a_reconcile_stays_suspended(stage: &Stage, _: &Logs) {
    let first = "arn:aws:secretsmanager:us-east-1:000000000000:secret:first";
    stage.cloud.secret(first, APP_PASSWORD, None);
    let mut before = create("aaa", Role::Reader);
    before["ResourceProperties"]["PasswordSecretArn"] = json!(first);
    stage.send(before).await.succeeded();
    for held_at in [first, APP_SECRET] {
        stage.send(event("user-create")).await.succeeded();
        let held = stage.cloud.hold(&format!("secret {held_at}"));
        let suspended = async {
            held.reached().await;
            stage_like(stage).send(event("user-suspend")).await.succeeded();
            held.open();
        };
        let (_summary, ()) = tokio::join!(stage.reconcile(), suspended);
        assert_eq!(stage.login("app", APP_PASSWORD).await, Err(Denied::Unauthorized), "held at {held_at}");
        assert_eq!(stage.login("aaa", APP_PASSWORD).await, Ok(()), "held at {held_at}");
    }
}

pub async fn a_user_deleted_during_a_reconcile_stays_deleted(stage: &Stage, _: &Logs) {
    stage.send(event("user-create")).await.succeeded();
    let held = stage.cloud.hold(&format!("secret {APP_SECRET}"));
    let deleted = async {
        held.reached().await;
        stage_like(stage).send(event("user-delete")).await.succeeded();
        held.open();
    };
    // The reconcile has read the record, and makes the user again where it is missing.
    let (summary, ()) = tokio::join!(stage.reconcile(), deleted);
    assert_eq!((summary.applied, summary.in_order()), (2, true), "{summary:?}");
    assert_eq!((stage.roles("app").await, stage.cloud.record_of("app")), (None, None));
}

pub async fn a_reconcile_whose_time_is_up_leaves_nothing_made_that_no_record_speaks_of(
    stage: &Stage,
    _: &Logs,
) {
    stage.send(event("user-create")).await.succeeded();
    let until = tokio::time::Instant::now() + Duration::from_secs(3);
    let read = stage.cloud.hold(&format!("secret {APP_SECRET}"));
    let deleted = async {
        read.reached().await;
        stage_like(stage).send(event("user-delete")).await.succeeded();
        let applied = stage.cloud.hold("record app");
        read.open();
        applied.reached().await;
        tokio::time::sleep_until(until).await;
        applied.open();
    };
    let (summary, ()) = tokio::join!(stage.reconcile_until(until), deleted);
    assert!(!summary.in_order(), "{summary:?}");
    assert!(stage.roles("app").await.is_some(), "it had no time to remove what it had made");
    assert_eq!(
        stage.cloud.record_of("app").map(|record| record.desired),
        Some(None),
        "so a record speaks of it"
    );
    assert_eq!(stage.reconcile_until(until).await.not_compared, 1, "nothing is begun when time is up");
    stage.reconcile().await;
    assert_eq!((stage.roles("app").await, stage.cloud.record_of("app")), (None, None));
}

pub async fn what_is_removed_again_is_recorded_until_every_node_has_done_it(stage: &Stage, _: &Logs) {
    let held = stage.cloud.hold("nodes");
    let deleted = async {
        held.reached().await;
        stage_like(stage).send(event("user-delete")).await.succeeded();
        assert_eq!(stage.cloud.record_of("app"), None, "the Delete is done");
        stage.cloud.node("core-2", None);
        held.open();
    };
    let (answer, ()) = tokio::join!(stage.send(event("user-create")), deleted);
    assert!(answer.failed().contains("but not everywhere: core-2"), "{}", answer.failed());
    assert_eq!(stage.roles("app").await, None);
    let absent = stage.cloud.record_of("app").expect("core-2 may have it");
    assert_eq!(absent.desired, None);
    stage.reconcile().await;
    assert!(stage.cloud.record_of("app").is_some(), "core-2 is away still");
    stage.cloud.node("core-2", Some(stage.address));
    stage.reconcile().await;
    assert_eq!(stage.cloud.record_of("app"), None);
}

/// Lambda delivers an asynchronous event at least once, up to a quarter of an hour later.
pub async fn a_late_second_create_after_the_delete_makes_no_user(stage: &Stage, _: &Logs) {
    let first = event("user-create");
    let answer = stage.send(first.clone()).await;
    stage.send(event("user-delete")).await.succeeded();
    let late = stage.send(first).await;
    assert_eq!(late.value, answer.value, "answered with what was said");
    assert_eq!((stage.roles("app").await, stage.cloud.record_of("app")), (None, None));
}

pub async fn a_late_second_update_changes_no_role(stage: &Stage, _: &Logs) {
    stage.send(event("user-create")).await.succeeded();
    let mut admin = event("user-update-role");
    admin["ResourceProperties"]["Role"] = json!("admin");
    let answer = stage.send(admin.clone()).await;
    let mut reader = event("user-update-role");
    reader["ResourceProperties"]["Role"] = json!("reader");
    reader["OldResourceProperties"] = admin["ResourceProperties"].clone();
    stage.send(reader).await.succeeded();
    let late = stage.send(admin).await;
    assert_eq!(late.value, answer.value);
    assert_eq!(stage.roles("app").await, Some(vec!["reader".to_owned()]));
    assert_eq!(stage.reconcile().await.applied, 0);
    assert_eq!(stage.roles("app").await, Some(vec!["reader".to_owned()]));
}

pub async fn a_late_second_delete_does_not_delete_the_next_user_of_that_name(stage: &Stage, _: &Logs) {
    stage.send(event("user-create")).await.succeeded();
    let gone = event("user-delete");
    stage.send(gone.clone()).await.succeeded();
    stage.send(event("user-create")).await.succeeded();
    stage.send(gone).await.succeeded();
    assert_eq!(stage.login("app", APP_PASSWORD).await, Ok(()));
}

pub async fn a_late_second_try_of_a_failure_fails_as_before(stage: &Stage, _: &Logs) {
    stage.cloud.secrets.lock().unwrap().retain(|(arn, _), _| arn != APP_SECRET);
    let first = event("user-create");
    let answer = stage.send(first.clone()).await;
    answer.failed();
    stage.cloud.secret(APP_SECRET, APP_PASSWORD, None);
    let late = stage.send(first).await;
    assert_eq!(late.value, answer.value, "the physical id that a Delete ignores, too");
    assert_eq!((stage.roles("app").await, stage.cloud.record_of("app")), (None, None));
}

/// The second delivery has looked for an answer, and is slow: the first one is answered, and the user
/// deleted, before it writes.
pub async fn a_second_delivery_that_is_overtaken_makes_no_user(stage: &Stage, _: &Logs) {
    for held_at in ["nodes", "record app", "write app"] {
        let twice = event("user-create");
        let slow = stage_like(stage);
        let held = stage.cloud.hold(held_at);
        let overtaken = async {
            held.reached().await;
            let first = stage.send(twice.clone()).await;
            stage.send(event("user-delete")).await.succeeded();
            held.open();
            first
        };
        let (second, first) = tokio::join!(slow.send(twice.clone()), overtaken);
        assert_eq!(second.value, first.succeeded().value, "held at {held_at}");
        assert_eq!(
            (stage.roles("app").await, stage.cloud.record_of("app")),
            (None, None),
            "held at {held_at}"
        );
    }
}
