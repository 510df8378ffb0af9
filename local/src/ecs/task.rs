//! One task: what `DescribeTasks` says of it.

use std::{
    net::Ipv4Addr,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use serde_json::{Value, json};

use super::{definition::Definition, plan::Seen};
use crate::processes::{Signal, signal_group};

/// A stopped task stays in `DescribeTasks` for at least an hour.
const KEPT: Duration = Duration::from_secs(3600);

/// A task and the processes that are it.
#[derive(Clone, Debug)]
pub struct Task {
    /// `arn:aws:ecs:REGION:ACCOUNT:task/CLUSTER/ID`.
    pub arn: String,
    /// ARN of its cluster.
    pub cluster: String,
    /// Name of its service.
    pub service: String,
    /// Name of the host that it was placed on.
    pub host: String,
    /// What it was started from.
    pub definition: Definition,
    /// Its own address, never used by another task of this run.
    pub address: Ipv4Addr,
    /// The node program, which leads the task's process group.
    pub pid: i32,
    /// The processes of its other containers, each of a group of its own.
    pub beside: Vec<i32>,
    /// When its processes were started.
    pub started: SystemTime,
    /// It was asked to stop, and why.
    pub stopping: Option<String>,
    /// The agent that should stop it is dead, so that nothing happens.
    pub unheard: bool,
    /// Its processes are gone.
    pub stopped: Option<Stopped>,
}

/// How a task ended.
#[derive(Clone, Debug)]
pub struct Stopped {
    /// When the last process was gone.
    pub at: SystemTime,
    /// ECS's own words.
    pub reason: String,
    /// ECS's code of the reason.
    pub code: &'static str,
    /// The container's exit code; 128 + signal when a signal ended it, as a container engine says.
    pub exit: Option<i32>,
}

impl Task {
    /// `lastStatus`.
    pub fn last_status(&self) -> &'static str {
        match (&self.stopped, &self.stopping) {
            (Some(_), _) => "STOPPED",
            (None, Some(_)) if !self.unheard => "DEACTIVATING",
            // It is the agent that reports another one.
            (None, _) => "RUNNING",
        }
    }

    /// `desiredStatus`.
    pub fn desired_status(&self) -> &'static str {
        if self.stopping.is_some() || self.stopped.is_some() { "STOPPED" } else { "RUNNING" }
    }

    /// Whether `DescribeTasks` knows it at `now`.
    pub fn is_known(&self, now: SystemTime) -> bool {
        let ago = self.stopped.as_ref().and_then(|end| now.duration_since(end.at).ok());
        ago.is_none_or(|ago| ago <= KEPT)
    }

    /// Grows with every change: being asked to stop, its agent's hearing of it, its end.
    fn version(&self) -> u8 {
        let heard = self.stopping.is_some() && !self.unheard;
        1 + u8::from(self.stopping.is_some()) + u8::from(heard) + u8::from(self.stopped.is_some())
    }

    /// The id: the last part of the ARN.
    pub fn id(&self) -> &str {
        self.arn.rsplit('/').next().unwrap_or_default()
    }

    /// To every process of the task.
    pub fn signal(&self, which: Signal) {
        self.beside.iter().chain([&self.pid]).for_each(|pid| signal_group(*pid, which));
    }

    /// What the scheduler needs of it.
    pub fn seen(&self, now: SystemTime) -> Seen {
        let since = |later: SystemTime, earlier| later.duration_since(earlier).unwrap_or(Duration::ZERO);
        Seen {
            task: self.arn.clone(),
            cluster: self.cluster.clone(),
            service: self.service.clone(),
            definition: self.definition.arn.clone(),
            wanted: self.desired_status() == "RUNNING",
            ended: self.stopped.as_ref().map(|end| (since(end.at, self.started), since(now, end.at))),
        }
    }

    /// The task as `DescribeTasks` and `StopTask` show it. An ENI keeps its address until the task is stopped.
    pub fn describe(&self) -> Value {
        let address = self.address.to_string();
        let container = |name: &str| {
            json!({
                "containerArn": format!("{}/{name}", self.arn.replacen(":task/", ":container/", 1)),
                "taskArn": self.arn,
                "name": name,
                "lastStatus": if self.stopped.is_some() { "STOPPED" } else { "RUNNING" },
                "healthStatus": "UNKNOWN",
                "networkInterfaces": [{"attachmentId": format!("eni-{}", self.id()), "privateIpv4Address": address}],
            })
        };
        let mut containers: Vec<Value> =
            self.definition.beside.iter().map(|other| container(&other.name)).collect();
        // In no order that means anything.
        containers.push(container(&self.definition.container.name));
        let mut task = json!({
            "taskArn": self.arn,
            "clusterArn": self.cluster,
            "taskDefinitionArn": self.definition.arn,
            "group": format!("service:{}", self.service),
            "startedBy": format!("ecs-svc/{}", self.service),
            "launchType": "EC2",
            "lastStatus": self.last_status(),
            "desiredStatus": self.desired_status(),
            "createdAt": epoch(self.started),
            "startedAt": epoch(self.started),
            "version": self.version(),
            "attachments": [{
                "id": format!("eni-{}", self.id()),
                "type": "ElasticNetworkInterface",
                "status": if self.stopped.is_some() { "DELETED" } else { "ATTACHED" },
                "details": [{"name": "privateIPv4Address", "value": address}],
            }],
            "containers": containers,
        });
        if let Some(reason) = &self.stopping {
            task["stoppedReason"] = reason.as_str().into();
        }
        if let Some(end) = &self.stopped {
            task["stoppedReason"] = end.reason.as_str().into();
            task["stopCode"] = end.code.into();
            task["stoppedAt"] = epoch(end.at).into();
            if let Some(essential) = task["containers"].as_array_mut().and_then(|all| all.last_mut()) {
                essential["exitCode"] = end.exit.into();
            }
        }
        task
    }

    /// What the agent's metadata endpoint answers at `${ECS_CONTAINER_METADATA_URI_V4}/task`.
    pub fn metadata(&self) -> Value {
        json!({
            "Cluster": self.cluster,
            "TaskARN": self.arn,
            "Family": self.definition.family,
            "ServiceName": self.service,
            "DesiredStatus": self.desired_status(),
            "KnownStatus": self.last_status(),
            "Containers": [{
                "Name": self.definition.container.name,
                "Networks": [{"NetworkMode": "awsvpc", "IPv4Addresses": [self.address.to_string()]}],
            }],
        })
    }
}

/// A time as the API writes it: seconds.
pub(super) fn epoch(time: SystemTime) -> f64 {
    time.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs_f64()
}
