//! Whether `RunTask` may be called once more for a run, when it is not known what became of the first call.

use backups::Time;

use crate::{
    Doubt, Policy, Refusal, Started, View, Wanted,
    choose::choose,
    conclude::TOO_NEW,
    runs::{Run, Runs},
};

/// Whether a worker may still be started for `run`: its source was chosen in an earlier tick, and may be the
/// master by now, or gone.
///
/// # Errors
/// What is in its way, as a clause.
pub(crate) fn again(now: Time, view: &View, policy: &Policy, runs: &Runs, run: &Run) -> Result<(), String> {
    let source = &run.order.source;
    let doubted = run.confirms.as_ref();
    let doubted = doubted.and_then(|folder| runs.ended.iter().find(|ended| ended.folder == *folder));
    let doubt = doubted.map(|ended| Doubt { folder: ended.folder.clone(), slot: ended.slot.clone() });
    let wanted = Wanted { slot: Some(&source.slot), failed: &[], confirms: doubt.as_ref() };
    match choose(now, view, policy, None, wanted) {
        Ok(choice) if choice.address == source.address.ip() => Ok(()),
        Ok(_) => Err(format!("{} has another task", source.slot)),
        // Its sentence is for an operator who named the slot.
        Err(Refusal::UnfitSlot { slot, why }) => Err(format!("{slot} {why}")),
        Err(refusal) => Err(refusal.to_string()),
    }
}

/// Whether there is no task of `run`: ECS lists none, and the last call is so long ago that it would.
pub(crate) fn is_without_task(now: Time, view: &View, run: &Run) -> bool {
    let asked = run.asked.unwrap_or(run.began);
    run.task.is_none() && view.started == Started::Nothing && now.since(asked) >= TOO_NEW
}
