//! A client's view of the write group, all the time: at most one target that it could write to as a master.

use std::{
    collections::BTreeSet,
    net::Ipv4Addr,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use local::{
    cloud::Cloud,
    control::{HTTP_PORT, master_path},
    elb::{ListenerStatus, TargetStatus},
    http as wire, observe,
};
use tokio::task::JoinHandle;

use super::Outcome;

const EVERY: Duration = Duration::from_millis(50);
/// A client cannot use a frozen node, and later than this an answer says nothing of the same moment.
const PATIENCE: Duration = Duration::from_millis(250);

/// Looks until it is ended.
pub struct Sampler {
    looks: Arc<Mutex<Vec<Look>>>,
    looking: JoinHandle<()>,
}

/// One look.
#[derive(Clone, Debug)]
struct Look {
    at: Instant,
    usable: BTreeSet<Ipv4Addr>,
}

impl Sampler {
    /// Starts to look at the write group of the port that HTTP clients use.
    pub fn start(cloud: &Cloud) -> Self {
        let looks: Arc<Mutex<Vec<Look>>> = Arc::default();
        let looking = tokio::spawn(look(cloud.clone(), Arc::clone(&looks)));
        Self { looks, looking }
    }

    /// Whether `address` was usable at any time since `since`.
    pub fn was_usable(&self, address: Ipv4Addr, since: Instant) -> bool {
        let looks = self.looks.lock().expect("no panic while looks are held");
        looks.iter().any(|look| look.at >= since && look.usable.contains(&address))
    }

    /// Ends it: never more than one target was usable, and there were looks with one.
    pub fn end(self) -> Outcome {
        self.looking.abort();
        let looks = self.looks.lock().expect("as above");
        if let Some(both) = looks.iter().find(|look| look.usable.len() > 1) {
            return Err(format!(
                "a client could use more than one target of the write group: {:?}",
                both.usable
            ));
        }
        if looks.iter().any(|look| !look.usable.is_empty()) {
            return Ok(());
        }
        Err(format!("in {} looks no target of the write group was usable: nothing was shown", looks.len()))
    }
}

async fn look(cloud: Cloud, looks: Arc<Mutex<Vec<Look>>>) {
    let path = master_path(&cloud.tasks());
    let mut tick = tokio::time::interval(EVERY);
    loop {
        tick.tick().await;
        let balancers = cloud.balancers();
        let Some((_, listener)) =
            observe::writers(&balancers).find(|(_, listener)| listener.port == HTTP_PORT)
        else {
            continue;
        };
        let at = Instant::now();
        let asked: Vec<_> =
            routable(listener).map(|address| (address, tokio::spawn(is_master(address, path)))).collect();
        let mut usable = BTreeSet::new();
        for (address, answer) in asked {
            if answer.await.unwrap_or(false) {
                usable.insert(address);
            }
        }
        looks.lock().expect("as above").push(Look { at, usable });
    }
}

/// Where the balancer sends a new connection: to healthy targets, or to all that do not drain when none is healthy.
fn routable(listener: &ListenerStatus) -> impl Iterator<Item = Ipv4Addr> {
    let healthy = |target: &&TargetStatus| target.state == "healthy";
    let open = !listener.targets.iter().any(|target| healthy(&target));
    let gets = move |target: &&TargetStatus| healthy(target) || (open && target.state != "draining");
    listener.targets.iter().filter(gets).map(|target| target.ip)
}

async fn is_master(address: Ipv4Addr, path: &str) -> bool {
    let answer = wire::get((address, HTTP_PORT).into(), path, PATIENCE).await;
    matches!(answer, Ok((200, ref body)) if &body[..] == b"true")
}
