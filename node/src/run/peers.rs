//! When Neo4j may be started: the wait for the other slots.

use std::{
    net::IpAddr,
    time::{Duration, Instant},
};

use neo4j::Dialect;
use tracing::{error, info, warn};

use super::forming::{Formation, Forming};
use crate::{Settings, addresses, place::Place};

/// From one look at ECS to the next: an address appears some seconds after its task.
const LOOK: Duration = Duration::from_secs(1);
/// The same reason is said again only so often.
const SAY_AGAIN: Duration = Duration::from_secs(30);

/// What there was of this member before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Again {
    /// A task that may have died: the others must have given it up.
    AfterDying,
    /// This task's own Neo4j, which has left in good order.
    AfterLeaving,
}

/// Waits until Neo4j may be started; the hosts to start with, in the order of the slots. A slave-only node waits for the
/// same as a core one, and is not one of the hosts: it does not count for a cluster that forms.
pub async fn wait_for_all(settings: &Settings, own: &Place, again: Again) -> Vec<IpAddr> {
    let cluster = &settings.cluster;
    if cluster.dialect == Dialect::Single {
        return vec![own.address];
    }
    let inventory = aws::Inventory::new(&aws::sdk_config().await, &cluster.cluster);
    let given_up = match (cluster.dialect, again) {
        (Dialect::Ha, Again::AfterDying) => settings.heartbeat_timeout,
        _ => Duration::ZERO,
    };
    let mut forming = Forming::new(settings.formation_timeout, given_up);
    let began = Instant::now();
    let mut said: Option<(String, Instant)> = None;
    loop {
        let slots = addresses::look(cluster, own, &inventory).await.unwrap_or_else(|error| {
            warn!(event = "listing-failed", "{error}");
            addresses::own(cluster, own)
        });
        match forming.look(began.elapsed(), &slots) {
            Formation::Start(hosts) => return hosts,
            Formation::StartWithout { hosts, missing } => {
                let (waited, missing) = (began.elapsed().as_secs(), missing.join(", "));
                error!(
                    event = "formation-timeout",
                    waited, missing, "starting with a majority, without {missing}"
                );
                return hosts;
            }
            Formation::Wait(reason) => {
                let new = said.as_ref().is_none_or(|(last, at)| *last != reason || at.elapsed() >= SAY_AGAIN);
                if new {
                    let waited = began.elapsed().as_secs();
                    info!(event = "waiting-for-peers", waited, "Neo4j is not started: {reason}");
                    said = Some((reason, Instant::now()));
                }
            }
        }
        tokio::time::sleep(LOOK).await;
    }
}
