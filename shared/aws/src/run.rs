//! One task of no service, on Fargate: started once, looked at, stopped.

use std::fmt;

use aws_config::SdkConfig;
use aws_sdk_ecs::{
    Client,
    operation::run_task::RunTaskError,
    types::{
        AssignPublicIp, AwsVpcConfiguration, ContainerOverride, EphemeralStorage, Failure, KeyValuePair,
        LaunchType, NetworkConfiguration, Task, TaskOverride,
    },
};

use crate::{Error, Kind};

/// The reason of a failure: DescribeTasks does not know the task.
const MISSING: &str = "MISSING";
/// ECS keeps at most 1024 characters of a reason.
const LONGEST_REASON: usize = 255;

/// The tasks of one ECS cluster that belong to no service. Clones share their connections.
#[derive(Clone, Debug)]
pub struct Runner {
    client: Client,
    cluster: String,
}

/// A task to be started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Launch {
    /// ARN of its task definition.
    pub definition: String,
    /// Its subnet, which must be one with a way to ECR and S3: it gets no public address.
    pub subnet: String,
    pub security_group: String,
    /// Variables that are added to those of the task definition's container, or replace them.
    pub environment: Vec<(String, String)>,
    /// The container that gets them.
    pub container: String,
    /// Fargate's own disk, 21 to 200 GiB; `None`: what the task definition says, or else 20.
    pub storage_gib: Option<u32>,
    /// At most 64 characters. Two calls with one token start one task.
    pub token: String,
    /// What ECS shows as `startedBy`.
    pub started_by: String,
}

/// What became of a task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TaskEnd {
    /// It has not stopped: it may still be starting, or stopping.
    Running,
    Stopped {
        /// ECS's `stoppedReason`, and the container's own if it has one.
        reason: String,
        /// The first exit code among its containers; `None` if none has run.
        exit_code: Option<i32>,
    },
    /// ECS does not know it: it ended more than an hour ago, or was started a moment ago.
    Unknown,
}

impl Runner {
    /// The tasks of `cluster` (a name or an ARN).
    pub fn new(config: &SdkConfig, cluster: impl Into<String>) -> Self {
        Self { client: Client::new(config), cluster: cluster.into() }
    }

    /// Starts a task, once for each token, and returns its ARN: also when it was started by an earlier call
    /// whose answer was lost, and when that call had other parameters, because there is no second one then.
    ///
    /// # Errors
    /// When ECS started nothing (`failures[]`, an invalid or denied request), or did not answer: only if the
    /// kind [`passes`](Kind::passes) may the task exist all the same.
    pub async fn run(&self, launch: Launch) -> Result<String, Error> {
        let what = format!("{} in {}", launch.definition, launch.subnet);
        let refused = |reason: String, kind| Error { call: "ecs:RunTask", what: what.clone(), reason, kind };
        let network = AwsVpcConfiguration::builder()
            .subnets(&launch.subnet)
            .security_groups(&launch.security_group)
            .assign_public_ip(AssignPublicIp::Disabled)
            .build()
            .map_err(|error| refused(error.to_string(), Kind::Other))?;
        let storage = launch.storage_gib.map(|gib| {
            EphemeralStorage::builder().size_in_gib(i32::try_from(gib).unwrap_or(i32::MAX)).build()
        });
        let variables = launch
            .environment
            .iter()
            .map(|(name, value)| KeyValuePair::builder().name(name).value(value).build())
            .collect();
        let container =
            ContainerOverride::builder().name(&launch.container).set_environment(Some(variables)).build();
        let run = self
            .client
            .run_task()
            .cluster(&self.cluster)
            .task_definition(&launch.definition)
            .count(1)
            .launch_type(LaunchType::Fargate)
            .network_configuration(NetworkConfiguration::builder().awsvpc_configuration(network).build())
            .overrides(
                TaskOverride::builder().container_overrides(container).set_ephemeral_storage(storage).build(),
            )
            .client_token(&launch.token)
            .started_by(&launch.started_by);
        let answer = match run.send().await {
            Ok(answer) => answer,
            Err(error) => {
                let Some(RunTaskError::ConflictException(conflict)) = error.as_service_error() else {
                    return Err(Error::of("ecs:RunTask", &what, &error));
                };
                // Of an earlier try with this token, before a deployment changed a parameter.
                let known = conflict.resource_ids().first().cloned();
                return known.ok_or_else(|| {
                    let reason =
                        "a task was started with this token, and ECS does not say which one".to_owned();
                    refused(reason, Kind::Passing)
                });
            }
        };
        if let Some(arn) = answer.tasks().iter().find_map(|task| task.task_arn()) {
            return Ok(arn.to_owned());
        }
        // The status was 200: a refusal is in the body.
        let reasons: Vec<String> = answer.failures().iter().map(reason).collect();
        if reasons.is_empty() {
            return Err(refused("the answer has neither a task nor a reason".into(), Kind::Other));
        }
        Err(refused(reasons.join("; "), Kind::Other))
    }

    /// The task that `started_by` names and that is meant to run; `None` if there is none. A task that was
    /// started a moment ago may not be listed yet.
    ///
    /// # Errors
    /// When the call failed.
    pub async fn started(&self, started_by: &str) -> Result<Option<String>, Error> {
        // ECS takes no other filter beside this one; without one it lists what is meant to run.
        let listed = self.client.list_tasks().cluster(&self.cluster).started_by(started_by).send().await;
        let listed = listed.map_err(|error| Error::of("ecs:ListTasks", started_by, &error))?;
        Ok(listed.task_arns.unwrap_or_default().into_iter().next())
    }

    /// What became of the task `arn`.
    ///
    /// # Errors
    /// When the call failed, or its answer says nothing of the task: then nothing is known of it.
    pub async fn task(&self, arn: &str) -> Result<TaskEnd, Error> {
        let described = self.client.describe_tasks().cluster(&self.cluster).tasks(arn).send().await;
        let described = described.map_err(|error| Error::of("ecs:DescribeTasks", arn, &error))?;
        if let Some(task) = described.tasks().iter().find(|task| task.task_arn() == Some(arn)) {
            return Ok(end(task));
        }
        let (reason, kind) = match described.failures().first() {
            Some(failure) if failure.reason() == Some(MISSING) => return Ok(TaskEnd::Unknown),
            Some(failure) => (reason(failure), Kind::Other),
            None => ("the answer says nothing of it".to_owned(), Kind::Passing),
        };
        Err(Error { call: "ecs:DescribeTasks", what: arn.to_owned(), reason, kind })
    }

    /// Asks ECS to stop a task; `reason` becomes `stoppedReason`. A task that has stopped already is not an
    /// error.
    ///
    /// # Errors
    /// When the call failed.
    pub async fn stop(&self, arn: &str, reason: &str) -> Result<(), Error> {
        let reason: String = reason.chars().take(LONGEST_REASON).collect();
        let stopped = self.client.stop_task().cluster(&self.cluster).task(arn).reason(reason).send().await;
        stopped.map(drop).map_err(|error| Error::of("ecs:StopTask", arn, &error))
    }
}

fn reason(failure: &Failure) -> String {
    let reason = failure.reason().unwrap_or("a failure without a reason").to_owned();
    failure.detail().map_or_else(|| reason.clone(), |detail| format!("{reason} ({detail})"))
}

fn end(task: &Task) -> TaskEnd {
    if task.last_status() != Some("STOPPED") {
        return TaskEnd::Running;
    }
    let stopped = task.stopped_reason().unwrap_or("ECS gives no reason").to_owned();
    // Such as OutOfMemoryError, which the reason of the task leaves out.
    let own = task.containers().iter().filter_map(|container| container.reason());
    let reason = own.fold(stopped, |reason, own| format!("{reason}; {own}"));
    TaskEnd::Stopped {
        reason,
        exit_code: task.containers().iter().find_map(|container| container.exit_code()),
    }
}

impl fmt::Display for TaskEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Running => f.write_str("it has not stopped"),
            Self::Stopped { reason, exit_code: Some(code) } => {
                write!(f, "its task stopped with exit code {code}: {reason}")
            }
            Self::Stopped { reason, exit_code: None } => {
                write!(f, "its task stopped without an exit code: {reason}")
            }
            Self::Unknown => f.write_str("ECS does not know its task any more"),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::fake::Fake;

    fn launch() -> Launch {
        Launch {
            definition: "d:7".into(),
            subnet: "subnet-2".into(),
            security_group: "sg-1".into(),
            environment: vec![("ORDER".into(), "{}".into())],
            container: "backup".into(),
            storage_gib: Some(42),
            token: "t0ken".into(),
            started_by: "backup-trigger".into(),
        }
    }

    async fn run(status: u16, answer: Value) -> (Result<String, Error>, Fake) {
        let fake = Fake::start(move |_, _| Some((status, answer.to_string()))).await;
        (Runner::new(&fake.config, "c").run(launch()).await, fake)
    }

    #[tokio::test]
    async fn a_task_is_started_on_fargate_in_one_subnet_with_its_token() {
        let (started, fake) = run(200, json!({"tasks": [{"taskArn": "arn:t"}], "failures": []})).await;
        assert_eq!(started, Ok("arn:t".into()));
        let asked: Value = serde_json::from_str(&fake.asked()[0].body).unwrap();
        let expected = json!({"cluster": "c", "taskDefinition": "d:7", "count": 1, "launchType": "FARGATE",
            "networkConfiguration": {"awsvpcConfiguration": {"subnets": ["subnet-2"], "securityGroups": ["sg-1"],
                "assignPublicIp": "DISABLED"}},
            "overrides": {"containerOverrides": [{"name": "backup", "environment": [{"name": "ORDER", "value": "{}"}]}],
                "ephemeralStorage": {"sizeInGiB": 42}},
            "clientToken": "t0ken", "startedBy": "backup-trigger"});
        assert_eq!(asked, expected);
    }

    /// Fault 31: the HTTP status says nothing.
    #[tokio::test]
    async fn failures_in_a_good_answer_are_an_error_with_their_reason() {
        let failures = json!([{"arn": "x", "reason": "RESOURCE:MEMORY"},
            {"reason": "AGENT", "detail": "no capacity in this zone"}]);
        let (refused, _) = run(200, json!({"tasks": [], "failures": failures})).await;
        let error = refused.unwrap_err();
        assert_eq!((error.kind, error.call), (Kind::Other, "ecs:RunTask"));
        assert_eq!(error.reason, "RESOURCE:MEMORY; AGENT (no capacity in this zone)");
        let (refused, _) = run(200, json!({})).await;
        assert!(refused.unwrap_err().reason.contains("neither a task nor a reason"));
    }

    /// Another task definition since the first try: what it started is found, and is not started twice.
    #[tokio::test]
    async fn a_token_that_was_used_leads_to_its_task() {
        let conflict =
            |ids: Value| json!({"__type": "ConflictException", "message": "in use", "resourceIds": ids});
        let (started, fake) = run(400, conflict(json!(["arn:first"]))).await;
        assert_eq!((started, fake.asked().len()), (Ok("arn:first".into()), 1));
        let (unknown, _) = run(400, conflict(json!([]))).await;
        assert!(unknown.unwrap_err().kind.passes(), "the task may exist");
    }

    #[tokio::test]
    async fn only_an_answer_says_that_nothing_was_started() {
        let table = [
            (400, "InvalidParameterException", Kind::Other, false),
            (400, "AccessDeniedException", Kind::Denied, false),
            (400, "ThrottlingException", Kind::Throttled, true),
            (500, "ServerException", Kind::Passing, true),
        ];
        for (status, code, kind, may_exist) in table {
            let (refused, _) = run(status, json!({"__type": code, "message": "m"})).await;
            let error = refused.unwrap_err();
            assert_eq!((error.kind, error.kind.passes()), (kind, may_exist), "{code}");
        }
        // The same token each time, so that the SDK's own tries start one task.
        let (_, fake) = run(500, json!({"__type": "ServerException"})).await;
        assert!(fake.asked().iter().all(|request| request.body.contains("t0ken")) && fake.asked().len() > 1);
    }

    #[tokio::test]
    async fn a_task_is_found_by_what_started_it() {
        for (answer, expected) in
            [(json!({"taskArns": ["arn:t"]}), Some("arn:t".to_owned())), (json!({"taskArns": []}), None)]
        {
            let fake = Fake::start(move |_, _| Some((200, answer.to_string()))).await;
            assert_eq!(Runner::new(&fake.config, "c").started("backup-trigger/1").await, Ok(expected));
            let asked: Value = serde_json::from_str(&fake.asked()[0].body).unwrap();
            assert_eq!(asked, json!({"cluster": "c", "startedBy": "backup-trigger/1"}));
        }
    }

    #[tokio::test]
    async fn a_task_is_running_until_it_is_stopped() {
        let task = |last: &str, more: Value| {
            let mut task = json!({"taskArn": "a", "lastStatus": last});
            task.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            json!({"tasks": [task], "failures": []})
        };
        let stopped = |reason: &str, exit_code| TaskEnd::Stopped { reason: reason.into(), exit_code };
        let container =
            |more: Value| json!({"stoppedReason": "Essential container exited", "containers": [more]});
        let table = [
            (task("PROVISIONING", json!({})), TaskEnd::Running),
            (task("RUNNING", json!({})), TaskEnd::Running),
            (task("DEPROVISIONING", container(json!({"exitCode": 1}))), TaskEnd::Running),
            (
                task("STOPPED", container(json!({"exitCode": 3}))),
                stopped("Essential container exited", Some(3)),
            ),
            (
                task("STOPPED", container(json!({"exitCode": 137, "reason": "OutOfMemoryError"}))),
                stopped("Essential container exited; OutOfMemoryError", Some(137)),
            ),
            (task("STOPPED", json!({})), stopped("ECS gives no reason", None)),
            (json!({"tasks": [], "failures": [{"arn": "a", "reason": "MISSING"}]}), TaskEnd::Unknown),
        ];
        for (answer, expected) in table {
            let body = answer.to_string();
            let fake = Fake::start(move |_, _| Some((200, body.clone()))).await;
            assert_eq!(Runner::new(&fake.config, "c").task("a").await, Ok(expected), "{answer}");
        }
        for answer in [json!({}), json!({"failures": [{"arn": "a", "reason": "ACCESS"}]})] {
            let fake = Fake::start(move |_, _| Some((200, answer.to_string()))).await;
            assert!(Runner::new(&fake.config, "c").task("a").await.is_err(), "nothing is known of it");
        }
    }

    #[tokio::test]
    async fn a_stop_has_its_reason_within_ecs_bound() {
        let fake = Fake::start(|_, _| Some((200, "{}".into()))).await;
        Runner::new(&fake.config, "c").stop("a", &"x".repeat(2000)).await.unwrap();
        let asked: Value = serde_json::from_str(&fake.asked()[0].body).unwrap();
        assert_eq!(asked, json!({"cluster": "c", "task": "a", "reason": "x".repeat(LONGEST_REASON)}));
    }
}
