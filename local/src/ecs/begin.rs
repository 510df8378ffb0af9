//! The beginning of a task, of a service or stand-alone, and its end.

use std::{io, path::PathBuf, time::SystemTime};

use tokio::sync::oneshot;
use tracing::{info, warn};

use super::{
    Ecs, Running,
    definition::Definition,
    host::Host,
    interface::Interface,
    run::{self, Placed, Started},
    task::{Alone, Stopped, Task},
};
use crate::random::random;

/// A task that is to run.
pub(super) struct Wanted<'a> {
    /// ARN of its cluster.
    pub cluster: &'a str,
    /// Its service; empty for a stand-alone one.
    pub service: &'a str,
    /// Where it is placed; on Fargate it has no host.
    pub host: Option<Host>,
    pub definition: Definition,
    pub interface: Interface,
    pub alone: Option<Alone>,
}

impl Ecs {
    /// Starts the processes of a task. A stand-alone one whose processes cannot be started is a task that has stopped
    /// (`dev/stopped-task-error-codes`).
    ///
    /// # Errors
    /// When there is no network for it, or its service has to try again.
    pub(super) fn begin(&self, running: &mut Running, wanted: Wanted<'_>) -> io::Result<Task> {
        if running.closed {
            return Err(io::Error::other("the local cloud ends"));
        }
        let inner = &self.0;
        let id = format!("{:016x}{:016x}", random(), random());
        let address = inner.network.connect()?;
        let mut task = Task {
            arn: format!("{}/{id}", wanted.cluster.replacen(":cluster/", ":task/", 1)),
            cluster: wanted.cluster.to_owned(),
            service: wanted.service.to_owned(),
            host: wanted.host.as_ref().map(|host| host.name.clone()).unwrap_or_default(),
            definition: wanted.definition,
            address,
            interface: wanted.interface,
            alone: wanted.alone,
            pid: 0,
            beside: Vec::new(),
            started: SystemTime::now(),
            stopping: None,
            unheard: false,
            stopped: None,
        };
        let disk = self.disk(&task);
        let started = self.start(&task, wanted.host.as_ref(), disk.clone());
        let (own, name) = (task.alone.is_some().then_some(disk), task.name().to_owned());
        match started {
            Ok(started) => {
                task.pid = started.essential.pid;
                task.beside = started.beside.iter().map(|process| process.pid).collect();
                info!(task = task.arn, name, host = task.host, %address, pid = task.pid, "started a task");
                self.watch(running, &task, started, own);
            }
            Err(error) if task.alone.is_some() => {
                warn!(task = task.arn, name, %error, "a task cannot be started");
                let reason = format!("CannotStartContainerError: {error}");
                task.stopped =
                    Some(Stopped { at: SystemTime::now(), reason, code: "TaskFailedToStart", exit: None });
                tokio::spawn(remove(own));
            }
            Err(error) => return Err(error),
        }
        self.changed(&task);
        running.tasks.push(task.clone());
        Ok(task)
    }

    fn start(&self, task: &Task, host: Option<&Host>, disk: PathBuf) -> io::Result<Started> {
        let inner = &self.0;
        let placed = Placed {
            name: task.name(),
            id: task.id(),
            host,
            definition: &task.definition,
            address: task.address,
            disk,
        };
        run::start(&inner.image, &inner.processes, &inner.network, inner.gateway, &placed)
    }

    /// Where a task has the volumes that are made for it. Those of a service's task are among the logs of this run, so that what a task
    /// wrote can be read after its end. The disk of a Fargate task is gone with it (`dev/fargate-task-storage`).
    fn disk(&self, task: &Task) -> PathBuf {
        let image = &self.0.image;
        let own = format!("{}-{}", task.name(), task.id());
        if task.alone.is_some() { image.hosts.join("fargate").join(own) } else { image.logs.join(own) }
    }

    /// Waits for its end, and for stops that are asked of it.
    fn watch(&self, running: &mut Running, task: &Task, started: Started, disk: Option<PathBuf>) {
        let (ask, asked) = oneshot::channel();
        running.stops.insert(task.arn.clone(), ask);
        let (this, arn, stop_timeout) = (self.clone(), task.arn.clone(), task.definition.stop_timeout);
        tokio::spawn(async move {
            let end = run::until_ended(started, stop_timeout, asked).await;
            remove(disk).await;
            this.ended(&arn, end);
        });
    }

    /// The processes of a task are gone.
    fn ended(&self, arn: &str, end: Stopped) {
        let mut running = self.running();
        running.stops.remove(arn);
        self.end(&mut running, arn, end);
    }

    /// ECS hears that a task has stopped, if there is an agent that reports it.
    pub(super) fn end(&self, running: &mut Running, arn: &str, end: Stopped) {
        let now = SystemTime::now();
        let Some(task) = running.tasks.iter_mut().find(|task| task.arn == arn) else { return };
        let Some(end) = running.dead.report(&task.host, arn, end) else { return };
        info!(task = arn, name = task.name(), reason = end.reason, exit = end.exit, "a task stopped");
        task.unheard = false;
        task.stopped = Some(end);
        self.changed(task);
        running.tasks.retain(|task| task.is_known(now));
    }
}

async fn remove(disk: Option<PathBuf>) {
    let Some(disk) = disk else { return };
    match tokio::fs::remove_dir_all(&disk).await {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            warn!(disk = %disk.display(), %error, "the disk of a task that has ended is left");
        }
        _ => {}
    }
}
