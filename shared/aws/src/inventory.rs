//! Which tasks a cluster has, of which services, and at which addresses.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
};

use aws_config::SdkConfig;
use aws_sdk_ecs::{
    Client,
    types::{DesiredStatus, Failure, Task as EcsTask},
};

use crate::{Error, Kind};

/// A page of ListTasks has a hundred. A cluster of this product has a dozen tasks; with a
/// thousand it is another cluster.
const PAGES: usize = 10;
/// The most tasks that one DescribeTasks takes.
const AT_ONCE: usize = 100;
/// The reason of a failure: DescribeTasks does not know the task.
const MISSING: &str = "MISSING";

/// The tasks of one ECS cluster. Clones share their connections, and what they know.
#[derive(Clone, Debug)]
pub struct Inventory {
    client: Client,
    cluster: String,
    /// Tasks that were described as RUNNING, with their address, and that every listing since then has named.
    known: Arc<Mutex<BTreeMap<String, Task>>>,
}

/// A task that is not stopped yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Task {
    pub arn: String,
    /// Name of the service that started it; empty for a task of no service.
    pub service: String,
    /// ARN of the revision of the task definition it was started from; empty when ECS does not report it.
    pub definition: String,
    /// Its private address; `None` before its network interface is attached.
    pub address: Option<IpAddr>,
    /// The subnet of its network interface, and so its zone; `None` before the interface is attached.
    pub subnet: Option<String>,
    /// Whether its `lastStatus` is RUNNING. With a dead agent it stays so, whatever was requested.
    pub running: bool,
    /// ECS was asked to stop the task (`desiredStatus` STOPPED), and it has not stopped: it
    /// may still run and answer.
    pub stopping: bool,
}

/// The tasks of a cluster at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Look {
    /// Tasks that are meant to run, and remembered ones that have not stopped yet.
    pub tasks: Vec<Task>,
    /// Remembered tasks that are gone for good: `lastStatus` STOPPED, or not known to ECS any more.
    pub ended: BTreeSet<String>,
}

impl Inventory {
    /// The tasks of `cluster` (a name or an ARN).
    pub fn new(config: &SdkConfig, cluster: impl Into<String>) -> Self {
        Self { client: Client::new(config), cluster: cluster.into(), known: Arc::default() }
    }

    /// All tasks that are meant to run, of all services, and what became of the tasks (ARNs) in `remembered`:
    /// a task that was asked to stop leaves the listing at once, and only its description shows when it is
    /// gone. One ListTasks and at most one DescribeTasks, however many services there are: while the listing
    /// holds exactly the tasks that were described as RUNNING before, there is nothing new to describe,
    /// because the address of such a task does not change.
    ///
    /// A task that is in neither part of the answer is absent on purpose. ECS does not know a listed task
    /// (MISSING) when the two calls saw different moments. A task that ended stays known for an hour, so this
    /// one is most likely too new: nothing of it is registered anywhere yet, and its slot counts as one
    /// without a node, which forbids a fence and never permits one. If the task was remembered, listing and
    /// description contradict each other, so it does not count as ended either.
    ///
    /// # Errors
    /// When a call failed, or a listed task was not described for another reason than MISSING: then
    /// absence would prove nothing.
    pub async fn look(&self, remembered: &[String]) -> Result<Look, Error> {
        let listed = self.list().await?;
        let remembered: BTreeSet<String> = remembered.iter().cloned().collect();
        if let Some(tasks) = self.all_known(&listed, &remembered) {
            return Ok(Look { tasks, ended: BTreeSet::new() });
        }
        let asked: Vec<String> = listed.union(&remembered).cloned().collect();
        let mut look = Look::default();
        for arns in asked.chunks(AT_ONCE) {
            let describe = self.client.describe_tasks().cluster(&self.cluster);
            let described = describe.set_tasks(Some(arns.to_vec())).send().await;
            let described = described.map_err(|error| Error::of("ecs:DescribeTasks", self.name(), &error))?;
            let gone = self.gone(described.failures())?;
            let unknown = gone.into_iter().filter(|arn| remembered.contains(arn) && !listed.contains(arn));
            look.ended.extend(unknown);
            let mut silent: BTreeSet<&String> = arns.iter().filter(|arn| listed.contains(*arn)).collect();
            for failure in described.failures() {
                silent.retain(|arn| Some(arn.as_str()) != failure.arn());
            }
            for described in described.tasks() {
                silent.retain(|arn| Some(arn.as_str()) != described.task_arn());
                let arn = described.task_arn().unwrap_or_default();
                // STOPPED is final, even when the listing has not noticed yet.
                if described.last_status() != Some("STOPPED") {
                    look.tasks.push(task(described));
                } else if remembered.contains(arn) {
                    look.ended.insert(arn.to_owned());
                }
            }
            if let Some(arn) = silent.first() {
                // A retry most likely gets a complete answer.
                let error = self.undescribed(format!("the answer says nothing of {arn}"));
                return Err(Error { kind: Kind::Passing, ..error });
            }
        }
        let settled = look.tasks.iter().filter(|task| {
            listed.contains(&task.arn) && task.running && !task.stopping && task.address.is_some()
        });
        *self.known() = settled.map(|task| (task.arn.clone(), task.clone())).collect();
        Ok(look)
    }

    /// The listed tasks, if each of them is known and no other task is asked for.
    fn all_known(&self, listed: &BTreeSet<String>, remembered: &BTreeSet<String>) -> Option<Vec<Task>> {
        if !remembered.is_subset(listed) {
            return None;
        }
        let known = self.known();
        listed.iter().map(|arn| known.get(arn).cloned()).collect()
    }

    fn known(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Task>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The tasks of each of `services` that are meant to run, in the services' order, from
    /// one [`look`](Self::look).
    ///
    /// # Errors
    /// As for a look: then nothing is known about any service.
    pub async fn tasks_of_each(&self, services: &[String]) -> Result<Vec<Vec<Task>>, Error> {
        let mut of = BTreeMap::<String, Vec<Task>>::new();
        // A task may be asked to stop between the two calls.
        for task in self.look(&[]).await?.tasks.into_iter().filter(|task| !task.stopping) {
            of.entry(task.service.clone()).or_default().push(task);
        }
        Ok(services.iter().map(|service| of.get(service).cloned().unwrap_or_default()).collect())
    }

    /// The service that started `task` (an ARN); `None` if it was started otherwise.
    ///
    /// # Errors
    /// When the call failed, or ECS does not know the task, which may be too new.
    pub async fn service_of(&self, task: &str) -> Result<Option<String>, Error> {
        let described = self.client.describe_tasks().cluster(&self.cluster).tasks(task).send().await;
        let described = described.map_err(|error| Error::of("ecs:DescribeTasks", self.name(), &error))?;
        let found = described.tasks().iter().find(|found| found.task_arn() == Some(task));
        let found = found.ok_or_else(|| self.undescribed(format!("{task} is not known")))?;
        Ok(service_of(found))
    }

    /// Asks ECS to stop a task; `reason` becomes `stoppedReason`. A task that has stopped
    /// already is not an error.
    ///
    /// # Errors
    /// When the call failed.
    pub async fn stop(&self, task: &str, reason: &str) -> Result<(), Error> {
        // ECS keeps at most 1024 characters of it.
        let reason: String = reason.chars().take(255).collect();
        let stopped = self.client.stop_task().cluster(&self.cluster).task(task).reason(reason).send().await;
        stopped.map(drop).map_err(|error| Error::of("ecs:StopTask", task, &error))
    }

    /// ARNs of the tasks that are meant to run. Without a service name: one call for the whole cluster.
    async fn list(&self) -> Result<BTreeSet<String>, Error> {
        let (mut arns, mut next) = (BTreeSet::new(), None);
        for _page in 0..PAGES {
            let page = self.client.list_tasks().cluster(&self.cluster).set_next_token(next);
            let page = page.desired_status(DesiredStatus::Running).send().await;
            let page = page.map_err(|error| Error::of("ecs:ListTasks", self.name(), &error))?;
            arns.extend(page.task_arns.unwrap_or_default());
            next = page.next_token.filter(|token| !token.is_empty());
            if next.is_none() {
                return Ok(arns);
            }
        }
        // A partial listing would make the other tasks look absent.
        let reason = format!("there are more tasks than {PAGES} pages hold");
        Err(Error { call: "ecs:ListTasks", what: self.name(), reason, kind: Kind::Other })
    }

    /// The ARNs that ECS does not know. Any other failure is an error.
    fn gone(&self, failures: &[Failure]) -> Result<Vec<String>, Error> {
        let gone = |failure: &Failure| {
            let arn = failure.arn().unwrap_or_default().to_owned();
            match failure.reason() {
                Some(MISSING) => Ok(arn),
                reason => Err(self.undescribed(format!("{arn} {}", reason.unwrap_or("without a reason")))),
            }
        };
        failures.iter().map(gone).collect()
    }

    fn undescribed(&self, reason: String) -> Error {
        Error { call: "ecs:DescribeTasks", what: self.name(), reason, kind: Kind::Other }
    }

    fn name(&self) -> String {
        format!("cluster {}", self.cluster)
    }
}

fn task(task: &EcsTask) -> Task {
    Task {
        arn: task.task_arn().unwrap_or_default().to_owned(),
        service: service_of(task).unwrap_or_default(),
        definition: task.task_definition_arn().unwrap_or_default().to_owned(),
        address: address(task),
        subnet: detail(task, "subnetId").next().map(str::to_owned),
        running: task.last_status() == Some("RUNNING"),
        stopping: task.desired_status() == Some("STOPPED"),
    }
}

/// A task of a service has the service's name in its group; any other task has a family or
/// what `RunTask` was given.
fn service_of(task: &EcsTask) -> Option<String> {
    task.group().and_then(|group| group.strip_prefix("service:")).map(str::to_owned)
}

/// An `awsvpc` task has one interface, reported in two places: in the attachment
/// earlier than in the container.
fn address(task: &EcsTask) -> Option<IpAddr> {
    let interfaces = task.containers().iter().flat_map(|container| container.network_interfaces());
    let mut told = interfaces
        .filter_map(|interface| interface.private_ipv4_address())
        .chain(detail(task, "privateIPv4Address"));
    told.find_map(|text| text.parse().ok())
}

/// What the attachments of a task say under `name`.
fn detail<'t>(task: &'t EcsTask, name: &'static str) -> impl Iterator<Item = &'t str> {
    let details = task.attachments().iter().flat_map(|attachment| attachment.details());
    details.filter(move |detail| detail.name() == Some(name)).filter_map(|detail| detail.value())
}

#[cfg(test)]
mod tests;
