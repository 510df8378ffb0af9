//! The whole local cloud, started and ended as one.

use std::{
    fs, io,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, SystemTime},
};

use tokio::{net::TcpListener, task::JoinHandle};
use tracing::warn;

use crate::{
    control::{self, Status},
    deploy,
    ecs::{Ecs, Image, Task, bundle::Built},
    elb::{BalancerStatus, Elb},
    emulator::{self, Emulator},
    gateway::{self, Gateway, Twice},
    layout::{Layout, Missing},
    network::{self, Network},
    processes::{self, Processes},
    stack::Stack,
    stacks,
};

/// How often the emulator's services are looked at: ECS takes seconds on AWS.
const LOOK: Duration = Duration::from_millis(500);
/// How often its balancers are: they change with deployments only.
const LOOK_AT_BALANCERS: Duration = Duration::from_secs(2);
/// What a process gets between SIGTERM and SIGKILL when the cloud ends.
const GRACE: Duration = Duration::from_secs(2);
/// Where the artifacts of `sam deploy` go.
const ARTIFACTS: &str = "local-artifacts";

/// How this cloud differs from another one.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// How long registrations take to reach the balancers' data plane: minutes are seen on AWS.
    pub propagation: Duration,
    /// How tasks are connected.
    pub network: network::Kind,
    /// Which asynchronous events are delivered twice, from the start.
    pub twice: Option<Twice>,
    /// The stack that it is asked about until it is asked about another one.
    pub stack: Stack,
    /// What nodes are started from.
    pub nodes: Nodes,
}

/// What nodes are started from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Nodes {
    /// The node program and Neo4j's home as they are on this machine: starts at once, and needs no rights.
    #[default]
    Programs,
    /// The image that `make image-root` has unpacked, by runc: needs root.
    Image,
}

/// Why it does not start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Something was not installed or built.
    #[error(transparent)]
    Missing(#[from] Missing),
    /// The emulator.
    #[error(transparent)]
    Emulator(#[from] emulator::Error),
    /// A file or an address.
    #[error("the local cloud cannot start: {0}")]
    Io(#[from] io::Error),
}

/// A running cloud, as those who work with one of its stacks see it. Clones are the same cloud.
#[derive(Clone)]
pub struct Cloud {
    /// The stack that it is asked about.
    pub stack: Stack,
    /// Where it was started.
    pub layout: Layout,
    /// What everything calls.
    pub endpoint: SocketAddr,
    /// What it is made of.
    pub gateway: Gateway,
    /// Where its tasks are reached.
    pub network: Network,
    loops: Arc<Vec<JoinHandle<()>>>,
}

impl Cloud {
    /// Starts it, after ending whatever an earlier run of the same layout left behind.
    pub async fn start(layout: Layout, settings: &Settings) -> Result<Self, Error> {
        layout.check()?;
        end_leftovers(&layout);
        layout.make_run()?;
        let network = Network::set_up(settings.network)?;
        let ip = network.services.next();
        let endpoint = gateway::address(ip);
        let listener = TcpListener::bind(endpoint).await?;
        let processes = Processes::new(layout.journal());
        let (emulator, child) =
            Emulator::start(&layout, &processes, ip, endpoint.port() - 1, endpoint).await?;
        emulator.put_object(ARTIFACTS, bytes::Bytes::new()).await?;
        let elb =
            Elb::new(&format!("http://{}", emulator.at), network.services.clone(), settings.propagation);
        let ecs = Ecs::new(emulator, endpoint, image(&layout, settings.nodes)?, processes, network.clone());
        let changes = ecs.changes();
        let gateway = Gateway::new(emulator, ecs, elb);
        gateway.deliveries.twice(settings.twice);
        let loops = Arc::new(vec![
            tokio::spawn(serve(gateway.clone(), listener)),
            tokio::spawn(reconcile(gateway.clone())),
            tokio::spawn(refresh(gateway.clone())),
            tokio::spawn(reap(child)),
            tokio::spawn(gateway::events::deliver(gateway.deliveries.clone(), changes)),
        ]);
        fs::write(layout.gateway_file(), endpoint.to_string())?;
        let stack = settings.stack.clone();
        Ok(Self { stack, layout, endpoint, gateway, network, loops })
    }

    /// The same cloud, asked about another stack.
    #[must_use]
    pub fn of(&self, stack: &Stack) -> Self {
        Self { stack: stack.clone(), ..self.clone() }
    }

    /// Deploys the stack with these parameters in place of those of `samconfig.toml`.
    ///
    /// # Errors
    /// When `sam deploy` fails; the stack's own reasons are in it.
    pub async fn deploy(&self, overrides: &[(&str, &str)]) -> Result<(), deploy::Error> {
        deploy::deploy(&self.layout, self.endpoint, &self.stack, overrides).await
    }

    /// The stack's nodes and balancers now.
    pub async fn status(&self) -> Status {
        control::status(&self.gateway).await.of(&self.stack)
    }

    /// The tasks of the stack's services.
    pub fn tasks(&self) -> Vec<Task> {
        self.all_tasks().filter(|task| task.alone.is_none()).collect()
    }

    /// The stack's stand-alone tasks, the oldest first.
    pub fn stand_alone_tasks(&self) -> Vec<Task> {
        self.all_tasks().filter(|task| task.alone.is_some()).collect()
    }

    fn all_tasks(&self) -> impl Iterator<Item = Task> {
        let cluster = format!("/{}", self.stack.cluster());
        self.gateway.ecs.tasks().into_iter().filter(move |task| task.cluster.ends_with(&cluster))
    }

    /// The stack's balancers now.
    pub fn balancers(&self) -> Vec<BalancerStatus> {
        let mut balancers = self.gateway.elb.status();
        balancers.retain(|balancer| balancer.stack == self.stack.name());
        balancers
    }

    /// Ends every process it started, by id.
    pub async fn shutdown(self) {
        self.loops.iter().for_each(JoinHandle::abort);
        self.gateway.ecs.shutdown();
        self.gateway.elb.shutdown().await;
        let layout = self.layout;
        let _ended = tokio::task::spawn_blocking(move || end_leftovers(&layout)).await;
    }

    /// The log lines of a function since `since`, as JSON where they are.
    pub async fn function_logs(&self, function: &str, since: SystemTime) -> Vec<serde_json::Value> {
        let messages = self.log_messages(&format!("/aws/lambda/{function}"), since).await;
        messages.iter().filter_map(|message| serde_json::from_str(message.trim()).ok()).collect()
    }

    /// The messages of a log group since `since`.
    pub async fn log_messages(&self, group: &str, since: SystemTime) -> Vec<String> {
        let since = since.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_millis();
        let since = u64::try_from(since).unwrap_or(u64::MAX);
        let mut request = serde_json::json!({"logGroupName": group, "startTime": since});
        let mut messages = Vec::new();
        // Pages are bounded so that a broken token cannot hold the caller.
        for _page in 0..50 {
            let Ok(answer) =
                self.gateway.emulator.json("logs", "Logs_20140328.FilterLogEvents", &request).await
            else {
                break;
            };
            let events = answer["events"].as_array().cloned().unwrap_or_default();
            messages.extend(events.iter().filter_map(|event| event["message"].as_str().map(str::to_owned)));
            match answer["nextToken"].as_str() {
                Some(token) => request["nextToken"] = token.into(),
                None => break,
            }
        }
        messages
    }
}

/// Ends what the journal of the last run says still runs; returns how many there were.
pub fn end_leftovers(layout: &Layout) -> usize {
    let ended = processes::end_all(&layout.journal(), GRACE).len();
    let _absent = fs::remove_file(layout.gateway_file());
    ended
}

fn image(layout: &Layout, nodes: Nodes) -> io::Result<Image> {
    // The run's directory is on this machine's root disk, because another one would need root to mount it; so the node program
    // compares it with a file that is on no disk at all. What protects a slot's data here is `slot.json`.
    let root_disk = "/proc/version";
    let built = match nodes {
        Nodes::Programs => None,
        Nodes::Image => Some(Built::find(&layout.unpacked_image())?),
    };
    Ok(Image {
        built,
        program: layout.node_program(),
        arguments: Vec::new(),
        environment: vec![
            ("NEO4J_HOME".into(), layout.neo4j_home().display().to_string()),
            ("ROOT_DISK".into(), root_disk.into()),
        ],
        hosts: layout.run.join("hosts"),
        logs: layout.run.join("logs"),
    })
}

async fn serve(gateway: Gateway, listener: TcpListener) {
    if let Err(error) = gateway.serve(listener, control::routes()).await {
        warn!(%error, "the gateway ended");
    }
}

async fn reconcile(gateway: Gateway) {
    loop {
        if let Err(error) = gateway.ecs.reconcile().await {
            warn!(%error, "services cannot be read; tasks stay as they are");
        }
        tokio::time::sleep(LOOK).await;
    }
}

async fn refresh(gateway: Gateway) {
    loop {
        if let Err(error) = gateway.elb.refresh().await {
            warn!(%error, "balancers cannot be read; listeners stay as they are");
        }
        if gateway.elb.has_orphans()
            && let Err(reason) = adopt(&gateway).await
        {
            warn!(reason, "stacks cannot be read; new balancers belong to none");
        }
        tokio::time::sleep(LOOK_AT_BALANCERS).await;
    }
}

/// Finds the stack of each balancer that has none. A stack that is being made has its nested ones when they are complete.
async fn adopt(gateway: &Gateway) -> Result<(), String> {
    for stack in stacks::roots(gateway.emulator.at).await? {
        let resources = stacks::resources(gateway.emulator.at, &stack).await?;
        let ids: Vec<String> = resources.into_iter().map(|resource| resource.physical_id).collect();
        gateway.elb.adopt(&stack, &ids);
    }
    Ok(())
}

async fn reap(mut child: tokio::process::Child) {
    let status = child.wait().await;
    warn!(?status, "the emulator ended");
}
