//! What the own Neo4j sees of its cluster, for the status port: one look at a time, and its result for all who ask within a moment.
//! A look is a login of the administrator and a read of a bean, and the port asks for no password.
//!
//! ```text
//! GET /status --> the look that is under way or just over, or a new one --> HTTP as the administrator, to its end
//!            `--> without it after the budget
//! ```

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use neo4j::{Members, STATUS_BUDGET, Unauthorized};
use tokio::{
    sync::watch,
    time::{Instant, timeout_at},
};

use super::{
    admin::{Administrator, Login},
    login::LOCK_OUT,
};

/// A view is given to those who ask within this from the beginning of its look, and to none later. The election holds it beside answers
/// that are up to [`topology::PATIENCE`] old: a slave's silence was begun that long before the master is asked whether it hears that slave, so
/// a view of half a second is newer than what it is evidence for. Of two masters each is asked for its majority, and Neo4j itself
/// notices a loss only after its heartbeat timeout, a second at least. Where the election asks for two rounds, the second one adds a newer
/// claim, and not a second view: it may be served this one again.
const SHARED: Duration = Duration::from_millis(500);
const _: () = assert!(SHARED.as_millis() + STATUS_BUDGET.as_millis() < topology::PATIENCE.as_millis());
const _: () = assert!(STATUS_BUDGET.as_millis() <= SHARED.as_millis());

/// A look goes on when no client waits for it any more: a refused login that is not noticed would be tried again, and lock the
/// administrator out. So the next one begins no sooner than a lock-out is over.
const TO_ITS_END: Duration = LOCK_OUT;

/// Looks at the own Neo4j. Clones share one look.
#[derive(Clone)]
pub struct MemberLook(Arc<Node>);

struct Node {
    http: SocketAddr,
    administrator: Administrator,
    latest: Mutex<Option<Look>>,
}

#[derive(Clone)]
struct Look {
    begun: Instant,
    view: watch::Receiver<View>,
}

/// How far a look is.
#[derive(Clone)]
enum View {
    UnderWay,
    /// Over, and Neo4j did not tell.
    NotTold,
    Told(Members),
}

impl MemberLook {
    /// At the Neo4j at `http`.
    pub fn new(http: SocketAddr, administrator: Administrator) -> Self {
        Self(Arc::new(Node { http, administrator, latest: Mutex::default() }))
    }

    /// The members, as they were no longer than [`SHARED`] ago, within [`STATUS_BUDGET`]; `None` if Neo4j does not tell.
    pub async fn view(&self) -> Option<Members> {
        let budget = Instant::now() + STATUS_BUDGET;
        let Look { begun, mut view } = self.look();
        let over = timeout_at(budget.min(begun + SHARED), view.wait_for(View::is_over)).await;
        match &*over.ok()?.ok()? {
            View::Told(members) => Some(members.clone()),
            View::UnderWay | View::NotTold => None,
        }
    }

    fn look(&self) -> Look {
        let mut latest = self.0.latest.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(look) = latest.as_ref().filter(|look| look.is_shared()) {
            return look.clone();
        }
        let (tell, view) = watch::channel(View::UnderWay);
        let look = Look { begun: Instant::now(), view };
        *latest = Some(look.clone());
        let node = Arc::clone(&self.0);
        // Of its own, because the client that asked first may hang up.
        tokio::spawn(
            async move { tell.send_replace(node.members().await.map_or(View::NotTold, View::Told)) },
        );
        look
    }
}

impl Look {
    /// One that is under way is the only one, however old. One that panicked has closed its channel, and does not stand in the way of
    /// the next one.
    fn is_shared(&self) -> bool {
        let is_over = self.view.borrow().is_over();
        if is_over { self.begun.elapsed() < SHARED } else { self.view.has_changed().is_ok() }
    }
}

impl View {
    fn is_over(&self) -> bool {
        !matches!(self, Self::UnderWay)
    }
}

impl Node {
    async fn members(&self) -> Option<Members> {
        let attempt = match self.administrator.login() {
            Login::NotNow => return None,
            Login::Without => return neo4j::members(self.http, None, TO_ITS_END).await.ok().flatten(),
            Login::As(attempt) => attempt,
        };
        match neo4j::members(self.http, Some(attempt.who()), TO_ITS_END).await {
            Ok(Some(members)) => {
                attempt.accepted();
                Some(members)
            }
            Ok(None) => None,
            Err(Unauthorized) => {
                attempt.refused();
                None
            }
        }
    }
}

#[cfg(test)]
mod tests;
