//! What a `RunTask` asks for, as far as the local cloud does it: one stand-alone task on Fargate. Pure.
//!
//! Pages: `API/API_RunTask`, `API/API_TaskOverride`, `API/API_EphemeralStorage`, `API/API_AwsVpcConfiguration` of the ECS API reference.
//! Where they document no sentence for an error, the sentence is that which ECS is known to answer, or one of our own.

use serde_json::Value;

use super::{
    api::{Refusal, cluster_of, invalid},
    definition::{Container, Definition, parse},
    interface::subnets_of_task,
    task::Alone,
};

/// `API/API_RunTask`, overrides: "This limit includes the JSON formatting characters of the override structure."
const MOST_OVERRIDES: usize = 8192;
/// `API/API_EphemeralStorage`.
const STORAGE_GIB: std::ops::RangeInclusive<u64> = 21..=200;
/// `dev/fargate-task-storage`: what a task has that asks for none.
const DEFAULT_STORAGE_GIB: u64 = 20;
/// `API/API_ContainerDefinition`, stopTimeout, for Fargate.
const LONGEST_STOP_TIMEOUT: u64 = 120;
/// Parameters that are done, or that change nothing that is seen here.
const FOLLOWED: [&str; 13] = [
    "cluster",
    "taskDefinition",
    "count",
    "launchType",
    "platformVersion",
    "networkConfiguration",
    "overrides",
    "clientToken",
    "startedBy",
    "group",
    "tags",
    "propagateTags",
    "enableECSManagedTags",
];

/// Names and values.
type Variables = Vec<(String, String)>;

/// A request that can be done.
#[derive(Clone, Debug)]
pub struct RunTask {
    /// Name of the cluster.
    pub cluster: String,
    /// ARN of the task definition, or its family with or without a revision.
    pub definition: String,
    /// Where its network interface may be.
    pub subnets: Vec<String>,
    /// `clientToken`.
    pub token: Option<String>,
    /// All of the request but its token: what a retry must have in common with it.
    pub parameters: Value,
    group: Option<String>,
    started_by: Option<String>,
    /// By container.
    environment: Vec<(String, Variables)>,
    storage_gib: Option<u64>,
}

impl RunTask {
    /// Reads the request.
    ///
    /// # Errors
    /// What ECS refuses, and what the local cloud does not do.
    pub fn read(request: &Value) -> Result<Self, Refusal> {
        let all = request.as_object().ok_or_else(|| invalid("The request is not an object."))?;
        followed("", all.iter(), &FOLLOWED)?;
        let text = |name: &str| request[name].as_str().map(str::to_owned);
        let definition = text("taskDefinition")
            .filter(|name| !name.is_empty())
            .ok_or_else(|| not_followed("no taskDefinition"))?;
        if request["launchType"] != "FARGATE" {
            return Err(not_followed("a launch type other than FARGATE"));
        }
        match request["count"].as_u64().unwrap_or(1) {
            1 => {}
            count @ 2..=10 => return Err(not_followed(&format!("a count of {count}"))),
            count => return Err(invalid(format!("count must be 1 to 10, not {count}."))),
        }
        let subnets = subnets_of_task(&request["networkConfiguration"])?;
        let (token, started_by) = (text("clientToken"), text("startedBy"));
        if token
            .as_ref()
            .is_some_and(|token| !(1..=64).contains(&token.len()) || !token.bytes().all(is_visible))
        {
            return Err(invalid("clientToken must have 1 to 64 characters in the range of 33-126."));
        }
        if started_by.as_ref().is_some_and(|text| text.len() > 128 || !text.bytes().all(is_of_a_tag)) {
            return Err(invalid(
                "startedBy must have at most 128 letters, numbers, hyphens, slashes, underscores.",
            ));
        }
        let overrides = &request["overrides"];
        let length = if overrides.is_null() { 0 } else { overrides.to_string().len() };
        if length > MOST_OVERRIDES {
            return Err(invalid(format!("Container Overrides length must be at most {MOST_OVERRIDES}")));
        }
        followed(
            "overrides.",
            overrides.as_object().into_iter().flatten(),
            &["containerOverrides", "ephemeralStorage"],
        )?;
        let mut parameters = request.clone();
        parameters.as_object_mut().and_then(|all| all.remove("clientToken"));
        // A cluster may be given by its name or its ARN.
        parameters["cluster"] = cluster_of(request).into();
        Ok(Self {
            cluster: cluster_of(request).to_owned(),
            definition,
            subnets,
            token,
            parameters,
            group: text("group").filter(|group| !group.is_empty()),
            started_by,
            environment: environment(&overrides["containerOverrides"])?,
            storage_gib: storage(&overrides["ephemeralStorage"])?,
        })
    }

    /// The task that it asks for, from the `taskDefinition` of a `DescribeTaskDefinition` answer.
    ///
    /// # Errors
    /// When Fargate does not run such a definition, or when it lacks a container of the overrides.
    pub fn task_of(&self, definition: &Value) -> Result<(Definition, Alone), Refusal> {
        let client = |message: &str| Refusal::new("ClientException", message);
        if definition["status"].as_str().is_some_and(|status| status != "ACTIVE") {
            return Err(client("TaskDefinition is inactive"));
        }
        let is_for_fargate =
            |of: &str| definition[of].as_array().into_iter().flatten().any(|kind| kind == "FARGATE");
        if !is_for_fargate("requiresCompatibilities") && !is_for_fargate("compatibilities") {
            return Err(invalid("Task definition does not support launch_type FARGATE."));
        }
        if definition["networkMode"] != "awsvpc" {
            return Err(client("Fargate only supports network mode 'awsvpc'."));
        }
        let mut task = parse(definition).map_err(|error| client(&error.to_string()))?;
        let all = || task.beside.iter().chain([&task.container]);
        if let Some(host) =
            all().flat_map(|container| &container.mounts).find_map(|mount| mount.source.as_ref())
        {
            return Err(client(&format!("host.sourcePath {host} should not be set for volumes in Fargate.")));
        }
        if task.stop_timeout.as_secs() > LONGEST_STOP_TIMEOUT {
            let seconds = task.stop_timeout.as_secs();
            return Err(client(&format!(
                "A stopTimeout of {seconds} s is above {LONGEST_STOP_TIMEOUT} s, Fargate's most."
            )));
        }
        for (name, variables) in &self.environment {
            let mut containers = task.beside.iter_mut().chain([&mut task.container]);
            let container = containers.find(|container| container.name == *name).ok_or_else(|| {
                invalid(format!(
                    "Override for container named {name} is not a container in the TaskDefinition."
                ))
            })?;
            override_with(container, variables);
        }
        let in_definition = storage(&definition["ephemeralStorage"])?;
        let alone = Alone {
            group: self.group.clone().unwrap_or_else(|| format!("family:{}", task.family)),
            started_by: self.started_by.clone(),
            overrides: self.parameters["overrides"].clone(),
            storage_gib: self.storage_gib.or(in_definition).unwrap_or(DEFAULT_STORAGE_GIB),
        };
        Ok((task, alone))
    }
}

/// `API/API_ContainerOverride`, environment: "You can add new environment variables [...] or you can override the existing".
fn override_with(container: &mut Container, variables: &[(String, String)]) {
    for (name, value) in variables {
        container.environment.retain(|(own, _)| own != name);
        container.environment.push((name.clone(), value.clone()));
    }
}

fn environment(containers: &Value) -> Result<Vec<(String, Variables)>, Refusal> {
    let mut all = Vec::new();
    for container in containers.as_array().into_iter().flatten() {
        let fields = container.as_object().into_iter().flatten();
        followed("overrides.containerOverrides.", fields, &["name", "environment"])?;
        let name = container["name"]
            .as_str()
            .ok_or_else(|| invalid("Container override without a container's name."))?;
        let pairs = container["environment"].as_array().into_iter().flatten();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        all.push((name.to_owned(), pairs.map(|pair| (text(&pair["name"]), text(&pair["value"]))).collect()));
    }
    Ok(all)
}

fn storage(storage: &Value) -> Result<Option<u64>, Refusal> {
    let size = match storage {
        Value::Null => return Ok(None),
        given => given["sizeInGiB"].as_u64().unwrap_or_default(),
    };
    if STORAGE_GIB.contains(&size) {
        return Ok(Some(size));
    }
    let (least, most) = (STORAGE_GIB.start(), STORAGE_GIB.end());
    Err(invalid(format!(
        "Ephemeral storage of {size} GiB: the minimum supported value is {least} GiB and the maximum supported value is {most} GiB."
    )))
}

/// What is not followed is refused, so that it is not silently left out. A field that says nothing does not matter.
fn followed<'a>(
    within: &str,
    fields: impl Iterator<Item = (&'a String, &'a Value)>,
    known: &[&str],
) -> Result<(), Refusal> {
    let says = |value: &Value| match value {
        Value::Null | Value::Bool(false) => false,
        Value::Array(list) => !list.is_empty(),
        _ => true,
    };
    let mut others = fields.filter(|(name, value)| !known.contains(&name.as_str()) && says(value));
    others.next().map_or(Ok(()), |(name, _)| Err(not_followed(&format!("{within}{name}"))))
}

fn not_followed(what: &str) -> Refusal {
    Refusal::new("UnsupportedFeatureException", format!("The local cloud does not run a task with {what}."))
}

fn is_visible(byte: u8) -> bool {
    (33..=126).contains(&byte)
}

fn is_of_a_tag(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-/_".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn request() -> Value {
        json!({"cluster": "c", "taskDefinition": "arn:d:1", "count": 1, "launchType": "FARGATE",
            "networkConfiguration": {"awsvpcConfiguration": {"subnets": ["s1"], "securityGroups": ["g"], "assignPublicIp": "DISABLED"}},
            "overrides": {"containerOverrides": [{"name": "backup", "environment": [{"name": "ORDER", "value": "{}"}]}],
                "ephemeralStorage": {"sizeInGiB": 50}},
            "clientToken": "t", "startedBy": "backup-trigger", "group": "", "tags": [], "enableExecuteCommand": false})
    }

    fn with(path: &str, value: Value) -> Value {
        let mut request = request();
        *request.pointer_mut(path).unwrap() = value;
        request
    }

    fn definition() -> Value {
        json!({"taskDefinitionArn": "arn:d:1", "family": "s-backup", "status": "ACTIVE", "networkMode": "awsvpc",
            "requiresCompatibilities": ["FARGATE"], "volumes": [{"name": "data"}],
            "containerDefinitions": [{"name": "backup", "command": ["backup"], "stopTimeout": 120,
                "environment": [{"name": "ORDER", "value": "none"}, {"name": "STACK", "value": "s"}],
                "mountPoints": [{"sourceVolume": "data", "containerPath": "/data"}]}]})
    }

    /// `API/API_RunTask`, group and overrides; `API/API_ContainerOverride`, environment.
    #[test]
    fn a_task_has_its_definitions_variables_but_for_those_that_are_overridden() {
        let asked = RunTask::read(&request()).unwrap();
        let (definition, alone) = asked.task_of(&definition()).unwrap();
        let variables =
            [("STACK", "s"), ("ORDER", "{}")].map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(definition.container.environment, variables);
        assert_eq!((alone.group.as_str(), alone.storage_gib), ("family:s-backup", 50));
        assert_eq!(alone.started_by.as_deref(), Some("backup-trigger"));
        let asked = RunTask::read(&with("/group", json!("mine"))).unwrap();
        assert_eq!(asked.task_of(&self::definition()).unwrap().1.group, "mine");
    }

    /// `dev/fargate-task-storage`: 20 GiB by default; `API/API_EphemeralStorage`: 21 to 200.
    #[test]
    fn the_disk_is_that_of_the_call_or_the_definition_or_the_smallest() {
        let without = RunTask::read(&with("/overrides/ephemeralStorage", Value::Null)).unwrap();
        let mut definition = definition();
        assert_eq!(without.task_of(&definition).unwrap().1.storage_gib, 20);
        definition["ephemeralStorage"] = json!({"sizeInGiB": 30});
        assert_eq!(without.task_of(&definition).unwrap().1.storage_gib, 30);
        for size in [0, 20, 201] {
            let refusal =
                RunTask::read(&with("/overrides/ephemeralStorage/sizeInGiB", json!(size))).unwrap_err();
            assert!(refusal.message.contains("21 GiB") && refusal.message.contains("200 GiB"), "{refusal:?}");
        }
    }

    #[test]
    fn what_is_wrong_and_what_is_not_followed_is_refused() {
        let network = "/networkConfiguration/awsvpcConfiguration";
        for (path, value, kind, words) in [
            (network.to_owned(), json!({}), "InvalidParameterException", "subnets can not be empty."),
            (
                format!("{network}/securityGroups"),
                json!([]),
                "InvalidParameterException",
                "securityGroups can not be empty",
            ),
            (
                "/networkConfiguration".into(),
                Value::Null,
                "InvalidParameterException",
                "Network Configuration must be provided when networkMode 'awsvpc' is specified.",
            ),
            ("/clientToken".into(), json!("with space"), "InvalidParameterException", "clientToken"),
            ("/clientToken".into(), json!("x".repeat(65)), "InvalidParameterException", "clientToken"),
            ("/startedBy".into(), json!("a:b"), "InvalidParameterException", "startedBy"),
            ("/count".into(), json!(2), "UnsupportedFeatureException", "a count of 2"),
            ("/count".into(), json!(11), "InvalidParameterException", "count"),
            ("/launchType".into(), json!("EC2"), "UnsupportedFeatureException", "launch type"),
            (
                "/enableExecuteCommand".into(),
                json!(true),
                "UnsupportedFeatureException",
                "enableExecuteCommand",
            ),
            (
                "/overrides/containerOverrides/0".into(),
                json!({"name": "backup", "command": ["x"]}),
                "UnsupportedFeatureException",
                "overrides.containerOverrides.command",
            ),
            (
                "/overrides/containerOverrides/0/environment/0/value".into(),
                json!("x".repeat(8192)),
                "InvalidParameterException",
                "Container Overrides length must be at most 8192",
            ),
        ] {
            let refusal = RunTask::read(&with(&path, value)).unwrap_err();
            assert_eq!(refusal.kind, kind, "{path}: {refusal:?}");
            assert!(refusal.message.contains(words), "{path}: {refusal:?}");
        }
    }

    /// `dev/fargate-tasks-services` and `API/API_ContainerDefinition`: what Fargate does not run.
    #[test]
    fn a_definition_that_is_not_for_fargate_is_refused() {
        let asked = RunTask::read(&request()).unwrap();
        for (path, value, words) in [
            ("/status", json!("INACTIVE"), "inactive"),
            ("/requiresCompatibilities", json!(["EC2"]), "launch_type FARGATE"),
            ("/networkMode", json!("host"), "awsvpc"),
            ("/volumes/0", json!({"name": "data", "host": {"sourcePath": "/var"}}), "host.sourcePath"),
            ("/containerDefinitions/0/stopTimeout", json!(121), "stopTimeout"),
            ("/containerDefinitions/0/name", json!("other"), "Override for container named backup"),
            ("/containerDefinitions", json!([]), "no essential container"),
        ] {
            let mut definition = definition();
            *definition.pointer_mut(path).unwrap() = value;
            let refusal = asked.task_of(&definition).unwrap_err();
            assert!(refusal.message.contains(words), "{path}: {refusal:?}");
        }
    }
}
