//! The founding record: read, changed by a pure function, written on the condition that nobody else wrote.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws::{Kind, Put};
use backups::{Change, Conflict, Founding, Time};

use crate::Storage;

/// A record has about a kilobyte.
const LONGEST: usize = 64 << 10;
/// Two resources and a repeated delivery write it, each once. More losses than this have another cause.
pub(crate) const TRIES: u32 = 5;
/// Before the second try, doubled before each next one: together 1.5 s. S3 is busy for the time of one other write.
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
    /// An AWS call failed.
    #[error("{0}; nothing was changed")]
    Call(#[from] aws::Error),
    /// A write got no answer, each time it was tried.
    #[error("{0}; it is not known whether that was recorded: run the stack operation again")]
    Unanswered(aws::Error),
    /// It is there and says nothing that is understood.
    #[error("{at}: {conflict}")]
    Unreadable {
        /// Its URI.
        at: String,
        /// Why.
        conflict: Conflict,
    },
    /// Others wrote each time.
    #[error(
        "{0} was written by others {TRIES} times in a row, so nothing was recorded: run the stack operation again"
    )]
    Contended(String),
}

/// What was read, and in which version.
pub(crate) type Version = Option<String>;

impl<S: Storage> Record<S> {
    /// The record at `key` of `bucket`.
    pub fn new(storage: S, bucket: &str, key: &str) -> Self {
        Self { storage, bucket: bucket.to_owned(), key: key.to_owned() }
    }

    /// Reads it; none when nothing is recorded yet.
    pub async fn load(&self) -> Result<Option<Founding>, Untold> {
        Ok(self.load_version().await?.0)
    }

    pub(crate) async fn load_version(&self) -> Result<(Option<Founding>, Version), Untold> {
        match self.storage.get(&self.bucket, &self.key, LONGEST).await? {
            None => Ok((None, None)),
            Some(stored) => {
                let unreadable = |conflict| Untold::Unreadable { at: self.to_string(), conflict };
                Ok((Some(Founding::read(&stored.body).map_err(unreadable)?), Some(stored.etag)))
            }
        }
    }

    /// Does what was decided on the version `seen`, as the try `attempt` (0, 1, ...) of [`TRIES`]. False when the record must
    /// be read and decided on again: a concurrent write won, another one is under way, or the answer was lost. A record
    /// that was written after all then says what was wanted, and the decision is to change nothing.
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

            // A refused write was not done, and a second one is refused too.
            Err(error) if error.kind == Kind::Denied => return Err(error.into()),
            Err(error) if attempt + 1 >= TRIES => return Err(Untold::Unanswered(error)),
            Err(error) => tracing::warn!(event = "founding-unanswered", "{error}"),
        }
        tokio::time::sleep(FIRST_WAIT * 2_u32.pow(attempt.min(TRIES))).await;
        Ok(false)
    }

    /// Seals it, unless it is sealed.
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
