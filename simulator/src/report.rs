//! Counts over many histories. A zero is a failure: what never came up was not shown.

use std::collections::BTreeMap;

use topology::Verdict;

use crate::{Broken, Fault, History, run, shrink};

/// Faults of one history at most: long enough for several to meet.
const FAULTS: usize = 24;
/// Every refusal there is.
const REFUSALS: [&str; 16] = [
    "MissingUnknown",
    "NoMajority",
    "Unconfirmed",
    "NobodyToFollow",
    "SlaveOnlyClaims",
    "NoEvidence",
    "IncompleteListing",
    "NotLongSilent",
    "SeveralMissing",
    "NotTheLastMaster",
    "HoldOff",
    "FenceUnderWay",
    "FenceFailed",
    "Leased",
    "Paused",
    "WouldEmpty",
];

/// All counts.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Histories that were played.
    pub histories: u64,
    /// Rounds of all invocations.
    pub rounds: u64,
    /// Invocations.
    pub invocations: u64,
    counts: BTreeMap<String, u64>,
}

impl Report {
    /// Plays histories from `seed` on until there were so many rounds.
    ///
    /// # Errors
    /// The first history that broke an invariant, with as few faults as still break it.
    pub fn over(seed: u64, rounds: u64) -> Result<Self, Broken> {
        let mut report = Self::default();
        while report.rounds < rounds {
            let history = run(seed + report.histories, FAULTS).map_err(shrink)?;
            report.add(&history);
        }
        Ok(report)
    }

    /// Adds the counts of another one.
    pub fn merge(&mut self, other: &Self) {
        self.histories += other.histories;
        self.rounds += other.rounds;
        self.invocations += other.invocations;
        for (name, count) in &other.counts {
            *self.counts.entry(name.clone()).or_default() += count;
        }
    }

    fn add(&mut self, history: &History) {
        self.histories += 1;
        self.rounds += history.checks.rounds;
        self.invocations += history.invocations;
        let mut count = |kind: &str, name: &str, times: u64| {
            *self.counts.entry(format!("{kind} {name}")).or_default() += times;
        };
        history.checks.verdicts.iter().for_each(|(name, times)| count("verdict", name, *times));
        history.checks.refusals.iter().for_each(|(name, times)| count("refusal", name, *times));
        count("round", "that ended early", history.checks.early);
        history.checks.actions.iter().for_each(|(name, times)| count("call", name, *times));
        history.faults.iter().for_each(|(fault, times)| count("fault", &format!("{fault:?}"), *times));
    }

    /// What never came up.
    pub fn zeros(&self) -> Vec<String> {
        let verdicts = Verdict::ALL.iter().map(|verdict| format!("verdict {verdict}"));
        let refusals = REFUSALS.iter().map(|refusal| format!("refusal {refusal}"));
        let calls = ["register", "deregister", "fence"].map(|call| format!("call {call}"));
        let faults = Fault::ALL.iter().map(|fault| format!("fault {fault:?}"));
        let early = std::iter::once("round that ended early".to_owned());
        let all = verdicts.chain(refusals).chain(calls).chain(faults).chain(early);
        all.filter(|name| self.counts.get(name).copied().unwrap_or(0) == 0).collect()
    }

    /// A table of all counts.
    pub fn table(&self) -> String {
        let mut text = format!(
            "{} rounds of {} invocations in {} histories\n",
            self.rounds, self.invocations, self.histories
        );
        for (name, count) in &self.counts {
            text += &format!("  {name:<34}{count:>12}\n");
        }
        text
    }
}
