//! Every few minutes: what every node has, against what is recorded. A secret's new content, a node that was replaced, a user that
//! somebody changed by hand: no event tells of them reliably, and this finds them all.

use std::collections::BTreeSet;

use runtime::{Metric, Unit, emit};
use serde::Serialize;

use crate::{
    Config, Node, Record, Trouble, World,
    events::tell,
    everywhere::{Told, everywhere},
    node::Target,
    round::{Seen, look},
    secrets::Passwords,
};

/// What a reconcile found and did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// Users that are recorded.
    pub users: usize,
    /// Nodes there should be.
    pub nodes: usize,
    /// Changes that were made, on all nodes together.
    pub applied: usize,
    /// Users, the administrator among them, that are not what they should be on a node that answers.
    pub out_of_order: usize,
    /// Nodes that did not answer, or have no task.
    pub not_reached: usize,
    /// All of it in one sentence.
    pub sentence: String,
}

/// Compares, and applies what differs. Users that nobody recorded are named and left alone: people may have made them.
///
/// # Errors
/// When the nodes, the records or the administrator's secret could not be read: then nothing was done.
pub async fn reconcile<W: World>(world: &W, config: &Config) -> Result<Summary, Trouble> {
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
    for record in &records {
        let told = match target(world, record).await {
            Ok(target) => everywhere(config, &seen.reached, &admin, &target, false).await,
            Err(trouble) => {
                summary.out_of_order += 1;
                tracing::error!(event = "user-out-of-order", user = %record.user, "user {}: {trouble}", record.user);
                continue;
            }
        };
        tell(&record.user, &told);
        summary.out_of_order += usize::from(told.iter().any(|told| told.outcome.is_err()));
        summary.applied += told.iter().map(changes).sum::<usize>();
        let done = seen.is_complete() && told.iter().all(|told| told.outcome.is_ok());
        if record.desired.is_none() || told.iter().any(|told| told.outcome.is_err() || changes(told) > 0) {
            settle(world, config, &seen.reached, &admin, record, done).await?;
        }
    }
    name_strangers(&seen, &records);
    summary.sentence = sentence(&summary, &seen);
    tracing::info!(event = "users-in-order", in_order = summary.in_order(), "{}", summary.sentence);
    Ok(summary)
}

impl Summary {
    /// Whether every recorded user is what it should be on every node.
    pub fn in_order(&self) -> bool {
        self.out_of_order == 0 && self.not_reached == 0
    }

    /// Prints the metrics.
    pub fn emit(&self, stack: &str) {
        let count = |name, value: usize| Metric { name, unit: Unit::Count, value: value as u64 };
        let metrics = [
            count("UsersApplied", self.applied),
            count("UsersOutOfOrder", self.out_of_order),
            count("NodesNotReached", self.not_reached),
        ];
        emit("Neo4jControlPlane", &[("Stack", stack), ("Function", "user-creation")], &metrics);
    }
}

/// What can be read, and how many cannot.
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

async fn target<W: World>(world: &W, record: &Record) -> Result<Target, Trouble> {
    let wanted = match &record.desired {
        Some(desired) => Some((desired.clone(), Passwords::read(world, &desired.secret_arn).await?)),
        None => None,
    };
    Ok(Target { user: record.user.clone(), wanted })
}

/// A Delete may have come while this ran: what was made of its user is removed again. The record of an absent user goes when
/// every node has been told, which is what `done` says.
async fn settle<W: World>(
    world: &W,
    config: &Config,
    reached: &[Node],
    admin: &Passwords,
    record: &Record,
    done: bool,
) -> Result<(), Trouble> {
    let now = world.record(&record.user).await?;
    let still_wanted = now.as_ref().is_some_and(|now| now.desired.is_some());
    if record.desired.is_some() && !still_wanted {
        let absent = Target { user: record.user.clone(), wanted: None };
        tell(&record.user, &everywhere(config, reached, admin, &absent, false).await);
    } else if record.desired.is_none() && done && now.as_ref() == Some(record) {
        world.forget(&record.user).await?;
    }
    Ok(())
}

fn changes(told: &Told) -> usize {
    told.outcome.as_ref().map_or(0, |applied| applied.changes.len())
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
    for (what, slots) in [("not reached", &seen.away), ("administrator refused", &seen.locked)] {
        if !slots.is_empty() {
            sentence += &format!(", {what}: {}", slots.join(", "));
        }
    }
    sentence
}
