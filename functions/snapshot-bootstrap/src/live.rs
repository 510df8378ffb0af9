//! The real world: ECS and Neo4j.

use std::{net::IpAddr, time::Duration};

use aws::{Error, Inventory, Operation, Secrets, Service, Services, Stacks, Task};
use backups::Counts;
use neo4j::{Credentials, Denied};
use runtime::Cluster;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use topology::Slot;

use crate::{Config, Seen, Sighting, Uncounted, World};

/// How long a node may take to answer: one that starts is slow, and waiting for it here costs nothing.
const PROBE: Duration = topology::PATIENCE;
/// How long counting may take: both counts come from the store's own count, whatever is in it.
const COUNT: Duration = Duration::from_secs(10);
const NODES: &str = "MATCH (n) RETURN count(n)";
const RELATIONSHIPS: &str = "MATCH ()-->() RETURN count(*)";

/// Clients that are made once and used by every invocation.
pub(crate) struct Live {
    inventory: Inventory,
    services: Services,
    stacks: Stacks,
    secrets: Secrets,
    admin_secret: String,
    nodes: Nodes,
}

#[derive(Clone, Copy, Debug)]
struct Nodes {
    http_port: u16,
    status_port: u16,
}

impl From<&Cluster> for Nodes {
    fn from(cluster: &Cluster) -> Self {
        Self { http_port: cluster.http_port, status_port: cluster.status_port }
    }
}

impl Live {
    pub(crate) fn new(sdk: &aws::SdkConfig, config: &Config) -> Self {
        Self {
            inventory: Inventory::new(sdk, &config.cluster.cluster),
            services: Services::new(sdk, &config.cluster.cluster),
            stacks: Stacks::new(sdk),
            secrets: Secrets::new(sdk),
            admin_secret: config.admin_secret.clone(),
            nodes: Nodes::from(&config.cluster),
        }
    }

    /// `neo4j` with its current password. Without authentication Neo4j ignores both.
    async fn admin(&self) -> Result<Credentials, Uncounted> {
        let password = self.secrets.password(&self.admin_secret).await;
        Ok(Credentials::administrator(password.map_err(|error| uncounted(&error, false))?))
    }
}

impl World for Live {
    async fn look(&self, slots: &[&Slot]) -> Result<Vec<Sighting>, Error> {
        let names: Vec<String> = slots.iter().map(|slot| slot.name.clone()).collect();
        let listed = self.inventory.tasks_of_each(&names).await?;
        let mut asked = JoinSet::new();
        for (index, (slot, tasks)) in slots.iter().zip(listed).enumerate() {
            let (nodes, slot) = (self.nodes, (*slot).clone());
            asked.spawn(async move { (index, nodes.sightings(slot, tasks).await) });
        }
        let mut answered = asked.join_all().await;
        answered.sort_by_key(|(index, _)| *index);
        Ok(answered.into_iter().flat_map(|(_, sightings)| sightings).collect())
    }

    async fn services(&self, services: &[&str]) -> Result<Vec<Service>, Error> {
        self.services.describe(&names(services)).await
    }

    async fn operation(&self, id: &str) -> Result<Operation, Error> {
        self.stacks.operation(id).await
    }

    async fn count(&self, master: IpAddr) -> Result<Counts, Uncounted> {
        self.nodes.count(master, &self.admin().await?).await
    }
}

fn names(services: &[&str]) -> Vec<String> {
    services.iter().map(|service| (*service).to_owned()).collect()
}

fn uncounted(reason: &impl ToString, unauthorized: bool) -> Uncounted {
    Uncounted { reason: reason.to_string(), unauthorized }
}

impl Nodes {
    /// One sighting for each task of a slot: none, one, or two while one is replaced.
    async fn sightings(self, slot: Slot, tasks: Vec<Task>) -> Vec<Sighting> {
        if tasks.is_empty() {
            return vec![Sighting { slot, seen: Seen::NoTask }];
        }
        let mut sightings = Vec::new();
        for task in tasks {
            sightings.push(Sighting { slot: slot.clone(), seen: self.seen(task).await });
        }
        sightings
    }

    /// Counts as `admin`, over the HTTP interface of 3.x.
    async fn count(self, master: IpAddr, admin: &Credentials) -> Result<Counts, Uncounted> {
        let at = (master, self.http_port).into();
        let mut counts = [0, 0];
        for (statement, count) in [NODES, RELATIONSHIPS].into_iter().zip(&mut counts) {
            let rows = neo4j::commit(at, admin, statement, &json!({}), COUNT).await;
            let rows = rows.map_err(|denied| {
                let unauthorized = matches!(denied, Denied::Unauthorized | Denied::LockedOut);
                uncounted(&denied, unauthorized)
            })?;
            let cell = rows.first().and_then(|row| row.first()).and_then(Value::as_u64);
            *count = cell.ok_or_else(|| uncounted(&"it answers no number", false))?;
        }
        let [nodes, relationships] = counts;
        Ok(Counts { nodes, relationships })
    }

    async fn seen(self, task: Task) -> Seen {
        let Some(address) = task.address.filter(|_| task.running) else { return Seen::Pending };
        // The node program's word: queries cannot take its workers, and it says no role before its node has joined.
        let program = (address, self.status_port).into();
        let (role, status) = (neo4j::role(program, PROBE), neo4j::status(program, PROBE));
        let (answer, status) = tokio::join!(role, status);
        let neo4j::Status { phase, restore, .. } = status.unwrap_or_default();
        Seen::Running { address, definition: task.definition, answer, phase, restore }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
    };
    use topology::{Answer, NotKnown};

    /// A server that gives these answers (status and body), one a connection, and the
    /// requests that it received.
    async fn answering(answers: &[(u16, &'static str)]) -> (u16, tokio::task::JoinHandle<Vec<String>>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let answers = answers.to_vec();
        let serving = tokio::spawn(async move {
            let mut requests = Vec::new();
            for (status, body) in answers {
                let (mut client, _) = listener.accept().await.unwrap();
                let mut request = vec![0; 4096];
                let read = client.read(&mut request).await.unwrap();
                requests.push(String::from_utf8_lossy(&request[..read]).into_owned());
                let length = body.len();
                let answer = format!("HTTP/1.1 {status} x\r\ncontent-length: {length}\r\n\r\n{body}");
                client.write_all(answer.as_bytes()).await.unwrap();
            }
            requests
        });
        (port, serving)
    }

    fn task(running: bool) -> Task {
        let address = Some([127, 0, 0, 1].into());
        let (arn, service, definition) = ("arn".to_owned(), "core-1".to_owned(), "d:1".to_owned());
        Task { arn, service, definition, address, subnet: None, running, stopping: false }
    }

    fn nodes(http_port: u16, status_port: u16) -> Nodes {
        Nodes { http_port, status_port }
    }

    /// A node program: its role, and its status. The order of two questions at once is not known.
    async fn program() -> (u16, tokio::task::JoinHandle<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let status = r#"{"phase":"running","role":"slave","silent_ms":0,"alive":3,"last_transaction":7}"#;
        let serving = tokio::spawn(async move {
            for _question in 0..2 {
                let (mut client, _) = listener.accept().await.unwrap();
                let mut request = vec![0; 4096];
                let read = client.read(&mut request).await.unwrap();
                let is_role = request[..read].starts_with(b"GET /role ");
                let (code, body) = if is_role { (404, "false") } else { (200, status) };
                let answer = format!("HTTP/1.1 {code} x\r\ncontent-length: {}\r\n\r\n{body}", body.len());
                client.write_all(answer.as_bytes()).await.unwrap();
            }
        });
        (port, serving)
    }

    #[tokio::test]
    async fn a_node_program_tells_the_role_and_how_far_it_is() {
        let (port, serving) = program().await;
        let address = [127, 0, 0, 1].into();
        let seen = |answer, phase: &str| Seen::Running {
            address,
            definition: "d:1".into(),
            answer,
            phase: phase.into(),
            restore: None,
        };
        // Nothing listens on Neo4j's own port.
        assert_eq!(nodes(1, port).seen(task(true)).await, seen(Answer::Slave, "running"));
        serving.await.unwrap();
        // It has given its two answers, and nothing listens any more.
        let refused = Answer::NotKnown(NotKnown::Refused);
        assert_eq!(nodes(1, port).seen(task(true)).await, seen(refused, ""));
        assert_eq!(nodes(1, port).seen(task(false)).await, Seen::Pending);
    }

    #[tokio::test]
    async fn both_counts_are_asked_for_and_a_refused_login_is_told_apart() {
        let rows = |count| match count {
            5 => (200, r#"{"results":[{"columns":["n"],"data":[{"row":[5]}]}],"errors":[]}"#),
            _ => (200, r#"{"results":[{"columns":["n"],"data":[{"row":["many"]}]}],"errors":[]}"#),
        };
        let admin = Credentials::administrator("s3cret".to_owned().into());
        let count = async |port| nodes(port, 1).count([127, 0, 0, 1].into(), &admin).await;

        let (port, serving) = answering(&[rows(5), rows(5)]).await;
        assert_eq!(count(port).await, Ok(Counts { nodes: 5, relationships: 5 }));
        let requests = serving.await.unwrap();
        assert!(requests[0].contains(NODES) && requests[1].contains(RELATIONSHIPS), "{requests:?}");

        let (port, _) = answering(&[rows(0)]).await;
        assert_eq!(count(port).await.unwrap_err().reason, "it answers no number");
        let denied = r#"{"errors":[{"code":"Neo.ClientError.Security.Unauthorized","message":"Invalid."}]}"#;
        let (port, _) = answering(&[(401, denied)]).await;
        let denied = count(port).await.unwrap_err();
        assert!(denied.unauthorized && !denied.reason.contains("s3cret"), "{denied:?}");
    }
}
