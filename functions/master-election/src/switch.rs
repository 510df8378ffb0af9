//! One switch from its detection to its end: the `retarget` event.

use serde::Serialize;
use topology::{Master, Millis};

/// The phases of a switch, as points in time and as distances from the detection, in milliseconds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Switch {
    /// The master before; `None` for the first one.
    pub from: Option<Master>,
    pub to: Master,
    /// When its claim was seen for the first time.
    pub detected_at: Millis,
    /// When it was confirmed, and the plan made.
    pub decided_at: Millis,
    /// When every call of the plan had succeeded.
    pub called_at: Option<Millis>,
    /// When a later round found the groups as desired.
    pub settled_at: Option<Millis>,
}

impl Switch {
    pub(crate) fn report(&self) {
        let after = |at: Option<Millis>| at.map(|at| at.0.saturating_sub(self.detected_at.0));
        tracing::info!(
            event = "retarget",
            from = self.from.as_ref().map(|master| master.address.to_string()),
            to = self.to.address.to_string(),
            slot = self.to.slot,
            detected_at = self.detected_at.0,
            decided_at = self.decided_at.0,
            called_at = self.called_at.map(|at| at.0),
            settled_at = self.settled_at.map(|at| at.0),
            decided_ms = after(Some(self.decided_at)),
            called_ms = after(self.called_at),
            settled_ms = after(self.settled_at),
            "the write groups follow {} at {}",
            self.to.slot,
            self.to.address,
        );
    }
}
