//! Users of 4.4 and later: they live in the `system` database, and neo4rs speaks its Bolt.
//!
//! Every call is one transaction on one new connection, never retried by the driver, under our own deadline:
//! the driver's own covers neither TLS nor the handshake, and its retries go on for a minute.

use std::pin::Pin;

use neo4rs::{ConfigBuilder, Error, Graph, Query, Txn, query};
use secrecy::{ExposeSecret, SecretString};

use crate::{Account, Change, Credentials, Denied, Instance, UserName, bolt_1};

const SYSTEM: &str = "system";
/// Every user has this role, and it can be neither granted nor revoked.
const EVERYBODY: &str = "PUBLIC";

/// A login alone succeeds when the password must be changed first; a statement fails then.
/// Every user may run this one.
pub(crate) async fn login(at: &Instance, who: &Credentials) -> Result<(), Denied> {
    run(at, who, query("SHOW DEFAULT DATABASE")).await
}

pub(crate) async fn write_and_roll_back(at: &Instance, who: &Credentials) -> Result<(), Denied> {
    let work = async {
        let mut transaction = connect(at, who, None)?.start_txn().await.map_err(denied)?;
        transaction.run(query("CREATE ()")).await.map_err(denied)?;
        transaction.rollback().await.map_err(denied)
    };
    within(at, Box::pin(work)).await
}

pub(crate) async fn accounts(at: &Instance, admin: &Credentials) -> Result<Vec<Account>, Denied> {
    let work = async {
        let mut transaction = begin(at, admin).await?;
        let list = "SHOW USERS YIELD user, roles, passwordChangeRequired, suspended";
        let mut rows = transaction.execute(query(list)).await.map_err(denied)?;
        let mut accounts = Vec::new();
        while let Some(row) = rows.next(transaction.handle()).await.map_err(denied)? {
            let strange = |error: neo4rs::DeError| Denied::Other {
                code: "SHOW USERS".into(),
                message: error.to_string(),
            };
            let roles: Option<Vec<String>> = row.get("roles").map_err(strange)?;
            let given = |roles: Vec<String>| roles.into_iter().filter(|role| role != EVERYBODY).collect();
            accounts.push(Account {
                name: row.get("user").map_err(strange)?,
                roles: roles.map(given),
                suspended: row.get::<Option<bool>>("suspended").map_err(strange)?.unwrap_or_default(),
                change_required: row
                    .get::<Option<bool>>("passwordChangeRequired")
                    .map_err(strange)?
                    .unwrap_or_default(),
            });
        }
        Ok(accounts)
    };
    within(at, Box::pin(work)).await
}

pub(crate) async fn change(
    at: &Instance,
    admin: &Credentials,
    user: &UserName,
    change: &Change,
    password: &SecretString,
) -> Result<(), Denied> {
    // Administration takes no parameter for a name, so names are quoted; a password is
    // never part of a statement.
    let user = quoted(user.as_str());
    let with_password = |statement: String| query(&statement).param("password", password.expose_secret());
    let statement = match change {
        Change::Create => with_password(format!(
            "CREATE USER {user} IF NOT EXISTS SET PASSWORD $password CHANGE NOT REQUIRED"
        )),
        Change::SetPassword => {
            with_password(format!("ALTER USER {user} SET PASSWORD $password CHANGE NOT REQUIRED"))
        }
        Change::Grant(role) => query(&format!("GRANT ROLE {role} TO {user}")),
        Change::Revoke(role) => query(&format!("REVOKE ROLE {} FROM {user}", quoted(role))),
        Change::Suspend => query(&format!("ALTER USER {user} SET STATUS SUSPENDED")),
        Change::Activate => query(&format!("ALTER USER {user} SET STATUS ACTIVE")),
        Change::Delete => query(&format!("DROP USER {user} IF EXISTS")),
    };
    run(at, admin, statement).await
}

pub(crate) async fn change_own_password(
    at: &Instance,
    who: &Credentials,
    new: &SecretString,
) -> Result<(), Denied> {
    let statement = query("ALTER CURRENT USER SET PASSWORD FROM $old TO $new");
    let statement = statement.param("old", who.password.expose_secret()).param("new", new.expose_secret());
    run(at, who, statement).await
}

async fn run(at: &Instance, who: &Credentials, statement: Query) -> Result<(), Denied> {
    let work = async {
        let mut transaction = begin(at, who).await?;
        transaction.run(statement).await.map_err(denied)?;
        transaction.commit().await.map_err(denied)
    };
    within(at, Box::pin(work)).await
}

async fn begin(at: &Instance, who: &Credentials) -> Result<Txn, Denied> {
    connect(at, who, Some(SYSTEM))?.start_txn().await.map_err(denied)
}

fn connect(at: &Instance, who: &Credentials, database: Option<&str>) -> Result<Graph, Denied> {
    let config = ConfigBuilder::default()
        .uri(format!("bolt://{}", at.bolt))
        .user(who.user.as_str())
        .password(who.password.expose_secret())
        .connection_timeout(at.deadline)
        .max_connections(1);
    let config = match database {
        Some(database) => config.db(database),
        None => config,
    };
    config.build().and_then(Graph::connect).map_err(denied)
}

/// The driver's futures are large, so they are boxed.
async fn within<T>(
    at: &Instance,
    work: Pin<Box<impl Future<Output = Result<T, Denied>>>>,
) -> Result<T, Denied> {
    bolt_1::within(at.deadline, work).await
}

/// A name between back quotes; a back quote in it is doubled.
fn quoted(name: &str) -> String {
    format!("`{}`", name.replace('`', "``"))
}

#[allow(clippy::needless_pass_by_value)] // as map_err hands it over
fn denied(error: Error) -> Denied {
    match &error {
        Error::Neo4j(told) => Denied::of(told.code(), told.message()),
        // The driver keeps only the message of a refused login.
        Error::AuthenticationError(words) if words.contains("too many times") => Denied::LockedOut,
        Error::AuthenticationError(_) => Denied::Unauthorized,
        Error::IOError { .. } | Error::ConnectionError | Error::ConnectionTimedOut => {
            Denied::Unreachable(format!("Bolt: {error}"))
        }
        _ => Denied::Other { code: "Bolt".into(), message: error.to_string() },
    }
}

#[cfg(test)]
mod tests {
    use super::quoted;

    #[test]
    fn a_name_cannot_end_its_quotes() {
        assert_eq!(quoted("a"), "`a`");
        assert_eq!(quoted("a` SET PASSWORD 'x' //"), "`a`` SET PASSWORD 'x' //`");
    }
}
