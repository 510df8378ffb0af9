//! Users on a real Neo4j 3.4.6: everything that CloudFormation may ask for, and everything that
//! may go wrong on the way.

mod overtaken;
mod stage;

use std::{
    net::TcpListener,
    process::ExitCode,
    time::{Duration, Instant},
};

use end_to_end::jvm::{V3_4_6, free_address};
use neo4j::{Administration, Denied, Role, commit};
use overtaken::{
    a_failed_change_of_a_role_is_rolled_back_without_the_node_that_is_away,
    a_failed_rename_takes_the_new_login_away_again, a_late_second_create_after_the_delete_makes_no_user,
    a_late_second_delete_does_not_delete_the_next_user_of_that_name,
    a_late_second_try_of_a_failure_fails_as_before, a_late_second_update_changes_no_role,
    a_reconcile_whose_time_is_up_leaves_nothing_made_that_no_record_speaks_of,
    a_rename_to_a_login_of_another_resource_leaves_that_one_its_login,
    a_second_delivery_that_is_overtaken_makes_no_user, a_user_deleted_during_a_reconcile_stays_deleted,
    a_user_suspended_during_a_reconcile_stays_suspended,
    what_is_removed_again_is_recorded_until_every_node_has_done_it,
};
use serde_json::{Value, json};
use stage::{
    ADMIN_PASSWORD, APP_PASSWORD, APP_SECRET, Stage, admin, cloud::ADMIN_SECRET, create, credentials, delete,
    event, logs::Logs, nasty, stage_like, tests,
};

fn main() -> ExitCode {
    let tests = tests![
        the_first_one_finds_the_factory_set_administrator,
        each_role_may_do_what_it_says_and_no_more,
        the_same_event_twice_is_one_user,
        a_role_is_changed,
        a_rotated_password_is_set_by_a_reconcile_and_said_to_have_been_the_old_one,
        a_suspended_user_is_there_and_cannot_log_in,
        a_rename_is_another_user_until_the_delete_comes,
        a_deleted_user_is_gone_and_deleting_it_again_is_a_success,
        no_request_deletes_the_administrator,
        bad_properties_fail_at_once_and_call_nothing,
        a_secret_without_a_password_is_named_and_nothing_is_made,
        two_nodes_of_three_are_a_failure_that_names_the_third,
        a_node_that_comes_late_is_waited_for,
        a_delete_while_a_create_runs_leaves_no_user,
        a_delete_while_nothing_runs_is_fast_and_the_login_is_refused_when_the_nodes_are_back,
        a_node_that_missed_a_delete_hears_of_it_later,
        a_failed_change_of_a_role_is_rolled_back_without_the_node_that_is_away,
        a_failed_rename_takes_the_new_login_away_again,
        a_rename_to_a_login_of_another_resource_leaves_that_one_its_login,
        a_user_suspended_during_a_reconcile_stays_suspended,
        a_user_deleted_during_a_reconcile_stays_deleted,
        a_reconcile_whose_time_is_up_leaves_nothing_made_that_no_record_speaks_of,
        what_is_removed_again_is_recorded_until_every_node_has_done_it,
        a_late_second_create_after_the_delete_makes_no_user,
        a_second_delivery_that_is_overtaken_makes_no_user,
        a_late_second_update_changes_no_role,
        a_late_second_delete_does_not_delete_the_next_user_of_that_name,
        a_late_second_try_of_a_failure_fails_as_before,
        a_user_that_another_resource_took_over_stays,
        a_user_taken_over_by_a_resource_that_is_rolled_back_is_as_it_was,
        a_reconcile_puts_right_what_operators_changed,
        a_user_with_a_duty_to_change_the_password_is_made_again_from_scratch,
        a_user_locked_out_by_others_is_waited_for,
        a_delete_waits_for_an_administrator_that_is_locked_out,
        twenty_users_are_made_and_deleted_while_aws_throttles,
        a_user_deleted_while_authentication_was_off_is_refused_when_it_is_back,
        the_administrators_password_is_rotated,
        an_unknown_administrator_is_named_with_what_to_do,
        two_hundred_nasty_passwords_are_stored_exactly,
        no_secret_is_in_any_log_line,
    ];
    stage::run(&V3_4_6, Administration::Http, tests)
}

async fn the_first_one_finds_the_factory_set_administrator(stage: &Stage, _: &Logs) {
    assert_eq!(stage.login("neo4j", "neo4j").await, Err(Denied::ChangeRequired), "a new node");
    let answer = stage.send(event("user-create")).await;
    answer.succeeded();
    assert_eq!(answer.id(), "neo4j-local/app");
    assert_eq!(answer.value["Data"], json!({"Nodes": "1", "Role": "reader", "Username": "app"}));
    assert_eq!(stage.login("neo4j", "neo4j").await, Err(Denied::Unauthorized));
    assert_eq!(stage.login("neo4j", ADMIN_PASSWORD).await, Ok(()));
    assert_eq!(stage.login("app", APP_PASSWORD).await, Ok(()));
}

async fn each_role_may_do_what_it_says_and_no_more(stage: &Stage, _: &Logs) {
    // What each role is tried with, and from which role on it is allowed.
    let label = format!("Made{}", std::process::id());
    let tries = [
        ("MATCH (n) RETURN count(n)".to_owned(), Role::Reader),
        ("CREATE (n) DELETE n".to_owned(), Role::Editor),
        (format!("CREATE (n:{label}) DELETE n"), Role::Publisher),
        (format!("CREATE INDEX ON :{label}(x)"), Role::Architect),
        ("CALL dbms.security.listUsers()".to_owned(), Role::Admin),
    ];
    for role in Role::ALL {
        let user = format!("one-{role}");
        stage.send(create(&user, role)).await.succeeded();
        assert_eq!(stage.roles(&user).await, Some(vec![role.name().to_owned()]));
        for (statement, from) in &tries {
            let who = credentials(&user, APP_PASSWORD);
            let instance = stage.instance();
            let told = commit(instance.http, &who, statement, &json!({}), instance.deadline).await;
            let allowed = told.is_ok();
            assert!(allowed || matches!(told, Err(Denied::Forbidden(_))), "{role}: {statement}: {told:?}");
            assert_eq!(allowed, role >= *from, "{role}: {statement}: {told:?}");
        }
    }
    let instance = stage.instance();
    let drop = format!("DROP INDEX ON :{label}(x)");
    // The architect created it; the administrator's user could not create it again.
    let _gone = commit(instance.http, &admin(), &drop, &json!({}), instance.deadline).await;
}

async fn the_same_event_twice_is_one_user(stage: &Stage, logs: &Logs) {
    let twice = event("user-create");
    let other = stage_like(stage);
    // Concurrently: two invocations do not know of each other.
    let (first, second) = tokio::join!(stage.send(twice.clone()), other.send(twice.clone()));
    assert_eq!(first.succeeded().value, second.succeeded().value);
    let (start, calls) = (logs.len(), stage.cloud.calls());
    assert_eq!(stage.send(twice).await.value, first.value);
    assert_eq!(stage.cloud.calls(), calls + 1, "it asked what was said, and no node");
    // A further request for the same finds nothing to change.
    stage.send(event("user-create")).await.succeeded();
    assert!(!logs.since(start).contains("users-applied"), "nothing was left to change");
    assert_eq!(stage.cloud.records.lock().unwrap().len(), 1);
}

async fn a_role_is_changed(stage: &Stage, _: &Logs) {
    stage.send(event("user-create")).await.succeeded();
    let answer = stage.send(event("user-update-role")).await;
    assert_eq!(answer.succeeded().id(), "neo4j-local/app");
    assert_eq!(stage.roles("app").await, Some(vec!["publisher".to_owned()]));
}

async fn a_rotated_password_is_set_by_a_reconcile_and_said_to_have_been_the_old_one(
    stage: &Stage,
    logs: &Logs,
) {
    stage.send(event("user-create")).await.succeeded();
    stage.cloud.secret(
        APP_SECRET,
        r#"{"username":"app","password":"app-s-second-password"}"#,
        Some(APP_PASSWORD),
    );
    let start = logs.len();
    let summary = stage.reconcile().await;
    assert_eq!((summary.users, summary.applied, summary.in_order()), (1, 1, true), "{summary:?}");
    assert!(logs.since(start).contains("the password was still the old one"), "{}", logs.since(start));
    assert_eq!(stage.login("app", "app-s-second-password").await, Ok(()));
    assert_eq!(stage.login("app", APP_PASSWORD).await, Err(Denied::Unauthorized));
    let again = stage.reconcile().await;
    assert_eq!((again.applied, again.in_order()), (0, true), "{again:?}");
}

async fn a_suspended_user_is_there_and_cannot_log_in(stage: &Stage, _: &Logs) {
    stage.send(event("user-create")).await.succeeded();
    stage.send(event("user-suspend")).await.succeeded();
    assert_eq!(stage.login("app", APP_PASSWORD).await, Err(Denied::Unauthorized));
    assert_eq!(stage.roles("app").await, Some(vec!["reader".to_owned()]));
    let summary = stage.reconcile().await;
    assert_eq!((summary.applied, summary.in_order()), (0, true), "{summary:?}");
    // Admitted again, with the password that the secret has by then.
    stage.cloud.secret(APP_SECRET, "changed-meanwhile", Some(APP_PASSWORD));
    stage.send(event("user-create")).await.succeeded();
    assert_eq!(stage.login("app", "changed-meanwhile").await, Ok(()));
    let mut born_suspended = event("user-suspend");
    born_suspended["RequestType"] = json!("Create");
    born_suspended["ResourceProperties"]["Username"] = json!("never-in");
    stage.send(born_suspended).await.succeeded();
    assert_eq!(stage.login("never-in", "changed-meanwhile").await, Err(Denied::Unauthorized));
}

async fn a_rename_is_another_user_until_the_delete_comes(stage: &Stage, _: &Logs) {
    stage.send(event("user-create")).await.succeeded();
    let renamed = stage.send(event("user-rename")).await;
    assert_eq!(renamed.succeeded().id(), "neo4j-local/app-2");
    assert!(stage.roles("app").await.is_some() && stage.roles("app-2").await.is_some());
    stage.send(event("user-delete")).await.succeeded();
    assert_eq!((stage.roles("app").await, stage.roles("app-2").await.is_some()), (None, true));
    assert_eq!(stage.cloud.records.lock().unwrap().keys().collect::<Vec<_>>(), ["app-2"]);
}

async fn a_deleted_user_is_gone_and_deleting_it_again_is_a_success(stage: &Stage, _: &Logs) {
    stage.send(event("user-create")).await.succeeded();
    for _twice in 0..2 {
        let answer = stage.send(event("user-delete")).await;
        assert_eq!(answer.succeeded().id(), "neo4j-local/app");
        assert_eq!(stage.roles("app").await, None);
        assert!(stage.cloud.records.lock().unwrap().is_empty());
    }
    assert_eq!(stage.reconcile().await.applied, 0, "nothing brings it back");
}

async fn no_request_deletes_the_administrator(stage: &Stage, _: &Logs) {
    for name in ["user-delete-administrator", "user-delete-unknown-id"] {
        let answer = stage.send(event(name)).await;
        assert_eq!(answer.succeeded().id(), event(name)["PhysicalResourceId"]);
        assert_eq!(stage.cloud.calls(), 0, "{name}: nothing was even looked at");
    }
    assert_eq!(stage.login("neo4j", ADMIN_PASSWORD).await, Ok(()));
}

async fn bad_properties_fail_at_once_and_call_nothing(stage: &Stage, _: &Logs) {
    let table = [
        ("user-create-administrator", "Username is \"neo4j\""),
        ("user-create-cypher", "Username is \"x', 'y', false) CALL dbms.security.deleteUser('neo4j') //\""),
        (
            "user-create-unknown-role",
            "Role is \"owner\": it must be reader, editor, publisher, architect or admin",
        ),
        ("user-create-no-secret", "PasswordSecretArn"),
    ];
    for (name, sentence) in table {
        let answer = stage.send(event(name)).await;
        assert!(answer.failed().contains(sentence), "{name}: {}", answer.failed());
        assert!(answer.took < Duration::from_secs(1), "{name}: {:?}", answer.took);
        assert_eq!(stage.cloud.calls(), 0, "{name}");
        let mut delete = event(name);
        delete["RequestType"] = json!("Delete");
        delete["PhysicalResourceId"] = json!(answer.id());
        stage.send(delete).await.succeeded();
    }
    assert_eq!(stage.login("neo4j", ADMIN_PASSWORD).await, Ok(()));
}

async fn a_secret_without_a_password_is_named_and_nothing_is_made(stage: &Stage, _: &Logs) {
    stage.cloud.secret(APP_SECRET, r#"{"Password":"in-the-wrong-field"}"#, None);
    let answer = stage.send(event("user-create")).await;
    assert!(answer.failed().contains("holds no password: it is a JSON object without a text \"password\""));
    stage.cloud.secrets.lock().unwrap().clear();
    let answer = stage.send(event("user-create")).await;
    assert!(
        answer.failed().contains(":secret:app is not there, or has no version AWSCURRENT"),
        "{}",
        answer.failed()
    );
    assert_eq!(stage.roles("app").await, None);
    assert!(stage.cloud.records.lock().unwrap().is_empty());
}

async fn two_nodes_of_three_are_a_failure_that_names_the_third(stage: &Stage, _: &Logs) {
    let mut config = stage.config.clone();
    config.call_deadline = Duration::from_secs(3);
    let stage = Stage::with(stage.address, config);
    // Two slots on one real node: two concurrent changes of one list of users must come out right as well.
    stage.cloud.node("core-2", Some(stage.address));
    let silent_at = free_address();
    let silent = [7474, 7687].map(|port| TcpListener::bind((silent_at, port)).expect("a silent port"));
    stage.cloud.node("core-3", Some(silent_at));
    let answer = stage.send(event("user-create")).await;
    let reason = answer.failed();
    let expected = format!(
        "on 1 of 3 nodes: core-3 at {silent_at}: could not log in as neo4j: it does not answer (silent on Bolt"
    );
    assert!(reason.contains(&expected), "{reason}");
    assert!(reason.contains("it is done on core-1, core-2"), "{reason}");
    assert!(answer.took < Duration::from_secs(8), "one deadline, not a sum: {:?}", answer.took);
    drop(silent);
    let refused = stage.send(event("user-create")).await;
    assert!(
        refused.failed().contains("core-3 at") && refused.failed().contains("refused"),
        "{}",
        refused.failed()
    );
    stage.cloud.node("core-3", None);
    let missing = stage.send(event("user-create")).await;
    assert!(missing.failed().contains("core-3: it has no running task"), "{}", missing.failed());
    stage.cloud.node("core-3", Some(stage.address));
    let retry = stage.send(event("user-create")).await;
    assert_eq!(retry.succeeded().value["Data"]["Nodes"], "3");
}

async fn a_node_that_comes_late_is_waited_for(stage: &Stage, _: &Logs) {
    let mut config = stage.config.clone();
    config.node_wait = Duration::from_secs(60);
    let stage = Stage::with(stage.address, config);
    stage.cloud.node("core-2", None);
    let late = async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        stage.cloud.node("core-2", Some(stage.address));
    };
    let (answer, ()) = tokio::join!(stage.send(event("user-create")), late);
    assert_eq!(answer.succeeded().value["Data"]["Nodes"], "2");
    assert!(answer.took > Duration::from_millis(500));
}

async fn a_delete_while_a_create_runs_leaves_no_user(stage: &Stage, _: &Logs) {
    let held = stage.cloud.hold("nodes");
    let deleted = async {
        held.reached().await;
        stage_like(stage).send(event("user-delete")).await.succeeded();
        held.open();
    };
    let (answer, ()) = tokio::join!(stage.send(event("user-create")), deleted);
    assert!(answer.failed().contains("was deleted while it was being made"), "{}", answer.failed());
    assert_eq!(stage.roles("app").await, None);
    // For real, a Delete at different moments after the record is written.
    for delay in [0, 5, 10, 20, 40, 80, 160] {
        let other = stage_like(stage);
        let run = async {
            let until = Instant::now() + Duration::from_secs(10);
            while stage.cloud.records.lock().unwrap().is_empty() {
                assert!(Instant::now() < until, "the Create records its user first");
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            tokio::time::sleep(Duration::from_millis(delay)).await;
            other.send(event("user-delete")).await
        };
        let (_created, deleted) = tokio::join!(stage.send(event("user-create")), run);
        deleted.succeeded();
        assert_eq!(stage.roles("app").await, None, "{delay} ms");
        assert!(stage.cloud.records.lock().unwrap().is_empty(), "{delay} ms");
    }
}

async fn a_delete_while_nothing_runs_is_fast_and_the_login_is_refused_when_the_nodes_are_back(
    stage: &Stage,
    _: &Logs,
) {
    stage.send(event("user-create")).await.succeeded();
    stage.cloud.node("core-1", None);
    let answer = stage.send(event("user-delete")).await;
    answer.succeeded();
    assert!(answer.took < Duration::from_millis(500), "{:?}", answer.took);
    assert_eq!(stage.login("app", APP_PASSWORD).await, Ok(()), "the node's files have it still");
    stage.cloud.node("core-1", Some(stage.address));
    assert_eq!(stage.reconcile().await.applied, 1);
    assert_eq!(stage.login("app", APP_PASSWORD).await, Err(Denied::Unauthorized));
    assert_eq!(stage.cloud.record_of("app"), None, "nothing is left behind");
}

async fn a_node_that_missed_a_delete_hears_of_it_later(stage: &Stage, logs: &Logs) {
    stage.cloud.node("core-2", Some(stage.address));
    stage.send(event("user-create")).await.succeeded();
    let away = free_address();
    stage.cloud.node("core-1", Some(away));
    stage.cloud.node("core-2", Some(away));
    let start = logs.len();
    let answer = stage.send(event("user-delete")).await;
    answer.succeeded();
    assert!(answer.took < Duration::from_secs(2), "{:?}", answer.took);
    assert!(logs.since(start).contains("user-removed-in-part"));
    assert!(stage.roles("app").await.is_some(), "the node did not hear of it");
    let away = stage.reconcile().await;
    assert_eq!((away.not_reached, away.applied), (2, 0), "{away:?}");
    stage.cloud.node("core-1", Some(stage.address));
    stage.cloud.node("core-2", Some(stage.address));
    assert!(stage.reconcile().await.in_order());
    assert_eq!(stage.roles("app").await, None);
    assert!(stage.cloud.records.lock().unwrap().is_empty());
}

async fn a_user_that_another_resource_took_over_stays(stage: &Stage, _: &Logs) {
    stage.send(event("user-create")).await.succeeded();
    // The resource gets another logical id in the template: a Create of the new one, then
    // a Delete of the old one.
    let mut renamed = event("user-create");
    renamed["LogicalResourceId"] = json!("ApplicationUser");
    renamed["RequestId"] = json!("another");
    stage.send(renamed.clone()).await.succeeded();
    stage.send(event("user-delete")).await.succeeded();
    assert_eq!(stage.login("app", APP_PASSWORD).await, Ok(()));
    stage.send(delete(&renamed)).await.succeeded();
    assert_eq!(stage.roles("app").await, None);
}

async fn a_user_taken_over_by_a_resource_that_is_rolled_back_is_as_it_was(stage: &Stage, _: &Logs) {
    stage.send(event("user-create")).await.succeeded();
    let mut other = event("user-create");
    other["LogicalResourceId"] = json!("ApplicationUser");
    other["RequestId"] = json!("another");
    other["ResourceProperties"]["Role"] = json!("architect");
    stage.send(other.clone()).await.succeeded();
    assert_eq!(stage.roles("app").await, Some(vec!["architect".to_owned()]));
    stage.send(delete(&other)).await.succeeded();
    assert_eq!(stage.roles("app").await, Some(vec!["reader".to_owned()]), "at once, without a reconcile");
    assert_eq!(stage.reconcile().await.applied, 0);
    stage.send(event("user-delete")).await.succeeded();
    assert_eq!(stage.roles("app").await, None);
}

async fn a_reconcile_puts_right_what_operators_changed(stage: &Stage, logs: &Logs) {
    for (user, role) in [("reads", Role::Reader), ("writes", Role::Editor), ("gone", Role::Publisher)] {
        stage.send(create(user, role)).await.succeeded();
    }
    let by_hand = [
        "CALL dbms.security.addRoleToUser('admin', 'reads')",
        "CALL dbms.security.suspendUser('writes')",
        "CALL dbms.security.deleteUser('gone')",
        "CALL dbms.security.createUser('stranger', 'made-by-hand', false)",
    ];
    let instance = stage.instance();
    for statement in by_hand {
        commit(instance.http, &admin(), statement, &json!({}), instance.deadline).await.expect(statement);
    }
    let start = logs.len();
    let summary = stage.reconcile().await;
    assert_eq!((summary.users, summary.out_of_order, summary.not_reached), (3, 0, 0), "{summary:?}");
    // Revoke admin; set the password and activate; create and grant.
    assert_eq!(summary.applied, 5, "{summary:?}");
    assert_eq!(stage.roles("reads").await, Some(vec!["reader".to_owned()]));
    for user in ["reads", "writes", "gone"] {
        assert_eq!(stage.login(user, APP_PASSWORD).await, Ok(()), "{user}");
    }
    assert_eq!(stage.login("stranger", "made-by-hand").await, Ok(()), "left alone");
    assert!(logs.since(start).contains("left alone, because no resource describes them: stranger"));
    stage.cloud.records.lock().unwrap().insert("broken".into(), "{}".into());
    assert_eq!(stage.reconcile().await.out_of_order, 1, "a record that cannot be read stops no other");
}

async fn a_user_with_a_duty_to_change_the_password_is_made_again_from_scratch(stage: &Stage, _: &Logs) {
    let instance = stage.instance();
    let made = "CALL dbms.security.createUser('app', $password)";
    let parameters = json!({ "password": APP_PASSWORD });
    commit(instance.http, &admin(), made, &parameters, instance.deadline).await.unwrap();
    assert_eq!(stage.login("app", APP_PASSWORD).await, Err(Denied::ChangeRequired));
    stage.send(event("user-create")).await.succeeded();
    assert_eq!(stage.login("app", APP_PASSWORD).await, Ok(()));
}

async fn a_user_locked_out_by_others_is_waited_for(stage: &Stage, _: &Logs) {
    stage.send(event("user-create")).await.succeeded();
    for _try in 0..3 {
        assert_eq!(stage.login("app", "an-old-password").await, Err(Denied::Unauthorized));
    }
    assert_eq!(stage.login("app", APP_PASSWORD).await, Err(Denied::LockedOut));
    let answer = stage.send(event("user-create")).await;
    answer.succeeded();
    assert!(answer.took > Duration::from_secs(4), "five seconds are waited for: {:?}", answer.took);
}

/// A Delete waits for a node that answers "not now"; if the node keeps answering so, the Delete fails, and
/// the record remembers the user.
async fn a_delete_waits_for_an_administrator_that_is_locked_out(stage: &Stage, _: &Logs) {
    stage.send(event("user-create")).await.succeeded();
    let lock = async || {
        for _try in 0..3 {
            assert_eq!(stage.login("neo4j", "an-old-password").await, Err(Denied::Unauthorized));
        }
    };
    lock().await;
    let failed = stage.send(event("user-delete")).await;
    assert!(
        failed.failed().contains("core-1 at") && failed.failed().contains("locked out"),
        "{}",
        failed.failed()
    );
    assert_eq!(stage.cloud.record_of("app").map(|record| record.desired), Some(None));
    let mut config = stage.config.clone();
    config.node_wait = Duration::from_secs(60);
    let patient = Stage::on(std::sync::Arc::clone(&stage.cloud), stage.address, config);
    let deleted = patient.send(event("user-delete")).await;
    deleted.succeeded();
    assert!(deleted.took > Duration::from_secs(4), "{:?}", deleted.took);
    assert_eq!((stage.roles("app").await, stage.cloud.record_of("app")), (None, None));
}

/// Twenty users of one template, while the Parameter Store accepts a few calls a second.
async fn twenty_users_are_made_and_deleted_while_aws_throttles(stage: &Stage, _: &Logs) {
    let users: Vec<Value> = (0..20).map(|user| create(&format!("user-{user}"), Role::Reader)).collect();
    let all = async |events: Vec<Value>| {
        let stages: Vec<Stage> = events.iter().map(|_| stage_like(stage)).collect();
        // Some thirty refusals over twenty users: two or three pauses each, of real seconds.
        for call in ["write", "say", "nodes"] {
            stage.cloud.fail(call, aws::Kind::Throttled, 10);
        }
        let local = tokio::task::LocalSet::new();
        let sent = events
            .into_iter()
            .zip(stages)
            .map(|(event, stage)| local.spawn_local(async move { stage.send(event).await.succeeded().took }));
        let sent: Vec<_> = sent.collect();
        local.await;
        for sent in sent {
            sent.await.expect("an answer");
        }
    };
    all(users.clone()).await;
    assert_eq!(stage.cloud.count("write user-"), 20 + 10, "each is recorded once, however often it waited");
    for user in 0..20 {
        assert_eq!(stage.login(&format!("user-{user}"), APP_PASSWORD).await, Ok(()), "user-{user}");
    }
    all(users.iter().map(delete).collect()).await;
    assert!(stage.cloud.records.lock().unwrap().is_empty());
    let accounts = stage.instance().accounts(&admin()).await.expect("a list");
    assert_eq!(accounts.len(), 1, "only neo4j is left: {accounts:?}");
}

/// Authentication is switched off, a user's resource is removed, and authentication is switched on again:
/// each node's files still have the account, and the password.
async fn a_user_deleted_while_authentication_was_off_is_refused_when_it_is_back(stage: &Stage, _: &Logs) {
    stage.send(event("user-create")).await.succeeded();
    let mut config = stage.config.clone();
    config.auth_enabled = false;
    let off = Stage::on(std::sync::Arc::clone(&stage.cloud), stage.address, config);
    off.send(event("user-delete")).await.succeeded();
    off.reconcile().await;
    assert_eq!(stage.login("app", APP_PASSWORD).await, Ok(()), "nothing was done on the node");
    assert_eq!(stage.reconcile().await.applied, 1);
    assert_eq!(stage.login("app", APP_PASSWORD).await, Err(Denied::Unauthorized));
    assert_eq!(stage.cloud.record_of("app"), None);
    stage.send(event("user-create")).await.succeeded();
    assert_eq!(
        stage.login("app", APP_PASSWORD).await,
        Ok(()),
        "made again, by a resource that is there again"
    );
}

async fn the_administrators_password_is_rotated(stage: &Stage, logs: &Logs) {
    stage.send(event("user-create")).await.succeeded();
    let next = "the-next-administrator: \u{e4}\"\\";
    stage.cloud.secret(ADMIN_SECRET, &json!({ "password": next }).to_string(), Some(ADMIN_PASSWORD));
    let start = logs.len();
    let summary = stage.reconcile().await;
    assert!(summary.in_order(), "{summary:?}");
    assert!(logs.since(start).contains("admin-password-changed"));
    assert_eq!(stage.login("neo4j", next).await, Ok(()));
    assert_eq!(stage.login("neo4j", ADMIN_PASSWORD).await, Err(Denied::Unauthorized));
    assert_eq!(stage.login("app", APP_PASSWORD).await, Ok(()));
    // Over HTTP as well, which the administrator uses.
    let instance = stage.instance();
    assert!(instance.accounts(&credentials("neo4j", next)).await.is_ok());
    // A password that HTTP cannot carry is refused before anything is changed.
    stage.cloud.secret(ADMIN_SECRET, "\u{20ac}-and-\u{1f600}", Some(next));
    let refused = stage.send(event("user-create")).await;
    assert!(refused.failed().contains("characters outside Latin-1"), "{}", refused.failed());
    assert_eq!(stage.login("neo4j", next).await, Ok(()));
    // Restored, for the tests that follow.
    stage.cloud.secret(ADMIN_SECRET, ADMIN_PASSWORD, Some(next));
    assert!(stage.reconcile().await.in_order());
    assert_eq!(stage.login("neo4j", ADMIN_PASSWORD).await, Ok(()));
}

async fn an_unknown_administrator_is_named_with_what_to_do(stage: &Stage, _: &Logs) {
    stage.cloud.secret(ADMIN_SECRET, "nobody-knows-this-one", None);
    let answer = stage.send(event("user-create")).await;
    let reason = answer.failed();
    assert!(
        reason.contains("core-1 at") && reason.contains("put the password that this node takes into"),
        "{reason}"
    );
    assert!(!reason.contains("nobody-knows-this-one"));
    let summary = stage.reconcile().await;
    assert!(!summary.in_order(), "{summary:?}");
    // One right login, so that the failures do not add up to a lock-out.
    tokio::time::sleep(neo4j::Instance::LOCKED_OUT_FOR).await;
    assert_eq!(stage.login("neo4j", ADMIN_PASSWORD).await, Ok(()));
}

async fn two_hundred_nasty_passwords_are_stored_exactly(stage: &Stage, logs: &Logs) {
    stage.send(event("user-create")).await.succeeded();
    let nasty = nasty::passwords();
    assert!(nasty.len() >= 200, "{}", nasty.len());
    let start = logs.len();
    let mut before: Option<String> = None;
    for (number, (password, word)) in nasty.iter().enumerate() {
        stage.cloud.secret(APP_SECRET, password, before.as_deref());
        let answer = stage.send(event("user-create")).await;
        answer.succeeded();
        assert!(!answer.value.to_string().contains(word.as_str()), "{number}: the answer has it");
        let variant = nasty::variant(password);
        assert_eq!(stage.login("app", &variant).await, Err(Denied::Unauthorized), "{number}: {variant:?}");
        assert_eq!(stage.login("app", password).await, Ok(()), "{number}: {password:?}");
        before = Some(password.clone());
    }
    let text = logs.since(start);
    assert!(text.matches("users-applied").count() >= 200, "the log was captured");
    for (password, word) in &nasty {
        assert!(!text.contains(word.as_str()), "a log line has {password:?}");
    }
}

async fn no_secret_is_in_any_log_line(_: &Stage, logs: &Logs) {
    let text = logs.text();
    assert!(text.contains("users-applied"), "nothing was logged: this one looks at what the others leave");
    let secrets = [
        ADMIN_PASSWORD,
        APP_PASSWORD,
        "app-s-second-password",
        "changed-meanwhile",
        "the-next-administrator",
        "in-the-wrong-field",
        "nobody-knows-this-one",
        "an-old-password",
        "signature=of-the-presigned-url",
    ];
    for secret in secrets {
        let line = text.lines().find(|line| line.contains(secret));
        assert_eq!(line, None, "{secret}");
    }
    let _lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
}
