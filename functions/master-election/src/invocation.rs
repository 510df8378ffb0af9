//! One invocation: what it was asked, and what it keeps between its rounds.

use std::{collections::BTreeSet, time::Duration};

use topology::{Action, Memory, Millis, Policy, State};

use crate::{Switch, Tally, Trouble, Version, World, events::Voice, look::Eyes};

#[derive(Clone, Copy, Debug)]
pub struct Invoked<'a> {
    /// Unique, also when one event is delivered twice: two invocations with one name would take each
    /// other's write for their own.
    pub owner: &'a str,
    /// A doorbell, not the schedule: something may have changed. It gives way to an invocation that acts.
    pub rung: bool,
    /// When the last round may begin.
    pub until: Millis,
}

pub(crate) struct Invocation<'a, W> {
    pub(crate) world: &'a W,
    pub(crate) policy: &'a Policy,
    pub(crate) until: Millis,
    /// Whether it gives way to an invocation that acts.
    pub(crate) rung: bool,
    /// The state and its version; `None` before it is read, and after a write whose outcome is not known.
    pub(crate) known: Option<(State, Version)>,
    pub(crate) memory: Memory,
    pub(crate) eyes: Eyes,
    pub(crate) voice: Voice,
    /// A switch of this invocation whose groups have not been found right yet.
    pub(crate) switch: Option<Switch>,
    /// The last executed plan: the same plan again means that it changed nothing.
    pub(crate) last_plan: Plan,
    pub(crate) back_off: Duration,
    /// Another invocation acts.
    pub(crate) leased: bool,
    /// Something is left to the next invocation: what AWS denies, or what there was no time for.
    pub(crate) unfinished: bool,
    pub(crate) rounds: u32,
    pub(crate) calls: u32,
    pub(crate) tally: Tally,
    /// Groups and tasks on which a call was denied.
    pub(crate) refused: BTreeSet<String>,
    /// The last denial, with which the invocation fails at its end.
    pub(crate) denied: Option<Trouble>,
}

impl<'a, W: World> Invocation<'a, W> {
    pub(crate) fn new(world: &'a W, policy: &'a Policy, invoked: Invoked<'_>) -> Self {
        Self {
            world,
            policy,
            until: invoked.until,
            rung: invoked.rung,
            known: None,
            memory: Memory::of(invoked.owner),
            eyes: Eyes::new(invoked.rung),
            voice: Voice::default(),
            switch: None,
            last_plan: Plan::default(),
            back_off: Duration::ZERO,
            leased: false,
            unfinished: false,
            rounds: 0,
            calls: 0,
            tally: Tally::default(),
            refused: BTreeSet::new(),
            denied: None,
        }
    }

    /// Keeps nothing that was listed or read before: a bell may have announced a task that came after it.
    pub(crate) fn forget_what_was_seen(&mut self) {
        self.eyes = Eyes::new(true);
        self.leased = false;
    }
}

/// The calls that were carried out last.
#[derive(Default)]
pub(crate) struct Plan(Vec<Action>);

impl Plan {
    /// Whether these calls just succeeded and are planned again: they change nothing, and are
    /// repeated more and more slowly.
    pub(crate) fn is_repeated_by(&mut self, actions: &[Action]) -> bool {
        let repeated = !actions.is_empty() && self.0 == actions;
        self.0 = actions.to_vec();
        repeated
    }
}
