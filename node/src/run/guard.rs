//! Looks at the own node many times a second: rings the doorbell, answers for it on the status port, and tells when its
//! JVM is frozen.

mod store;

use std::{
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use neo4j::{Dialect, Hello};
use tokio::time::sleep;
use topology::{Answer, NotKnown, PATIENCE};
use tracing::{error, info};

use super::{
    doorbell::Doorbell,
    members::MemberLook,
    role::BESIDE,
    watch::{Start, Watch},
};
use crate::{Settings, restore::Progress, store::Facts};
use store::Store;

/// From one look to the next. Neo4j answers its role endpoint in under a millisecond.
const LOOK: Duration = Duration::from_millis(75);
const SILENT: Answer = Answer::NotKnown(NotKnown::Silent);

/// The watch over the own node. Clones watch the same node.
#[derive(Clone)]
pub struct Guard {
    dialect: Dialect,
    http: SocketAddr,
    bolt: SocketAddr,
    watch: Arc<Mutex<Watch>>,
    doorbell: Doorbell,
    members: MemberLook,
    store: Store,
    restore: Arc<Mutex<Option<Restore>>>,
}

/// A restore of this node, as its status shows it.
#[derive(Clone)]
enum Restore {
    Begun { progress: Progress, etag: String },
    Done(neo4j::Restore),
}

impl Guard {
    /// Over the node at `address`.
    pub fn new(settings: &Settings, address: IpAddr, doorbell: Doorbell, members: MemberLook) -> Self {
        let cluster = &settings.cluster;
        Self {
            dialect: cluster.dialect,
            http: SocketAddr::new(address, cluster.http_port),
            bolt: SocketAddr::new(address, cluster.bolt_port),
            watch: Arc::new(Mutex::new(Watch::new(Instant::now(), settings.fence_after))),
            doorbell,
            members,
            store: Store::watch(settings),
            restore: Arc::default(),
        }
    }

    /// The archive with this ETag is being restored; how far it is, is read off `progress`.
    pub fn restoring(&self, progress: &Progress, etag: &str) {
        *self.restore() = Some(Restore::Begun { progress: progress.clone(), etag: etag.to_owned() });
        self.watch().start(Instant::now(), Start::Restoring);
    }

    /// It is restored, with these facts, and Neo4j is not started yet.
    pub fn restored(&self, etag: &str, facts: &Facts) {
        let (nodes, relationships) = facts.counts.map(|counts| (counts.nodes, counts.relationships)).unzip();
        let done = neo4j::Restore { percent: 100, etag: etag.to_owned(), nodes, relationships };
        *self.restore() = Some(Restore::Done(done));
        self.watch().start(Instant::now(), Start::Restored);
    }

    /// Neo4j is started now, or goes on as what it says.
    pub fn start(&self, start: Start) {
        self.store.started();
        self.watch().start(Instant::now(), start);
    }

    /// Whether a slave has not joined yet, because it is started once more first.
    pub fn is_blank(&self) -> bool {
        self.watch().is_blank()
    }

    /// Whether it is a slave with a copy of the master's store, if it was started blank.
    pub fn has_copied(&self) -> bool {
        self.watch().has_copied()
    }

    /// Neo4j is stopped now to be started once more, if it is still such a slave.
    pub fn begin_restart(&self) -> bool {
        self.watch().begin_restart(Instant::now())
    }

    /// Waits until it is a slave with a copy of the master's store, if it was started blank.
    pub async fn until_copied(&self) {
        while !self.has_copied() {
            // It never will be: nothing looks for it as long as a node runs.
            if !self.is_blank() {
                return std::future::pending().await;
            }
            sleep(LOOK).await;
        }
    }

    /// Looks until the JVM is frozen; for how long it has been silent then.
    pub async fn until_frozen(&self) -> Duration {
        loop {
            let (asked, answer, bolt) = self.look().await;
            let now = Instant::now();
            let (bells, frozen, silent) = {
                let mut watch = self.watch();
                (watch.see(asked, answer, bolt), watch.is_frozen(now), watch.silent_for(now))
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
            sleep(LOOK).await;
        }
    }

    /// Waits until every look for `time` was silent, looks before this call included. Somebody else has to look meanwhile:
    /// it is beside [`Self::until_frozen`].
    pub async fn until_silent_for(&self, time: Duration) {
        while self.watch().silent_for(Instant::now()) < time {
            sleep(LOOK).await;
        }
    }

    /// One look: HTTP, and Bolt beside it when HTTP is late, at once when it was silent before. Each is asked with the whole
    /// patience. When the last unanswered question was sent, the answer over HTTP, and whether Bolt gave a sign of life.
    async fn look(&self) -> (Instant, Answer, bool) {
        let beside = if self.watch().is_silent() { Duration::ZERO } else { BESIDE };
        let http = neo4j::probe(self.dialect, self.http, PATIENCE);
        let bolt = async {
            sleep(beside).await;
            let asked = Instant::now();
            (asked, neo4j::hello(self.bolt, PATIENCE).await)
        };
        tokio::pin!(http, bolt);
        let (answer, greeted) = tokio::select! {
            biased;
            answer = &mut http => (answer, None),
            greeted = &mut bolt => (http.await, Some(greeted)),
        };
        if answer != SILENT {
            return (Instant::now(), answer, true);
        }
        let (asked, hello) = match greeted {
            Some(greeted) => greeted,
            None => bolt.await,
        };
        (asked, answer, hello != Hello::Silent)
    }

    /// What the status port tells, within [`neo4j::STATUS_BUDGET`].
    pub async fn status(&self) -> neo4j::Status {
        let members = self.members.view().await;
        let (watch, now) = (self.watch(), Instant::now());
        neo4j::Status {
            phase: watch.phase().to_owned(),
            role: watch.role().to_owned(),
            since_ms: millis(watch.since(now)),
            silent_ms: millis(watch.silent_for(now)),
            alive: members.as_ref().map(|members| members.alive),
            last_transaction: members.as_ref().and_then(|members| members.last_transaction),
            members: members.and_then(|members| members.ids).map(|ids| ids.into_iter().collect()),
            store_bytes: self.store.bytes(),
            backup_server: self.store.backup_server(),
            restore: self.restore().clone().map(Restore::into_status),
        }
    }

    fn restore(&self) -> std::sync::MutexGuard<'_, Option<Restore>> {
        self.restore.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn watch(&self) -> std::sync::MutexGuard<'_, Watch> {
        self.watch.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Restore {
    fn into_status(self) -> neo4j::Restore {
        match self {
            Self::Begun { progress, etag } => {
                neo4j::Restore { percent: progress.percent(), etag, nodes: None, relationships: None }
            }
            Self::Done(done) => done,
        }
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
