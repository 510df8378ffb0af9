//! One statement over HTTP, in a transaction of its own.

use std::{net::SocketAddr, time::Duration};

use serde_json::{Value, json};

use crate::{http as wire, login::Login};

const PATH: &str = "/db/data/transaction/commit";

/// Why a statement has no result.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No answer: the connection ended, or the time is over.
    #[error(transparent)]
    Wire(#[from] wire::Failure),
    #[error("{status}: {errors}")]
    Refused { status: u16, errors: String },
}

impl Error {
    /// Whether Neo4j refused the statement with a code that contains `word`, such as `Unauthorized`.
    pub fn says(&self, word: &str) -> bool {
        matches!(self, Self::Refused { errors, .. } if errors.contains(word))
    }

    /// Whether nothing was heard within the time: that may be a slow machine, and refuses nothing.
    pub fn is_late(&self) -> bool {
        matches!(self, Self::Wire(wire::Failure::Timeout(..)))
    }
}

/// For those who report it as text.
impl From<Error> for String {
    fn from(error: Error) -> Self {
        error.to_string()
    }
}

/// Rows of nothing too: a graph may be empty.
const COUNT: &str =
    "OPTIONAL MATCH (n) WITH count(n) AS nodes OPTIONAL MATCH ()-[r]->() RETURN nodes, count(r)";

/// How many nodes and relationships a graph has, as a backup's manifest has its `counts`.
pub async fn counts(to: SocketAddr, login: &Login, within: Duration) -> Result<Value, Error> {
    let answer = cypher(to, login, COUNT, json!({}), within).await?;
    let row = &answer["results"][0]["data"][0]["row"];
    Ok(json!({"nodes": row[0], "relationships": row[1]}))
}

/// Runs one statement. Neo4j answers 200 with a list of errors when it fails, so the list counts, not the status.
pub async fn cypher(
    to: SocketAddr,
    login: &Login,
    statement: &str,
    parameters: Value,
    within: Duration,
) -> Result<Value, Error> {
    let body = json!({"statements": [{"statement": statement, "parameters": parameters}]}).to_string();
    let (status, answer) = wire::post_as(login, to, PATH, body.into(), within).await?;
    let refused = |errors: String| Error::Refused { status, errors };
    let answer: Value = serde_json::from_slice(&answer).map_err(|error| refused(error.to_string()))?;
    match answer["errors"].as_array() {
        Some(errors) if errors.is_empty() => Ok(answer),
        _ => Err(refused(answer["errors"].to_string())),
    }
}
