//! Network load balancers made real: a TCP proxy on each listener, real health checks, registration that takes its
//! time, and `DescribeTargetHealth` told from all that.
//!
//! ```text
//! calls --> group (who is registered, who is healthy; pure) <-- check (HTTP or TCP, one loop a target)
//!             |
//!             `--> proxy (routable targets for new connections, ends for open ones)
//! ```
//!
//! What exists and how it is set is the emulator's; it is read again every look.

pub mod api;
mod check;
pub mod config;
pub mod group;
mod proxy;
pub mod rules;

use std::{
    collections::{BTreeMap, HashMap},
    net::{Ipv4Addr, SocketAddrV4},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use aws_sdk_elasticloadbalancingv2::Client;
use serde::{Deserialize, Serialize};
use tokio::{
    net::TcpListener,
    task::{AbortHandle, JoinHandle, JoinSet},
};
use tracing::warn;

pub use api::ApiReply;
use config::{Configuration, Listener, Unreadable};
use group::{Described, Group};
use proxy::Connections;
use rules::Rules;

use crate::address::AddressPool;

/// How often targets that drained are let go and new ones get their checks.
const TICK: Duration = Duration::from_millis(20);

/// The balancers. Clones are the same balancers.
#[derive(Clone)]
pub struct Elb(Arc<Inner>);

struct Inner {
    client: Client,
    addresses: AddressPool,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    propagation: Duration,
    balancers: BTreeMap<String, Balancer>,
    groups: HashMap<String, Served>,
}

struct Balancer {
    arn: String,
    /// The name of the root stack that it was found in.
    stack: Option<String>,
    address: Ipv4Addr,
    listeners: BTreeMap<u16, (Listener, JoinHandle<()>)>,
}

struct Served {
    group: Arc<Mutex<Group>>,
    connections: Connections,
    checking: JoinHandle<()>,
}

/// A balancer as people see it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct BalancerStatus {
    /// The stack that made it; empty while none is known that did.
    #[serde(default)]
    pub stack: String,
    /// Its name in DNS.
    pub name: String,
    /// Where it listens: there is no DNS here.
    pub address: Ipv4Addr,
    /// Its listeners in the order of their ports.
    pub listeners: Vec<ListenerStatus>,
}

/// A listener and its targets.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ListenerStatus {
    /// Its port.
    pub port: u16,
    /// The path of its group's health check, which tells writers from readers; empty for a TCP check.
    pub check: String,
    /// The targets of the group it forwards to.
    pub targets: Vec<TargetStatus>,
}

impl ListenerStatus {
    /// Whether the check that its group has admits the node that may write, and no other.
    pub fn admits_the_master_alone(&self) -> bool {
        self.check == "/role"
    }
}

/// A target and its health.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TargetStatus {
    /// Its address.
    pub ip: Ipv4Addr,
    /// Its port.
    pub port: u16,
    /// As `DescribeTargetHealth` tells it.
    pub state: String,
    /// The reason code, unless it is healthy.
    pub reason: Option<String>,
}

impl Elb {
    /// Balancers that the emulator at `endpoint` keeps. A registration reaches the data plane after `propagation`.
    pub fn new(endpoint: &str, addresses: AddressPool, propagation: Duration) -> Self {
        let client = config::client(endpoint);
        let state = Mutex::new(State { propagation, ..State::default() });
        Self(Arc::new(Inner { client, addresses, state }))
    }

    /// From now on a call reaches the data plane after `propagation`; calls on their way are not overtaken.
    pub fn set_propagation(&self, propagation: Duration) {
        let mut state = self.state();
        state.propagation = propagation;
        state.groups.values().for_each(|served| lock(&served.group).propagation = propagation);
    }

    /// Reads what exists, starts what is new and ends what is gone.
    ///
    /// # Errors
    /// When it cannot be read, or a port not be bound; everything else stays as it is.
    pub async fn refresh(&self) -> Result<(), Unreadable> {
        let configuration = config::read(&self.0.client).await?;
        self.apply(configuration).await
    }

    /// Makes `configuration` what is served.
    ///
    /// # Errors
    /// When a port cannot be bound.
    pub async fn apply(&self, configuration: Configuration) -> Result<(), Unreadable> {
        self.apply_groups(configuration.groups);
        let names: Vec<String> =
            configuration.balancers.iter().map(|balancer| balancer.name.clone()).collect();
        let gone = self.state().balancers.extract_if(.., |name, _| !names.contains(name)).collect::<Vec<_>>();
        gone.iter()
            .flat_map(|(_, balancer)| balancer.listeners.values())
            .for_each(|(_, serving)| serving.abort());
        for balancer in configuration.balancers {
            let address = {
                let mut state = self.state();
                let known = state.balancers.entry(balancer.name.clone());
                let known = known.or_insert_with(|| Balancer {
                    arn: balancer.arn.clone(),
                    stack: None,
                    address: self.0.addresses.next(),
                    listeners: BTreeMap::new(),
                });
                known.listeners.retain(|_, (listener, serving)| {
                    let stays = balancer.listeners.contains(listener);
                    if !stays {
                        serving.abort();
                    }
                    stays
                });
                known.address
            };
            for listener in balancer.listeners {
                self.listen(&balancer.name, address, listener).await?;
            }
        }
        Ok(())
    }

    /// Answers a call about targets; none for any other call.
    pub async fn answer(&self, form: &BTreeMap<String, String>) -> Option<ApiReply> {
        let action = form.get("Action")?.as_str();
        if !matches!(action, "RegisterTargets" | "DeregisterTargets" | "DescribeTargetHealth") {
            return None;
        }
        let arn = form.get("TargetGroupArn").map(String::as_str).unwrap_or_default();
        if !self.state().groups.contains_key(arn) {
            // It may be younger than the last look.
            if let Err(error) = self.refresh().await {
                warn!(%error, "balancers cannot be read");
            }
        }
        let Some((group, in_use)) = self.group(arn) else { return Some(api::no_group(arn)) };
        let mut group = lock(&group);
        let targets = match api::targets(form, group.rules.port) {
            Ok(targets) => targets,
            Err(refusal) => return Some(refusal),
        };
        let now = Instant::now();
        match action {
            "RegisterTargets" => targets.into_iter().for_each(|target| group.register(now, target)),
            "DeregisterTargets" => targets.into_iter().for_each(|target| group.deregister(now, target)),
            _ => {
                let described = described(&group, now, &targets, in_use);
                return Some(api::health(&described, group.rules.check.port));
            }
        }
        Some(api::done(action))
    }

    /// `(DNS name, address)` of every balancer.
    pub fn names(&self) -> Vec<(String, Ipv4Addr)> {
        self.state().balancers.iter().map(|(name, balancer)| (name.clone(), balancer.address)).collect()
    }

    /// Whether there is a balancer of which no stack is known.
    pub fn has_orphans(&self) -> bool {
        self.state().balancers.values().any(|balancer| balancer.stack.is_none())
    }

    /// `stack` has the resources with these physical ids: its balancers are known by it from now on.
    pub fn adopt(&self, stack: &str, physical_ids: &[String]) {
        let mut state = self.state();
        let orphans = state.balancers.values_mut().filter(|balancer| balancer.stack.is_none());
        for balancer in orphans.filter(|balancer| physical_ids.contains(&balancer.arn)) {
            balancer.stack = Some(stack.to_owned());
        }
    }

    /// Every balancer with its listeners and their targets.
    pub fn status(&self) -> Vec<BalancerStatus> {
        let (state, now) = (self.state(), Instant::now());
        let target = |told: Described| TargetStatus {
            ip: *told.at.ip(),
            port: told.at.port(),
            state: told.state.to_owned(),
            reason: told.reason.map(str::to_owned),
        };
        let listener = |listener: &Listener| {
            let group = state.groups.get(&listener.group);
            let (check, targets) = group.map(|served| lock(&served.group).told(now)).unwrap_or_default();
            ListenerStatus { port: listener.port, check, targets: targets.into_iter().map(target).collect() }
        };
        let balancer = |(name, balancer): (&String, &Balancer)| BalancerStatus {
            stack: balancer.stack.clone().unwrap_or_default(),
            name: name.clone(),
            address: balancer.address,
            listeners: balancer.listeners.values().map(|(served, _)| listener(served)).collect(),
        };
        state.balancers.iter().map(balancer).collect()
    }

    /// Stops listening and checking.
    pub async fn shutdown(&self) {
        let state = std::mem::take(&mut *self.state());
        let serving = state.balancers.into_values().flat_map(|balancer| balancer.listeners.into_values());
        let tasks = serving
            .map(|(_, serving)| serving)
            .chain(state.groups.into_values().map(|served| served.checking));
        for task in tasks {
            task.abort();
            let _aborted = task.await;
        }
    }

    fn apply_groups(&self, groups: HashMap<String, Rules>) {
        let mut state = self.state();
        let gone = state.groups.extract_if(|arn, _| !groups.contains_key(arn)).collect::<Vec<_>>();
        gone.iter().for_each(|(_, served)| served.checking.abort());
        for (arn, rules) in groups {
            if let Some(served) = state.groups.get(&arn) {
                lock(&served.group).rules = rules;
            } else {
                let group = Arc::new(Mutex::new(Group::new(rules, state.propagation)));
                let connections = Connections::default();
                let checking = tokio::spawn(watch(Arc::clone(&group), connections.clone()));
                state.groups.insert(arn, Served { group, connections, checking });
            }
        }
    }

    async fn listen(&self, balancer: &str, address: Ipv4Addr, listener: Listener) -> Result<(), Unreadable> {
        let served = {
            let state = self.state();
            let known = state
                .balancers
                .get(balancer)
                .is_some_and(|known| known.listeners.contains_key(&listener.port));
            let group = state.groups.get(&listener.group);
            let served = group.map(|served| (Arc::clone(&served.group), served.connections.clone()));
            if known { None } else { served }
        };
        // A group that is not there yet comes with the next look.
        let Some((group, connections)) = served else { return Ok(()) };
        let socket = TcpListener::bind((address, listener.port)).await.map_err(|error| Unreadable::Call {
            call: "listening",
            reason: format!("{address}:{}: {error}", listener.port),
        })?;
        let routable = move || lock(&group).routable(Instant::now());
        let serving = tokio::spawn(proxy::serve(socket, connections, listener.idle, routable));
        if let Some(known) = self.state().balancers.get_mut(balancer) {
            known.listeners.insert(listener.port, (listener, serving));
        }
        Ok(())
    }

    /// The group, and whether a listener forwards to it.
    fn group(&self, arn: &str) -> Option<(Arc<Mutex<Group>>, bool)> {
        let state = self.state();
        let served = state.groups.get(arn)?;
        let mut listeners = state.balancers.values().flat_map(|balancer| balancer.listeners.values());
        Some((Arc::clone(&served.group), listeners.any(|(listener, _)| listener.group == arn)))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.0.state)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// All targets, or those asked for: one that is not registered is reported as unused, and so is every target of a group
/// without a listener.
fn described(group: &Group, now: Instant, asked: &[SocketAddrV4], in_use: bool) -> Vec<Described> {
    let mut known = group.describe(now);
    if !in_use {
        let idle = known.iter_mut().filter(|target| target.state != "draining");
        idle.for_each(|target| (target.state, target.reason) = ("unused", Some("Target.NotInUse")));
    }
    if asked.is_empty() {
        return known;
    }
    let find = |at: &SocketAddrV4| known.iter().find(|target| target.at == *at).copied();
    let missing = |at: SocketAddrV4| Described { at, state: "unused", reason: Some("Target.NotRegistered") };
    asked.iter().map(|at| find(at).unwrap_or_else(|| missing(*at))).collect()
}

/// Checks every target of a group on its own, and lets go those that drained.
async fn watch(group: Arc<Mutex<Group>>, connections: Connections) {
    // Dropped with this loop, and every check with it.
    let mut running = JoinSet::new();
    let mut checks: HashMap<SocketAddrV4, AbortHandle> = HashMap::new();
    let mut tick = tokio::time::interval(TICK);
    loop {
        tick.tick().await;
        let targets = {
            let (mut group, now) = (lock(&group), Instant::now());
            group.expire(now).into_iter().for_each(|target| connections.terminate(target));
            group.checked_targets(now)
        };
        checks.retain(|target, checking| {
            let stays = targets.contains(target);
            if !stays {
                checking.abort();
            }
            stays
        });
        for target in targets {
            let check = || running.spawn(check_for_ever(target, Arc::clone(&group), connections.clone()));
            checks.entry(target).or_insert_with(check);
        }
        while running.try_join_next().is_some() {}
    }
}

/// The first check comes at once, each next one an interval after the one before was sent.
async fn check_for_ever(target: SocketAddrV4, group: Arc<Mutex<Group>>, connections: Connections) {
    loop {
        let rules = lock(&group).rules.check.clone();
        let next = tokio::time::Instant::now() + rules.interval;
        let outcome = check::ask(target, &rules).await;
        if lock(&group).check_ended(Instant::now(), target, outcome) {
            connections.terminate(target);
        }
        tokio::time::sleep_until(next).await;
    }
}
