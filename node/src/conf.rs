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

use neo4j::{
    Dialect,
    ports::{BACKUP, COORDINATION, DATA, DISCOVERY, RAFT, TRANSACTION},
};
use topology::{Kind, Slot};
use tracing::warn;

use crate::{
    Replication, Settings,
    disks::{Disks, Volume},
};

/// Role checks share the workers with queries (measured: a busy master of as many workers as processors answers its own
/// check late, and the balancer throws it out), so there are always more than queries alone would need. And a slave passes a
/// write on to its master: when that one is frozen a worker waits for the read timeout with each of them (measured: with 16,
/// seven writes a second made both survivors silent, so that nobody could see who was frozen). 200 is Jetty's own default.
const WORKERS_PER_PROCESSOR: usize = 4;
const FEWEST_WORKERS: usize = 200;
/// A log file of Neo4j is renamed at this size, and so many renamed ones are kept of it. All of them together stay far below what a
/// host's disk has left, and the lines of an hour of trouble are still there when CloudWatch is not.
const LOG_FILE: &str = "20m";
const OLD_LOG_FILES: &str = "3";
/// The first line of the file, by which `node conf` knows it from one that an image has brought.
pub(crate) const MARK: &str = "# Written by `node run`, which writes it again at every start.";
/// Permissions of `neo4j.conf`.
const OWNERS: u32 = 0o600;

/// The lines of a `neo4j.conf`, by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conf(BTreeMap<String, Line>);

/// The value of a setting, and what it follows from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    pub value: String,
    pub origin: Origin,
}

/// What a line follows from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// This program alone; another value would break the cluster.
    Fixed,
    /// This program, unless users set another value.
    Default,
    /// A variable of the task definition that is not a setting of Neo4j; without it a default of this program.
    Variable(&'static str),
    /// The task's address.
    Address,
    /// The task's slot.
    Slot,
    /// The addresses of the core slots.
    Peers,
    /// Whether there is a store on the slot's volume.
    Volume,
    /// The users of the stack, and where they gave it.
    Override(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fixed => out.write_str("this program, which refuses another value"),
            Self::Default => out.write_str("this program's default; Neo4jSettings may set another value"),
            Self::Variable(name) => write!(out, "the variable {name}, or its default"),
            Self::Address => out.write_str("the task's address"),
            Self::Slot => out.write_str("the task's slot"),
            Self::Peers => out.write_str("the addresses of the core slots, as ECS lists them"),
            Self::Volume => out.write_str("the slot's volume, on which there is a store or not"),
            Self::Override(given) => out.write_str(given),
        }
    }
}

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
    /// A line, named by where it is. It may be the rest of a secret, so it is not repeated.
    #[error("{0} has no `=`: a line must be `name=value`, empty, or a comment that begins with #")]
    NoEquals(String),
    /// The same.
    #[error(
        "{0} does not begin with the name of a setting: a letter in lower case, then letters, digits and ._- as in \
         dbms.logs.query.enabled"
    )]
    NotAName(String),
    /// The file that users mount.
    #[error("the mounted neo4j.conf cannot be read: {0}")]
    Unreadable(String),
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
    disks: Disks,
) -> Result<Conf, NotASetting> {
    let mut owned = common(settings, address, disks);
    match settings.cluster.dialect {
        Dialect::Ha => owned.extend(high_availability(settings, slot, address, hosts)),
        Dialect::Cluster(_) => owned.extend(causal(settings, address, hosts)),
        Dialect::Single => {}
    }
    let mut lines: BTreeMap<String, Line> = defaults(settings, disks).into_iter().map(named).collect();
    for setting in &settings.overrides {
        if owned.iter().any(|(own, ..)| *own == setting.name) {
            return Err(NotASetting::NotOurs(setting.name.clone()));
        }
        let line = Line { value: setting.value.clone(), origin: Origin::Override(setting.given()) };
        lines.insert(setting.name.clone(), line);
    }
    lines.extend(owned.into_iter().map(named));
    // Directories are variables of the task too.
    match lines.iter().find(|(name, line)| !is_one_line(name, &line.value)) {
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

type Own = (&'static str, String, Origin);

fn named((name, value, origin): Own) -> (String, Line) {
    (name.to_owned(), Line { value, origin })
}

/// What users may set otherwise.
fn defaults(settings: &Settings, disks: Disks) -> Vec<Own> {
    let workers = (settings.processors * WORKERS_PER_PROCESSOR).max(FEWEST_WORKERS);
    let retention = settings.transaction_logs.policy(disks.bytes);
    let mut lines = vec![
        ("dbms.threads.worker_count", workers.to_string(), Origin::Default),
        ("dbms.tx_log.rotation.retention_policy", retention, Origin::Variable("TRANSACTION_LOG_RETENTION")),
        // Neo4j keeps seven old files of each by default, which the host's disk has no need of: the lines go to CloudWatch.
        ("dbms.logs.debug.rotation.size", LOG_FILE.into(), Origin::Default),
        ("dbms.logs.debug.rotation.keep_number", OLD_LOG_FILES.into(), Origin::Default),
        ("dbms.logs.security.rotation.size", LOG_FILE.into(), Origin::Default),
        ("dbms.logs.security.rotation.keep_number", OLD_LOG_FILES.into(), Origin::Default),
        ("dbms.logs.query.rotation.size", LOG_FILE.into(), Origin::Default),
        ("dbms.logs.query.rotation.keep_number", OLD_LOG_FILES.into(), Origin::Default),
        // 3.4.6 leaks disk space with its default provider.
        ("dbms.index.default_schema_provider", "lucene+native-2.0".into(), Origin::Default),
        ("dbms.udc.enabled", "false".into(), Origin::Default),
        // The official neo4j.conf has it, which this one replaces: Java 8 would take a collector that stops the world for seconds, and
        // heartbeats with it.
        ("dbms.jvm.additional", "-XX:+UseG1GC".into(), Origin::Default),
        // On by default in Enterprise, below its home, and 3.4 never renames or removes these files.
        ("metrics.csv.enabled", "false".into(), Origin::Default),
        // With a certificate of its own unless one is put into the certificates' directory.
        ("dbms.connector.https.enabled", "true".into(), Origin::Default),
    ];
    if let Some(threshold) = settings.slow_query {
        let origin = || Origin::Variable("SLOW_QUERY_MS");
        lines.push(("dbms.logs.query.enabled", "true".into(), origin()));
        lines.push(("dbms.logs.query.threshold", millis(threshold), origin()));
        // Parameters are what users keep secrets in.
        lines.push(("dbms.logs.query.parameter_logging_enabled", "false".into(), Origin::Default));
    }
    lines
}

fn common(settings: &Settings, address: IpAddr, disks: Disks) -> Vec<Own> {
    // A blank slave throws its own store away while it still starts. If the backup server is bound at that moment, 3.4.6
    // fails half-way through the copy and goes on with a transaction log that is deleted on disk (seen in one of about
    // ten formations): it cannot serve as a master, and its log is gone at the next start. So the backup server comes
    // with the second start.
    let backup = settings.cluster.dialect != Dialect::Ha || disks.volume == Volume::Filled;
    let follows = if settings.cluster.dialect == Dialect::Ha { Origin::Volume } else { Origin::Fixed };
    let directory = |path: &Path| path.display().to_string();
    let (certificates, from) = if disks.certificates {
        (directory(&settings.ssl), Origin::Variable("SSL_DIR"))
    } else {
        (directory(&settings.data.join("certificates")), Origin::Variable("DATA_DIR"))
    };
    vec![
        ("dbms.connectors.default_listen_address", address.to_string(), Origin::Address),
        ("dbms.connectors.default_advertised_address", address.to_string(), Origin::Address),
        ("dbms.connector.bolt.enabled", "true".into(), Origin::Fixed),
        ("dbms.connector.http.enabled", "true".into(), Origin::Fixed),
        // Backups come from other hosts; the port has no password, so it is the security group that guards it.
        ("dbms.backup.enabled", backup.to_string(), follows),
        ("dbms.backup.address", format!("{address}:{BACKUP}"), Origin::Address),
        ("dbms.directories.data", directory(&settings.data), Origin::Variable("DATA_DIR")),
        ("dbms.directories.certificates", certificates, from),
        ("dbms.directories.run", directory(&settings.logs), Origin::Variable("LOGS_DIR")),
        ("dbms.directories.logs", directory(&settings.logs), Origin::Variable("LOGS_DIR")),
        ("dbms.directories.metrics", directory(&settings.logs.join("metrics")), Origin::Variable("LOGS_DIR")),
        ("dbms.directories.plugins", directory(&settings.plugins), Origin::Variable("PLUGINS_DIR")),
        ("dbms.directories.import", directory(&settings.import), Origin::Variable("IMPORT_DIR")),
    ]
}

fn high_availability(settings: &Settings, slot: &Slot, address: IpAddr, hosts: &[IpAddr]) -> Vec<Own> {
    let is_core = slot.kind == Kind::Core;
    let hosts: Vec<String> = hosts.iter().map(|host| format!("{host}:{COORDINATION}")).collect();
    let (push_factor, pull_interval) = match settings.replication {
        Replication::Push => ("1", "1s"),
        Replication::Pull => ("0", "100ms"),
    };
    vec![
        ("dbms.mode", "HA".into(), Origin::Variable("DIALECT")),
        ("ha.server_id", slot.server_id.to_string(), Origin::Slot),
        ("ha.slave_only", (!is_core).to_string(), Origin::Slot),
        // A cluster that a slave-only node founded would have no master, ever. 3.4.6 founds none from a node that is not one of its
        // own initial hosts (tried: it ends after 95 s); this says the same to any other version.
        ("ha.allow_init_cluster", is_core.to_string(), Origin::Slot),
        ("ha.initial_hosts", hosts.join(","), Origin::Peers),
        ("ha.host.coordination", format!("{address}:{COORDINATION}"), Origin::Address),
        ("ha.host.data", format!("{address}:{DATA}"), Origin::Address),
        (
            "ha.heartbeat_interval",
            millis(settings.heartbeat_interval),
            Origin::Variable("HEARTBEAT_INTERVAL_MS"),
        ),
        (
            "ha.heartbeat_timeout",
            millis(settings.heartbeat_timeout),
            Origin::Variable("HEARTBEAT_TIMEOUT_MS"),
        ),
        // Below the ten seconds of a role switch, so that survivors of a frozen master elect by themselves.
        (
            "ha.slave_read_timeout",
            millis(settings.slave_read_timeout),
            Origin::Variable("SLAVE_READ_TIMEOUT_SECONDS"),
        ),
        ("ha.slave_lock_timeout", "20s".into(), Origin::Fixed),
        ("ha.tx_push_factor", push_factor.into(), Origin::Variable("REPLICATION")),
        ("ha.tx_push_strategy", "fixed_ascending".into(), Origin::Fixed),
        ("ha.pull_interval", pull_interval.into(), Origin::Variable("REPLICATION")),
        // The balancer asks without a password.
        ("dbms.security.ha_status_auth_enabled", "false".into(), Origin::Fixed),
    ]
}

fn causal(settings: &Settings, address: IpAddr, hosts: &[IpAddr]) -> Vec<Own> {
    let hosts: Vec<String> = hosts.iter().map(|host| format!("{host}:{DISCOVERY}")).collect();
    let majority = settings.cluster.core().count() / 2 + 1;
    vec![
        ("dbms.mode", "CORE".into(), Origin::Variable("DIALECT")),
        ("causal_clustering.initial_discovery_members", hosts.join(","), Origin::Peers),
        ("causal_clustering.discovery_listen_address", format!("{address}:{DISCOVERY}"), Origin::Address),
        ("causal_clustering.discovery_advertised_address", format!("{address}:{DISCOVERY}"), Origin::Address),
        ("causal_clustering.transaction_listen_address", format!("{address}:{TRANSACTION}"), Origin::Address),
        (
            "causal_clustering.transaction_advertised_address",
            format!("{address}:{TRANSACTION}"),
            Origin::Address,
        ),
        ("causal_clustering.raft_listen_address", format!("{address}:{RAFT}"), Origin::Address),
        ("causal_clustering.raft_advertised_address", format!("{address}:{RAFT}"), Origin::Address),
        // A majority is what may form a cluster here, so Neo4j must not wait for more.
        (
            "causal_clustering.minimum_core_cluster_size_at_formation",
            majority.to_string(),
            Origin::Variable("CORE_SERVICES"),
        ),
        // Raft sends its heartbeats three times in this.
        (
            "causal_clustering.leader_election_timeout",
            millis(settings.heartbeat_timeout),
            Origin::Variable("HEARTBEAT_TIMEOUT_MS"),
        ),
        // The balancer asks without a password.
        ("dbms.security.causal_clustering_status_auth_enabled", "false".into(), Origin::Fixed),
    ]
}

fn millis(duration: Duration) -> String {
    format!("{}ms", duration.as_millis())
}

impl Conf {
    /// The lines, sorted by name.
    pub fn lines(&self) -> impl Iterator<Item = (&str, &Line)> {
        self.0.iter().map(|(name, line)| (name.as_str(), line))
    }

    /// Writes the file, and puts those of the users beside it.
    ///
    /// # Errors
    /// What was tried, and what the system said.
    pub(crate) fn write(&self, settings: &Settings) -> Result<(), (String, io::Error)> {
        copy_extra(settings)?;
        let file = settings.neo4j_conf();
        write(&file, &format!("{MARK}\n{self}"))
            .map_err(|error| (format!("writing {}", file.display()), error))
    }
}

/// Files that users mount, such as those of a plugin, are found beside `neo4j.conf`. Their own `neo4j.conf` is in this one already.
fn copy_extra(settings: &Settings) -> Result<(), (String, io::Error)> {
    let extra = &settings.extra;
    if *extra == settings.conf {
        return Ok(());
    }
    let found = match fs::read_dir(extra) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        found => found.map_err(|error| (format!("reading {}", extra.display()), error))?,
    };
    for from in found.flatten().map(|entry| entry.path()).filter(|path| path.is_file()) {
        if let Some(name) = from.file_name().filter(|name| *name != "neo4j.conf") {
            let to = settings.conf.join(name);
            // An earlier copy of a file that nobody may write cannot be written over, and can be replaced.
            let _absent = fs::remove_file(&to);
            fs::copy(&from, to).map_err(|error| (format!("copying {}", from.display()), error))?;
        }
    }
    Ok(())
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
        self.lines().try_for_each(|(name, line)| writeln!(out, "{name}={}", line.value))
    }
}
