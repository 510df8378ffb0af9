//! The function's parameters, checked before the first invocation.

use backups::Version;
use runtime::{Environment, Invalid};

/// What the template tells the function.
#[derive(Clone, Debug)]
pub struct Config {
    /// How nodes tell their role.
    pub dialect: neo4j::Dialect,
    /// The ECS cluster.
    pub cluster: String,
    /// The services of the core slots, in the order of the slots.
    pub core_services: Vec<String>,
    /// The services of nodes that are never master.
    pub slave_only_services: Vec<String>,
    /// Where the founding record is.
    pub state_bucket: String,
    /// Its key there.
    pub founding_key: String,
    /// Where `latest` looks for backups.
    pub backup_bucket: String,
    /// The version of the cluster, which a snapshot must fit.
    pub version: Version,
    /// The secret with the password of `neo4j`; none when authentication is off.
    pub admin_secret: Option<String>,
    /// The port that role endpoints answer on.
    pub probe_port: u16,
    /// The port of the node programs.
    pub status_port: u16,
    /// This function's own name, to go on in a further invocation.
    pub function: String,
}

impl Config {
    /// Reads and checks all parameters.
    ///
    /// # Errors
    /// The first that is of no use.
    pub fn read(environment: &Environment) -> Result<Self, Invalid> {
        let core_services = environment.need_list("CORE_SERVICES")?;
        let state_bucket = environment.need("STATE_BUCKET")?.to_owned();
        Ok(Self {
            dialect: environment.parse("DIALECT")?,
            cluster: environment.need("CLUSTER")?.to_owned(),
            core_services,
            slave_only_services: environment.list("SLAVE_ONLY_SERVICES"),
            founding_key: environment.text("FOUNDING_KEY").unwrap_or("cluster/founding.json").to_owned(),
            backup_bucket: environment.text("BACKUP_BUCKET").unwrap_or(&state_bucket).to_owned(),
            state_bucket,
            version: environment.parse_or("NEO4J_VERSION", Version { major: 3, minor: 4, patch: 6 })?,
            admin_secret: environment.text("ADMIN_SECRET_ARN").map(str::to_owned),
            probe_port: environment.parse_or("PROBE_PORT", 7474)?,
            status_port: environment.parse_or("STATUS_PORT", 7475)?,
            function: environment.need("AWS_LAMBDA_FUNCTION_NAME")?.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(changed: &[(&'static str, &'static str)]) -> Environment {
        let good = [
            ("DIALECT", "HA"),
            ("CLUSTER", "c"),
            ("CORE_SERVICES", "core-1,core-2,core-3"),
            ("STATE_BUCKET", "b"),
            ("AWS_LAMBDA_FUNCTION_NAME", "f"),
        ];
        good.into_iter().chain(changed.iter().copied()).collect()
    }

    #[test]
    fn what_is_not_set_has_a_default() {
        let config = Config::read(&environment(&[])).unwrap();
        assert_eq!(
            (config.founding_key.as_str(), config.backup_bucket.as_str()),
            ("cluster/founding.json", "b")
        );
        assert_eq!(config.version.to_string(), "3.4.6");
        assert_eq!(config.admin_secret, None);
        let elsewhere =
            Config::read(&environment(&[("BACKUP_BUCKET", "other"), ("ADMIN_SECRET_ARN", "arn")])).unwrap();
        assert_eq!(
            (elsewhere.backup_bucket.as_str(), elsewhere.admin_secret.as_deref()),
            ("other", Some("arn"))
        );
    }

    #[test]
    fn every_parameter_of_no_use_is_named_in_one_sentence() {
        let table = [
            ("DIALECT", "MYSQL", "DIALECT is \"MYSQL\": \"MYSQL\" is not a dialect"),
            ("CLUSTER", "", "CLUSTER is not set"),
            ("CORE_SERVICES", " , ", "CORE_SERVICES is not set"),
            ("STATE_BUCKET", "", "STATE_BUCKET is not set"),
            (
                "NEO4J_VERSION",
                "3.4",
                "NEO4J_VERSION is \"3.4\": \"3.4\" is not a version of Neo4j such as 3.4.6",
            ),
            ("PROBE_PORT", "http", "PROBE_PORT is \"http\""),
            ("STATUS_PORT", "99999", "STATUS_PORT is \"99999\""),
            ("AWS_LAMBDA_FUNCTION_NAME", "", "AWS_LAMBDA_FUNCTION_NAME is not set"),
        ];
        for (name, value, sentence) in table {
            let error = Config::read(&environment(&[(name, value)])).unwrap_err().to_string();
            assert!(error.starts_with(sentence), "{name}={value}: {error}");
        }
    }
}
