//! Looks at the own node many times a second: rings the doorbell, answers for it on the status port, and tells when its
//! JVM is frozen.

use std::{
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use neo4j::Dialect;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};
use topology::{Answer, NotKnown};
use tracing::{error, info};

use crate::{Settings, admin::Administrator, doorbell::Doorbell, watch::Watch};

/// From one look to the next. Neo4j answers its role endpoint in under a millisecond.
const LOOK: Duration = Duration::from_millis(75);
/// Later than this is silence, in one look; a frozen JVM is silent in many.
const DEADLINE: Duration = Duration::from_millis(1000);
const BOLT_PORT: u16 = 7687;
/// Bolt's magic, and the versions 1 to 4 in the order of preference: any Neo4j answers with one of them, or with zero.
const BOLT_HELLO: [u8; 20] = [0x60, 0x60, 0xB0, 0x17, 0, 0, 0, 4, 0, 0, 0, 3, 0, 0, 0, 2, 0, 0, 0, 1];

/// The watch over the own node. Clones watch the same node.
#[derive(Clone)]
pub struct Guard {
    dialect: Dialect,
    http: SocketAddr,
    bolt: SocketAddr,
    watch: Arc<Mutex<Watch>>,
    doorbell: Doorbell,
    administrator: Administrator,
}

impl Guard {
    /// Over the node at `address`.
    pub fn new(
        settings: &Settings,
        address: IpAddr,
        doorbell: Doorbell,
        administrator: Administrator,
    ) -> Self {
        Self {
            dialect: settings.dialect,
            http: SocketAddr::new(address, crate::child::HTTP_PORT),
            bolt: SocketAddr::new(address, BOLT_PORT),
            watch: Arc::new(Mutex::new(Watch::new(settings.fence_after))),
            doorbell,
            administrator,
        }
    }

    /// Neo4j is started now.
    pub fn start(&self) {
        self.watch().start();
    }

    /// Looks until the JVM is frozen; for how long it has been silent then.
    pub async fn until_frozen(&self) -> Duration {
        loop {
            let answer = neo4j::probe(self.dialect, self.http, DEADLINE).await;
            let bolt = answer == Answer::NotKnown(NotKnown::Silent) && self.bolt_answers().await;
            let now = Instant::now();
            let (bells, frozen, silent) = {
                let mut watch = self.watch();
                (watch.see(now, answer, bolt), watch.is_frozen(now), watch.silent_for(now))
            };
            for bell in bells {
                info!(event = bell.name(), "the role has changed");
                self.doorbell.ring(bell);
            }
            if frozen {
                error!(
                    event = "frozen",
                    "Neo4j has answered nothing on HTTP and Bolt for {} s",
                    silent.as_secs()
                );
                return silent;
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// What the status port tells.
    pub async fn status(&self) -> neo4j::Status {
        let who = self.administrator.credentials().await;
        let told = neo4j::members(self.http, who.as_ref(), DEADLINE / 2).await;
        if told.is_err() {
            self.administrator.refused().await;
        }
        let members = told.ok().flatten();
        let watch = self.watch();
        neo4j::Status {
            phase: watch.phase().to_owned(),
            role: watch.role().to_owned(),
            silent_ms: u64::try_from(watch.silent_for(Instant::now()).as_millis()).unwrap_or(u64::MAX),
            alive: members.map(|(alive, _)| alive),
            last_transaction: members.and_then(|(_, last)| last),
        }
    }

    fn watch(&self) -> std::sync::MutexGuard<'_, Watch> {
        self.watch.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether Bolt chooses a version: a sign of life of another thread pool than HTTP's.
    async fn bolt_answers(&self) -> bool {
        let hello = async {
            let mut stream = TcpStream::connect(self.bolt).await.ok()?;
            stream.write_all(&BOLT_HELLO).await.ok()?;
            let mut version = [0; 4];
            stream.read_exact(&mut version).await.ok()
        };
        matches!(timeout(DEADLINE, hello).await, Ok(Some(_)))
    }
}
