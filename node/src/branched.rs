//! Branched stores: what a member committed alone and threw out of the way when it joined again. They are the only
//! proof of lost writes, so they are told and kept for people: in the log, and by a bell, because a log line can be dropped on its
//! way out of the container.

use std::{collections::BTreeSet, fs, path::Path, time::Duration};

use tracing::error;

use crate::doorbell::Doorbell;

/// A branch appears while a member joins, and stays.
const LOOK: Duration = Duration::from_secs(10);
/// Where 3.x keeps them, below the store.
const BRANCHED: &str = "databases/graph.db/branched";

/// Tells every branched store that is below `data`, those from before the start too, once each. One bell is for all that one look
/// finds, and is rung at every look until it is heard.
pub async fn watch(data: &Path, doorbell: &Doorbell) {
    let mut told = BTreeSet::new();
    let mut to_ring = false;
    loop {
        for branch in new(data, &mut told) {
            to_ring = true;
            error!(
                event = "branched-store",
                branch,
                "this member committed transactions that the cluster does not have; they are kept in {branch}"
            );
        }
        to_ring = to_ring && !doorbell.branched().await;
        tokio::time::sleep(LOOK).await;
    }
}

/// The branches that were not told yet.
fn new(data: &Path, told: &mut BTreeSet<String>) -> Vec<String> {
    let entries = fs::read_dir(data.join(BRANCHED)).into_iter().flatten().flatten();
    let branches =
        entries.filter(|entry| entry.path().is_dir()).map(|entry| entry.path().display().to_string());
    branches.filter(|branch| told.insert(branch.clone())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fault_46_each_branch_is_told_once_and_kept() {
        let data = std::env::temp_dir().join(format!("branched-{}", std::process::id()));
        let mut told = BTreeSet::new();
        assert!(new(&data, &mut told).is_empty(), "no store yet");
        let branch = data.join(BRANCHED).join("1700000000000");
        fs::create_dir_all(&branch).unwrap();
        assert_eq!(new(&data, &mut told), [branch.display().to_string()]);
        assert!(new(&data, &mut told).is_empty());
        assert!(branch.exists());
        fs::remove_dir_all(&data).unwrap();
    }
}
