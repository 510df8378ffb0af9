//! What the commands ask of a running cloud: status, and breaking things.

use std::{net::Ipv4Addr, time::Duration};

use axum::{
    Json, Router,
    extract::{Path, State},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use http::StatusCode;
use serde::{Deserialize, Serialize};

use crate::{
    ecs::Task,
    elb,
    gateway::{Fault, Gateway},
    http as wire,
    processes::{Signal, children, signal, signal_group},
    stack::Stack,
};

/// A frozen node must not hold the status up.
const ASK: Duration = Duration::from_secs(1);
/// Where each node tells its role.
pub const HTTP_PORT: u16 = 7474;
/// Where the balancers' checks ask, and where a node program reports no role before its node has joined.
const CHECK_PORT: u16 = 7475;

/// The cloud now.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Status {
    /// Every task of a service that is not gone.
    pub nodes: Vec<Node>,
    /// Every stand-alone task, for an hour after its end too.
    #[serde(default)]
    pub tasks: Vec<StandAlone>,
    /// Every balancer.
    pub balancers: Vec<elb::BalancerStatus>,
    /// Slots (services) that have no instance.
    #[serde(default)]
    pub without_host: Vec<String>,
    /// Resources of the template that the emulator lacks: `Logical (Type)`.
    pub left_out: Vec<String>,
}

/// One task.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Node {
    /// The name of its cluster, which is its stack's.
    pub stack: String,
    /// Its service.
    pub service: String,
    /// The task's id.
    pub task: String,
    /// Its address.
    pub address: Ipv4Addr,
    /// ECS's `lastStatus`.
    pub status: String,
    /// `master`, `slave`, or what it said instead.
    pub role: String,
    /// The node program.
    pub pid: i32,
    /// The agent of its instance is dead: `StopTask` is accepted, and nothing happens.
    #[serde(default)]
    pub agent_dead: bool,
}

/// A task that `RunTask` started.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct StandAlone {
    /// The name of its cluster, which is its stack's.
    pub stack: String,
    /// The family of its definition.
    pub family: String,
    /// Its id.
    pub task: String,
    /// Its address.
    pub address: Ipv4Addr,
    /// ECS's `lastStatus`.
    pub status: String,
    /// Who started it, as `RunTask` was told.
    pub started_by: Option<String>,
    /// How it ended: ECS's reason, and the exit code if there is one.
    pub ended: Option<(String, Option<i32>)>,
    /// Its program.
    pub pid: i32,
}

/// What to do to a node.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Act {
    /// SIGKILL.
    Kill,
    /// SIGSTOP: sockets stay open, nothing answers.
    Freeze,
    /// SIGCONT.
    Thaw,
    /// SIGKILL, and its volume is lost.
    Lose,
    /// The agent of its instance dies: `StopTask` is accepted, and nothing happens.
    KillAgent,
    /// The agent is back: it stops what should have stopped.
    ReviveAgent,
    /// Its instance is terminated with all that is on it; the volume is kept.
    TerminateInstance,
    /// The same, and no other instance takes its place: no task is placed in the slot.
    TakeHost,
    /// The slot has an instance again.
    GiveHost,
}

/// An act on a node.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Order {
    /// The stack that has it.
    pub stack: String,
    /// `core-1`, a whole service name, a task id, or `master`; a signal may also go to a stand-alone task, such as `backup`.
    pub node: String,
    /// What to do.
    pub act: Act,
    /// To the JVM only, not to the node program.
    pub jvm: bool,
}

/// The routes below `/_local`.
pub fn routes() -> Router<Gateway> {
    Router::new()
        .route("/status", get(async |State(gateway): State<Gateway>| Json(status(&gateway).await)))
        .route("/act", post(act))
        .route("/faults", post(inject))
        .route("/calls", get(async |State(gateway): State<Gateway>| Json(gateway.calls.counts())))
        .route("/shutdown", post(async |State(gateway): State<Gateway>| gateway.ending.notify_one()))
        .route("/metadata/{task}/task", get(metadata))
}

/// What every node and balancer says now; all nodes are asked at once.
pub async fn status(gateway: &Gateway) -> Status {
    let (alone, of_services): (Vec<Task>, Vec<Task>) =
        gateway.ecs.tasks().into_iter().partition(|task| task.alone.is_some());
    let alive = of_services.into_iter().filter(|task| task.stopped.is_none());
    let asked: Vec<_> =
        alive.map(|task| tokio::spawn(async move { node(&task, role(&task).await) })).collect();
    let dead = gateway.ecs.dead_agents();
    let mut nodes = Vec::new();
    for answer in asked {
        nodes.extend(answer.await);
    }
    nodes.iter_mut().for_each(|node: &mut Node| node.agent_dead = dead.contains(&node.service));
    nodes.sort_by(|a, b| a.service.cmp(&b.service));
    let without_host = gateway.ecs.without_host().into_iter().collect();
    let tasks = alone.iter().map(stand_alone).collect();
    Status { nodes, tasks, balancers: gateway.elb.status(), without_host, left_out: gateway.left_out.all() }
}

impl Status {
    /// What of it is `stack`'s. What was left out of templates is not told apart.
    #[must_use]
    pub fn of(mut self, stack: &Stack) -> Self {
        self.nodes.retain(|node| node.stack == stack.name());
        self.tasks.retain(|task| task.stack == stack.name());
        self.balancers.retain(|balancer| balancer.stack == stack.name());
        self.without_host.retain(|service| stack.has_slot(service));
        self
    }
}

/// Where the nodes of these tasks say `200 true` if they are the master: Neo4j's own endpoint, not the node program's.
pub fn master_path(tasks: &[Task]) -> &'static str {
    match tasks.first().and_then(dialect) {
        Some("CLUSTER") => "/db/manage/server/core/writable",
        _ => "/db/manage/server/ha/master",
    }
}

fn dialect(task: &Task) -> Option<&str> {
    let mut words = task.definition.container.environment.iter();
    words.find(|(name, _)| name == "DIALECT").map(|(_, word)| word.as_str())
}

/// The role of a task's node: what its Neo4j says, once its node program reports a role to the balancers.
async fn role(task: &Task) -> String {
    let role = own_role(task).await;
    if role != "slave" {
        return role;
    }
    match wire::get((task.address, CHECK_PORT).into(), "/role", ASK).await {
        Ok((503, body)) if &body[..] == b"NOT-KNOWN" => "joining".into(),
        _ => role,
    }
}

/// What the Neo4j says, asked in words of this crate's own, not through the product's probe.
async fn own_role(task: &Task) -> String {
    let dialect = dialect(task);
    let path = match dialect {
        Some("CLUSTER") => "/db/manage/server/core/writable",
        // A node on its own has no endpoint for roles: one that answers is the master.
        Some("SINGLE") => "/",
        _ => "/db/manage/server/ha/available",
    };
    match wire::get((task.address, HTTP_PORT).into(), path, ASK).await {
        Ok((200, _)) if dialect == Some("SINGLE") => "master".into(),
        Ok((200, body)) if &body[..] == b"true" => "master".into(),
        Ok((404, body)) if &body[..] == b"false" => "slave".into(),
        Ok((200, body)) => String::from_utf8_lossy(&body[..body.len().min(20)]).into_owned(),
        Ok((404, body)) if &body[..] == b"UNKNOWN" => "unknown".into(),
        Ok((status, _)) => format!("http {status}"),
        Err(wire::Failure::Connection(..)) => "down".into(),
        Err(wire::Failure::Timeout(..)) => "silent".into(),
    }
}

fn stack_of(task: &Task) -> String {
    task.cluster.rsplit('/').next().unwrap_or_default().to_owned()
}

fn stand_alone(task: &Task) -> StandAlone {
    StandAlone {
        stack: stack_of(task),
        family: task.definition.family.clone(),
        task: task.id().to_owned(),
        address: task.address,
        status: task.last_status().to_owned(),
        started_by: task.started_by(),
        ended: task.stopped.as_ref().map(|end| (end.reason.clone(), end.exit)),
        pid: task.pid,
    }
}

fn node(task: &Task, role: String) -> Node {
    Node {
        stack: stack_of(task),
        service: task.service.clone(),
        task: task.id().to_owned(),
        address: task.address,
        status: task.last_status().to_owned(),
        role,
        pid: task.pid,
        agent_dead: false,
    }
}

async fn act(State(gateway): State<Gateway>, Json(order): Json<Order>) -> Response {
    let status = status(&gateway).await.of(&Stack::new(&order.stack));
    if let Act::GiveHost = order.act {
        // There is no node in such a slot.
        let mut slots = status.without_host.into_iter();
        return match slots.find(|service| is_named(service, &order.node)) {
            Some(service) => {
                gateway.ecs.give_host(&service);
                Json(service).into_response()
            }
            None => (StatusCode::NOT_FOUND, format!("{} has its host", order.node)).into_response(),
        };
    }
    let Some(node) = status.nodes.iter().find(|node| node.answers_to(&order.node)) else {
        let mut running = status.tasks.iter().filter(|task| task.ended.is_none());
        if let (Some(task), Some(which)) =
            (running.find(|task| task.answers_to(&order.node)), order.act.signal())
        {
            signal_group(task.pid, which);
            return Json(task).into_response();
        }
        let known: Vec<&str> = status.nodes.iter().map(|node| node.service.as_str()).collect();
        let message =
            format!("the stack {} has no node {}: it has {}", order.stack, order.node, known.join(", "));
        return (StatusCode::NOT_FOUND, message).into_response();
    };
    let ecs = &gateway.ecs;
    match order.act {
        Act::Lose => {
            if let Err(error) = ecs.lose(&node.service) {
                return (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response();
            }
        }
        Act::KillAgent => ecs.kill_agent(&node.service),
        Act::ReviveAgent => ecs.revive_agent(&node.service),
        Act::TerminateInstance => ecs.terminate_instance(&node.service),
        Act::TakeHost => ecs.take_host(&node.service),
        Act::GiveHost | Act::Kill | Act::Freeze | Act::Thaw => {}
    }
    let Some(which) = order.act.signal() else { return Json(node).into_response() };
    if order.jvm {
        children(node.pid).into_iter().for_each(|jvm| signal(jvm, which));
    } else {
        signal_group(node.pid, which);
    }
    Json(node).into_response()
}

async fn inject(State(gateway): State<Gateway>, Json(fault): Json<Fault>) {
    gateway.faults.inject(fault);
}

async fn metadata(State(gateway): State<Gateway>, Path(task): Path<String>) -> Response {
    match gateway.ecs.tasks().iter().find(|known| known.id() == task) {
        Some(task) => Json(task.metadata()).into_response(),
        None => (StatusCode::NOT_FOUND, "no such task").into_response(),
    }
}

impl Act {
    /// The signal that it is, if it is one.
    fn signal(self) -> Option<Signal> {
        match self {
            Self::Kill => Some(Signal::KILL),
            Self::Freeze => Some(Signal::STOP),
            Self::Thaw => Some(Signal::CONT),
            _ => None,
        }
    }
}

impl StandAlone {
    /// Whether a person means this task by `name`.
    pub fn answers_to(&self, name: &str) -> bool {
        is_named(&self.family, name) || self.task == name
    }
}

impl Node {
    /// Whether a person means this node by `name`.
    pub fn answers_to(&self, name: &str) -> bool {
        is_named(&self.service, name) || self.task == name || (name == "master" && self.role == "master")
    }
}

/// Whether a person means this service or family by `name`: all of it, or its end.
fn is_named(service: &str, name: &str) -> bool {
    service == name || service.ends_with(&format!("-{name}"))
}
