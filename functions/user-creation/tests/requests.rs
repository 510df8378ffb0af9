//! Requests that need no node: what AWS's passing errors, an absent cluster and `AuthEnabled=false` mean for
//! the answer. The clock is paused, so waiting costs nothing.

mod stage;

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use aws::Kind;
use neo4j::Administration;
use serde_json::{Value, json};
use stage::{Stage, event};
use user_creation::{Answer, Said};

/// A stage whose only slot has no task.
fn stage() -> Stage {
    let stage = Stage::new([127, 0, 0, 1].into(), Administration::Http);
    stage.cloud.node("core-1", None);
    stage
}

fn without_authentication(stage: &Stage) -> Stage {
    let mut config = stage.config.clone();
    config.auth_enabled = false;
    Stage::on(Arc::clone(&stage.cloud), stage.address, config)
}

/// A recorded user, as if an earlier request had created it.
async fn recorded(stage: &Stage) {
    stage.send(event("user-create")).await.failed();
    assert!(stage.cloud.record_of("app").is_some_and(|record| record.desired.is_some()));
}

#[tokio::test(start_paused = true)]
async fn a_delete_while_no_task_runs_keeps_the_user_in_mind_and_one_without_services_forgets_it() {
    let stage = stage();
    recorded(&stage).await;
    stage.send(event("user-delete")).await.succeeded();
    assert_eq!(
        stage.cloud.record_of("app").map(|record| record.desired),
        Some(None),
        "scaled to zero, or an outage"
    );
    stage.cloud.gone.store(true, Ordering::Relaxed);
    // The administrator's secret may be gone too.
    stage.cloud.secrets.lock().unwrap().clear();
    stage.send(event("user-delete")).await.succeeded();
    assert_eq!(stage.cloud.record_of("app"), None);
}

#[tokio::test(start_paused = true)]
async fn every_passing_error_of_aws_is_waited_out() {
    for kind in [Kind::Throttled, Kind::Passing] {
        for call in ["said", "secret", "record", "write", "nodes", "gone", "forget", "say"] {
            let stage = stage();
            stage.cloud.gone.store(true, Ordering::Relaxed);
            recorded(&stage).await;
            stage.cloud.fail(call, kind, 4);
            let answer = stage.send(event("user-delete")).await;
            answer.succeeded();
            assert_eq!(stage.cloud.record_of("app"), None, "{call}");
            // Without a node to log in to it needs no secret.
            assert_eq!(stage.cloud.spare_failures(), if call == "secret" { 4 } else { 0 }, "{call}");
            // A Create waits for the same calls, and then fails because there is no node.
            stage.cloud.fail(call, kind, 4);
            let answer = stage.send(event("user-create")).await;
            assert!(
                answer.failed().contains("core-1: it has no running task"),
                "{call}: {}",
                answer.failed()
            );
            let is_not_made = call == "gone" || call == "forget";
            assert_eq!(stage.cloud.spare_failures(), if is_not_made { 4 } else { 0 }, "{call}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn pauses_grow_and_a_record_is_written_once() {
    let stage = stage();
    stage.cloud.fail("nodes", Kind::Throttled, 6);
    let start = tokio::time::Instant::now();
    stage.send(event("user-create")).await.failed();
    // 1, 2, 4, 8, 16 and 16 s, and up to half as long again each.
    let waited = start.elapsed();
    assert!((47..72).contains(&waited.as_secs()), "{waited:?}");
    assert_eq!(stage.cloud.count("write app"), 1);
}

#[tokio::test(start_paused = true)]
async fn an_error_that_does_not_pass_is_a_failure_at_once() {
    for kind in [Kind::Denied, Kind::Other] {
        for (call, id) in [
            ("said", "AppUser-not-created"),
            ("secret", "AppUser-not-created"),
            ("record", "AppUser-not-created"),
            // A denied write was not made; of other refusals that is not known.
            ("write", if kind == Kind::Denied { "AppUser-not-created" } else { "neo4j-local/app" }),
            ("nodes", "neo4j-local/app"),
        ] {
            let stage = stage();
            stage.cloud.fail(call, kind, 1);
            let start = tokio::time::Instant::now();
            let answer = stage.send(event("user-create")).await;
            assert!(answer.failed().contains(&format!("aws:Call on {call}")), "{}", answer.failed());
            assert_eq!(answer.id(), id, "{call}: what was made decides whether a Delete must come");
            assert_eq!(start.elapsed(), Duration::ZERO);
        }
        let stage = stage();
        stage.cloud.fail("write", kind, 1);
        let updated = stage.send(event("user-update-role")).await;
        assert_eq!(
            (updated.failed().contains("aws:Call"), updated.id()),
            (true, "neo4j-local/app"),
            "an Update"
        );
        // The work is done: an answer that cannot be remembered is not worth a failed stack.
        stage.cloud.fail("say", kind, 1);
        stage.send(event("user-delete")).await.succeeded();
    }
}

#[tokio::test(start_paused = true)]
async fn throttled_for_longer_than_cloudformation_waits_is_a_failure_that_names_the_call() {
    let stage = stage();
    stage.cloud.fail("write", Kind::Throttled, 1000);
    let mut create = event("user-create");
    create["ResourceProperties"]["ServiceTimeout"] = json!("60");
    let answer = stage.send(create).await;
    assert!(
        answer.failed().contains("60 s") && answer.failed().contains("aws:Call on write app"),
        "{}",
        answer.failed()
    );
}

#[tokio::test(start_paused = true)]
async fn without_authentication_users_are_refused_and_deletes_keep_the_login_revoked() {
    let with = stage();
    recorded(&with).await;
    let off = without_authentication(&with);
    let mut create = event("user-create");
    create["LogicalResourceId"] = json!("Other");
    let refused = off.send(create).await;
    assert!(
        refused.failed().starts_with("AuthEnabled of stack neo4j-local is false"),
        "{}",
        refused.failed()
    );
    assert_eq!(refused.id(), "Other-not-created");
    let updated = off.send(event("user-update-role")).await;
    assert!(updated.failed().contains("AuthEnabled"), "{}", updated.failed());
    assert_eq!(off.cloud.count("nodes"), 1, "no node was looked for but in the beginning");
    off.send(event("user-delete")).await.succeeded();
    assert_eq!(off.cloud.count("nodes"), 1);
    assert_eq!(off.cloud.record_of("app").map(|record| record.desired), Some(None), "for when it is back");
    let calls = off.cloud.count("secret");
    let summary = off.reconcile().await;
    assert!(summary.in_order() && summary.sentence.starts_with("AuthEnabled is false"), "{summary:?}");
    assert_eq!(
        (off.cloud.count("nodes"), off.cloud.count("secret")),
        (1, calls),
        "the reconcile does nothing"
    );
}

/// CloudFormation marks no Update as a roll-back; that the one before it failed shows it.
#[tokio::test(start_paused = true)]
async fn a_node_that_is_away_fails_an_update_and_not_the_one_that_undoes_it() {
    let other_secret = "arn:aws:secretsmanager:us-east-1:000000000000:secret:other";
    for (property, value) in [
        ("Role", json!("publisher")),
        ("PasswordSecretArn", json!(other_secret)),
        ("Suspended", json!("true")),
    ] {
        let stage = stage();
        stage.cloud.secret(other_secret, "another-password", None);
        let nodes = std::mem::take(&mut *stage.cloud.nodes.lock().unwrap());
        let create = event("user-create");
        stage.send(create.clone()).await.succeeded();
        *stage.cloud.nodes.lock().unwrap() = nodes;
        let update = |to_the_new: bool| {
            let mut update = event("user-update-role");
            let (before, mut after) =
                (create["ResourceProperties"].clone(), create["ResourceProperties"].clone());
            after[property] = value.clone();
            let (old, new) = if to_the_new { (before, after) } else { (after, before) };
            update["OldResourceProperties"] = old;
            update["ResourceProperties"] = new;
            update
        };
        let failed = stage.send(update(true)).await;
        assert!(failed.failed().contains("core-1: it has no running task"), "{}", failed.failed());
        // Its continuations find its own record, and not a failed one.
        stage.cloud.fail("nodes", Kind::Throttled, 1);
        let written = stage.cloud.hold("write app");
        let throttled = async {
            written.reached().await;
            stage.cloud.fail("said", Kind::Throttled, 1);
            written.open();
        };
        let (back, ()) = tokio::join!(stage.send(update(false)), throttled);
        back.succeeded();
        assert_eq!(stage.cloud.spare_failures(), 0, "{property}");
        let wanted = stage.cloud.record_of("app").and_then(|record| record.desired).expect("it is wanted");
        assert_eq!((wanted.role, wanted.suspended), (neo4j::Role::Reader, false), "{property}");
        let next = stage.send(update(true)).await;
        assert!(next.failed().contains("core-1: it has no running task"), "after a success: {property}");
    }
}

/// CloudFormation deletes what it failed to create. A second Create is not a roll-back, and neither is an
/// Update of another resource.
#[tokio::test(start_paused = true)]
async fn only_an_update_of_the_same_resource_undoes_a_failed_one() {
    let stage = stage();
    recorded(&stage).await;
    stage.send(event("user-create")).await.failed();
    let mut other = event("user-update-role");
    other["LogicalResourceId"] = json!("Other");
    stage.send(other).await.failed();
}

/// The Create of the same user by another resource of the stack.
fn create_as(resource: &str) -> Value {
    let mut create = event("user-create");
    create["LogicalResourceId"] = json!(resource);
    create
}

/// The record is not this request's, and may be a newer one by the time of the write.
#[tokio::test(start_paused = true)]
async fn a_delete_that_changes_nothing_of_another_resources_record_writes_nothing() {
    let stage = stage();
    recorded(&stage).await;
    stage.send(create_as("Other")).await.failed();
    let before = |stage: &Stage| stage.cloud.record_of("app").and_then(|record| record.before);
    assert!(before(&stage).is_some());
    let writes = stage.cloud.count("write app");
    let mut third = event("user-delete");
    third["LogicalResourceId"] = json!("Third");
    stage.send(third).await.succeeded();
    assert_eq!(stage.cloud.count("write app"), writes);
    assert!(before(&stage).is_some(), "the first resource's is what a roll-back puts back");
    for _twice in 0..2 {
        stage.send(event("user-delete")).await.succeeded();
        assert_eq!(stage.cloud.count("write app"), writes + 1, "that it is not put back any more, once");
        assert_eq!(before(&stage), None);
    }
}

/// A second delivery has looked for an answer, and is slow. The resource that it gave up takes the
/// user over again meanwhile.
#[tokio::test(start_paused = true)]
async fn a_delivery_of_a_delete_that_is_overtaken_puts_no_other_resource_back() {
    let stage = stage();
    recorded(&stage).await;
    stage.send(create_as("Other")).await.failed();
    let mut delete = event("user-delete");
    delete["LogicalResourceId"] = json!("Other");
    let slow = Stage::on(Arc::clone(&stage.cloud), stage.address, stage.config.clone());
    let held = stage.cloud.hold("record app");
    let overtaken = async {
        held.reached().await;
        stage.send(delete.clone()).await.succeeded();
        let owner = stage.cloud.record_of("app").expect("it is put back").owner;
        assert!(owner.ends_with("/AppUser"), "{owner}");
        stage.send(create_as("Other")).await.failed();
        held.open();
    };
    let (second, ()) = tokio::join!(slow.send(delete.clone()), overtaken);
    second.succeeded();
    let record = stage.cloud.record_of("app").expect("it is wanted");
    assert!(record.owner.ends_with("/Other") && record.before.is_some(), "{record:?}");
}

/// The second delivery has read the record, and is slow to write: the first one is concluded by then,
/// and no later request came.
#[tokio::test(start_paused = true)]
async fn a_second_delivery_that_is_slow_to_write_leaves_what_the_first_one_wrote() {
    let stage = stage();
    stage.cloud.nodes.lock().unwrap().clear();
    let slow = Stage::on(Arc::clone(&stage.cloud), stage.address, stage.config.clone());
    for twice in [event("user-create"), event("user-update-role")] {
        let held = stage.cloud.hold("write app");
        let first = async {
            held.reached().await;
            stage.send(twice.clone()).await.succeeded();
            let record = stage.cloud.record_of("app");
            held.open();
            record.expect("it is wanted")
        };
        let (second, wrote) = tokio::join!(slow.send(twice.clone()), first);
        second.succeeded();
        assert_eq!(stage.cloud.record_of("app"), Some(wrote), "{}", twice["RequestType"]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_record_that_cannot_be_read_is_replaced_and_one_written_meanwhile_is_read_again() {
    let stage = stage();
    stage.cloud.records.lock().unwrap().insert("app".into(), "{}".into());
    recorded(&stage).await;
    stage.cloud.records.lock().unwrap().clear();
    let slow = Stage::on(Arc::clone(&stage.cloud), stage.address, stage.config.clone());
    let held = stage.cloud.hold("write app");
    let other = async {
        held.reached().await;
        stage.send(create_as("Other")).await.failed();
        held.open();
    };
    tokio::join!(slow.send(event("user-create")), other).0.failed();
    let before = stage.cloud.record_of("app").and_then(|record| record.before).expect("a record taken over");
    assert!(before.owner.ends_with("/Other"), "{before:?}");
}

#[tokio::test(start_paused = true)]
async fn what_is_answered_is_remembered_for_an_hour() {
    let stage = stage();
    let failed = event("user-create");
    let first = stage.send(failed.clone()).await;
    let calls = stage.cloud.calls();
    assert_eq!(stage.send(failed.clone()).await.value, first.value);
    assert_eq!(stage.cloud.calls(), calls + 1);
    let request = failed["RequestId"].as_str().unwrap().to_owned();
    stage.reconcile().await;
    let remembered = stage.cloud.requests.lock().unwrap().get(&request).cloned().expect("it is young");
    let said = Said::read(&remembered).expect("a conclusion");
    assert!(
        matches!(&said.answer, Answer::Failure { reason, nothing_made: false } if reason == first.failed())
    );
    let old = Said { at: said.at - 3601, ..said };
    stage.cloud.requests.lock().unwrap().insert(request.clone(), old.to_json());
    stage.reconcile().await;
    assert!(stage.cloud.requests.lock().unwrap().is_empty());
    // Without authentication no schedule runs, and the next request does it; when it
    // cannot, that is not a failure.
    let off = without_authentication(&stage);
    for (failing, forgotten) in [("requests", false), ("none", true)] {
        stage.cloud.requests.lock().unwrap().insert(request.clone(), old.to_json());
        stage.cloud.fail(failing, Kind::Denied, 1);
        off.send(event("user-delete")).await.succeeded();
        let remembered = stage.cloud.requests.lock().unwrap();
        assert_eq!(remembered.contains_key(&request), !forgotten, "{failing}");
        assert!(remembered.keys().any(|name| name.starts_with("user-delete")), "what was answered now");
    }
}

#[tokio::test(start_paused = true)]
async fn an_id_that_is_no_name_is_worked_on_and_not_remembered() {
    for id in ["../users/app", "a b", "", &"x".repeat(101)] {
        let stage = stage();
        let mut create = event("user-create");
        create["RequestId"] = json!(id);
        stage.send(create).await.failed();
        assert!(stage.cloud.requests.lock().unwrap().is_empty(), "{id:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_long_reason_is_the_same_each_time() {
    let stage = stage();
    for slot in 0..100 {
        stage.cloud.node(&format!("core-{slot}-{}", "x".repeat(40)), None);
    }
    let long = event("user-create");
    let first = stage.send(long.clone()).await;
    assert!(first.failed().contains(" ... "), "{}", first.failed());
    assert_eq!(stage.send(long).await.value, first.value);
    assert!(stage.cloud.requests.lock().unwrap().values().all(|value| value.len() <= 4096));
}

#[tokio::test(start_paused = true)]
async fn one_record_that_cannot_be_read_stops_no_other_user() {
    let stage = stage();
    for user in ["aaa", "bbb", "ccc"] {
        stage.send(stage::create(user, neo4j::Role::Reader)).await.failed();
    }
    stage.cloud.fail("record bbb", Kind::Denied, 1);
    let before = stage.cloud.count("record ccc");
    let summary = stage.reconcile().await;
    assert_eq!((summary.users, summary.out_of_order), (3, 1), "{summary:?}");
    assert!(stage.cloud.count("record ccc") > before, "the users after it are compared");
}

#[tokio::test(start_paused = true)]
async fn a_stack_that_is_deleted_leaves_no_parameter() {
    let stage = stage();
    let records = |kind: &str| -> Value {
        let mut event = event("user-records-delete");
        event["RequestType"] = json!(kind);
        event
    };
    let mut create = records("Create");
    create.as_object_mut().unwrap().remove("PhysicalResourceId");
    let made = stage.send(create).await;
    assert_eq!(made.succeeded().id(), "neo4j-local-user-records");
    recorded(&stage).await;
    // The roll-back of the update that added it: the users are still wanted.
    stage.send(records("Delete")).await.succeeded();
    assert!(stage.cloud.record_of("app").is_some_and(|record| record.desired.is_some()));
    stage.send(event("user-delete")).await.succeeded();
    assert!(
        !stage.cloud.records.lock().unwrap().is_empty() && !stage.cloud.requests.lock().unwrap().is_empty()
    );
    stage.cloud.records.lock().unwrap().insert("broken".into(), "{}".into());
    stage.cloud.fail("forget", Kind::Throttled, 3);
    stage.cloud.fail("requests", Kind::Passing, 1);
    for _twice in 0..2 {
        stage.send(records("Delete")).await.succeeded();
        assert!(stage.cloud.records.lock().unwrap().is_empty());
        assert!(stage.cloud.requests.lock().unwrap().is_empty());
    }
    stage.cloud.fail("records", Kind::Denied, 1);
    assert!(stage.send(records("Delete")).await.failed().contains("aws:Call on records"));
}
