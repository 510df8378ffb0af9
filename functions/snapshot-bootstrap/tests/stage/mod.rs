//! AWS in memory, as far as these two resources reach: S3 with its conditional writes, and a
//! cluster that follows a script.

use std::{
    collections::{BTreeMap, VecDeque},
    fs,
    net::IpAddr,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use aws::{Error, Head, Kind, Operation, Put, Service, Stored};
use backups::{Consistency, Counts, Data, Founding, Manifest};
use custom_resource::{
    Handled, Invocation, Protocol,
    twins::{Mailbox, Queue},
};
use serde_json::Value;
use snapshot_bootstrap::{
    ClusterReady, Record, RollCheck, Seen, Sighting, SnapshotBootstrap, Storage, Uncounted, World,
};
use topology::{Answer, Kind as SlotKind, NotKnown, Slot};

pub const STATE: &str = "neo4j-state";
pub const BACKUPS: &str = "neo4j-backups";
pub const FOUNDING: &str = "cluster/founding.json";
pub const OLD: &str = "backups/daily/2026-11-24T03-00-00Z-a1";
pub const NEW: &str = "backups/daily/2026-11-25T03-00-00Z-b2";

/// S3. Clones share it.
#[derive(Clone, Default)]
pub struct Buckets(Arc<Mutex<Inside>>);

#[derive(Default)]
struct Inside {
    objects: BTreeMap<String, (Vec<u8>, u64)>,
    written: u64,
    /// URIs whose calls fail, and how.
    failing: BTreeMap<String, Kind>,
    /// What a concurrent writer puts into the founding record just before our next writes.
    rivals: VecDeque<Vec<u8>>,
    /// Number of conditional writes that were tried.
    puts: usize,
    /// How many of the next ones are answered "busy".
    busy: usize,
    /// How many of the next ones succeed, with a lost answer.
    unanswered: usize,
}

fn uri(bucket: &str, key: &str) -> String {
    format!("s3://{bucket}/{key}")
}

impl Buckets {
    fn inside(&self) -> std::sync::MutexGuard<'_, Inside> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Two daily backups, the older of 50,000 nodes.
    pub fn with_backups() -> Self {
        let buckets = Self::default();
        buckets.back_up(OLD, |_| {});
        buckets.back_up(NEW, |manifest| manifest.counts = Some(Counts { nodes: 60_000, relationships: 13 }));
        buckets
    }

    /// A backup whose manifest is changed before it is written; its data has seven bytes.
    pub fn back_up(&self, folder: &str, change: impl FnOnce(&mut Manifest)) {
        let time = folder.rsplit('/').next().and_then(|name| name.get(..20)).unwrap_or_default();
        let mut manifest = Manifest {
            format: backups::MANIFEST_FORMAT,
            neo4j: "3.4.6".parse().unwrap(),
            dialect: "HA".into(),
            store_format: None,
            database: "graph.db".into(),
            created: time.parse().unwrap(),
            source: "core-3".into(),
            last_transaction: Some(7),
            counts: Some(Counts { nodes: 50_000, relationships: 12 }),
            data: Data { key: format!("{folder}/store.tar.zst"), bytes: 7, sha256: "0".repeat(64) },
            consistency: Consistency::Consistent,
            tool: "neo4j-admin backup 3.4.6".into(),
            store_id: None,
            store_bytes: None,
            finished: None,
            source_role: None,
            master: None,
            seconds: None,
        };
        change(&mut manifest);
        self.write(BACKUPS, &format!("{folder}/store.tar.zst"), b"1234567");
        self.write(BACKUPS, &format!("{folder}/manifest.json"), &manifest.write());
    }

    pub fn write(&self, bucket: &str, key: &str, body: &[u8]) {
        let mut inside = self.inside();
        inside.written += 1;
        let version = inside.written;
        inside.objects.insert(uri(bucket, key), (body.to_vec(), version));
    }

    pub fn remove(&self, bucket: &str, key: &str) {
        self.inside().objects.remove(&uri(bucket, key)).unwrap();
    }

    pub fn fail(&self, bucket: &str, key: &str, kind: Kind) {
        self.inside().failing.insert(uri(bucket, key), kind);
    }

    pub fn rival(&self, body: Vec<u8>) {
        self.inside().rivals.push_back(body);
    }

    pub fn busy(&self, times: usize) {
        self.inside().busy = times;
    }

    pub fn lose_answers(&self, times: usize) {
        self.inside().unanswered = times;
    }

    pub fn puts(&self) -> usize {
        self.inside().puts
    }

    pub fn founding(&self) -> Option<Founding> {
        let inside = self.inside();
        inside.objects.get(&uri(STATE, FOUNDING)).map(|(body, _)| Founding::read(body).unwrap())
    }

    /// All objects, with their versions.
    pub fn all(&self) -> BTreeMap<String, (Vec<u8>, u64)> {
        self.inside().objects.clone()
    }

    fn failure(&self, call: &'static str, bucket: &str, key: &str) -> Result<(), Error> {
        let what = uri(bucket, key);
        match self.inside().failing.get(&what) {
            None => Ok(()),
            Some(&kind) => Err(Error { call, what, reason: format!("{kind:?}"), kind }),
        }
    }
}

impl Storage for Buckets {
    async fn list(&self, bucket: &str, prefix: &str) -> Result<Vec<(String, u64)>, Error> {
        self.failure("s3:ListBucket", bucket, prefix)?;
        let start = uri(bucket, prefix);
        let inside = self.inside();
        let found = inside.objects.iter().filter(|(found, _)| found.starts_with(&start));
        let listed = |(found, (body, _)): (&String, &(Vec<u8>, u64))| {
            (found[uri(bucket, "").len()..].to_owned(), body.len() as u64)
        };
        Ok(found.map(listed).collect())
    }

    async fn head(&self, bucket: &str, key: &str) -> Result<Option<Head>, Error> {
        self.failure("s3:GetObject (HEAD)", bucket, key)?;
        let inside = self.inside();
        let head = |(body, version): &(Vec<u8>, u64)| Head {
            bytes: body.len() as u64,
            etag: format!("\"{version}\""),
        };
        Ok(inside.objects.get(&uri(bucket, key)).map(head))
    }

    async fn get(&self, bucket: &str, key: &str, longest: usize) -> Result<Option<Stored>, Error> {
        self.failure("s3:GetObject", bucket, key)?;
        let Some((body, version)) = self.inside().objects.get(&uri(bucket, key)).cloned() else {
            return Ok(None);
        };
        if body.len() > longest {
            let (what, reason) = (uri(bucket, key), format!("it is larger than {longest} bytes"));
            return Err(Error { call: "s3:GetObject", what, reason, kind: Kind::Other });
        }
        Ok(Some(Stored { body, etag: format!("\"{version}\"") }))
    }

    async fn put(&self, bucket: &str, key: &str, body: Vec<u8>, seen: Option<&str>) -> Result<Put, Error> {
        self.failure("s3:PutObject", bucket, key)?;
        let rival = self.inside().rivals.pop_front();
        if let Some(rival) = rival {
            self.write(bucket, key, &rival);
        }
        self.inside().puts += 1;
        let due = |left: &mut usize| std::mem::replace(left, left.saturating_sub(1)) > 0;
        if due(&mut self.inside().busy) {
            return Ok(Put::Busy);
        }
        let there = self.inside().objects.get(&uri(bucket, key)).map(|(_, version)| format!("\"{version}\""));
        if there.as_deref() != seen {
            return Ok(Put::Lost);
        }
        self.write(bucket, key, &body);
        if due(&mut self.inside().unanswered) {
            let (what, reason) = (uri(bucket, key), "the connection was closed".to_owned());
            return Err(Error { call: "s3:PutObject", what, reason, kind: Kind::Other });
        }
        Ok(Put::Written(format!("\"{}\"", self.inside().written)))
    }
}

/// A cluster of three. Each look takes the next scene of the script; the last one stays. Clones share it.
#[derive(Clone, Default)]
pub struct Cluster(Arc<Mutex<Stage>>);

#[derive(Default)]
struct Stage {
    scenes: VecDeque<Result<Vec<Sighting>, Error>>,
    counts: VecDeque<Result<Counts, Uncounted>>,
    services: VecDeque<Vec<Service>>,
    operations: VecDeque<Result<Operation, Error>>,
    looks: Vec<Vec<String>>,
    counted: Vec<IpAddr>,
}

impl Cluster {
    fn stage(&self) -> std::sync::MutexGuard<'_, Stage> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[must_use]
    pub fn then(self, scene: Result<Vec<Sighting>, Error>) -> Self {
        self.stage().scenes.push_back(scene);
        self
    }

    #[must_use]
    pub fn counting(self, counts: Result<Counts, Uncounted>) -> Self {
        self.stage().counts.push_back(counts);
        self
    }

    /// What ECS itself reports about the services.
    #[must_use]
    pub fn saying(self, services: Vec<Service>) -> Self {
        self.stage().services.push_back(services);
        self
    }

    /// What CloudFormation is doing with the stack.
    #[must_use]
    pub fn during(self, operation: Result<Operation, Error>) -> Self {
        self.stage().operations.push_back(operation);
        self
    }

    /// The services of each look.
    pub fn looks(&self) -> Vec<Vec<String>> {
        self.stage().looks.clone()
    }

    /// The nodes that were asked for counts.
    pub fn counted(&self) -> Vec<IpAddr> {
        self.stage().counted.clone()
    }
}

/// The next scene of a script, whose last one stays.
fn next<T: Clone>(script: &mut VecDeque<T>) -> Option<T> {
    if script.len() > 1 { script.pop_front() } else { script.front().cloned() }
}

impl World for Cluster {
    async fn look(&self, slots: &[&Slot]) -> Result<Vec<Sighting>, Error> {
        let mut stage = self.stage();
        stage.looks.push(slots.iter().map(|slot| slot.name.clone()).collect());
        let scene = next(&mut stage.scenes).expect("no look is expected")?;
        Ok(scene.into_iter().filter(|sighting| slots.contains(&&sighting.slot)).collect())
    }

    async fn services(&self, _services: &[&str]) -> Result<Vec<Service>, Error> {
        Ok(next(&mut self.stage().services).unwrap_or_default())
    }

    async fn operation(&self, _id: &str) -> Result<Operation, Error> {
        next(&mut self.stage().operations).unwrap_or(Ok(Operation::Other))
    }

    async fn count(&self, master: IpAddr) -> Result<Counts, Uncounted> {
        let mut stage = self.stage();
        stage.counted.push(master);
        next(&mut stage.counts).expect("no count is expected")
    }
}

/// The same slots, each of which has restored the version `etag` of an archive.
pub fn having_restored(slots: Vec<Sighting>, etag: &str, counts: Counts) -> Vec<Sighting> {
    let restored = neo4j::Restore {
        percent: 100,
        etag: etag.to_owned(),
        nodes: Some(counts.nodes),
        relationships: Some(counts.relationships),
    };
    let restore = |mut slot: Sighting| {
        if let Seen::Running { restore, .. } = &mut slot.seen {
            *restore = Some(restored.clone());
        }
        slot
    };
    slots.into_iter().map(restore).collect()
}

pub fn running(number: u8, answer: Answer, phase: &str) -> Sighting {
    let definition =
        format!("arn:aws:ecs:us-east-1:000000000000:task-definition/neo4j-local-core-{number}:1");
    let seen = Seen::Running {
        address: [10, 0, 0, number].into(),
        definition,
        answer,
        phase: phase.into(),
        restore: None,
    };
    let slot = Slot { name: format!("core-{number}"), kind: SlotKind::Core, server_id: number.into() };
    Sighting { slot, seen }
}

pub fn waiting(number: u8) -> Sighting {
    running(number, Answer::NotKnown(NotKnown::Refused), "waiting-for-peers")
}

/// Three nodes, `core-2` the master.
pub fn whole() -> Vec<Sighting> {
    let up = |number, answer| running(number, answer, "running");
    vec![up(1, Answer::Slave), up(2, Answer::Master), up(3, Answer::Slave)]
}

/// An event file as it is.
pub fn event(name: &str) -> Value {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("../../events/{name}.json"));
    serde_json::from_slice(&fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display())))
        .unwrap()
}

/// An event file with its properties changed.
pub fn event_with(name: &str, properties: &[(&str, Value)]) -> Value {
    let mut event = event(name);
    for (property, value) in properties {
        event["ResourceProperties"][*property] = value.clone();
    }
    event
}

/// The function with all its surroundings.
pub struct Function {
    pub mailbox: Mailbox,
    pub queue: Queue,
    pub protocol: Protocol<Mailbox, Queue>,
    begun: tokio::time::Instant,
}

impl Function {
    pub fn new(buckets: &Buckets, cluster: &Cluster) -> Self {
        Self::of(buckets, cluster, Slot::numbered(&["core-1", "core-2", "core-3"], &[] as &[&str]))
    }

    /// The same for a cluster with these slots.
    pub fn of(buckets: &Buckets, cluster: &Cluster, slots: Vec<Slot>) -> Self {
        let (mailbox, queue) = (Mailbox::new(), Queue::new());
        let record = Record::new(buckets.clone(), STATE, FOUNDING);
        let snapshot =
            SnapshotBootstrap::new(buckets.clone(), record.clone(), BACKUPS.into(), "3.4.6".parse().unwrap());
        let roll = RollCheck::new(cluster.clone(), &slots);
        let ready = ClusterReady::new(cluster.clone(), record, slots);
        let protocol = Protocol::new(mailbox.clone(), queue.clone()).with(snapshot).with(roll).with(ready);
        Self { mailbox, queue, protocol, begun: tokio::time::Instant::now() }
    }

    /// One invocation of a minute.
    pub async fn invoke(&self, event: &Value) -> Handled {
        let now = Duration::from_secs(1_700_000_000) + self.begun.elapsed();
        self.protocol.handle(event, Invocation::at(now, Duration::from_secs(60))).await
    }

    /// One invocation, and all that it hands over to; returns the only answer.
    pub async fn answer(&self, event: &Value) -> Value {
        let before = self.mailbox.answers().len();
        let mut event = event.clone();
        while self.invoke(&event).await == Handled::HandedOver {
            assert_eq!(self.mailbox.answers().len(), before, "an invocation that hands over does not answer");
            event = self.queue.take().unwrap();
        }
        let mut answers = self.mailbox.answers().split_off(before);
        assert_eq!(answers.len(), 1, "exactly one answer: {answers:?}");
        answers.remove(0)
    }
}

/// The Reason of a FAILED.
pub fn reason(answer: &Value) -> &str {
    assert_eq!(answer["Status"], "FAILED", "{answer}");
    answer["Reason"].as_str().unwrap()
}

/// The Data of a SUCCESS.
pub fn data(answer: &Value) -> &Value {
    assert_eq!(answer["Status"], "SUCCESS", "{answer}");
    &answer["Data"]
}
