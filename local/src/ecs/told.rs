//! What a service tells of itself: its events, its counts, and how far its deployment is.
//!
//! Events are those of the scheduler, in ECS's own words (developer guide, service-event-messages). A task that ends by itself makes
//! none: it is among the stopped tasks.

use std::{
    collections::{BTreeMap, VecDeque},
    time::{Duration, SystemTime},
};

use aws_sdk_elasticloadbalancingv2::primitives::{DateTime, DateTimeFormat};
use serde_json::{Value, json};

use super::{
    place::Unplaced,
    plan::Service,
    task::{Task, epoch},
};
use crate::random::uuid;

/// `DescribeServices` shows so many.
const SHOWN: usize = 100;
/// "Duplicate event messages are omitted until either the cause is resolved or six hours passes."
const OMITTED: Duration = Duration::from_secs(6 * 3600);

const NOT_PLACED: &str =
    "was unable to place a task because no container instance met all of its requirements.";
const SEE: &str = "For more information, see the Troubleshooting section of the Amazon ECS Developer Guide.";
const IMPAIRED: &str = "is unable to consistently start tasks successfully.";

/// What all services have told, by name.
#[derive(Clone, Debug, Default)]
pub struct Told(BTreeMap<String, History>);

#[derive(Clone, Debug, Default)]
struct History {
    /// The newest first.
    events: VecDeque<Event>,
    /// The problem that was told last, and when; none once it is resolved.
    cause: Option<(String, SystemTime)>,
    /// It has all its tasks, and has said so.
    steady: bool,
    /// The task definition of the last deployment that was completed.
    completed: String,
    /// Starts in a row that did not lead to a RUNNING task.
    failed: u32,
}

#[derive(Clone, Debug)]
struct Event {
    id: String,
    at: SystemTime,
    message: String,
}

impl Told {
    /// A task was placed, and runs.
    pub fn started(&mut self, service: &str, task: &str, now: SystemTime) {
        let history = self.history(service);
        (history.cause, history.steady, history.failed) = (None, false, 0);
        history.tell(service, &format!("has started 1 tasks: (task {task})."), now);
    }

    /// The scheduler has asked a task to stop.
    pub fn stopped(&mut self, service: &str, task: &str, now: SystemTime) {
        let history = self.history(service);
        history.steady = false;
        history.tell(service, &format!("has stopped 1 running tasks: (task {task})."), now);
    }

    /// There is no instance for a task.
    pub fn not_placed(&mut self, service: &str, why: &Unplaced, now: SystemTime) {
        // The words of the failures of an API call, in the sentences of the list of event messages.
        let reason = match why {
            Unplaced::NoHosts => "Reason: No Container Instances were found in your cluster.".to_owned(),
            Unplaced::Unsatisfied => "Reason: MemberOf placement constraint unsatisfied.".to_owned(),
            Unplaced::Agent(host) => {
                format!("The closest matching container-instance {host} encountered error \"AGENT\".")
            }
            Unplaced::Full(host) => {
                format!("The closest matching container-instance {host} encountered error \"RESOURCE:ENI\".")
            }
        };
        self.history(service).tell_of(service, &format!("{NOT_PLACED} {reason} {SEE}"), now);
    }

    /// A task did not get as far as RUNNING. After the second one in a row the service says so.
    pub fn did_not_start(&mut self, service: &str, now: SystemTime) {
        let history = self.history(service);
        history.failed += 1;
        if history.failed > 1 {
            history.tell_of(service, &format!("{IMPAIRED} {SEE}"), now);
        }
    }

    /// Looks at all services there are: those that have what they ask for say so once; those that are gone are forgotten.
    pub fn look(&mut self, services: &[Service], tasks: &[Task], now: SystemTime) {
        self.0.retain(|name, _| services.iter().any(|service| service.name == *name));
        for service in services {
            let own = || tasks.iter().filter(|task| is_of(task, &service.cluster, &service.name));
            let current = own().filter(|task| task.definition.arn == service.definition);
            let running = current.filter(|task| task.last_status() == "RUNNING" && !task.unheard).count();
            let alive = own().filter(|task| task.stopped.is_none()).count();
            let history = self.history(&service.name);
            if running != service.desired || alive != service.desired {
                history.steady = false;
            } else if !history.steady {
                history.steady = true;
                history.completed.clone_from(&service.definition);
                history.tell(&service.name, "has reached a steady state.", now);
            }
        }
    }

    /// Puts the truth into a `DescribeServices` answer of the emulator.
    pub fn complete(&self, tasks: &[Task], answer: &mut Value) {
        for service in answer["services"].as_array_mut().into_iter().flatten() {
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            let (name, cluster) = (text(&service["serviceName"]), text(&service["clusterArn"]));
            let running = |definition: Option<&str>| {
                let own = tasks.iter().filter(|task| is_of(task, &cluster, &name));
                let own = own.filter(|task| definition.is_none_or(|arn| task.definition.arn == arn));
                own.filter(|task| task.last_status() == "RUNNING").count()
            };
            service["runningCount"] = running(None).into();
            service["pendingCount"] = 0.into();
            in_seconds(service);
            let history = self.0.get(&name);
            for deployment in service["deployments"].as_array_mut().into_iter().flatten() {
                let definition = text(&deployment["taskDefinition"]);
                deployment["runningCount"] = running(Some(&definition)).into();
                deployment["pendingCount"] = 0.into();
                in_seconds(deployment);
                if deployment["status"] == "PRIMARY" {
                    deployment["failedTasks"] = history.map_or(0, |history| history.failed).into();
                    let completed = history.is_some_and(|history| history.completed == definition);
                    let (state, how) =
                        if completed { ("COMPLETED", "completed") } else { ("IN_PROGRESS", "in progress") };
                    let id = text(&deployment["id"]);
                    deployment["rolloutState"] = state.into();
                    deployment["rolloutStateReason"] = format!("ECS deployment {id} {how}.").into();
                }
            }
            let events = history.map(|history| history.events.iter().map(Event::describe).collect());
            service["events"] = Value::Array(events.unwrap_or_default());
        }
    }

    fn history(&mut self, service: &str) -> &mut History {
        self.0.entry(service.to_owned()).or_default()
    }
}

impl History {
    /// Tells of a problem, unless it was told lately and is still there.
    fn tell_of(&mut self, service: &str, cause: &str, now: SystemTime) {
        self.steady = false;
        let lately = |at: SystemTime| now.duration_since(at).is_ok_and(|ago| ago < OMITTED);
        if self.cause.as_ref().is_none_or(|(told, at)| told != cause || !lately(*at)) {
            self.cause = Some((cause.to_owned(), now));
            self.tell(service, cause, now);
        }
    }

    fn tell(&mut self, service: &str, what: &str, now: SystemTime) {
        let message = format!("(service {service}) {what}");
        self.events.push_front(Event { id: uuid(), at: now, message });
        self.events.truncate(SHOWN);
    }
}

impl Event {
    fn describe(&self) -> Value {
        json!({"id": self.id, "createdAt": epoch(self.at), "message": self.message})
    }
}

fn is_of(task: &Task, cluster: &str, service: &str) -> bool {
    task.service == service && task.cluster == cluster
}

/// The emulator writes times as text; the protocol has seconds.
fn in_seconds(value: &mut Value) {
    for field in ["createdAt", "updatedAt"] {
        if let Some(text) = value[field].as_str()
            && let Ok(time) = DateTime::from_str(text, DateTimeFormat::DateTimeWithOffset)
        {
            value[field] = time.as_secs_f64().into();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn messages(told: &Told) -> Vec<String> {
        told.0["core-1"].events.iter().map(|event| event.message.clone()).collect()
    }

    #[test]
    fn a_problem_is_told_once_until_it_is_resolved_or_six_hours_have_passed() {
        let (mut told, begun) = (Told::default(), SystemTime::UNIX_EPOCH);
        let at = |hours: u64| begun + Duration::from_secs(hours * 3600);
        let no_host = |told: &mut Told, hours| told.not_placed("core-1", &Unplaced::NoHosts, at(hours));
        no_host(&mut told, 0);
        no_host(&mut told, 5);
        let sentence = "(service core-1) was unable to place a task because no container instance met all of its requirements. Reason: \
                        No Container Instances were found in your cluster. For more information, see the Troubleshooting section of \
                        the Amazon ECS Developer Guide.";
        assert_eq!(messages(&told), [sentence]);
        no_host(&mut told, 6);
        assert_eq!(messages(&told).len(), 2);
        told.started("core-1", "t", at(7));
        no_host(&mut told, 8);
        assert_eq!(messages(&told)[1], "(service core-1) has started 1 tasks: (task t).");
        assert_eq!(messages(&told).len(), 4, "it is another one");
        told.not_placed("core-1", &Unplaced::Full("h".into()), at(8));
        assert_eq!(messages(&told).len(), 5, "it has another reason");
    }

    #[test]
    fn starts_that_fail_are_counted_until_a_task_runs() {
        let (mut told, now) = (Told::default(), SystemTime::UNIX_EPOCH);
        told.did_not_start("core-1", now);
        assert!(messages(&told).is_empty());
        told.did_not_start("core-1", now);
        told.did_not_start("core-1", now);
        assert_eq!((told.0["core-1"].failed, messages(&told).len()), (3, 1));
        told.started("core-1", "t", now);
        assert_eq!(told.0["core-1"].failed, 0);
    }

    #[test]
    fn a_hundred_events_are_kept_the_newest_first() {
        let mut told = Told::default();
        (0..120).for_each(|task| told.started("core-1", &task.to_string(), SystemTime::UNIX_EPOCH));
        let messages = messages(&told);
        assert_eq!(messages.len(), SHOWN);
        assert_eq!(messages[0], "(service core-1) has started 1 tasks: (task 119).");
    }
}
