//! Users on a real Neo4j 5.26 Community, over neo4rs: an edition in which every user may do everything.

mod stage;

use std::process::ExitCode;

use end_to_end::jvm::V5_26;
use neo4j::{Administration, Change, Denied, Role, UserName};
use serde_json::json;
use stage::{
    ADMIN_PASSWORD, APP_SECRET, Stage, admin, cloud::ADMIN_SECRET, create, credentials, delete, logs::Logs,
    tests,
};

/// Neo4j 5 requires at least eight characters.
const PASSWORD: &str = "' \" \\ / ` $p \n\u{fc}\u{20ac}\u{1f600} Zq900xW";

fn main() -> ExitCode {
    let tests = tests![
        a_user_who_may_do_everything_is_made_with_a_nasty_password,
        a_role_is_refused_loudly_and_nobody_is_made,
        the_same_password_again_is_done,
        a_password_is_changed,
        a_user_is_removed_and_removing_it_again_is_a_success,
        the_administrators_password_is_rotated,
        no_secret_is_in_any_log_line,
    ];
    stage::run(&V5_26, Administration::Bolt, tests)
}

fn everything() -> serde_json::Value {
    create("app", Role::Admin)
}

/// Creates `app`, or checks that it is as it should be.
async fn make(stage: &Stage) {
    stage.cloud.secret(APP_SECRET, PASSWORD, None);
    stage.send(everything()).await.succeeded();
}

async fn a_user_who_may_do_everything_is_made_with_a_nasty_password(stage: &Stage, _: &Logs) {
    make(stage).await;
    assert_eq!(stage.login("app", PASSWORD).await, Ok(()));
    assert_eq!(stage.login("app", PASSWORD.trim_end_matches('W')).await, Err(Denied::Unauthorized));
    assert_eq!(stage.login("neo4j", "neo4j").await, Err(Denied::Unauthorized), "the first change is made");
    assert_eq!(stage.login("neo4j", ADMIN_PASSWORD).await, Ok(()));
}

async fn a_role_is_refused_loudly_and_nobody_is_made(stage: &Stage, _: &Logs) {
    for role in Role::ALL.into_iter().filter(|role| *role != Role::Admin) {
        let answer = stage.send(create("app", role)).await;
        let reason = answer.failed();
        assert!(
            reason.contains(&format!("Role is {role}, but its edition of Neo4j (Community) has no roles")),
            "{reason}"
        );
        assert!(stage.roles("app").await.is_none(), "{role}");
    }
    let mut suspended = everything();
    suspended["ResourceProperties"]["Suspended"] = json!("true");
    assert!(stage.send(suspended).await.failed().contains("cannot suspend a user"));
    assert!(stage.roles("app").await.is_none());
    // How Neo4j itself answers the changes.
    make(stage).await;
    let user: UserName = "app".parse().unwrap();
    for change in [Change::Grant(Role::Reader), Change::Suspend] {
        let told = stage.instance().change(&admin(), &user, &change, &PASSWORD.to_owned().into()).await;
        assert!(matches!(told, Err(Denied::NotInThisEdition(_))), "{change}: {told:?}");
    }
}

async fn the_same_password_again_is_done(stage: &Stage, _: &Logs) {
    make(stage).await;
    let user: UserName = "app".parse().unwrap();
    let again =
        stage.instance().change(&admin(), &user, &Change::SetPassword, &PASSWORD.to_owned().into()).await;
    assert_eq!(again, Err(Denied::SamePassword));
    make(stage).await;
    assert_eq!(stage.login("app", PASSWORD).await, Ok(()));
}

async fn a_password_is_changed(stage: &Stage, _: &Logs) {
    make(stage).await;
    stage.cloud.secret(APP_SECRET, "another Zq901xW", Some(PASSWORD));
    let summary = stage.reconcile().await;
    assert_eq!((summary.applied, summary.in_order()), (1, true), "{summary:?}");
    assert_eq!(stage.login("app", "another Zq901xW").await, Ok(()));
    assert_eq!(stage.login("app", PASSWORD).await, Err(Denied::Unauthorized));
}

async fn a_user_is_removed_and_removing_it_again_is_a_success(stage: &Stage, _: &Logs) {
    make(stage).await;
    for _twice in 0..2 {
        stage.send(delete(&everything())).await.succeeded();
        assert!(stage.roles("app").await.is_none());
    }
}

async fn the_administrators_password_is_rotated(stage: &Stage, _: &Logs) {
    make(stage).await;
    let next = "next \u{20ac} Zq902xW";
    stage.cloud.secret(ADMIN_SECRET, next, Some(ADMIN_PASSWORD));
    assert!(stage.reconcile().await.in_order());
    assert!(stage.instance().accounts(&credentials("neo4j", next)).await.is_ok());
    stage.cloud.secret(ADMIN_SECRET, ADMIN_PASSWORD, Some(next));
    assert!(stage.reconcile().await.in_order());
}

async fn no_secret_is_in_any_log_line(_: &Stage, logs: &Logs) {
    let text = logs.text();
    assert!(text.contains("users-applied"), "the log was captured");
    for secret in [ADMIN_PASSWORD, "Zq900xW", "Zq901xW", "Zq902xW", "signature=of-the-presigned-url"] {
        assert_eq!(text.lines().find(|line| line.contains(secret)), None, "{secret}");
    }
}
