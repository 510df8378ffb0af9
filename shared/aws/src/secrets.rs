//! Secrets, by ARN and by stage.

use aws_config::SdkConfig;
use aws_sdk_secretsmanager::{
    Client,
    error::{ProvideErrorMetadata, SdkError},
};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

use crate::{Error, Kind};

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

impl Secret {
    /// The password in it: the `password` of a JSON object, as the rotation functions of AWS write them, or else all of the
    /// text.
    pub fn password(&self) -> SecretString {
        let object: Option<WithPassword> = serde_json::from_str(self.text.expose_secret()).ok();
        object.map_or_else(|| self.text.clone(), |object| object.password.into())
    }
}

#[derive(Deserialize)]
struct WithPassword {
    password: String,
}

impl Secrets {
    /// The current password in `arn`.
    ///
    /// # Errors
    /// As [`read`](Self::read), and when there is no such secret.
    pub async fn password(&self, arn: &str) -> Result<SecretString, Error> {
        match self.read(arn, Stage::Current).await? {
            Some(secret) => Ok(secret.password()),
            None => Err(Error {
                call: "secretsmanager:GetSecretValue",
                what: arn.to_owned(),
                reason: "there is no such secret, or it has no value".into(),
                kind: Kind::Other,
            }),
        }
    }

    /// A reader with `config`'s credentials.
    pub fn new(config: &SdkConfig) -> Self {
        Self { client: Client::new(config) }
    }

    /// Reads the version of `arn` that has `stage`; none when there is no such secret, or none of its versions has it.
    ///
    /// # Errors
    /// When the call failed, and for a secret that is no text.
    pub async fn read(&self, arn: &str, stage: Stage) -> Result<Option<Secret>, Error> {
        let what = format!("{} of {arn}", stage.label());
        let failed = |reason: &str| Error {
            call: "secretsmanager:GetSecretValue",
            what: what.clone(),
            reason: reason.to_owned(),
            kind: Kind::Other,
        };
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
            Err(error) => Err(Error::of("secretsmanager:GetSecretValue", what, &error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_a_text_or_a_field_of_an_object() {
        for (text, password) in [
            ("plain", "plain"),
            (r#"{"username":"app","password":"p\u00fc"}"#, "p\u{fc}"),
            (r#"{"user":"app"}"#, r#"{"user":"app"}"#),
            ("\"quoted\"", "\"quoted\""),
            (" spaces ", " spaces "),
        ] {
            let secret = Secret { text: text.to_owned().into(), version: "1".into() };
            assert_eq!(secret.password().expose_secret(), password, "{text}");
            assert!(!format!("{secret:?}").contains("plain"));
        }
    }
}
