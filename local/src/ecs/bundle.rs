//! A container of the built image: an OCI bundle that runc starts, in namespaces of its own for users, mounts and processes. Its
//! network is the host's, where each task has an address of its own.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use serde::Deserialize;
use serde_json::{Value, json};

use super::definition::Tmpfs;

/// Ids that exist in the container: the machine's own, none of which has a right outside.
const IDS: u32 = 65536;
/// The container's name for itself.
const HOSTNAME: &str = "node";

/// The built image: its root file system, and what it says of itself.
#[derive(Clone, Debug)]
pub struct Built {
    /// Its root file system.
    pub root: PathBuf,
    config: Config,
}

/// `config` of the OCI image specification.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Config {
    user: String,
    env: Vec<String>,
    entrypoint: Vec<String>,
    #[serde(default)]
    cmd: Vec<String>,
    #[serde(default)]
    working_dir: String,
}

/// What a task definition adds to the image for one container.
#[derive(Clone, Debug, Default)]
pub struct Container<'a> {
    /// In place of the image's `CMD`, if there are any.
    pub command: &'a [String],
    pub environment: Vec<(String, String)>,
    /// `(on this machine, in the container, read-only)`.
    pub mounts: Vec<(PathBuf, String, bool)>,
    /// Memory in place of the image's files.
    pub tmpfs: Vec<Tmpfs>,
    /// Whether the image's own files cannot be written.
    pub read_only: bool,
}

impl Built {
    /// The image that `make image-root` has unpacked into `dir`.
    ///
    /// # Errors
    /// When it has not.
    pub fn find(dir: &Path) -> io::Result<Self> {
        let said = |error: io::Error| {
            io::Error::new(error.kind(), format!("{}: {error}; run `make image-root` first", dir.display()))
        };
        let config = fs::read(dir.join("config.json")).map_err(said)?;
        let mut config: Value = serde_json::from_slice(&config)?;
        let config = serde_json::from_value(config["config"].take())?;
        Ok(Self { root: dir.join("root"), config })
    }

    /// The user and the group that its processes run as.
    pub fn user(&self) -> (u32, u32) {
        let (user, group) =
            self.config.user.split_once(':').unwrap_or((&self.config.user, &self.config.user));
        (user.parse().unwrap_or_default(), group.parse().unwrap_or_default())
    }

    /// Writes the bundle into `dir`.
    ///
    /// # Errors
    /// When the disk does not take it.
    pub fn write(&self, dir: &Path, container: &Container<'_>) -> io::Result<()> {
        fs::create_dir_all(dir)?;
        // As Docker does: a file of the host's, so that a volume is on another file system than it.
        let hosts = dir.join("hosts");
        // Neo4j looks up the name of its host.
        fs::write(&hosts, format!("127.0.0.1 localhost {HOSTNAME}\n"))?;
        fs::write(dir.join("config.json"), self.spec(container, &hosts).to_string())
    }

    /// `config.json` of the OCI runtime specification.
    fn spec(&self, container: &Container<'_>, hosts: &Path) -> Value {
        let (uid, gid) = self.user();
        let command = if container.command.is_empty() { &self.config.cmd } else { container.command };
        let arguments: Vec<&String> = self.config.entrypoint.iter().chain(command).collect();
        let own = container.environment.iter().map(|(name, value)| format!("{name}={value}"));
        let environment: Vec<String> = self.config.env.iter().cloned().chain(own).collect();
        let directory = if self.config.working_dir.is_empty() { "/" } else { &self.config.working_dir };
        let ids = json!([{"containerID": 0, "hostID": 0, "size": IDS}]);
        json!({
            "ociVersion": "1.0.2",
            "hostname": HOSTNAME,
            "process": {
                "terminal": false,
                "user": {"uid": uid, "gid": gid},
                "args": arguments,
                "env": environment,
                "cwd": directory,
                "noNewPrivileges": true,
            },
            "root": {"path": self.root, "readonly": container.read_only},
            "mounts": mounts(container, hosts),
            "linux": {
                "namespaces": [
                    {"type": "user"}, {"type": "pid"}, {"type": "mount"}, {"type": "ipc"}, {"type": "uts"},
                ],
                "uidMappings": ids,
                "gidMappings": ids,
            },
        })
    }
}

fn mounts(container: &Container<'_>, hosts: &Path) -> Vec<Value> {
    let bind = |from: &Path, to: &str, read_only: bool| {
        let access = if read_only { "ro" } else { "rw" };
        json!({"destination": to, "type": "bind", "source": from, "options": ["rbind", access]})
    };
    // As Docker has it, without a mode: runc gives it that of the directory below, and root as its owner.
    let memory = |of: &Tmpfs| {
        let mut options = vec!["noexec".to_owned(), "nosuid".to_owned(), "nodev".to_owned()];
        options.push(format!("size={}m", of.mib));
        options.extend(of.options.iter().cloned());
        json!({"destination": of.path, "type": "tmpfs", "source": "tmpfs", "options": options})
    };
    let mut mounts = vec![
        json!({"destination": "/proc", "type": "proc", "source": "proc"}),
        json!({"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=755", "size=65536"]}),
        json!({"destination": "/dev/shm", "type": "tmpfs", "source": "shm", "options": ["nosuid", "nodev", "mode=1777"]}),
        bind(hosts, "/etc/hosts", true),
    ];
    mounts.extend(container.tmpfs.iter().map(memory));
    mounts.extend(container.mounts.iter().map(|(from, to, read_only)| bind(from, to, *read_only)));
    mounts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn built() -> Built {
        let config = json!({"User": "7474:7474", "Env": ["PATH=/bin", "A=1"], "Entrypoint": ["node"], "Cmd": ["run"],
            "WorkingDir": "/var/lib/neo4j", "Labels": {}});
        Built { root: "/image/root".into(), config: serde_json::from_value(config).unwrap() }
    }

    /// `spec.md` of the OCI image specification, `config`: a command replaces `Cmd`, and variables are added to `Env`.
    #[test]
    fn the_task_definition_adds_to_what_the_image_says() {
        let command = ["logs".to_owned(), "debug.log".to_owned()];
        let container = Container {
            command: &command,
            environment: vec![("B".into(), "x=y".into())],
            mounts: vec![("/host/data".into(), "/data".into(), true)],
            tmpfs: vec![Tmpfs { path: "/tmp".into(), mib: 16, options: vec!["exec".into()] }],
            read_only: true,
        };
        let spec = built().spec(&container, Path::new("/hosts"));
        assert_eq!(spec["process"]["args"], json!(["node", "logs", "debug.log"]));
        assert_eq!(spec["process"]["env"], json!(["PATH=/bin", "A=1", "B=x=y"]));
        assert_eq!(spec["process"]["user"], json!({"uid": 7474, "gid": 7474}));
        assert_eq!(spec["root"], json!({"path": "/image/root", "readonly": true}));
        let destinations: Vec<&str> = spec["mounts"]
            .as_array()
            .unwrap()
            .iter()
            .map(|mount| mount["destination"].as_str().unwrap())
            .collect();
        assert_eq!(destinations, ["/proc", "/dev", "/dev/shm", "/etc/hosts", "/tmp", "/data"]);
        assert_eq!(spec["mounts"][4]["options"], json!(["noexec", "nosuid", "nodev", "size=16m", "exec"]));
        assert_eq!(spec["mounts"][5]["options"], json!(["rbind", "ro"]));
    }

    #[test]
    fn without_a_command_the_images_own_runs() {
        let spec = built().spec(&Container::default(), Path::new("/hosts"));
        assert_eq!(spec["process"]["args"], json!(["node", "run"]));
        assert_eq!((built().user(), &spec["process"]["cwd"]), ((7474, 7474), &json!("/var/lib/neo4j")));
    }
}
