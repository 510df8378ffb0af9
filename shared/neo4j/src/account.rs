//! Users as a node has them, and the changes that can be made to one.

use std::{collections::BTreeSet, fmt, str::FromStr};

/// The built-in roles, from least to most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Reads.
    Reader,
    /// Writes data with labels, types and property names that exist already.
    Editor,
    /// Writes, and creates new labels, types and property names.
    Publisher,
    /// A publisher that creates indexes and constraints.
    Architect,
    /// Everything, users too.
    Admin,
}

/// A word that is not a role.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it must be reader, editor, publisher, architect or admin")]
pub struct NotARole;

impl Role {
    pub const ALL: [Self; 5] = [Self::Reader, Self::Editor, Self::Publisher, Self::Architect, Self::Admin];

    /// The name that Neo4j uses.
    pub fn name(self) -> &'static str {
        match self {
            Self::Reader => "reader",
            Self::Editor => "editor",
            Self::Publisher => "publisher",
            Self::Architect => "architect",
            Self::Admin => "admin",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.name())
    }
}

impl FromStr for Role {
    type Err = NotARole;

    fn from_str(word: &str) -> Result<Self, NotARole> {
        Self::ALL.into_iter().find(|role| role.name() == word).ok_or(NotARole)
    }
}

/// The longest name this accepts. Neo4j itself sets no limit.
const LONGEST_NAME: usize = 63;

/// A user name that means nothing but itself in Cypher, in a URL and in a parameter's path: letters, digits
/// and `_ . -`, 63 at most, and none of it can end a back-quoted name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UserName(String);

/// A text that is not a user name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it must be 1 to 63 letters, digits, dots, dashes or underscores")]
pub struct NotAName;

impl UserName {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for UserName {
    type Err = NotAName;

    fn from_str(text: &str) -> Result<Self, NotAName> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
        if text.is_empty() || text.len() > LONGEST_NAME || !text.bytes().all(allowed) {
            return Err(NotAName);
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for UserName {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

/// A user as one node has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// Its name, also of a user that this product did not create.
    pub name: String,
    /// Its roles; `None` in an edition without roles, where every user may do everything.
    pub roles: Option<BTreeSet<String>>,
    /// Whether it may not log in.
    pub suspended: bool,
    /// Whether it must change its password before anything else.
    pub change_required: bool,
}

/// One change to one user. A password that it needs is not in it, so it can be printed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Create the user, who need not change the password.
    Create,
    SetPassword,
    Grant(Role),
    /// Take a role away, also a custom one.
    Revoke(String),
    /// Refuse its logins.
    Suspend,
    /// Accept its logins again.
    Activate,
    Delete,
}

impl fmt::Display for Change {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Create => out.write_str("create"),
            Self::SetPassword => out.write_str("set the password"),
            Self::Grant(role) => write!(out, "grant {role}"),
            Self::Revoke(role) => write!(out, "revoke {role}"),
            Self::Suspend => out.write_str("suspend"),
            Self::Activate => out.write_str("activate"),
            Self::Delete => out.write_str("delete"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_nothing_but_a_name() {
        let long = "a".repeat(63);
        for good in ["a", "app-1", "A.b_c", "0", &long] {
            assert_eq!(good.parse::<UserName>().map(|name| name.to_string()).as_deref(), Ok(good));
        }
        let longer = "a".repeat(64);
        for bad in ["", " ", "a b", "a`b", "a'b", "a:b", "a,b", "a/b", "ü", "a\n", "a)//", "$u", &longer] {
            assert_eq!(bad.parse::<UserName>(), Err(NotAName), "{bad:?}");
        }
    }

    #[test]
    fn roles_are_words() {
        for role in Role::ALL {
            assert_eq!(role.name().parse(), Ok(role));
        }
        assert_eq!("Reader".parse::<Role>(), Err(NotARole));
    }
}
