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
    /// Its arguments; without any the image has its own.
    pub command: Vec<String>,
    /// Its environment.
    pub environment: Vec<(String, String)>,
    /// Every mount.
    pub mounts: Vec<Mount>,
    /// From SIGTERM to SIGKILL.
    pub stop_timeout: Duration,
}

/// A volume of the task in its container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    /// The volume's name.
    pub volume: String,
    /// Where it is on the host (`host.sourcePath`); `None` for one that is made for the task and ends with it.
    pub source: Option<String>,
    /// Where it is in the container.
    pub path: String,
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
    let volumes: Vec<Volume> = list(&definition["volumes"]).iter().map(volume).collect();
    // CloudFormation hands numbers on as strings.
    let seconds = &container["stopTimeout"];
    let seconds = seconds.as_u64().or_else(|| seconds.as_str()?.parse().ok());
    Ok(Definition {
        arn,
        family: text(&definition["family"]),
        container: text(&container["name"]),
        command: list(&container["command"]).iter().map(text).collect(),
        environment: list(&container["environment"])
            .iter()
            .map(|pair| (text(&pair["name"]), text(&pair["value"])))
            .collect(),
        mounts: list(&container["mountPoints"])
            .iter()
            .map(|mount| {
                let (volume, path) = (text(&mount["sourceVolume"]), text(&mount["containerPath"]));
                let source = volumes.iter().find(|known| known.name == volume);
                Mount { source: source.and_then(|known| known.source.clone()), volume, path }
            })
            .collect(),
        stop_timeout: seconds.map_or(DEFAULT_STOP_TIMEOUT, Duration::from_secs),
    })
}

struct Volume {
    name: String,
    source: Option<String>,
}

/// The emulator's CloudFormation hands volumes on in the template's spelling.
fn volume(volume: &Value) -> Volume {
    let field = |value: &Value, api: &str, template: &str| match &value[api] {
        Value::Null => value[template].clone(),
        found => found.clone(),
    };
    let path = field(&field(volume, "host", "Host"), "sourcePath", "SourcePath");
    Volume {
        name: field(volume, "name", "Name").as_str().unwrap_or_default().to_owned(),
        source: path.as_str().filter(|path| !path.is_empty()).map(str::to_owned),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_essential_container_is_what_runs() {
        let definition = json!({"taskDefinitionArn": "arn:d:1", "family": "d", "containerDefinitions": [
            {"name": "sidecar", "essential": false},
            {"name": "neo4j", "essential": true, "stopTimeout": "90", "command": ["run"],
             "environment": [{"name": "STACK", "value": "s"}],
             "mountPoints": [{"sourceVolume": "data", "containerPath": "/data"}]}]});
        let parsed = parse(&definition).unwrap();
        assert_eq!((parsed.container.as_str(), &parsed.command[..]), ("neo4j", &["run".to_owned()][..]));
        assert_eq!(parsed.stop_timeout, Duration::from_secs(90));
        assert_eq!(parsed.environment, [("STACK".to_owned(), "s".to_owned())]);
    }

    /// `dev/bind-mounts.html`: a volume with a source path is the host's, one without is made for the task.
    #[test]
    fn a_mount_is_where_its_volume_is_on_the_host() {
        let mut definition = json!({"taskDefinitionArn": "arn:d:1", "containerDefinitions": [
            {"mountPoints": [{"sourceVolume": "data", "containerPath": "/data"}]}]});
        let source = |definition: &Value| parse(definition).unwrap().mounts[0].source.clone();
        for volume in [
            json!({"name": "data", "host": {"sourcePath": "/var/lib/neo4j"}}),
            json!({"Name": "data", "Host": {"SourcePath": "/var/lib/neo4j"}}),
        ] {
            definition["volumes"] = json!([{"name": "other"}, volume]);
            assert_eq!(source(&definition).as_deref(), Some("/var/lib/neo4j"));
        }
        definition["volumes"] = json!([{"Name": "data"}]);
        assert_eq!(source(&definition), None);
    }

    #[test]
    fn no_container_is_said_with_the_definitions_name() {
        let error = parse(&json!({"taskDefinitionArn": "arn:d:1"})).unwrap_err();
        assert_eq!(error.to_string(), "task definition arn:d:1 has no essential container");
    }
}
