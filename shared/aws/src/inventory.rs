//! Which tasks a service has, and at which addresses.

use std::net::IpAddr;

use aws_config::SdkConfig;
use aws_sdk_ecs::{
    Client,
    types::{DesiredStatus, Task as EcsTask},
};
use tokio::task::JoinSet;

use crate::{Error, Kind};

/// The tasks of one ECS cluster. Clones share their connections.
#[derive(Clone, Debug)]
pub struct Inventory {
    client: Client,
    cluster: String,
}

/// A task that is meant to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Task {
    /// Its ARN.
    pub arn: String,
    /// ARN of the revision of the task definition it was started from; empty when it is not told.
    pub definition: String,
    /// Its address; none before its network interface is attached.
    pub address: Option<IpAddr>,
    /// Whether its `lastStatus` is RUNNING.
    pub running: bool,
}

impl Inventory {
    /// The tasks of `cluster` (a name or an ARN).
    pub fn new(config: &SdkConfig, cluster: impl Into<String>) -> Self {
        Self { client: Client::new(config), cluster: cluster.into() }
    }

    /// [`tasks_of`](Self::tasks_of) each of `services`, in their order; all are asked at once.
    pub async fn tasks_of_each(&self, services: &[String]) -> Vec<Result<Vec<Task>, Error>> {
        let mut asked = JoinSet::new();
        for (index, service) in services.iter().cloned().enumerate() {
            let inventory = self.clone();
            asked.spawn(async move { (index, inventory.tasks_of(&service).await) });
        }
        let mut answered = asked.join_all().await;
        answered.sort_by_key(|(index, _)| *index);
        answered.into_iter().map(|(_, tasks)| tasks).collect()
    }

    /// The tasks of `service` whose desired status is RUNNING.
    ///
    /// # Errors
    /// When a call failed, or when a listed task could not be described: then absence would prove nothing.
    pub async fn tasks_of(&self, service: &str) -> Result<Vec<Task>, Error> {
        let what = format!("service {service} of cluster {}", self.cluster);
        let listing = self.client.list_tasks().cluster(&self.cluster).service_name(service);
        // A service of ours has one task, two while it is replaced: one page of a hundred.
        let listed = listing.desired_status(DesiredStatus::Running).send().await;
        let listed = listed.map_err(|error| Error::of("ecs:ListTasks", &what, &error))?;
        let arns = listed.task_arns.unwrap_or_default();
        if arns.is_empty() {
            return Ok(Vec::new());
        }
        let described =
            self.client.describe_tasks().cluster(&self.cluster).set_tasks(Some(arns)).send().await;
        let described = described.map_err(|error| Error::of("ecs:DescribeTasks", &what, &error))?;
        if let Some(failure) = described.failures().first() {
            let reason =
                format!("{} {}", failure.arn().unwrap_or_default(), failure.reason().unwrap_or_default());
            return Err(Error { call: "ecs:DescribeTasks", what, reason, kind: Kind::Other });
        }
        Ok(described.tasks().iter().map(task).collect())
    }

    /// Asks ECS to stop a task; `reason` is what `stoppedReason` will say. One that has stopped already is no error.
    ///
    /// # Errors
    /// When the call failed.
    pub async fn stop(&self, task: &str, reason: &str) -> Result<(), Error> {
        // ECS keeps 1024 characters of it at most.
        let reason: String = reason.chars().take(255).collect();
        let stopped = self.client.stop_task().cluster(&self.cluster).task(task).reason(reason).send().await;
        stopped.map(drop).map_err(|error| Error::of("ecs:StopTask", task, &error))
    }
}

fn task(task: &EcsTask) -> Task {
    Task {
        arn: task.task_arn().unwrap_or_default().to_owned(),
        definition: task.task_definition_arn().unwrap_or_default().to_owned(),
        address: address(task),
        running: task.last_status() == Some("RUNNING"),
    }
}

/// An `awsvpc` task has one interface; it is told in two places, the attachment earlier than the container.
fn address(task: &EcsTask) -> Option<IpAddr> {
    let interfaces = task.containers().iter().flat_map(|container| container.network_interfaces());
    let attached = task.attachments().iter().flat_map(|attachment| attachment.details());
    let attached = attached.filter(|detail| detail.name() == Some("privateIPv4Address"));
    let mut told = interfaces
        .filter_map(|interface| interface.private_ipv4_address())
        .chain(attached.filter_map(|detail| detail.value()));
    told.find_map(|text| text.parse().ok())
}
