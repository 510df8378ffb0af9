//! The administrator of one node: after this its password is the secret's.

use neo4j::{Administration, Credentials, Denied, Instance, carried_by_http};
use secrecy::SecretString;

use crate::{Problem, secrets::Passwords};

/// The password of a Neo4j whose administrator was never set; it refuses everything until that is changed.
const FACTORY_SET: &str = "neo4j";

/// Which password the administrator had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// The secret's.
    InOrder,
    /// The previous one; it is the secret's now.
    Rotated,
    /// The one that Neo4j comes with; it is the secret's now.
    FirstChange,
}

/// Logs in as the administrator, and changes an older password to the secret's. Three wrong passwords in a
/// row lock a user out for five seconds; this tries three at most, and the last one is right if any is.
pub(crate) async fn enter(at: &Instance, passwords: &Passwords) -> Result<(Credentials, Found), Problem> {
    let step = "log in as neo4j";
    if at.administration == Administration::Http && !carried_by_http(&passwords.current) {
        return Err(Problem::denied("administer", Denied::NotCarried));
    }
    let current = Credentials::administrator(passwords.current.clone());
    match at.login(&current).await {
        Ok(()) => return Ok((current, Found::InOrder)),
        Err(Denied::Unauthorized) => {}
        Err(denied) => return Err(Problem::denied(step, denied)),
    }
    let factory_set = SecretString::from(FACTORY_SET);
    let older = passwords.previous.iter().map(|password| (password, Found::Rotated));
    for (password, found) in older.chain([(&factory_set, Found::FirstChange)]) {
        let before = Credentials::administrator(password.clone());
        match at.login(&before).await {
            Ok(()) | Err(Denied::ChangeRequired) => {
                let changed = at.change_own_password(&before, &passwords.current).await;
                changed.map_err(|denied| Problem::denied("change the password of neo4j", denied))?;
                return Ok((current, found));
            }
            Err(Denied::Unauthorized) => {}
            Err(denied) => return Err(Problem::denied(step, denied)),
        }
    }
    Err(Problem::NoAdmin)
}
