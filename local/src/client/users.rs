//! The stack's users on every node, each proved by what it can and cannot do there.

use std::net::{Ipv4Addr, SocketAddr};

use serde_json::json;

use super::{User, cypher};
use crate::{
    cloud::Cloud,
    control::{HTTP_PORT, Node},
    login::Login,
};

/// A login, or a refusal, takes milliseconds on a node that is well.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(5);
/// What Neo4j says of a write that a role does not allow.
const FORBIDDEN: &str = "Neo.ClientError.Security.Forbidden";
/// What a follower of a causal cluster says of every write, of any user; that the role forbids it shows on the leader.
const NOT_A_LEADER: &str = "Neo.ClientError.Cluster.NotALeader";

/// The stack's two users.
#[derive(Clone, Debug)]
pub struct Users {
    /// Reads.
    pub reader: Login,
    /// Reads and writes.
    pub writer: Login,
}

impl Users {
    /// With their secrets as they are now.
    pub async fn of(cloud: &Cloud) -> Result<Self, String> {
        Ok(Self { reader: cloud.login(User::Reader).await?, writer: cloud.login(User::Writer).await? })
    }

    /// Whether both log in on every one of `nodes`, and the reader cannot write there.
    ///
    /// # Errors
    /// The first that is not as it should be.
    pub async fn on(&self, nodes: &[Node]) -> Result<(), String> {
        for node in nodes {
            self.on_node(node.address).await.map_err(|error| format!("{}: {error}", node.service))?;
        }
        Ok(())
    }

    async fn on_node(&self, address: Ipv4Addr) -> Result<(), String> {
        let at = SocketAddr::from((address, HTTP_PORT));
        for login in [&self.reader, &self.writer] {
            cypher(at, login, "RETURN 1", json!({}), PATIENCE)
                .await
                .map_err(|error| format!("{} does not log in: {error}", login.user))?;
        }
        match cypher(at, &self.reader, "CREATE (:Forbidden)", json!({}), PATIENCE).await {
            Err(error) if error.says(FORBIDDEN) || error.says(NOT_A_LEADER) => Ok(()),
            Err(error) => Err(format!("the reader's write failed for another reason than its role: {error}")),
            Ok(_) => Err("the reader wrote".into()),
        }
    }
}
