//! What a node sees of its cluster: how many members are alive, from Neo4j's own management bean.

use std::{net::SocketAddr, time::Duration};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    Credentials,
    wire::{get, get_as},
};

/// The bean "High Availability" over HTTP (3.x).
const BEAN: &str =
    "/db/manage/server/jmx/domain/org.neo4j/instance%3Dkernel%230%2Cname%3DHigh%20Availability";
/// The bean of a cluster of seven is 12 KB.
const LONGEST: usize = 256 << 10;

/// What the node program tells of its node on its status port.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// How far the node program is: `waiting-for-peers`, `starting`, then `running` from the first role on.
    #[serde(default)]
    pub phase: String,
    /// The role it told last: `master`, `slave`, or why it is not known.
    pub role: String,
    /// For how long it has been silent, milliseconds.
    pub silent_ms: u64,
    /// Members that it sees alive, itself among them; none when it does not tell.
    pub alive: Option<usize>,
    /// The last transaction it committed; none when it does not tell.
    pub last_transaction: Option<u64>,
}

/// Members alive and last transaction, as the node at `http` sees them and tells `who`; an inner none when it does not
/// tell in time.
///
/// # Errors
/// `Unauthorized` when the node does not know that password: it has another one, which the caller can look up.
pub async fn members(
    http: SocketAddr,
    who: Option<&Credentials>,
    deadline: Duration,
) -> Result<Option<(usize, Option<u64>)>, Unauthorized> {
    match get_as(who, http, BEAN, LONGEST, deadline).await {
        Ok((401, _)) => Err(Unauthorized),
        Ok((200, body)) => Ok(serde_json::from_slice(&body).ok().and_then(|bean| read(&bean))),
        _ => Ok(None),
    }
}

/// The node wants a password, and another one than it was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unauthorized;

/// Members that the node beside the node program at `status_port` sees alive; none when it does not tell in time.
pub async fn alive_members(status_port: SocketAddr, deadline: Duration) -> Option<usize> {
    status(status_port, deadline).await?.alive
}

/// What the node program at `status_port` tells; none when it does not in time.
pub async fn status(status_port: SocketAddr, deadline: Duration) -> Option<Status> {
    match get(status_port, "/status", LONGEST, deadline).await {
        Ok((200, body)) => serde_json::from_slice(&body).ok(),
        _ => None,
    }
}

fn read(bean: &Value) -> Option<(usize, Option<u64>)> {
    let attributes = bean.get(0)?.get("attributes")?.as_array()?;
    let attribute =
        |name: &str| attributes.iter().find(|found| found["name"] == name).map(|found| &found["value"]);
    let members = attribute("InstancesInCluster")?.as_array()?;
    let alive = |member: &&Value| {
        let fields = member["value"].as_array().into_iter().flatten();
        fields.into_iter().any(|field| field["name"] == "alive" && field["value"] == true)
    };
    let last = attribute("LastCommittedTxId").and_then(Value::as_u64);
    Some((members.iter().filter(alive).count(), last))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_bean_tells_who_is_alive() {
        let member = |alive: bool| {
            json!({"type": "o.n.m.ClusterMemberInfo",
            "value": [{"name": "instanceId", "value": "1"}, {"name": "alive", "value": alive}]})
        };
        let bean = json!([{"attributes": [
            {"name": "LastCommittedTxId", "type": "long", "value": 42},
            {"name": "InstancesInCluster", "value": [member(true), member(false), member(true)]}]}]);
        assert_eq!(read(&bean), Some((2, Some(42))));
        for not_a_bean in [json!([]), json!({"errors": []}), json!([{"attributes": []}])] {
            assert_eq!(read(&not_a_bean), None, "{not_a_bean}");
        }
    }
}
