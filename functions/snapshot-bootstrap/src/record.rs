//! The founding record: read, changed by a pure function, written on the condition that nobody else wrote.

use std::time::{SystemTime, UNIX_EPOCH};

use aws::Put;
use backups::{Change, Conflict, Founding, Time};

use crate::Storage;

/// A record has about a kilobyte.
const LONGEST: usize = 64 << 10;
/// Two resources and a repeated delivery write it, each once. More losses than this have another cause.
pub(crate) const TRIES: usize = 5;

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

    /// Does what was decided on the version `seen`; false when somebody else wrote meanwhile, so that it must be decided
    /// afresh.
    pub(crate) async fn write(&self, change: &Change, seen: &Version) -> Result<bool, Untold> {
        let Change::Write(founding) = change else { return Ok(true) };
        let put = self.storage.put(&self.bucket, &self.key, founding.write(), seen.as_deref()).await?;
        if matches!(put, Put::Written(_)) {
            let restores = founding.snapshot.as_ref().map(ToString::to_string);
            tracing::info!(event = "founding-recorded", phase = ?founding.phase, restores, "{self} was written");
        }
        Ok(matches!(put, Put::Written(_)))
    }

    /// Seals it, unless it is sealed.
    pub async fn seal(&self) -> Result<(), Untold> {
        for _try in 0..TRIES {
            let (seen, version) = self.load_version().await?;
            if self.write(&Founding::seal(seen.as_ref(), now()), &version).await? {
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
