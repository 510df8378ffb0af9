//! Neo4j as a child: started, told signals, waited for.

use std::{net::IpAddr, os::unix::process::ExitStatusExt, process::ExitStatus, time::Duration};

use rustix::process::{Pid, Signal, kill_process};
use tokio::{
    process::{Child, Command},
    signal::unix::{self, SignalKind, signal},
    time::timeout,
};
use tracing::{info, warn};

use super::{Error, guard::Guard, watch::Start};
use crate::Settings;

/// A JVM that is asked to stop and has answered nothing on HTTP and Bolt for so long is not going to stop. Longer than the
/// patience of one look, so that a pause of the garbage collector or taken workers do not make an unclean death of a clean stop.
const UNRESPONSIVE: Duration = Duration::from_secs(3);
/// Kept of the stop timeout, so that this program still says how it ended before it is killed itself.
const LAST_WORDS: Duration = Duration::from_secs(2);
/// A stop timeout may be too short for last words; Neo4j gets this much of it.
const AT_LEAST: Duration = Duration::from_secs(1);
/// What the JVM answers when SIGTERM ended it in good order.
const TERMINATED: i32 = 128 + 15;

/// The signals of PID 1. They are listened to from the start: PID 1 ignores what it has no handler for.
pub struct Signals {
    term: unix::Signal,
    int: unix::Signal,
    quit: unix::Signal,
}

impl Signals {
    /// Starts to listen.
    pub fn listen() -> Result<Self, Error> {
        let listen = |kind| signal(kind).map_err(|error| Error::io("listening to signals", error));
        Ok(Self {
            term: listen(SignalKind::terminate())?,
            int: listen(SignalKind::interrupt())?,
            quit: listen(SignalKind::quit())?,
        })
    }

    /// Whether one of them has come.
    async fn is_asked(&mut self) -> bool {
        tokio::select! {
            biased;
            () = self.stop() => true,
            () = std::future::ready(()) => false,
        }
    }

    /// Waits for SIGTERM or SIGINT.
    pub async fn stop(&mut self) {
        tokio::select! {
            _ = self.term.recv() => {}
            _ = self.int.recv() => {}
        }
    }
}

/// How a run of Neo4j ended that went well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// It was asked to stop.
    Stopped,
    /// It is to be started once more.
    Again {
        /// Whether it has left its cluster; otherwise the others take it for dead first.
        cleanly: bool,
    },
}

/// Starts Neo4j and stays until it has ended. When `again` says so, Neo4j is stopped to be started once more; if it says no, Neo4j goes
/// on as it is.
///
/// # Errors
/// When it ended unasked, or was asked and did not end well.
pub async fn run(
    settings: &Settings,
    address: IpAddr,
    signals: &mut Signals,
    guard: &Guard,
    how: Start,
    again: impl Future<Output = bool>,
) -> Result<End, Error> {
    let mut neo4j = start(settings)?;
    let pid = neo4j.id();
    guard.start(how);
    info!(event = "neo4j-started", pid, %address, "Neo4j is started");
    let watching = guard.until_frozen();
    tokio::pin!(watching, again);
    let mut may_restart = true;
    let end = loop {
        tokio::select! {
            silent = &mut watching => {
                // It cannot be asked: SIGTERM waits in a frozen process.
                tell(&neo4j, Signal::KILL);
                status(neo4j.wait().await)?;
                return Err(Error::Frozen(silent.as_secs()));
            }
            ended = neo4j.wait() => return Err(Error::Died(status(ended)?)),
            _ = signals.quit.recv() => tell(&neo4j, Signal::QUIT), // the JVM prints its threads
            _ = signals.term.recv() => break End::Stopped,
            _ = signals.int.recv() => break End::Stopped,
            is_turn = &mut again, if may_restart => {
                if is_turn {
                    break End::Again { cleanly: true };
                }
                may_restart = false;
                guard.start(Start::Usual);
            }
        }
    };
    let within = settings.stop_timeout.saturating_sub(LAST_WORDS).max(AT_LEAST);
    match end {
        End::Stopped => {
            let within_seconds = within.as_secs();
            info!(event = "stopping", within_seconds, "asked to stop; Neo4j is asked to stop");
        }
        End::Again { .. } => {
            info!(
                event = "restarting",
                "the first store is copied; Neo4j is started once more, with its backup server"
            );
        }
    }
    tell(&neo4j, Signal::TERM);
    let ended = stop(&mut neo4j, within, guard, watching).await?;
    let well =
        ended.success() || ended.code() == Some(TERMINATED) || ended.signal() == Some(Signal::TERM.as_raw());
    // A stop that was asked for meanwhile is a stop.
    let is_stop = end == End::Stopped || signals.is_asked().await;
    match (is_stop, well) {
        (true, true) => {
            info!(event = "stopped", "Neo4j has stopped");
            Ok(End::Stopped)
        }
        (true, false) => Err(Error::NotClean(ended)),
        (false, true) => Ok(End::Again { cleanly: true }),
        (false, false) => {
            warn!(
                event = "stop-not-clean",
                "Neo4j recovers its transaction logs at the start that follows ({ended})"
            );
            Ok(End::Again { cleanly: false })
        }
    }
}

fn start(settings: &Settings) -> Result<Child, Error> {
    let program = settings.home.join("bin/neo4j");
    let mut command = Command::new(&program);
    command.arg("console").env_clear().kill_on_drop(true);
    // The task's own variables stay here: Neo4j needs none of the cloud's.
    for name in ["PATH", "HOME", "JAVA_HOME", "LANG", "TZ"] {
        if let Some(value) = std::env::var_os(name) {
            command.env(name, value);
        }
    }
    command.env("NEO4J_HOME", &settings.home).env("NEO4J_CONF", &settings.conf);
    command.spawn().map_err(|error| Error::io(format!("starting {}", program.display()), error))
}

/// Waits for the end; a JVM that answers nothing, or takes too long, is killed. The looks go on meanwhile: a question that
/// was sent before the signal may still be answered.
async fn stop(
    neo4j: &mut Child,
    within: Duration,
    guard: &Guard,
    watching: impl Future<Output = Duration>,
) -> Result<ExitStatus, Error> {
    let silent = async {
        // A refused connection is a JVM that is stopping; silence on both is one that is frozen.
        tokio::select! {
            biased;
            silent = watching => silent,
            () = guard.until_silent_for(UNRESPONSIVE) => UNRESPONSIVE,
        }
    };
    let why = tokio::select! {
        ended = timeout(within, neo4j.wait()) => match ended {
            Ok(ended) => return status(ended),
            Err(_) => format!("it did not stop within {} s", within.as_secs()),
        },
        silent = silent => format!("it answered nothing on HTTP and Bolt for {} s", silent.as_secs()),
    };
    warn!(event = "neo4j-killed", "Neo4j is killed: {why}");
    tell(neo4j, Signal::KILL);
    status(neo4j.wait().await)
}

fn tell(neo4j: &Child, signal: Signal) {
    let pid = neo4j.id().and_then(|pid| i32::try_from(pid).ok()).and_then(Pid::from_raw);
    if let Some(pid) = pid {
        let _ended_meanwhile = kill_process(pid, signal);
    }
}

fn status(ended: std::io::Result<ExitStatus>) -> Result<ExitStatus, Error> {
    ended.map_err(|error| Error::io("waiting for Neo4j", error))
}
