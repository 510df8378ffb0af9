//! The real world: AWS and Neo4j.

use std::{
    collections::BTreeSet,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use aws::{Inventory, Object, Put, TargetGroups};
use runtime::Cluster;
use tokio::task::JoinSet;
use topology::{Action, Answer, Group, Millis, Node, Slot, State};

use crate::{Config, Enough, Listing, Registered, STATE_KEY, Stored, Trouble, Version, World};

/// Clients that are made once and used by every invocation.
pub(crate) struct Live {
    inventory: Inventory,
    cluster: Cluster,
    target_groups: TargetGroups,
    write_groups: Vec<(u16, String)>,
    read_groups: Vec<(u16, String)>,
    object: Object,
    object_name: String,
}

impl Live {
    pub(crate) fn new(sdk: &aws::SdkConfig, config: &Config) -> Self {
        Self {
            inventory: Inventory::new(sdk, &config.cluster.cluster),
            cluster: config.cluster.clone(),
            target_groups: TargetGroups::new(sdk),
            write_groups: config.write_groups.clone(),
            read_groups: config.read_groups.clone(),
            object: Object::new(sdk, &config.state_bucket, STATE_KEY),
            object_name: format!("s3://{}/{STATE_KEY}", config.state_bucket),
        }
    }

    /// The node of `task`; `None` if the task belongs to no slot of ours, or has no address yet.
    fn node(&self, task: aws::Task) -> Option<Node> {
        let Slot { name, kind, server_id } = self.cluster.slot(&task.service)?.clone();
        let (address, stopping) = (task.address?, task.stopping);
        Some(Node { slot: name, kind, id: server_id, task: task.arn, address, stopping })
    }
}

impl World for Live {
    fn now(&self) -> Millis {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Millis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
    }

    async fn sleep(&self, time: Duration) {
        tokio::time::sleep(time).await;
    }

    async fn list(&self, remembered: &[String]) -> Listing {
        let look = match self.inventory.look(remembered).await {
            Ok(look) => look,
            Err(failure) => return Listing { failures: vec![failure], ..Listing::default() },
        };
        // A task of no slot of ours belongs to another product; a task that is not RUNNING yet cannot answer.
        let ours = look.tasks.into_iter().filter(|task| task.running || task.stopping);
        let mut nodes: Vec<Node> = ours.filter_map(|task| self.node(task)).collect();
        // Two tasks of one slot need an order too: the state is written when it differs.
        nodes.sort_by(|a, b| (&a.slot, &a.task).cmp(&(&b.slot, &b.task)));
        Listing { nodes, ended: look.ended, failures: Vec::new() }
    }

    async fn probe(&self, nodes: &[Node], unanswered: &BTreeSet<String>, enough: Enough<'_>) -> Vec<Answer> {
        let question = |node: &Node| neo4j::Question {
            role: (node.address, self.cluster.status_port).into(),
            bolt: (node.address, self.cluster.bolt_port).into(),
            ask_bolt: unanswered.contains(&node.task),
        };
        let questions: Vec<neo4j::Question> = nodes.iter().map(question).collect();
        neo4j::probe_all(&questions, enough).await
    }

    async fn alive(&self, node: &Node) -> Option<BTreeSet<u32>> {
        neo4j::alive_members((node.address, self.cluster.status_port).into(), neo4j::STATUS_PATIENCE).await
    }

    async fn groups(&self) -> Registered {
        let all = self.write_groups.iter().chain(&self.read_groups).cloned();
        let mut asked = JoinSet::new();
        for (index, (port, arn)) in all.enumerate() {
            let groups = self.target_groups.clone();
            asked.spawn(async move {
                let targets = groups.registered(&arn).await;
                (index, targets.map(|targets| Group { arn, port, targets }))
            });
        }
        let mut answered = asked.join_all().await;
        answered.sort_by_key(|(index, _)| *index);
        let mut registered = Registered::default();
        for (index, group) in answered {
            match group {
                Ok(group) if index < self.write_groups.len() => registered.write.push(group),
                Ok(group) => registered.read.push(group),
                Err(failure) if index < self.write_groups.len() => registered.failures.push(failure),
                Err(failure) => registered.reader_failures.push(failure),
            }
        }
        registered
    }

    async fn load(&self) -> Result<(State, Version), Trouble> {
        let Some(stored) = self.object.get().await? else {
            return Ok((State::default(), Version::default()));
        };
        let state = serde_json::from_slice::<State>(&stored.body).map_err(|error| Trouble::NotAState {
            object: self.object_name.clone(),
            reason: error.to_string(),
        })?;
        Ok((state.readable()?, Version(Some(stored.etag))))
    }

    async fn store(&self, state: &State, seen: &Version) -> Result<Stored, Trouble> {
        let body = serde_json::to_vec(state).map_err(|error| Trouble::NotAState {
            object: self.object_name.clone(),
            reason: error.to_string(),
        })?;
        Ok(match self.object.put(body, seen.0.as_deref()).await? {
            Put::Written(etag) => Stored::Written(Version(Some(etag))),
            Put::Lost => Stored::Lost,
            Put::Busy => Stored::Busy,
        })
    }

    async fn act(&self, action: &Action) -> Result<(), Trouble> {
        Ok(match action {
            Action::Register { group, port, address } => {
                self.target_groups.register(group, *address, *port).await
            }
            Action::Deregister { group, port, address } => {
                self.target_groups.deregister(group, *address, *port).await
            }
            Action::Fence { task, reason, .. } => self.inventory.stop(task, reason).await,
        }?)
    }
}
