//! The role check: what the own Neo4j says now, over HTTP and, when HTTP is late, beside it over Bolt. Queries can take every
//! worker of HTTP; a check that waits for one of those would call a master dead that is only busy.
//!
//! ```text
//! GET /role, /read --> the ask that is under way, or a new one --> HTTP -----------------> the first that knows the role
//!                                                             `--> after BESIDE: Bolt --'  SILENT after the budget
//! ```

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use neo4j::{Denied, Dialect, ROLE_BUDGET};
use tokio::{
    sync::{Mutex as Turn, watch},
    time::{Instant, sleep, sleep_until},
};
use topology::{Answer, NotKnown};
use tracing::warn;

use super::admin::{Administrator, Attempt, Login};

/// HTTP that has not answered after this is late: hundreds of times what it takes, and longer than a pause of a young
/// collection, so that a healthy node is not logged into at every check. It leaves six times as much for Bolt.
pub const BESIDE: Duration = Duration::from_millis(250);
const UNEXPECTED: Answer = Answer::NotKnown(NotKnown::Unexpected);

/// Asks the own Neo4j. Clones share one ask.
#[derive(Clone)]
pub struct RoleCheck(Arc<Node>);

struct Node {
    dialect: Dialect,
    http: SocketAddr,
    bolt: SocketAddr,
    administrator: Administrator,
    under_way: Mutex<Option<watch::Receiver<Option<Answer>>>>,
    /// Held by the one Bolt session that there may be.
    session: Arc<Turn<()>>,
}

impl RoleCheck {
    /// Of the Neo4j at `http` and `bolt`.
    pub fn new(dialect: Dialect, http: SocketAddr, bolt: SocketAddr, administrator: Administrator) -> Self {
        let (under_way, session) = (Mutex::default(), Arc::default());
        Self(Arc::new(Node { dialect, http, bolt, administrator, under_way, session }))
    }

    /// What Neo4j says, within [`ROLE_BUDGET`]. Requests that come while it is being asked get the same answer: it is given
    /// after they came, and a balancer with many checkers costs one question.
    pub async fn ask(&self) -> Answer {
        let mut answer = self.under_way();
        match answer.wait_for(Option::is_some).await {
            Ok(answer) => answer.unwrap_or(UNEXPECTED),
            Err(_panicked) => UNEXPECTED,
        }
    }

    fn under_way(&self) -> watch::Receiver<Option<Answer>> {
        let mut under_way = self.0.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        // One that panicked has closed its channel, and does not stand in the way of the next one.
        if let Some(asking) = under_way.as_ref().filter(|asking| asking.has_changed().is_ok()) {
            return asking.clone();
        }
        let (tell, asking) = watch::channel(None);
        *under_way = Some(asking.clone());
        let node = Arc::clone(&self.0);
        // Of its own, because the client that asked first may hang up.
        tokio::spawn(async move {
            let answer = Arc::clone(&node).role().await;
            *node.under_way.lock().unwrap_or_else(PoisonError::into_inner) = None;
            tell.send_replace(Some(answer));
        });
        asking
    }
}

impl Node {
    async fn role(self: Arc<Self>) -> Answer {
        let begun = Instant::now();
        let http = neo4j::probe(self.dialect, self.http, ROLE_BUDGET);
        let bolt = async {
            sleep(BESIDE).await;
            Arc::clone(&self).over_bolt().await
        };
        let over = sleep_until(begun + ROLE_BUDGET);
        tokio::pin!(http, bolt, over);
        let (mut by_http, mut by_bolt) = (None, None);
        while by_http.is_none() || by_bolt.is_none() {
            tokio::select! {
                // HTTP first: where both know, it is the one that clients of the old endpoint see.
                biased;
                answer = &mut http, if by_http.is_none() => {
                    // A port that refuses at once is a JVM that starts or stops: no reason to ask Bolt.
                    if answer.took_part() || begun.elapsed() < BESIDE {
                        return answer;
                    }
                    by_http = Some(answer);
                }
                answer = &mut bolt, if by_bolt.is_none() => {
                    if let Some(answer) = answer.filter(|answer| answer.took_part()) {
                        return answer;
                    }
                    by_bolt = Some(answer);
                }
                () = &mut over => break,
            }
        }
        let silent = Answer::NotKnown(NotKnown::Silent);
        match (by_http.unwrap_or(silent), by_bolt.flatten()) {
            // Bolt has said something, if not the role: it is not silence.
            (http, Some(_)) if http == silent => UNEXPECTED,
            (http, _) => http,
        }
    }

    /// What Bolt says; none when it was not asked.
    async fn over_bolt(self: Arc<Self>) -> Option<Answer> {
        // One session at a time, however long the last one takes: its successor waits here, and ends with its own check.
        let turn = Arc::clone(&self.session).lock_owned().await;
        // To its end, also when HTTP answers meanwhile: a refused login that is not noticed would be tried again at once, and
        // lock the administrator out.
        let session = tokio::spawn(async move {
            let _turn = turn;
            let attempt = match self.administrator.login() {
                Login::NotNow => return None,
                Login::Without => None,
                Login::As(attempt) => Some(attempt),
            };
            let who = attempt.as_ref().map(Attempt::who);
            let answer = neo4j::ask_bolt(self.dialect, self.bolt, who, ROLE_BUDGET).await;
            match (attempt, &answer) {
                (Some(attempt), Ok(_)) => attempt.accepted(),
                (Some(attempt), Err(Denied::Unauthorized)) => attempt.refused(),
                _ => {}
            }
            Some(answer.unwrap_or_else(|denied| match denied {
                Denied::Unreachable(_) => Answer::NotKnown(NotKnown::Refused),
                // In the middle of a switch it says DatabaseUnavailable: the next check asks again.
                denied => {
                    warn!(event = "role-over-bolt", "{denied}");
                    UNEXPECTED
                }
            }))
        });
        session.await.unwrap_or(Some(UNEXPECTED))
    }
}

#[cfg(test)]
pub(crate) mod tests;
