//! Where this task is: its address and its slot. All slots have one task definition, so nothing in it can name the slot; the
//! service that started the task does.

use std::{net::IpAddr, time::Duration};

use neo4j::Dialect;
use runtime::Cluster;
use topology::{Kind, Slot};
use tracing::warn;

use crate::{
    Settings,
    metadata::{self, NoAddress},
};

/// A role of a task may be known everywhere only seconds after the task has started.
const TRIES: u32 = 10;
const APART: Duration = Duration::from_secs(3);

/// The task's address and slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Where peers and clients reach it.
    pub address: IpAddr,
    /// Its slot.
    pub slot: Slot,
}

/// Why the place is not known.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    NoSlot(#[from] NoSlot),
    #[error(transparent)]
    NoAddress(#[from] NoAddress),
}

/// Why a task has no slot in the cluster.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoSlot {
    /// Started by `RunTask`, most likely.
    #[error(
        "ECS reports no service of this task, so it has no slot and Neo4j is not started: run it as one of the services {0}"
    )]
    NoService(String),
    /// Its server id would be a guess.
    #[error(
        "this task's service {service} is not a slot of the cluster, so Neo4j is not started: CORE_SERVICES and SLAVE_ONLY_SERVICES name \
         {slots}"
    )]
    NotOurs {
        /// Its service.
        service: String,
        /// All slots.
        slots: String,
    },
    /// What clusters of causal clustering have instead is not known to this program.
    #[error(
        "the slot {0} is slave-only, which only DIALECT=HA has, so Neo4j is not started: remove it from SLAVE_ONLY_SERVICES, or set \
         Dialect to HA"
    )]
    NotSlaveOnly(String),
    /// ECS was asked because the agent does not tell.
    #[error(
        "this task's slot is not known, so Neo4j is not started: the agent reports no service (it is older than 1.63), and {0}"
    )]
    NotTold(String),
}

/// Finds the place, from the agent and, where that is too old to tell, from ECS.
///
/// # Errors
/// When it is not known, or the task is not of the cluster.
pub async fn find(settings: &Settings) -> Result<Place, Error> {
    let cluster = &settings.cluster;
    let Some(base) = &settings.metadata else {
        // Only SINGLE does without an agent, and it has exactly one slot.
        let slot = cluster.core().next().cloned().ok_or_else(|| NoSlot::NoService(names(cluster)))?;
        return Ok(Place { address: settings.address, slot });
    };
    let own = metadata::own(base).await?;
    let service = match own.service {
        Some(service) => Some(service),
        None => ask(cluster, &own.task).await?,
    };
    Ok(Place { address: own.address, slot: slot_of(cluster, service.as_deref())? })
}

/// The task's address alone, asked for once: where its own programs reach each other.
///
/// # Errors
/// When the agent does not report it.
pub async fn address(settings: &Settings) -> Result<IpAddr, NoAddress> {
    match &settings.metadata {
        Some(base) => metadata::own_now(base).await.map(|own| own.address),
        None => Ok(settings.address),
    }
}

/// The slot of the tasks of `service`.
fn slot_of(cluster: &Cluster, service: Option<&str>) -> Result<Slot, NoSlot> {
    let service = service.ok_or_else(|| NoSlot::NoService(names(cluster)))?;
    let slot = cluster
        .slot(service)
        .ok_or_else(|| NoSlot::NotOurs { service: service.to_owned(), slots: names(cluster) })?;
    if slot.kind == Kind::SlaveOnly && cluster.dialect != Dialect::Ha {
        return Err(NoSlot::NotSlaveOnly(slot.name.clone()));
    }
    Ok(slot.clone())
}

async fn ask(cluster: &Cluster, task: &str) -> Result<Option<String>, NoSlot> {
    let inventory = aws::Inventory::new(&aws::sdk_config().await, &cluster.cluster);
    let mut reason = String::new();
    for attempt in 1..=TRIES {
        match inventory.service_of(task).await {
            Ok(service) => return Ok(service),
            Err(error) => reason = error.to_string(),
        }
        warn!(event = "slot-not-known", attempt, "{reason}");
        tokio::time::sleep(APART).await;
    }
    Err(NoSlot::NotTold(reason))
}

fn names(cluster: &Cluster) -> String {
    let names: Vec<&str> = cluster.slots.iter().map(|slot| slot.name.as_str()).collect();
    names.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use runtime::Environment;

    fn cluster(changed: &[(&'static str, &'static str)]) -> Cluster {
        let slots = [("CORE_SERVICES", "s-core-1,s-core-2,s-core-3"), ("SLAVE_ONLY_SERVICES", "s-slave-1")];
        let all = runtime::example::CLUSTER.into_iter().chain(slots).chain(changed.iter().copied());
        Cluster::read(&all.collect::<Environment>()).unwrap()
    }

    #[test]
    fn the_service_is_the_slot_and_the_slot_has_the_id() {
        let cluster = cluster(&[]);
        for (service, id, kind) in
            [("s-core-1", 1, Kind::Core), ("s-core-3", 3, Kind::Core), ("s-slave-1", 4, Kind::SlaveOnly)]
        {
            let slot = slot_of(&cluster, Some(service)).unwrap();
            assert_eq!((slot.name.as_str(), slot.server_id, slot.kind), (service, id, kind));
        }
    }

    #[test]
    fn a_task_of_no_slot_is_refused_in_one_sentence() {
        let said = |cluster: &Cluster, service| slot_of(cluster, service).unwrap_err().to_string();
        let cluster = cluster(&[]);
        for service in ["s-core-4", "s-core", "S-CORE-1", "other-core-1"] {
            let sentence = said(&cluster, Some(service));
            let start = format!(
                "this task's service {service} is not a slot of the cluster, so Neo4j is not started"
            );
            assert!(sentence.starts_with(&start) && sentence.ends_with("s-core-3, s-slave-1"), "{sentence}");
        }
        assert!(said(&cluster, None).starts_with("ECS reports no service of this task, so it has no slot"));
        let causal = self::cluster(&[("DIALECT", "CLUSTER")]);
        assert!(said(&causal, Some("s-slave-1")).starts_with("the slot s-slave-1 is slave-only, which only"));
        assert!(slot_of(&causal, Some("s-core-1")).is_ok(), "the core goes on without it");
    }
}
