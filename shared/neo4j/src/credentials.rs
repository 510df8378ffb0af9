//! A user and a password, in a type that does not print the password.

use base64::{Engine, prelude::BASE64_STANDARD};
use http::HeaderValue;
use secrecy::{ExposeSecret, SecretString};

/// Neo4j's name for the one user that always exists.
pub const ADMINISTRATOR: &str = "neo4j";

#[derive(Clone, Debug)]
pub struct Credentials {
    pub user: String,
    pub password: SecretString,
}

impl Credentials {
    pub fn new(user: impl Into<String>, password: SecretString) -> Self {
        Self { user: user.into(), password }
    }

    pub fn administrator(password: SecretString) -> Self {
        Self::new(ADMINISTRATOR, password)
    }

    /// The `Authorization` header of HTTP's basic scheme, if it can carry the password.
    pub(crate) fn basic(&self) -> Option<HeaderValue> {
        let login = BASE64_STANDARD.encode(self.latin_1()?);
        let mut login = HeaderValue::try_from(format!("Basic {login}")).ok()?;
        login.set_sensitive(true);
        Some(login)
    }

    /// `user:password` as HTTP's basic scheme carries it to Neo4j 3.x, which reads it as Latin-1 (measured on
    /// 3.4.6); `None` for a password with other characters.
    fn latin_1(&self) -> Option<Vec<u8>> {
        let pair = format!("{}:{}", self.user, self.password.expose_secret());
        pair.chars().map(|letter| u8::try_from(letter).ok()).collect()
    }
}

/// Whether the HTTP interface of 3.x can carry `password`: all of it is Latin-1. Bolt carries every password.
pub fn carried_by_http(password: &SecretString) -> bool {
    password.expose_secret().chars().all(|letter| u8::try_from(letter).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_not_printed_and_goes_out_as_latin_1() {
        let credentials = Credentials::new("neo4j", "g\u{fc}:x".to_owned().into());
        assert!(!format!("{credentials:?}").contains("\u{fc}"), "{credentials:?}");
        assert_eq!(credentials.latin_1().as_deref(), Some(b"neo4j:g\xfc:x".as_slice()));
        assert_eq!(Credentials::new("neo4j", "\u{20ac}".to_owned().into()).latin_1(), None);
        assert!(!carried_by_http(&"\u{20ac}".to_owned().into()));
    }
}
