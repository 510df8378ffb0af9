//! One user on one node: look, plan, change, look again, and prove it.

use neo4j::{Account, Change, Credentials, Denied, Instance, Role, UserName};
use secrecy::SecretString;
use tokio::time::sleep;

use crate::{
    Desired,
    admin::{Found, enter},
    plan::{Observed, Password, Refusal, plan},
    secrets::Passwords,
};

/// A concurrent change of the same user may come between a look and a change; more often than
/// this it is not an accident.
const MOST_LOOKS: usize = 3;
/// How often a login waits for the end of a lock-out, 5.2 s each.
const MOST_WAITS: usize = 2;

/// What a user should be on every node.
#[derive(Clone, Debug)]
pub struct Target {
    pub user: UserName,
    /// What it should be, and its passwords; `None` if it must be absent.
    pub wanted: Option<(Desired, Passwords)>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Applied {
    /// The changes that were made; empty if there was nothing to change.
    pub changes: Vec<Change>,
    /// Whether the node still accepted the password from before the last rotation.
    pub was_previous: bool,
    /// Whether the administrator's own password had to be changed.
    pub admin_changed: bool,
}

/// Why a user is not what it should be on a node.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    #[error("it has no running task")]
    NoTask,
    /// Neo4j refused a step, or did not answer.
    #[error("could not {step}: {denied}")]
    Denied {
        /// The step, as a verb and its object.
        step: String,
        denied: Denied,
    },
    #[error(
        "it takes neither the administrator's password in ADMIN_SECRET_ARN (AWSCURRENT, AWSPREVIOUS) nor the one Neo4j comes with: \
         put the password that this node takes into the secret as AWSPREVIOUS, or set the secret's on the node by hand"
    )]
    NoAdmin,
    /// It is not done, on purpose.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The change was applied, but the check afterwards contradicts it.
    #[error("{0}")]
    Unproven(&'static str),
    #[error("a concurrent change of the user came before each look at it: try again")]
    Contended,
}

impl Problem {
    pub(crate) fn denied(step: impl Into<String>, denied: Denied) -> Self {
        Self::Denied { step: step.into(), denied }
    }

    /// Whether a retry may succeed in a minute, without a change by an operator.
    pub fn passes(&self) -> bool {
        match self {
            Self::NoTask => true,
            Self::Denied { denied, .. } => denied.passes(),
            Self::NoAdmin | Self::Refused(_) | Self::Unproven(_) | Self::Contended => false,
        }
    }

    pub fn is_unreachable(&self) -> bool {
        matches!(self, Self::NoTask | Self::Denied { denied: Denied::Unreachable(_), .. })
    }
}

/// When a write or a login that is refused has to show that the role, or the suspension, holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Proof {
    /// Also where nothing was changed: CloudFormation is answered that it is so.
    Always,
    /// Only where something was changed: a reconcile finds most users as they should be, every five minutes.
    OfChanges,
}

/// Makes the user on the node what it should be.
pub(crate) async fn converge(
    at: &Instance,
    admin: &Passwords,
    target: &Target,
    proof: Proof,
) -> Result<Applied, Problem> {
    let (admin, found) = enter(at, admin).await?;
    let mut applied = Applied { admin_changed: found != Found::InOrder, ..Applied::default() };
    let desired = target.wanted.as_ref().map(|(desired, _)| desired);
    // An absent user has no password, and none of its changes needs one.
    let none = SecretString::default();
    let password = target.wanted.as_ref().map_or(&none, |(_, passwords)| &passwords.current);
    for _look in 0..MOST_LOOKS {
        let observed = observe(at, &admin, target).await?;
        applied.was_previous |= observed.password == Password::Previous;
        // A client keeps trying a wrong password: the right one is set, and cannot be proved.
        if !applied.changes.is_empty() && is_locked_out(&observed, desired) {
            return Err(Problem::denied(format!("log in as {}", target.user), Denied::LockedOut));
        }
        let changes = plan(desired, &observed)?;
        if changes.is_empty() {
            if proof == Proof::Always || !applied.changes.is_empty() {
                proved(at, target).await?;
            }
            return Ok(applied);
        }
        for change in changes {
            match at.change(&admin, &target.user, &change, password).await {
                // Already done, by this function or by an operator: the next look shows it.
                Ok(()) | Err(Denied::AlreadyThere | Denied::NotThere | Denied::SamePassword) => {}
                Err(denied) => return Err(Problem::denied(format!("{change} {}", target.user), denied)),
            }
            applied.changes.push(change);
        }
    }
    Err(Problem::Contended)
}

async fn observe(at: &Instance, admin: &Credentials, target: &Target) -> Result<Observed, Problem> {
    let accounts = at.accounts(admin).await.map_err(|denied| Problem::denied("list the users", denied))?;
    let roles = accounts.iter().any(|account| account.roles.is_some());
    let account = accounts.into_iter().find(|account| account.name == target.user.as_str());
    let password = match (&account, &target.wanted) {
        (Some(account), Some((desired, passwords))) if can_be_tried(account, desired) => {
            try_passwords(at, &target.user, passwords).await?
        }
        _ => Password::Untried,
    };
    Ok(Observed { account, password, roles })
}

fn is_locked_out(observed: &Observed, desired: Option<&Desired>) -> bool {
    let can_be_tried = |account| desired.is_some_and(|desired| can_be_tried(account, desired));
    observed.password == Password::Untried && observed.account.as_ref().is_some_and(can_be_tried)
}

/// A suspended user's login fails whatever the password, and a failure counts.
fn can_be_tried(account: &Account, desired: &Desired) -> bool {
    !account.suspended && !account.change_required && !desired.suspended
}

async fn try_passwords(at: &Instance, user: &UserName, passwords: &Passwords) -> Result<Password, Problem> {
    let tries =
        [(Some(&passwords.current), Password::Fits), (passwords.previous.as_ref(), Password::Previous)];
    for (password, meaning) in tries {
        let Some(password) = password else { continue };
        match login(at, user, password).await {
            Ok(()) => return Ok(meaning),
            Err(Denied::Unauthorized | Denied::ChangeRequired) => {}
            Err(Denied::LockedOut) => return Ok(Password::Untried),
            Err(denied) => return Err(Problem::denied(format!("log in as {user}"), denied)),
        }
    }
    Ok(Password::Wrong)
}

/// A login, after the end of a lock-out that an application with an old password has caused.
async fn login(at: &Instance, user: &UserName, password: &SecretString) -> Result<(), Denied> {
    let credentials = Credentials::new(user.as_str(), password.clone());
    for _wait in 0..MOST_WAITS {
        match at.login(&credentials).await {
            Err(Denied::LockedOut) => sleep(Instance::LOCKED_OUT_FOR).await,
            told => return told,
        }
    }
    at.login(&credentials).await
}

/// In the last look the right password logged in, which proves an active user; what is left are users that
/// must not log in or write.
async fn proved(at: &Instance, target: &Target) -> Result<(), Problem> {
    let Some((desired, passwords)) = &target.wanted else { return Ok(()) };
    let credentials = Credentials::new(target.user.as_str(), passwords.current.clone());
    if desired.suspended {
        return match login(at, &target.user, &passwords.current).await {
            Err(Denied::Unauthorized) => Ok(()),
            Ok(()) | Err(Denied::ChangeRequired) => {
                Err(Problem::Unproven("the user is suspended there, and could log in all the same"))
            }
            Err(denied) => Err(Problem::denied(format!("see the login of {} refused", target.user), denied)),
        };
    }
    if desired.role != Role::Reader {
        return Ok(());
    }
    match at.write_and_roll_back(&credentials).await {
        // A follower refuses every write; its roles are the listed ones.
        Err(Denied::Forbidden(_) | Denied::NotLeader) => Ok(()),
        Ok(()) => Err(Problem::Unproven(
            "the user is a reader there, and could write all the same (it was rolled back)",
        )),
        Err(denied) => Err(Problem::denied(format!("see a write of {} refused", target.user), denied)),
    }
}
