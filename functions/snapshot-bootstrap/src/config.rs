//! The function's parameters, checked before the first invocation.

use runtime::{Cluster, Environment, Invalid};

#[derive(Clone, Debug)]
pub struct Config {
    pub cluster: Cluster,
    /// The bucket of the founding record, in which backups are looked for too unless the resource names another one.
    pub state_bucket: String,
    /// The ARN of the secret with the password of `neo4j`, which exists whether nodes require a login or not.
    pub admin_secret: String,
    /// This function's own name, with which it invokes itself again.
    pub function: String,
}

impl Config {
    /// Reads and checks all parameters.
    ///
    /// # Errors
    /// The first invalid parameter.
    pub fn read(environment: &Environment) -> Result<Self, Invalid> {
        Ok(Self {
            cluster: Cluster::read(environment)?,
            state_bucket: environment.need("STATE_BUCKET")?.to_owned(),
            admin_secret: environment.need("ADMIN_SECRET_ARN")?.to_owned(),
            function: environment.need("AWS_LAMBDA_FUNCTION_NAME")?.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(changed: &[(&'static str, &'static str)]) -> Environment {
        let good =
            [("ADMIN_SECRET_ARN", "arn:admin"), ("STATE_BUCKET", "b"), ("AWS_LAMBDA_FUNCTION_NAME", "f")];
        runtime::example::CLUSTER.into_iter().chain(good).chain(changed.iter().copied()).collect()
    }

    #[test]
    fn every_parameter_of_no_use_is_named_in_one_sentence() {
        let table = [
            ("DIALECT", "MYSQL", "DIALECT is \"MYSQL\": \"MYSQL\" is not a dialect"),
            ("CLUSTER", "", "CLUSTER is not set"),
            ("CORE_SERVICES", " , ", "CORE_SERVICES is not set"),
            ("STATE_BUCKET", "", "STATE_BUCKET is not set"),
            ("ADMIN_SECRET_ARN", " ", "ADMIN_SECRET_ARN is not set"),
            (
                "NEO4J_VERSION",
                "3.4",
                "NEO4J_VERSION is \"3.4\": \"3.4\" is not a version of Neo4j such as 3.4.6",
            ),
            ("HTTP_PORT", "http", "HTTP_PORT is \"http\""),
            ("STATUS_PORT", "99999", "STATUS_PORT is \"99999\""),
            ("AWS_LAMBDA_FUNCTION_NAME", "", "AWS_LAMBDA_FUNCTION_NAME is not set"),
        ];
        for (name, value, sentence) in table {
            let error = Config::read(&environment(&[(name, value)])).unwrap_err().to_string();
            assert!(error.starts_with(sentence), "{name}={value}: {error}");
        }
    }
}
