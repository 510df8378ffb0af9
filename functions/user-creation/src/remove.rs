//! Removes a user from every node, or gives it up when another resource has taken it over.

use std::time::Duration;

use custom_resource::Call;
use neo4j::UserName;
use tokio::time::Instant;

use crate::{
    Neo4jUser, Record, World,
    apply::not_followed,
    converge::{Problem, Proof, Target},
    events::tell,
    everywhere::{Told, done_on, everywhere, problems},
    follow::{Ground, follow, forget_if_still},
    once::{Stop, now, said_before},
    secrets::Passwords,
};

/// What follows from the nodes' answers to a removal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Removal {
    /// No node has the user.
    Done,
    /// The others have the user until they answer: the absent record stays.
    DoneLater,
    /// A node that answers could not do it now, and may do it in a moment.
    Waits,
    /// A node that answers refuses to do it.
    Fails,
}

/// A node that does not answer delays no Delete: the reconcile removes the user there.
fn removal(left: &[&Problem], may_wait: bool) -> Removal {
    let mut answering = left.iter().filter(|problem| !problem.is_unreachable()).peekable();
    if left.is_empty() {
        Removal::Done
    } else if answering.peek().is_none() {
        Removal::DoneLater
    } else if may_wait && answering.all(|problem| problem.passes()) {
        Removal::Waits
    } else {
        Removal::Fails
    }
}

impl<W: World> Neo4jUser<W> {
    /// Removes `user` from every node that answers; the record remembers it for the others. `since`
    /// is when that was recorded.
    pub(crate) async fn remove(
        &self,
        call: &Call,
        user: &UserName,
        since: &mut Option<u64>,
    ) -> Result<(), Stop> {
        call.step(format!("record that user {user} is to be absent"));
        let absent = self.record_of(call, user, None);
        let found = self.found(user).await?;
        // The absent record comes before any removal, so that no reconcile brings the user back.
        if since.is_none() {
            match found {
                Some(found) if found.owner != absent.owner || found.before.is_some() => {
                    return self.let_go(call, found).await;
                }
                found => self.record(call, &absent, found).await?,
            }
        } else if !found.is_some_and(|found| found.is(&absent)) {
            // Another delivery of this request has completed it, or a later request wants the user again.
            return Ok(());
        }
        let begun = *since.get_or_insert_with(now);
        if !self.config.auth_enabled {
            tracing::info!(
                event = "user-removed-later", user = %user,
                "AuthEnabled is false, so nodes ask for no login and their users cannot be changed: user {user} is removed when \
                 authentication is back"
            );
            return Ok(());
        }
        call.step("look for the nodes");
        let nodes = self.world.nodes().await?;
        if nodes.iter().all(|node| node.address.is_none()) {
            if self.world.gone().await? {
                // The nodes' files went with the services, or are never used again.
                forget_if_still(&*self.world, &absent).await?;
            } else {
                // Nodes that are only away keep the user in their files, so the absent record stays.
                tracing::warn!(
                    event = "user-removed-in-part", user = %user,
                    "no node runs: user {user} is removed from each as soon as it answers"
                );
            }
            return Ok(());
        }
        let admin = self.admin().await?;
        call.step(format!("remove user {user} from {} nodes", nodes.len()));
        let target = Target { user: user.clone(), wanted: None };
        let told = everywhere(&self.config, &nodes, &admin, &target, Proof::OfChanges).await;
        tell(user, &told);
        let waited = Duration::from_secs(now().saturating_sub(begun));
        self.removed(&absent, &told, waited < self.config.node_wait).await
    }

    async fn removed(&self, absent: &Record, told: &[Told], may_wait: bool) -> Result<(), Stop> {
        let user = &absent.user;
        let left: Vec<&Problem> = told.iter().filter_map(|told| told.outcome.as_ref().err()).collect();
        match removal(&left, may_wait) {
            Removal::Done => Ok(forget_if_still(&*self.world, absent).await?),
            Removal::DoneLater => {
                tracing::warn!(
                    event = "user-removed-in-part", user = %user,
                    "user {user} could not be removed everywhere, and is removed from a node as soon as it answers: {}",
                    problems(told)
                );
                Ok(())
            }
            Removal::Waits => Err(Stop::Nodes(problems(told))),
            Removal::Fails => Err(Stop::failed(&format_args!(
                "user {user} is not removed: {}; {}. It is recorded as absent, so the reconcile goes on removing it. Put that in \
                 order and delete again, or delete the stack and retain this resource",
                problems(told),
                done_on(told)
            ))),
        }
    }

    /// Removes the login of a failed rename again: no Delete of it will ever come. Only a login that this
    /// resource has recorded: the rename may have failed before it made anything, and then a user of that
    /// name belongs to another resource.
    pub(crate) async fn take_rename_back(
        &self,
        call: &Call,
        user: &UserName,
        since: &mut Option<u64>,
    ) -> Result<(), Stop> {
        let found = self.found(user).await?;
        if since.is_none() && found.is_none_or(|found| found.owner != self.owner(call)) {
            return Ok(());
        }
        self.remove(call, user, since).await
    }

    /// What another resource has to do with the user that `call` wants to delete. A restored record is
    /// applied at once, on nodes that answer.
    async fn let_go(&self, call: &Call, found: Record) -> Result<(), Stop> {
        let (user, owner) = (found.user.clone(), self.owner(call));
        let restored = found.owner == owner;
        let left = match &found.before {
            Some(before) if restored => Some((**before).clone()),
            // A roll-back of the other resource must not restore this one's user.
            Some(before) if before.owner == owner => Some(Record { before: None, ..found.clone() }),
            // Not written again: a newer record may be there by now.
            _ => None,
        };
        tracing::info!(
            event = "user-taken-over", user = %user, owner = left.as_ref().unwrap_or(&found).owner,
            "user {user} belongs to another resource, so it was not removed; that one's record is what counts"
        );
        let Some(left) = left else { return Ok(()) };
        // Another delivery may have been concluded before the record was read: then the
        // record is a later request's.
        if let Some(said) = said_before(&*self.world, call).await? {
            return Err(Stop::Concluded(said.answer));
        }
        self.world.write(&left).await?;
        if restored
            && self.config.auth_enabled
            && let Err(trouble) = self.restore(call, &user).await
        {
            not_followed(&user, &trouble);
        }
        Ok(())
    }

    async fn restore(&self, call: &Call, user: &UserName) -> Result<(), crate::Trouble> {
        call.step(format!("put user {user} back"));
        let admin: Passwords = self.admin().await?;
        let nodes = self.world.nodes().await?;
        // Half of the time that is left: this is not the request's own work, and the reconcile continues it.
        let until = Instant::now() + call.remaining() / 2;
        let ground = Ground { nodes: &nodes, complete: true, admin: &admin, until };
        follow(&*self.world, &self.config, &ground, user).await.map(drop)
    }
}

#[cfg(test)]
mod tests {
    use neo4j::Denied;

    use super::*;

    #[test]
    fn only_a_node_that_answers_holds_a_removal_up() {
        let denied = |denied| Problem::denied("list the users", denied);
        let silent = denied(Denied::Unreachable("silent".into()));
        let transient = Denied::Other {
            code: "Neo.TransientError.General.DatabaseUnavailable".into(),
            message: String::new(),
        };
        let passing = [denied(Denied::LockedOut), denied(Denied::NotLeader), denied(transient)];
        assert_eq!(removal(&[], true), Removal::Done);
        assert_eq!(removal(&[&silent, &Problem::NoTask], true), Removal::DoneLater);
        for passing in &passing {
            assert_eq!(removal(&[passing, &silent], true), Removal::Waits, "{passing}");
            assert_eq!(removal(&[passing, &silent], false), Removal::Fails, "{passing}");
            assert_eq!(removal(&[passing, &Problem::NoAdmin], true), Removal::Fails, "{passing}");
        }
    }
}
