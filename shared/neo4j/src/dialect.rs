//! What each dialect's role endpoint answers: a table, so that another dialect or version is another row.

use std::str::FromStr;

use topology::{Answer, NotKnown};

/// How the nodes of a cluster report their role. Chosen by a parameter, never guessed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// High availability of 3.4 and 3.5: one master, slaves, slave-only instances.
    Ha,
    /// Causal clustering, and clustering of 5.x: the leader of the database is the master,
    /// its followers are slaves.
    Cluster(Release),
    /// One node, which is the master as long as it answers.
    Single,
}

/// Where a clustered Neo4j reports its role, which has moved twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Release {
    /// Up to 3.4.
    V3_4,
    /// 3.5.
    V3_5,
    /// 4.0 and later: per database; this asks for the one named `neo4j`.
    V4,
}

/// How users are administered, which follows from the version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Administration {
    /// 3.x: users are files of each instance, changed by procedures over HTTP.
    Http,
    /// 4.4 and later: users are in the `system` database of the whole cluster, changed over Bolt.
    Bolt,
}

/// A word that is not a dialect of this version.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is not a dialect this version speaks: it must be HA, CLUSTER (3.4), CLUSTER-3.5, CLUSTER-4, CLUSTER-5 or SINGLE"
)]
pub struct NotADialect(String);

impl FromStr for Dialect {
    type Err = NotADialect;

    fn from_str(word: &str) -> Result<Self, NotADialect> {
        match word {
            "HA" => Ok(Self::Ha),
            "CLUSTER" => Ok(Self::Cluster(Release::V3_4)),
            "CLUSTER-3.5" => Ok(Self::Cluster(Release::V3_5)),
            "CLUSTER-4" | "CLUSTER-5" => Ok(Self::Cluster(Release::V4)),
            "SINGLE" => Ok(Self::Single),
            other => Err(NotADialect(other.to_owned())),
        }
    }
}

/// One row: which path to ask, how much of an answer to read, and what the answers mean.
#[derive(Debug)]
pub(crate) struct Row {
    /// Path on the HTTP port.
    pub path: &'static str,
    /// The longest body that can have a meaning, in bytes.
    pub longest: usize,
    answers: &'static [(u16, Body, Answer)],
}

/// What a body must be.
#[derive(Debug)]
enum Body {
    /// Exactly this text.
    Is(&'static str),
    /// Any text with this in it.
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

/// A follower says `false`, and so does every member while there is no leader. While a database is not up,
/// 4.x answers `503` with a body that no document promises, so that counts as not known, like a database
/// that is not hosted there.
const WRITABLE: &[(u16, Body, Answer)] =
    &[(200, Body::Is("true"), Answer::Master), (404, Body::Is("false"), Answer::Slave)];
const CLUSTER_3_4: Row = Row { path: "/db/manage/server/core/writable", longest: 16, answers: WRITABLE };
const CLUSTER_3_5: Row =
    Row { path: "/db/manage/server/causalclustering/writable", longest: 16, answers: WRITABLE };
const CLUSTER_4: Row = Row { path: "/db/neo4j/cluster/writable", longest: 16, answers: WRITABLE };

/// The discovery document of every version since 3.0 names its Bolt address: `bolt`, later `bolt_direct`. It
/// needs no password, and a proxy's own page does not have it.
const SINGLE: Row = Row { path: "/", longest: 4096, answers: &[(200, Body::Has("\"bolt"), Answer::Master)] };

impl Dialect {
    pub fn administration(self) -> Administration {
        match self {
            Self::Ha | Self::Single | Self::Cluster(Release::V3_4 | Release::V3_5) => Administration::Http,
            Self::Cluster(Release::V4) => Administration::Bolt,
        }
    }

    pub(crate) fn row(self) -> &'static Row {
        match self {
            Self::Ha => &HA,
            Self::Cluster(Release::V3_4) => &CLUSTER_3_4,
            Self::Cluster(Release::V3_5) => &CLUSTER_3_5,
            Self::Cluster(Release::V4) => &CLUSTER_4,
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
    fn a_leader_is_the_master_and_a_follower_a_slave() {
        use topology::NotKnown::{Forbidden, Unexpected};
        let missing = r#"{"errors":[{"code":"Neo.ClientError.Request.Invalid"}]}"#;
        let table: [(u16, &str, Answer); 7] = [
            (200, "true", Answer::Master),
            (404, "false", Answer::Slave),
            (404, missing, Answer::NotKnown(Unexpected)),
            (404, "", Answer::NotKnown(Unexpected)),
            (503, "", Answer::NotKnown(Unexpected)),
            (200, "false", Answer::NotKnown(Unexpected)),
            (403, "", Answer::NotKnown(Forbidden)),
        ];
        for word in ["CLUSTER", "CLUSTER-3.5", "CLUSTER-4", "CLUSTER-5"] {
            for (status, body, expected) in table {
                let dialect = word.parse().unwrap();
                assert_eq!(classify(dialect, status, body.as_bytes()), expected, "{word} {status} {body:?}");
            }
        }
    }

    #[test]
    fn each_release_is_asked_where_it_tells() {
        let path = |word: &str| word.parse::<Dialect>().unwrap().row().path;
        assert_eq!(path("HA"), "/db/manage/server/ha/master");
        assert_eq!(path("CLUSTER"), "/db/manage/server/core/writable");
        assert_eq!(path("CLUSTER-3.5"), "/db/manage/server/causalclustering/writable");
        assert_eq!(
            (path("CLUSTER-4"), path("CLUSTER-5")),
            ("/db/neo4j/cluster/writable", "/db/neo4j/cluster/writable")
        );
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
        let error = "cluster".parse::<Dialect>().unwrap_err().to_string();
        assert!(
            error.starts_with("\"cluster\" is not a dialect this version speaks: it must be HA, CLUSTER"),
            "{error}"
        );
        assert_eq!("HA".parse(), Ok(Dialect::Ha));
        assert_eq!("SINGLE".parse(), Ok(Dialect::Single));
    }
}
