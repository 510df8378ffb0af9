//! `ResourceProperties` of `Custom::Neo4jUser`.

use custom_resource::Failure;
use neo4j::{NotARole, Role};
use serde::Deserialize;

use crate::desired::{Desired, name};

/// The properties as the template writes them.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct Properties {
    /// Letters, digits and `_ . -`; never `neo4j`.
    pub username: String,
    /// `reader`, `editor`, `publisher`, `architect` or `admin`.
    pub role: String,
    /// A secret that is the password, or a JSON object with a text `password`.
    pub password_secret_arn: String,
    /// Whether the user exists but may not log in.
    #[serde(default, deserialize_with = "custom_resource::text::optional_boolean")]
    pub suspended: Option<bool>,
}

impl Properties {
    /// The user that they describe, or one sentence that names the invalid property.
    ///
    /// # Errors
    /// For the first invalid property.
    pub fn desired(&self) -> Result<Desired, Failure> {
        let user = name(&self.username).map_err(|reason| {
            Failure::new(format_args!("Username is {}: {reason}", shown(&self.username)))
        })?;
        let role: Role = self.role.parse().map_err(|reason: NotARole| {
            Failure::new(format_args!("Role is {}: {reason}", shown(&self.role)))
        })?;
        // An operator may put a password here by mistake, so no sentence repeats the value.
        if !self.password_secret_arn.starts_with("arn:")
            || self.password_secret_arn.contains(char::is_whitespace)
        {
            return Err(Failure::new(
                "PasswordSecretArn must be the ARN of a secret in Secrets Manager (it is the secret's ARN that belongs there, \
                 never the password)",
            ));
        }
        let (secret_arn, suspended) = (self.password_secret_arn.clone(), self.suspended == Some(true));
        Ok(Desired { user, role, secret_arn, suspended })
    }
}

/// A value in a sentence: quoted, and cut if it is very long.
fn shown(value: &str) -> String {
    let short: String = value.chars().take(80).collect();
    format!("{short:?}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_sentence_names_the_property() {
        let good = Properties {
            username: "app".into(),
            role: "reader".into(),
            password_secret_arn: "arn:aws:secretsmanager:us-east-1:0:secret:app".into(),
            suspended: None,
        };
        assert!(good.desired().is_ok());
        let table = [
            (
                Properties { username: "neo4j".into(), ..good.clone() },
                "Username is \"neo4j\": neo4j is the administrator",
            ),
            (
                Properties { username: "Neo4J".into(), ..good.clone() },
                "Username is \"Neo4J\": neo4j is the administrator",
            ),
            (Properties { username: String::new(), ..good.clone() }, "Username is \"\": it must be 1 to 63"),
            (
                Properties {
                    username: "a') CALL dbms.security.deleteUser('neo4j') //".into(),
                    ..good.clone()
                },
                "Username is \"a') CALL dbms.security.deleteUser('neo4j') //\": it must be 1 to 63",
            ),
            (Properties { role: "king".into(), ..good.clone() }, "Role is \"king\": it must be reader,"),
            (
                Properties { password_secret_arn: "hunter2".into(), ..good.clone() },
                "PasswordSecretArn must be the ARN",
            ),
        ];
        for (properties, sentence) in table {
            let failure = properties.desired().unwrap_err().to_string();
            assert!(failure.starts_with(sentence), "{failure}");
            assert!(!failure.contains("hunter2"), "{failure}");
        }
    }
}
