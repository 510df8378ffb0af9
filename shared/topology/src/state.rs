//! What rounds remember: one small object, written only on change, and only if no
//! concurrent write was faster.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    time::Duration,
};

use serde::{Deserialize, Serialize};

use crate::{Millis, Node};

/// Version of the object's format; a state of another version is refused.
const VERSION: u8 = 1;
/// Switches within this time make the next one harder to believe.
const RECENT: Duration = Duration::from_secs(300);

/// Entries of the history: the object must stay small, a few kilobytes.
const REMEMBERED: usize = 20;

/// The state between rounds and invocations.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// Version of the object's format.
    pub version: u8,
    /// Raised by every write: an invocation that holds an older one has lost the write race.
    pub generation: u64,
    /// The master that is followed.
    pub master: Option<Master>,
    /// When a round last found the write groups cut to one master; `None` before the first switch, when
    /// there is nothing to cut.
    pub cut_at: Option<Millis>,
    /// The write groups must be cut, and no round has found them cut yet.
    #[serde(default)]
    pub uncut: bool,
    /// When the switches of the last five minutes were.
    pub switches: Vec<Millis>,
    /// Since when no core node says that it is the master.
    pub no_master_since: Option<Millis>,
    /// Registered addresses that belong to no task of ours, with the time of the first
    /// complete listing without them.
    pub missing: BTreeMap<IpAddr, Millis>,
    /// The last node that was fenced.
    #[serde(default)]
    pub fence: Option<Fence>,
    /// Until when nothing is done, and the operator who asked for it.
    #[serde(default)]
    pub pause: Option<Pause>,
    /// The invocation that acts, and until when no other one may act.
    #[serde(default)]
    pub lease: Option<Lease>,
    /// Our tasks as the last complete listing had them, those that are still stopping among them: an address
    /// is ours until its task has ended, and a listing that fails does not make the function blind.
    #[serde(default)]
    pub tasks: Vec<Node>,
    /// The last round that read the groups found all nodes well and nothing to do, so a sweep
    /// need not read them again.
    #[serde(default)]
    pub at_rest: bool,
    /// The last things that were done, oldest first.
    #[serde(default)]
    pub history: Vec<Past>,
    /// The sentence of the last round that was written.
    pub sentence: String,
}

/// A node that was fenced.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fence {
    /// The slot: the name of its ECS service.
    pub slot: String,
    /// ARN of the task that was fenced.
    pub task: String,
    /// When the fence was requested first.
    pub at: Millis,
    /// When it was requested last: an earlier call may have failed.
    pub asked: Millis,
    /// Whether it is over: ECS reports the task STOPPED or MISSING, or the call was never accepted
    /// and the node answers again.
    pub verified: bool,
}

/// A pause that ends by itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pause {
    /// The operator who asked for it.
    pub owner: String,
    /// When it ends.
    pub until: Millis,
}

/// The right to act, renewed with every write.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// The invocation: its request id and a random part, because an event may be delivered twice.
    pub owner: String,
    /// When it ends.
    pub until: Millis,
}

/// Something that was done, for the history.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Past {
    /// When it was done.
    pub at: Millis,
    /// What was done, in one sentence.
    pub what: String,
}

/// A confirmed master.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Master {
    /// The slot: the name of its ECS service.
    pub slot: String,
    /// ARN of its task.
    pub task: String,
    /// Address of its task.
    pub address: IpAddr,
    /// When it was confirmed.
    pub since: Millis,
}

/// A state that this version cannot read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the state is of version {found} and this function reads version {VERSION}: deploy the newer function again, or \
     delete the object and the master is found again from scratch"
)]
pub struct UnknownVersion {
    found: u8,
}

impl Default for State {
    fn default() -> Self {
        Self {
            version: VERSION,
            generation: 0,
            master: None,
            cut_at: None,
            uncut: false,
            switches: Vec::new(),
            no_master_since: None,
            missing: BTreeMap::new(),
            fence: None,
            pause: None,
            lease: None,
            tasks: Vec::new(),
            at_rest: false,
            history: Vec::new(),
            sentence: String::new(),
        }
    }
}

impl State {
    /// Refuses a state of another version.
    pub fn readable(self) -> Result<Self, UnknownVersion> {
        if self.version == VERSION { Ok(self) } else { Err(UnknownVersion { found: self.version }) }
    }

    /// Task ARNs to describe besides the listed ones: those of the last complete listing,
    /// and one that was fenced.
    pub fn remembered(&self) -> Vec<String> {
        let ours = self.tasks.iter().map(|node| &node.task);
        let fenced = self.fence.iter().filter(|fence| !fence.verified).map(|fence| &fence.task);
        let all: BTreeSet<&String> = ours.chain(fenced).collect();
        all.into_iter().cloned().collect()
    }

    /// Whether `node` is the followed master: the same task at the same address.
    pub(crate) fn follows(&self, node: &Node) -> bool {
        self.master.as_ref().is_some_and(|master| master.task == node.task && master.address == node.address)
    }

    /// Follows `node` from `now` on.
    pub(crate) fn switch(&mut self, node: &Node, now: Millis) {
        let before =
            self.master.as_ref().map(|master| format!(", before it {} at {}", master.slot, master.address));
        let what = format!("followed {} at {}{}", node.slot, node.address, before.unwrap_or_default());
        self.note(now, what);
        // The first master of a cluster has no predecessor to be cut from.
        if self.master.is_some() {
            self.uncut = true;
            self.switches.push(now);
        }
        let (slot, task, address) = (node.slot.clone(), node.task.clone(), node.address);
        self.master = Some(Master { slot, task, address, since: now });
    }

    /// Starts a pause, in which nothing is done until `until`; `None` ends a pause.
    pub fn pause(&mut self, now: Millis, pause: Option<Pause>) {
        let what = match &pause {
            Some(pause) => format!("paused by {} for {} s", pause.owner, pause.until.since(now).as_secs()),
            None => "resumed".to_owned(),
        };
        self.note(now, what);
        self.pause = pause;
        self.generation += 1;
    }

    /// Adds an entry to the history.
    pub(crate) fn note(&mut self, at: Millis, what: String) {
        self.history.push(Past { at, what });
        let more = self.history.len().saturating_sub(REMEMBERED);
        self.history.drain(..more);
    }

    pub(crate) fn recent_switches(&self, now: Millis) -> usize {
        self.switches.iter().filter(|at| now.since(**at) < RECENT).count()
    }

    /// Forgets switches that are long ago, so that the object stays small.
    pub(crate) fn forget_old_switches(&mut self, now: Millis) {
        self.switches.retain(|at| now.since(*at) < RECENT);
    }

    /// Whether anything changed that must be written. Ignores the sentence, the generation, the lease, and
    /// switches, because a new switch changes the master too.
    pub(crate) fn differs(&self, other: &Self) -> bool {
        let silent = |state: &Self| Self {
            sentence: String::new(),
            generation: 0,
            switches: Vec::new(),
            lease: None,
            ..state.clone()
        };
        silent(self) != silent(other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_newer_form_is_refused_with_what_to_do() {
        let error = State { version: 2, ..State::default() }.readable().unwrap_err().to_string();
        assert!(error.starts_with("the state is of version 2 and this function reads version 1"), "{error}");
        assert!(State::default().readable().is_ok());
    }
}
