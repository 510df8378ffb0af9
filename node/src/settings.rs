//! What the task definition says, read once.

use std::{net::IpAddr, path::PathBuf, str::FromStr, time::Duration};

use neo4j::{Dialect, Release};
use runtime::{Environment, Invalid};

/// The cluster a node belongs to, its own slot, and where its files are.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `HA`, `CLUSTER` of 3.x, or `SINGLE`.
    pub dialect: Dialect,
    /// The ECS cluster.
    pub cluster: String,
    /// The services of all core slots, in the order of their server ids.
    pub core_services: Vec<String>,
    /// From 1; stays with the slot, whatever address its task has.
    pub server_id: usize,
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
    /// The event bus to ring; none to be silent.
    pub event_bus: Option<String>,
    /// The stack, which events name.
    pub stack: String,
    /// The secret with the administrator's password; none when authentication is off.
    pub admin_secret: Option<String>,
    /// From the container's SIGTERM to its SIGKILL.
    pub stop_timeout: Duration,
    /// Where the agent tells the task's address; `SINGLE` outside of ECS does without.
    pub metadata: Option<String>,
    /// Neo4j's home.
    pub home: PathBuf,
    /// The slot's volume.
    pub data: PathBuf,
    /// Logs of this task.
    pub logs: PathBuf,
    /// Where `neo4j.conf` is written.
    pub conf: PathBuf,
    /// Processors, which decide how many workers Neo4j's servers get.
    pub processors: usize,
    /// `NEO4J_*` variables as settings: `NEO4J_dbms_memory_heap_max__size` is `dbms.memory.heap.max_size`.
    pub overrides: Vec<(String, String)>,
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
    /// The first that is of no use, in one sentence that names it.
    pub fn read(environment: &Environment) -> Result<Self, Invalid> {
        let dialect = environment.parse("DIALECT")?;
        let path = |name, default: &str| PathBuf::from(environment.text(name).unwrap_or(default));
        let home = path("NEO4J_HOME", "/var/lib/neo4j");
        let settings = Self {
            dialect,
            cluster: environment.text("CLUSTER").unwrap_or_default().to_owned(),
            core_services: environment.list("CORE_SERVICES"),
            server_id: environment.parse_or("SERVER_ID", 1)?,
            formation_timeout: environment.seconds_or("FORMATION_TIMEOUT_SECONDS", 600)?,
            heartbeat_interval: environment.millis_or("HEARTBEAT_INTERVAL_MS", 1000)?,
            heartbeat_timeout: environment.millis_or("HEARTBEAT_TIMEOUT_MS", 4000)?,
            slave_read_timeout: environment.seconds_or("SLAVE_READ_TIMEOUT_SECONDS", 5)?,
            replication: environment.parse_or("REPLICATION", Replication::Push)?,
            fence_after: environment.seconds_or("FENCE_AFTER_SECONDS", 12)?,
            event_bus: environment.text("EVENT_BUS").map(str::to_owned),
            stack: environment.text("STACK").unwrap_or_default().to_owned(),
            admin_secret: admin_secret(environment)?,
            stop_timeout: environment.seconds_or("STOP_TIMEOUT_SECONDS", 30)?,
            metadata: environment.text("ECS_CONTAINER_METADATA_URI_V4").map(str::to_owned),
            data: path("DATA_DIR", "/data"),
            logs: path("LOG_DIR", "/logs"),
            conf: environment.text("CONF_DIR").map_or_else(|| home.join("conf"), PathBuf::from),
            home,
            processors: std::thread::available_parallelism().map_or(1, usize::from),
            overrides: overrides(environment),
        };
        settings.check(environment)?;
        Ok(settings)
    }

    /// The slots with their addresses as far as they are known, this one's own among them.
    pub fn slots(
        &self,
        own: IpAddr,
        known: impl Fn(&str) -> Option<IpAddr>,
    ) -> Vec<(String, Option<IpAddr>)> {
        let slot = |(index, service): (usize, &String)| {
            let address = if index + 1 == self.server_id { Some(own) } else { known(service) };
            (service.clone(), address)
        };
        self.core_services.iter().enumerate().map(slot).collect()
    }

    /// The variable that sets `name`.
    pub(crate) fn variable(name: &str) -> String {
        format!("NEO4J_{}", name.replace('_', "__").replace('.', "_"))
    }

    fn check(&self, environment: &Environment) -> Result<(), Invalid> {
        let refuse = |name, reason: &str| {
            let value = environment.text(name).unwrap_or_default().to_owned();
            Err(Invalid::Value { name, value, reason: reason.to_owned() })
        };
        if self.dialect == Dialect::Single {
            return Ok(());
        }
        if self.dialect == Dialect::Cluster(Release::V4) {
            return refuse("DIALECT", "this node program configures clusters of 3.4 and 3.5 only");
        }
        environment.need("CLUSTER")?;
        environment.need("CORE_SERVICES")?;
        environment.need("SERVER_ID")?;
        environment.need("ECS_CONTAINER_METADATA_URI_V4")?;
        if !(1..=self.core_services.len()).contains(&self.server_id) {
            return refuse("SERVER_ID", "it must be the number of one of CORE_SERVICES, from 1");
        }
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

/// The secret is needed unless authentication is switched off: Neo4j must not be reachable with the password that everybody
/// knows.
fn admin_secret(environment: &Environment) -> Result<Option<String>, Invalid> {
    match environment.text("NEO4J_dbms_security_auth__enabled") {
        Some("false") => Ok(None),
        _ => environment.need("ADMIN_SECRET_ARN").map(|arn| Some(arn.to_owned())),
    }
}

/// As the official image has it: one underscore is a dot, two are an underscore.
fn overrides(environment: &Environment) -> Vec<(String, String)> {
    let all = environment.with_prefix("NEO4J_").into_iter();
    let settings = all.filter_map(|(name, value)| {
        let name = name.strip_prefix("NEO4J_")?;
        // NEO4J_HOME and others in capitals are the image's own variables; settings are in small letters.
        let is_setting = name.starts_with(|first: char| first.is_ascii_lowercase());
        is_setting.then(|| (name.replace("__", "\0").replace('_', ".").replace('\0', "_"), value.to_owned()))
    });
    settings.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(changed: &[(&'static str, &'static str)]) -> Environment {
        let good = [
            ("DIALECT", "HA"),
            ("CLUSTER", "c"),
            ("CORE_SERVICES", "core-1,core-2,core-3"),
            ("SERVER_ID", "2"),
            ("ADMIN_SECRET_ARN", "arn:secret"),
            ("ECS_CONTAINER_METADATA_URI_V4", "http://169.254.170.2/v4/x"),
        ];
        good.into_iter().chain(changed.iter().copied()).collect()
    }

    #[test]
    fn settings_of_the_database_are_named_as_the_official_image_names_them() {
        let variables =
            [("NEO4J_dbms_memory_heap_max__size", "1g"), ("NEO4J_HOME", "/opt/neo4j"), ("NEO4J_AUTH", "x")];
        let settings = Settings::read(&environment(&variables)).unwrap();
        assert_eq!(settings.overrides, [("dbms.memory.heap.max_size".to_owned(), "1g".to_owned())]);
        assert_eq!(settings.home, PathBuf::from("/opt/neo4j"));
        assert_eq!(settings.conf, PathBuf::from("/opt/neo4j/conf"));
    }

    #[test]
    fn the_own_slot_has_the_own_address_whatever_ecs_still_says() {
        let settings = Settings::read(&environment(&[])).unwrap();
        let own: IpAddr = "10.0.0.9".parse().unwrap();
        let stale: IpAddr = "10.0.0.2".parse().unwrap();
        let slots = settings.slots(own, |service| (service == "core-2").then_some(stale));
        assert_eq!(slots[1], ("core-2".to_owned(), Some(own)));
        assert_eq!(slots[0], ("core-1".to_owned(), None));
    }

    #[test]
    fn without_authentication_there_is_no_administrator() {
        let off = [("NEO4J_dbms_security_auth__enabled", "false"), ("ADMIN_SECRET_ARN", "arn:secret")];
        assert_eq!(Settings::read(&environment(&off)).unwrap().admin_secret, None);
        let on = [("NEO4J_dbms_security_auth__enabled", "true")];
        assert_eq!(Settings::read(&environment(&on)).unwrap().admin_secret.as_deref(), Some("arn:secret"));
    }

    #[test]
    fn every_parameter_of_no_use_is_named_in_one_sentence() {
        // Twice as much would overflow.
        const ABSURD: &str = "18446744073709551615";
        let table = [
            ("DIALECT", "", "DIALECT is not set"),
            (
                "DIALECT",
                "CLUSTER-5",
                "DIALECT is \"CLUSTER-5\": this node program configures clusters of 3.4",
            ),
            ("CLUSTER", "", "CLUSTER is not set"),
            ("ADMIN_SECRET_ARN", "", "ADMIN_SECRET_ARN is not set"),
            ("SERVER_ID", "0", "SERVER_ID is \"0\": it must be the number of one of CORE_SERVICES"),
            ("SERVER_ID", "4", "SERVER_ID is \"4\""),
            ("SERVER_ID", "one", "SERVER_ID is \"one\""),
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
