//! Who a client of the database is: one of the stack's users, with the password that the stack generated for it.

use base64::{Engine, prelude::BASE64_STANDARD};
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;

use crate::{cloud::Cloud, stacks};

/// The users that the template makes, by the names it gives them unless told otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum User {
    /// The administrator.
    Admin,
    /// Reads.
    Reader,
    /// Reads and writes.
    Writer,
}

impl User {
    fn name(self) -> &'static str {
        match self {
            Self::Admin => "neo4j",
            Self::Reader => "reader",
            Self::Writer => "writer",
        }
    }

    /// The resource of the template that has its password.
    fn secret(self) -> &'static str {
        match self {
            Self::Admin => "AdminSecret",
            Self::Reader => "ReaderSecret",
            Self::Writer => "WriterSecret",
        }
    }
}

/// A user and its password; printing it shows the user only.
#[derive(Clone, Debug)]
pub struct Login {
    /// The user's name.
    pub user: String,
    password: SecretString,
}

impl Login {
    /// Of `user` with `password`.
    pub fn new(user: impl Into<String>, password: impl Into<String>) -> Self {
        Self { user: user.into(), password: SecretString::from(password.into()) }
    }

    pub(crate) fn password(&self) -> &str {
        self.password.expose_secret()
    }

    /// The `Authorization` header. 3.4 reads it as Latin-1 (measured); a letter outside of that becomes another one.
    pub fn header(&self) -> String {
        let pair = format!("{}:{}", self.user, self.password.expose_secret());
        let pair: Vec<u8> = pair.chars().map(|letter| u8::try_from(letter).unwrap_or(b'?')).collect();
        format!("Basic {}", BASE64_STANDARD.encode(pair))
    }
}

impl Cloud {
    /// The login of a user of the stack, with its secret as it is now.
    ///
    /// # Errors
    /// When the stack has no such secret.
    pub async fn login(&self, user: User) -> Result<Login, String> {
        let id = self.secret(user).await?;
        let target = "secretsmanager.GetSecretValue";
        let answer = self.gateway.emulator.json("secretsmanager", target, &json!({ "SecretId": id })).await;
        let answer = answer.map_err(|error| error.to_string())?;
        let secret = answer["SecretString"].as_str().ok_or_else(|| format!("the secret {id} has no text"))?;
        Ok(Login::new(user.name(), secret))
    }

    /// What Secrets Manager knows the secret of a user by.
    ///
    /// # Errors
    /// As above.
    pub async fn secret(&self, user: User) -> Result<String, String> {
        // Not through the gateway: the product's calls are counted there.
        stacks::resource(self.gateway.emulator.at, self.stack.name(), user.secret()).await
    }
}
