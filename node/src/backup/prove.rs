//! `node backup --check`: whether a backup could be made from here, one line for each thing that it needs, without making one.

use std::{
    fmt::Write as _,
    net::SocketAddr,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use aws::{Objects, SdkConfig, Uploads};
use backups::{Folder, Order, ROOT, Tier, Time};
use bytes::Bytes;
use runtime::{Environment, Invalid};
use tokio::{net::TcpStream, time::timeout};

use super::{scratch::Scratch, settings::Settings, tool::has_online_backup};
use crate::progress::mb;

/// Within a region a connection takes milliseconds; a firewall that drops packets answers nothing at all.
const CONNECT: Duration = Duration::from_secs(5);

/// Why it could not be proven.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Settings(#[from] Invalid),
    /// All lines, of which one at least is a failure.
    #[error("{0}")]
    NotProven(String),
}

/// One line for each.
///
/// # Errors
/// The same lines, when one of them is a failure.
pub async fn run(environment: &Environment) -> Result<String, Error> {
    let settings = Settings::read(environment)?;
    let config = aws::sdk_config().await;
    let found = [
        (
            "role and bucket",
            role_and_bucket(&config, &settings.bucket).await.map_err(|error| error.to_string()),
        ),
        ("port", port(settings.order.as_deref()).await),
        ("scratch", scratch(&settings).await.map_err(|error| clause(&error))),
        ("tool", tool(&settings).map_err(|error| clause(&error))),
    ];
    let (mut lines, mut is_proven) = (String::new(), true);
    for (what, found) in found {
        is_proven &= found.is_ok();
        let _infallible = match found {
            Ok(found) => writeln!(lines, "{what}: {found}"),
            Err(error) => writeln!(lines, "{what}: FAILED: {error}"),
        };
    }
    if is_proven { Ok(lines) } else { Err(Error::NotProven(lines.trim_end().to_owned())) }
}

/// A part of a few bytes takes every right that a backup takes, the key's included, and an upload that is aborted leaves no object.
async fn role_and_bucket(config: &SdkConfig, bucket: &str) -> Result<String, aws::Error> {
    let (uploads, objects) = (Uploads::new(config), Objects::new(config));
    let key = format!("{}/{}", folder(), backups::DATA);
    objects.keys(bucket, &format!("{ROOT}{}/", Tier::Manual)).await?;
    let upload = uploads.begin(bucket, &key, "application/zstd").await?;
    let sent = uploads.part(&upload, 1, Bytes::from_static(b"check")).await;
    // Before the part's own answer counts, so that nothing stays behind.
    uploads.abort(&upload).await?;
    sent?;
    Ok(format!(
        "s3://{bucket}/{ROOT} is listed, and an upload was begun and aborted there; no object is left"
    ))
}

fn folder() -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let (tier, time) = (Tier::Manual, Time::of_epoch(now));
    Folder::new(tier, time, "check")
        .map_or_else(|| format!("{ROOT}{tier}/{time}-check"), |folder| folder.to_string())
}

async fn port(order: Option<&str>) -> Result<String, String> {
    let Some(order) = order else {
        return Ok("not tried, because there is no ORDER, which names the source".to_owned());
    };
    let source = Order::read(order).map_err(|error| error.to_string())?.source;
    connect(source.address).await.map_err(|why| {
        format!(
            "{} at {} {why}: compare the security group of the nodes with that of backups, and look whether the node was started \
             with its backup server",
            source.slot, source.address
        )
    })?;
    Ok(format!("{} at {} takes connections", source.slot, source.address))
}

async fn connect(at: SocketAddr) -> Result<(), String> {
    match timeout(CONNECT, TcpStream::connect(at)).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => Err(format!("takes no connection ({error})")),
        Err(_) => Err(format!("does not answer within {} s", CONNECT.as_secs())),
    }
}

async fn scratch(settings: &Settings) -> Result<String, super::Error> {
    let scratch = Scratch::new(&settings.scratch);
    scratch.prepare(&settings.page_cache).await?;
    let free = scratch.free()?;
    let emptied = scratch.empty().await;
    emptied.map_err(|error| super::Error::io("emptying the scratch", error))?;
    Ok(format!("{} can be written and has {} free", settings.scratch.display(), mb(free)))
}

/// Without what it means for a backup, because none is made.
fn clause(error: &super::Error) -> String {
    match error {
        super::Error::Io { what, error } => format!("{what} failed ({error})"),
        other => other.to_string(),
    }
}

fn tool(settings: &Settings) -> Result<String, super::Error> {
    let home = settings.home.display().to_string();
    let program = settings.home.join("bin/neo4j-admin");
    let may = rustix::fs::access(&program, rustix::fs::Access::EXEC_OK);
    may.map_err(|error| super::Error::io(format!("looking for {}", program.display()), error.into()))?;
    if !has_online_backup(&settings.home) {
        return Err(super::Error::NoOnlineBackup(home));
    }
    Ok(format!("{} has online backup", program.display()))
}
