//! A task's processes: the node program in a group of its own, ended as ECS ends a container.

use std::{
    fs, io,
    net::{Ipv4Addr, SocketAddr},
    os::unix::{fs::chown, process::ExitStatusExt},
    path::{Path, PathBuf},
    process::ExitStatus,
    thread,
    time::{Duration, Instant, SystemTime},
};

use tokio::{
    process::{Child, Command},
    sync::oneshot,
    time::timeout,
};
use tracing::warn;

use super::{
    bundle::{self, Built},
    definition::{Container, Definition, Mount},
    host::Host,
    task::Stopped,
};
use crate::{
    emulator::cloud_environment,
    network::Network,
    processes::{Processes, Signal, signal, signal_group},
};

/// runc takes a tenth of a second.
const RUNC: Duration = Duration::from_secs(10);

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
    /// The real image, whose containers run in place of the program.
    pub built: Option<Built>,
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
    /// What its logs are named after.
    pub name: &'a str,
    pub id: &'a str,
    /// The host whose directories it mounts; on Fargate there is none.
    pub host: Option<&'a Host>,
    pub definition: &'a Definition,
    pub address: Ipv4Addr,
    /// Where everything is that is made for this task.
    pub disk: PathBuf,
}

/// The processes of a task: its essential container's, and those beside it.
pub struct Started {
    pub essential: Process,
    pub beside: Vec<Process>,
}

/// The process of a container.
pub struct Process {
    /// Its PID 1, as this machine counts; it leads a group of its own.
    pub pid: i32,
    /// What ends when it does, with its exit code: itself, or runc.
    child: Child,
}

/// Starts the processes of a task, with `gateway` as its cloud.
pub fn start(
    image: &Image,
    processes: &Processes,
    network: &Network,
    gateway: SocketAddr,
    placed: &Placed<'_>,
) -> io::Result<Started> {
    let Placed { name, id, definition, address, .. } = *placed;
    let start = |container: &Container, log: &str| -> io::Result<Process> {
        let (command, bundle) = match &image.built {
            Some(built) => {
                let bundle = placed.disk.join(format!("bundle-{}", container.name));
                (in_container(built, &bundle, network, gateway, placed, container)?, Some(bundle))
            }
            None => (as_process(image, network, gateway, placed, container)?, None),
        };
        let what = format!("{} of task {id} of {name} at {address}", container.name);
        let mut child = processes.start(&what, command, &log_of(image, name, log))?;
        let pid = match bundle {
            Some(bundle) => pid_in(&bundle, &mut child)?,
            None => child.id().and_then(|pid| i32::try_from(pid).ok()).unwrap_or_default(),
        };
        Ok(Process { pid, child })
    };
    let essential = start(&definition.container, id)?;
    // `dev/task_definition_parameters.html`: the task goes on without a container that is not essential.
    let mut beside = Vec::new();
    for other in &definition.beside {
        match start(other, &format!("{id}-{}", other.name)) {
            Ok(process) => beside.push(process),
            Err(error) => {
                warn!(container = other.name, %error, "a container beside a task's cannot be started");
            }
        }
    }
    Ok(Started { essential, beside })
}

/// What every container of a task is given: its cloud, and what the task definition says.
fn environment(gateway: SocketAddr, id: &str, container: &Container) -> Vec<(String, String)> {
    let agent = format!("http://{gateway}/_local/metadata/{id}");
    let cloud = cloud_environment(gateway).into_iter().map(|(name, value)| (name.to_owned(), value));
    let mut all: Vec<(String, String)> = cloud.collect();
    all.extend(container.environment.iter().cloned());
    all.push(("ECS_CONTAINER_METADATA_URI_V4".to_owned(), agent));
    all
}

/// The program in place of the image, which is there on this machine.
fn as_process(
    image: &Image,
    network: &Network,
    gateway: SocketAddr,
    placed: &Placed<'_>,
    container: &Container,
) -> io::Result<Command> {
    let mut command = network.command(placed.address, &image.program);
    // `API_ContainerDefinition.html`: a command replaces the image's `CMD`, and its `ENTRYPOINT` stays.
    let arguments = if container.command.is_empty() { &image.arguments } else { &container.command };
    command.args(arguments).env_clear().env("PATH", "/usr/bin:/bin").envs(image.environment.iter().cloned());
    command.envs(environment(gateway, placed.id, container));
    // There is no mount namespace, so variables name the container's paths for the program. The configuration is the task's own.
    let own = &placed.disk;
    fs::create_dir_all(own.join("conf"))?;
    command.env("CONF_DIR", own.join("conf")).env("LOGS_DIR", own.join("logs")).current_dir(own);
    for mount in &container.mounts {
        let real = real_path(mount, placed);
        // As Docker does: a host path that is missing is made, as an empty directory. A volume that is not mounted looks blank.
        fs::create_dir_all(&real)?;
        command.env(path_variable(&mount.path), real);
    }
    Ok(command)
}

/// A container of the real image, in the bundle.
fn in_container(
    built: &Built,
    bundle: &Path,
    network: &Network,
    gateway: SocketAddr,
    placed: &Placed<'_>,
    container: &Container,
) -> io::Result<Command> {
    let (user, group) = built.user();
    let mut mounts = Vec::new();
    for mount in &container.mounts {
        let real = real_path(mount, placed);
        fs::create_dir_all(&real)?;
        // The host gives its volume to the image's user, and Docker gives a new volume the owner of the image's directory.
        chown(&real, Some(user), Some(group))?;
        for entry in fs::read_dir(&real)?.flatten() {
            chown(entry.path(), Some(user), Some(group))?;
        }
        mounts.push((real, mount.path.clone(), mount.read_only));
    }
    let mut environment = environment(gateway, placed.id, container);
    // No volume of this machine is a file system of its own.
    environment.push(("ROOT_DISK".to_owned(), "/proc/version".to_owned()));
    let (tmpfs, read_only) = (container.tmpfs.clone(), container.read_only);
    built.write(
        bundle,
        &bundle::Container { command: &container.command, environment, mounts, tmpfs, read_only },
    )?;
    let mut command = network.command(placed.address, Path::new("runc"));
    let name = format!("{}-{}-{}", placed.name, placed.id, container.name);
    command.args(["run", "--bundle"]).arg(bundle).arg("--pid-file").arg(bundle.join("pid")).arg(name);
    Ok(command)
}

/// The PID 1 of the container in `bundle`, which `runc` writes down before it starts it.
fn pid_in(bundle: &Path, runc: &mut Child) -> io::Result<i32> {
    let deadline = Instant::now() + RUNC;
    loop {
        if let Some(pid) =
            fs::read_to_string(bundle.join("pid")).ok().and_then(|text| text.trim().parse().ok())
        {
            return Ok(pid);
        }
        if runc.try_wait()?.is_some() || Instant::now() > deadline {
            let _ended = runc.start_kill();
            return Err(io::Error::other(format!("runc has started no container of {}", bundle.display())));
        }
        thread::sleep(Duration::from_millis(5));
    }
}

/// Where the task's standard output goes.
pub fn log_of(image: &Image, name: &str, id: &str) -> PathBuf {
    image.logs.join(format!("{name}-{id}.log"))
}

/// Where a mount of the task is on this machine: on its host, or on the disk that is made for it.
fn real_path(mount: &Mount, placed: &Placed<'_>) -> PathBuf {
    match (&mount.source, placed.host) {
        (Some(source), Some(host)) => host.path(source),
        _ => placed.disk.join(&mount.volume),
    }
}

/// `/data` is told through `DATA_DIR`, `/import` through `IMPORT_DIR`.
fn path_variable(path: &str) -> String {
    let name = Path::new(path).file_name().unwrap_or_default().to_string_lossy().to_uppercase();
    format!("{name}_DIR")
}

/// Waits until the task has ended: by itself, or after a stop was asked: SIGTERM, `stop_timeout`, SIGKILL.
pub async fn until_ended(
    started: Started,
    stop_timeout: Duration,
    asked: oneshot::Receiver<Stop>,
) -> Stopped {
    let Started { mut essential, beside } = started;
    let by_itself =
        || Stop { reason: "Essential container in task exited".into(), code: "EssentialContainerExited" };
    let (status, stop) = tokio::select! {
        status = essential.child.wait() => (status, by_itself()),
        Ok(stop) = asked => {
            beside.iter().chain([&essential]).for_each(|process| signal(process.pid, Signal::TERM));
            (essential.end_within(stop_timeout).await, stop)
        }
    };
    // The kernel ends a container's processes with its PID 1; a group has to be told.
    signal_group(essential.pid, Signal::KILL);
    // The other containers are stopped with the essential one.
    for mut other in beside {
        signal(other.pid, Signal::TERM);
        let _exit = other.end_within(stop_timeout).await;
    }
    Stopped { at: SystemTime::now(), reason: stop.reason, code: stop.code, exit: status.ok().map(exit_code) }
}

impl Process {
    async fn end_within(&mut self, stop_timeout: Duration) -> io::Result<ExitStatus> {
        if let Ok(status) = timeout(stop_timeout, self.child.wait()).await {
            return status;
        }
        signal_group(self.pid, Signal::KILL);
        self.child.wait().await
    }
}

fn exit_code(status: ExitStatus) -> i32 {
    status.code().or_else(|| status.signal().map(|signal| 128 + signal)).unwrap_or(-1)
}
