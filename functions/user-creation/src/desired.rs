//! What a user should be, and how that is recorded.

use std::str::FromStr;

use neo4j::{ADMINISTRATOR, NotARole, Role, UserName};
use serde::{Deserialize, Serialize};

/// A user as its resource describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Desired {
    pub user: UserName,
    /// Its only role.
    pub role: Role,
    /// The ARN of the secret with its password.
    pub secret_arn: String,
    /// Whether it exists but may not log in.
    pub suspended: bool,
}

/// The record of one user in the Parameter Store; there is no secret in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    pub user: UserName,
    /// What it should be; `None` if it must be absent, and a node may still have it.
    pub desired: Option<Desired>,
    /// The resource that wrote it: its stack's ARN and its logical id.
    pub owner: String,
    /// Id of the request that wrote it.
    pub request: String,
    /// The record of another resource from which this one took the user over. When a resource gets another
    /// logical id in the template, CloudFormation sends a Create of the new one and then a Delete of the old
    /// one, which must remove nothing; or, when the Create failed, a Delete of the new one, after which the
    /// old one's user must be as it was.
    pub before: Option<Box<Record>>,
}

impl Record {
    /// The same record, having taken over the `found` one of another resource.
    #[must_use]
    pub fn after(self, found: Option<Record>) -> Self {
        let before = match found {
            Some(found) if found.owner == self.owner => found.before,
            Some(found) if found.desired.is_some() => Some(Box::new(Record { before: None, ..found })),
            _ => None,
        };
        Self { before, ..self }
    }

    /// The record of the same request that says that the user must be absent.
    #[must_use]
    pub fn absent(&self) -> Self {
        Self { desired: None, before: None, ..self.clone() }
    }

    /// Whether it says the same as `other`, whatever came before.
    pub fn is(&self, other: &Record) -> bool {
        (&self.desired, &self.owner, &self.request) == (&other.desired, &other.owner, &other.request)
    }
}

/// An SSM parameter under the users path that does not parse as a record.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the parameter of {user:?} is not a record of a user ({reason}): update the user's resource, or delete the parameter"
)]
pub struct NotARecord {
    /// The parameter's name below the path.
    pub user: String,
    pub reason: String,
}

/// The form in the Parameter Store.
#[derive(Serialize, Deserialize)]
struct Written {
    #[serde(default)]
    absent: bool,
    #[serde(default)]
    role: String,
    #[serde(default)]
    secret_arn: String,
    #[serde(default)]
    suspended: bool,
    owner: String,
    request: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    before: Option<Box<Written>>,
}

impl Record {
    /// The parameter's value.
    pub fn to_json(&self) -> String {
        // A struct of texts and booleans cannot fail.
        serde_json::to_string(&self.written()).unwrap_or_default()
    }

    fn written(&self) -> Written {
        let desired = self.desired.as_ref();
        Written {
            absent: desired.is_none(),
            role: desired.map(|desired| desired.role.to_string()).unwrap_or_default(),
            secret_arn: desired.map(|desired| desired.secret_arn.clone()).unwrap_or_default(),
            suspended: desired.is_some_and(|desired| desired.suspended),
            owner: self.owner.clone(),
            request: self.request.clone(),
            before: self.before.as_ref().map(|before| Box::new(before.written())),
        }
    }

    /// Reads the parameter of `user`.
    ///
    /// # Errors
    /// When it is not a record of this version.
    pub fn read(user: &str, value: &str) -> Result<Self, NotARecord> {
        let not = |reason: String| NotARecord { user: user.to_owned(), reason };
        let name = name(user).map_err(not)?;
        let written = serde_json::from_str(value).map_err(|error| not(error.to_string()))?;
        Self::of(&name, written).map_err(|error| not(error.to_string()))
    }

    fn of(user: &UserName, written: Written) -> Result<Self, NotARole> {
        let Written { absent, role, secret_arn, suspended, owner, request, before } = written;
        let desired = if absent {
            None
        } else {
            Some(Desired { user: user.clone(), role: role.parse()?, secret_arn, suspended })
        };
        let before = before.map(|before| Self::of(user, *before)).transpose()?.map(Box::new);
        Ok(Self { user: user.clone(), desired, owner, request, before })
    }
}

/// Parses a name that a resource may have.
pub(crate) fn name(text: &str) -> Result<UserName, String> {
    let name = UserName::from_str(text).map_err(|error| error.to_string())?;
    if text.eq_ignore_ascii_case(ADMINISTRATOR) {
        return Err(format!(
            "{ADMINISTRATOR} is the administrator, whose password is the one in the stack's own secret"
        ));
    }
    Ok(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_read_as_it_was_written() {
        let desired = Desired {
            user: "app".parse().unwrap(),
            role: Role::Publisher,
            secret_arn: "arn:secret".into(),
            suspended: true,
        };
        let present = Record {
            user: desired.user.clone(),
            desired: Some(desired),
            owner: "stack/App".into(),
            request: "r-1".into(),
            before: None,
        };
        let absent = Record { desired: None, ..present.clone() };
        let taken = Record {
            before: Some(Box::new(present.clone())),
            owner: "stack/Other".into(),
            ..present.clone()
        };
        for record in [present, absent, taken] {
            assert_eq!(Record::read("app", &record.to_json()), Ok(record));
        }
    }

    #[test]
    fn what_is_not_a_record_says_what_to_do() {
        for (user, value) in [
            ("app", "{}"),
            ("app", "no"),
            ("app", r#"{"role":"king","secret_arn":"a","owner":"o","request":"r"}"#),
            ("a b", r#"{"absent":true,"owner":"o","request":"r"}"#),
            ("neo4j", r#"{"absent":true,"owner":"o","request":"r"}"#),
        ] {
            let error = Record::read(user, value).unwrap_err().to_string();
            assert!(error.contains("update the user's resource"), "{error}");
            let words = "is not a record of a user";
            let runbook = include_str!("../../../docs/runbooks/users-out-of-order.md");
            assert!(error.contains(words) && runbook.contains(words), "{error}");
        }
    }
}
