//! Who a client of the database is: a name and a password.

use base64::{Engine, prelude::BASE64_STANDARD};
use secrecy::{ExposeSecret, SecretString};

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
