//! The data of a backup on its way: sent in parts straight to its final key, and read back.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use aws::{Error as Failed, Objects, Put, SdkConfig, Upload, Uploads};
use sha2::{Digest as _, Sha256};
use tokio::{
    sync::mpsc,
    task::{JoinError, JoinSet},
    time::{sleep, timeout},
};
use tracing::{info, warn};

use super::{
    Error,
    archive::Archive,
    parts::{self, Part, Sum, hex},
    phase::Phase,
};
use crate::progress::Meter;

/// Of three parts in memory one is being filled.
const IN_FLIGHT: usize = 2;
const CONTENT_TYPE: &str = "application/zstd";
/// A completion whose answer was lost, or that met another write, is looked after so often, so far apart.
const TRIES: u32 = 4;
const APART: Duration = Duration::from_secs(1);
/// From SIGTERM to SIGKILL a task of Fargate has 30 s, unless its definition says more.
const ABORT: Duration = Duration::from_secs(10);

/// The one object of one backup.
pub struct Transfer {
    uploads: Uploads,
    objects: Objects,
    bucket: String,
    key: String,
    /// Begun and not completed: to be aborted whatever happens.
    open: Mutex<Option<Upload>>,
}

impl Transfer {
    pub fn new(config: &SdkConfig, bucket: &str, key: String) -> Self {
        let (uploads, objects) = (Uploads::new(config), Objects::new(config));
        Self { uploads, objects, bucket: bucket.to_owned(), key, open: Mutex::new(None) }
    }

    fn uri(&self) -> String {
        format!("s3://{}/{}", self.bucket, self.key)
    }

    /// Compresses and sends the archive. The object is there when this is `Ok`, and may be that of another run: it has to be
    /// read back.
    ///
    /// # Errors
    /// When a file cannot be read, or a part cannot be sent.
    pub async fn send(
        &self,
        archive: Arc<Archive>,
        part_bytes: u64,
        meter: &Meter<Phase>,
    ) -> Result<Sum, Error> {
        let upload = self.uploads.begin(&self.bucket, &self.key, CONTENT_TYPE).await?;
        *self.open() = Some(upload.clone());
        let (full, mut parts) = mpsc::channel::<Part>(1);
        let meter = meter.clone();
        let compressor = tokio::task::spawn_blocking(move || {
            let length = usize::try_from(part_bytes).unwrap_or(usize::MAX);
            parts::compress(&archive, length, full, |bytes| meter.add(bytes))
        });
        let (mut sending, mut sent, mut number) = (JoinSet::new(), Vec::new(), 0);
        loop {
            tokio::select! {
                Some(done) = sending.join_next() => sent.push(flat(done)?),
                Some(Part { body, place }) = parts.recv(), if sending.len() < IN_FLIGHT => {
                    number += 1;
                    let (uploads, upload) = (self.uploads.clone(), upload.clone());
                    sending.spawn(async move {
                        let sent = uploads.part(&upload, number, body).await;
                        drop(place);
                        sent
                    });
                }
                else => break,
            }
        }
        // Its channel is closed when it has written everything, and also when it could not.
        let sum = compressor.await.unwrap_or_else(|panic| Err(std::io::Error::other(panic)));
        let sum = sum.map_err(|error| Error::io("compressing the copy", error))?;
        self.complete(&upload, &sent).await?;
        Ok(sum)
    }

    /// An upload that may be completed is not completed again before S3 was asked whether the object is there.
    async fn complete(&self, upload: &Upload, parts: &[aws::Part]) -> Result<(), Error> {
        let mut tries = 0;
        loop {
            tries += 1;
            let error = match self.uploads.complete(upload, parts).await {
                Ok(Put::Written(_)) => {
                    *self.open() = None;
                    return Ok(());
                }
                // Another run's, or this one's by a call whose answer was lost: reading it back tells. Still open: if it is
                // another run's, this upload is to be aborted.
                Ok(Put::Lost) => return Ok(()),
                Ok(Put::Busy) => None,
                Err(error) => Some(error),
            };
            let error = match self.objects.head(&self.bucket, &self.key).await {
                Ok(Some(_)) => return Ok(()),
                Ok(None) => error,
                Err(unknown) => error.or(Some(unknown)),
            };
            match error {
                Some(error) if !error.kind.passes() || tries == TRIES => return Err(error.into()),
                None if tries == TRIES => return Err(Error::Taken(self.uri())),
                _ => sleep(APART).await,
            }
        }
    }

    /// Reads the object and compares it with what was sent.
    ///
    /// # Errors
    /// When it is not the same, or cannot be read.
    pub async fn read_back(&self, sent: &Sum, meter: &Meter<Phase>) -> Result<(), Error> {
        // Otherwise it may be another run's.
        let is_own = self.open().is_none();
        let differs = |difference| {
            if is_own { Error::Differs { uri: self.uri(), difference } } else { Error::Taken(self.uri()) }
        };
        let mut download = self.uploads.read(&self.bucket, &self.key).await?;
        if download.bytes() != sent.bytes {
            return Err(differs(format!("it has {} bytes, and {} were sent", download.bytes(), sent.bytes)));
        }
        let mut hash = Sha256::new();
        while let Some(bytes) = download.next().await {
            let bytes = bytes?;
            hash.update(&bytes);
            meter.add(bytes.len() as u64);
        }
        let sha256 = hex(&hash.finalize());
        if sha256 != sent.sha256 {
            return Err(differs(format!(
                "its SHA-256 is {sha256}, and that of what was sent is {}",
                sent.sha256
            )));
        }
        Ok(())
    }

    /// Aborts an upload that is not known to be completed. A rule of the bucket removes what this cannot.
    pub async fn abort(&self) {
        let Some(upload) = self.open().take() else { return };
        let uri = self.uri();
        match timeout(ABORT, self.uploads.abort(&upload)).await {
            Ok(Ok(())) => info!(event = "upload-closed", "no upload of {uri} is left"),
            Ok(Err(error)) => warn!(
                event = "upload-not-closed",
                "{error}; the bucket's rule for uploads that were not completed removes the parts of {uri}"
            ),
            Err(_) => warn!(
                event = "upload-not-closed",
                "the upload of {uri} was not aborted within {} s; the bucket's rule for uploads that were not completed removes its parts",
                ABORT.as_secs()
            ),
        }
    }

    fn open(&self) -> std::sync::MutexGuard<'_, Option<Upload>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn flat<T>(done: Result<Result<T, Failed>, JoinError>) -> Result<T, Error> {
    match done {
        Ok(sent) => Ok(sent?),
        Err(panic) => Err(Error::io("sending a part", std::io::Error::other(panic))),
    }
}
