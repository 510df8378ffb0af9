//! Addresses: the own one from the agent, those of the peers from ECS.

use std::{
    net::IpAddr,
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::Uri;
use neo4j::Dialect;
use serde::Deserialize;
use tokio::net::lookup_host;
use tracing::{error, info, warn};

use crate::{Failure, Formation, Forming, Settings};

/// From one look at ECS to the next: an address appears some seconds after its task.
const LOOK: Duration = Duration::from_secs(1);
/// The same reason is said again only so often.
const SAY_AGAIN: Duration = Duration::from_secs(30);
/// The agent is on the same host.
const AGENT: Duration = Duration::from_secs(2);
const AGENT_TRIES: u32 = 15;
/// Task metadata is a few kilobytes.
const MAX_METADATA: usize = 256 << 10;

/// The address of this task, as the agent tells it; an interface may be attached a moment after the start.
pub async fn own_address(settings: &Settings) -> Result<IpAddr, Failure> {
    let Some(base) = &settings.metadata else { return Ok(IpAddr::from([127, 0, 0, 1])) };
    let mut reason = String::new();
    for _try in 0..AGENT_TRIES {
        match metadata(&format!("{base}/task")).await {
            Ok(address) => return Ok(address),
            Err(said) => reason = said,
        }
        tokio::time::sleep(LOOK).await;
    }
    Err(Failure::Address(reason))
}

/// Waits until Neo4j may be started; the hosts to start with, in the order of the slots.
pub async fn wait_for_all(settings: &Settings, own: IpAddr) -> Vec<IpAddr> {
    if settings.dialect == Dialect::Single {
        return vec![own];
    }
    let inventory = aws::Inventory::new(&aws::sdk_config().await, &settings.cluster);
    let given_up = if settings.dialect == Dialect::Ha { settings.heartbeat_timeout } else { Duration::ZERO };
    let mut forming = Forming::new(settings.formation_timeout, given_up);
    let began = Instant::now();
    let mut said: Option<(String, Instant)> = None;
    loop {
        match forming.look(began.elapsed(), &slots(settings, own, &inventory).await) {
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

/// The slots and their addresses, from one look at ECS. When it fails no peer is known, and the reason is logged once.
async fn slots(
    settings: &Settings,
    own: IpAddr,
    inventory: &aws::Inventory,
) -> Vec<(String, Option<IpAddr>)> {
    let listed = inventory.tasks_of_each(&settings.core_services).await.unwrap_or_else(|error| {
        warn!(event = "listing-failed", "{error}");
        Vec::new()
    });
    let mut known = Vec::new();
    for (service, tasks) in settings.core_services.iter().zip(listed) {
        known.extend(tasks.into_iter().filter_map(|task| Some((service.clone(), task.address?))));
    }
    settings
        .slots(own, |service| known.iter().rev().find(|(of, _)| of == service).map(|(_, address)| *address))
}

/// The part of the agent's answer that is of use here.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Task {
    containers: Vec<Container>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Container {
    #[serde(default)]
    networks: Vec<Network>,
}

#[derive(Deserialize)]
struct Network {
    #[serde(rename = "IPv4Addresses", default)]
    addresses: Vec<IpAddr>,
}

async fn metadata(url: &str) -> Result<IpAddr, String> {
    let body = get(url).await.map_err(|reason| format!("{url}: {reason}"))?;
    let task: Task = serde_json::from_slice(&body).map_err(|error| format!("{url}: {error}"))?;
    let networks = task.containers.into_iter().flat_map(|container| container.networks);
    let mut addresses = networks.flat_map(|network| network.addresses);
    addresses.next().ok_or_else(|| format!("{url} names no address"))
}

async fn get(url: &str) -> Result<Bytes, String> {
    let uri: Uri = url.parse().map_err(|error| format!("{error}"))?;
    let (host, port) = (uri.host().unwrap_or_default(), uri.port_u16().unwrap_or(80));
    let mut found = lookup_host((host, port)).await.map_err(|error| error.to_string())?;
    let at = found.next().ok_or("no such host")?;
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    match neo4j::get(at, path, MAX_METADATA, AGENT).await {
        Ok((200, body)) => Ok(body),
        Ok((status, _)) => Err(format!("HTTP {status}")),
        Err(kind) => Err(format!("{kind:?}").to_lowercase()),
    }
}
