//! Versions of Neo4j, and which snapshot can be restored into which.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// `3.4.6`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Version {
    /// The 3 of 3.4.6.
    pub major: u16,
    /// The 4 of 3.4.6.
    pub minor: u16,
    /// The 6 of 3.4.6.
    pub patch: u16,
}

/// Text that is not a version of Neo4j.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a version of Neo4j such as 3.4.6")]
pub struct NotAVersion(String);

impl Version {
    /// Whether a snapshot of this version can be restored into a cluster of `target`: within one minor
    /// version, whose stores have one format. Anything else needs a store upgrade, which takes hours, can
    /// fail half-way and cannot be undone; so an operator must decide it, never a bootstrap.
    pub fn restores_into(self, target: Self) -> bool {
        (self.major, self.minor) == (target.major, target.minor)
    }

    /// The database that a cluster of this version serves by default.
    pub fn default_database(self) -> &'static str {
        if self.major < 4 { "graph.db" } else { "neo4j" }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

impl FromStr for Version {
    type Err = NotAVersion;

    fn from_str(text: &str) -> Result<Self, NotAVersion> {
        let parts: Option<Vec<u16>> = text.split('.').map(number).collect();
        match parts.as_deref() {
            Some(&[major, minor, patch]) => Ok(Self { major, minor, patch }),
            _ => Err(NotAVersion(text.to_owned())),
        }
    }
}

/// Digits only: `parse` would take a sign.
fn number(text: &str) -> Option<u16> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

impl TryFrom<String> for Version {
    type Error = NotAVersion;

    fn try_from(text: String) -> Result<Self, NotAVersion> {
        text.parse()
    }
}

impl From<Version> for String {
    fn from(version: Version) -> Self {
        version.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_snapshot_goes_where_its_store_format_is() {
        let table = [
            ("3.4.6", "3.4.6", true),
            ("3.4.6", "3.4.18", true),
            ("3.4.6", "3.4.1", true),
            ("3.4.6", "3.5.0", false),
            ("3.5.0", "3.4.6", false),
            ("3.4.6", "4.4.0", false),
            ("3.4.6", "5.26.0", false),
            ("5.25.1", "5.26.0", false),
            ("5.26.0", "5.26.4", true),
        ];
        for (from, into, restorable) in table {
            let [from, into]: [Version; 2] = [from, into].map(|text| text.parse().unwrap());
            assert_eq!(from.restores_into(into), restorable, "{from} into {into}");
        }
    }

    #[test]
    fn what_is_no_version_is_refused() {
        for text in
            ["", "3", "3.4", "3.4.6.1", "3.4.x", "3.4.", "+3.4.6", "3.4.6-alpha", "3.4.99999", " 3.4.6"]
        {
            assert_eq!(text.parse::<Version>(), Err(NotAVersion(text.into())));
        }
        assert_eq!("3.4.6".parse::<Version>().unwrap().to_string(), "3.4.6");
    }
}
