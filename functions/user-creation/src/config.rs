//! The function's parameters, checked before the first invocation.

use std::{net::IpAddr, time::Duration};

use neo4j::Instance;
use runtime::{Cluster, Environment, Invalid};

/// How long to wait for a node: one that was replaced is back in a minute or two.
const NODE_WAIT: Duration = Duration::from_secs(180);
/// The deadline of a call: the first administration after a start of 5.26 takes 3 s on two cores.
const CALL_DEADLINE: Duration = Duration::from_secs(8);

#[derive(Clone, Debug)]
pub struct Config {
    pub cluster: Cluster,
    /// Whether the nodes require a login. Without that there are no users to create or change.
    pub auth_enabled: bool,
    /// The ARN of the secret of the user `neo4j`, which exists whether nodes require a login or not.
    pub admin_secret: String,
    /// This function's own name, with which it invokes itself again.
    pub function: String,
    /// How long a node may be missing or silent before a Create or Update gives up on it.
    pub node_wait: Duration,
    /// The time of one call to a node: connecting, logging in, and the whole answer.
    pub call_deadline: Duration,
}

impl Config {
    /// Reads and checks all parameters.
    ///
    /// # Errors
    /// The first invalid parameter.
    pub fn read(environment: &Environment) -> Result<Self, Invalid> {
        Ok(Self {
            cluster: Cluster::read(environment)?,
            auth_enabled: environment.parse_or("AUTH_ENABLED", true)?,
            admin_secret: environment.need("ADMIN_SECRET_ARN")?.to_owned(),
            function: environment.need("AWS_LAMBDA_FUNCTION_NAME")?.to_owned(),
            node_wait: NODE_WAIT,
            call_deadline: CALL_DEADLINE,
        })
    }

    /// The path of the recorded users in the Parameter Store. The role may change parameters below it.
    pub(crate) fn users_path(&self) -> String {
        format!("/{}/users", self.cluster.stack)
    }

    /// The path of the remembered requests there.
    pub(crate) fn requests_path(&self) -> String {
        format!("/{}/requests", self.cluster.stack)
    }

    pub(crate) fn instance(&self, address: IpAddr) -> Instance {
        Instance {
            http: (address, self.cluster.http_port).into(),
            bolt: (address, self.cluster.bolt_port).into(),
            administration: self.cluster.dialect.administration(),
            deadline: self.call_deadline,
        }
    }
}

#[cfg(test)]
mod tests {
    use neo4j::Administration;

    use super::*;

    fn environment(changed: &[(&'static str, &'static str)]) -> Environment {
        let good = [
            ("SLAVE_ONLY_SERVICES", "slave-1"),
            ("ADMIN_SECRET_ARN", "arn:admin"),
            ("AWS_LAMBDA_FUNCTION_NAME", "f"),
        ];
        runtime::example::CLUSTER.into_iter().chain(good).chain(changed.iter().copied()).collect()
    }

    #[test]
    fn what_is_not_set_has_a_default() {
        let config = Config::read(&environment(&[])).unwrap();
        assert_eq!((config.users_path(), config.requests_path()), ("/s/users".into(), "/s/requests".into()));
        assert!(config.auth_enabled);
        let off = Config::read(&environment(&[("AUTH_ENABLED", "false")])).unwrap();
        assert!(!off.auth_enabled && off.admin_secret == "arn:admin", "with its secret all the same");
        let instance = |config: &Config| config.instance([10, 0, 0, 1].into());
        assert_eq!((instance(&config).http.port(), instance(&config).bolt.port()), (7474, 7687));
        assert_eq!(instance(&config).administration, Administration::Http);
        let five = Config::read(&environment(&[("DIALECT", "CLUSTER-5")])).unwrap();
        assert_eq!(instance(&five).administration, Administration::Bolt);
    }

    #[test]
    fn every_parameter_of_no_use_is_named_in_one_sentence() {
        let table = [
            ("DIALECT", "MYSQL", "DIALECT is \"MYSQL\""),
            ("CORE_SERVICES", "", "CORE_SERVICES is not set"),
            ("CLUSTER", "", "CLUSTER is not set"),
            ("ADMIN_SECRET_ARN", " ", "ADMIN_SECRET_ARN is not set"),
            ("STACK", "", "STACK is not set"),
            ("AWS_LAMBDA_FUNCTION_NAME", "", "AWS_LAMBDA_FUNCTION_NAME is not set"),
            ("AUTH_ENABLED", "no", "AUTH_ENABLED is \"no\""),
            ("HTTP_PORT", "99999", "HTTP_PORT is \"99999\""),
            ("BOLT_PORT", "bolt", "BOLT_PORT is \"bolt\""),
        ];
        for (name, value, sentence) in table {
            let error = Config::read(&environment(&[(name, value)])).unwrap_err().to_string();
            assert!(error.starts_with(sentence), "{name}={value}: {error}");
            assert!(!error.contains('\n'));
        }
    }
}
