//! Secrets, by ARN and by stage.

use aws_config::SdkConfig;
use aws_sdk_secretsmanager::{
    Client,
    error::{ProvideErrorMetadata, SdkError},
};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::{Error, Kind};

const CALL: &str = "secretsmanager:GetSecretValue";

/// All secrets that the credentials may read. Clones share their connections.
#[derive(Clone, Debug)]
pub struct Secrets {
    client: Client,
}

/// Which version of a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// The one that is valid.
    Current,
    /// The one that was valid before it.
    Previous,
}

impl Stage {
    /// As Secrets Manager writes it.
    pub fn label(self) -> &'static str {
        match self {
            Self::Current => "AWSCURRENT",
            Self::Previous => "AWSPREVIOUS",
        }
    }
}

/// One version of a secret.
#[derive(Clone, Debug)]
pub struct Secret {
    /// All of its text.
    pub text: SecretString,
    /// Its version id, which is no secret.
    pub version: String,
}

/// A secret that holds no password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoPassword {
    /// Neo4j takes no empty one.
    #[error("it is empty")]
    Empty,
    /// A JSON object, as the rotation functions of AWS write them, without the one field that matters.
    #[error("it is a JSON object without a text \"password\"")]
    NoField,
}

impl Secret {
    /// The password in it: its field `password` when the text is a JSON object, else all of the text, spaces and line breaks
    /// included.
    ///
    /// # Errors
    /// When there is none; the text is never part of the error.
    pub fn password(&self) -> Result<SecretString, NoPassword> {
        let text = self.text.expose_secret();
        let password = match serde_json::from_str::<Map<String, Value>>(text) {
            Ok(_) => {
                serde_json::from_str::<WithPassword>(text).map_err(|_| NoPassword::NoField)?.password.into()
            }
            Err(_) => self.text.clone(),
        };
        if password.expose_secret().is_empty() { Err(NoPassword::Empty) } else { Ok(password) }
    }
}

#[derive(Deserialize)]
struct WithPassword {
    password: String,
}

impl Secrets {
    /// A reader with `config`'s credentials.
    pub fn new(config: &SdkConfig) -> Self {
        Self { client: Client::new(config) }
    }

    /// The current password in `arn`.
    ///
    /// # Errors
    /// As [`read`](Self::read), and when there is no such secret.
    pub async fn password(&self, arn: &str) -> Result<SecretString, Error> {
        let failed = |reason: String| failed(arn, reason);
        let secret = self.read(arn, Stage::Current).await?;
        let secret = secret.ok_or_else(|| failed("there is no such secret, or it has no value".into()))?;
        secret.password().map_err(|reason| failed(format!("it holds no password: {reason}")))
    }

    /// Reads the version of `arn` that has `stage`; none when there is no such secret, or none of its versions has it.
    ///
    /// # Errors
    /// When the call failed, and for a secret that is no text.
    pub async fn read(&self, arn: &str, stage: Stage) -> Result<Option<Secret>, Error> {
        let what = format!("{} of {arn}", stage.label());
        let failed = |reason: &str| failed(&what, reason);
        let call = self.client.get_secret_value().secret_id(arn).version_stage(stage.label());
        match call.send().await {
            Ok(answer) => match (answer.secret_string, answer.version_id) {
                (Some(text), version) => {
                    Ok(Some(Secret { text: text.into(), version: version.unwrap_or_default() }))
                }
                (None, _) => Err(failed("it is binary; a password must be text")),
            },
            Err(error) if error.code() == Some("ResourceNotFoundException") => Ok(None),
            // Such an error quotes the answer that could not be read, and the secret may be in it.
            Err(SdkError::ResponseError(_)) => Err(failed("the answer could not be read")),
            Err(error) => Err(Error::of(CALL, &what, &error)),
        }
    }
}

fn failed(what: &str, reason: impl Into<String>) -> Error {
    Error { call: CALL, what: what.to_owned(), reason: reason.into(), kind: Kind::Other }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_a_password_or_an_object_with_one() {
        let table = [
            ("plain", Ok("plain")),
            (" a\n", Ok(" a\n")),
            ("{\"a", Ok("{\"a")),
            ("\"quoted\"", Ok("\"quoted\"")),
            ("123", Ok("123")),
            ("[1]", Ok("[1]")),
            (r#"{"username":"app","password":"p\"\u00fc"}"#, Ok("p\"\u{fc}")),
            (r#"{"Password":"x"}"#, Err(NoPassword::NoField)),
            (r#"{"password":1}"#, Err(NoPassword::NoField)),
            (r#"{"password":""}"#, Err(NoPassword::Empty)),
            ("", Err(NoPassword::Empty)),
        ];
        for (text, expected) in table {
            let secret = Secret { text: text.to_owned().into(), version: "1".into() };
            let found = secret.password();
            assert_eq!(
                found.as_ref().map(|found| found.expose_secret()).map_err(|error| *error),
                expected,
                "{text}"
            );
            assert!(!format!("{secret:?}").contains("plain"));
        }
    }
}
