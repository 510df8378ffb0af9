//! What each dialect's role endpoint answers: a table, so that a further dialect or version is a further row.

use std::str::FromStr;

use topology::{Answer, NotKnown};

/// How the nodes of a cluster tell their role. Chosen by a parameter, never guessed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// High availability of 3.4 and 3.5: one master, slaves, slave-only instances.
    Ha,
    /// One node, which is the master as long as it answers.
    Single,
}

/// A word that names no dialect of this version.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a dialect this version speaks: it must be HA or SINGLE")]
pub struct NotADialect(String);

impl FromStr for Dialect {
    type Err = NotADialect;

    fn from_str(word: &str) -> Result<Self, NotADialect> {
        match word {
            "HA" => Ok(Self::Ha),
            "SINGLE" => Ok(Self::Single),
            other => Err(NotADialect(other.to_owned())),
        }
    }
}

/// One row: where to ask, how much of an answer to read, and what the answers mean.
#[derive(Debug)]
pub(crate) struct Row {
    /// Path on the HTTP port.
    pub path: &'static str,
    /// The longest body that can mean anything, in bytes.
    pub longest: usize,
    answers: &'static [(u16, Body, Answer)],
}

/// What a body has to be.
#[derive(Debug)]
enum Body {
    /// Exactly this.
    Is(&'static str),
    /// Anything with this in it.
    Has(&'static str),
}

/// Bodies of 3.x role endpoints are plain words without a newline (measured on 3.4.6).
const HA: Row = Row {
    path: "/db/manage/server/ha/master",
    longest: 16,
    answers: &[
        (200, Body::Is("true"), Answer::Master),
        (404, Body::Is("false"), Answer::Slave),
        (404, Body::Is("UNKNOWN"), Answer::NotKnown(NotKnown::Unsettled)),
    ],
};

/// The discovery document of every version since 3.0 names its Bolt address: `bolt`, later `bolt_direct`. It needs no
/// password, and a proxy's own page does not have it.
const SINGLE: Row = Row { path: "/", longest: 4096, answers: &[(200, Body::Has("\"bolt"), Answer::Master)] };

impl Dialect {
    pub(crate) fn row(self) -> &'static Row {
        match self {
            Self::Ha => &HA,
            Self::Single => &SINGLE,
        }
    }
}

/// What a complete answer means in `dialect`.
pub fn classify(dialect: Dialect, status: u16, body: &[u8]) -> Answer {
    let known = dialect
        .row()
        .answers
        .iter()
        .find(|(expected, wanted, _)| *expected == status && wanted.accepts(body));
    match (known, status) {
        (Some((_, _, answer)), _) => *answer,
        (None, 401 | 403) => Answer::NotKnown(NotKnown::Forbidden),
        (None, _) => Answer::NotKnown(NotKnown::Unexpected),
    }
}

impl Body {
    fn accepts(&self, body: &[u8]) -> bool {
        match self {
            Self::Is(word) => body == word.as_bytes(),
            Self::Has(part) => body.windows(part.len()).any(|window| window == part.as_bytes()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_two_firm_answers_are_firm() {
        use Answer::{Master, NotKnown as Not, Slave};
        use topology::NotKnown::{Forbidden, Unexpected, Unsettled};
        let table: [(u16, &str, Answer); 14] = [
            (200, "true", Master),
            (404, "false", Slave),
            (404, "UNKNOWN", Not(Unsettled)),
            (200, "false", Not(Unexpected)),
            (404, "true", Not(Unexpected)),
            (200, "true\n", Not(Unexpected)),
            (200, "TRUE", Not(Unexpected)),
            (200, "", Not(Unexpected)),
            (404, "", Not(Unexpected)),
            (302, "true", Not(Unexpected)),
            (500, "false", Not(Unexpected)),
            (503, "UNKNOWN", Not(Unexpected)),
            (401, "true", Not(Forbidden)),
            (403, "", Not(Forbidden)),
        ];
        for (status, body, expected) in table {
            assert_eq!(classify(Dialect::Ha, status, body.as_bytes()), expected, "{status} {body:?}");
        }
    }

    #[test]
    fn a_single_node_is_the_master_when_neo4j_itself_answers() {
        let old = br#"{"management":"http://h:7474/db/manage/","data":"http://h:7474/db/data/","bolt":"bolt://h:7687"}"#;
        let new =
            br#"{"bolt_routing":"neo4j://h:7687","bolt_direct":"bolt://h:7687","neo4j_version":"5.26.0"}"#;
        assert_eq!(classify(Dialect::Single, 200, old), Answer::Master);
        assert_eq!(classify(Dialect::Single, 200, new), Answer::Master);
        assert_eq!(
            classify(Dialect::Single, 200, b"<html>It works!</html>"),
            Answer::NotKnown(NotKnown::Unexpected)
        );
    }

    #[test]
    fn an_unknown_dialect_is_refused_with_the_words_that_are_accepted() {
        let error = "CLUSTER".parse::<Dialect>().unwrap_err().to_string();
        assert_eq!(error, "\"CLUSTER\" is not a dialect this version speaks: it must be HA or SINGLE");
        assert_eq!("HA".parse(), Ok(Dialect::Ha));
        assert_eq!("SINGLE".parse(), Ok(Dialect::Single));
    }
}
