//! The administrator's password: in Neo4j's own file before anybody can connect, and at hand afterwards for what Neo4j
//! tells nobody else.

use std::{
    fmt::Write as _,
    fs,
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt,
    path::Path,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use aws::Secrets;
use neo4j::{ADMINISTRATOR, Credentials};
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use tracing::{info, warn};

use crate::{Failure, Settings};

/// A task's role may be known everywhere only seconds after the task has started.
const TRIES: u32 = 10;
const APART: Duration = Duration::from_secs(3);
/// After a refusal the node gets one try a minute: three wrong ones lock the administrator out for five seconds, for every
/// client. The reconcile that brings a rotated password to the node comes every five minutes. The secret is looked up no
/// more often.
const AGAIN: Duration = Duration::from_secs(60);

/// The administrator; none when authentication is off. Clones know the same password.
#[derive(Clone)]
pub struct Administrator(Option<Arc<Known>>);

/// How to log in now.
#[derive(Clone, Debug)]
pub enum Login {
    /// Authentication is off.
    Without,
    /// As the administrator. The caller reports what came of it: `accepted` or `refused`.
    As(Credentials),
    /// Not now: the node has refused this password less than a minute ago.
    NotNow,
}

type LookUp =
    Box<dyn Fn() -> Pin<Box<dyn Future<Output = Result<SecretString, String>> + Send>> + Send + Sync>;

struct Known {
    look_up: LookUp,
    held: Mutex<Held>,
}

struct Held {
    password: SecretString,
    /// When the node refused it, or when the try that comes a minute later began.
    refused: Option<Instant>,
    looked_up: Option<Instant>,
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
                    return Ok(Self::knowing(
                        password,
                        Box::new(move || {
                            let (secrets, arn) = (secrets.clone(), arn.clone());
                            Box::pin(async move {
                                secrets.password(&arn).await.map_err(|error| error.to_string())
                            })
                        }),
                    ));
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
    pub fn prepare(&self, data: &Path) -> Result<(), Failure> {
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
        let line = first_user(&known.held().password, &salt);
        let file = directory.join("auth.ini");
        write(&directory, &file, &line)
            .map_err(|error| Failure::Io { what: format!("writing {}", file.display()), error })?;
        info!(event = "first-password-set", "the administrator's password is set before Neo4j starts");
        Ok(())
    }

    fn knowing(password: SecretString, look_up: LookUp) -> Self {
        let held = Mutex::new(Held { password, refused: None, looked_up: None });
        Self(Some(Arc::new(Known { look_up, held })))
    }

    /// How to log in now. After a refusal one caller a minute gets to try.
    pub fn login(&self) -> Login {
        let Some(known) = &self.0 else { return Login::Without };
        let mut held = known.held();
        match held.refused {
            Some(at) if at.elapsed() < AGAIN => return Login::NotNow,
            // Counted as refused until the node has accepted it, so that a second caller does not try beside this one.
            Some(_) => held.refused = Some(Instant::now()),
            None => {}
        }
        Login::As(Credentials::administrator(held.password.clone()))
    }

    /// The node has accepted `tried`.
    pub fn accepted(&self, tried: &Credentials) {
        let Some(known) = &self.0 else { return };
        let mut held = known.held();
        if held.has(tried) {
            held.refused = None;
        }
    }

    /// The node has refused `tried`: looks the secret up, because it may have been rotated. The look-up goes on by itself: a
    /// slow Secrets Manager keeps no caller waiting.
    pub fn refused(&self, tried: &Credentials) {
        let Some(known) = &self.0 else { return };
        {
            let mut held = known.held();
            if !held.has(tried) {
                return; // another one has been looked up meanwhile
            }
            held.refused = Some(Instant::now());
            if held.looked_up.is_some_and(|at| at.elapsed() < AGAIN) {
                return;
            }
            held.looked_up = Some(Instant::now());
        }
        let known = Arc::clone(known);
        tokio::spawn(async move {
            match (known.look_up)().await {
                Ok(current) => {
                    let mut held = known.held();
                    if held.password.expose_secret() != current.expose_secret() {
                        // The node has not refused this one yet.
                        (held.password, held.refused) = (current, None);
                    }
                }
                Err(error) => warn!(event = "no-admin-password", "{error}"),
            }
        });
    }
}

impl Known {
    /// Held for as long as a field is read or written, never over a call.
    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    fn has(&self, tried: &Credentials) -> bool {
        self.password.expose_secret() == tried.password.expose_secret()
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
impl Administrator {
    /// One whose secret is `password`, and `then` when it is looked up, which takes `delay`.
    pub fn of_a_test(password: &str, then: &'static str, delay: Duration) -> Self {
        Self::knowing(
            password.to_owned().into(),
            Box::new(move || {
                Box::pin(async move {
                    tokio::time::sleep(delay).await;
                    Ok(then.to_owned().into())
                })
            }),
        )
    }

    /// One without a password.
    pub fn off() -> Self {
        Self(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn password(administrator: &Administrator) -> Option<String> {
        match administrator.login() {
            Login::As(who) => Some(who.password.expose_secret().to_owned()),
            _ => None,
        }
    }

    fn tried(password: &str) -> Credentials {
        Credentials::administrator(password.to_owned().into())
    }

    #[tokio::test]
    async fn a_refused_password_is_not_tried_again_at_once_and_a_rotated_one_is() {
        let administrator = Administrator::of_a_test("old", "new", Duration::ZERO);
        administrator.accepted(&tried("old"));
        administrator.refused(&tried("old"));
        assert_eq!(password(&administrator), None, "refused, and not looked up yet");
        let deadline = Instant::now() + Duration::from_secs(5);
        while password(&administrator).as_deref() != Some("new") {
            assert!(Instant::now() < deadline, "the rotated password was not looked up");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        administrator.refused(&tried("old"));
        assert_eq!(password(&administrator).as_deref(), Some("new"), "that was another one");
        administrator.refused(&tried("new"));
        for _ in 0..3 {
            assert_eq!(password(&administrator), None, "one try a minute after a refusal");
        }
    }

    #[tokio::test]
    async fn after_a_minute_one_caller_tries_again() {
        let administrator = Administrator::of_a_test("same", "same", Duration::ZERO);
        let held = || administrator.0.as_ref().unwrap().held();
        administrator.refused(&tried("same"));
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert_eq!(password(&administrator), None);
        held().refused = Instant::now().checked_sub(AGAIN);
        assert_eq!(password(&administrator).as_deref(), Some("same"));
        assert_eq!(password(&administrator), None, "not a second one beside it");
        administrator.accepted(&tried("same"));
        assert_eq!(password(&administrator).as_deref(), Some("same"));
        assert_eq!(password(&administrator).as_deref(), Some("same"), "as often as it is asked for");
    }

    #[tokio::test]
    async fn a_slow_look_up_keeps_no_caller_waiting() {
        let administrator = Administrator::of_a_test("old", "new", Duration::from_secs(3600));
        let begun = Instant::now();
        administrator.refused(&tried("old"));
        tokio::task::yield_now().await;
        assert_eq!(password(&administrator), None);
        administrator.accepted(&tried("old"));
        assert_eq!(password(&administrator).as_deref(), Some("old"));
        assert!(begun.elapsed() < Duration::from_secs(5));
        assert!(matches!(Administrator::off().login(), Login::Without));
    }

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
