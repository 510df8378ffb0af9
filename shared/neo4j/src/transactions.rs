//! Cypher over HTTP as 3.x has it: one statement in one transaction, as one user.

use std::{net::SocketAddr, time::Duration};

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use topology::NotKnown;

use crate::{Credentials, Denied, wire::ask};

const COMMIT: &str = "/db/data/transaction/commit";
/// The longest answer, bytes: a list of ten thousand users is about a megabyte.
const LONGEST: usize = 4 << 20;

pub type Rows = Vec<Vec<Value>>;

/// Runs `statement` with `parameters` as `who` on the node at `http`, all of it within `deadline`. Names and
/// passwords belong in the parameters: Neo4j quotes statements in its messages and logs.
///
/// # Errors
/// When the statement did not run to its end; Neo4j reports that with a status of 200 and a list of errors.
pub async fn commit(
    http: SocketAddr,
    who: &Credentials,
    statement: &str,
    parameters: &Value,
    deadline: Duration,
) -> Result<Rows, Denied> {
    let body = json!({"statements": [{"statement": statement, "parameters": parameters}]});
    let (status, body) = post(http, who, COMMIT, &body, deadline).await?;
    read(status, &body)
}

/// Changes the password of `who` to `new`: the one thing that a user whose password must
/// be changed first may do.
pub(crate) async fn change_own_password(
    http: SocketAddr,
    who: &Credentials,
    new: &SecretString,
    deadline: Duration,
) -> Result<(), Denied> {
    let path = format!("/user/{}/password", who.user);
    let (status, body) = post(http, who, &path, &json!({"password": new.expose_secret()}), deadline).await?;
    match status {
        200 if body.is_empty() => Ok(()),
        _ => read(status, &body).map(drop),
    }
}

async fn post(
    http: SocketAddr,
    who: &Credentials,
    path: &str,
    body: &Value,
    deadline: Duration,
) -> Result<(u16, Bytes), Denied> {
    let request = Request::post(path)
        .header("host", http.to_string())
        .header("authorization", who.basic().ok_or(Denied::NotCarried)?)
        .header("accept", "application/json")
        .header("content-type", "application/json; charset=UTF-8")
        .header("connection", "close")
        .body(Full::from(body.to_string()))
        .map_err(|_| Denied::Unreachable("no such path".into()))?;
    ask(http, request, LONGEST, deadline).await.map_err(|kind| match kind {
        NotKnown::Refused => Denied::Unreachable("HTTP: connection refused or cut".into()),
        NotKnown::Silent => Denied::Unreachable(format!("silent on HTTP for {} ms", deadline.as_millis())),
        _ => Denied::Other { code: "HTTP".into(), message: "it answers something that is no HTTP".into() },
    })
}

/// Neo4j answers 200 when a statement failed, with the reason in `errors`.
fn read(status: u16, body: &[u8]) -> Result<Rows, Denied> {
    let strange = || Denied::Other { code: status.to_string(), message: "no answer of a Neo4j 3.x".into() };
    let body: Value = serde_json::from_slice(body).map_err(|_| strange())?;
    if let Some(error) = body["errors"].get(0) {
        let field = |name: &str| error[name].as_str().unwrap_or_default();
        return Err(Denied::of(field("code"), field("message")));
    }
    if status != 200 {
        return Err(strange());
    }
    let rows = body["results"][0]["data"].as_array().ok_or_else(strange)?;
    let row = |row: &Value| row["row"].as_array().cloned();
    rows.iter().map(row).collect::<Option<Rows>>().ok_or_else(strange)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_200_with_errors_is_a_failure() {
        let failed = br#"{"results":[{"columns":[],"data":[]}],"errors":[{"code":"Neo.ClientError.General.InvalidArguments","message":"User 'x' does not exist."}]}"#;
        assert_eq!(read(200, failed), Err(Denied::NotThere));
        let rows = br#"{"results":[{"columns":["a"],"data":[{"row":["x",[]],"meta":[null]}]}],"errors":[]}"#;
        assert_eq!(read(200, rows), Ok(vec![vec![json!("x"), json!([])]]));
    }

    #[test]
    fn what_is_no_answer_of_neo4j_is_a_failure() {
        for (status, body) in [
            (200, "<html>It works!</html>"),
            (200, "{}"),
            (200, r#"{"results":[],"errors":[]}"#),
            (200, "\"errors\""),
            (502, r#"{"results":[{"data":[]}],"errors":[]}"#),
            (500, ""),
        ] {
            assert!(matches!(read(status, body.as_bytes()), Err(Denied::Other { .. })), "{status} {body}");
        }
    }
}
