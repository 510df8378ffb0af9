//! What the task definition says, read once.

use std::{net::IpAddr, path::PathBuf, str::FromStr, time::Duration};

use neo4j::{Dialect, Release};
use runtime::{Cluster, Environment, Invalid};

use crate::{
    conf::{NotASetting, conf},
    disks::Disks,
    overrides::{self, Override},
    retention::{self, Retention},
};

/// What the task definition says is invalid.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{0}")]
    Invalid(#[from] Invalid),
    #[error(transparent)]
    NotASetting(#[from] NotASetting),
}

/// Reads and checks all that the task definition says. A setting that is refused must not wait for the agent to be refused, so no
/// slot is needed for it.
///
/// # Errors
/// The first that is invalid.
pub fn check(environment: &Environment) -> Result<Settings, Error> {
    let settings = Settings::read(environment)?;
    if let Some(any) = settings.cluster.slots.first() {
        conf(&settings, any, std::net::Ipv4Addr::LOCALHOST.into(), &[], Disks::UNKNOWN)?;
    }
    Ok(settings)
}

/// What the task definition says: the cluster a node belongs to, and where its files are. Its slot comes from the task's metadata.
#[derive(Clone, Debug)]
pub struct Settings {
    /// What the template sets for every program; of its dialects `HA`, `CLUSTER` of 3.x and `SINGLE`.
    pub cluster: Cluster,
    /// How long to wait for every slot before a majority is enough.
    pub formation_timeout: Duration,
    /// `ha.heartbeat_interval`.
    pub heartbeat_interval: Duration,
    /// `ha.heartbeat_timeout`.
    pub heartbeat_timeout: Duration,
    /// `ha.slave_read_timeout`.
    pub slave_read_timeout: Duration,
    /// How acknowledged writes reach slaves.
    pub replication: Replication,
    /// Silence after which the JVM is killed; zero for never.
    pub fence_after: Duration,
    /// The bucket with the record of what the cluster is founded from; `None` outside of a stack: then nothing is restored.
    pub state_bucket: Option<String>,
    /// The event bus to ring; none to be silent.
    pub event_bus: Option<String>,
    /// The secret with the administrator's password; none when authentication is off.
    pub admin_secret: Option<String>,
    /// From the container's SIGTERM to its SIGKILL.
    pub stop_timeout: Duration,
    /// Where the agent tells the task's address and service; `SINGLE` outside of ECS does without.
    pub metadata: Option<String>,
    /// Where Neo4j listens without an agent, so only in `SINGLE`: for a container of `docker run`, 0.0.0.0.
    pub address: IpAddr,
    /// Neo4j's home.
    pub home: PathBuf,
    /// The slot's volume.
    pub data: PathBuf,
    /// A file on the host's root disk, which the volume must not be on.
    pub root_disk: PathBuf,
    /// Logs of this task.
    pub logs: PathBuf,
    /// Plugins of the image, or those that are mounted in their place.
    pub plugins: PathBuf,
    /// What `LOAD CSV` may read.
    pub import: PathBuf,
    /// Certificates that users mount; empty or absent without any.
    pub ssl: PathBuf,
    /// Configuration that users mount: lines for `neo4j.conf`, and files beside it; absent without any.
    pub extra: PathBuf,
    /// How much of the transaction logs is kept.
    pub transaction_logs: Retention,
    /// How long a query may take before it is in the log of queries; `None` for no such log.
    pub slow_query: Option<Duration>,
    /// Where `neo4j.conf` is written.
    pub conf: PathBuf,
    /// Processors, which decide how many workers Neo4j's servers get.
    pub processors: usize,
    /// What users set of `neo4j.conf`, by variables and by `Neo4jSettings`.
    pub overrides: Vec<Override>,
}

/// How acknowledged writes reach slaves: docs/replication.md has what each costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replication {
    /// The master pushes each commit to one slave before it answers, if it can.
    Push,
    /// Slaves fetch ten times a second.
    Pull,
}

impl FromStr for Replication {
    type Err = &'static str;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        match word {
            "push" => Ok(Self::Push),
            "pull" => Ok(Self::Pull),
            _ => Err("it must be push or pull"),
        }
    }
}

impl Settings {
    /// Reads all parameters.
    ///
    /// # Errors
    /// The first that is invalid, in one sentence that names it.
    pub fn read(environment: &Environment) -> Result<Self, Error> {
        let cluster = Cluster::read(environment)?;
        accepts_license(environment)?;
        let path = |name, default: &str| PathBuf::from(environment.text(name).unwrap_or(default));
        let extra = path("EXTRA_CONF_DIR", "/conf");
        let overrides = overrides::read(environment, &extra)?;
        let home = path("NEO4J_HOME", "/var/lib/neo4j");
        let settings = Self {
            cluster,
            formation_timeout: environment.seconds_or("FORMATION_TIMEOUT_SECONDS", 600)?,
            heartbeat_interval: environment.millis_or("HEARTBEAT_INTERVAL_MS", 1000)?,
            heartbeat_timeout: environment.millis_or("HEARTBEAT_TIMEOUT_MS", 4000)?,
            slave_read_timeout: environment.seconds_or("SLAVE_READ_TIMEOUT_SECONDS", 5)?,
            replication: environment.parse_or("REPLICATION", Replication::Push)?,
            fence_after: environment.seconds_or("FENCE_AFTER_SECONDS", 12)?,
            state_bucket: environment.text("STATE_BUCKET").map(str::to_owned),
            event_bus: environment.text("EVENT_BUS").map(str::to_owned),
            admin_secret: admin_secret(environment, &overrides)?,
            stop_timeout: environment.seconds_or("STOP_TIMEOUT_SECONDS", 30)?,
            metadata: environment.text("ECS_CONTAINER_METADATA_URI_V4").map(str::to_owned),
            address: environment.parse_or("ADDRESS", IpAddr::from([127, 0, 0, 1]))?,
            data: path("DATA_DIR", "/data"),
            // A container engine mounts it from where it keeps its containers.
            root_disk: path("ROOT_DISK", "/etc/hosts"),
            logs: path("LOGS_DIR", "/logs"),
            plugins: path("PLUGINS_DIR", "/plugins"),
            import: path("IMPORT_DIR", "/import"),
            ssl: path("SSL_DIR", "/ssl"),
            extra,
            transaction_logs: environment.parse_or("TRANSACTION_LOG_RETENTION", retention::DEFAULT)?,
            slow_query: Some(environment.millis_or("SLOW_QUERY_MS", 0)?).filter(|time| !time.is_zero()),
            conf: environment.text("CONF_DIR").map_or_else(|| home.join("conf"), PathBuf::from),
            home,
            processors: std::thread::available_parallelism().map_or(1, usize::from),
            overrides,
        };
        settings.check(environment)?;
        Ok(settings)
    }

    /// Where Neo4j reads its configuration.
    pub fn neo4j_conf(&self) -> PathBuf {
        self.conf.join("neo4j.conf")
    }

    fn check(&self, environment: &Environment) -> Result<(), Invalid> {
        let refuse = |name, reason: &str| {
            let value = environment.text(name).unwrap_or_default().to_owned();
            Err(Invalid::Value { name, value, reason: reason.to_owned() })
        };
        if self.cluster.dialect == Dialect::Single {
            return Ok(());
        }
        if self.cluster.dialect == Dialect::Cluster(Release::V4) {
            return refuse("DIALECT", "this node program configures clusters of 3.4 and 3.5 only");
        }
        environment.need("ECS_CONTAINER_METADATA_URI_V4")?;
        if self.heartbeat_interval.is_zero() || self.heartbeat_timeout < self.heartbeat_interval * 2 {
            return refuse("HEARTBEAT_TIMEOUT_MS", "it must be at least twice HEARTBEAT_INTERVAL_MS");
        }
        if !self.fence_after.is_zero() && self.fence_after < self.heartbeat_timeout * 2 {
            return refuse("FENCE_AFTER_SECONDS", "it must be 0 or at least twice HEARTBEAT_TIMEOUT_MS");
        }
        if self.slave_read_timeout.is_zero() {
            return refuse("SLAVE_READ_TIMEOUT_SECONDS", "it must be at least 1");
        }
        Ok(())
    }
}

/// The variable is the official image's, so that users of it know it. The task definition has it from the parameter `AcceptLicense`.
pub(crate) fn accepts_license(environment: &Environment) -> Result<(), Invalid> {
    const NAME: &str = "NEO4J_ACCEPT_LICENSE_AGREEMENT";
    let value = environment.text(NAME).unwrap_or_default();
    if value == "yes" {
        return Ok(());
    }
    let reason = "it must be yes, because this runs Neo4j Enterprise: read its licence (https://neo4j.com/licensing) and accept it \
                  with AcceptLicense=yes, or with this variable outside of the stack";
    Err(Invalid::Value { name: NAME, value: value.to_owned(), reason: reason.to_owned() })
}

/// The secret is needed unless authentication is switched off: Neo4j must not be reachable with the password that everybody
/// knows.
fn admin_secret(environment: &Environment, overrides: &[Override]) -> Result<Option<String>, Invalid> {
    let is_off =
        |setting: &Override| setting.name == "dbms.security.auth_enabled" && setting.value == "false";
    if overrides.iter().any(is_off) {
        return Ok(None);
    }
    environment.need("ADMIN_SECRET_ARN").map(|arn| Some(arn.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(changed: &[(&'static str, &'static str)]) -> Environment {
        let good = [
            ("ADMIN_SECRET_ARN", "arn:secret"),
            ("ECS_CONTAINER_METADATA_URI_V4", "http://169.254.170.2/v4/x"),
            runtime::example::LICENSE,
        ];
        runtime::example::CLUSTER.into_iter().chain(good).chain(changed.iter().copied()).collect()
    }

    #[test]
    fn directories_are_where_the_image_has_them() {
        let settings = Settings::read(&environment(&[("NEO4J_HOME", "/opt/neo4j")])).unwrap();
        assert_eq!(settings.home, PathBuf::from("/opt/neo4j"));
        assert_eq!(settings.conf, PathBuf::from("/opt/neo4j/conf"));
        assert_eq!((settings.data, settings.root_disk), ("/data".into(), "/etc/hosts".into()));
    }

    #[test]
    fn without_authentication_there_is_no_administrator() {
        let off = [("NEO4J_dbms_security_auth__enabled", "false"), ("ADMIN_SECRET_ARN", "arn:secret")];
        assert_eq!(Settings::read(&environment(&off)).unwrap().admin_secret, None);
        let off = [("NEO4J_SETTINGS", "dbms.security.auth_enabled=false"), ("ADMIN_SECRET_ARN", "")];
        assert_eq!(Settings::read(&environment(&off)).unwrap().admin_secret, None);
        let on = [("NEO4J_dbms_security_auth__enabled", "true")];
        assert_eq!(Settings::read(&environment(&on)).unwrap().admin_secret.as_deref(), Some("arn:secret"));
    }

    #[test]
    fn every_invalid_parameter_is_named_in_one_sentence() {
        // Twice as much would overflow.
        const ABSURD: &str = "18446744073709551615";
        let table = [
            ("DIALECT", "", "DIALECT is not set"),
            (
                "NEO4J_ACCEPT_LICENSE_AGREEMENT",
                "",
                "NEO4J_ACCEPT_LICENSE_AGREEMENT is \"\": it must be yes, because this runs Neo4j Enterprise",
            ),
            (
                "NEO4J_ACCEPT_LICENSE_AGREEMENT",
                "true",
                "NEO4J_ACCEPT_LICENSE_AGREEMENT is \"true\": it must be yes",
            ),
            (
                "TRANSACTION_LOG_RETENTION",
                "2 days",
                "TRANSACTION_LOG_RETENTION is \"2 days\": it must be a part",
            ),
            ("SLOW_QUERY_MS", "1s", "SLOW_QUERY_MS is \"1s\": invalid digit"),
            (
                "DIALECT",
                "CLUSTER-5",
                "DIALECT is \"CLUSTER-5\": this node program configures clusters of 3.4",
            ),
            ("CLUSTER", "", "CLUSTER is not set"),
            ("NEO4J_SETTINGS", "dbms.memory.heap.max_size", "line 1 of Neo4jSettings has no"),
            ("ADMIN_SECRET_ARN", "", "ADMIN_SECRET_ARN is not set"),
            ("REPLICATION", "sync", "REPLICATION is \"sync\": it must be push or pull"),
            ("HEARTBEAT_TIMEOUT_MS", "1500", "HEARTBEAT_TIMEOUT_MS is \"1500\": it must be at least twice"),
            ("FENCE_AFTER_SECONDS", "7", "FENCE_AFTER_SECONDS is \"7\": it must be 0 or at least twice"),
            ("SLAVE_READ_TIMEOUT_SECONDS", "0", "SLAVE_READ_TIMEOUT_SECONDS is \"0\""),
            ("ECS_CONTAINER_METADATA_URI_V4", "", "ECS_CONTAINER_METADATA_URI_V4 is not set"),
            (
                "HEARTBEAT_INTERVAL_MS",
                ABSURD,
                "HEARTBEAT_INTERVAL_MS is \"18446744073709551615\": no time here may be",
            ),
            (
                "HEARTBEAT_TIMEOUT_MS",
                ABSURD,
                "HEARTBEAT_TIMEOUT_MS is \"18446744073709551615\": no time here may be",
            ),
            (
                "FENCE_AFTER_SECONDS",
                ABSURD,
                "FENCE_AFTER_SECONDS is \"18446744073709551615\": no time here may be",
            ),
            (
                "STOP_TIMEOUT_SECONDS",
                "86401",
                "STOP_TIMEOUT_SECONDS is \"86401\": no time here may be longer than a day",
            ),
            (
                "FORMATION_TIMEOUT_SECONDS",
                ABSURD,
                "FORMATION_TIMEOUT_SECONDS is \"18446744073709551615\": no time",
            ),
            (
                "SLAVE_READ_TIMEOUT_SECONDS",
                ABSURD,
                "SLAVE_READ_TIMEOUT_SECONDS is \"18446744073709551615\": no time",
            ),
        ];
        for (name, value, sentence) in table {
            let error = Settings::read(&environment(&[(name, value)])).unwrap_err().to_string();
            assert!(error.starts_with(sentence), "{name}={value}: {error}");
        }
    }
}
