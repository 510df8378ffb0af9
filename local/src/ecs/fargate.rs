//! Stand-alone tasks: what `RunTask` starts on Fargate, each on a machine of its own that is gone with it.

use std::time::SystemTime;

use serde_json::{Value, json};
use tracing::info;

use super::{
    Ecs,
    api::{Refusal, cluster_of},
    begin::Wanted,
    run_task::RunTask,
    task::Task,
    tokens::Outcome,
};
use crate::emulator::Error;

/// Why a task is not started, as an element of `failures` of a `RunTask` answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Such as `Capacity is unavailable at this time`.
    pub reason: String,
    /// More of it, if there is more.
    pub detail: String,
}

impl Failure {
    /// Without an ARN: there is no container instance that it would be of.
    fn describe(&self) -> Value {
        let mut failure = json!({"reason": self.reason});
        if !self.detail.is_empty() {
            failure["detail"] = self.detail.as_str().into();
        }
        failure
    }
}

impl Ecs {
    /// `RunTask`: starts one task, or answers as it did when the same call was made before. With an injected `failure` it starts none.
    ///
    /// # Errors
    /// What ECS refuses.
    pub async fn run_task(&self, request: &Value, failure: Option<Failure>) -> Result<Value, Refusal> {
        let asked = RunTask::read(request)?;
        if let Some(answer) = self.repeated(&asked)? {
            return Ok(answer);
        }
        let cluster = self.active_cluster(request).await?;
        let definition = self.definition_to_run(&asked.definition).await?;
        let (definition, alone) = asked.task_of(&definition)?;
        let mut running = self.running();
        let now = SystemTime::now();
        // Another call with this token may have come while the emulator was asked.
        if let Some(answer) = running.tokens.repeated(&asked, &running.tasks, now)? {
            return Ok(answer);
        }
        let interface = running.zones.interface(&asked.subnets, 0);
        let wanted =
            Wanted { cluster: &cluster, service: "", host: None, definition, interface, alone: Some(alone) };
        let started = match failure {
            Some(failure) => Err(failure),
            None => self
                .begin(&mut running, wanted)
                .map_err(|error| Failure { reason: "RESOURCE:ENI".to_owned(), detail: error.to_string() }),
        };
        Ok(match started {
            Ok(task) => {
                running.tokens.note(&asked, Outcome::Started(task.arn.clone()), now);
                json!({"tasks": [as_accepted(&task)], "failures": []})
            }
            Err(failure) => {
                info!(family = asked.definition, reason = failure.reason, "RunTask starts no task");
                running.tokens.note(&asked, Outcome::Failed(failure.describe()), now);
                json!({"tasks": [], "failures": [failure.describe()]})
            }
        })
    }

    /// Stops the stand-alone tasks whose cluster is not among `clusters`, which were listed after `since`. AWS does not delete a cluster
    /// with active tasks (`API/API_DeleteCluster`, `ClusterContainsTasksException`); here no process outlives its cluster.
    pub(super) fn stop_orphans(&self, clusters: &[String], since: SystemTime) {
        // The cluster of a task that was started later may be newer than the list.
        let is_orphan =
            |task: &&Task| task.alone.is_some() && task.started < since && !clusters.contains(&task.cluster);
        for task in self.tasks().iter().filter(is_orphan) {
            self.stop(&task.arn, "The cluster was deleted", "UserInitiated");
        }
    }

    fn repeated(&self, asked: &RunTask) -> Result<Option<Value>, Refusal> {
        let running = self.running();
        running.tokens.repeated(asked, &running.tasks, SystemTime::now())
    }

    /// ARN of the cluster, which the emulator would make if it were not there.
    async fn active_cluster(&self, request: &Value) -> Result<String, Refusal> {
        let name = cluster_of(request);
        let answer = self
            .call("DescribeClusters", &json!({"clusters": [name]}))
            .await
            .map_err(|error| server(&error))?;
        let cluster = &answer["clusters"][0];
        let arn = cluster["clusterArn"].as_str().filter(|_| cluster["status"] == "ACTIVE");
        arn.map(str::to_owned).ok_or_else(|| Refusal::new("ClusterNotFoundException", "Cluster not found."))
    }

    /// Asked for each time: it may have been deregistered since the last task of it.
    async fn definition_to_run(&self, name: &str) -> Result<Value, Refusal> {
        match self.call("DescribeTaskDefinition", &json!({"taskDefinition": name})).await {
            Ok(mut answer) => Ok(answer["taskDefinition"].take()),
            Err(Error::Refused { status: 400, .. }) => {
                Err(Refusal::new("ClientException", "TaskDefinition not found."))
            }
            Err(error) => Err(server(&error)),
        }
    }
}

/// The task in the answer that starts it: `dev/task-lifecycle-explanation`, first it is PROVISIONING. Here it runs already.
fn as_accepted(task: &Task) -> Value {
    let mut described = Task { stopped: None, ..task.clone() }.describe();
    described["lastStatus"] = "PROVISIONING".into();
    described["attachments"][0]["status"] = "PRECREATED".into();
    described
}

fn server(error: &Error) -> Refusal {
    Refusal::new("ServerException", error.to_string())
}
