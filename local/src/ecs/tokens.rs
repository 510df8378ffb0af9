//! Client tokens of `RunTask`: a call is done once, however often it is made. A function of the calls so far, the tasks and `now`.
//!
//! Page: `API/ECS_Idempotency` of the ECS API reference.

use std::{
    collections::HashMap,
    time::{Duration, SystemTime},
};

use serde_json::{Value, json};

use super::{api::Refusal, run_task::RunTask, task::Task};

/// "The time to live (TTL) for the `RunTask` client token is 24 hours."
const LIFE: Duration = Duration::from_secs(24 * 3600);

/// What became of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It started the task of this ARN.
    Started(String),
    /// It started none: an element of `failures`.
    Failed(Value),
}

/// The tokens that were used, by cluster and token: "Requests with the same token in the same cluster are idempotent."
#[derive(Clone, Debug, Default)]
pub struct Tokens(HashMap<(String, String), Used>);

#[derive(Clone, Debug)]
struct Used {
    at: SystemTime,
    parameters: Value,
    outcome: Outcome,
}

impl Tokens {
    /// Notes what became of the call.
    pub fn note(&mut self, asked: &RunTask, outcome: Outcome, now: SystemTime) {
        if let Some(key) = key(asked) {
            self.0.insert(key, Used { at: now, parameters: asked.parameters.clone(), outcome });
        }
    }

    /// The answer to a call that was made before; `None` if it is the first one with its token.
    ///
    /// # Errors
    /// `ConflictException` when the first one had other parameters.
    pub fn repeated(
        &self,
        asked: &RunTask,
        tasks: &[Task],
        now: SystemTime,
    ) -> Result<Option<Value>, Refusal> {
        let Some(used) = key(asked).and_then(|key| self.0.get(&key)) else { return Ok(None) };
        if now.duration_since(used.at).is_ok_and(|age| age > LIFE) {
            return Ok(None);
        }
        let (task, failures) = match &used.outcome {
            Outcome::Failed(failure) => (None, vec![failure.clone()]),
            // "The lifetime of the resource plus one hour", if that is sooner: just as long is a stopped task known.
            Outcome::Started(arn) => match tasks.iter().find(|task| task.arn == *arn && task.is_known(now)) {
                None => return Ok(None),
                known => (known, Vec::new()),
            },
        };
        if used.parameters != asked.parameters {
            let message = "The provided clientToken is already in use with a different RunTask request.";
            let resource_ids = task.map(|task| task.arn.clone()).into_iter().collect();
            return Err(Refusal { resource_ids, ..Refusal::new("ConflictException", message) });
        }
        let tasks: Vec<Value> = task.map(as_repeated).into_iter().collect();
        Ok(Some(json!({"tasks": tasks, "failures": failures})))
    }
}

/// "Tasks that have been stopped for under an hour only include the task ARN, last status, and desired status."
fn as_repeated(task: &Task) -> Value {
    if task.stopped.is_none() {
        return task.describe();
    }
    json!({"taskArn": task.arn, "lastStatus": task.last_status(), "desiredStatus": task.desired_status()})
}

fn key(asked: &RunTask) -> Option<(String, String)> {
    Some((asked.cluster.clone(), asked.token.clone()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ecs::{Alone, Definition, Interface, Stopped, parse};

    const HOUR: u64 = 3600;

    fn asked(cluster: &str, token: &str, definition: &str) -> RunTask {
        let network = json!({"awsvpcConfiguration": {"subnets": ["s"], "securityGroups": ["g"]}});
        let request = json!({"cluster": cluster, "taskDefinition": definition, "launchType": "FARGATE",
            "networkConfiguration": network, "clientToken": token});
        RunTask::read(&request).unwrap()
    }

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    fn definition() -> Definition {
        parse(&json!({"taskDefinitionArn": "d", "containerDefinitions": [{"name": "backup"}]})).unwrap()
    }

    fn task(stopped: Option<u64>) -> Task {
        let (group, overrides) = ("family:d".into(), Value::Null);
        Task {
            arn: "arn:task/c/1".into(),
            cluster: "arn:cluster/c".into(),
            service: String::new(),
            host: String::new(),
            definition: definition(),
            address: [127, 0, 0, 1].into(),
            interface: Interface { subnet: Some("s".into()), zone: "z".into() },
            alone: Some(Alone { group, started_by: None, overrides, storage_gib: 20 }),
            pid: 1,
            beside: Vec::new(),
            started: at(0),
            stopping: None,
            unheard: false,
            stopped: stopped.map(|second| Stopped {
                at: at(second),
                reason: String::new(),
                code: "EssentialContainerExited",
                exit: Some(0),
            }),
        }
    }

    /// "24 hours", or "the lifetime of the resource plus one hour", "whichever of the following two values is lower".
    #[test]
    fn a_token_is_known_for_a_day_or_for_an_hour_after_the_end_of_its_task() {
        let mut tokens = Tokens::default();
        let first = asked("c", "t", "d");
        tokens.note(&first, Outcome::Started("arn:task/c/1".into()), at(0));
        let known = |tasks: &[Task], now| tokens.repeated(&first, tasks, at(now)).unwrap().is_some();
        assert!(known(&[task(None)], 24 * HOUR));
        assert!(!known(&[task(None)], 24 * HOUR + 1));
        assert!(known(&[task(Some(60))], 60 + HOUR));
        assert!(!known(&[task(Some(60))], 61 + HOUR));
        assert!(!known(&[], 1), "the task is forgotten");
    }

    /// "If you retry a successful request using the same client token, but one or more of the parameters are different [...] the retry
    /// fails with a ConflictException"; "requests to other clusters are considered a separate request".
    #[test]
    fn a_token_is_for_one_request_in_one_cluster() {
        let mut tokens = Tokens::default();
        tokens.note(&asked("c", "t", "d"), Outcome::Started("arn:task/c/1".into()), at(0));
        let repeated = |asked: &RunTask| tokens.repeated(asked, &[task(None)], at(1));
        assert!(
            repeated(&asked("arn:aws:ecs:r:0:cluster/c", "t", "d")).unwrap().is_some(),
            "the same one by its ARN"
        );
        let conflict = repeated(&asked("c", "t", "other")).unwrap_err();
        assert_eq!(
            (conflict.kind, &conflict.resource_ids[..]),
            ("ConflictException", &["arn:task/c/1".to_owned()][..])
        );
        for other in [asked("c", "T", "other"), asked("c2", "t", "other")] {
            assert_eq!(repeated(&other), Ok(None));
        }
    }

    /// "Tasks that have been stopped for under an hour only include the task ARN, last status, and desired status"; a failure is
    /// answered again too.
    #[test]
    fn the_result_of_the_original_request_is_returned() {
        let mut tokens = Tokens::default();
        let first = asked("c", "t", "d");
        tokens.note(&first, Outcome::Started("arn:task/c/1".into()), at(0));
        let answer = tokens.repeated(&first, &[task(None)], at(1)).unwrap().unwrap();
        assert_eq!(answer["tasks"][0], task(None).describe());
        let answer = tokens.repeated(&first, &[task(Some(1))], at(2)).unwrap().unwrap();
        let stopped = json!({"taskArn": "arn:task/c/1", "lastStatus": "STOPPED", "desiredStatus": "STOPPED"});
        assert_eq!(answer, json!({"tasks": [stopped], "failures": []}));

        let failed = asked("c", "f", "d");
        let failure = json!({"reason": "RESOURCE:MEMORY"});
        tokens.note(&failed, Outcome::Failed(failure.clone()), at(0));
        let answer = tokens.repeated(&failed, &[], at(HOUR)).unwrap().unwrap();
        assert_eq!(answer, json!({"tasks": [], "failures": [failure]}));
    }
}
