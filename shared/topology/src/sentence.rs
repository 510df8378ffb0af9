//! One English sentence a round.

use crate::{Action, Policy, Refusal, State, Verdict, View, verdict::list};

pub(crate) fn of(
    verdict: Verdict,
    state: &State,
    view: &View,
    policy: &Policy,
    actions: &[Action],
    refusals: &[Refusal],
) -> String {
    let answering = format!("{} of {} core nodes answer", view.answered(), policy.core_size);
    let followed = state.master.as_ref().map(|master| format!("{} at {}", master.slot, master.address));
    let found = match (verdict, followed) {
        (Verdict::Steady, Some(master)) => format!("{master} is the master; {answering}"),
        (Verdict::NewMaster, Some(master))
            if claims(view, state) && refusals.iter().all(|refusal| !unconfirmed(refusal)) =>
        {
            format!("{master} is the new master; {answering}")
        }
        (Verdict::NoMaster, Some(master)) => {
            format!("no master; {answering}; the last one was {master}")
        }
        (Verdict::MasterUnseen, Some(master)) => {
            format!(
                "no master is seen, and slaves have one ({}); {answering}; the last one was {master}",
                list(&view.slaves())
            )
        }
        (Verdict::FrozenMaster, Some(master)) => {
            format!("no master; {answering}; {master}, the last one, is frozen")
        }
        (Verdict::DualMaster, _) => {
            let claimants: Vec<_> = view.claimants().iter().map(|node| node.address).collect();
            format!("{} both say that they are the master; {answering}", list(&claimants))
        }
        (Verdict::NewMaster, _) => {
            let claimants: Vec<_> = view.claimants().iter().map(|node| node.address).collect();
            format!("{} says that it is the master; {answering}", list(&claimants))
        }
        (verdict, _) => format!("{}; {answering}", verdict.description()),
    };
    let mut parts = vec![found];
    if actions.is_empty() {
        parts.push("no action".to_owned());
    } else {
        parts.push(actions.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "));
    }
    parts.extend(refusals.iter().map(ToString::to_string));
    parts.join("; ") + "."
}

/// Whether a claimant is the followed master: one that is not followed yet may be
/// held for another reason too.
fn claims(view: &View, state: &State) -> bool {
    view.claimants().iter().any(|node| state.follows(node))
}

fn unconfirmed(refusal: &Refusal) -> bool {
    matches!(refusal, Refusal::Unconfirmed { .. } | Refusal::Unbacked { .. } | Refusal::Leased { .. })
}
