//! Secrets, by ARN and by stage.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

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

/// All secrets that the credentials may read. Clones share their connections, and what they
/// know of earlier versions.
#[derive(Clone, Debug)]
pub struct Secrets {
    client: Client,
    known: Arc<Mutex<BTreeMap<String, Known>>>,
}

/// What is known of one secret. Secrets Manager moves AWSPREVIOUS when AWSCURRENT moves, so the previous
/// version is read once for each current one: a reconcile every five minutes would otherwise ask for it 36
/// times an hour for three secrets. (If an operator moves only AWSPREVIOUS by hand, this is noticed at the
/// next rotation, or in a new process.)
#[derive(Debug)]
struct Known {
    current: String,
    previous: Before,
}

/// What is known of the previous version.
#[derive(Clone, Debug)]
enum Before {
    NotRead,
    Read(Option<Secret>),
}

/// Which version of a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// The valid version.
    Current,
    /// The version that was valid before it.
    Previous,
}

impl Stage {
    /// The name that Secrets Manager uses.
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
    pub text: SecretString,
    /// Its version id, which is not secret.
    pub version: String,
}

/// A secret that holds no password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoPassword {
    /// Neo4j accepts no empty password.
    #[error("it is empty")]
    Empty,
    /// A JSON object, as the rotation functions of AWS write them, without the one field that matters.
    #[error("it is a JSON object without a text \"password\"")]
    NoField,
}

impl Secret {
    /// The password in it: the field `password` if the text is a JSON object, otherwise the whole text,
    /// spaces and line breaks included.
    ///
    /// # Errors
    /// When there is no password; the text is never part of the error.
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
    pub fn new(config: &SdkConfig) -> Self {
        Self { client: Client::new(config), known: Arc::default() }
    }

    /// The current password in `arn`.
    ///
    /// # Errors
    /// As [`read`](Self::read), and when the secret does not exist.
    pub async fn password(&self, arn: &str) -> Result<SecretString, Error> {
        let failed = |reason: String| failed(arn, reason);
        let secret = self.read(arn, Stage::Current).await?;
        let secret = secret.ok_or_else(|| failed("there is no such secret, or it has no value".into()))?;
        secret.password().map_err(|reason| failed(format!("it holds no password: {reason}")))
    }

    /// Reads the version of `arn` that has `stage`; `None` if the secret does not exist, or none of
    /// its versions has that stage. The previous version is remembered until a read of the current
    /// one finds another version.
    ///
    /// # Errors
    /// When the call failed, and for a secret without text.
    pub async fn read(&self, arn: &str, stage: Stage) -> Result<Option<Secret>, Error> {
        if stage == Stage::Previous
            && let Some(Before::Read(previous)) = self.known().get(arn).map(|known| &known.previous)
        {
            return Ok(previous.clone());
        }
        let read = self.ask(arn, stage).await?;
        let mut known = self.known();
        match (stage, &read) {
            (Stage::Current, Some(secret)) => {
                let current = secret.version.clone();
                // Without a version id nothing can be compared.
                let same = known.get(arn).is_some_and(|known| known.current == current);
                if !same || current.is_empty() {
                    known.insert(arn.to_owned(), Known { current, previous: Before::NotRead });
                }
            }
            (Stage::Current, None) => drop(known.remove(arn)),
            (Stage::Previous, previous) => {
                if let Some(known) = known.get_mut(arn) {
                    known.previous = Before::Read(previous.clone());
                }
            }
        }
        Ok(read)
    }

    async fn ask(&self, arn: &str, stage: Stage) -> Result<Option<Secret>, Error> {
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
            // Such an error quotes the malformed answer, and the secret may be in it.
            Err(SdkError::ResponseError(_)) => {
                Err(Error { kind: Kind::Passing, ..failed("the answer could not be read") })
            }
            Err(error) => Err(Error::of(CALL, &what, &error)),
        }
    }

    fn known(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn failed(what: &str, reason: impl Into<String>) -> Error {
    Error { call: CALL, what: what.to_owned(), reason: reason.into(), kind: Kind::Other }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::Fake;

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

    /// What both stages hold now, and how often Secrets Manager was asked for each.
    async fn both(fake: &Fake, secrets: &Secrets) -> (Option<String>, Option<String>, [usize; 2]) {
        let text = |secret: Option<Secret>| secret.map(|secret| secret.text.expose_secret().to_owned());
        let current = text(secrets.read("arn", Stage::Current).await.unwrap());
        let previous = text(secrets.read("arn", Stage::Previous).await.unwrap());
        let asked = fake.asked();
        let count = |stage: &str| asked.iter().filter(|request| request.body.contains(stage)).count();
        (current, previous, [count("AWSCURRENT"), count("AWSPREVIOUS")])
    }

    #[tokio::test]
    async fn the_version_before_is_read_once_for_each_current_one() {
        // One rotation, after the first two looks. Before the rotation there is no previous version.
        let fake = Fake::start(|number, request| {
            let rotated = number >= 3;
            Some(match (request.body.contains("AWSCURRENT"), rotated) {
                (true, true) => (200, r#"{"SecretString":"new","VersionId":"2"}"#.into()),
                (false, false) => (400, r#"{"__type":"ResourceNotFoundException"}"#.into()),
                _ => (200, r#"{"SecretString":"old","VersionId":"1"}"#.into()),
            })
        })
        .await;
        let secrets = Secrets::new(&fake.config);
        let (old, new) = (Some("old".to_owned()), Some("new".to_owned()));
        assert_eq!(both(&fake, &secrets).await, (old.clone(), None, [1, 1]));
        assert_eq!(both(&fake, &secrets).await, (old.clone(), None, [2, 1]), "the absence is remembered");
        assert_eq!(both(&fake, &secrets).await, (new.clone(), old.clone(), [3, 2]), "a rotation forgets it");
        assert_eq!(both(&fake, &secrets).await, (new, old, [4, 2]));
    }
}
