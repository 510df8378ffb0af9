//! What a task definition asks for, as far as a process can give it.

use std::time::Duration;

use serde_json::Value;

/// ECS's default when a container definition sets no `stopTimeout`.
const DEFAULT_STOP_TIMEOUT: Duration = Duration::from_secs(30);

/// A task definition: its one essential container, and those beside it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Definition {
    /// The definition's ARN.
    pub arn: String,
    /// Its family.
    pub family: String,
    /// The essential one.
    pub container: Container,
    /// From SIGTERM to SIGKILL.
    pub stop_timeout: Duration,
    /// The containers that the task goes on without.
    pub beside: Vec<Container>,
}

/// A container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Container {
    pub name: String,
    /// Its arguments; without any the image has its own.
    pub command: Vec<String>,
    pub environment: Vec<(String, String)>,
    pub mounts: Vec<Mount>,
    /// Memory in place of the image's files.
    pub tmpfs: Vec<Tmpfs>,
    /// Whether the image's own files cannot be written.
    pub read_only: bool,
}

/// `API_Tmpfs.html`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tmpfs {
    pub path: String,
    pub mib: u64,
    /// Such as `exec`; Docker's own are `noexec`, `nosuid` and `nodev`.
    pub options: Vec<String>,
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
    pub read_only: bool,
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
    let container = containers.iter().find(|container| is_essential(container));
    let container = container.ok_or_else(|| NoContainer(arn.clone()))?;
    let volumes: Vec<Volume> = list(&definition["volumes"]).iter().map(volume).collect();
    // CloudFormation hands numbers on as strings.
    let seconds = &container["stopTimeout"];
    let seconds = seconds.as_u64().or_else(|| seconds.as_str()?.parse().ok());
    let read = |container: &Value| {
        let pairs = list(&container["environment"]);
        let mounts = list(&container["mountPoints"]);
        let memory = field(&field(container, "linuxParameters", "LinuxParameters"), "tmpfs", "Tmpfs");
        Container {
            name: text(&container["name"]),
            command: list(&container["command"]).iter().map(text).collect(),
            environment: pairs.iter().map(|pair| (text(&pair["name"]), text(&pair["value"]))).collect(),
            mounts: mounts.iter().map(|mount| self::mount(mount, &volumes)).collect(),
            tmpfs: list(&memory).iter().map(tmpfs).collect(),
            read_only: is_true(&field(container, "readonlyRootFilesystem", "ReadonlyRootFilesystem")),
        }
    };
    let beside = containers.iter().filter(|container| !is_essential(container)).map(read).collect();
    let stop_timeout = seconds.map_or(DEFAULT_STOP_TIMEOUT, Duration::from_secs);
    Ok(Definition {
        arn,
        family: text(&definition["family"]),
        container: read(container),
        stop_timeout,
        beside,
    })
}

fn tmpfs(of: &Value) -> Tmpfs {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let size = field(of, "size", "Size");
    let options = field(of, "mountOptions", "MountOptions");
    Tmpfs {
        path: text(&field(of, "containerPath", "ContainerPath")),
        mib: size.as_u64().or_else(|| size.as_str()?.parse().ok()).unwrap_or_default(),
        options: options.as_array().into_iter().flatten().map(text).collect(),
    }
}

fn mount(mount: &Value, volumes: &[Volume]) -> Mount {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let (volume, path) = (text(&mount["sourceVolume"]), text(&mount["containerPath"]));
    let source = volumes.iter().find(|known| known.name == volume);
    let read_only = is_true(&mount["readOnly"]);
    Mount { source: source.and_then(|known| known.source.clone()), volume, path, read_only }
}

/// CloudFormation hands words on as strings.
fn is_true(value: &Value) -> bool {
    value.as_bool().unwrap_or(value == "true")
}

/// The emulator's CloudFormation hands some fields on in the template's spelling.
fn field(value: &Value, api: &str, template: &str) -> Value {
    match &value[api] {
        Value::Null => value[template].clone(),
        found => found.clone(),
    }
}

/// `API_ContainerDefinition.html`: a container is essential unless it says that it is not. CloudFormation hands words on as strings.
fn is_essential(container: &Value) -> bool {
    container["essential"].as_bool() != Some(false) && container["essential"].as_str() != Some("false")
}

struct Volume {
    name: String,
    source: Option<String>,
}

fn volume(volume: &Value) -> Volume {
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
            {"name": "debug-log", "essential": "false", "command": ["logs", "debug.log"]},
            {"name": "neo4j", "essential": true, "stopTimeout": "90", "command": ["run"],
             "environment": [{"name": "STACK", "value": "s"}],
             "mountPoints": [{"sourceVolume": "data", "containerPath": "/data"}]}]});
        let parsed = parse(&definition).unwrap();
        assert_eq!(
            (parsed.container.name.as_str(), &parsed.container.command[..]),
            ("neo4j", &["run".to_owned()][..])
        );
        assert_eq!(parsed.stop_timeout, Duration::from_secs(90));
        assert_eq!((parsed.beside.len(), parsed.beside[0].name.as_str()), (1, "debug-log"));
        assert_eq!(parsed.beside[0].command, ["logs", "debug.log"]);
        assert_eq!(parsed.container.environment, [("STACK".to_owned(), "s".to_owned())]);
    }

    /// `dev/bind-mounts.html`: a volume with a source path is the host's, one without is made for the task.
    #[test]
    fn a_mount_is_where_its_volume_is_on_the_host() {
        let mut definition = json!({"taskDefinitionArn": "arn:d:1", "containerDefinitions": [
            {"mountPoints": [{"sourceVolume": "data", "containerPath": "/data"}]}]});
        let source = |definition: &Value| parse(definition).unwrap().container.mounts[0].source.clone();
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
