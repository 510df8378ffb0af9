//! `node restore`: the same restore by hand, for a drill or for a volume that is to become a node's.

use std::{convert::Infallible, path::PathBuf, time::Duration};

use backups::{NotAVersion, Snapshot, Target, Version};
use clap::Args;
use runtime::{Environment, Invalid};
use tokio::time::sleep;

use super::{Error as NotRestored, Progress, restore};
use crate::backups as catalogue;

/// From one line to the next. Ten seconds are promised.
const EVERY: Duration = Duration::from_secs(5);

/// What is restored, and into what. Neo4j must not run there.
#[derive(Debug, Args)]
pub(crate) struct Verb {
    /// Which backup: latest, before:TIME such as before:2026-11-25T14:00Z, s3://BUCKET/backups/TIER/TIME-ID, backups/TIER/TIME-ID, or
    /// the beginning of a time
    #[arg(long, required_unless_present = "snapshot", conflicts_with = "snapshot")]
    from: Option<String>,
    /// The bucket of backups; without it BACKUP_BUCKET says which
    #[arg(long)]
    bucket: Option<String>,
    /// One snapshot as JSON, as the founding record has it
    #[arg(long)]
    snapshot: Option<String>,
    /// The data directory; without it DATA_DIR says which, or else it is /data
    #[arg(long)]
    data: Option<PathBuf>,
    /// The version of Neo4j that is to serve it; without it NEO4J_VERSION says which
    #[arg(long)]
    neo4j: Option<String>,
    /// Also a backup that is not verified, if --from names exactly that one
    #[arg(long, requires = "from")]
    accept_unverified: bool,
}

/// Why nothing was restored.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Invalid(#[from] Invalid),
    #[error("--neo4j: {0}")]
    Version(#[from] NotAVersion),
    #[error("--snapshot is not a snapshot as a founding record has it ({0}), so nothing was restored")]
    Snapshot(serde_json::Error),
    #[error(transparent)]
    Backups(#[from] catalogue::Error),
    #[error(transparent)]
    NotRestored(#[from] NotRestored),
}

/// Restores it, with progress on standard error, and returns a sentence about what is there now.
///
/// # Errors
/// When the backup is not one, or could not be restored. No store was touched then.
pub(crate) async fn run(environment: &Environment, verb: &Verb) -> Result<String, Error> {
    let version: Version = match &verb.neo4j {
        Some(version) => version.parse()?,
        None => environment.parse("NEO4J_VERSION")?,
    };
    let target = Target::of(version).accepting_unverified(verb.accept_unverified);
    let snapshot = match (&verb.snapshot, &verb.from) {
        (Some(json), _) => serde_json::from_str::<Snapshot>(json).map_err(Error::Snapshot)?,
        (None, from) => {
            let from = from.as_deref().unwrap_or_default();
            catalogue::snapshot(environment, verb.bucket.as_deref(), from, &target).await?
        }
    };
    let data = verb.data.clone().unwrap_or_else(|| environment.text("DATA_DIR").unwrap_or("/data").into());
    let progress = Progress::new();
    let config = aws::sdk_config().await;
    eprintln!("restoring {snapshot} into {}", data.display());
    let restored = tokio::select! {
        restored = Box::pin(restore(&config, &data, version, &snapshot, &progress)) => restored?,
        never = say(&progress) => match never {},
    };
    Ok(format!("{restored}\n"))
}

/// Says how far it is, for as long as it is polled.
async fn say(progress: &Progress) -> Infallible {
    loop {
        sleep(EVERY).await;
        eprintln!("{progress}: {}", progress.line());
    }
}
