//! `node backup`: one full backup, as ORDER says, in a task of its own. Nothing of it runs on a host of a database.
//!
//! ```text
//! ORDER --> worker, all phases: scratch --> copy: neo4j-admin backup --> facts of exactly this copy --> consistency: check-consistency
//!                                                                                                              |
//! commit: the manifest <-- transfer: read back <-- transfer: parts to S3 <-- parts: zstd <-- archive: tar <----+
//! ```
//!
//! **The manifest is the commit.** A run that ends anywhere before it, by a signal, a fault or its deadline, has made no backup: data
//! without a manifest does not exist, and nothing has to be undone but an upload that costs storage.

pub(crate) mod archive;
mod commit;
mod consistency;
mod copy;
mod error;
mod parts;
mod phase;
mod plan;
mod prove;
mod scratch;
mod settings;
mod tail;
mod tool;
mod transfer;
mod worker;

use std::io;

use backups::Order;
use runtime::Environment;
use tokio::{
    signal::unix::{SignalKind, signal},
    time::{Instant, sleep_until},
};
use tracing::info;

pub use error::Error;
pub(crate) use parts::hex;
pub use prove::run as check;
pub use settings::Settings;
use worker::Worker;

use crate::clock::now;

/// Makes one backup.
///
/// # Errors
/// When no manifest was written.
pub async fn run(environment: &Environment) -> Result<(), Error> {
    let settings = Settings::read(environment)?;
    let order = Order::read(settings.order.as_deref().ok_or(Error::NoOrder)?)?;
    let listening = |error: io::Error| Error::io("listening to signals", error);
    let mut term = signal(SignalKind::terminate()).map_err(listening)?;
    let mut int = signal(SignalKind::interrupt()).map_err(listening)?;
    let left = order.deadline.since(now());
    if left.is_zero() {
        return Err(Error::Overdue(order.deadline));
    }
    let deadline = Instant::now() + left;
    let worker = Worker::new(settings, order, deadline).await;
    let made = tokio::select! {
        made = Box::pin(worker.make()) => made,
        _ = term.recv() => Err(Error::Stopped(worker.phase())),
        _ = int.recv() => Err(Error::Stopped(worker.phase())),
        () = sleep_until(deadline) => Err(worker.late()),
    };
    // What was dropped above has killed its processes and let its parts go.
    worker.clear().await;
    let made = made?;
    info!(
        event = "backup-made",
        folder = %made.folder,
        consistency = made.verdict,
        bytes = made.bytes,
        seconds = made.seconds,
        "the backup {} is made",
        made.folder
    );
    Ok(())
}
