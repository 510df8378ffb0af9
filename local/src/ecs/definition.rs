//! What a task definition asks for, as far as a process can give it.

use std::time::Duration;

use serde_json::Value;

/// ECS's default when a container definition sets no `stopTimeout`.
const DEFAULT_STOP_TIMEOUT: Duration = Duration::from_secs(30);

/// The one essential container of a task definition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Definition {
    /// The definition's ARN.
    pub arn: String,
    /// Its family.
    pub family: String,
    /// The container's name.
    pub container: String,
    /// Its environment.
    pub environment: Vec<(String, String)>,
    /// `(volume, path in the container)` of every mount.
    pub mounts: Vec<(String, String)>,
    /// From SIGTERM to SIGKILL.
    pub stop_timeout: Duration,
}

/// A definition that cannot be run as a process.
#[derive(Debug, thiserror::Error)]
#[error("task definition {0} has no essential container")]
pub struct NoContainer(String);

/// Reads the `taskDefinition` of a `DescribeTaskDefinition` answer.
pub fn parse(definition: &Value) -> Result<Definition, NoContainer> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let arn = text(&definition["taskDefinitionArn"]);
    let containers = list(&definition["containerDefinitions"]);
    let container = containers.iter().find(|container| container["essential"].as_bool() != Some(false));
    let container = container.ok_or_else(|| NoContainer(arn.clone()))?;
    // CloudFormation hands numbers on as strings.
    let seconds = &container["stopTimeout"];
    let seconds = seconds.as_u64().or_else(|| seconds.as_str()?.parse().ok());
    Ok(Definition {
        arn,
        family: text(&definition["family"]),
        container: text(&container["name"]),
        environment: list(&container["environment"])
            .iter()
            .map(|pair| (text(&pair["name"]), text(&pair["value"])))
            .collect(),
        mounts: list(&container["mountPoints"])
            .iter()
            .map(|mount| (text(&mount["sourceVolume"]), text(&mount["containerPath"])))
            .collect(),
        stop_timeout: seconds.map_or(DEFAULT_STOP_TIMEOUT, Duration::from_secs),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_essential_container_is_what_runs() {
        let definition = json!({"taskDefinitionArn": "arn:d:1", "family": "d", "containerDefinitions": [
            {"name": "sidecar", "essential": false},
            {"name": "neo4j", "essential": true, "stopTimeout": "90",
             "environment": [{"name": "SERVER_ID", "value": "1"}],
             "mountPoints": [{"sourceVolume": "data", "containerPath": "/data"}]}]});
        let parsed = parse(&definition).unwrap();
        assert_eq!(parsed.container, "neo4j");
        assert_eq!(parsed.stop_timeout, Duration::from_secs(90));
        assert_eq!(parsed.environment, [("SERVER_ID".to_owned(), "1".to_owned())]);
        assert_eq!(parsed.mounts, [("data".to_owned(), "/data".to_owned())]);
    }

    #[test]
    fn no_container_is_said_with_the_definitions_name() {
        let error = parse(&json!({"taskDefinitionArn": "arn:d:1"})).unwrap_err();
        assert_eq!(error.to_string(), "task definition arn:d:1 has no essential container");
    }
}
