//! ECS made real: each RUNNING task is a node program with its own Neo4j on its own address.
//!
//! Clusters, services and task definitions are the emulator's; tasks are ours. The emulator's services are looked at
//! twice a second, and what they ask for is reconciled the way the service scheduler does it.

mod agent;
pub mod api;
pub mod bundle;
mod definition;
mod host;
mod place;
mod plan;
mod run;
mod task;
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
use tracing::{info, warn};

pub use definition::{Definition, Mount, Tmpfs, parse};
pub use host::Host;
pub use place::{Constraint, Unplaced};
pub use plan::{Service, Step, reconcile};
pub use run::Image;
use run::Placed;
pub use task::{Stopped, Task};
pub use told::Told;

use crate::{
    emulator::{Emulator, Error},
    network::Network,
    processes::{Processes, Signal},
    random::random,
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

    /// Looks at what the emulator's services ask for and does the next steps.
    ///
    /// # Errors
    /// When the emulator does not answer; nothing was changed then.
    pub async fn reconcile(&self) -> Result<(), Error> {
        let services = self.services().await?;
        self.make_hosts(&services);
        let now = SystemTime::now();
        let seen: Vec<_> = self.tasks().iter().map(|task| task.seen(now)).collect();
        for step in reconcile(&services, &seen) {
            match step {
                Step::Stop(task, reason) => {
                    self.tell_of_stop(&task);
                    self.stop(&task, reason, "ServiceSchedulerInitiated");
                }
                Step::Start(service) => {
                    let definition = self.definition(&service.definition).await?;
                    self.start(&service, definition);
                }
            }
        }
        let mut running = self.running();
        let tasks = running.tasks.clone();
        running.told.look(&services, &tasks, SystemTime::now());
        Ok(())
    }

    /// Puts what the services tell into a `DescribeServices` answer of the emulator.
    pub fn complete(&self, answer: &mut Value) {
        let running = self.running();
        running.told.complete(&running.tasks, answer);
    }

    fn tell_of_stop(&self, arn: &str) {
        let mut running = self.running();
        let found = running.tasks.iter().find(|task| task.arn == arn);
        if let Some((service, id)) = found.map(|task| (task.service.clone(), task.id().to_owned())) {
            running.told.stopped(&service, &id, SystemTime::now());
        }
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

    async fn services(&self) -> Result<Vec<Service>, Error> {
        let mut services = Vec::new();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let clusters = self.call("ListClusters", &json!({})).await?;
        for cluster in clusters["clusterArns"].as_array().into_iter().flatten() {
            let names = self.call("ListServices", &json!({"cluster": cluster, "maxResults": 100})).await?;
            let names = names["serviceArns"].as_array().cloned().unwrap_or_default();
            for ten in names.chunks(10) {
                let found =
                    self.call("DescribeServices", &json!({"cluster": cluster, "services": ten})).await?;
                let found = found["services"].as_array().cloned().unwrap_or_default();
                services.extend(found.iter().filter(|service| service["status"] == "ACTIVE").map(
                    |service| Service {
                        cluster: text(cluster),
                        name: text(&service["serviceName"]),
                        desired:
                            service["desiredCount"].as_u64().and_then(|n| n.try_into().ok()).unwrap_or(0),
                        definition: text(&service["taskDefinition"]),
                        constraints: Constraint::all(service),
                    },
                ));
            }
        }
        Ok(services)
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

    fn start(&self, service: &Service, definition: Definition) {
        let mut running = self.running();
        if running.closed {
            return;
        }
        let host = match running.place(service) {
            Ok(host) => host,
            Err(why) => return running.told.not_placed(&service.name, &why, SystemTime::now()),
        };
        let inner = &self.0;
        let id = format!("{:016x}{:016x}", random(), random());
        let address = match inner.network.connect() {
            Ok(address) => address,
            Err(error) => return warn!(service = service.name, %error, "a task gets no network"),
        };
        let stop_timeout = definition.stop_timeout;
        let placed =
            Placed { service: &service.name, id: &id, host: &host, definition: &definition, address };
        let started = run::start(&inner.image, &inner.processes, &inner.network, inner.gateway, &placed);
        let started = match started {
            Ok(started) => started,
            Err(error) => {
                running.told.did_not_start(&service.name, SystemTime::now());
                return warn!(service = service.name, %error, "a task cannot be started");
            }
        };
        let task = Task {
            arn: format!("{}/{id}", service.cluster.replacen(":cluster/", ":task/", 1)),
            cluster: service.cluster.clone(),
            service: service.name.clone(),
            host: host.name,
            definition,
            address,
            pid: started.essential.pid,
            beside: started.beside.iter().map(|process| process.pid).collect(),
            started: SystemTime::now(),
            stopping: None,
            unheard: false,
            stopped: None,
        };
        let (service, host) = (&task.service, &task.host);
        info!(task = task.arn, service, host, %address, pid = task.pid, "started a task");
        let (ask, asked) = oneshot::channel();
        let (this, arn) = (self.clone(), task.arn.clone());
        running.told.started(&task.service, &id, task.started);
        running.stops.insert(task.arn.clone(), ask);
        self.changed(&task);
        running.tasks.push(task);
        tokio::spawn(async move {
            let end = run::until_ended(started, stop_timeout, asked).await;
            this.ended(&arn, end);
        });
    }

    /// The processes of a task are gone.
    fn ended(&self, arn: &str, end: task::Stopped) {
        let mut running = self.running();
        running.stops.remove(arn);
        self.end(&mut running, arn, end);
    }

    /// ECS hears that a task has stopped, if there is an agent that reports it.
    fn end(&self, running: &mut Running, arn: &str, end: task::Stopped) {
        let now = SystemTime::now();
        let Some(task) = running.tasks.iter_mut().find(|task| task.arn == arn) else { return };
        let Some(end) = running.dead.report(&task.host, arn, end) else { return };
        info!(task = arn, service = task.service, reason = end.reason, exit = end.exit, "a task stopped");
        task.unheard = false;
        task.stopped = Some(end);
        self.changed(task);
        running.tasks.retain(|task| task.is_known(now));
    }

    fn running(&self) -> MutexGuard<'_, Running> {
        self.0.running.lock().expect("no panic while the tasks are held")
    }
}

impl Running {
    /// The host of the service's next task, among those of its cluster.
    fn place(&self, service: &Service) -> Result<Host, Unplaced> {
        let there = |host: &&Host| host.cluster == service.cluster && !self.hosts.away.contains(&host.name);
        let candidates = self.hosts.all.iter().filter(there).map(|host| place::Candidate {
            host,
            connected: !self.dead.has(&host.name),
            tasks: self.unfinished_on(&host.name).len(),
        });
        let candidates: Vec<_> = candidates.collect();
        place::place(&candidates, &service.constraints).cloned()
    }
}
