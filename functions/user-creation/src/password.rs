//! The password in a secret.

use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

/// A secret that holds no password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoPassword {
    /// Neo4j takes no empty one.
    #[error("it is empty")]
    Empty,
    /// A JSON object, as Secrets Manager generates them, without the one field that matters.
    #[error("it is a JSON object without a text \"password\"")]
    NoField,
}

#[derive(Deserialize)]
struct Generated {
    password: SecretString,
}

/// The password in the text of a secret: its field `password` when the text is a JSON object, else all of the text, spaces and
/// line breaks included.
///
/// # Errors
/// When there is none; the text is never part of the error.
pub fn password(text: &SecretString) -> Result<SecretString, NoPassword> {
    let is_object = serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(text.expose_secret());
    let password = match is_object {
        Ok(_) => {
            serde_json::from_str::<Generated>(text.expose_secret()).map_err(|_| NoPassword::NoField)?.password
        }
        Err(_) => text.clone(),
    };
    if password.expose_secret().is_empty() { Err(NoPassword::Empty) } else { Ok(password) }
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
            let found = password(&text.to_owned().into());
            assert_eq!(
                found.as_ref().map(|found| found.expose_secret()).map_err(|error| *error),
                expected,
                "{text}"
            );
        }
    }
}
