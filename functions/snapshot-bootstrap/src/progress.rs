//! What one look at the nodes leaves for the next one, in whatever invocation that is.

use std::time::Duration;

use aws::{Error, Operation};
use custom_resource::{Call, Failure, Outcome};
use serde::{Deserialize, Serialize};
use serde_json::json;
use topology::{Answer, Kind};

use crate::{Sighting, Untold, World};

/// The pause between two looks. A look is two ECS calls, and several of these
/// resources wait at the same time.
pub(crate) const PAUSE: Duration = Duration::from_secs(2);

/// How long to wait for a master. While no core slot is the master no slot can have a role, so waiting for
/// one would never end. An election takes seconds.
const NO_MASTER: Duration = Duration::from_secs(60);

#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Progress {
    /// Since when no core slot has been the master, in seconds since 1970.
    no_master: Option<u64>,
    /// When ECS itself was last asked, in seconds since 1970.
    pub asked_ecs: u64,
    /// Whether the request belongs to a roll-back, which it does from its beginning or never; `None` until
    /// CloudFormation has answered.
    rolls_back: Option<bool>,
}

impl Progress {
    pub(crate) fn of(call: &Call) -> Self {
        call.left()
    }

    pub(crate) fn note_master(&mut self, slots: &[Sighting], now: Duration) {
        let is_led = slots
            .iter()
            .any(|sighting| sighting.slot.kind == Kind::Core && sighting.answer() == Some(Answer::Master));
        self.no_master = if is_led { None } else { self.no_master.or(Some(now.as_secs())) };
    }

    /// Whether there has been no master for so long that no election can be under way.
    pub(crate) fn has_no_master(&self, now: Duration) -> bool {
        self.no_master.is_some_and(|since| now.as_secs().saturating_sub(since) >= NO_MASTER.as_secs())
    }

    /// Whether the request belongs to a roll-back; only CloudFormation knows, and it is asked
    /// until it has answered once.
    pub(crate) async fn rolls_back<W: World>(&mut self, world: &W, call: &Call) -> Result<bool, Error> {
        if let Some(known) = self.rolls_back {
            return Ok(known);
        }
        call.step("ask CloudFormation whether it rolls back");
        let rolls_back = world.operation(&call.stack_id).await? == Operation::RollBack;
        self.rolls_back = Some(rolls_back);
        Ok(rolls_back)
    }

    pub(crate) fn not_yet(self, waiting_for: &impl ToString, after: Duration) -> Outcome {
        Outcome::Unfinished { progress: json!(self), after, waiting_for: waiting_for.to_string() }
    }

    /// A call that failed is retried with the next look, unless that cannot help.
    pub(crate) fn may_pass(self, untold: Untold) -> Result<Outcome, Failure> {
        match untold {
            Untold::Call(error) if error.kind != aws::Kind::Denied => Ok(self.not_yet(&error, PAUSE)),
            Untold::Unanswered(error) => Ok(self.not_yet(&error, PAUSE)),
            untold => Err(Failure::new(untold)),
        }
    }
}
