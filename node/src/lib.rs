//! The program that is PID 1 beside Neo4j: it configures Neo4j, waits until the whole cluster can be named, runs Neo4j
//! as its child and ends with it.
//!
//! ```text
//! environment --> settings --> conf --+
//! ECS (peers) --> forming -----------+--> child: bin/neo4j console <-- signals
//!                                                ^
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
mod login;
mod members;
mod peers;
mod role;
mod settings;
mod status;
mod watch;

pub use conf::{Conf, NotASetting, Volume, conf};
pub use forming::{Formation, Forming};
pub use settings::{Replication, Settings};
pub use watch::{Bell, Watch};

use runtime::{Environment, Invalid};

/// Why the program ends other than by an asked and clean stop.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// A parameter.
    #[error("{0}")]
    Invalid(#[from] Invalid),
    /// A `NEO4J_*` variable.
    #[error(transparent)]
    NotASetting(#[from] NotASetting),
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
            Self::NoPassword(_) => "no-admin-password",
            Self::Address(_) => "no-address",
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
/// Unless Neo4j was stopped cleanly because somebody asked for it.
pub async fn run(environment: &Environment) -> Result<(), Failure> {
    let settings = Settings::read(environment)?;
    // A variable that is refused shall not wait for the peers to be refused.
    let volume = Volume::look(&settings);
    conf(&settings, std::net::Ipv4Addr::LOCALHOST.into(), &[], volume)?;
    let mut signals = child::Signals::listen()?;
    let address = peers::own_address(&settings).await?;
    let ready = async {
        let administrator = admin::Administrator::fetch(&settings).await?;
        let doorbell = doorbell::Doorbell::new(&settings).await;
        let at = |port| std::net::SocketAddr::new(address, port);
        let (http, bolt) = (at(child::HTTP_PORT), at(guard::BOLT_PORT));
        let members = members::MemberLook::new(http, administrator.clone());
        let guard = guard::Guard::new(&settings, address, doorbell, members);
        let role = role::RoleCheck::new(settings.dialect, http, bolt, administrator.clone());
        tokio::spawn(status::serve(address, guard.clone(), role));
        let hosts = peers::wait_for_all(&settings, address).await;
        Ok::<_, Failure>((administrator, guard, hosts))
    };
    let (administrator, guard, hosts) = tokio::select! {
        ready = ready => ready?,
        () = signals.stop() => {
            tracing::info!(event = "stopped", "asked to stop before Neo4j was started");
            return Ok(());
        }
    };
    conf(&settings, address, &hosts, volume)?.write(&settings)?;
    administrator.prepare(&settings.data)?;
    tracing::info!(event = "configured", %address, hosts = ?hosts, volume = ?volume, "Neo4j is configured");
    let data = settings.data.clone();
    tokio::spawn(async move { branched::watch(&data).await });
    child::run(&settings, address, signals, &guard).await
}
