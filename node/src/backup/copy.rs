//! A full copy of the source's store, and what is known of exactly this copy.

use std::{
    convert::Infallible,
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use backups::From;
use tokio::time::sleep;
use tracing::{info, warn};

use super::{
    Error, Settings,
    phase::Phase,
    plan,
    scratch::Scratch,
    tool::{Ended, Tool, option},
};
use crate::{
    progress::{Meter, mb},
    store::Facts,
    tree::bytes_below,
};

/// From one look at how much is copied to the next.
const LOOK: Duration = Duration::from_secs(2);
/// What the tool says first when it has no such command.
const UNKNOWN_COMMAND: &str = "unrecognized command";

/// Copies it; the directory of the copy.
///
/// # Errors
/// When the tool fails.
pub async fn copy(
    settings: &Settings,
    source: &From,
    scratch: &Scratch,
    meter: &Meter<Phase>,
    left: Duration,
) -> Result<PathBuf, Error> {
    let database = settings.cluster.version.default_database();
    let (copies, conf, temporary) = (scratch.copies(), scratch.copy_conf(), scratch.temporary());
    let arguments = [
        "backup".into(),
        option("--from=", source.address.to_string()),
        option("--backup-dir=", &copies),
        option("--name=", database),
        option("--protocol=", settings.protocol()),
        // Where there is no copy yet, 3.4.6 makes one only if it may fall back to that; otherwise it fails (read in its byte code).
        "--fallback-to-full=true".into(),
        // A check of its own says more: it has its own deadline, and its failure is not one of the copy.
        "--check-consistency=false".into(),
        option("--pagecache=", &settings.page_cache),
        option("--timeout=", format!("{}s", plan::tool_timeout(left).as_secs())),
    ];
    let Settings { home, heap, .. } = settings;
    let tool = Tool { home, conf: &conf, within: scratch.dir(), temporary: &temporary, heap };
    let ended = tokio::select! {
        ended = tool.run(&arguments) => ended?,
        never = measure(&copies, meter) => match never {},
    };
    let Ended { status, first, said } = ended;
    if status.success() {
        return Ok(copies.join(database));
    }
    if first.contains(UNKNOWN_COMMAND) {
        return Err(Error::NoOnlineBackup(home.display().to_string()));
    }
    let free = mb(scratch.free()?);
    let source_slot = format!("{} at {}", source.slot, source.address);
    Err(Error::Tool { source_slot, ended: status, said, free })
}

/// How much is copied, for as long as it is polled.
async fn measure(copies: &Path, meter: &Meter<Phase>) -> Infallible {
    loop {
        sleep(LOOK).await;
        let copies = copies.to_owned();
        if let Ok(Ok(bytes)) = tokio::task::spawn_blocking(move || bytes_below(&copies)).await {
            meter.set(bytes);
        }
    }
}

/// The facts of the copy in `database`.
///
/// # Errors
/// When it is not a store.
pub fn facts(database: &Path) -> Result<Facts, Error> {
    let facts = Facts::read(database).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => Error::NotAStore(database.display().to_string()),
        _ => Error::io(format!("reading {}", database.display()), error),
    })?;
    let Facts { store_format, store_id, last_transaction, counts, unknown } = &facts;
    let (nodes, relationships) = counts.map(|counts| (counts.nodes, counts.relationships)).unzip();
    info!(
        event = "backup-facts",
        store_format,
        store_id,
        last_transaction,
        nodes,
        relationships,
        "the copy is made, and read from its files"
    );
    if let Some(why) = unknown {
        warn!(event = "backup-facts-unknown", "not all of the copy is known from its files: {why}");
    }
    Ok(facts)
}
