//! What an invocation counts for its metrics.

use runtime::{Metric, Unit, emit};
use topology::{Decision, Refusal, Verdict};

/// Counts of one invocation. A condition counts if any round found it; `master_found` and
/// `master_unseen` are of the last round.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Whether the last round found exactly one master, or slaves that have one.
    pub master_found: bool,
    /// Whether the last round found slaves whose master this function does not reach.
    pub master_unseen: bool,
    /// Switches of the write groups.
    pub retargets: u32,
    /// Milliseconds from the first sight of a new master to its confirmation.
    pub detection_ms: Option<u64>,
    /// Milliseconds from the first sight to groups at rest.
    pub settled_ms: Option<u64>,
    /// Calls on target groups and tasks, failed ones among them.
    pub calls: u32,
    /// Calls of StopTask.
    pub fences: u32,
    /// Whether a fence was found to have failed.
    pub fence_failed: bool,
    pub verdicts: std::collections::BTreeSet<&'static str>,
}

impl Tally {
    pub(crate) fn round(&mut self, decision: &Decision) {
        // A paused round does not look for a master, so it must not raise the no-master alarm. Slaves that
        // have a master take its writes: a master that is not reached is another fault than a missing one.
        use Verdict::{MasterUnseen, NewMaster, Paused, Steady};
        self.master_found = matches!(decision.verdict, Steady | NewMaster | MasterUnseen | Paused);
        self.master_unseen = decision.verdict == MasterUnseen;
        self.verdicts.insert(decision.verdict.name());
        self.fence_failed |=
            decision.refusals.iter().any(|refusal| matches!(refusal, Refusal::FenceFailed { .. }));
    }

    /// Prints the metrics in CloudWatch's embedded format.
    pub(crate) fn emit(&self, stack: &str) {
        let flag = |name: &'static str, set: bool| Metric { name, unit: Unit::Count, value: u64::from(set) };
        let count = |name: &'static str, value: u32| Metric { name, unit: Unit::Count, value: value.into() };
        let found = |verdict: Verdict| self.verdicts.contains(verdict.name());
        let mut metrics = vec![
            flag("MasterFound", self.master_found),
            flag("MasterUnseen", self.master_unseen),
            flag("Blind", found(Verdict::Blind)),
            flag("PartialView", found(Verdict::PartialView)),
            flag("DualMaster", found(Verdict::DualMaster)),
            flag("FrozenMaster", found(Verdict::FrozenMaster)),
            flag("FenceFailed", self.fence_failed),
            count("Retargets", self.retargets),
            count("Fences", self.fences),
            count("Calls", self.calls),
        ];
        let time = |name: &'static str, value: Option<u64>| {
            value.map(|value| Metric { name, unit: Unit::Milliseconds, value })
        };
        metrics.extend(time("DetectionMillis", self.detection_ms));
        metrics.extend(time("SettledMillis", self.settled_ms));
        emit("Neo4jControlPlane", &[("Stack", stack), ("Function", "master-election")], &metrics);
    }
}
