//! Counts of what has happened. What never happened has not been shown to work.

use std::collections::BTreeMap;

use topology::{Action, Decision};

/// Counts by kind and name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts(BTreeMap<(&'static str, &'static str), u64>);

impl Counts {
    pub fn count(&mut self, kind: &'static str, name: &'static str) {
        self.add(kind, name, 1);
    }

    pub fn add(&mut self, kind: &'static str, name: &'static str, times: u64) {
        *self.0.entry((kind, name)).or_default() += times;
    }

    pub fn of(&self, kind: &str, name: &str) -> u64 {
        self.0.iter().find(|((of, called), _)| *of == kind && *called == name).map_or(0, |(_, count)| *count)
    }

    pub fn all(&self) -> impl Iterator<Item = (&'static str, &'static str, u64)> {
        self.0.iter().map(|((kind, name), count)| (*kind, *name, *count))
    }

    pub fn merge(&mut self, other: &Self) {
        other.0.iter().for_each(|(name, count)| *self.0.entry(*name).or_default() += count);
    }

    pub fn decided(&mut self, decision: &Decision) {
        self.count("verdict", decision.verdict.name());
        decision.refusals.iter().for_each(|refusal| self.count("refusal", refusal.name()));
    }

    pub fn called(&mut self, action: &Action) {
        let name = match action {
            Action::Register { .. } => "register",
            Action::Deregister { .. } => "deregister",
            Action::Fence { .. } => "fence",
        };
        self.count("call", name);
    }
}
