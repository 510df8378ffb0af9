//! What must be done to one user on one node. Pure: from the wanted user and the observed
//! one to a list of changes.

use neo4j::{Account, Change, Role};

use crate::Desired;

/// What one node has of one user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observed {
    /// The account; `None` if absent.
    pub account: Option<Account>,
    /// Whether the wanted password logs in.
    pub password: Password,
    /// Whether the node's edition has roles.
    pub roles: bool,
}

/// What a login with the wanted password showed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Password {
    /// The wanted password is the right one.
    Fits,
    /// The previous password is: the secret was rotated and this node missed it.
    Previous,
    /// Neither is.
    Wrong,
    /// It could not be tried: there is no account, or it is suspended or locked out.
    Untried,
}

/// Why a user is not made at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// A reader that may write is worse than no reader.
    #[error(
        "Role is {0}, but its edition of Neo4j (Community) has no roles: every user there may do everything, so nothing was \
         made. Run an Enterprise edition, or say Role: admin if a user who may do everything is what is wanted"
    )]
    NoRoles(Role),
    /// Community cannot suspend users: creating one would leave an active account.
    #[error(
        "Suspended is true, but its edition of Neo4j (Community) cannot suspend a user, so nothing was made. Remove the user's \
         resource instead, or run an Enterprise edition"
    )]
    NoSuspension,
}

/// The changes that make `observed` what is `desired` (`None`: absent), in an order in which the user
/// never has more than both states allow: rights are revoked first and granted last, and an old
/// password is never admitted.
pub fn plan(desired: Option<&Desired>, observed: &Observed) -> Result<Vec<Change>, Refusal> {
    let Some(desired) = desired else {
        return Ok(observed.account.iter().map(|_| Change::Delete).collect());
    };
    // Without roles every user may do everything, and only an admin is meant to.
    if !observed.roles && desired.role != Role::Admin {
        return Err(Refusal::NoRoles(desired.role));
    }
    if !observed.roles && desired.suspended {
        return Err(Refusal::NoSuspension);
    }
    Ok(match &observed.account {
        None => made(desired, observed.roles),
        // Neo4j refuses the same password again, and the duty to change it would stay: such a user is
        // made again from scratch.
        Some(account) if account.change_required => {
            [vec![Change::Delete], made(desired, observed.roles)].concat()
        }
        Some(account) => corrected(desired, account, observed.password),
    })
}

fn made(desired: &Desired, roles: bool) -> Vec<Change> {
    let suspended = desired.suspended.then_some(Change::Suspend);
    let granted = roles.then_some(Change::Grant(desired.role));
    // Suspended before it gets its role: it must not have those rights even for a moment.
    [Some(Change::Create), suspended, granted].into_iter().flatten().collect()
}

fn corrected(desired: &Desired, account: &Account, password: Password) -> Vec<Change> {
    let mut changes = Vec::new();
    // First, so that the user cannot log in while the rest is changed.
    if desired.suspended && !account.suspended {
        changes.push(Change::Suspend);
    }
    let roles = account.roles.as_ref();
    // Before any role is granted: the user must not have both.
    let too_many = roles.into_iter().flatten().filter(|role| *role != desired.role.name());
    changes.extend(too_many.cloned().map(Change::Revoke));
    // The password of a suspended user opens nothing; it is set before the user is admitted again.
    if !desired.suspended && password != Password::Fits {
        changes.push(Change::SetPassword);
    }
    if roles.is_some_and(|roles| !roles.contains(desired.role.name())) {
        changes.push(Change::Grant(desired.role));
    }
    // Last, so that the user is admitted only with the wanted password and role.
    if !desired.suspended && account.suspended {
        changes.push(Change::Activate);
    }
    changes
}

#[cfg(test)]
mod tests {
    use super::*;
    use Change::{Activate, Create, Delete, Grant, Revoke, SetPassword, Suspend};
    use Password::{Fits, Previous, Untried, Wrong};

    fn desired(role: Role, suspended: bool) -> Desired {
        Desired { user: "app".parse().unwrap(), role, secret_arn: "arn:s".into(), suspended }
    }

    fn account(roles: &[&str], flags: &[&str]) -> Account {
        Account {
            name: "app".into(),
            roles: Some(roles.iter().map(|role| (*role).to_owned()).collect()),
            suspended: flags.contains(&"suspended"),
            change_required: flags.contains(&"change"),
        }
    }

    #[test]
    fn every_difference_has_its_change_and_its_place() {
        let (reader, admin) = (Role::Reader, Role::Admin);
        let revoke = |role: &str| Revoke(role.to_owned());
        let table = [
            ("missing", desired(reader, false), None, Untried, vec![Create, Grant(reader)]),
            (
                "missing, suspended",
                desired(reader, true),
                None,
                Untried,
                vec![Create, Suspend, Grant(reader)],
            ),
            ("in order", desired(reader, false), Some(account(&["reader"], &[])), Fits, vec![]),
            ("rotated", desired(reader, false), Some(account(&["reader"], &[])), Previous, vec![SetPassword]),
            (
                "another password",
                desired(reader, false),
                Some(account(&["reader"], &[])),
                Wrong,
                vec![SetPassword],
            ),
            (
                "locked out",
                desired(reader, false),
                Some(account(&["reader"], &[])),
                Untried,
                vec![SetPassword],
            ),
            ("no role", desired(reader, false), Some(account(&[], &[])), Fits, vec![Grant(reader)]),
            (
                "less than before: the surplus role is revoked first",
                desired(reader, false),
                Some(account(&["admin", "custom"], &[])),
                Wrong,
                vec![revoke("admin"), revoke("custom"), SetPassword, Grant(reader)],
            ),
            (
                "more than before: the new password comes first",
                desired(admin, false),
                Some(account(&["reader"], &[])),
                Wrong,
                vec![revoke("reader"), SetPassword, Grant(admin)],
            ),
            ("suspend", desired(reader, true), Some(account(&["reader"], &[])), Untried, vec![Suspend]),
            (
                "is suspended",
                desired(reader, true),
                Some(account(&["reader"], &["suspended"])),
                Untried,
                vec![],
            ),
            (
                "admitted again, with the right password and role",
                desired(reader, false),
                Some(account(&["editor"], &["suspended"])),
                Untried,
                vec![revoke("editor"), SetPassword, Grant(reader), Activate],
            ),
            (
                "made by an operator, with a duty to change the password",
                desired(reader, false),
                Some(account(&["reader"], &["change"])),
                Untried,
                vec![Delete, Create, Grant(reader)],
            ),
        ];
        for (name, desired, account, password, expected) in table {
            let observed = Observed { account, password, roles: true };
            assert_eq!(plan(Some(&desired), &observed), Ok(expected), "{name}");
        }
    }

    #[test]
    fn what_is_not_wanted_goes() {
        let there =
            Observed { account: Some(account(&["reader"], &["suspended"])), password: Untried, roles: true };
        assert_eq!(plan(None, &there), Ok(vec![Delete]));
        assert_eq!(plan(None, &Observed { account: None, ..there }), Ok(vec![]));
    }

    #[test]
    fn without_roles_only_one_who_may_do_everything_is_made() {
        let absent = Observed { account: None, password: Untried, roles: false };
        for role in Role::ALL {
            let planned = plan(Some(&desired(role, false)), &absent);
            match role {
                Role::Admin => assert_eq!(planned, Ok(vec![Create])),
                role => assert_eq!(planned, Err(Refusal::NoRoles(role))),
            }
        }
        assert_eq!(plan(Some(&desired(Role::Admin, true)), &absent), Err(Refusal::NoSuspension));
        let there_without_roles = Account { roles: None, ..account(&[], &[]) };
        let there = Observed { account: Some(there_without_roles), password: Fits, roles: false };
        assert_eq!(plan(Some(&desired(Role::Admin, false)), &there), Ok(vec![]));
    }
}
