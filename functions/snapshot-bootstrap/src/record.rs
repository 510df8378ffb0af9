//! The founding record: read, changed by a pure function, written only if no concurrent write was faster.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws::{Kind, Put};
use backups::{Change, Conflict, Founding, LONGEST_FOUNDING, Time};

use crate::Storage;

/// Tries of a write. Two resources and a repeated delivery write the record, once each: more lost
/// races have another cause.
pub(crate) const TRIES: u32 = 5;
/// The wait before the second try, doubled before each next one: together 1.5 s. S3 is busy for as long
/// as one other write takes.
const FIRST_WAIT: Duration = Duration::from_millis(100);

/// `cluster/founding.json` of one stack.
#[derive(Clone, Debug)]
pub struct Record<S> {
    storage: S,
    bucket: String,
    key: String,
}

/// Why the record was not read or written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Untold {
    #[error("{0}; nothing was changed")]
    Call(#[from] aws::Error),
    /// A write got no answer in any of its tries.
    #[error("{0}; it is not known whether that was recorded: run the stack operation again")]
    Unanswered(aws::Error),
    /// The record exists and is malformed, or of another format.
    #[error("{at}: {conflict}")]
    Unreadable { at: String, conflict: Conflict },
    #[error(
        "{0} was written by others {TRIES} times in a row, so nothing was recorded: run the stack operation again"
    )]
    Contended(String),
}

/// The ETag of the record that was read; `None` if it was absent.
pub(crate) type Version = Option<String>;

impl<S: Storage> Record<S> {
    pub fn new(storage: S, bucket: &str, key: &str) -> Self {
        Self { storage, bucket: bucket.to_owned(), key: key.to_owned() }
    }

    /// Reads the record; `None` if nothing is recorded yet.
    pub async fn load(&self) -> Result<Option<Founding>, Untold> {
        Ok(self.load_version().await?.0)
    }

    pub(crate) async fn load_version(&self) -> Result<(Option<Founding>, Version), Untold> {
        match self.storage.get(&self.bucket, &self.key, LONGEST_FOUNDING).await? {
            None => Ok((None, None)),
            Some(stored) => {
                let unreadable = |conflict| Untold::Unreadable { at: self.to_string(), conflict };
                Ok((Some(Founding::read(&stored.body).map_err(unreadable)?), Some(stored.etag)))
            }
        }
    }

    /// Makes the decided change on the version `seen`, as the try `attempt` (0, 1, ...) of [`TRIES`].
    /// Returns `false` when the record must be read again for a new decision: a concurrent write won,
    /// another one is under way, or the answer was lost. If the record was written after all, the new
    /// decision is to change nothing.
    pub(crate) async fn write(&self, change: &Change, seen: &Version, attempt: u32) -> Result<bool, Untold> {
        let Change::Write(founding) = change else { return Ok(true) };
        let put = self.storage.put(&self.bucket, &self.key, founding.write(), seen.as_deref()).await;
        match put {
            Ok(Put::Written(_)) => {
                let restores = founding.snapshot.as_ref().map(ToString::to_string);
                tracing::info!(event = "founding-recorded", phase = ?founding.phase, restores, "{self} was written");
                return Ok(true);
            }
            // The other version is there already: nothing to wait for.
            Ok(Put::Lost) => return Ok(false),
            Ok(Put::Busy) => {
                tracing::warn!(event = "founding-busy", "{self} is being written by another request");
            }

            // A denied write was not made, and a second one is denied too.
            Err(error) if error.kind == Kind::Denied => return Err(error.into()),
            Err(error) if attempt + 1 >= TRIES => return Err(Untold::Unanswered(error)),
            Err(error) => tracing::warn!(event = "founding-unanswered", "{error}"),
        }
        tokio::time::sleep(FIRST_WAIT * 2_u32.pow(attempt.min(TRIES))).await;
        Ok(false)
    }

    /// Seals the record, unless it is sealed.
    pub async fn seal(&self) -> Result<(), Untold> {
        for attempt in 0..TRIES {
            let (seen, version) = self.load_version().await?;
            if self.write(&Founding::seal(seen.as_ref(), now()), &version, attempt).await? {
                return Ok(());
            }
        }
        Err(Untold::Contended(self.to_string()))
    }
}

impl<S> std::fmt::Display for Record<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "s3://{}/{}", self.bucket, self.key)
    }
}

pub(crate) fn now() -> Time {
    Time::of_epoch(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs())
}
