//! The manifest is written: with that, and not before, there is a backup.

use std::time::Duration;

use aws::{Objects, Put};
use backups::LONGEST;
use tokio::time::{Instant, sleep};
use tracing::warn;

use super::Error;

/// One write takes at most four seconds, and it must not be there after the deadline, when the run counts as failed.
pub const RESERVE: Duration = Duration::from_secs(5);
const TRIES: u32 = 5;
const APART: Duration = Duration::from_millis(500);

/// Writes `manifest` to `key` if no object is there, before `deadline`.
///
/// # Errors
/// When another object is there, or it is not known to be written. `None` when there is no time left for it.
pub async fn commit(
    objects: &Objects,
    bucket: &str,
    key: &str,
    manifest: Vec<u8>,
    deadline: Instant,
) -> Result<Option<()>, Error> {
    let mut tries = 0;
    loop {
        if Instant::now() + RESERVE > deadline {
            return Ok(None);
        }
        tries += 1;
        let mut failed = match objects.put(bucket, key, manifest.clone(), None).await {
            Ok(Put::Written(_)) => return Ok(Some(())),
            Ok(Put::Lost | Put::Busy) => None,
            Err(error) => Some(error),
        };
        let taken = || Error::Taken(format!("s3://{bucket}/{key}"));
        // Whatever the answer was, what is there decides: a write whose answer was lost is this run's own.
        match objects.get(bucket, key, LONGEST).await {
            Ok(Some(there)) if there.body == manifest => return Ok(Some(())),
            Ok(Some(_)) => return Err(taken()),
            Ok(None) => {}
            Err(error) => failed = failed.or(Some(error)),
        }
        match failed {
            Some(error) if !error.kind.passes() || tries == TRIES => return Err(error.into()),
            None if tries == TRIES => return Err(taken()),
            failed => {
                let why = failed.map_or("another write is under way".to_owned(), |error| error.to_string());
                warn!(event = "manifest-again", "the manifest is not there yet, and is written again: {why}");
                sleep(APART).await;
            }
        }
    }
}
