//! The administrator's password: in Neo4j's own file before anybody can connect, and at hand afterwards for what Neo4j
//! tells nobody else.

use std::{
    fmt::Write as _,
    fs,
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use aws::Secrets;
use neo4j::{ADMINISTRATOR, Credentials};
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use tokio::sync::Mutex;
use tracing::{info, warn};

use crate::{Failure, Settings};

/// A task's role may be known everywhere only seconds after the task has started.
const TRIES: u32 = 10;
const APART: Duration = Duration::from_secs(3);
/// A password that the node refuses is looked up again no sooner than this: three wrong ones lock the user for five
/// seconds, and the reconcile that brings a rotated one comes every five minutes.
const LOOK_UP_AGAIN: Duration = Duration::from_secs(60);

/// The administrator; none when authentication is off. Clones know the same password.
#[derive(Clone)]
pub struct Administrator(Option<Arc<Known>>);

struct Known {
    secrets: Secrets,
    arn: String,
    password: Mutex<(SecretString, Instant)>,
}

impl Administrator {
    /// Fetches the password of the secret that the settings name.
    ///
    /// # Errors
    /// When it cannot be had after several tries: without it Neo4j would start with the password that everybody knows.
    pub async fn fetch(settings: &Settings) -> Result<Self, Failure> {
        let Some(arn) = settings.admin_secret.clone() else { return Ok(Self(None)) };
        let secrets = Secrets::new(&aws::sdk_config().await);
        let mut reason = String::new();
        for attempt in 1..=TRIES {
            match secrets.password(&arn).await {
                Ok(password) => {
                    let password = Mutex::new((password, Instant::now()));
                    return Ok(Self(Some(Arc::new(Known { secrets, arn, password }))));
                }
                Err(error) => reason = error.to_string(),
            }
            warn!(event = "no-admin-password", attempt, "{reason}");
            tokio::time::sleep(APART).await;
        }
        Err(Failure::NoPassword(reason))
    }

    /// Writes the file that Neo4j takes its first user from, unless it has users already: then the password is what it
    /// is, and whoever keeps users in order changes it.
    pub async fn prepare(&self, data: &Path) -> Result<(), Failure> {
        let Some(known) = &self.0 else { return Ok(()) };
        let directory = data.join("dbms");
        if directory.join("auth").exists() {
            return Ok(());
        }
        let mut salt = [0; 16];
        getrandom::fill(&mut salt).map_err(|error| Failure::Io {
            what: "making a salt".into(),
            error: io::Error::other(error.to_string()),
        })?;
        let line = first_user(&known.password.lock().await.0, &salt);
        let file = directory.join("auth.ini");
        write(&directory, &file, &line)
            .map_err(|error| Failure::Io { what: format!("writing {}", file.display()), error })?;
        info!(event = "first-password-set", "the administrator's password is set before Neo4j starts");
        Ok(())
    }

    /// What to log in with now.
    pub async fn credentials(&self) -> Option<Credentials> {
        let known = self.0.as_ref()?;
        Some(Credentials::administrator(known.password.lock().await.0.clone()))
    }

    /// The node refused those credentials: looks the secret up again, because it may have been rotated.
    pub async fn refused(&self) {
        let Some(known) = &self.0 else { return };
        let mut password = known.password.lock().await;
        if password.1.elapsed() < LOOK_UP_AGAIN {
            return;
        }
        password.1 = Instant::now();
        match known.secrets.password(&known.arn).await {
            Ok(current) => password.0 = current,
            Err(error) => warn!(event = "no-admin-password", "{error}"),
        }
    }
}

/// The line of `auth.ini` as `neo4j-admin set-initial-password` writes it (read off 3.4.6): the digest of salt and password,
/// then the salt, both in capitals, and no flag that the password must be changed.
fn first_user(password: &SecretString, salt: &[u8]) -> String {
    let mut digest = Sha256::new();
    digest.update(salt);
    digest.update(password.expose_secret().as_bytes());
    format!("{ADMINISTRATOR}:SHA-256,{},{}:\n", hex(&digest.finalize()), hex(salt))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _infallible = write!(text, "{byte:02X}");
        text
    })
}

fn write(directory: &Path, file: &Path, line: &str) -> io::Result<()> {
    fs::create_dir_all(directory)?;
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600).open(file)?.write_all(line.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_user_is_the_line_that_neo4js_own_tool_writes() {
        let salt: Vec<u8> = (0..16)
            .map(|index| {
                let pair = &"6E5B185977B0435F634909A108C79429"[index * 2..index * 2 + 2];
                u8::from_str_radix(pair, 16).unwrap()
            })
            .collect();
        // Written by `AdminTool set-initial-password abc` of 3.4.6.
        let written = "neo4j:SHA-256,E2F4597D61ED66CD27ED675FAE5DB6AA9AEFD2E7C8DB18680DAB697F2883775F,\
                       6E5B185977B0435F634909A108C79429:\n";
        assert_eq!(first_user(&"abc".to_owned().into(), &salt), written);
    }
}
