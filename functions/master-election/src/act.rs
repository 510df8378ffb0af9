//! What a round does: the conditional write, then the calls of the plan. There are no choices left here.

use std::{collections::BTreeSet, time::Duration};

use topology::{Action, Decision, State};
use tracing::{error, warn};

use crate::{Stored, Trouble, Version, World, rounds::Invocation};

/// The longest a call may take, with the SDK's own tries: one must not be under way when the lease ends.
const LONGEST_CALL: Duration = Duration::from_secs(10);
/// S3 says 409 while another conditional write is under way, which takes some ten milliseconds.
const BUSY: Duration = Duration::from_millis(100);
const BUSY_TRIES: u32 = 5;

/// The calls that were carried out last.
#[derive(Default)]
pub(crate) struct Plan(Vec<Action>);

impl Plan {
    /// Whether these calls were just answered well and are wanted again: they change nothing, and are repeated more and more slowly.
    pub(crate) fn is_repeated_by(&mut self, actions: &[Action]) -> bool {
        let repeated = !actions.is_empty() && self.0 == actions;
        self.0 = actions.to_vec();
        repeated
    }
}

/// What became of the lease at the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Released {
    /// There was none of this invocation.
    HadNone,
    /// It is free.
    GaveBack,
    /// It may not have been given back, and ends by itself.
    Kept,
}

fn kept(trouble: &Trouble) -> Released {
    warn!(event = "lease-kept", "the lease ends by itself: {trouble}");
    Released::Kept
}

impl<W: World> Invocation<'_, W> {
    /// Writes the state on condition; its version now, or `None` when a concurrent write was faster. Then `known` is that one.
    pub(crate) async fn write(&mut self, state: &State, seen: &Version) -> Result<Option<Version>, Trouble> {
        for _try in 0..BUSY_TRIES {
            let failure = match self.world.store(state, seen).await {
                Ok(Stored::Written(version)) => return Ok(Some(version)),
                Ok(Stored::Busy) => {
                    self.world.pause(BUSY).await;
                    continue;
                }
                Ok(Stored::Lost) => None,
                Err(trouble) if trouble.is_final() => return Err(trouble),
                Err(trouble) => Some(trouble),
            };
            // The answer to a write that was made may have been lost, and a layer below may have tried again: only the object says
            // whose it is. The lease in it names the invocation, and its name is unique.
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

    /// Gives the lease back, so that the next invocation need not wait for its end.
    pub(crate) async fn release(&mut self) -> Released {
        let Some((mut state, mut version)) = self.known.take() else { return Released::HadNone };
        // Twice: a pause may have been written meanwhile, and leaves the lease as it is.
        for written in [false, true] {
            if state.lease.as_ref().is_none_or(|lease| lease.owner != self.memory.owner) {
                // After a write it is gone by that write, whatever was answered to it.
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

    /// Does what was planned; whether every call was answered well. A denied call is not tried again in this invocation, and does not
    /// hold up the calls on other groups: it is what the invocation fails with at its end.
    pub(crate) async fn act(&mut self, decision: &Decision) -> bool {
        let mut done = true;
        let mut broken = BTreeSet::new();
        for action in &decision.actions {
            let lease = decision.state.lease.as_ref();
            if lease.is_none_or(|lease| self.world.now().after(LONGEST_CALL) >= lease.until) {
                // Stalled since the write, perhaps: by the end of the call another invocation may act.
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
                // Registrations come first, so that a group is never emptied: without this one it might be. Other groups go on.
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

    /// Whether a call on the same group, or on the same task, was denied before: trying again is useless until a policy changes.
    pub(crate) fn is_refused(&self, action: &Action) -> bool {
        self.refused.contains(target(action))
    }
}

/// What a call changes: the group, or the task.
fn target(action: &Action) -> &str {
    match action {
        Action::Register { group, .. } | Action::Deregister { group, .. } => group,
        Action::Fence { task, .. } => task,
    }
}
