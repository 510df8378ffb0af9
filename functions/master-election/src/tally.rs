//! What an invocation counts: the metrics.

use runtime::{Metric, Unit, emit};
use topology::{Decision, Refusal, Verdict};

/// Counts of one invocation. Conditions count when a round found them; `master_found` is of the last round.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Whether the last round found exactly one master, or slaves that have one.
    pub master_found: bool,
    /// Whether the last round found slaves whose master this function does not reach.
    pub master_unseen: bool,
    /// Switches of the write groups.
    pub retargets: u32,
    /// From the first sight of a new master to its confirmation.
    pub detection_ms: Option<u64>,
    /// From the first sight to groups at rest.
    pub settled_ms: Option<u64>,
    /// Calls that changed something.
    pub calls: u32,
    /// Fences asked for.
    pub fences: u32,
    /// Whether a fence was found to have failed.
    pub fence_failed: bool,
    /// The verdicts that rounds had.
    pub verdicts: std::collections::BTreeSet<&'static str>,
}

impl Tally {
    /// Counts a round.
    pub(crate) fn round(&mut self, decision: &Decision) {
        // While paused no round looks closely, and a pause must not ring.
        // Slaves that have a master take its writes: not reaching it is another fault than having none.
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
