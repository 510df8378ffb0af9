//! Users of 3.x: files of each instance, changed by procedures over HTTP, and proved over Bolt.

use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};

use crate::{Account, Change, Credentials, Denied, Instance, UserName, transactions::commit};

pub(crate) async fn accounts(at: &Instance, admin: &Credentials) -> Result<Vec<Account>, Denied> {
    let list = "CALL dbms.security.listUsers() YIELD username, roles, flags RETURN username, roles, flags";
    let rows = commit(at.http, admin, list, &json!({}), at.deadline).await?;
    let account = |row: Vec<Value>| {
        let words = |value: &Value| value.as_array().map(|list| list.iter().filter_map(word).collect());
        let flags: Vec<String> = words(row.get(2)?)?;
        let is = |flag: &str| flags.iter().any(|found| found == flag);
        Some(Account {
            name: word(row.first()?)?,
            roles: Some(words(row.get(1)?)?.into_iter().collect()),
            suspended: is("is_suspended"),
            change_required: is("password_change_required"),
        })
    };
    rows.into_iter().map(account).collect::<Option<Vec<_>>>().ok_or_else(|| Denied::Other {
        code: "listUsers".into(),
        message: "it lists users in another form than 3.4 does".into(),
    })
}

fn word(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned)
}

pub(crate) async fn change(
    at: &Instance,
    admin: &Credentials,
    user: &UserName,
    change: &Change,
    password: &SecretString,
) -> Result<(), Denied> {
    let user = user.as_str();
    // `false`: the user need not change the password; these procedures require it by default.
    let (statement, parameters) = match change {
        Change::Create => (
            "CALL dbms.security.createUser($user, $password, false)",
            json!({"user": user, "password": password.expose_secret()}),
        ),
        Change::SetPassword => (
            "CALL dbms.security.changeUserPassword($user, $password, false)",
            json!({"user": user, "password": password.expose_secret()}),
        ),
        Change::Grant(role) => {
            ("CALL dbms.security.addRoleToUser($role, $user)", json!({"user": user, "role": role.name()}))
        }
        Change::Revoke(role) => {
            ("CALL dbms.security.removeRoleFromUser($role, $user)", json!({"user": user, "role": role}))
        }
        Change::Suspend => ("CALL dbms.security.suspendUser($user)", json!({"user": user})),
        Change::Activate => ("CALL dbms.security.activateUser($user, false)", json!({"user": user})),
        Change::Delete => ("CALL dbms.security.deleteUser($user)", json!({"user": user})),
    };
    commit(at.http, admin, statement, &parameters, at.deadline).await.map(drop)
}

/// How long to wait for the end of a lock-out: `dbms.security.auth_lock_time` is 5 s.
pub(crate) const LOCKED_OUT_FOR: Duration = Duration::from_millis(5_200);
