//! `node run`: waits until the whole cluster can be named, runs Neo4j as its child and ends with it.
//!
//! ```text
//! settings --------------------------------+
//! place: address and slot -----------------+--> conf --+
//! slot.json   --> identity: its volume ----+           |
//! S3 (record) --> founding: restore, once -------------+
//! ECS (peers) --> forming -----------------------------+--> child: bin/neo4j console <-- signals
//!                                                           ^
//! guard: role, every 75 ms --> watch --> doorbell (EventBridge), status port, SIGKILL when it is frozen
//!                                                           ^ turn: a blank slave is started once more, with its backup server
//! status port: GET /role, /read --> role: asks Neo4j now, over HTTP and Bolt
//! ```

mod admin;
mod branched;
mod child;
mod doorbell;
mod forming;
mod founding;
mod guard;
mod identity;
mod login;
mod members;
mod peers;
mod role;
mod said;
mod status;
mod turn;
mod watch;

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    time::Duration,
};

use neo4j::Dialect;
use runtime::{Environment, name_slot};

use crate::{
    conf::conf,
    disks::{Disks, Volume},
    follow, place, restore, settings,
};
use child::End;
use identity::Refused;
use peers::Again;
use watch::Start;

/// A program that follows a log holds the lock for no longer than it takes to look at it.
const HOLD_TRIES: u32 = 50;
const HOLD_AGAIN: Duration = Duration::from_millis(100);

/// Why the program ends other than by an asked and clean stop.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Settings(#[from] settings::Error),
    #[error(transparent)]
    Place(#[from] place::Error),
    /// The data directory is not the slot's.
    #[error(transparent)]
    NotItsVolume(#[from] Refused),
    /// A directory that Neo4j writes to.
    #[error(
        "{dir} cannot be written by the user {user} that this container runs as ({error}), so Neo4j is not started: on the host, run \
         chown -R {user} on what is mounted there"
    )]
    NotWritable { dir: String, user: u32, error: std::io::Error },
    /// What the cluster is founded from.
    #[error(transparent)]
    NotRestored(#[from] restore::Error),
    /// The administrator's password.
    #[error(
        "the administrator's password cannot be had ({0}); Neo4j is not started, because it would start with the password \
         that everybody knows"
    )]
    NoPassword(String),
    /// A file or a process.
    #[error("{what}: {error}")]
    Io {
        /// What was tried.
        what: String,
        /// What the system said.
        error: std::io::Error,
    },
    /// Neo4j ended unasked.
    #[error("Neo4j ended by itself ({0}); the task ends with it, so that ECS starts a new one")]
    Died(std::process::ExitStatus),
    /// Neo4j was frozen.
    #[error(
        "Neo4j answered nothing for {0} s and was killed; the task ends with it, so that ECS starts a new one"
    )]
    Frozen(u64),
    /// Neo4j was asked to stop and did not do it in time, or not well.
    #[error("Neo4j was not stopped cleanly ({0}); it recovers its transaction logs at the next start")]
    NotClean(std::process::ExitStatus),
}

impl Error {
    pub(crate) fn io(what: impl Into<String>, error: std::io::Error) -> Self {
        Self::Io { what: what.into(), error }
    }

    /// The log event.
    pub fn event(&self) -> &'static str {
        match self {
            Self::Settings(_) => "bad-parameter",
            Self::Place(place::Error::NoSlot(_)) => "no-slot",
            Self::Place(place::Error::NoAddress(_)) => "no-address",
            Self::NotItsVolume(refused) => refused.event(),
            Self::NotWritable { .. } => "not-writable",
            Self::NotRestored(_) => "restore-failed",
            Self::NoPassword(_) => "no-admin-password",
            Self::Io { .. } => "system-error",
            Self::Died(_) => "neo4j-died",
            Self::Frozen(_) => "neo4j-frozen",
            Self::NotClean(_) => "stop-not-clean",
        }
    }
}

/// Runs until Neo4j has ended.
///
/// # Errors
/// Unless Neo4j was stopped cleanly because it was asked to stop.
pub async fn run(environment: &Environment) -> Result<(), Error> {
    let settings = settings::check(environment)?;
    let cluster = &settings.cluster;
    let mut signals = child::Signals::listen()?;
    let ready = Box::pin(async {
        let place = place::find(&settings).await?;
        name_slot(&place.slot.name);
        // Before there is a password, a port or a peer: none of them is this task's if the volume is not.
        identity::check(&settings.data, &settings.root_disk, &cluster.stack, &place.slot)?;
        [&settings.data, &settings.logs, &settings.conf].into_iter().try_for_each(|dir| writable(dir))?;
        let administrator = admin::Administrator::fetch(&settings).await?;
        let doorbell = doorbell::Doorbell::new(&settings, &place.slot).await;
        let at = |port| std::net::SocketAddr::new(place.address, port);
        let (http, bolt) = (at(cluster.http_port), at(cluster.bolt_port));
        let members = members::MemberLook::new(http, administrator.clone());
        let guard = guard::Guard::new(&settings, place.address, doorbell.clone(), members);
        let role = role::RoleCheck::new(cluster.dialect, http, bolt, administrator.clone());
        tokio::spawn(status::serve(at(cluster.status_port), guard.clone(), role));
        Box::pin(founding::begin(&settings, &place, &guard)).await?;
        let hosts = peers::wait_for_all(&settings, &place, Again::AfterDying).await;
        Ok::<_, Error>((place, administrator, doorbell, guard, hosts))
    });
    let (place, administrator, doorbell, guard, hosts) = tokio::select! {
        ready = ready => ready?,
        () = signals.stop() => {
            tracing::info!(event = "stopped", "asked to stop before Neo4j was started");
            return Ok(());
        }
    };
    let _held_to_the_end = hold(&settings.logs).await?;
    administrator.prepare(&settings.data)?;
    let (data, address) = (settings.data.clone(), place.address);
    tokio::spawn(async move { branched::watch(&data, &doorbell).await });
    let (mut start, mut hosts) = (None, hosts);
    loop {
        let disks = Disks::look(&settings);
        let conf = conf(&settings, &place.slot, address, &hosts, disks).map_err(settings::Error::from)?;
        conf.write(&settings).map_err(|(what, error)| Error::io(what, error))?;
        let server_id = place.slot.server_id;
        tracing::info!(event = "configured", server_id, %address, ?hosts, ?disks, "Neo4j is configured");
        let is_blank = cluster.dialect == Dialect::Ha && disks.volume == Volume::Blank;
        // Once, whatever is found on the volume then.
        let how = start.unwrap_or(if is_blank { Start::Blank { copied: false } } else { Start::Usual });
        // On the heap: the calls to ECS in it are large.
        let again = Box::pin(turn::wait(&settings, &place, &guard));
        match child::run(&settings, address, &mut signals, &guard, how, again).await? {
            End::Stopped => return Ok(()),
            End::Again { cleanly } => {
                start = Some(Start::Again);
                // A store copy may have taken hours, and the others may have other addresses now.
                let again = if cleanly { Again::AfterLeaving } else { Again::AfterDying };
                tokio::select! {
                    found = Box::pin(peers::wait_for_all(&settings, &place, again)) => hosts = found,
                    () = signals.stop() => {
                        tracing::info!(event = "stopped", "asked to stop before Neo4j was started once more");
                        return Ok(());
                    }
                }
            }
        }
    }
}

/// Said before anything is written, because Neo4j would end with a stack trace of its own.
fn writable(dir: &Path) -> Result<(), Error> {
    let below = ["databases", "databases/graph.db", "dbms"].map(|name| dir.join(name));
    let below = below.iter().map(PathBuf::as_path).filter(|below| below.exists());
    [dir].into_iter().chain(below).try_for_each(is_writable)
}

fn is_writable(dir: &Path) -> Result<(), Error> {
    let tried = fs::create_dir_all(dir)
        .and_then(|()| rustix::fs::access(dir, rustix::fs::Access::WRITE_OK).map_err(std::io::Error::from));
    let user = rustix::process::getuid().as_raw();
    tried.map_err(|error| Error::NotWritable { dir: dir.display().to_string(), user, error })
}

/// The programs that follow the logs end only after this one. One of them may hold the lock for an instant, while it asks.
async fn hold(logs: &Path) -> Result<File, Error> {
    let path = logs.join(follow::LOCK);
    let lock = File::create(&path).map_err(|error| Error::io(format!("making {}", path.display()), error))?;
    for _try in 0..HOLD_TRIES {
        if lock.try_lock().is_ok() {
            return Ok(lock);
        }
        tokio::time::sleep(HOLD_AGAIN).await;
    }
    let error =
        std::io::Error::other("another node program has it, so two containers have this directory of logs");
    Err(Error::io(format!("locking {}", path.display()), error))
}
