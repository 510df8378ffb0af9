//! The stack's users, with the passwords that the stack generated for them.

use serde_json::json;

use crate::{cloud::Cloud, login::Login, stacks};

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
