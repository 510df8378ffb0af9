//! The phases of one backup, in their order.

use std::{path::Path, sync::Arc, time::Duration};

use aws::{Objects, Put, SdkConfig, Uploads};
use backups::{Consistency, Data, Folder, MANIFEST_FORMAT, Manifest, Order, Seconds};
use tokio::time::Instant;
use tracing::{info, warn};

use super::{
    Error, Settings, archive::Archive, commit, consistency, copy, phase::Phase, plan, scratch::Scratch,
    tool::has_online_backup, transfer::Transfer,
};
use crate::{
    clock::now,
    progress::{Meter, mb},
};

/// One run.
pub struct Worker {
    settings: Settings,
    order: Order,
    deadline: Instant,
    began: Instant,
    config: SdkConfig,
    meter: Meter<Phase>,
    scratch: Scratch,
    transfer: Transfer,
}

/// A backup that is there.
pub struct Made {
    pub folder: Folder,
    pub verdict: &'static str,
    pub bytes: u64,
    pub seconds: u64,
}

impl Worker {
    pub async fn new(settings: Settings, order: Order, deadline: Instant) -> Self {
        let config = aws::sdk_config().await;
        let scratch = Scratch::new(&settings.scratch);
        let transfer = Transfer::new(&config, &settings.bucket, order.folder.data());
        let (began, meter) = (Instant::now(), Meter::new(Phase::Scratch));
        Self { settings, order, deadline, began, config, meter, scratch, transfer }
    }

    pub fn phase(&self) -> Phase {
        self.meter.phase()
    }

    /// The deadline has come.
    pub fn late(&self) -> Error {
        let seconds = self.meter.elapsed().as_secs();
        Error::Late { deadline: self.order.deadline, phase: self.meter.phase(), seconds }
    }

    /// Gives back what would cost something.
    pub async fn clear(&self) {
        self.transfer.abort().await;
        if let Err(error) = self.scratch.empty().await {
            let dir = self.scratch.dir().display();
            warn!(
                event = "scratch-not-emptied",
                "{dir} could not be removed ({error}); it ends with the task"
            );
        }
    }

    /// All phases.
    ///
    /// # Errors
    /// The first reason not to write a manifest.
    pub async fn make(&self) -> Result<Made, Error> {
        let expected = self.begin().await?;
        let Self { settings, scratch, meter, .. } = self;
        let copying = copy::copy(settings, &self.order.source, scratch, meter, self.left());
        let (database, copied) = self.timed(Phase::Copy, expected, Box::pin(copying)).await?;
        self.meter.enter(Phase::Facts, None);
        let facts = copy::facts(&database)?;
        let checking = async { Ok(consistency::check(settings, scratch, &database, self.left()).await) };
        let ((consistency, report), checked) = self.timed(Phase::Check, None, Box::pin(checking)).await?;
        let archive = Arc::new(Archive::list(&database)?);
        let part = plan_parts(&archive);
        let sending = self.transfer.send(Arc::clone(&archive), part, &self.meter);
        let (sent, streamed) = self.timed(Phase::Stream, Some(archive.bytes), Box::pin(sending)).await?;
        let (bytes, seconds) = (sent.bytes, streamed.as_secs());
        info!(
            event = "backup-streamed",
            bytes,
            seconds,
            "{} of {} are uploaded",
            mb(bytes),
            mb(archive.bytes)
        );
        let reading = self.transfer.read_back(&sent, &self.meter);
        let ((), read_back) = self.timed(Phase::ReadBack, Some(sent.bytes), Box::pin(reading)).await?;
        let seconds = Seconds {
            copy: copied.as_secs(),
            check: checked.as_secs(),
            stream: streamed.as_secs(),
            read_back: read_back.as_secs(),
        };
        self.meter.enter(Phase::Manifest, None);
        if let Some(report) = report {
            self.keep(&report).await;
        }
        let Order { folder, source, master, .. } = &self.order;
        let version = self.settings.cluster.version;
        let manifest = Manifest {
            format: MANIFEST_FORMAT,
            neo4j: version,
            dialect: self.settings.dialect.clone(),
            store_format: facts.store_format,
            database: version.default_database().to_owned(),
            created: folder.time,
            source: source.slot.clone(),
            last_transaction: facts.last_transaction,
            counts: facts.counts,
            data: Data { key: folder.data(), bytes: sent.bytes, sha256: sent.sha256 },
            consistency,
            tool: format!("neo4j-admin backup {version}"),
            store_id: facts.store_id,
            store_bytes: Some(archive.bytes),
            finished: Some(now()),
            source_role: Some(source.role.clone()),
            master: *master,
            seconds: Some(seconds),
        };
        let objects = Objects::new(&self.config);
        let (bucket, key) = (&self.settings.bucket, folder.manifest());
        let written = commit::commit(&objects, bucket, &key, manifest.write(), self.deadline).await?;
        written.ok_or_else(|| self.late())?;
        let verdict = word(consistency);
        Ok(Made { folder: folder.clone(), verdict, bytes, seconds: self.began.elapsed().as_secs() })
    }

    /// Runs one phase, with lines about how far it is, and says how long it took.
    async fn timed<T>(
        &self,
        phase: Phase,
        total: Option<u64>,
        work: impl Future<Output = Result<T, Error>>,
    ) -> Result<(T, Duration), Error> {
        self.meter.enter(phase, total);
        let done = tokio::select! {
            done = work => done?,
            never = self.meter.report("backup-progress") => match never {},
        };
        Ok((done, self.meter.elapsed()))
    }

    /// Everything that can be refused before the source is asked for anything. The size of its store, if that is known.
    async fn begin(&self) -> Result<Option<u64>, Error> {
        let Order { folder, source, .. } = &self.order;
        info!(event = "backup-begun", %folder, source = source.slot, role = source.role, "a backup of {} is begun", source.slot);
        if !has_online_backup(&self.settings.home) {
            return Err(Error::NoOnlineBackup(self.settings.home.display().to_string()));
        }
        let bucket = &self.settings.bucket;
        let there = Objects::new(&self.config).keys(bucket, &format!("{folder}/")).await?;
        if let Some(key) = there.first() {
            return Err(Error::Begun(format!("s3://{bucket}/{key}")));
        }
        self.scratch.prepare(&self.settings.page_cache).await?;
        let free = self.scratch.free()?;
        // For figures and for a clear refusal: a copy that does not fit fails in any case.
        if let Some(store) = source.store_bytes {
            self.scratch.fits(store, free)?;
            let memory = plan::memory_ceiling(plan::part_bytes(store)) >> 20;
            info!(
                event = "backup-sizes",
                store,
                free,
                "the store has {}, {} are free for its copy, and streaming takes at most {memory} MiB of memory",
                mb(store),
                mb(free)
            );
        } else {
            info!(
                event = "backup-sizes",
                free,
                "the order does not say how large the store of the source is; {} are free for its copy",
                mb(free)
            );
        }
        Ok(source.store_bytes)
    }

    fn left(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }

    /// Puts the report beside the backup. Without it the manifest still says that the store is inconsistent, which is what alarms.
    async fn keep(&self, report: &Path) {
        let key = self.order.folder.report();
        let bucket = &self.settings.bucket;
        let kept = match consistency::excerpt(report) {
            Ok(text) => match Uploads::new(&self.config).text(bucket, &key, text.into()).await {
                Ok(Put::Written(_)) => Ok(()),
                Ok(Put::Lost | Put::Busy) => Err("another one is there".to_owned()),
                Err(error) => Err(error.to_string()),
            },
            Err(error) => Err(error.to_string()),
        };
        match kept {
            Ok(()) => info!(event = "backup-report", "the report is s3://{bucket}/{key}"),
            Err(why) => {
                warn!(event = "backup-report-lost", "the report is not in s3://{bucket}/{key}: {why}");
            }
        }
    }
}

/// The length of a part, and what streaming is going to take.
fn plan_parts(archive: &Archive) -> u64 {
    for (name, why) in &archive.left_out {
        info!(event = "backup-left-out", "{name} is not part of the backup: {why}");
    }
    let part = plan::part_bytes(archive.bytes);
    let (part_mib, memory_mib) = (part >> 20, plan::memory_ceiling(part) >> 20);
    info!(
        event = "backup-plan",
        files = archive.len(),
        bytes = archive.bytes,
        part_mib,
        memory_mib,
        "{} are streamed in parts of {part_mib} MiB, with at most {memory_mib} MiB of memory",
        mb(archive.bytes)
    );
    part
}

fn word(consistency: Consistency) -> &'static str {
    match consistency {
        Consistency::Consistent => "consistent",
        Consistency::Inconsistent => "inconsistent",
        Consistency::Unchecked => "unchecked",
    }
}
