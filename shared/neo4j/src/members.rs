//! What a node sees of its cluster: which members are alive, from Neo4j's own management bean.

use std::{collections::BTreeSet, net::SocketAddr, time::Duration};

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

/// How long the node program takes to collect its status, with or without Neo4j's member view.
pub const STATUS_BUDGET: Duration = Duration::from_millis(400);
/// How long the function waits for a status: longer than [`STATUS_BUDGET`], with time for the way and for a
/// busy machine. Two masters and a silent slave are rare, and the evidence is worth a wait.
pub const STATUS_PATIENCE: Duration = Duration::from_secs(1);
const _: () = assert!(STATUS_BUDGET.as_millis() * 2 <= STATUS_PATIENCE.as_millis());

/// What the node program reports about its node on its status port.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// The phase of the node program, one of [`crate::phase`].
    #[serde(default)]
    pub phase: String,
    /// The role that it reported last: `master`, `slave`, or why it is not known.
    pub role: String,
    /// For how long phase and role have been these, milliseconds.
    #[serde(default)]
    pub since_ms: u64,
    /// How long it has been silent, milliseconds.
    pub silent_ms: u64,
    /// Number of members that it sees alive, itself among them; `None` if it does not report them.
    pub alive: Option<usize>,
    /// Their server ids; `None` from a node program that does not report them yet.
    #[serde(default)]
    pub members: Option<Vec<u32>>,
    /// The last transaction that it committed; `None` if it does not report it.
    pub last_transaction: Option<u64>,
    /// Bytes of the database's directory, as they were at most a minute ago; `None` if it does not report them.
    #[serde(default)]
    pub store_bytes: Option<u64>,
    /// Whether its Neo4j was started with the backup server; `None` if it does not report it.
    #[serde(default)]
    pub backup_server: Option<bool>,
    /// How far the restore is that its cluster is founded by; `None` if it restores, or has restored, nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restore: Option<Restore>,
}

/// A restore that goes on, or that was done, in this process's life.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Restore {
    /// Percent of the archive; 100 once the store is in its place.
    pub percent: u64,
    /// The ETag of the archive.
    pub etag: String,
    /// What is in the store, read from its files when it was restored; `None` while it is not known.
    #[serde(default)]
    pub nodes: Option<u64>,
    /// The same.
    #[serde(default)]
    pub relationships: Option<u64>,
}

/// A member view, as one node has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Members {
    /// Number of members that it sees alive, itself among them.
    pub alive: usize,
    /// Their server ids (`ha.server_id`); `None` if one of them has an id that is not a number.
    pub ids: Option<BTreeSet<u32>>,
    /// The last transaction that it committed.
    pub last_transaction: Option<u64>,
}

/// The member view of the node at `http`, as it reports it to `who`; an inner `None` if it
/// does not report in time.
///
/// # Errors
/// `Unauthorized` when the node refuses that password: it has another one, which the caller can look up.
pub async fn members(
    http: SocketAddr,
    who: Option<&Credentials>,
    deadline: Duration,
) -> Result<Option<Members>, Unauthorized> {
    match get_as(who, http, BEAN, LONGEST, deadline).await {
        Ok((401, _)) => Err(Unauthorized),
        Ok((200, body)) => Ok(serde_json::from_slice(&body).ok().and_then(|bean| read(&bean))),
        _ => Ok(None),
    }
}

/// The node requires a password, and not the one that it was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unauthorized;

/// Server ids of the members that the node beside the node program at `status_port` sees alive; `None` if it
/// does not report them in time.
pub async fn alive_members(status_port: SocketAddr, deadline: Duration) -> Option<BTreeSet<u32>> {
    Some(status(status_port, deadline).await?.members?.into_iter().collect())
}

/// What the node program at `status_port` reports; `None` if it does not answer in time.
pub async fn status(status_port: SocketAddr, deadline: Duration) -> Option<Status> {
    match get(status_port, "/status", LONGEST, deadline).await {
        Ok((200, body)) => serde_json::from_slice(&body).ok(),
        _ => None,
    }
}

fn read(bean: &Value) -> Option<Members> {
    let attributes = bean.get(0)?.get("attributes")?.as_array()?;
    let attribute = |name: &str| field(attributes, name);
    let alive: Vec<&Vec<Value>> = attribute("InstancesInCluster")?
        .as_array()?
        .iter()
        .filter_map(|member| member["value"].as_array())
        .filter(|member| field(member, "alive") == Some(&Value::Bool(true)))
        .collect();
    // A string in the bean, although it is the number of `ha.server_id`.
    let id = |member: &&Vec<Value>| field(member, "instanceId")?.as_str()?.parse().ok();
    Some(Members {
        alive: alive.len(),
        ids: alive.iter().map(id).collect(),
        last_transaction: attribute("LastCommittedTxId").and_then(Value::as_u64),
    })
}

fn field<'a>(fields: &'a [Value], name: &str) -> Option<&'a Value> {
    fields.iter().find(|found| found["name"] == name).map(|found| &found["value"])
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn bean(members: &[(&str, bool)]) -> Value {
        let member = |(id, alive): &(&str, bool)| {
            json!({"type": "o.n.m.ClusterMemberInfo",
            "value": [{"name": "instanceId", "value": id}, {"name": "alive", "value": alive}]})
        };
        json!([{"attributes": [
            {"name": "LastCommittedTxId", "type": "long", "value": 42},
            {"name": "InstancesInCluster", "value": members.iter().map(member).collect::<Vec<_>>()}]}])
    }

    #[test]
    fn the_bean_tells_who_is_alive() {
        let members = bean(&[("1", true), ("2", false), ("13", true)]);
        let expected = Members { alive: 2, ids: Some([1, 13].into()), last_transaction: Some(42) };
        assert_eq!(read(&members), Some(expected));
        for not_a_bean in [json!([]), json!({"errors": []}), json!([{"attributes": []}])] {
            assert_eq!(read(&not_a_bean), None, "{not_a_bean}");
        }
    }

    #[test]
    fn an_id_that_is_not_a_number_leaves_the_count_and_no_ids() {
        let members = read(&bean(&[("1", true), ("one", true)])).unwrap();
        assert_eq!((members.alive, members.ids), (2, None));
    }

    #[test]
    fn a_status_of_an_older_node_program_is_read() {
        let old = r#"{"phase":"running","role":"slave","silent_ms":0,"alive":3,"last_transaction":7}"#;
        let status: Status = serde_json::from_str(old).unwrap();
        assert_eq!((status.alive, status.members), (Some(3), None));
        assert_eq!((status.store_bytes, status.backup_server), (None, None));
    }
}
