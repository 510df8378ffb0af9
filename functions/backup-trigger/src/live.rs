//! The real world: AWS and Neo4j.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws::{Inventory, Launch, Object, Objects, Put, Runner, TaskEnd};
use backups::{LONGEST, Listed, Time};
use neo4j::STATUS_PATIENCE;
use runtime::Cluster;
use serde::{Deserialize, Serialize};
use tokio::task::JoinSet;
use topology::{Pause, State};

use crate::{
    Config, ELECTION_KEY, Node, OWNER_KEY, STATE_KEY, Stored, Trouble, Version, World,
    runs::{Run, Runs},
    scratch::scratch_gib,
};

/// The tag that a rule of the bucket's lifecycle deletes by.
pub const EXPIRED: (&str, &str) = ("neo4j-backup-expired", "yes");
/// The container of the worker's task definition.
const CONTAINER: &str = "backup";
/// Manifests that are read at once: a cold process has some hundred to read.
const AT_ONCE: usize = 16;
/// An owner object has some hundred bytes.
const LONGEST_OWNER: usize = 4 << 10;

/// Clients that are made once and used by every invocation.
pub(crate) struct Live {
    inventory: Inventory,
    runner: Runner,
    cluster: Cluster,
    objects: Objects,
    state: Object,
    election: Object,
    config: Config,
}

/// The owner object.
#[derive(Serialize, Deserialize)]
struct Owned {
    stack_id: String,
}

impl Live {
    pub(crate) fn new(sdk: &aws::SdkConfig, config: &Config) -> Self {
        Self {
            inventory: Inventory::new(sdk, &config.cluster.cluster),
            runner: Runner::new(sdk, &config.cluster.cluster),
            cluster: config.cluster.clone(),
            objects: Objects::new(sdk),
            state: Object::new(sdk, &config.state_bucket, STATE_KEY),
            election: Object::new(sdk, &config.state_bucket, ELECTION_KEY),
            config: config.clone(),
        }
    }

    fn uri(bucket: &str, key: &str) -> String {
        format!("s3://{bucket}/{key}")
    }
}

/// What ECS shows as the starter of a worker. It is of one run, so that its task is found by it.
fn started_by(run: &Run) -> String {
    format!("backup-trigger/{}", run.order.folder.id)
}

impl World for Live {
    fn now(&self) -> Time {
        Time::of_epoch(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs())
    }

    async fn sleep(&self, time: Duration) {
        tokio::time::sleep(time).await;
    }

    fn id(&self) -> Result<String, Trouble> {
        let mut random = [0; 8];
        getrandom::fill(&mut random).map_err(|error| Trouble::NoId(error.to_string()))?;
        Ok(format!("{:016x}", u64::from_be_bytes(random)))
    }

    async fn load(&self) -> Result<(Option<Runs>, Version), Trouble> {
        let Some(stored) = self.state.get().await? else { return Ok((None, Version::default())) };
        let runs = Runs::read(&stored.body).map_err(|reason| {
            let object = Self::uri(&self.config.state_bucket, STATE_KEY);
            Trouble::NotRuns { object, reason }
        })?;
        Ok((Some(runs), Version(Some(stored.etag))))
    }

    async fn store(&self, runs: &Runs, seen: &Version) -> Result<Stored, Trouble> {
        Ok(match self.state.put(runs.write(), seen.0.as_deref()).await? {
            Put::Written(etag) => Stored::Written(Version(Some(etag))),
            Put::Lost => Stored::Lost,
            Put::Busy => Stored::Busy,
        })
    }

    async fn owner(&self) -> Result<Option<String>, Trouble> {
        let bucket = &self.config.backup_bucket;
        let Some(stored) = self.objects.get(bucket, OWNER_KEY, LONGEST_OWNER).await? else { return Ok(None) };
        let owned = serde_json::from_slice::<Owned>(&stored.body);
        let owned = owned.map_err(|error| {
            let object = Self::uri(bucket, OWNER_KEY);
            Trouble::NotAnOwner { object, reason: error.to_string() }
        })?;
        Ok(Some(owned.stack_id))
    }

    async fn claim(&self, stack: &str) -> Result<(), Trouble> {
        let owned = serde_json::json!(Owned { stack_id: stack.to_owned() }).to_string();
        let bucket = &self.config.backup_bucket;
        // Whether this one was first is what the object says.
        let put = self.objects.put(bucket, OWNER_KEY, owned.into_bytes(), None).await?;
        if let Put::Written(_) = put {
            tracing::info!(event = "bucket-claimed", bucket, stack, "{bucket} belongs to this stack now");
        }
        Ok(())
    }

    async fn list(&self, prefix: &str) -> Result<Vec<Listed>, aws::Error> {
        let listed = self.objects.list(&self.config.backup_bucket, prefix).await?;
        Ok(listed.into_iter().map(|(key, bytes)| Listed { key, bytes }).collect())
    }

    async fn manifests(&self, keys: &[String]) -> Vec<Result<Option<Vec<u8>>, aws::Error>> {
        let mut all = Vec::with_capacity(keys.len());
        for some in keys.chunks(AT_ONCE) {
            let mut asked = JoinSet::new();
            for (index, key) in some.iter().cloned().enumerate() {
                let (objects, bucket) = (self.objects.clone(), self.config.backup_bucket.clone());
                asked.spawn(async move { (index, objects.get(&bucket, &key, LONGEST).await) });
            }
            let mut answered = asked.join_all().await;
            answered.sort_by_key(|(index, _)| *index);
            all.extend(
                answered.into_iter().map(|(_, read)| read.map(|found| found.map(|stored| stored.body))),
            );
        }
        all
    }

    async fn nodes(&self) -> Result<Vec<Node>, aws::Error> {
        let mut asked = JoinSet::new();
        for task in self.inventory.look(&[]).await?.tasks {
            // A task of no slot of ours: another product's, or a worker.
            let Some(slot) = self.cluster.slot(&task.service).cloned() else { continue };
            let port = self.cluster.status_port;
            asked.spawn(async move {
                let status = match task.address.filter(|_| task.running) {
                    Some(address) => neo4j::status((address, port).into(), STATUS_PATIENCE).await,
                    None => None,
                };
                Node {
                    slot,
                    task: task.arn,
                    definition: task.definition,
                    address: task.address,
                    subnet: task.subnet,
                    running: task.running,
                    stopping: task.stopping,
                    status,
                }
            });
        }
        let mut nodes = asked.join_all().await;
        nodes.sort_by(|a, b| (a.slot.server_id, &a.task).cmp(&(b.slot.server_id, &b.task)));
        Ok(nodes)
    }

    async fn pause(&self) -> Result<Option<Pause>, Trouble> {
        let Some(stored) = self.election.get().await? else { return Ok(None) };
        let state = serde_json::from_slice::<State>(&stored.body).map_err(|error| Trouble::NotAState {
            object: Self::uri(&self.config.state_bucket, ELECTION_KEY),
            reason: error.to_string(),
        })?;
        Ok(state.readable()?.pause)
    }

    async fn launch(&self, run: &Run) -> Result<String, aws::Error> {
        let order = &run.order;
        let launch = Launch {
            definition: self.config.task.clone(),
            subnet: run.subnet.clone(),
            security_group: self.config.security_group.clone(),
            environment: vec![("ORDER".to_owned(), order.write())],
            container: CONTAINER.to_owned(),
            // It was small enough when it was chosen.
            storage_gib: order.source.store_bytes.and_then(|bytes| scratch_gib(bytes).ok()),
            token: order.folder.id.clone(),
            started_by: started_by(run),
        };
        self.runner.run(launch).await
    }

    async fn started(&self, run: &Run) -> Result<Option<String>, aws::Error> {
        self.runner.started(&started_by(run)).await
    }

    async fn task(&self, arn: &str) -> Result<TaskEnd, aws::Error> {
        self.runner.task(arn).await
    }

    async fn stop(&self, arn: &str, reason: &str) -> Result<(), aws::Error> {
        self.runner.stop(arn, reason).await
    }

    async fn tag(&self, key: &str) -> Result<(), aws::Error> {
        let (tag, value) = EXPIRED;
        self.objects.tag(&self.config.backup_bucket, key, tag, value).await
    }

    async fn untag(&self, key: &str) -> Result<(), aws::Error> {
        self.objects.untag(&self.config.backup_bucket, key).await
    }
}
