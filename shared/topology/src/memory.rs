//! What an invocation remembers between its own rounds.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    time::Duration,
};

use crate::{Answer, Millis, NotKnown, Observation, PATIENCE, Silence, View};

/// How long rounds do not wait for a node after one round has waited for it in vain: the round in which a
/// claim appears, and those that confirm it.
const PASSED_OVER: Duration = Duration::from_secs(2 * PATIENCE.as_secs());

/// What an invocation remembers between its own rounds; a new invocation starts with an empty memory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// The name of the invocation, which owns the lease while it acts.
    pub owner: String,
    /// The only claimant: its address, in how many rounds in a row, and when the first of them was.
    pub claim: Option<(IpAddr, u32, Millis)>,
    /// Of several claimants: the one that is not followed, and whose members alone were a majority. Its claim must be seen
    /// once more after that report.
    pub backed: Option<IpAddr>,
    /// Rounds in a row with firm answers, by address.
    pub firm: BTreeMap<IpAddr, u32>,
    /// Tasks whose role endpoint left a question unanswered for the whole patience and has answered nothing
    /// since: Bolt is asked too.
    pub unanswered: BTreeSet<String>,
    /// When a round last waited for a task for the whole patience in vain.
    pub waited: BTreeMap<String, Millis>,
    /// Silence on the role endpoint and on Bolt, by task, counted only while a majority answered.
    pub silent: BTreeMap<String, Silence>,
    /// When the last round was decided.
    pub last_round: Option<Millis>,
}

impl Memory {
    /// Drops the claim and the silences: their rounds are not in a row any more.
    pub(crate) fn forget(&mut self) {
        (self.claim, self.backed) = (None, None);
        self.silent.clear();
    }

    /// Tasks that a round which begins at `now` need not wait for, because a recent round has waited for
    /// them. Rounds that end early learn nothing of these tasks, so this must not last: a node that is back,
    /// and slow, must not be passed over again and again.
    pub fn need_not_wait_for(&self, now: Millis) -> BTreeSet<String> {
        let lately = self.waited.iter().filter(|(_, at)| now.since(**at) <= PASSED_OVER);
        lately.map(|(task, _)| task.clone()).collect()
    }

    /// The empty memory of a new invocation.
    pub fn of(owner: impl Into<String>) -> Self {
        Self { owner: owner.into(), ..Self::default() }
    }
}

/// What every round adds to the memory: firm rounds in a row, and the nodes that left a question unanswered.
pub(crate) fn remember(now: Millis, memory: &Memory, view: &View) -> Memory {
    let firm = view.observations.iter().filter(|seen| seen.answer.is_firm()).map(|seen| {
        let address = seen.node.address;
        (address, memory.firm.get(&address).copied().unwrap_or(0).saturating_add(1))
    });
    let unanswered = view.observations.iter().filter(|seen| {
        let not_awaited = seen.answer == Answer::NotKnown(NotKnown::NotAwaited);
        seen.answer.is_unanswered() || (not_awaited && memory.unanswered.contains(&seen.node.task))
    });
    let unanswered: BTreeSet<String> = unanswered.map(|seen| seen.node.task.clone()).collect();
    let waited = unanswered.iter().map(|task| {
        let not_now = |seen: &&Observation| !seen.answer.is_unanswered();
        let before = view.of(task).filter(not_now).and_then(|_| memory.waited.get(task).copied());
        (task.clone(), before.unwrap_or(now))
    });
    Memory {
        firm: firm.collect(),
        waited: waited.collect(),
        unanswered: unanswered.clone(),
        ..memory.clone()
    }
}

pub(crate) fn newly_late(memory: &Memory, view: &View) -> bool {
    let late = |seen: &&Observation| seen.answer == Answer::NotKnown(NotKnown::Late);
    view.observations.iter().filter(late).any(|seen| !memory.unanswered.contains(&seen.node.task))
}
