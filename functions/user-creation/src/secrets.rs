//! The valid passwords, and those that were valid before the last rotation.

use aws::Stage;
use secrecy::{ExposeSecret, SecretString};

use crate::{Trouble, World};

/// The two passwords of one secret.
#[derive(Clone, Debug)]
pub struct Passwords {
    /// The password that every node must accept.
    pub current: SecretString,
    /// The previous password, which nodes that missed the rotation still accept. `None`
    /// before the first rotation.
    pub previous: Option<SecretString>,
}

impl Passwords {
    /// Reads both versions of `arn`.
    ///
    /// # Errors
    /// When no password is valid. A fault of the previous one does not matter.
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
