//! A place in the cluster that outlives its tasks.

use serde::{Deserialize, Serialize};

use crate::Kind;

/// One slot: one ECS service of one task, with a data directory that stays.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Slot {
    /// The name of its ECS service.
    pub name: String,
    /// What its node may become.
    pub kind: Kind,
    /// The id by which the other members know it, from 1. It stays with the slot,
    /// whatever address its task has.
    pub server_id: u32,
}

impl Slot {
    /// The slots of a cluster: the core's in the order of their server ids, then the
    /// slave-only ones, whose ids follow.
    ///
    /// ```
    /// let slots = topology::Slot::numbered(&["core-1"], &["slave-1"]);
    /// assert_eq!((slots[1].name.as_str(), slots[1].server_id), ("slave-1", 2));
    /// ```
    pub fn numbered(core: &[impl AsRef<str>], slave_only: &[impl AsRef<str>]) -> Vec<Self> {
        let core = core.iter().map(|name| (name.as_ref(), Kind::Core));
        let slave_only = slave_only.iter().map(|name| (name.as_ref(), Kind::SlaveOnly));
        let slot =
            |(server_id, (name, kind)): (u32, (&str, Kind))| Self { name: name.to_owned(), kind, server_id };
        (1..).zip(core.chain(slave_only)).map(slot).collect()
    }
}
