//! The role probe: one question to every node at once, each under one deadline.

use std::{net::SocketAddr, time::Duration};

use tokio::task::JoinSet;
use topology::{Answer, NotKnown};

use crate::{Dialect, classify, wire::get};

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

/// Asks one node, within `deadline`, and reads no more than the longest body that can mean anything.
pub async fn probe(dialect: Dialect, node: SocketAddr, deadline: Duration) -> Answer {
    let row = dialect.row();
    match get(node, row.path, row.longest, deadline).await {
        Ok((status, body)) => classify(dialect, status, &body),
        Err(kind) => Answer::NotKnown(kind),
    }
}
