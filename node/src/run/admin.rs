//! The administrator's password: in Neo4j's own file before anybody can connect, and at hand afterwards for what Neo4j
//! tells nobody else.

use std::{
    fmt::{self, Write as _},
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

use super::{
    Error,
    login::{AGAIN, Logins},
};
use crate::Settings;

/// A task's role may be known everywhere only seconds after the task has started.
const TRIES: u32 = 10;
const APART: Duration = Duration::from_secs(3);

/// The administrator; none when authentication is off. Clones know the same password.
#[derive(Clone)]
pub struct Administrator(Option<Arc<Known>>);

/// How to log in now.
#[derive(Debug)]
pub enum Login {
    /// Authentication is off.
    Without,
    /// As the administrator.
    As(Attempt),
    /// Not now: the node has refused this password less than a minute ago, or another login is finding out whether it does.
    NotNow,
}

/// One login. What came of it is reported; one that is dropped without a word ended without an answer.
pub struct Attempt {
    who: Credentials,
    known: Arc<Known>,
    is_over: bool,
}

type LookUp =
    Box<dyn Fn() -> Pin<Box<dyn Future<Output = Result<SecretString, String>> + Send>> + Send + Sync>;

struct Known {
    look_up: LookUp,
    held: Mutex<Held>,
}

struct Held {
    password: SecretString,
    logins: Logins,
    looked_up: Option<Instant>,
}

impl Administrator {
    /// Fetches the password of the secret that the settings name.
    ///
    /// # Errors
    /// When it cannot be had after several tries: without it Neo4j would start with the password that everybody knows.
    pub async fn fetch(settings: &Settings) -> Result<Self, Error> {
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
        Err(Error::NoPassword(reason))
    }

    /// Writes the file that Neo4j takes its first user from, unless it has users already: then the password is what it
    /// is, and whoever keeps users in order changes it.
    pub fn prepare(&self, data: &Path) -> Result<(), Error> {
        let Some(known) = &self.0 else { return Ok(()) };
        let directory = data.join("dbms");
        if directory.join("auth").exists() {
            return Ok(());
        }
        let mut salt = [0; 16];
        getrandom::fill(&mut salt)
            .map_err(|error| Error::io("making a salt", io::Error::other(error.to_string())))?;
        let line = first_user(&known.held().password, &salt);
        let file = directory.join("auth.ini");
        write(&directory, &file, &line)
            .map_err(|error| Error::io(format!("writing {}", file.display()), error))?;
        info!(event = "first-password-set", "the administrator's password is set before Neo4j starts");
        Ok(())
    }

    fn knowing(password: SecretString, look_up: LookUp) -> Self {
        let held = Mutex::new(Held { password, logins: Logins::new(), looked_up: None });
        Self(Some(Arc::new(Known { look_up, held })))
    }

    /// How to log in now, for every path of this program: three wrong passwords lock the administrator out.
    pub fn login(&self) -> Login {
        let Some(known) = &self.0 else { return Login::Without };
        let mut held = known.held();
        if !held.logins.begin(Instant::now()) {
            return Login::NotNow;
        }
        let who = Credentials::administrator(held.password.clone());
        Login::As(Attempt { who, known: Arc::clone(known), is_over: false })
    }
}

impl Attempt {
    /// As whom.
    pub fn who(&self) -> &Credentials {
        &self.who
    }

    /// The node has accepted the password.
    pub fn accepted(mut self) {
        let known = Arc::clone(&self.known);
        let mut held = known.held();
        self.end(&mut held);
        if held.has(&self.who) {
            held.logins.accepted();
        }
    }

    /// The node has refused the password: looks the secret up, because it may have been rotated. The look-up goes on by itself: a
    /// slow Secrets Manager keeps no caller waiting.
    pub fn refused(mut self) {
        let known = Arc::clone(&self.known);
        {
            let mut held = known.held();
            self.end(&mut held);
            let at_hand = held.has(&self.who);
            held.logins.refused(Instant::now(), at_hand);
            // Another one has been looked up meanwhile, or this one a short while ago.
            if !at_hand || held.looked_up.is_some_and(|at| at.elapsed() < AGAIN) {
                return;
            }
            held.looked_up = Some(Instant::now());
        }
        tokio::spawn(async move {
            match (known.look_up)().await {
                Ok(current) => {
                    let mut held = known.held();
                    if held.password.expose_secret() != current.expose_secret() {
                        // The node has not refused this one yet.
                        held.password = current;
                        held.logins.replaced();
                    }
                }
                Err(error) => warn!(event = "no-admin-password", "{error}"),
            }
        });
    }

    fn end(&mut self, held: &mut Held) {
        self.is_over = true;
        held.logins.ended();
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        if self.is_over {
            return;
        }
        let known = Arc::clone(&self.known);
        let mut held = known.held();
        self.end(&mut held);
        if held.has(&self.who) {
            held.logins.unknown(Instant::now());
        }
    }
}

impl fmt::Debug for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Attempt").field("who", &self.who).finish_non_exhaustive()
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

    fn attempt(administrator: &Administrator) -> Option<Attempt> {
        match administrator.login() {
            Login::As(attempt) => Some(attempt),
            _ => None,
        }
    }

    fn password(attempt: &Attempt) -> &str {
        attempt.who().password.expose_secret()
    }

    /// The next attempt that there is; the look-up goes on by itself.
    async fn next(administrator: &Administrator) -> Attempt {
        let deadline = Instant::now() + Duration::from_secs(5);
        loop {
            if let Some(attempt) = attempt(administrator) {
                return attempt;
            }
            assert!(Instant::now() < deadline, "the rotated password was not looked up");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    #[tokio::test]
    async fn a_refused_password_is_not_tried_again_at_once_and_a_rotated_one_is() {
        let administrator = Administrator::of_a_test("old", "new", Duration::ZERO);
        attempt(&administrator).unwrap().accepted();
        let (first, late) = (attempt(&administrator).unwrap(), attempt(&administrator).unwrap());
        assert_eq!((password(&first), password(&late)), ("old", "old"));
        late.accepted();
        first.refused();
        assert!(attempt(&administrator).is_none(), "refused, and not looked up yet");
        let rotated = next(&administrator).await;
        assert_eq!(password(&rotated), "new");
        rotated.refused();
        for _ in 0..3 {
            assert!(attempt(&administrator).is_none(), "one try a minute after a refusal");
        }
    }

    #[tokio::test]
    async fn an_attempt_that_is_dropped_keeps_no_other_from_trying() {
        let administrator = Administrator::of_a_test("same", "same", Duration::ZERO);
        for _ in 0..3 {
            let first = attempt(&administrator).unwrap();
            assert!(attempt(&administrator).is_none(), "not a second one beside it");
            drop(first);
        }
        attempt(&administrator).unwrap().accepted();
        let all: Vec<Attempt> = (0..3).filter_map(|_| attempt(&administrator)).collect();
        assert_eq!(all.len(), 3, "as often as it is asked for");
    }

    #[tokio::test]
    async fn a_slow_look_up_keeps_no_caller_waiting() {
        let administrator = Administrator::of_a_test("old", "new", Duration::from_secs(3600));
        let begun = Instant::now();
        attempt(&administrator).unwrap().accepted();
        let (first, second) = (attempt(&administrator).unwrap(), attempt(&administrator).unwrap());
        first.refused();
        tokio::task::yield_now().await;
        assert!(attempt(&administrator).is_none());
        second.accepted();
        assert_eq!(password(&attempt(&administrator).unwrap()), "old");
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
