//! The passwords that are valid, and those that were until the last rotation.

use aws::Stage;
use secrecy::{ExposeSecret, SecretString};

use crate::{Trouble, World};

/// The two passwords of one secret.
#[derive(Clone, Debug)]
pub struct Passwords {
    /// What every node must take.
    pub current: SecretString,
    /// What a node that has not heard of the rotation takes still; `None` before the first one.
    pub previous: Option<SecretString>,
}

impl Passwords {
    /// Reads both versions of `arn`.
    ///
    /// # Errors
    /// Without a password that is valid. What is wrong with the one before it does not matter.
    pub(crate) async fn read<W: World>(world: &W, arn: &str) -> Result<Self, Trouble> {
        let secret = world.secret(arn, Stage::Current).await?;
        let secret = secret.ok_or_else(|| Trouble::NoSecret { arn: arn.to_owned() })?;
        let current =
            secret.password().map_err(|reason| Trouble::NoPassword { arn: arn.to_owned(), reason })?;
        let previous = match world.secret(arn, Stage::Previous).await? {
            Some(secret) => secret.password().ok(),
            None => None,
        };
        let differs = |previous: &SecretString| previous.expose_secret() != current.expose_secret();
        Ok(Self { previous: previous.filter(differs), current })
    }
}
