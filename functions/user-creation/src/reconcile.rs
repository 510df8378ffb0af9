//! Every few minutes: compares what every node has with what is recorded. A secret's new content, a
//! node that was replaced, a user that an operator changed by hand: no event reports them reliably,
//! and this finds them all.

use std::collections::BTreeSet;

use runtime::{Metric, Unit, emit};
use serde::Serialize;
use tokio::time::Instant;

use crate::{
    Config, Record, Trouble, World,
    follow::{Ground, follow},
    once::now,
    round::{Seen, look},
    said::expired,
    secrets::Passwords,
};

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// Number of recorded users.
    pub users: usize,
    /// Number of nodes that the cluster should have.
    pub nodes: usize,
    /// Number of changes that were made, on all nodes together.
    pub applied: usize,
    /// Number of users, the administrator among them, that are not what they should
    /// be on a node that answers.
    pub out_of_order: usize,
    /// Number of nodes that did not answer, or have no task.
    pub not_reached: usize,
    /// Number of users that were not compared, because the function's time was up.
    pub not_compared: usize,
    pub sentence: String,
}

/// Compares, and applies the differences. Users without a record are logged and left alone: operators may
/// have created them. No node is changed after `until`.
///
/// # Errors
/// When the nodes, the records or the administrator's secret could not be read: then nothing was done.
pub async fn reconcile<W: World>(world: &W, config: &Config, until: Instant) -> Result<Summary, Trouble> {
    prune(world).await;
    if !config.auth_enabled {
        let sentence = "AuthEnabled is false: nodes ask for no login, so no user was compared".to_owned();
        tracing::info!(event = "users-not-compared", "{sentence}");
        return Ok(Summary { sentence, ..Summary::default() });
    }
    let admin = Passwords::read(world, &config.admin_secret).await?;
    let nodes = world.nodes().await?;
    let (records, unreadable) = records(world).await?;
    let seen = look(config, &nodes, &admin).await;
    let mut summary = Summary {
        users: records.len(),
        nodes: nodes.len(),
        out_of_order: unreadable + usize::from(!seen.locked.is_empty()),
        not_reached: seen.away.len(),
        ..Summary::default()
    };
    let ground = Ground { nodes: &seen.reached, complete: seen.is_complete(), admin: &admin, until };
    for record in &records {
        if Instant::now() >= until {
            summary.not_compared += 1;
            continue;
        }
        match follow(world, config, &ground, &record.user).await {
            Ok(followed) => {
                summary.applied += followed.changes;
                summary.out_of_order += usize::from(!followed.in_order);
            }
            // Only this user is affected: the others are compared all the same.
            Err(trouble) => {
                summary.out_of_order += 1;
                tracing::error!(event = "user-out-of-order", user = %record.user, "user {}: {trouble}", record.user);
            }
        }
    }
    name_strangers(&seen, &records);
    summary.sentence = sentence(&summary, &seen);
    tracing::info!(event = "users-in-order", in_order = summary.in_order(), "{}", summary.sentence);
    Ok(summary)
}

/// Forgets requests that no delivery can repeat any more. A failure here delays no user;
/// the next reconcile retries.
pub(crate) async fn prune<W: World>(world: &W) {
    let pruned = async {
        let remembered = world.requests().await?;
        for name in expired(&remembered, now()) {
            world.forget_request(name).await?;
        }
        Ok::<(), Trouble>(())
    };
    if let Err(trouble) = pruned.await {
        tracing::warn!(
            event = "requests-not-forgotten",
            "requests of more than an hour ago are still remembered: {trouble}"
        );
    }
}

impl Summary {
    pub fn in_order(&self) -> bool {
        self.out_of_order == 0 && self.not_reached == 0 && self.not_compared == 0
    }

    pub fn emit(&self, stack: &str) {
        let count = |name, value: usize| Metric { name, unit: Unit::Count, value: value as u64 };
        let metrics = [
            count("UsersApplied", self.applied),
            count("UsersOutOfOrder", self.out_of_order + self.not_compared),
            count("NodesNotReached", self.not_reached),
        ];
        emit("Neo4jControlPlane", &[("Stack", stack), ("Function", "user-creation")], &metrics);
    }
}

/// The records that can be read, and the number of malformed ones.
async fn records<W: World>(world: &W) -> Result<(Vec<Record>, usize), Trouble> {
    let (mut records, mut unreadable) = (Vec::new(), 0);
    for record in world.records().await? {
        match record {
            Ok(record) => records.push(record),
            Err(error) => {
                unreadable += 1;
                tracing::error!(event = "user-out-of-order", "{error}");
            }
        }
    }
    Ok((records, unreadable))
}

fn name_strangers(seen: &Seen, records: &[Record]) {
    let known: BTreeSet<&str> = records.iter().map(|record| record.user.as_str()).collect();
    let strangers: Vec<&str> =
        seen.users.iter().map(String::as_str).filter(|name| !known.contains(name)).collect();
    if !strangers.is_empty() {
        tracing::info!(
            event = "users-not-recorded",
            "left alone, because no resource describes them: {}",
            strangers.join(", ")
        );
    }
}

fn sentence(summary: &Summary, seen: &Seen) -> String {
    let Summary { users, nodes, applied, out_of_order, .. } = summary;
    let mut sentence = format!("{users} recorded users on {nodes} nodes: {applied} changes made");
    if *out_of_order > 0 {
        sentence += &format!(", {out_of_order} users not in order");
    }
    if summary.not_compared > 0 {
        let users = summary.not_compared;
        sentence +=
            &format!(", {users} users not compared before the function's time was up: raise its timeout");
    }
    for (what, slots) in [("not reached", &seen.away), ("administrator refused", &seen.locked)] {
        if !slots.is_empty() {
            sentence += &format!(", {what}: {}", slots.join(", "));
        }
    }
    sentence
}
