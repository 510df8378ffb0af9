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
    /// Every task that is not gone.
    pub nodes: Vec<Node>,
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
    /// `core-1`, a whole service name, a task id, or `master`.
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
    let tasks = gateway.ecs.tasks();
    let alive = tasks.into_iter().filter(|task| task.stopped.is_none());
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
    Status { nodes, balancers: gateway.elb.status(), without_host, left_out: gateway.left_out.all() }
}

impl Status {
    /// What of it is `stack`'s. What was left out of templates is not told apart.
    #[must_use]
    pub fn of(mut self, stack: &Stack) -> Self {
        self.nodes.retain(|node| node.stack == stack.name());
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

fn node(task: &Task, role: String) -> Node {
    Node {
        stack: task.cluster.rsplit('/').next().unwrap_or_default().to_owned(),
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
        let known: Vec<&str> = status.nodes.iter().map(|node| node.service.as_str()).collect();
        let message =
            format!("the stack {} has no node {}: it has {}", order.stack, order.node, known.join(", "));
        return (StatusCode::NOT_FOUND, message).into_response();
    };
    let ecs = &gateway.ecs;
    let which = match order.act {
        Act::Kill => Some(Signal::KILL),
        Act::Freeze => Some(Signal::STOP),
        Act::Thaw => Some(Signal::CONT),
        Act::Lose => match ecs.lose(&node.service) {
            Ok(()) => None,
            Err(error) => return (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
        },
        Act::KillAgent => {
            ecs.kill_agent(&node.service);
            None
        }
        Act::ReviveAgent => {
            ecs.revive_agent(&node.service);
            None
        }
        Act::TerminateInstance => {
            ecs.terminate_instance(&node.service);
            None
        }
        Act::TakeHost => {
            ecs.take_host(&node.service);
            None
        }
        Act::GiveHost => None,
    };
    let Some(which) = which else { return Json(node).into_response() };
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

impl Node {
    /// Whether a person means this node by `name`.
    pub fn answers_to(&self, name: &str) -> bool {
        is_named(&self.service, name) || self.task == name || (name == "master" && self.role == "master")
    }
}

/// Whether a person means this service by `name`: all of it, or its end.
fn is_named(service: &str, name: &str) -> bool {
    service == name || service.ends_with(&format!("-{name}"))
}
