//! One task: what `DescribeTasks` says of it.

use std::{
    net::Ipv4Addr,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use serde_json::{Value, json};

use super::{definition::Definition, interface::Interface, plan::Seen};
use crate::processes::{Signal, signal_group};

/// A stopped task stays in `DescribeTasks` for at least an hour.
const KEPT: Duration = Duration::from_secs(3600);

/// What Fargate runs tasks on when `RunTask` names no platform version.
const PLATFORM: &str = "1.4.0";

/// A task and the processes that are it.
#[derive(Clone, Debug)]
pub struct Task {
    /// `arn:aws:ecs:REGION:ACCOUNT:task/CLUSTER/ID`.
    pub arn: String,
    /// ARN of its cluster.
    pub cluster: String,
    /// Name of its service; empty for a stand-alone task.
    pub service: String,
    /// Name of the host that it was placed on; empty on Fargate.
    pub host: String,
    /// What it was started from, with the variables that `RunTask` overrode.
    pub definition: Definition,
    /// Its own address, never used by another task of this run.
    pub address: Ipv4Addr,
    /// Where that address is.
    pub interface: Interface,
    /// What `RunTask` said of it, if that started it.
    pub alone: Option<Alone>,
    /// The node program, which leads the task's process group; 0 for a task that was never started.
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

/// What only a stand-alone task has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alone {
    /// `family:FAMILY` unless `RunTask` gave another one.
    pub group: String,
    /// `startedBy` of `RunTask`.
    pub started_by: Option<String>,
    /// `overrides` of `RunTask`.
    pub overrides: Value,
    /// Its ephemeral storage, which is not limited here.
    pub storage_gib: u64,
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

    /// What its logs are named after: its service, or the family of its definition.
    pub fn name(&self) -> &str {
        if self.alone.is_some() { &self.definition.family } else { &self.service }
    }

    /// `launchType`: services have hosts, and `RunTask` has Fargate.
    pub fn launch_type(&self) -> &'static str {
        if self.alone.is_some() { "FARGATE" } else { "EC2" }
    }

    /// `startedBy`.
    pub fn started_by(&self) -> Option<String> {
        match &self.alone {
            Some(alone) => alone.started_by.clone(),
            None => Some(format!("ecs-svc/{}", self.service)),
        }
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
            "launchType": self.launch_type(),
            "availabilityZone": self.interface.zone,
            "lastStatus": self.last_status(),
            "desiredStatus": self.desired_status(),
            "createdAt": epoch(self.started),
            "version": self.version(),
            "attachments": [{
                "id": format!("eni-{}", self.id()),
                "type": "ElasticNetworkInterface",
                "status": if self.stopped.is_some() { "DELETED" } else { "ATTACHED" },
                "details": [],
            }],
            "containers": containers,
        });
        let details = [("subnetId", self.interface.subnet.clone()), ("privateIPv4Address", Some(address))];
        let details = details.into_iter().filter_map(|(name, value)| Some((name, value?)));
        task["attachments"][0]["details"] =
            details.map(|(name, value)| json!({"name": name, "value": value})).collect();
        if let Some(started_by) = self.started_by() {
            task["startedBy"] = started_by.into();
        }
        // A task that was never started has no such time.
        if self.pid != 0 {
            task["startedAt"] = epoch(self.started).into();
        }
        if let Some(alone) = &self.alone {
            task["group"] = alone.group.as_str().into();
            task["overrides"] = alone.overrides.clone();
            task["platformVersion"] = PLATFORM.into();
            task["ephemeralStorage"] = json!({"sizeInGiB": alone.storage_gib});
        }
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
        let mut told = json!({
            "Cluster": self.cluster,
            "TaskARN": self.arn,
            "Family": self.definition.family,
            "DesiredStatus": self.desired_status(),
            "KnownStatus": self.last_status(),
            "LaunchType": self.launch_type(),
            "AvailabilityZone": self.interface.zone,
            "Containers": [{
                "Name": self.definition.container.name,
                "Networks": [{"NetworkMode": "awsvpc", "IPv4Addresses": [self.address.to_string()]}],
            }],
        });
        if self.alone.is_none() {
            told["ServiceName"] = self.service.as_str().into();
        }
        told
    }
}

/// A time as the API writes it: seconds.
pub(super) fn epoch(time: SystemTime) -> f64 {
    time.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs_f64()
}
