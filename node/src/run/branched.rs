//! Branched stores: what a member committed alone and threw out of the way when it joined again. They are the only
//! proof of lost writes, so they are told and kept for people: in the log, and by a bell, because a log line can be dropped on its
//! way out of the container.

use std::{
    collections::BTreeSet,
    fs,
    path::Path,
    time::{Duration, Instant},
};

use tracing::error;

use super::doorbell::Doorbell;

/// A branch appears while a member joins, and stays.
const LOOK: Duration = Duration::from_secs(10);
/// The bus may accept a bell and the function still drop it: it is busy, or the event is too old. The alarm needs one that it hears.
const AGAIN: Duration = Duration::from_secs(600);
/// Where 3.x keeps them, below the store.
const BRANCHED: &str = "databases/graph.db/branched";

/// Tells every branched store that is below `data`, those from before the start too, once each, and rings for them as long as there
/// is one.
pub async fn watch(data: &Path, doorbell: &Doorbell) {
    let mut told = BTreeSet::new();
    let mut heard = None;
    loop {
        for branch in look(data, &mut told) {
            heard = None;
            error!(
                event = "branched-store",
                branch,
                "this member committed transactions that the cluster does not have; they are kept in {branch}"
            );
        }
        if !told.is_empty() && is_due(heard, Instant::now()) && doorbell.branched().await {
            heard = Some(Instant::now());
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// Whether the bell is rung: the bus has accepted none since the last branch was found, or a long time ago.
fn is_due(heard: Option<Instant>, now: Instant) -> bool {
    heard.is_none_or(|at| now.saturating_duration_since(at) >= AGAIN)
}

/// The branches that were not told yet; those that an operator has taken away are forgotten.
fn look(data: &Path, told: &mut BTreeSet<String>) -> Vec<String> {
    let entries = fs::read_dir(data.join(BRANCHED)).into_iter().flatten().flatten();
    let branches = entries.filter(|entry| entry.path().is_dir());
    let there: BTreeSet<String> = branches.map(|entry| entry.path().display().to_string()).collect();
    let new = there.difference(told).cloned().collect();
    *told = there;
    new
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fault_46_each_branch_is_told_once_and_kept() {
        let data = std::env::temp_dir().join(format!("branched-{}", std::process::id()));
        let mut told = BTreeSet::new();
        assert!(look(&data, &mut told).is_empty(), "no store yet");
        let branch = data.join(BRANCHED).join("1700000000000");
        fs::create_dir_all(&branch).unwrap();
        assert_eq!(look(&data, &mut told), [branch.display().to_string()]);
        assert!(look(&data, &mut told).is_empty());
        assert!(branch.exists() && told.len() == 1);
        fs::remove_dir(&branch).unwrap();
        assert!(look(&data, &mut told).is_empty() && told.is_empty(), "nothing is left to ring for");
        fs::remove_dir_all(&data).unwrap();
    }

    #[test]
    fn fault_46_the_bell_is_rung_until_it_is_heard_and_now_and_then_again() {
        let now = Instant::now();
        assert!(is_due(None, now));
        assert!(!is_due(Some(now), now + AGAIN / 2));
        assert!(is_due(Some(now), now + AGAIN));
    }
}
