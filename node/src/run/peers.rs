//! When Neo4j may be started: the wait for the other slots.

use std::{
    net::IpAddr,
    time::{Duration, Instant},
};

use neo4j::Dialect;
use tracing::{error, info, warn};

use super::{
    forming::{Formation, Forming},
    said::Said,
};
use crate::{Settings, addresses, place::Place};

/// From one look at ECS to the next: an address appears some seconds after its task.
const LOOK: Duration = Duration::from_secs(1);

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
    let mut said = Said::default();
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
                if said.is_new(&reason) {
                    let waited = began.elapsed().as_secs();
                    info!(event = "waiting-for-peers", waited, "Neo4j is not started: {reason}");
                }
            }
        }
        tokio::time::sleep(LOOK).await;
    }
}
