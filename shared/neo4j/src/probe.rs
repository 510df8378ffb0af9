//! The role probe: one question to every node at once, each under one deadline.

use std::{net::SocketAddr, time::Duration};

use tokio::{
    task::JoinSet,
    time::{Instant, sleep},
};
use topology::{Answer, GRACE, NotKnown};

use crate::{Dialect, classify, wire::get};

const SILENT: Answer = Answer::NotKnown(NotKnown::Silent);
/// Between two questions to a node while another one is waited for.
const AGAIN: Duration = Duration::from_millis(25);

/// Asks all `nodes` (HTTP addresses) at once; the slowest costs one `deadline`, not a sum. Answers are in the order of
/// the nodes.
///
/// While somebody is waited for and nobody is the master, those who took part are asked again and their last answer counts,
/// so that an election is seen when it happens, not when the silence of the old master has been waited out. Once what there
/// is is `enough`, nobody is waited for longer than [`GRACE`]: whoever has not answered is `NotAwaited`.
pub async fn probe_all(
    dialect: Dialect,
    nodes: &[SocketAddr],
    deadline: Duration,
    enough: impl Fn(&[Option<Answer>]) -> bool,
) -> Vec<Answer> {
    let ends = Instant::now() + deadline;
    let grace = sleep(GRACE);
    tokio::pin!(grace);
    let mut graceful = true;
    let mut so_far = vec![None; nodes.len()];
    let mut asked = JoinSet::new();
    for (index, node) in nodes.iter().copied().enumerate() {
        asked.spawn(async move { (index, probe(dialect, node, deadline).await) });
    }
    while so_far.contains(&None) && (graceful || !enough(&so_far)) {
        let answered = tokio::select! {
            () = &mut grace, if graceful => {
                graceful = false;
                continue;
            }
            answered = asked.join_next() => answered,
        };
        let (index, answer) = match answered {
            None => break,
            Some(Err(_panicked)) => continue,
            Some(Ok(answered)) => answered,
        };
        if answer == SILENT && so_far[index].is_some() {
            continue; // asked again, with less than a deadline: what it said before stands
        }
        so_far[index] = Some(answer);
        if answer.took_part() && !so_far.contains(&Some(Answer::Master)) {
            let node = nodes[index];
            asked.spawn(async move {
                sleep(AGAIN).await;
                (index, probe(dialect, node, ends.saturating_duration_since(Instant::now())).await)
            });
        }
    }
    // A probe that panicked has no answer either; silence is the honest word for it.
    let unanswered = if asked.is_empty() { SILENT } else { Answer::NotKnown(NotKnown::NotAwaited) };
    so_far.into_iter().map(|answer| answer.unwrap_or(unanswered)).collect()
}

/// Asks one node, within `deadline`, and reads no more than the longest body that can mean anything.
pub async fn probe(dialect: Dialect, node: SocketAddr, deadline: Duration) -> Answer {
    let row = dialect.row();
    match get(node, row.path, row.longest, deadline).await {
        Ok((status, body)) => classify(dialect, status, &body),
        Err(kind) => Answer::NotKnown(kind),
    }
}
