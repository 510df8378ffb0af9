//! Which backup is due.

use std::time::Duration;

use backups::{Catalogue, Entry, Folder, Tier, Time};

use crate::{
    Runs, Schedule,
    runs::{Ended, How},
};

/// The most runs that are begun in an hour without an operator's request, and for one request in all: a source, or a
/// zone, that fails must not be copied from all day long.
pub(crate) const RUNS_AN_HOUR: usize = 3;
const HOUR: Duration = Duration::from_secs(3600);

/// What is due at a moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Due {
    /// What may be begun, the most important first: the next one stands in for one that no source is
    /// fit for.
    pub wishes: Vec<Wish>,
    /// Something is due, and three runs were begun within an hour: until when it waits.
    pub waits: Option<Time>,
}

/// One backup that is due.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wish {
    pub tier: Tier,
    /// The only slot that it may be taken from, as an operator said.
    pub slot: Option<String>,
    /// Slots that failed since it was due, the one that failed last at the end: others come first.
    pub failed: Vec<String>,
    /// It is the second opinion on a backup that was found inconsistent.
    pub confirms: Option<Doubt>,
}

/// An inconsistent backup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Doubt {
    pub folder: Folder,
    /// The slot that it was taken from. The second opinion is another slave's.
    pub slot: String,
}

/// What is due at `now`, while no run is under way.
pub fn due(now: Time, catalogue: &Catalogue, runs: &Runs, schedule: &Schedule) -> Due {
    let mut due = Due::default();
    if let Some(request) = &runs.requested {
        let since = |ended: &&Ended| ended.is_manual_since(request.at);
        due.wishes.push(Wish {
            tier: Tier::Manual,
            slot: request.slot.clone(),
            failed: failed(runs.ended.iter().filter(since)),
            confirms: None,
        });
    }
    let mut scheduled: Vec<Wish> = second_opinion(runs).into_iter().collect();
    // A daily one counts as an hourly one, so it is begun in its place.
    scheduled.extend(since(schedule.day(now), catalogue, runs, &[Tier::Daily]));
    scheduled.extend(since(schedule.hour(now), catalogue, runs, &[Tier::Hourly, Tier::Daily]));
    match full_until(now, runs) {
        Some(until) if !scheduled.is_empty() => due.waits = Some(until),
        _ => due.wishes.extend(scheduled),
    }
    due
}

/// A backup of the first of `tiers`, if none of them that was begun since `point` is verified.
fn since(point: Option<Time>, catalogue: &Catalogue, runs: &Runs, tiers: &[Tier]) -> Option<Wish> {
    let point = point?;
    let is_of = |folder: &Folder| tiers.contains(&folder.tier) && folder.time >= point;
    if catalogue.entries.iter().any(|entry: &Entry| is_of(&entry.folder) && entry.is_verified()) {
        return None;
    }
    let chain = || runs.ended.iter().filter(|ended| ended.was_begun() && is_of(&ended.folder));
    // After an inconsistent one only the second opinion follows: a third copy of the same store would say
    // nothing new.
    if chain().any(|ended| ended.how == How::Inconsistent) {
        return None;
    }
    Some(Wish { tier: tiers[0], slot: None, failed: failed(chain()), confirms: None })
}

/// The second opinion that the last inconsistent backup still lacks. A run that failed, or whose check did, has
/// none; every verdict since is one, whatever it was made for.
fn second_opinion(runs: &Runs) -> Option<Wish> {
    let is_first = |ended: &Ended| ended.how == How::Inconsistent && ended.confirms.is_none();
    let index = runs.ended.iter().rposition(is_first)?;
    let (first, later) = (&runs.ended[index], &runs.ended[index + 1..]);
    if later.iter().any(|ended| ended.has_a_verdict()) {
        return None;
    }
    let confirms = Some(Doubt { folder: first.folder.clone(), slot: first.slot.clone() });
    Some(Wish { tier: first.folder.tier, slot: None, failed: failed(later.iter()), confirms })
}

/// The sources that made no verified backup, each once, the one that failed last at the end.
fn failed<'e>(ended: impl Iterator<Item = &'e Ended>) -> Vec<String> {
    let mut failed = Vec::new();
    for ended in ended.filter(|ended| matches!(ended.how, How::Failed(_) | How::Unchecked)) {
        failed.retain(|slot| *slot != ended.slot);
        failed.push(ended.slot.clone());
    }
    failed
}

/// When the next scheduled run may be begun; `None`: at once. What an operator requested does not count: it
/// must not hold up the schedule.
fn full_until(now: Time, runs: &Runs) -> Option<Time> {
    let counts = |ended: &&Ended| {
        let scheduled = ended.folder.tier != Tier::Manual || ended.confirms.is_some();
        ended.was_begun() && scheduled && now.since(ended.began) < HOUR
    };
    let lately: Vec<Time> = runs.ended.iter().filter(counts).map(|ended| ended.began).collect();
    // The run that has to be an hour ago before there are two left.
    let oldest = lately.len().checked_sub(RUNS_AN_HOUR).map(|index| lately[index])?;
    Some(Time::of_epoch(oldest.epoch() + HOUR.as_secs()))
}

#[cfg(test)]
mod tests;
