//! `node health`: whether this container's node is well, in one sentence, for operators and for `docker run`. ECS does not ask it: a
//! check that fails on a busy machine would end a database that is only slow.

use std::{net::SocketAddr, time::Duration};

use neo4j::{Status, phase};
use runtime::Environment;

use crate::{metadata, place, settings};

/// Longer than the node program takes on a busy machine, and shorter than Docker's own limit in the Dockerfile.
const PATIENCE: Duration = Duration::from_secs(5);
/// A JVM that has answered nothing for so long is frozen. The watchdog needs less, and more evidence.
const SILENT: Duration = Duration::from_secs(30);
/// An election takes seconds, and a role that is unknown for longer is not one that is being found.
const WITHOUT_ROLE: Duration = Duration::from_secs(60);

/// Why the node is not well.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Settings(#[from] settings::Error),
    #[error(transparent)]
    Place(#[from] metadata::NoAddress),
    #[error("the node program does not answer at {0} within {n} s: it has not begun, or it has ended", n = PATIENCE.as_secs())]
    NoAnswer(SocketAddr),
    #[error("Neo4j answers neither HTTP nor Bolt, for {0} s")]
    Silent(u64),
    #[error(
        "Neo4j runs and has had no role for {0} s (it says: {1}): it has no master, or not enough members"
    )]
    WithoutRole(u64, String),
}

/// One sentence about a node that is well.
///
/// # Errors
/// When it is not.
pub async fn run(environment: &Environment) -> Result<String, Error> {
    let settings = settings::check(environment)?;
    let address = place::address(&settings).await?;
    let at = SocketAddr::new(address, settings.cluster.status_port);
    let status = neo4j::status(at, PATIENCE).await.ok_or(Error::NoAnswer(at))?;
    judge(&status)
}

/// A start is never unhealthy, however long it takes: recovery and the copy of a large store take hours, and a restart would begin
/// them again.
fn judge(status: &Status) -> Result<String, Error> {
    let since = Duration::from_millis(status.since_ms);
    let seconds = since.as_secs();
    if status.phase != phase::RUNNING {
        let doing = match status.phase.as_str() {
            phase::WAITING => "it waits for the other nodes before it starts Neo4j",
            phase::RESTORING => "it restores the snapshot that its cluster is founded from",
            phase::RESTORED => {
                "it has restored the snapshot that its cluster is founded from, and waits for the other nodes"
            }
            phase::COPIED => {
                "it has copied the store, and waits for its turn to start Neo4j with the backup server"
            }
            phase::RESTARTING => "it starts Neo4j again, with the backup server",
            _ => "Neo4j starts: it recovers its store, or copies the master's",
        };
        return Ok(format!("well: {doing}, for {seconds} s"));
    }
    let silent = Duration::from_millis(status.silent_ms);
    if silent >= SILENT {
        return Err(Error::Silent(silent.as_secs()));
    }
    match status.role.as_str() {
        role @ ("master" | "slave") => Ok(format!("well: it is {role}, for {seconds} s")),
        role if since >= WITHOUT_ROLE => Err(Error::WithoutRole(seconds, role.to_owned())),
        _ => Ok(format!("well: it is between roles, for {seconds} s")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(phase: &str, role: &str, seconds: u64, silent: u64) -> Result<String, String> {
        let status = Status {
            phase: phase.into(),
            role: role.into(),
            since_ms: seconds * 1000,
            silent_ms: silent * 1000,
            ..Status::default()
        };
        judge(&status).map_err(|error| error.to_string())
    }

    #[test]
    fn a_start_is_well_however_long_it_takes() {
        for phase in ["waiting-for-peers", "starting", "copied", "restarting"] {
            let sentence = said(phase, "not known", 20_000, 20_000).unwrap();
            assert!(sentence.starts_with("well: ") && sentence.ends_with(", for 20000 s"), "{sentence}");
        }
    }

    #[test]
    fn a_node_with_a_role_is_well_and_so_is_one_in_an_election() {
        assert_eq!(said("running", "master", 5, 0).unwrap(), "well: it is master, for 5 s");
        assert_eq!(said("running", "slave", 5, 29).unwrap(), "well: it is slave, for 5 s");
        assert_eq!(said("running", "unsettled", 59, 0).unwrap(), "well: it is between roles, for 59 s");
    }

    #[test]
    fn silence_and_a_role_that_is_not_found_are_not_well() {
        assert_eq!(
            said("running", "master", 5, 30).unwrap_err(),
            "Neo4j answers neither HTTP nor Bolt, for 30 s"
        );
        let sentence = said("running", "unsettled", 60, 0).unwrap_err();
        assert!(
            sentence.starts_with("Neo4j runs and has had no role for 60 s (it says: unsettled)"),
            "{sentence}"
        );
    }
}
