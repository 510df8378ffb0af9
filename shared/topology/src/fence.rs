//! Whether a silent node is frozen, and whether it may be stopped. A node that is dead refuses connections or is no task
//! any more; one that is frozen accepts them and says nothing, and its cluster waits for it.

use std::time::Duration;

use crate::{
    Action, Answer, Kind, Memory, Millis, Node, NotKnown, Policy, Refusal, State, View, state::Fence,
};

/// Silence in so many rounds in a row of one invocation, so that the gap between two sweeps does not count as silence.
pub(crate) const SILENT_ROUNDS: u32 = 3;
/// A call may have failed: it is asked for again.
const ASK_AGAIN: Duration = Duration::from_secs(10);
/// How much longer anybody but the last master has to be silent.
const PATIENCE: u32 = 3;

/// Who is silent, while a majority answers: with fewer it may be ourselves who are cut off. Whoever was not waited for is
/// counted neither way.
pub(crate) fn note_silence(now: Millis, view: &View, memory: &mut Memory, state: &mut State) {
    let said = |kind| view.observations.iter().filter(move |seen| seen.answer == Answer::NotKnown(kind));
    let stays = |task: &String| {
        let mut unanswered = said(NotKnown::Silent).chain(said(NotKnown::NotAwaited));
        unanswered.any(|seen| seen.node.task == *task)
    };
    memory.silent.retain(|task, _| stays(task));
    state.silent.retain(|task, _| stays(task));
    for node in said(NotKnown::Silent).map(|seen| &seen.node) {
        let (rounds, first) = memory.silent.entry(node.task.clone()).or_insert((0, now));
        *rounds = rounds.saturating_add(1);
        if *rounds >= SILENT_ROUNDS {
            state.silent.entry(node.task.clone()).or_insert(*first);
        }
    }
}

/// Whether somebody has been silent in so many rounds of this invocation that it is no late answer.
pub(crate) fn is_silent(memory: &Memory) -> bool {
    memory.silent.values().any(|(rounds, _)| *rounds >= SILENT_ROUNDS)
}

/// Whether to go on looking for the sake of a silent node: its silence has to be seen, not inferred from two sweeps.
pub(crate) fn keeps_looking(finding: &Finding<'_>) -> bool {
    match finding {
        Finding::Fence(_) => true,
        Finding::Suspect(refusal) => {
            matches!(refusal, Refusal::NotLongSilent { .. } | Refusal::FenceUnderWay { .. })
        }
        Finding::Nobody | Finding::Refused(_) => false,
    }
}

/// What a round says of fencing.
pub(crate) enum Finding<'a> {
    /// Nobody is in the way.
    Nobody,
    /// A node is frozen, or may be; what keeps it from being fenced now.
    Suspect(Refusal),
    /// This node is to be fenced.
    Fence(&'a Node),
    /// Somebody is silent, and that is no evidence.
    Refused(Refusal),
}

/// Without a master: the one core node that is missing, if it is silent and was the last master.
pub(crate) fn without_master<'a>(
    now: Millis,
    policy: &Policy,
    state: &State,
    memory: &Memory,
    view: &'a View,
) -> Finding<'a> {
    let missing: Vec<&Node> = view
        .observations
        .iter()
        .filter(|seen| seen.node.kind == Kind::Core && !seen.answer.took_part())
        .map(|seen| &seen.node)
        .collect();
    // A slot without a task is missing too: somebody else may be the master there.
    let absent = policy
        .core_size
        .saturating_sub(view.observations.iter().filter(|s| s.node.kind == Kind::Core).count());
    let Some(node) = silent_among(&missing, view) else { return Finding::Nobody };
    if missing.len() + absent > 1 {
        return Finding::Refused(Refusal::SeveralMissing {
            addresses: missing.iter().map(|node| node.address).collect(),
        });
    }
    let patience = match &state.master {
        Some(master) if master.task == node.task => 1,
        Some(master) => {
            let (address, master) = (node.address, master.slot.clone());
            return Finding::Refused(Refusal::NotTheLastMaster { address, master });
        }
        None => PATIENCE,
    };
    judge(now, policy, state, memory, (node, view.complete), patience)
}

/// Beside a healthy master: a silent slave stalls its commits. A majority stays without it, because a majority answers
/// while it does not.
pub(crate) fn beside_master<'a>(
    now: Millis,
    policy: &Policy,
    state: &State,
    memory: &Memory,
    view: &'a View,
) -> Finding<'a> {
    let missing: Vec<&Node> =
        view.observations.iter().filter(|seen| !seen.answer.took_part()).map(|seen| &seen.node).collect();
    match silent_among(&missing, view) {
        None => Finding::Nobody,
        Some(_) if missing.len() > 1 => Finding::Refused(Refusal::SeveralMissing {
            addresses: missing.iter().map(|node| node.address).collect(),
        }),
        Some(node) => judge(now, policy, state, memory, (node, view.complete), PATIENCE),
    }
}

fn silent_among<'a>(missing: &[&'a Node], view: &View) -> Option<&'a Node> {
    let silent = |node: &&&Node| {
        let said = view.observations.iter().find(|seen| seen.node.task == node.task);
        said.is_some_and(|seen| seen.answer == Answer::NotKnown(NotKnown::Silent))
    };
    missing.iter().find(silent).copied()
}

fn judge<'a>(
    now: Millis,
    policy: &Policy,
    state: &State,
    memory: &Memory,
    (node, complete): (&'a Node, bool),
    patience: u32,
) -> Finding<'a> {
    let address = node.address;
    if policy.fence_after.is_zero() {
        return Finding::Suspect(Refusal::FencingOff { address });
    }
    if !complete {
        return Finding::Suspect(Refusal::MissingUnknown { address });
    }
    let needed = policy.fence_after * patience;
    let rounds = memory.silent.get(&node.task).map_or(0, |(rounds, _)| *rounds);
    let silent = state.silent.get(&node.task).map_or(Duration::ZERO, |since| now.since(*since));
    if rounds < SILENT_ROUNDS || silent < needed {
        let (silent, needed) = (silent.as_secs(), needed.as_secs());
        return Finding::Suspect(Refusal::NotLongSilent { address, silent, needed });
    }
    let Some(last) = &state.fence else { return Finding::Fence(node) };
    let held = now.since(last.at);
    // After the hold-off a fence that failed is tried afresh: the host may be back.
    if last.task == node.task && held < policy.fence_hold_off {
        let seconds = held.as_secs();
        return if held >= policy.fence_verify {
            Finding::Suspect(failed(now, last, false))
        } else if now.since(last.asked) < ASK_AGAIN {
            Finding::Suspect(Refusal::FenceUnderWay { address, seconds })
        } else {
            Finding::Fence(node)
        };
    }
    // From when it was asked for last, not first: a call that failed was made up for later.
    let left = policy.fence_hold_off.saturating_sub(now.since(last.asked));
    if last.task != node.task && !left.is_zero() {
        let seconds = left.as_secs();
        return Finding::Suspect(Refusal::HoldOff { address, fenced: last.slot.clone(), seconds });
    }
    Finding::Fence(node)
}

/// The call that stops `node`, and the state that remembers it.
pub(crate) fn fence(
    now: Millis,
    policy: &Policy,
    state: &mut State,
    node: &Node,
    last_master: bool,
) -> Action {
    let silent = state.silent.get(&node.task).map_or(0, |since| now.since(*since).as_secs());
    let what = if last_master { "the last master" } else { "a member" };
    let reason = format!(
        "master-election: {what} at {} was silent for {silent} s while all others answered",
        node.address
    );
    let again = state.fence.as_ref();
    let again = again.filter(|last| last.task == node.task && now.since(last.at) < policy.fence_hold_off);
    let at = again.map_or(now, |last| last.at);
    if again.is_none() {
        state.note(now, format!("fenced {} at {}: silent for {silent} s", node.slot, node.address));
    }
    let (slot, task) = (node.slot.clone(), node.task.clone());
    state.fence = Some(Fence { slot: slot.clone(), task: task.clone(), at, asked: now, verified: false });
    Action::Fence { task, slot, address: node.address, reason }
}

/// A fence has worked when its task is gone and there is a master; what is refused once it takes too long.
pub(crate) fn verify(
    now: Millis,
    policy: &Policy,
    state: &mut State,
    view: &View,
    has_master: bool,
) -> Option<Refusal> {
    let gone =
        |fence: &Fence| view.complete && view.observations.iter().all(|seen| seen.node.task != fence.task);
    let fence = state.fence.as_mut().filter(|fence| !fence.verified)?;
    let gone = gone(fence);
    if has_master && gone {
        fence.verified = true;
        let what =
            format!("the fence of {} has worked after {} s", fence.slot, now.since(fence.at).as_secs());
        state.note(now, what);
        return None;
    }
    (now.since(fence.at) >= policy.fence_verify).then(|| failed(now, fence, gone))
}

fn failed(now: Millis, fence: &Fence, gone: bool) -> Refusal {
    let seconds = now.since(fence.at).as_secs();
    Refusal::FenceFailed { slot: fence.slot.clone(), task: fence.task.clone(), seconds, gone }
}
