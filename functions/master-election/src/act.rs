//! Executes what a round decided: the conditional write, then the calls of the plan. There
//! are no choices left here.

use std::{collections::BTreeSet, time::Duration};

use topology::{Action, Decision, State};
use tracing::{error, warn};

use crate::{Stored, Trouble, Version, World, invocation::Invocation};

/// The longest that a call may take, with the SDK's own retries: no call may be under
/// way when the lease ends.
const LONGEST_CALL: Duration = Duration::from_secs(10);
/// The wait after a 409: another conditional write is under way, which takes some ten milliseconds.
const BUSY: Duration = Duration::from_millis(100);
const BUSY_TRIES: u32 = 5;

/// What became of the lease at the end of an invocation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Released {
    /// This invocation had no lease.
    HadNone,
    /// The lease is free.
    GaveBack,
    /// The lease may not have been given back, and ends by itself.
    Kept,
}

fn kept(trouble: &Trouble) -> Released {
    warn!(event = "lease-kept", "the lease ends by itself: {trouble}");
    Released::Kept
}

impl<W: World> Invocation<'_, W> {
    /// Writes the state conditionally. Returns its new version, or `None` when a concurrent write was faster:
    /// then `known` is that one.
    pub(crate) async fn write(&mut self, state: &State, seen: &Version) -> Result<Option<Version>, Trouble> {
        for _try in 0..BUSY_TRIES {
            let failure = match self.world.store(state, seen).await {
                Ok(Stored::Written(version)) => return Ok(Some(version)),
                Ok(Stored::Busy) => {
                    self.world.sleep(BUSY).await;
                    continue;
                }
                Ok(Stored::Lost) => None,
                Err(trouble) if trouble.is_final() => return Err(trouble),
                Err(trouble) => Some(trouble),
            };
            // The write may have succeeded although its answer was lost, and a layer below may have
            // retried it: only the object shows whose write it is. The lease in it names the invocation,
            // and that name is unique.
            let (found, version) = self.world.load().await?;
            if found == *state {
                return Ok(Some(version));
            }
            return match failure {
                Some(trouble) if version == *seen => Err(trouble),
                _ => {
                    warn!(
                        event = "lost-race",
                        "a concurrent invocation wrote the state; this plan is dropped"
                    );
                    self.known = Some((found, version));
                    Ok(None)
                }
            };
        }
        Err(Trouble::Contended)
    }

    /// Gives the lease back, so that the next invocation need not wait until it ends.
    pub(crate) async fn release(&mut self) -> Released {
        let Some((mut state, mut version)) = self.known.take() else { return Released::HadNone };
        // Two tries: a pause may have been written meanwhile, which keeps the lease as it is.
        for written in [false, true] {
            if state.lease.as_ref().is_none_or(|lease| lease.owner != self.memory.owner) {
                // After a write it is gone because of that write, whatever the answer was.
                return if written { Released::GaveBack } else { Released::HadNone };
            }
            state.lease = None;
            state.generation += 1;
            match self.world.store(&state, &version).await {
                Ok(Stored::Written(_)) => return Released::GaveBack,
                Ok(Stored::Lost | Stored::Busy) => {}
                Err(trouble) => return kept(&trouble),
            }
            match self.world.load().await {
                Ok(found) => (state, version) = found,
                Err(trouble) => return kept(&trouble),
            }
        }
        Released::Kept
    }

    /// Executes the plan. Returns whether every call succeeded. A denied call is not retried in this
    /// invocation, and does not hold up the calls on other groups: the invocation fails with it at its end.
    pub(crate) async fn act(&mut self, decision: &Decision) -> bool {
        let mut done = true;
        let mut broken = BTreeSet::new();
        for action in &decision.actions {
            let lease = decision.state.lease.as_ref();
            if lease.is_none_or(|lease| self.world.now().after(LONGEST_CALL) >= lease.until) {
                // The invocation may have stalled since the write: before the call
                // returns another one may act.
                warn!(event = "lease-short", "{action} is left to a later round");
                done = false;
                break;
            }
            if self.is_refused(action) || action.group().is_some_and(|group| broken.contains(group)) {
                continue;
            }
            self.calls += 1;
            if let Action::Fence { slot, task, address, reason } = action {
                error!(event = "fence", slot, task, %address, "{reason}");
                self.tally.fences += 1;
            }
            if let Err(trouble) = self.world.act(action).await {
                warn!(event = "call-failed", "{action}: {trouble}");
                done = false;
                if trouble.is_final() {
                    self.refused.insert(target(action).to_owned());
                    self.denied = Some(trouble);
                }
                // Registrations come first, so that no group is emptied: without this one it
                // might be. Other groups go on.
                if let Action::Register { group, .. } = action {
                    broken.insert(group.as_str());
                }
            }
        }
        if !decision.actions.is_empty() {
            self.eyes.forget_groups();
        }
        done
    }

    /// Whether a call on the same group or task was denied before: a retry is useless until a policy changes.
    pub(crate) fn is_refused(&self, action: &Action) -> bool {
        self.refused.contains(target(action))
    }
}

/// What a call changes: the ARN of the group, or of the task.
fn target(action: &Action) -> &str {
    match action {
        Action::Register { group, .. } | Action::Deregister { group, .. } => group,
        Action::Fence { task, .. } => task,
    }
}
