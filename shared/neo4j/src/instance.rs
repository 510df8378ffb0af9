//! One instance whose users are administered.

use std::{net::SocketAddr, time::Duration};

use secrecy::SecretString;

use crate::{Account, Administration, Change, Credentials, Denied, UserName, bolt_1, transactions, users_3};

/// Where one instance is administered and logged into. Every call opens a connection of its own,
/// and ends within `deadline`.
#[derive(Clone, Debug)]
pub struct Instance {
    pub http: SocketAddr,
    pub bolt: SocketAddr,
    pub administration: Administration,
    /// For each call: connecting, logging in, and the whole answer.
    pub deadline: Duration,
}

impl Instance {
    /// How long a user stays locked out after the last wrong password, with a margin.
    pub const LOCKED_OUT_FOR: Duration = users_3::LOCKED_OUT_FOR;

    /// Logs in as `who`, as an application does.
    ///
    /// # Errors
    /// `ChangeRequired` when the password is right and must be changed first; `Unauthorized` when it is
    /// wrong, or the user is suspended or absent. Three of the latter lock the user out for five seconds.
    pub async fn login(&self, who: &Credentials) -> Result<(), Denied> {
        match self.administration {
            Administration::Http => bolt_1::login(self.bolt, who, self.deadline).await,
            #[cfg(feature = "bolt")]
            Administration::Bolt => crate::users_4::login(self, who).await,
            #[cfg(not(feature = "bolt"))]
            Administration::Bolt => Err(NOT_BUILT_IN),
        }
    }

    /// Writes as `who`, and rolls back whatever happens: a reader gets `Forbidden`.
    pub async fn write_and_roll_back(&self, who: &Credentials) -> Result<(), Denied> {
        match self.administration {
            Administration::Http => bolt_1::write_and_roll_back(self.bolt, who, self.deadline).await,
            #[cfg(feature = "bolt")]
            Administration::Bolt => crate::users_4::write_and_roll_back(self, who).await,
            #[cfg(not(feature = "bolt"))]
            Administration::Bolt => Err(NOT_BUILT_IN),
        }
    }

    pub async fn accounts(&self, admin: &Credentials) -> Result<Vec<Account>, Denied> {
        match self.administration {
            Administration::Http => users_3::accounts(self, admin).await,
            #[cfg(feature = "bolt")]
            Administration::Bolt => crate::users_4::accounts(self, admin).await,
            #[cfg(not(feature = "bolt"))]
            Administration::Bolt => Err(NOT_BUILT_IN),
        }
    }

    /// Makes one change to one user. `password` is what `Create` and `SetPassword` set; the others ignore it.
    ///
    /// # Errors
    /// What has been done already is reported as such (`AlreadyThere`, `NotThere`, `SamePassword`): the
    /// caller knows what it means.
    pub async fn change(
        &self,
        admin: &Credentials,
        user: &UserName,
        change: &Change,
        password: &SecretString,
    ) -> Result<(), Denied> {
        match self.administration {
            Administration::Http => users_3::change(self, admin, user, change, password).await,
            #[cfg(feature = "bolt")]
            Administration::Bolt => crate::users_4::change(self, admin, user, change, password).await,
            #[cfg(not(feature = "bolt"))]
            Administration::Bolt => Err(NOT_BUILT_IN),
        }
    }

    /// Changes the password of `who` to `new`, also when it must be changed first.
    pub async fn change_own_password(&self, who: &Credentials, new: &SecretString) -> Result<(), Denied> {
        match self.administration {
            Administration::Http => {
                transactions::change_own_password(self.http, who, new, self.deadline).await
            }
            #[cfg(feature = "bolt")]
            Administration::Bolt => crate::users_4::change_own_password(self, who, new).await,
            #[cfg(not(feature = "bolt"))]
            Administration::Bolt => Err(NOT_BUILT_IN),
        }
    }
}

#[cfg(not(feature = "bolt"))]
const NOT_BUILT_IN: Denied = Denied::NotInThisEdition("driver for 4.4 and later built into this program");
