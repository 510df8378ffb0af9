//! Addresses of the core slots, from ECS.

use std::{
    net::IpAddr,
    time::{Duration, Instant},
};

use neo4j::Dialect;
use runtime::Cluster;
use tracing::{error, info, warn};

use crate::{Formation, Forming, Settings, place::Place};

/// From one look at ECS to the next: an address appears some seconds after its task.
const LOOK: Duration = Duration::from_secs(1);
/// The same reason is said again only so often.
const SAY_AGAIN: Duration = Duration::from_secs(30);

/// Waits until Neo4j may be started; the hosts to start with, in the order of the slots. A slave-only node waits for the
/// same as a core one, and is not one of the hosts: it does not count for a cluster that forms.
pub async fn wait_for_all(settings: &Settings, own: &Place) -> Vec<IpAddr> {
    let cluster = &settings.cluster;
    if cluster.dialect == Dialect::Single {
        return vec![own.address];
    }
    let inventory = aws::Inventory::new(&aws::sdk_config().await, &cluster.cluster);
    let given_up = if cluster.dialect == Dialect::Ha { settings.heartbeat_timeout } else { Duration::ZERO };
    let mut forming = Forming::new(settings.formation_timeout, given_up);
    let began = Instant::now();
    let mut said: Option<(String, Instant)> = None;
    loop {
        match forming.look(began.elapsed(), &look(cluster, own, &inventory).await) {
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

/// The core slots and their addresses, from one look at ECS. When it fails no peer is known, and the reason is logged once.
async fn look(cluster: &Cluster, own: &Place, inventory: &aws::Inventory) -> Vec<(String, Option<IpAddr>)> {
    let services: Vec<String> = cluster.core().map(|slot| slot.name.clone()).collect();
    let listed = inventory.tasks_of_each(&services).await.unwrap_or_else(|error| {
        warn!(event = "listing-failed", "{error}");
        Vec::new()
    });
    let mut known = Vec::new();
    for (service, tasks) in services.iter().zip(listed) {
        known.extend(tasks.into_iter().filter_map(|task| Some((service.clone(), task.address?))));
    }
    slots(cluster, own, |service| {
        known.iter().rev().find(|(of, _)| of == service).map(|(_, address)| *address)
    })
}

/// The core slots with their addresses as far as they are known, this one's own among them if it is one.
fn slots(
    cluster: &Cluster,
    own: &Place,
    known: impl Fn(&str) -> Option<IpAddr>,
) -> Vec<(String, Option<IpAddr>)> {
    let core = cluster.core().map(|slot| {
        let address = if *slot == own.slot { Some(own.address) } else { known(&slot.name) };
        (slot.name.clone(), address)
    });
    core.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use runtime::Environment;

    #[test]
    fn the_own_slot_has_the_own_address_whatever_ecs_still_says() {
        let environment = [
            ("DIALECT", "HA"),
            ("NEO4J_VERSION", "3.4.6"),
            ("CLUSTER", "c"),
            ("STACK", "s"),
            ("CORE_SERVICES", "core-1,core-2,core-3"),
            ("SLAVE_ONLY_SERVICES", "slave-1"),
        ];
        let cluster = Cluster::read(&environment.into_iter().collect::<Environment>()).unwrap();
        let stale: IpAddr = [10, 0, 0, 2].into();
        let of = |service: &str| {
            let slot = cluster.slot(service).unwrap().clone();
            let own = Place { address: [10, 0, 0, 9].into(), slot };
            slots(&cluster, &own, |service| (service == "core-2").then_some(stale))
        };
        let expected = |second: IpAddr| {
            [("core-1".to_owned(), None), ("core-2".to_owned(), Some(second)), ("core-3".to_owned(), None)]
        };
        assert_eq!(of("core-2"), expected([10, 0, 0, 9].into()));
        assert_eq!(of("slave-1"), expected(stale), "a slave-only node is no host of a cluster that forms");
    }
}
