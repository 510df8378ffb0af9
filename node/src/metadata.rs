//! What the agent tells of the own task, at `${ECS_CONTAINER_METADATA_URI_V4}/task`.

use std::{net::IpAddr, time::Duration};

use bytes::Bytes;
use http::Uri;
use serde::Deserialize;
use tokio::net::lookup_host;

/// The agent is on the same host.
const AGENT: Duration = Duration::from_secs(2);
const TRIES: u32 = 15;
/// From one try to the next.
const AGAIN: Duration = Duration::from_secs(1);
/// Task metadata is a few kilobytes.
const LARGEST: usize = 256 << 10;

/// The agent did not report the task's own address.
#[derive(Debug, thiserror::Error)]
#[error("the task's own address is not known: {0}; without it peers cannot reach this node")]
pub struct NoAddress(String);

/// The own task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Own {
    /// Where peers and clients reach it.
    pub address: IpAddr,
    /// The task's ARN.
    pub task: String,
    /// The service that started it; agents before 1.63 do not tell.
    pub service: Option<String>,
}

/// Asks the agent at `base`; an interface may be attached a moment after the start.
///
/// # Errors
/// When there is no address after several tries.
pub async fn own(base: &str) -> Result<Own, NoAddress> {
    let mut reason = String::new();
    for _try in 0..TRIES {
        match ask(&format!("{base}/task")).await {
            Ok(own) => return Ok(own),
            Err(said) => reason = said,
        }
        tokio::time::sleep(AGAIN).await;
    }
    Err(NoAddress(reason))
}

/// The same in one try.
pub async fn own_now(base: &str) -> Result<Own, NoAddress> {
    ask(&format!("{base}/task")).await.map_err(NoAddress)
}

async fn ask(url: &str) -> Result<Own, String> {
    let body = get(url).await.map_err(|reason| format!("{url}: {reason}"))?;
    parse(&body).map_err(|reason| format!("{url}: {reason}"))
}

/// The part of the agent's answer that is read.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Task {
    #[serde(rename = "TaskARN", default)]
    arn: String,
    service_name: Option<String>,
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

fn parse(body: &[u8]) -> Result<Own, String> {
    let task: Task = serde_json::from_slice(body).map_err(|error| error.to_string())?;
    let networks = task.containers.into_iter().flat_map(|container| container.networks);
    let address = networks.flat_map(|network| network.addresses).next().ok_or("no address yet")?;
    let service = task.service_name.filter(|name| !name.is_empty());
    Ok(Own { address, task: task.arn, service })
}

async fn get(url: &str) -> Result<Bytes, String> {
    let uri: Uri = url.parse().map_err(|error| format!("{error}"))?;
    let (host, port) = (uri.host().unwrap_or_default(), uri.port_u16().unwrap_or(80));
    let mut found = lookup_host((host, port)).await.map_err(|error| error.to_string())?;
    let at = found.next().ok_or("no such host")?;
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    match neo4j::get(at, path, LARGEST, AGENT).await {
        Ok((200, body)) => Ok(body),
        Ok((status, _)) => Err(format!("HTTP {status}")),
        Err(kind) => Err(format!("{kind:?}").to_lowercase()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As in the developer guide, task-metadata-endpoint-v4-response; shortened.
    #[test]
    fn the_agents_answer_has_an_address_and_since_1_63_a_service() {
        let answer = r#"{"Cluster":"c","TaskARN":"arn:t","Family":"f","Revision":"5","ServiceName":"s-core-2","Containers":[
            {"Name":"pause","Networks":[]},{"Name":"neo4j","Networks":[{"NetworkMode":"awsvpc","IPv4Addresses":["10.0.2.106"]}]}]}"#;
        let own = |service: Option<&str>| Own {
            address: [10, 0, 2, 106].into(),
            task: "arn:t".into(),
            service: service.map(str::to_owned),
        };
        assert_eq!(parse(answer.as_bytes()), Ok(own(Some("s-core-2"))));
        assert_eq!(parse(answer.replace("\"ServiceName\":\"s-core-2\",", "").as_bytes()), Ok(own(None)));
        assert_eq!(parse(answer.replace("s-core-2", "").as_bytes()), Ok(own(None)));
        assert_eq!(parse(answer.replace("\"10.0.2.106\"", "").as_bytes()), Err("no address yet".into()));
        assert!(parse(b"{}").is_err());
    }
}
