//! Counts over many histories. A zero is a failure: what never came up has not been shown to work.

use std::collections::BTreeMap;

use topology::{Refusal, Verdict};

use crate::{Broken, Fault, History, bounds, counts::Counts, rest, run, shrink, truth};

/// The most faults of one history: long enough for several to coincide.
const FAULTS: usize = 24;

#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Number of histories that were played.
    pub histories: u64,
    /// Rounds of all invocations.
    pub rounds: u64,
    pub invocations: u64,
    counts: Counts,
    faults: BTreeMap<Fault, u64>,
}

impl Report {
    /// Plays histories from `seed` on until there were `rounds` rounds.
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

    pub fn merge(&mut self, other: &Self) {
        self.histories += other.histories;
        self.rounds += other.rounds;
        self.invocations += other.invocations;
        self.counts.merge(&other.counts);
        other.faults.iter().for_each(|(fault, times)| *self.faults.entry(*fault).or_default() += times);
    }

    fn add(&mut self, history: &History) {
        self.histories += 1;
        self.rounds += history.checks.rounds;
        self.invocations += history.invocations;
        self.counts.merge(&history.checks.counts);
        history.faults.iter().for_each(|(fault, times)| *self.faults.entry(*fault).or_default() += times);
    }

    /// What never came up. Exempt fences and switches may be missing: no rule is checked with them.
    pub fn zeros(&self) -> Vec<String> {
        let verdicts = Verdict::NAMES.iter().map(|name| ("verdict", *name));
        let refusals = Refusal::NAMES.iter().map(|name| ("refusal", *name));
        let calls = ["register", "deregister", "fence"].map(|name| ("call", name));
        let stores = STORES.map(|name| ("store", name));
        let bounds = bounds::NAMES.map(|name| ("bound", name));
        let early = std::iter::once(("round", "that ended early"));
        let all = verdicts.chain(refusals).chain(calls).chain(stores).chain(bounds).chain(early);
        let never = all.filter(|(kind, name)| self.counts.of(kind, name) == 0);
        let faults = Fault::ALL.iter().filter(|fault| !self.faults.contains_key(fault));
        never
            .map(|(kind, name)| format!("{kind} {name}"))
            .chain(faults.map(|f| format!("fault {f:?}")))
            .collect()
    }

    pub fn table(&self) -> String {
        let mut text = format!(
            "{} rounds of {} invocations in {} histories\n",
            self.rounds, self.invocations, self.histories
        );
        let mut counts = self.counts.clone();
        let may_be_none = rest::REFUSED.map(|name| (rest::THAWED, name)).into_iter().chain(truth::EXEMPT);
        may_be_none.for_each(|(kind, name)| counts.add(kind, name, 0));
        for (kind, name, count) in counts.all() {
            text += &format!("  {:<64}{count:>12}\n", format!("{kind}: {name}"));
        }
        for (fault, count) in &self.faults {
            text += &format!("  {:<64}{count:>12}\n", format!("fault: {fault:?}"));
        }
        text
    }
}

/// How a write of the state ends.
const STORES: [&str; 6] = [
    "written",
    "lost (412)",
    "busy (409)",
    "failed",
    "written, and answered 412",
    "written, and the answer lost",
];
