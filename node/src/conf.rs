//! `neo4j.conf`, as a function of the settings and the addresses.

use std::{
    collections::BTreeMap,
    fmt, fs,
    io::{self, Write as _},
    net::IpAddr,
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::Path,
    time::Duration,
};

use neo4j::Dialect;
use topology::{Kind, Slot};
use tracing::warn;

use crate::{Failure, Replication, Settings};

/// Where members of the cluster talk to each other; each has an address of its own, so the ports are the same.
const COORDINATION_PORT: u16 = 5001;
const DATA_PORT: u16 = 6001;
const BACKUP_PORT: u16 = 6362;
/// The same of causal clustering.
const DISCOVERY_PORT: u16 = 5000;
const TRANSACTION_PORT: u16 = 6000;
const RAFT_PORT: u16 = 7000;
/// Role checks share the workers with queries (facts: a busy master of as many workers as processors answers its own
/// check late, and the balancer throws it out), so there are always more than queries alone would need. And a slave passes a
/// write on to its master: when that one is frozen a worker waits for the read timeout with each of them (measured: with 16,
/// seven writes a second made both survivors silent, so that nobody could see who was frozen). 200 is Jetty's own default.
const WORKERS_PER_PROCESSOR: usize = 4;
const FEWEST_WORKERS: usize = 200;
/// Permissions of `neo4j.conf`.
const OWNERS: u32 = 0o600;

/// The lines of a `neo4j.conf`, sorted by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conf(BTreeMap<String, String>);

/// A setting that would write what it must not into `neo4j.conf`. Its value is not repeated.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotASetting {
    /// It sets what follows from the stack's own parameters.
    #[error(
        "{0} cannot be set by a NEO4J_ variable or in Neo4jSettings: it follows from the stack's parameters and the task's address, and \
         another value would break the cluster"
    )]
    NotOurs(String),
    /// It is more than its own line: a line break would add any line, owned settings too, and a backslash at the end would
    /// swallow the line below.
    #[error(
        "{0} has a line break or another control character in it, or a backslash at its end: it must be one line of neo4j.conf"
    )]
    NotOneLine(String),
    /// Two values, of which one would be ignored.
    #[error(
        "{first} and {second} set the same: remove one of the two, because Neo4j would ignore one without a word"
    )]
    Twice {
        /// Where it was given first.
        first: String,
        /// And again.
        second: String,
    },
    /// A line of the parameter `Neo4jSettings`. It may be the rest of a secret, so it is not repeated.
    #[error(
        "line {0} of Neo4jSettings has no `=`: a line must be `name=value`, empty, or a comment that begins with #"
    )]
    NoEquals(usize),
    /// The same.
    #[error(
        "line {0} of Neo4jSettings does not begin with the name of a setting: a letter in lower case, then letters, digits and ._- as \
         in dbms.logs.query.enabled"
    )]
    NotAName(usize),
}

/// What a node finds on its volume.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Volume {
    /// No store: a slave copies one from the master, in place of the one it makes at its start.
    Blank,
    /// A store.
    Filled,
}

impl Volume {
    /// Looks for a store on the slot's volume.
    pub fn look(settings: &Settings) -> Self {
        let store = settings.data.join("databases/graph.db/neostore");
        if store.exists() { Self::Filled } else { Self::Blank }
    }
}

/// The configuration of the node of `slot` at `address`, in a cluster that starts from `hosts`.
///
/// # Errors
/// When a setting of the user's is one that only this program may set, or a directory is not one line.
pub fn conf(
    settings: &Settings,
    slot: &Slot,
    address: IpAddr,
    hosts: &[IpAddr],
    volume: Volume,
) -> Result<Conf, NotASetting> {
    let mut owned = common(settings, address, volume);
    match settings.cluster.dialect {
        Dialect::Ha => owned.extend(high_availability(settings, slot, address, hosts)),
        Dialect::Cluster(_) => owned.extend(causal(settings, address, hosts)),
        Dialect::Single => {}
    }
    let mut lines: BTreeMap<String, String> = defaults(settings).into_iter().map(named).collect();
    for setting in &settings.overrides {
        if owned.iter().any(|(own, _)| *own == setting.name) {
            return Err(NotASetting::NotOurs(setting.name.clone()));
        }
        lines.insert(setting.name.clone(), setting.value.clone());
    }
    lines.extend(owned.into_iter().map(named));
    // Directories are variables of the task too.
    match lines.iter().find(|(name, value)| !is_one_line(name, value)) {
        Some((name, _)) => Err(NotASetting::NotOneLine(name.clone())),
        None => Ok(Conf(lines)),
    }
}

/// Neo4j reads its file as properties of Java: a backslash at the end of a line joins it with the next one.
pub(crate) fn is_one_line(name: &str, value: &str) -> bool {
    let is_control = |character: char| character.is_control() && character != '\t';
    let is_name = |character: char| character.is_ascii_alphanumeric() || "._-".contains(character);
    name.chars().all(is_name) && !value.contains(is_control) && !value.ends_with('\\')
}

type Line = (&'static str, String);

fn named((name, value): Line) -> (String, String) {
    (name.to_owned(), value)
}

/// What people may set otherwise.
fn defaults(settings: &Settings) -> Vec<Line> {
    let workers = (settings.processors * WORKERS_PER_PROCESSOR).max(FEWEST_WORKERS);
    vec![
        ("dbms.threads.worker_count", workers.to_string()),
        ("dbms.tx_log.rotation.retention_policy", "100M size".into()),
        // 3.4.6 leaks disk space with its default provider.
        ("dbms.index.default_schema_provider", "lucene+native-2.0".into()),
        ("dbms.udc.enabled", "false".into()),
        // With a certificate of its own unless one is put into the certificates' directory.
        ("dbms.connector.https.enabled", "true".into()),
    ]
}

fn common(settings: &Settings, address: IpAddr, volume: Volume) -> Vec<Line> {
    // A blank slave throws its own store away while it still starts. If the backup server is bound at that moment, 3.4.6
    // fails half-way through the copy and goes on with a transaction log that is deleted on disk (seen in one of about
    // ten formations): it cannot serve as a master, and its log is gone at the next start. So the backup server comes
    // with the second start.
    let backup = settings.cluster.dialect != Dialect::Ha || volume == Volume::Filled;
    let below = |name: &str| settings.data.join(name).display().to_string();
    vec![
        ("dbms.connectors.default_listen_address", address.to_string()),
        ("dbms.connectors.default_advertised_address", address.to_string()),
        ("dbms.connector.bolt.enabled", "true".into()),
        ("dbms.connector.http.enabled", "true".into()),
        // Backups come from other hosts; the port has no password, so it is the security group that guards it.
        ("dbms.backup.enabled", backup.to_string()),
        ("dbms.backup.address", format!("{address}:{BACKUP_PORT}")),
        ("dbms.directories.data", settings.data.display().to_string()),
        ("dbms.directories.certificates", below("certificates")),
        ("dbms.directories.run", settings.logs.display().to_string()),
        ("dbms.directories.logs", settings.logs.display().to_string()),
    ]
}

fn high_availability(settings: &Settings, slot: &Slot, address: IpAddr, hosts: &[IpAddr]) -> Vec<Line> {
    let is_core = slot.kind == Kind::Core;
    let hosts: Vec<String> = hosts.iter().map(|host| format!("{host}:{COORDINATION_PORT}")).collect();
    let (push_factor, pull_interval) = match settings.replication {
        Replication::Push => ("1", "1s"),
        Replication::Pull => ("0", "100ms"),
    };
    vec![
        ("dbms.mode", "HA".into()),
        ("ha.server_id", slot.server_id.to_string()),
        ("ha.slave_only", (!is_core).to_string()),
        // A cluster that a slave-only node founded would have no master, ever. 3.4.6 founds none from a node that is not one of its
        // own initial hosts (tried: it ends after 95 s); this says the same to any other version.
        ("ha.allow_init_cluster", is_core.to_string()),
        ("ha.initial_hosts", hosts.join(",")),
        ("ha.host.coordination", format!("{address}:{COORDINATION_PORT}")),
        ("ha.host.data", format!("{address}:{DATA_PORT}")),
        ("ha.heartbeat_interval", millis(settings.heartbeat_interval)),
        ("ha.heartbeat_timeout", millis(settings.heartbeat_timeout)),
        // Below the ten seconds of a role switch, so that survivors of a frozen master elect by themselves.
        ("ha.slave_read_timeout", millis(settings.slave_read_timeout)),
        ("ha.slave_lock_timeout", "20s".into()),
        ("ha.tx_push_factor", push_factor.into()),
        ("ha.tx_push_strategy", "fixed_ascending".into()),
        ("ha.pull_interval", pull_interval.into()),
        // The balancer asks without a password.
        ("dbms.security.ha_status_auth_enabled", "false".into()),
    ]
}

fn causal(settings: &Settings, address: IpAddr, hosts: &[IpAddr]) -> Vec<Line> {
    let hosts: Vec<String> = hosts.iter().map(|host| format!("{host}:{DISCOVERY_PORT}")).collect();
    let majority = settings.cluster.core().count() / 2 + 1;
    vec![
        ("dbms.mode", "CORE".into()),
        ("causal_clustering.initial_discovery_members", hosts.join(",")),
        ("causal_clustering.discovery_listen_address", format!("{address}:{DISCOVERY_PORT}")),
        ("causal_clustering.discovery_advertised_address", format!("{address}:{DISCOVERY_PORT}")),
        ("causal_clustering.transaction_listen_address", format!("{address}:{TRANSACTION_PORT}")),
        ("causal_clustering.transaction_advertised_address", format!("{address}:{TRANSACTION_PORT}")),
        ("causal_clustering.raft_listen_address", format!("{address}:{RAFT_PORT}")),
        ("causal_clustering.raft_advertised_address", format!("{address}:{RAFT_PORT}")),
        // A majority is what may form a cluster here, so Neo4j must not wait for more.
        ("causal_clustering.minimum_core_cluster_size_at_formation", majority.to_string()),
        // Raft sends its heartbeats three times in this.
        ("causal_clustering.leader_election_timeout", millis(settings.heartbeat_timeout)),
        // The balancer asks without a password.
        ("dbms.security.causal_clustering_status_auth_enabled", "false".into()),
    ]
}

fn millis(duration: Duration) -> String {
    format!("{}ms", duration.as_millis())
}

impl Conf {
    /// Writes the file, and makes the directories it names.
    pub(crate) fn write(&self, settings: &Settings) -> Result<(), Failure> {
        for dir in [&settings.conf, &settings.logs] {
            fs::create_dir_all(dir)
                .map_err(|error| Failure::Io { what: format!("making {}", dir.display()), error })?;
        }
        let file = settings.conf.join("neo4j.conf");
        write(&file, &self.to_string())
            .map_err(|error| Failure::Io { what: format!("writing {}", file.display()), error })
    }
}

/// For its owner alone: Neo4j is this program's child and runs as the same user, and a setting may be a secret.
fn write(file: &Path, text: &str) -> io::Result<()> {
    let mut options = fs::OpenOptions::new();
    let mut open = options.write(true).create(true).truncate(true).mode(OWNERS).open(file)?;
    // An image brings a file of its own, readable by all. Where it belongs to another user it stays so: that user may be who reads it.
    if let Err(error) = open.set_permissions(fs::Permissions::from_mode(OWNERS)) {
        warn!(event = "conf-readable", "{} stays readable as it was: {error}", file.display());
    }
    open.write_all(text.as_bytes())
}

impl fmt::Display for Conf {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|(name, value)| writeln!(out, "{name}={value}"))
    }
}
