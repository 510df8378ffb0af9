//! Addresses of the core slots, from ECS.

use std::net::IpAddr;

use runtime::Cluster;

use crate::place::Place;

/// A core slot, and its address as far as it is known.
pub type Known = (String, Option<IpAddr>);

/// The core slots in their order, from one look at ECS.
///
/// # Errors
/// When ECS does not list them.
pub async fn look(
    cluster: &Cluster,
    own: &Place,
    inventory: &aws::Inventory,
) -> Result<Vec<Known>, aws::Error> {
    let services: Vec<String> = cluster.core().map(|slot| slot.name.clone()).collect();
    let listed = inventory.tasks_of_each(&services).await?;
    let mut known = Vec::new();
    for (service, tasks) in services.iter().zip(listed) {
        known.extend(tasks.into_iter().filter_map(|task| Some((service.clone(), task.address?))));
    }
    Ok(slots(cluster, own, |service| {
        known.iter().rev().find(|(of, _)| of == service).map(|(_, address)| *address)
    }))
}

/// The same without a look: the own address is the only one that is known.
pub fn own(cluster: &Cluster, own: &Place) -> Vec<Known> {
    slots(cluster, own, |_| None)
}

/// The core slots with their addresses as far as they are known, this one's own among them if it is one.
fn slots(cluster: &Cluster, own: &Place, known: impl Fn(&str) -> Option<IpAddr>) -> Vec<Known> {
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
        let environment = runtime::example::CLUSTER.into_iter().chain([("SLAVE_ONLY_SERVICES", "slave-1")]);
        let cluster = Cluster::read(&environment.collect::<Environment>()).unwrap();
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
