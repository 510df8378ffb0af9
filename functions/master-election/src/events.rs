//! What a round logs: a line when something changed, with an event name that is stable.

use topology::{Decision, Refusal, Verdict};
use tracing::{error, info, warn};

/// Remembers the last line, so that a hot loop does not repeat itself twenty times a second.
#[derive(Debug, Default)]
pub(crate) struct Voice {
    said: Option<(Verdict, Vec<Refusal>)>,
}

impl Voice {
    /// Logs the round if it differs from the last one that was logged, or acts.
    pub(crate) fn tell(&mut self, decision: &Decision, generation: u64) {
        let heard = (
            decision.verdict,
            decision.refusals.iter().filter(|refusal| !counts(refusal)).cloned().collect(),
        );
        if decision.actions.is_empty() && self.said.as_ref() == Some(&heard) {
            return;
        }
        let sentence = &decision.sentence;
        match decision.verdict {
            Verdict::Steady => info!(event = "steady", generation, "{sentence}"),
            Verdict::NewMaster => info!(event = "new-master", generation, "{sentence}"),
            Verdict::NoMaster => warn!(event = "no-master", generation, "{sentence}"),
            Verdict::MasterUnseen => warn!(event = "master-unseen", generation, "{sentence}"),
            Verdict::PartialView => warn!(event = "partial-view", generation, "{sentence}"),
            Verdict::FrozenMaster => error!(event = "frozen-master", generation, "{sentence}"),
            Verdict::Leased => info!(event = "leased", generation, "{sentence}"),
            Verdict::Paused => warn!(event = "paused", generation, "{sentence}"),
            Verdict::DualMaster => error!(event = "dual-master", generation, "{sentence}"),
            Verdict::Blind => error!(event = "blind", generation, "{sentence}"),
        }
        for refusal in &decision.refusals {
            match refusal {
                Refusal::SlaveOnlyClaims { .. } => error!(event = "slave-only-claims", "{refusal}"),
                Refusal::FenceFailed { .. } => error!(event = "fence-failed", "{refusal}"),
                Refusal::NotTheLastMaster { .. } => error!(event = "fence-refused", "{refusal}"),
                Refusal::SeveralMissing { .. }
                | Refusal::HoldOff { .. }
                | Refusal::StillFollowed { .. }
                | Refusal::StillHeard { .. }
                | Refusal::MasterDoesNotSay { .. } => {
                    warn!(event = "fence-refused", "{refusal}");
                }
                _ => {}
            }
        }
        self.said = Some(heard);
    }
}

/// A refusal that differs in each round, because it contains a count.
fn counts(refusal: &Refusal) -> bool {
    use Refusal::{FenceFailed, FenceUnderWay, HoldOff, NotLongSilent, Paused, Unconfirmed};
    matches!(
        refusal,
        Unconfirmed { .. }
            | NotLongSilent { .. }
            | FenceUnderWay { .. }
            | FenceFailed { .. }
            | HoldOff { .. }
            | Paused { .. }
    )
}
