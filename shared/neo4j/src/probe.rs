//! The role probe: one question to every node at once, each with the same patience.

use std::{net::SocketAddr, time::Duration};

use tokio::{
    task::JoinSet,
    time::{Instant, sleep},
};
use topology::{Answer, GRACE, NotKnown, PATIENCE};

use crate::{Dialect, Hello, classify, hello, role, wire::get};

const SILENT: Answer = Answer::NotKnown(NotKnown::Silent);
const LATE: Answer = Answer::NotKnown(NotKnown::Late);
/// The wait before a node is asked again while another one has not answered.
const AGAIN: Duration = Duration::from_millis(25);

/// One node to ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Question {
    /// Where its node program serves the role.
    pub role: SocketAddr,
    pub bolt: SocketAddr,
    /// Whether Bolt is asked beside the role: only where the role endpoint was silent before. Only then
    /// can the answer be `Silent`.
    pub ask_bolt: bool,
}

/// Asks all `nodes` at once; the slowest costs one [`PATIENCE`], not a sum. Answers are
/// in the order of the nodes.
///
/// While one node has not answered and no node says that it is the master, the nodes that took part are asked
/// again and their last answer counts, so that an election is seen when it happens, not after the silence of
/// the old master was waited out. Once `enough` accepts the answers so far, the other nodes get at most
/// [`GRACE`]; one that has not answered then is `NotAwaited`.
pub async fn probe_all(nodes: &[Question], enough: impl Fn(&[Option<Answer>]) -> bool) -> Vec<Answer> {
    let ends = Instant::now() + PATIENCE;
    let grace = sleep(GRACE);
    tokio::pin!(grace);
    let mut graceful = true;
    let mut so_far = vec![None; nodes.len()];
    let mut asked = JoinSet::new();
    for (index, node) in nodes.iter().copied().enumerate() {
        asked.spawn(async move { (index, ask(node).await) });
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
            continue; // a repeated question had less than the patience: the earlier answer stands
        }
        so_far[index] = Some(answer);
        if answer.took_part() && !so_far.contains(&Some(Answer::Master)) {
            let node = nodes[index].role;
            asked.spawn(async move {
                sleep(AGAIN).await;
                (index, role(node, ends.saturating_duration_since(Instant::now())).await)
            });
        }
    }
    // A probe that panicked has no answer either, and is no evidence of a frozen node.
    let unanswered = if asked.is_empty() { LATE } else { Answer::NotKnown(NotKnown::NotAwaited) };
    so_far.into_iter().map(|answer| answer.unwrap_or(unanswered)).collect()
}

/// Asks one node with the whole patience, and Bolt beside it if the question says so.
async fn ask(node: Question) -> Answer {
    let role = role(node.role, PATIENCE);
    if !node.ask_bolt {
        return match role.await {
            SILENT => LATE,
            answer => answer,
        };
    }
    let bolt = hello(node.bolt, PATIENCE);
    tokio::pin!(role, bolt);
    let mut heard = None;
    loop {
        tokio::select! {
            // The role is looked at first: an answer that has arrived counts, whatever Bolt does.
            biased;
            answer = &mut role => {
                if answer != SILENT {
                    return answer;
                }
                let heard = match heard {
                    Some(heard) => heard,
                    None => bolt.await,
                };
                // A Bolt that answers is a JVM that runs; one that refuses is a JVM that
                // starts, stops or is gone.
                return if heard == Hello::Silent { SILENT } else { LATE };
            }
            greeted = &mut bolt, if heard.is_none() => heard = Some(greeted),
        }
    }
}

/// Asks one Neo4j itself, in its dialect, within `deadline`, and reads at most the longest body
/// that can have a meaning.
pub async fn probe(dialect: Dialect, node: SocketAddr, deadline: Duration) -> Answer {
    let row = dialect.row();
    match get(node, row.path, row.longest, deadline).await {
        Ok((status, body)) => classify(dialect, status, &body),
        Err(kind) => Answer::NotKnown(kind),
    }
}
