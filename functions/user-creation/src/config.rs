//! The function's parameters, checked before the first invocation.

use std::{net::IpAddr, time::Duration};

use neo4j::{Administration, Dialect, Instance};
use runtime::{Environment, Invalid};

/// Everything that the template sets for the function.
#[derive(Clone, Debug)]
pub struct Config {
    /// How the nodes' version is administered.
    pub administration: Administration,
    /// The ECS cluster.
    pub cluster: String,
    /// The services of all nodes: core slots first, then those that are never master.
    pub services: Vec<String>,
    /// Whether the nodes ask for a login. Without that there are no users to make or change.
    pub auth_enabled: bool,
    /// The secret of the user `neo4j`, which is there whether nodes ask for a login or not.
    pub admin_secret: String,
    /// The path of the recorded users in the Parameter Store.
    pub users_path: String,
    /// The path of the remembered requests there.
    pub requests_path: String,
    /// The stack, which metrics and physical ids are told apart by.
    pub stack: String,
    /// The port of HTTP.
    pub http_port: u16,
    /// The port of Bolt.
    pub bolt_port: u16,
    /// How long a node may be missing or silent before a Create or Update gives up on it.
    pub node_wait: Duration,
    /// The time of one call to a node: connecting, logging in, and the whole answer.
    pub call_deadline: Duration,
}

impl Config {
    /// Reads and checks all parameters.
    ///
    /// # Errors
    /// The first that is invalid.
    pub fn read(environment: &Environment) -> Result<Self, Invalid> {
        let dialect: Dialect = environment.parse("DIALECT")?;
        let core = environment.need_list("CORE_SERVICES")?;
        let stack = environment.need("STACK")?.to_owned();
        let users_path = path(environment, "USERS_PATH", format!("/{stack}/users"))?;
        let requests_path = path(environment, "REQUESTS_PATH", format!("/{stack}/requests"))?;
        Ok(Self {
            administration: dialect.administration(),
            cluster: environment.need("CLUSTER")?.to_owned(),
            services: core.into_iter().chain(environment.list("SLAVE_ONLY_SERVICES")).collect(),
            auth_enabled: environment.parse_or("AUTH_ENABLED", true)?,
            admin_secret: environment.need("ADMIN_SECRET_ARN")?.to_owned(),
            users_path,
            requests_path,
            stack,
            http_port: environment.parse_or("PROBE_PORT", 7474)?,
            bolt_port: environment.parse_or("BOLT_PORT", 7687)?,
            // A node that was replaced is back in a minute or two.
            node_wait: environment.seconds_or("NODE_WAIT_SECONDS", 180)?,
            // The first administration after a start of 5.26 takes 3 s on two cores.
            call_deadline: environment.millis_or("CALL_DEADLINE_MS", 8000)?,
        })
    }

    /// The instance at `address`.
    pub(crate) fn instance(&self, address: IpAddr) -> Instance {
        Instance {
            http: (address, self.http_port).into(),
            bolt: (address, self.bolt_port).into(),
            administration: self.administration,
            deadline: self.call_deadline,
        }
    }
}

fn path(environment: &Environment, name: &'static str, default: String) -> Result<String, Invalid> {
    match environment.text(name) {
        None => Ok(default),
        Some(path) if path.starts_with('/') && !path.ends_with('/') => Ok(path.to_owned()),
        Some(path) => {
            let reason = "it must start with a slash and not end with one, such as /stack/users".into();
            Err(Invalid::Value { name, value: path.to_owned(), reason })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(changed: &[(&'static str, &'static str)]) -> Environment {
        let good = [
            ("DIALECT", "HA"),
            ("CLUSTER", "c"),
            ("CORE_SERVICES", "core-1,core-2"),
            ("SLAVE_ONLY_SERVICES", "slave-1"),
            ("ADMIN_SECRET_ARN", "arn:admin"),
            ("STACK", "s"),
        ];
        good.into_iter().chain(changed.iter().copied()).collect()
    }

    #[test]
    fn what_is_not_set_has_a_default() {
        let config = Config::read(&environment(&[])).unwrap();
        assert_eq!(config.services, ["core-1", "core-2", "slave-1"]);
        assert_eq!((config.users_path.as_str(), config.requests_path.as_str()), ("/s/users", "/s/requests"));
        assert!(config.auth_enabled);
        let off = Config::read(&environment(&[("AUTH_ENABLED", "false")])).unwrap();
        assert!(!off.auth_enabled && off.admin_secret == "arn:admin", "with its secret all the same");
        assert_eq!((config.http_port, config.bolt_port), (7474, 7687));
        assert_eq!(config.administration, Administration::Http);
        let five = Config::read(&environment(&[("DIALECT", "CLUSTER-5")])).unwrap();
        assert_eq!(five.administration, Administration::Bolt);
    }

    #[test]
    fn every_parameter_of_no_use_is_named_in_one_sentence() {
        let table = [
            ("DIALECT", "MYSQL", "DIALECT is \"MYSQL\""),
            ("CORE_SERVICES", "", "CORE_SERVICES is not set"),
            ("CLUSTER", "", "CLUSTER is not set"),
            ("ADMIN_SECRET_ARN", " ", "ADMIN_SECRET_ARN is not set"),
            ("STACK", "", "STACK is not set"),
            ("USERS_PATH", "users", "USERS_PATH is \"users\": it must start with a slash"),
            ("REQUESTS_PATH", "/requests/", "REQUESTS_PATH is \"/requests/\": it must start with a slash"),
            ("AUTH_ENABLED", "no", "AUTH_ENABLED is \"no\""),
            ("PROBE_PORT", "99999", "PROBE_PORT is \"99999\""),
            ("BOLT_PORT", "bolt", "BOLT_PORT is \"bolt\""),
            ("NODE_WAIT_SECONDS", "-1", "NODE_WAIT_SECONDS is \"-1\""),
        ];
        for (name, value, sentence) in table {
            let error = Config::read(&environment(&[(name, value)])).unwrap_err().to_string();
            assert!(error.starts_with(sentence), "{name}={value}: {error}");
            assert!(!error.contains('\n'));
        }
    }
}
