//! What the operator chose, and what the stack is.

use std::time::Duration;

use backups::Retention;
use topology::{Kind, Mode, Slot};

use crate::Schedule;

/// The rules of one stack's backups.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// The stack's id, which is in the owner object of its bucket.
    pub stack_id: String,
    pub mode: Mode,
    /// All slots of the cluster.
    pub slots: Vec<Slot>,
    pub schedule: Schedule,
    pub retention: Retention,
    /// How long a run may take.
    pub deadline: Duration,
    /// The most transactions that a source may be behind the master.
    pub max_lag: u64,
    /// Whether the master may be a source when no slave is fit to be one.
    pub from_master: bool,
}

impl Policy {
    pub(crate) fn core(&self) -> impl Iterator<Item = &Slot> {
        self.slots.iter().filter(|slot| slot.kind == Kind::Core)
    }

    pub(crate) fn slot(&self, name: &str) -> Option<&Slot> {
        self.slots.iter().find(|slot| slot.name == name)
    }
}
