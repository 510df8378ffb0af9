//! The steps of one restore, in their order.

use std::{fmt, fs::File, path::Path, sync::Arc, time::Instant};

use aws::{ObjectVersion, SdkConfig, Uploads};
use backups::{Counts, Snapshot, Target, Version};
use tokio::sync::mpsc;
use tracing::{info, warn};

use super::{
    Error, Progress, durable,
    fetch::fetch,
    layout::Layout,
    marker::{Marker, Step},
    phase::Phase,
    plan::{Plan, plan},
    stream::Stream,
    unpack::{Fault, unpack},
};
use crate::{clock::now, disks::free, progress::mb, store::Facts};

/// What must stay free beside the store: the marker, and what Neo4j writes first.
const RESERVE: u64 = 64 << 20;

/// A store that is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restored {
    /// Where it is from.
    pub uri: String,
    /// Its facts when it was restored.
    pub facts: Facts,
    /// Bytes of its files; `None` if an earlier run has unpacked them.
    pub bytes: Option<u64>,
    pub seconds: u64,
    /// Whether nothing was done, because it was done before.
    pub before: bool,
}

/// Restores `snapshot` into the data directory `data` of a Neo4j of `version`, once: a second call changes nothing. Neo4j must not
/// run there, and must not be started before this is `Ok`. It may be dropped at any moment, and called again.
///
/// # Errors
/// When it is refused, or could not be done. No store was touched then.
pub async fn restore(
    config: &SdkConfig,
    data: &Path,
    version: Version,
    snapshot: &Snapshot,
    progress: &Progress,
) -> Result<Restored, Error> {
    let uri = snapshot.to_string();
    // First, because the database's name is part of paths.
    let fits = snapshot.fits(&Target::of(version));
    fits.map_err(|reason| Error::Unfit { uri: uri.clone(), reason })?;
    let layout = Layout::new(data, snapshot);
    let shown = || data.display().to_string();
    let held = layout.hold().map_err(|error| Error::io(format!("opening {}", shown()), error))?;
    let held = Arc::new(held.ok_or_else(|| Error::Busy(shown()))?);
    let found = layout.look().map_err(|error| Error::io(format!("looking at {}", shown()), error))?;
    let restore = Restore { layout, snapshot, uri, progress, began: Instant::now() };
    match plan(&found, snapshot) {
        Plan::Refuse(reason) => Err(Error::Refused { uri: restore.uri, data: shown(), reason }),
        Plan::Nothing(facts) => {
            info!(event = "restore-done-before", "{} was restored before, and nothing is done", restore.uri);
            Ok(restore.restored(facts, None, true))
        }
        Plan::Mark(facts) => restore.mark_done(facts, None),
        Plan::Rename(facts) => restore.put_in_place(facts, None),
        Plan::Begin => restore.all(config, &held, false).await,
        Plan::Again => restore.all(config, &held, true).await,
    }
}

struct Restore<'r> {
    layout: Layout,
    snapshot: &'r Snapshot,
    uri: String,
    progress: &'r Progress,
    began: Instant,
}

impl Restore<'_> {
    /// Everything from the first step on; whatever fails before the step *unpacked* leaves an empty directory.
    async fn all(&self, config: &SdkConfig, held: &Arc<File>, again: bool) -> Result<Restored, Error> {
        match self.unpacked(config, held, again).await {
            Ok((facts, bytes)) => self.put_in_place(facts, Some(bytes)),
            Err(error) => {
                // The marker first: what is left behind without one is removed by the next try, and proves nothing.
                let cleared = Marker::remove(&self.layout.data).and_then(|()| self.layout.clear());
                if let Err(reason) = cleared {
                    let data = self.layout.data.display();
                    warn!(event = "restore-not-cleared", "what was unpacked is still in {data} ({reason})");
                }
                Err(error)
            }
        }
    }

    /// The first three steps.
    async fn unpacked(
        &self,
        config: &SdkConfig,
        held: &Arc<File>,
        again: bool,
    ) -> Result<(Facts, u64), Error> {
        let Self { layout, uri, .. } = self;
        info!(event = "restore-begun", again, "{uri} is restored into {}", layout.data.display());
        if again {
            // A proof must be gone before the first file of its folder is.
            self.mark(Step::Intent)?;
        }
        let clearing = |error| Error::io(format!("emptying {}", layout.staging.display()), error);
        layout.clear().map_err(clearing)?;
        let limit = self.room()?;
        self.mark(Step::Intent)?;
        let making = |error| Error::io(format!("making {}", layout.staging.display()), error);
        if !layout.make().map_err(making)? {
            let (data, databases) =
                (layout.data.display().to_string(), layout.databases.display().to_string());
            return Err(Error::TwoDisks { data, databases });
        }
        let bytes = tokio::select! {
            bytes = self.stream(config, held, limit) => bytes?,
            never = self.progress.0.report("restore-progress") => match never {},
        };
        let proof = layout.prove().map_err(|error| Error::io("reading what was unpacked", error))?;
        let proof = proof.ok_or_else(|| Error::NotAStore { uri: uri.clone() })?;
        self.compare(&proof.facts)?;
        self.progress.0.enter(Phase::Sync, Some(bytes));
        tokio::select! {
            synced = self.sync(held) => synced?,
            never = self.progress.0.report("restore-progress") => match never {},
        }
        let facts = proof.facts.clone();
        self.mark(Step::Unpacked(proof))?;
        Ok((facts, bytes))
    }

    /// How many bytes may be unpacked.
    fn room(&self) -> Result<u64, Error> {
        let data = &self.layout.data;
        let free = free(data).map_err(|error| Error::io(format!("looking at {}", data.display()), error))?;
        let Some(store) = self.snapshot.store_bytes else {
            let room = free.saturating_sub(RESERVE);
            warn!(
                event = "restore-size-unknown",
                "the manifest of {} does not say how large the unpacked store is: the {} that are free must be enough",
                self.uri,
                mb(room)
            );
            return Ok(room);
        };
        let needed = store.saturating_add(RESERVE);
        if needed > free {
            let (uri, data) = (self.uri.clone(), data.display().to_string());
            return Err(Error::TooSmall { uri, data, free, needed });
        }
        Ok(store)
    }

    /// From the bucket into the staging folder; the bytes of all files.
    async fn stream(&self, config: &SdkConfig, held: &Arc<File>, limit: u64) -> Result<u64, Error> {
        let Snapshot { bucket, key, etag, bytes, .. } = self.snapshot.clone();
        let version = ObjectVersion { bucket, key, etag, bytes };
        let meter = self.progress.0.clone();
        meter.enter(Phase::Fetch, Some(bytes));
        let (full, parts) = mpsc::channel(1);
        let (into, held) = (self.layout.staging.clone(), Arc::clone(held));
        let unpacking = tokio::task::spawn_blocking(move || {
            // For as long as it writes, even if nothing waits for it any more.
            let _held = held;
            let mut stream = Stream::new(parts, bytes, meter);
            let unpacked = unpack(&mut stream, &into, limit)?;
            Ok::<_, Fault>((unpacked, stream.sha256()))
        });
        let uploads = Uploads::new(config);
        let (fetched, unpacked) = tokio::join!(fetch(&uploads, &version, full), unpacking);
        // Without its parts the archive seems to be cut.
        fetched.map_err(|unread| Error::unread(unread, self.uri.clone(), &version))?;
        let promised = self.snapshot.store_bytes.is_some();
        let unpacked = unpacked.map_err(|panic| Error::io("unpacking", std::io::Error::other(panic)))?;
        let unpacked = unpacked.map_err(|fault| Error::fault(fault, self.uri.clone(), limit, promised));
        let (unpacked, sha256) = unpacked?;
        match sha256 {
            Some(found) if found == self.snapshot.sha256 => Ok(unpacked),
            found => {
                let (uri, expected) = (self.uri.clone(), self.snapshot.sha256.clone());
                let found = found.unwrap_or_else(|| "not known, because its archive ends early".to_owned());
                Err(Error::Damaged { uri, found, expected })
            }
        }
    }

    /// Whether the files are what the manifest says that they are. What only one of them knows is not compared.
    fn compare(&self, facts: &Facts) -> Result<(), Error> {
        let Snapshot { counts, store_id, last_transaction, .. } = self.snapshot;
        let differs = |found, expected| Err(Error::Differs { uri: self.uri.clone(), found, expected });
        match (facts.counts, counts) {
            (Some(found), Some(expected)) if found != *expected => {
                return differs(counted(found), counted(*expected));
            }
            (None, Some(_)) => {
                let why = facts.unknown.as_deref().unwrap_or_default();
                warn!(
                    event = "restore-not-counted",
                    "what is in the store of {} is not counted: {why}", self.uri
                );
            }
            _ => {}
        }
        match (&facts.store_id, store_id) {
            (Some(found), Some(expected)) if found != expected => {
                return differs(format!("the id {found}"), format!("the id {expected}"));
            }
            _ => {}
        }
        match (facts.last_transaction, last_transaction) {
            (Some(found), Some(expected)) if found != *expected => {
                differs(format!("the last transaction {found}"), format!("the last transaction {expected}"))
            }
            _ => Ok(()),
        }
    }

    /// Writes all that was unpacked to the disk.
    async fn sync(&self, held: &Arc<File>) -> Result<(), Error> {
        let (staging, meter, held) = (self.layout.staging.clone(), self.progress.0.clone(), Arc::clone(held));
        let synced = tokio::task::spawn_blocking(move || {
            let _held = held;
            durable::tree(&staging, &|bytes| meter.add(bytes)).and_then(|()| durable::parent(&staging))
        });
        let synced = synced.await.unwrap_or_else(|panic| Err(std::io::Error::other(panic)));
        synced.map_err(|error| Error::io("writing what was unpacked to the disk", error))
    }

    /// The fourth step, and the last one.
    fn put_in_place(&self, facts: Facts, bytes: Option<u64>) -> Result<Restored, Error> {
        self.progress.0.enter(Phase::Rename, None);
        let renamed = durable::rename(&self.layout.staging, &self.layout.store);
        renamed.map_err(|error| self.late("moving it into its place", error))?;
        self.mark_done(facts, bytes)
    }

    /// The last step. A rename whose process was killed may not be on the disk yet.
    fn mark_done(&self, facts: Facts, bytes: Option<u64>) -> Result<Restored, Error> {
        let renamed =
            durable::folder(&self.layout.databases).and_then(|()| durable::folder(&self.layout.data));
        let done = Marker::new(self.snapshot, Step::Done { facts: facts.clone() }, now());
        let written = renamed.and_then(|()| done.write(&self.layout.data));
        written.map_err(|error| self.late("writing that it is done", error))?;
        let restored = self.restored(facts, bytes, false);
        info!(event = "restore-done", seconds = restored.seconds, bytes, "{restored}");
        Ok(restored)
    }

    fn mark(&self, step: Step) -> Result<(), Error> {
        let marked = Marker::new(self.snapshot, step, now()).write(&self.layout.data);
        marked.map_err(|error| Error::io(format!("writing into {}", self.layout.data.display()), error))
    }

    fn late(&self, what: &'static str, error: std::io::Error) -> Error {
        Error::Late { uri: self.uri.clone(), what, error }
    }

    fn restored(&self, facts: Facts, bytes: Option<u64>, before: bool) -> Restored {
        Restored { uri: self.uri.clone(), facts, bytes, seconds: self.began.elapsed().as_secs(), before }
    }
}

/// One sentence.
impl fmt::Display for Restored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { uri, facts, bytes, seconds, before } = self;
        write!(f, "{uri} {} restored", if *before { "was already" } else { "is" })?;
        if let Some(counts) = facts.counts {
            write!(f, ": {}", counted(counts))?;
        }
        if let Some(last) = facts.last_transaction {
            write!(f, ", up to the transaction {last}")?;
        }
        if let Some(bytes) = bytes {
            write!(f, ", {} in {seconds} s", mb(*bytes))?;
        }
        Ok(())
    }
}

fn counted(Counts { nodes, relationships }: Counts) -> String {
    format!("{nodes} nodes and {relationships} relationships")
}
