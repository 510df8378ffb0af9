//! ECS made real: each RUNNING task is a node program with its own Neo4j on its own address.
//!
//! Clusters, services and task definitions are the emulator's; tasks are ours. The emulator's services are looked at
//! twice a second, and what they ask for is reconciled the way the service scheduler does it. `RunTask` starts a task at once.

mod agent;
pub mod api;
mod begin;
pub mod bundle;
mod definition;
mod fargate;
mod host;
mod interface;
mod place;
mod plan;
mod run;
mod run_task;
mod scheduler;
mod task;
mod tokens;
mod told;

use std::{
    collections::HashMap,
    fs, io,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard},
    time::SystemTime,
};

use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot};
use tracing::info;

pub use definition::{Definition, Mount, Tmpfs, parse};
pub use fargate::Failure;
pub use host::Host;
pub use interface::Interface;
pub use place::{Constraint, Unplaced};
pub use plan::{Service, Step, reconcile};
pub use run::Image;
pub use run_task::RunTask;
pub use task::{Alone, Stopped, Task};
pub use tokens::{Outcome, Tokens};
pub use told::Told;

use crate::{
    emulator::{Emulator, Error},
    network::Network,
    processes::{Processes, Signal},
};

const PREFIX: &str = "AmazonEC2ContainerServiceV20141113";

/// The tasks. Clones are the same tasks.
#[derive(Clone)]
pub struct Ecs(Arc<Inner>);

/// The `detail` of every "ECS Task State Change", as `DescribeTasks` would tell the task at that moment.
pub type Changes = mpsc::UnboundedReceiver<Value>;

struct Inner {
    emulator: Emulator,
    gateway: SocketAddr,
    image: Image,
    processes: Processes,
    network: Network,
    definitions: Mutex<HashMap<String, Definition>>,
    changes: Mutex<Option<mpsc::UnboundedSender<Value>>>,
    running: Mutex<Running>,
}

#[derive(Default)]
struct Running {
    tasks: Vec<Task>,
    stops: HashMap<String, oneshot::Sender<run::Stop>>,
    dead: agent::Dead,
    hosts: host::Hosts,
    told: Told,
    tokens: Tokens,
    zones: interface::Zones,
    closed: bool,
}

impl Ecs {
    /// No tasks yet.
    pub fn new(
        emulator: Emulator,
        gateway: SocketAddr,
        image: Image,
        processes: Processes,
        network: Network,
    ) -> Self {
        let (definitions, changes, running) = (Mutex::default(), Mutex::default(), Mutex::default());
        Self(Arc::new(Inner { emulator, gateway, image, processes, network, definitions, changes, running }))
    }

    /// The state changes from now on; an earlier receiver gets no more of them.
    pub fn changes(&self) -> Changes {
        let (sender, changes) = mpsc::unbounded_channel();
        *self.0.changes.lock().expect("no panic while it is held") = Some(sender);
        changes
    }

    fn changed(&self, task: &Task) {
        if let Some(sender) = &*self.0.changes.lock().expect("as above") {
            let _nobody_listens = sender.send(task.describe());
        }
    }

    /// The tasks that ECS knows now.
    pub fn tasks(&self) -> Vec<Task> {
        self.tasks_at(SystemTime::now())
    }

    /// The tasks that ECS knows at `now`: one that stopped long ago is forgotten.
    pub fn tasks_at(&self, now: SystemTime) -> Vec<Task> {
        self.running().tasks.iter().filter(|task| task.is_known(now)).cloned().collect()
    }

    /// Puts what the services tell into a `DescribeServices` answer of the emulator.
    pub fn complete(&self, answer: &mut Value) {
        let running = self.running();
        running.told.complete(&running.tasks, answer);
    }

    /// Asks a task to stop; one that stops already, or is gone, is left alone. ECS writes it down at once; with a dead agent
    /// that is all.
    pub fn stop(&self, arn: &str, reason: &str, code: &'static str) {
        let mut running = self.running();
        let stop = run::Stop { reason: reason.to_owned(), code };
        let Some(task) = running.tasks.iter().find(|task| task.arn == arn) else { return };
        if task.stopping.is_some() || task.stopped.is_some() {
            return;
        }
        if running.dead.has(&task.host) {
            let task = running.tasks.iter_mut().find(|task| task.arn == arn).expect("it was just found");
            (task.stopping, task.unheard) = (Some(stop.reason.clone()), true);
            info!(task = arn, service = task.service, reason, "a task should stop, and its agent is dead");
            self.changed(task);
            running.dead.keep(arn, stop);
        } else {
            self.ask(&mut running, arn, stop);
        }
    }

    /// The agent hears that a task should stop, and begins.
    fn ask(&self, running: &mut Running, arn: &str, stop: run::Stop) {
        let Some(asked) = running.stops.remove(arn) else { return };
        if let Some(task) = running.tasks.iter_mut().find(|task| task.arn == arn) {
            (task.stopping, task.unheard) = (Some(stop.reason.clone()), false);
            self.changed(task);
            info!(task = arn, service = task.service, reason = stop.reason, "stopping a task");
        }
        let _ended_meanwhile = asked.send(stop);
    }

    /// Ends the instance of a slot together with its volume: the slot's next instance has a blank one.
    ///
    /// # Errors
    /// When there is no such host, or its files cannot be removed.
    pub fn lose(&self, slot: &str) -> io::Result<()> {
        let host = self.running().host(slot).cloned();
        let host = host.ok_or_else(|| io::Error::other(format!("there is no host of the slot {slot}")))?;
        let tasks = self.tasks().into_iter().filter(|task| task.host == slot && task.stopped.is_none());
        // Nothing is written any more when the files go.
        tasks.for_each(|task| task.signal(Signal::STOP));
        let blank = fs::remove_dir_all(&host.root).and_then(|()| host.make_volume());
        self.terminate_instance(slot);
        blank
    }

    /// Ends everything at once: the run's data is thrown away with it, so nothing is gained by a slow end.
    pub fn shutdown(&self) {
        let mut running = self.running();
        running.closed = true;
        let running = &*running;
        let over = |task: &&Task| task.stopped.is_some() || running.dead.is_over(&task.arn);
        for task in running.tasks.iter().filter(|task| !over(task)) {
            task.signal(Signal::KILL);
        }
    }

    async fn definition(&self, arn: &str) -> Result<Definition, Error> {
        let known = self.0.definitions.lock().expect("no panic while definitions are held").get(arn).cloned();
        if let Some(known) = known {
            return Ok(known);
        }
        let answer = self.call("DescribeTaskDefinition", &json!({"taskDefinition": arn})).await?;
        let definition = parse(&answer["taskDefinition"]).map_err(|error| Error::Refused {
            call: "DescribeTaskDefinition".into(),
            status: 200,
            body: error.to_string(),
        })?;
        self.0.definitions.lock().expect("as above").insert(arn.to_owned(), definition.clone());
        Ok(definition)
    }

    async fn call(&self, action: &str, body: &Value) -> Result<Value, Error> {
        self.0.emulator.json("ecs", &format!("{PREFIX}.{action}"), body).await
    }

    fn running(&self) -> MutexGuard<'_, Running> {
        self.0.running.lock().expect("no panic while the tasks are held")
    }
}
