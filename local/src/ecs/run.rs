//! A task's processes: the node program in a group of its own, ended as ECS ends a container.

use std::{
    fs, io,
    net::{Ipv4Addr, SocketAddr},
    os::unix::process::ExitStatusExt,
    path::{Path, PathBuf},
    process::ExitStatus,
    time::{Duration, SystemTime},
};

use tokio::{process::Child, sync::oneshot, time::timeout};

use super::{
    definition::{Definition, Mount},
    host::Host,
    task::Stopped,
};
use crate::{
    emulator::cloud_environment,
    network::Network,
    processes::{Processes, Signal, signal, signal_group},
};

/// What stands in for every image: the program, and the paths it would find in the container.
#[derive(Clone, Debug)]
pub struct Image {
    /// The container's PID 1.
    pub program: PathBuf,
    /// Its arguments (`CMD`), unless the task definition has a command.
    pub arguments: Vec<String>,
    /// The image's own environment, such as where Neo4j is.
    pub environment: Vec<(String, String)>,
    /// Where the file systems of this run's hosts are.
    pub hosts: PathBuf,
    /// Where the logs of this run are.
    pub logs: PathBuf,
}

/// What is asked of a started task.
#[derive(Debug)]
pub struct Stop {
    /// What `stoppedReason` will say.
    pub reason: String,
    /// ECS's code for it.
    pub code: &'static str,
}

/// A task that is placed and connected, and does not run yet.
pub struct Placed<'a> {
    pub service: &'a str,
    pub id: &'a str,
    pub host: &'a Host,
    pub definition: &'a Definition,
    pub address: Ipv4Addr,
}

/// Starts the processes of a task, with `gateway` as its cloud.
pub fn start(
    image: &Image,
    processes: &Processes,
    network: &Network,
    gateway: SocketAddr,
    placed: &Placed<'_>,
) -> io::Result<Child> {
    let Placed { service, id, host, definition, address } = *placed;
    let mut command = network.command(address, &image.program);
    // `API_ContainerDefinition.html`: a command replaces the image's `CMD`, and its `ENTRYPOINT` stays.
    let arguments = if definition.command.is_empty() { &image.arguments } else { &definition.command };
    command.args(arguments).env_clear().env("PATH", "/usr/bin:/bin").envs(cloud_environment(gateway));
    command.envs(image.environment.iter().cloned()).envs(definition.environment.iter().cloned());
    command.env("ECS_CONTAINER_METADATA_URI_V4", format!("http://{gateway}/_local/metadata/{id}"));
    // There is no mount namespace, so variables name the container's paths for the program. Logs and configuration are the task's own.
    for mount in &definition.mounts {
        let real = real_path(host, mount, id);
        // As Docker does: a host path that is missing is made, as an empty directory. A volume that is not mounted looks blank.
        fs::create_dir_all(&real)?;
        command.env(path_variable(&mount.path), real);
    }
    let own = image.logs.join(format!("{service}-{id}"));
    fs::create_dir_all(own.join("conf"))?;
    fs::create_dir_all(own.join("logs"))?;
    command.env("CONF_DIR", own.join("conf")).env("LOG_DIR", own.join("logs")).current_dir(&own);
    let what = format!("task {id} of {service} at {address}");
    processes.start(&what, command, &log_of(image, service, id))
}

/// Where the task's standard output goes.
pub fn log_of(image: &Image, service: &str, id: &str) -> PathBuf {
    image.logs.join(format!("{service}-{id}.log"))
}

/// Where a mount of task `id` is on this machine.
fn real_path(host: &Host, mount: &Mount, id: &str) -> PathBuf {
    match &mount.source {
        Some(source) => host.path(source),
        None => host.path(&format!("/var/lib/docker/volumes/{id}-{}", mount.volume)),
    }
}

/// `/data` is told through `DATA_DIR`, `/import` through `IMPORT_DIR`.
fn path_variable(path: &str) -> String {
    let name = Path::new(path).file_name().unwrap_or_default().to_string_lossy().to_uppercase();
    format!("{name}_DIR")
}

/// Waits until the task has ended: by itself, or after a stop was asked: SIGTERM, `stop_timeout`, SIGKILL.
pub async fn until_ended(
    mut child: Child,
    stop_timeout: Duration,
    asked: oneshot::Receiver<Stop>,
) -> Stopped {
    let pid = child.id().and_then(|pid| i32::try_from(pid).ok()).unwrap_or_default();
    let by_itself =
        || Stop { reason: "Essential container in task exited".into(), code: "EssentialContainerExited" };
    let (status, stop) = tokio::select! {
        status = child.wait() => (status, by_itself()),
        Ok(stop) = asked => {
            signal(pid, Signal::TERM);
            let status = if let Ok(status) = timeout(stop_timeout, child.wait()).await { status } else {
                signal_group(pid, Signal::KILL);
                child.wait().await
            };
            (status, stop)
        }
    };
    // The kernel ends a container's processes with its PID 1; a group has to be told.
    signal_group(pid, Signal::KILL);
    Stopped { at: SystemTime::now(), reason: stop.reason, code: stop.code, exit: status.ok().map(exit_code) }
}

fn exit_code(status: ExitStatus) -> i32 {
    status.code().or_else(|| status.signal().map(|signal| 128 + signal)).unwrap_or(-1)
}
