//! A clock of its own: what the nodes and the balancer say every 20 ms, independent of the product.

use std::{
    collections::HashMap,
    net::Ipv4Addr,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use tokio::task::JoinHandle;

use crate::{
    cloud::Cloud,
    control::{HTTP_PORT, master_path},
    http as wire,
    observe::healthy,
};

const EVERY: Duration = Duration::from_millis(20);
/// A frozen node costs the prober this much, and only its own line.
const PATIENCE: Duration = Duration::from_millis(500);

/// What was first seen when.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// A node answered `true` as the master, for the first time since the watch began.
    pub elected: HashMap<Ipv4Addr, Instant>,
    /// The balancer's own check let a node in, for the first time since the watch began.
    pub admitted: HashMap<Ipv4Addr, Instant>,
    /// More than one node said that it is the master, in the same look.
    pub two_masters: u32,
}

/// A watch that runs until it is stopped.
pub struct Watch {
    seen: Arc<Mutex<Seen>>,
    looking: JoinHandle<()>,
}

impl Watch {
    /// Watches the nodes at `addresses`, which are asked themselves, and their health on the write listener at `port`.
    pub fn start(addresses: Vec<Ipv4Addr>, cloud: &Cloud, port: u16) -> Self {
        let seen: Arc<Mutex<Seen>> = Arc::default();
        let looking = tokio::spawn(look(addresses, cloud.clone(), port, Arc::clone(&seen)));
        Self { seen, looking }
    }

    /// What was seen so far.
    pub fn seen(&self) -> Seen {
        self.seen.lock().expect("no panic while held").clone()
    }

    /// Ends the watch.
    pub fn stop(self) -> Seen {
        self.looking.abort();
        self.seen()
    }
}

async fn look(addresses: Vec<Ipv4Addr>, cloud: Cloud, port: u16, seen: Arc<Mutex<Seen>>) {
    let path = master_path(&cloud.tasks());
    let mut tick = tokio::time::interval(EVERY);
    loop {
        tick.tick().await;
        let ask = |address: &Ipv4Addr| tokio::spawn(is_master(*address, path));
        let asked: Vec<_> = addresses.iter().map(ask).collect();
        let mut masters = Vec::new();
        for (address, answer) in addresses.iter().zip(asked) {
            if let Ok(Some(at)) = answer.await {
                masters.push((*address, at));
            }
        }
        let healthy = healthy(&cloud.balancers(), port);
        let mut seen = seen.lock().expect("as above");
        seen.two_masters += u32::from(masters.len() > 1);
        for (address, at) in masters {
            seen.elected.entry(address).or_insert(at);
        }
        for address in healthy {
            seen.admitted.entry(address).or_insert_with(Instant::now);
        }
    }
}

async fn is_master(address: Ipv4Addr, path: &str) -> Option<Instant> {
    let answer = wire::get((address, HTTP_PORT).into(), path, PATIENCE).await;
    matches!(answer, Ok((200, ref body)) if &body[..] == b"true").then(Instant::now)
}
