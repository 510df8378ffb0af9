//! The calls whose answers come from the tasks that really run; all others are the emulator's.

use serde_json::{Value, json};

use super::task::Task;

/// `DescribeTasks` takes at most so many, and so does a page of `ListTasks`.
const PAGE: usize = 100;

/// `DescribeServices`.
const MOST_SERVICES: usize = 10;

/// An error as the API gives it: HTTP 400 with a type and a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Such as `InvalidParameterException`.
    pub kind: &'static str,
    /// One sentence.
    pub message: String,
    /// `resourceIds` of a `ConflictException`; other errors have none.
    pub resource_ids: Vec<String>,
}

impl Refusal {
    /// A refusal of that type with one sentence.
    pub fn new(kind: &'static str, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), resource_ids: Vec::new() }
    }
}

pub(super) fn invalid(message: impl Into<String>) -> Refusal {
    Refusal::new("InvalidParameterException", message)
}

/// `ListTasks`: filtered by cluster, service, family, launch type, who started it, and desired status (RUNNING when none is given).
pub fn list_tasks(tasks: &[Task], request: &Value) -> Result<Value, Refusal> {
    let desired = request["desiredStatus"].as_str().unwrap_or("RUNNING");
    if !matches!(desired, "RUNNING" | "PENDING" | "STOPPED") {
        return Err(invalid(format!("desiredStatus must be RUNNING, PENDING or STOPPED, not {desired}.")));
    }
    let service = request["serviceName"].as_str().map(last_part);
    let family = request["family"].as_str();
    let (launch_type, started_by) = (request["launchType"].as_str(), request["startedBy"].as_str());
    let matching: Vec<&str> = tasks
        .iter()
        .filter(|task| is_of(task, cluster_of(request)))
        .filter(|task| task.desired_status() == desired)
        .filter(|task| service.is_none_or(|name| task.service == name))
        .filter(|task| family.is_none_or(|name| task.definition.family == name))
        .filter(|task| launch_type.is_none_or(|name| task.launch_type() == name))
        .filter(|task| started_by.is_none_or(|name| task.started_by().as_deref() == Some(name)))
        .map(|task| task.arn.as_str())
        .collect();
    let size = match request["maxResults"].as_u64().and_then(|size| usize::try_from(size).ok()) {
        None => PAGE,
        Some(size) if (1..=PAGE).contains(&size) => size,
        Some(size) => return Err(invalid(format!("maxResults must be 1 to {PAGE}, not {size}."))),
    };
    let from = match request["nextToken"].as_str() {
        None => 0,
        Some(token) => token.parse().map_err(|_| invalid("Invalid token."))?,
    };
    let page: Vec<&str> = matching.iter().skip(from).take(size).copied().collect();
    let mut answer = json!({ "taskArns": page });
    if from + size < matching.len() {
        answer["nextToken"] = (from + size).to_string().into();
    }
    Ok(answer)
}

/// `DescribeTasks`: what is known of each, and a failure `MISSING` for each that is not.
pub fn describe_tasks(tasks: &[Task], request: &Value) -> Result<Value, Refusal> {
    let asked: Vec<&str> =
        request["tasks"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    if asked.is_empty() || asked.len() > PAGE {
        return Err(invalid(format!("Tasks must hold 1 to {PAGE} task ids or ARNs.")));
    }
    let (mut found, mut failures) = (Vec::new(), Vec::new());
    for name in asked {
        match find(tasks, cluster_of(request), name) {
            Some(task) => found.push(task.describe()),
            None => failures.push(json!({"arn": name, "reason": "MISSING"})),
        }
    }
    Ok(json!({"tasks": found, "failures": failures}))
}

/// The task that a `StopTask` names, and the reason `DescribeTasks` will show.
pub fn stop_task<'a>(tasks: &'a [Task], request: &Value) -> Result<(&'a Task, String), Refusal> {
    let name = request["task"].as_str().unwrap_or_default();
    let task = find(tasks, cluster_of(request), name)
        .ok_or_else(|| invalid("The referenced task was not found."))?;
    Ok((task, request["reason"].as_str().unwrap_or("Task stopped by user").to_owned()))
}

/// `DescribeServices` takes at most ten; the emulator takes any number.
pub fn check_services(request: &Value) -> Result<(), Refusal> {
    match request["services"].as_array().map_or(0, Vec::len) {
        1..=MOST_SERVICES => Ok(()),
        0 => Err(invalid("Services cannot be empty.")),
        number => {
            Err(invalid(format!("Services must hold 1 to {MOST_SERVICES} names or ARNs, not {number}.")))
        }
    }
}

pub(super) fn cluster_of(request: &Value) -> &str {
    request["cluster"].as_str().map_or("default", last_part)
}

fn is_of(task: &Task, cluster: &str) -> bool {
    last_part(&task.cluster) == cluster
}

fn find<'a>(tasks: &'a [Task], cluster: &str, name: &str) -> Option<&'a Task> {
    tasks.iter().find(|task| is_of(task, cluster) && task.id() == last_part(name))
}

/// A name may be given for an ARN and the other way round.
fn last_part(name: &str) -> &str {
    name.rsplit('/').next().unwrap_or(name)
}
