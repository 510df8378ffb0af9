//! What ECS itself reports about services: its events, and tasks that ended by themselves.

use std::time::{Duration, SystemTime};

use aws_config::SdkConfig;
use aws_sdk_ecs::{
    Client,
    error::ProvideErrorMetadata,
    primitives::DateTime,
    types::{DesiredStatus, Service as EcsService, ServiceEvent, Task, TaskStopCode},
};

use crate::{Error, Kind};

/// The most services that one DescribeServices takes.
const SERVICES_AT_ONCE: usize = 10;
/// One cluster of this product has fewer services than this.
const MOST: usize = 100;
/// The most tasks that one DescribeTasks takes. ECS forgets a stopped task after an hour; a cluster of this
/// product does not stop more of them.
const TASKS_AT_ONCE: i32 = 100;
/// The reason of a failure: ECS does not know the service.
const MISSING: &str = "MISSING";
/// The state of a deleted service.
const INACTIVE: &str = "INACTIVE";

/// The services of one ECS cluster. Clones share their connections.
#[derive(Clone, Debug)]
pub struct Services {
    client: Client,
    cluster: String,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Service {
    pub name: String,
    /// ARN of the task definition that it should run.
    pub definition: String,
    /// Its events, newest first: when, and in ECS's own words.
    pub events: Vec<(SystemTime, String)>,
    /// Its tasks that ended by themselves in the last hour.
    pub ended: Vec<Ended>,
}

/// A task that ended without a request to stop it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// ARN of the revision of its task definition.
    pub definition: String,
    pub at: SystemTime,
    /// ECS's `stoppedReason`, and the container's own reason and exit code if it has them.
    pub reason: String,
}

impl Services {
    /// The services of `cluster` (a name or an ARN).
    pub fn new(config: &SdkConfig, cluster: impl Into<String>) -> Self {
        Self { client: Client::new(config), cluster: cluster.into() }
    }

    /// What ECS reports about each of `names`; a service that does not exist is left out.
    ///
    /// # Errors
    /// When a call failed.
    pub async fn describe(&self, names: &[String]) -> Result<Vec<Service>, Error> {
        let mut services: Vec<Service> = self.living(names).await?.iter().map(service).collect();
        for task in self.stopped().await? {
            let service = task.group().and_then(|group| group.strip_prefix("service:")).unwrap_or_default();
            if let Some(service) = services.iter_mut().find(|known| known.name == service) {
                service.ended.extend(ended(&task));
            }
        }
        Ok(services)
    }

    /// Whether the cluster is gone, or each service in `names` is. No listing of tasks shows that: it is
    /// empty during an outage too. A service that is scaled to zero is not gone.
    ///
    /// # Errors
    /// When a call failed, or did not report one of them: then nothing is known to be gone.
    pub async fn are_gone(&self, names: &[String]) -> Result<bool, Error> {
        Ok(self.living(names).await?.is_empty())
    }

    /// Those of `names` that exist: ECS calls a deleted service INACTIVE, and later MISSING.
    /// Empty if the cluster is gone.
    async fn living(&self, names: &[String]) -> Result<Vec<EcsService>, Error> {
        if names.len() > MOST {
            return Err(self.unknown(format!("there are more than {MOST} services"), Kind::Other));
        }
        let mut living = Vec::new();
        for names in names.chunks(SERVICES_AT_ONCE) {
            let call = self.client.describe_services().cluster(&self.cluster);
            let described = match call.set_services(Some(names.to_vec())).send().await {
                Err(error) if error.code() == Some("ClusterNotFoundException") => return Ok(Vec::new()),
                described => {
                    described.map_err(|error| Error::of("ecs:DescribeServices", self.name(), &error))?
                }
            };
            if let Some(failure) = described.failures().iter().find(|one| one.reason() != Some(MISSING)) {
                let reason = failure.reason().unwrap_or("without a reason");
                let arn = failure.arn().unwrap_or_default();
                return Err(self.unknown(format!("{arn} {reason}"), Kind::Other));
            }
            if described.services().len() + described.failures().len() < names.len() {
                return Err(self.unknown("the answer leaves services out".into(), Kind::Passing));
            }
            let services = described.services.unwrap_or_default();
            living.extend(services.into_iter().filter(|service| service.status() != Some(INACTIVE)));
        }
        Ok(living)
    }

    fn unknown(&self, reason: String, kind: Kind) -> Error {
        Error { call: "ecs:DescribeServices", what: self.name(), reason, kind }
    }

    /// Tasks that have stopped in the last hour, at most a hundred of them.
    async fn stopped(&self) -> Result<Vec<Task>, Error> {
        let listed = self.client.list_tasks().cluster(&self.cluster).desired_status(DesiredStatus::Stopped);
        let listed = listed.max_results(TASKS_AT_ONCE).send().await;
        let listed = listed.map_err(|error| Error::of("ecs:ListTasks", self.name(), &error))?;
        let arns = listed.task_arns.unwrap_or_default();
        if arns.is_empty() {
            return Ok(Vec::new());
        }
        let described =
            self.client.describe_tasks().cluster(&self.cluster).set_tasks(Some(arns)).send().await;
        // A task that ECS forgot between the two calls is not needed here.
        described
            .map(|described| described.tasks.unwrap_or_default())
            .map_err(|error| Error::of("ecs:DescribeTasks", self.name(), &error))
    }

    fn name(&self) -> String {
        format!("cluster {}", self.cluster)
    }
}

fn service(service: &EcsService) -> Service {
    let told = |event: &ServiceEvent| Some((time(event.created_at()?), event.message()?.to_owned()));
    Service {
        name: service.service_name().unwrap_or_default().to_owned(),
        definition: service.task_definition().unwrap_or_default().to_owned(),
        events: service.events().iter().filter_map(told).collect(),
        ended: Vec::new(),
    }
}

/// `None` for a task that an operator or a deployment asked to stop.
fn ended(task: &Task) -> Option<Ended> {
    if !matches!(task.stop_code()?, TaskStopCode::EssentialContainerExited | TaskStopCode::TaskFailedToStart)
    {
        return None;
    }
    let containers =
        task.containers().iter().filter_map(|container| match (container.reason(), container.exit_code()) {
            (Some(reason), Some(code)) => Some(format!("{reason}, exit code {code}")),
            (Some(reason), None) => Some(reason.to_owned()),
            (None, Some(code)) => Some(format!("exit code {code}")),
            (None, None) => None,
        });
    let said = task.stopped_reason().map(str::to_owned).into_iter().chain(containers);
    Some(Ended {
        definition: task.task_definition_arn().unwrap_or_default().to_owned(),
        at: time(task.stopped_at().or(task.stopping_at())?),
        reason: said.collect::<Vec<_>>().join("; "),
    })
}

fn time(at: &DateTime) -> SystemTime {
    let since = Duration::try_from_secs_f64(at.as_secs_f64()).unwrap_or_default();
    SystemTime::UNIX_EPOCH + since
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::fake::Fake;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[tokio::test]
    async fn events_and_tasks_that_ended_by_themselves_are_told_of_each_service() {
        let task = |service: &str, code: &str, at: f64| {
            json!({
                "taskArn": format!("arn:task/{service}"), "group": format!("service:{service}"), "stopCode": code,
                "taskDefinitionArn": "arn:core:8", "stoppedAt": at, "stoppedReason": "Essential container in task exited",
                "containers": [{"name": "neo4j", "exitCode": 1}],
            })
        };
        let fake = Fake::start(move |_, request| {
            let answer = if request.head.contains("describeservices") {
                json!({
                    "services": [
                        {"serviceName": "core-1", "status": "ACTIVE", "taskDefinition": "arn:core:8", "events": [
                            {"id": "2", "createdAt": 20.5, "message": "(service core-1) was unable to place a task."},
                            {"id": "1", "createdAt": 10.0, "message": "(service core-1) has started 1 tasks: (task a)."},
                        ]},
                        {"serviceName": "core-2", "status": "INACTIVE"},
                    ],
                    "failures": [{"arn": "arn:core-3", "reason": "MISSING"}],
                })
            } else if request.head.contains("listtasks") {
                json!({"taskArns": ["a", "b", "c"]})
            } else {
                json!({"tasks": [
                    task("core-1", "EssentialContainerExited", 30.0),
                    task("core-1", "UserInitiated", 31.0),
                    task("core-9", "TaskFailedToStart", 32.0),
                ]})
            };
            Some((200, answer.to_string()))
        })
        .await;
        let services =
            Services::new(&fake.config, "c").describe(&names(&["core-1", "core-2", "core-3"])).await;
        let at = |seconds: f64| SystemTime::UNIX_EPOCH + Duration::from_secs_f64(seconds);
        let expected = Service {
            name: "core-1".into(),
            definition: "arn:core:8".into(),
            events: vec![
                (at(20.5), "(service core-1) was unable to place a task.".into()),
                (at(10.0), "(service core-1) has started 1 tasks: (task a).".into()),
            ],
            ended: vec![Ended {
                definition: "arn:core:8".into(),
                at: at(30.0),
                reason: "Essential container in task exited; exit code 1".into(),
            }],
        };
        assert_eq!(services, Ok(vec![expected]));
    }

    #[tokio::test]
    async fn a_failure_that_is_no_missing_service_is_an_error() {
        let fake = Fake::start(|_, _| {
            let answer = json!({"services": [], "failures": [{"arn": "arn:core-1", "reason": "ACCESS"}]});
            Some((200, answer.to_string()))
        })
        .await;
        let error = Services::new(&fake.config, "c").describe(&names(&["core-1"])).await.unwrap_err();
        assert_eq!(error.to_string(), "ecs:DescribeServices on cluster c failed: arn:core-1 ACCESS");
    }

    /// What `are_gone` returns for services with these statuses (`MISSING` and `DENIED` are failures),
    /// and the number of calls.
    async fn told(statuses: &[&str]) -> (Result<bool, Error>, usize) {
        let names: Vec<String> =
            statuses.iter().enumerate().map(|(n, status)| format!("{status}-{n}")).collect();
        let fake = Fake::start(|_, request| {
            let asked: Value = serde_json::from_str(&request.body).unwrap();
            assert_eq!(asked["cluster"], "c");
            let (mut services, mut failures) = (vec![], vec![]);
            for name in asked["services"].as_array().unwrap() {
                match name.as_str().unwrap().split('-').next().unwrap() {
                    reason @ ("MISSING" | "DENIED") => failures.push(json!({"arn": name, "reason": reason})),
                    "SILENT" => {}
                    status => services.push(json!({"serviceName": name, "status": status})),
                }
            }
            Some((200, json!({"services": services, "failures": failures}).to_string()))
        })
        .await;
        let told = Services::new(&fake.config, "c").are_gone(&names).await;
        (told, fake.asked().len())
    }

    #[tokio::test]
    async fn services_are_gone_when_each_of_them_is_inactive_or_missing() {
        for (statuses, gone) in [
            (&["INACTIVE", "MISSING"][..], true),
            (&["INACTIVE", "ACTIVE"], false),
            (&["MISSING", "DRAINING"], false),
        ] {
            assert_eq!(told(statuses).await.0, Ok(gone), "{statuses:?}");
        }
        assert_eq!(told(&["MISSING"; 25]).await, (Ok(true), 3), "ten at once");
        let (many, calls) = told(&["MISSING"; 101]).await;
        assert!(many.is_err() && calls == 0);
        assert_eq!(told(&["MISSING", "DENIED"]).await.0.unwrap_err().kind, Kind::Other);
        assert_eq!(told(&["MISSING", "SILENT"]).await.0.unwrap_err().kind, Kind::Passing);
    }

    #[tokio::test]
    async fn with_the_cluster_its_services_are_gone() {
        let gone = r#"{"__type":"ClusterNotFoundException","message":"Cluster not found."}"#;
        let fake = Fake::start(move |_, _| Some((400, gone.into()))).await;
        assert_eq!(Services::new(&fake.config, "c").are_gone(&["a".into()]).await, Ok(true));
    }
}
