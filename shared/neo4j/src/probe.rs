//! The role probe: one question to every node at once, each under one deadline.

use std::{net::SocketAddr, time::Duration};

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::{net::TcpStream, task::JoinSet, time::timeout};
use topology::{Answer, NotKnown};

use crate::{Dialect, classify};

/// Asks all `nodes` (HTTP addresses) at once; the slowest costs one `deadline`, not a sum. Answers are in the order of
/// the nodes.
pub async fn probe_all(dialect: Dialect, nodes: &[SocketAddr], deadline: Duration) -> Vec<Answer> {
    let mut asked = JoinSet::new();
    for (index, node) in nodes.iter().copied().enumerate() {
        asked.spawn(async move { (index, probe(dialect, node, deadline).await) });
    }
    let mut answers = vec![Answer::NotKnown(NotKnown::Silent); nodes.len()];
    while let Some(answered) = asked.join_next().await {
        // A probe that panicked has no answer; silence is the honest word for it.
        if let Ok((index, answer)) = answered {
            answers[index] = answer;
        }
    }
    answers
}

/// Asks one node. The `deadline` is over connecting, headers and body together; no more than the longest body that can
/// mean anything is read, and redirects are not followed.
pub async fn probe(dialect: Dialect, node: SocketAddr, deadline: Duration) -> Answer {
    let answer = timeout(deadline, ask(dialect, node)).await;
    answer.unwrap_or(Ok(Answer::NotKnown(NotKnown::Silent))).unwrap_or_else(Answer::NotKnown)
}

async fn ask(dialect: Dialect, node: SocketAddr) -> Result<Answer, NotKnown> {
    let stream = TcpStream::connect(node).await.map_err(|_| NotKnown::Refused)?;
    let (mut sender, connection) =
        http1::handshake(TokioIo::new(stream)).await.map_err(|error| kind(&error))?;
    let exchange = async move {
        let answer = sender.send_request(request(dialect, node)).await.map_err(|error| kind(&error))?;
        let status = answer.status().as_u16();
        let body = Limited::new(answer.into_body(), dialect.row().longest).collect().await;
        let body = body.map_err(|error| match error.downcast_ref::<hyper::Error>() {
            Some(error) => kind(error),
            None => NotKnown::Unexpected, // longer than any answer of this dialect
        })?;
        Ok(classify(dialect, status, &body.to_bytes()))
    };
    // The connection is driven here, not in a task of its own, so that it ends with the deadline.
    let driving = async {
        let _told_to_the_exchange = connection.await;
        std::future::pending::<()>().await;
    };
    tokio::select! {
        answer = exchange => answer,
        () = driving => unreachable!("the connection's future never ends by itself"),
    }
}

fn request(dialect: Dialect, node: SocketAddr) -> Request<Empty<Bytes>> {
    Request::get(dialect.row().path)
        .header("host", node.to_string())
        // Neo4j redirects clients that accept HTML to its browser.
        .header("accept", "text/plain, application/json")
        .header("connection", "close")
        .body(Empty::new())
        .expect("a request made of constants")
}

fn kind(error: &hyper::Error) -> NotKnown {
    if error.is_parse() { NotKnown::Unexpected } else { NotKnown::Refused }
}
