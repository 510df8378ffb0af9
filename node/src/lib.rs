//! The program that is PID 1 beside Neo4j: it configures Neo4j, waits until the whole cluster can be named, runs Neo4j
//! as its child and ends with it.
//!
//! ```text
//! environment --> settings ----------------+
//! agent, ECS  --> place: address and slot  +--> conf --+
//! slot.json   --> identity: its volume ----+           |
//! ECS (peers) --> forming -----------------------------+--> child: bin/neo4j console <-- signals
//!                                                           ^
//! guard: role, every 75 ms --> watch --> doorbell (EventBridge), status port, SIGKILL when it is frozen
//! status port: GET /role, /read --> role: asks Neo4j now, over HTTP and Bolt
//! ```

mod admin;
mod branched;
mod child;
mod conf;
mod doorbell;
mod forming;
mod guard;
mod identity;
mod login;
mod members;
mod metadata;
mod overrides;
mod peers;
mod place;
mod role;
mod settings;
mod status;
mod watch;

pub use conf::{Conf, NotASetting, Volume, conf};
pub use forming::{Formation, Forming};
pub use identity::{Identity, Refused};
pub use overrides::{Override, Source};
pub use place::NoSlot;
pub use settings::{Replication, Settings};
pub use watch::{Bell, Watch};

use runtime::{Environment, Invalid, name_slot};

/// Why the program ends other than by an asked and clean stop.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// A parameter.
    #[error("{0}")]
    Invalid(#[from] Invalid),
    /// A setting of the user's.
    #[error(transparent)]
    NotASetting(#[from] NotASetting),
    /// Its slot.
    #[error(transparent)]
    NoSlot(#[from] NoSlot),
    /// Its data directory.
    #[error(transparent)]
    NotItsVolume(#[from] Refused),
    /// The administrator's password.
    #[error(
        "the administrator's password cannot be had ({0}); Neo4j is not started, because it would start with the password \
         that everybody knows"
    )]
    NoPassword(String),
    /// Its own address.
    #[error("the task's own address is not known: {0}; without it peers cannot reach this node")]
    Address(String),
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

impl Failure {
    /// The log event.
    pub fn event(&self) -> &'static str {
        match self {
            Self::Invalid(_) | Self::NotASetting(_) => "bad-parameter",
            Self::NoSlot(_) => "no-slot",
            Self::NotItsVolume(refused) => refused.event(),
            Self::NoPassword(_) => "no-admin-password",
            Self::Address(_) => "no-address",
            Self::Io { .. } => "system-error",
            Self::Died(_) => "neo4j-died",
            Self::Frozen(_) => "neo4j-frozen",
            Self::NotClean(_) => "stop-not-clean",
        }
    }
}

/// Reads and checks all that the task definition says. A setting that is refused must not wait for the agent to be refused, so no
/// slot is needed for it.
///
/// # Errors
/// The first that is invalid.
pub fn check(environment: &Environment) -> Result<Settings, Failure> {
    let settings = Settings::read(environment)?;
    if let Some(any) = settings.cluster.slots.first() {
        conf(&settings, any, std::net::Ipv4Addr::LOCALHOST.into(), &[], Volume::Blank)?;
    }
    Ok(settings)
}

/// Runs until Neo4j has ended.
///
/// # Errors
/// Unless Neo4j was stopped cleanly because somebody asked for it.
pub async fn run(environment: &Environment) -> Result<(), Failure> {
    let settings = check(environment)?;
    let cluster = &settings.cluster;
    let mut signals = child::Signals::listen()?;
    let ready = async {
        let place = place::find(&settings).await?;
        name_slot(&place.slot.name);
        // Before there is a password, a port or a peer: none of them is this task's if the volume is not.
        identity::check(&settings.data, &settings.root_disk, &cluster.stack, &place.slot)?;
        let administrator = admin::Administrator::fetch(&settings).await?;
        let doorbell = doorbell::Doorbell::new(&settings, &place.slot).await;
        let at = |port| std::net::SocketAddr::new(place.address, port);
        let (http, bolt) = (at(cluster.http_port), at(cluster.bolt_port));
        let members = members::MemberLook::new(http, administrator.clone());
        let guard = guard::Guard::new(&settings, place.address, doorbell.clone(), members);
        let role = role::RoleCheck::new(cluster.dialect, http, bolt, administrator.clone());
        tokio::spawn(status::serve(at(cluster.status_port), guard.clone(), role));
        let hosts = peers::wait_for_all(&settings, &place).await;
        Ok::<_, Failure>((place, administrator, doorbell, guard, hosts))
    };
    let (place, administrator, doorbell, guard, hosts) = tokio::select! {
        ready = ready => ready?,
        () = signals.stop() => {
            tracing::info!(event = "stopped", "asked to stop before Neo4j was started");
            return Ok(());
        }
    };
    let (volume, address) = (Volume::look(&settings), place.address);
    conf(&settings, &place.slot, address, &hosts, volume)?.write(&settings)?;
    administrator.prepare(&settings.data)?;
    let server_id = place.slot.server_id;
    tracing::info!(event = "configured", server_id, %address, ?hosts, ?volume, "Neo4j is configured");
    let data = settings.data.clone();
    tokio::spawn(async move { branched::watch(&data, &doorbell).await });
    child::run(&settings, address, signals, &guard).await
}
