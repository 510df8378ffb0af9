//! Makes one user match its record. The record is read right before that and again after it, because an
//! Update or a Delete may come at any moment, and a stale record must not win.

use neo4j::UserName;
use tokio::time::{Instant, sleep, timeout_at};

use crate::{
    Config, Node, Record, Trouble, World,
    converge::{Proof, Target},
    events::tell,
    everywhere::{Told, everywhere},
    once::first_pause,
    secrets::Passwords,
};

/// A user whose record has changed after each of this many applications is changed by
/// something that does not end.
const MOST_RECORDS: usize = 4;
/// The look after an application decides whether what was made may stay, so it is retried.
const MOST_LOOKS: u32 = 3;

/// The nodes on which users are changed.
pub(crate) struct Ground<'a> {
    pub(crate) nodes: &'a [Node],
    /// Whether these are all nodes of the cluster.
    pub(crate) complete: bool,
    pub(crate) admin: &'a Passwords,
    /// Nothing is begun on a node after this; work in progress is given up.
    pub(crate) until: Instant,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Followed {
    /// Number of changes that were made.
    pub(crate) changes: usize,
    /// Whether the user matches its record on each of the nodes.
    pub(crate) in_order: bool,
}

/// What follows from the record that is found after another one was applied.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Next {
    /// It is the record that was applied.
    Stands,
    /// Every node has removed the user, so the record is not needed any more.
    Forget,
    /// There is another record, and it counts.
    Follow(Box<Record>),
    /// The record is absent: a Delete was completed while the user was made.
    TakeBack,
}

/// `done`: all nodes of the cluster match the record.
fn next(applied: &Record, found: Option<Record>, done: bool) -> Next {
    match found {
        Some(found) if found == *applied && applied.desired.is_none() && done => Next::Forget,
        Some(found) if found == *applied => Next::Stands,
        Some(found) => Next::Follow(Box::new(found)),
        None if applied.desired.is_some() => Next::TakeBack,
        None => Next::Stands,
    }
}

/// Applies the record of `user`, and the one that has replaced it meanwhile, if there is one.
///
/// # Errors
/// When the record or its secret could not be read.
pub(crate) async fn follow<W: World>(
    world: &W,
    config: &Config,
    ground: &Ground<'_>,
    user: &UserName,
) -> Result<Followed, Trouble> {
    let mut followed = Followed { in_order: true, ..Followed::default() };
    // A Delete has been completed since the records were listed.
    let Some(mut record) = world.record(user).await? else { return Ok(followed) };
    for _record in 0..MOST_RECORDS {
        let target = target(world, &record).await?;
        let told = everywhere(config, ground.nodes, ground.admin, &target, Proof::OfChanges);
        // `None` if time was up. Work that was begun may have been done.
        let told = timeout_at(ground.until, told).await.ok();
        let changes = told.iter().flatten().map(changes).sum::<usize>();
        let all_done = told.as_ref().is_some_and(|told| told.iter().all(|told| told.outcome.is_ok()));
        tell(user, told.as_deref().unwrap_or_default());
        followed.changes += changes;
        followed.in_order = all_done;
        // Nothing was changed, so another record could not forbid it.
        if all_done && changes == 0 && record.desired.is_some() {
            return Ok(followed);
        }
        match next(&record, look_again(world, user).await?, ground.complete && all_done) {
            Next::Stands => return Ok(followed),
            Next::Forget => {
                world.forget(user.as_str()).await?;
                return Ok(followed);
            }
            Next::TakeBack => {
                let absent = record.absent();
                let told = take_back(world, config, ground, &absent).await?;
                followed.in_order = told.iter().all(|told| told.outcome.is_ok()) && !told.is_empty();
                return Ok(followed);
            }
            Next::Follow(found) => record = *found,
        }
    }
    tracing::warn!(
        event = "user-out-of-order", user = %user,
        "user {user}: its record was another one after each of {MOST_RECORDS} applications"
    );
    Ok(Followed { in_order: false, ..followed })
}

/// Removes what was made of a user that is not wanted any more: an absent record first, so that a node that
/// is not reached is not forgotten. The record is forgotten when every node has removed the user, and only
/// if it is still this one.
pub(crate) async fn take_back<W: World>(
    world: &W,
    config: &Config,
    ground: &Ground<'_>,
    absent: &Record,
) -> Result<Vec<Told>, Trouble> {
    world.write(absent).await?;
    let target = Target { user: absent.user.clone(), wanted: None };
    let told = everywhere(config, ground.nodes, ground.admin, &target, Proof::OfChanges);
    let Ok(told) = timeout_at(ground.until, told).await else { return Ok(Vec::new()) };
    tell(&absent.user, &told);
    if ground.complete && told.iter().all(|told| told.outcome.is_ok()) {
        forget_if_still(world, absent).await?;
    }
    Ok(told)
}

/// Forgets the record of an absent user, unless another request has replaced it since.
pub(crate) async fn forget_if_still<W: World>(world: &W, absent: &Record) -> Result<(), Trouble> {
    match world.record(&absent.user).await {
        Ok(Some(found)) if found.is(absent) => world.forget(absent.user.as_str()).await,
        // Another record, or a malformed one: not ours to forget.
        Ok(_) | Err(Trouble::Record(_)) => Ok(()),
        Err(trouble) => Err(trouble),
    }
}

async fn look_again<W: World>(world: &W, user: &UserName) -> Result<Option<Record>, Trouble> {
    for failed in 1..MOST_LOOKS {
        match world.record(user).await {
            Err(trouble) if trouble.passes() => sleep(first_pause() * failed).await,
            found => return found,
        }
    }
    world.record(user).await
}

async fn target<W: World>(world: &W, record: &Record) -> Result<Target, Trouble> {
    let wanted = match &record.desired {
        Some(desired) => Some((desired.clone(), Passwords::read(world, &desired.secret_arn).await?)),
        None => None,
    };
    Ok(Target { user: record.user.clone(), wanted })
}

fn changes(told: &Told) -> usize {
    told.outcome.as_ref().map_or(0, |applied| applied.changes.len())
}

#[cfg(test)]
mod tests {
    use neo4j::Role;

    use super::*;
    use crate::Desired;

    #[test]
    fn the_record_that_is_there_after_it_decides() {
        let user: UserName = "app".parse().unwrap();
        let desired =
            Desired { user: user.clone(), role: Role::Reader, secret_arn: "arn:s".into(), suspended: false };
        let wanted =
            Record { user, desired: Some(desired), owner: "o".into(), request: "r-1".into(), before: None };
        let absent = wanted.absent();
        let later = Record { request: "r-2".into(), ..wanted.clone() };
        let follow = |record: &Record| Next::Follow(Box::new(record.clone()));
        let table = [
            ("nothing happened", &wanted, Some(&wanted), true, Next::Stands),
            ("updated meanwhile", &wanted, Some(&later), true, follow(&later)),
            ("a Delete is under way", &wanted, Some(&absent), true, follow(&absent)),
            ("a Delete was completed", &wanted, None, true, Next::TakeBack),
            ("a Delete was completed, and a node is away", &wanted, None, false, Next::TakeBack),
            ("removed everywhere", &absent, Some(&absent), true, Next::Forget),
            ("removed where it is reached", &absent, Some(&absent), false, Next::Stands),
            ("made again meanwhile", &absent, Some(&wanted), true, follow(&wanted)),
            ("the Delete itself was faster", &absent, None, true, Next::Stands),
        ];
        for (name, applied, found, done, expected) in table {
            assert_eq!(next(applied, found.cloned(), done), expected, "{name}");
        }
    }
}
