//! Whether a silent node is frozen, and whether it may be stopped. A dead node refuses connections or has no
//! task any more; a frozen one accepts connections and says nothing, and its cluster waits for it. A slow
//! node is not frozen, and neither is a node that only this function does not reach.

use std::{collections::BTreeSet, time::Duration};

use crate::{
    Action, Answer, Kind, Memory, Millis, Mode, Node, NotKnown, PATIENCE, Policy, Refusal, State, View,
    policy::OTHERS, state::Fence,
};

/// A silence needs this many rounds in a row, each with the whole patience: one pause of a JVM
/// does not last for three.
const SILENT_ROUNDS: u32 = 3;
/// What one round adds to a silence at most: the patience, and the time between two rounds. An invocation
/// that was itself stalled for a minute has not listened for a minute.
const ROUND_ADDS: Duration = Duration::from_secs(3);
/// How often a fence is requested again: a call may have failed, and an agent may be back.
const ASK_AGAIN: Duration = Duration::from_secs(10);
/// How often once the time in which a fence has to work is over: once a sweep (a minute, less what
/// the schedule may be early).
const ASK_RARELY: Duration = Duration::from_secs(55);

/// A silence that this invocation has listened to: rounds in a row, and the time that their
/// unanswered questions cover.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Silence {
    rounds: u32,
    time: Duration,
}

/// Counts silent nodes, while a majority answers: with fewer answers this function itself may be cut off. The
/// count begins when the first unanswered question was sent. A node that was not waited for keeps its count;
/// any other answer ends it.
pub(crate) fn note_silence(now: Millis, view: &View, memory: &mut Memory) {
    let said = |kind| view.observations.iter().filter(move |seen| seen.answer == Answer::NotKnown(kind));
    let still: BTreeSet<&String> =
        said(NotKnown::Silent).chain(said(NotKnown::NotAwaited)).map(|seen| &seen.node.task).collect();
    memory.silent.retain(|task, _| still.contains(task));
    for node in said(NotKnown::Silent).map(|seen| &seen.node) {
        let from = match (memory.silent.get(&node.task), memory.last_round) {
            (Some(_), Some(last)) => last.min(view.asked_at),
            _ => view.asked_at,
        };
        let silence = memory.silent.entry(node.task.clone()).or_default();
        silence.rounds = silence.rounds.saturating_add(1);
        silence.time += now.since(from).min(ROUND_ADDS);
    }
}

/// What a round found about fencing.
pub(crate) enum Finding<'a> {
    /// No node is silent, or no silent node that a fence could help with.
    NoneSilent,
    /// A node is silent, and something speaks against its being frozen.
    Refused(Refusal),
    /// A node is silent, not yet for long enough.
    Suspect(Refusal),
    /// A node is frozen, and something keeps it from being fenced now.
    Frozen(Refusal),
    Fence(&'a Node),
    /// The node of the outstanding fence would be fenced now, on the evidence of this invocation.
    Again(Refusal),
}

/// Whether to go on looking because of a silent node: its silence must be listened to, not
/// inferred from two sweeps.
pub(crate) fn keeps_looking(finding: &Finding<'_>) -> bool {
    match finding {
        Finding::Fence(_) => true,
        Finding::Suspect(refusal) | Finding::Frozen(refusal) | Finding::Again(refusal) => {
            matches!(refusal, Refusal::NotLongSilent { .. } | Refusal::FenceUnderWay { .. })
        }
        Finding::NoneSilent | Finding::Refused(_) => false,
    }
}

/// What a fence is judged by: one round, and what is remembered.
pub(crate) struct Look<'r, 'v> {
    pub now: Millis,
    pub policy: &'r Policy,
    pub state: &'r State,
    pub memory: &'r Memory,
    pub view: &'v View,
}

impl<'v> Look<'_, 'v> {
    /// Without a master: the one node that is missing, if it is silent and was the last master.
    pub(crate) fn without_master(&self) -> Finding<'v> {
        let Self { policy, state, view, .. } = *self;
        // Raft elects beside a frozen leader, and its followers say the same with and without one: a leader that
        // only this function does not reach looks frozen.
        if policy.mode != Mode::Ha {
            return Finding::NoneSilent;
        }
        let missing = view.missing();
        let Some(node) = silent_among(&missing, view) else { return Finding::NoneSilent };
        let (address, slaves) = (node.address, view.slaves());
        // However long it is silent: slaves that have a master do not wait for one. The silent node
        // may well be that master.
        if !slaves.is_empty() {
            return Finding::Refused(Refusal::StillFollowed { address, slaves });
        }
        // It is not known what the other missing node does or waits for.
        if missing.len() > 1 {
            return Finding::Refused(several(&missing));
        }
        let patience = match &state.master {
            // The silence of the last master explains why there is none, so the plain time is enough.
            Some(master) if master.task == node.task => 1,
            // The last master was another node. What the other nodes wait for now is not known,
            // and may not be this one.
            Some(master) => {
                return Finding::Refused(Refusal::NotTheLastMaster { address, master: master.slot.clone() });
            }
            // A slave-only node was never the master, so no election waits for it.
            None if node.kind == Kind::SlaveOnly => return Finding::NoneSilent,
            // The state was lost, so that any core node may have been the master.
            None => OTHERS,
        };
        self.judge(node, patience)
    }

    /// Beside a healthy master: a frozen slave stalls its commits. A majority stays without the slave, because a
    /// majority answers while it does not; and the master itself must report that it does not hear the slave.
    pub(crate) fn beside_master(&self) -> Finding<'v> {
        let Self { policy, state, memory, view, .. } = *self;
        // Raft commits with a majority beside a frozen follower.
        if policy.mode != Mode::Ha {
            return Finding::NoneSilent;
        }
        let missing = view.missing();
        let Some(node) = silent_among(&missing, view) else { return Finding::NoneSilent };
        if missing.len() > 1 {
            return Finding::Refused(several(&missing));
        }
        let address = node.address;
        let master = view.observations.iter().find(|seen| state.follows(&seen.node));
        // A master that hears no majority is stale, and does not hear members that are well:
        // its report is no evidence.
        let alive = master.and_then(|seen| seen.alive.as_ref()).filter(|alive| policy.carries(alive));
        let heard = alive.map(|alive| alive.contains(&node.id));
        let silent = memory.silent.get(&node.task).copied().unwrap_or_default().time;
        match (self.judge(node, OTHERS), heard) {
            // The master had the time to notice that the slave is gone, and hears it: listening
            // longer finds nothing more.
            (_, Some(true)) if silent >= policy.heartbeat_timeout.saturating_mul(2) => {
                Finding::Refused(Refusal::StillHeard { address })
            }
            // The way from this function to the node is broken, not the node.
            (Finding::Fence(_) | Finding::Again(..), Some(true)) => {
                Finding::Refused(Refusal::StillHeard { address })
            }
            // Without the master's own report this function may be the only one that does not reach the slave.
            (Finding::Fence(_) | Finding::Again(..), None) => {
                Finding::Refused(Refusal::MasterDoesNotSay { address })
            }
            (finding, _) => finding,
        }
    }

    fn judge(&self, node: &'v Node, patience: u32) -> Finding<'v> {
        let Self { now, policy, state, memory, view } = *self;
        let address = node.address;
        let silence = memory.silent.get(&node.task).copied().unwrap_or_default();
        // With fencing off the word "frozen" still needs a time: a dead host is silent too, and its
        // survivors elect meanwhile.
        let after = if policy.fence_after.is_zero() {
            policy.heartbeat_timeout.saturating_mul(3)
        } else {
            policy.fence_after
        };
        let needed = after.saturating_mul(patience);
        let long = silence.rounds >= SILENT_ROUNDS && silence.time >= needed;
        let off = policy.fence_after.is_zero();
        // Off stops the call, not the finding: a frozen master keeps its verdict and its alarm.
        if off {
            let refusal = Refusal::FencingOff { address };
            return if long { Finding::Frozen(refusal) } else { Finding::Suspect(refusal) };
        }
        // One slow answer, or one pause of a JVM, is not a freeze.
        if !long {
            let (silent, needed) = (silence.time.as_secs(), needed.as_secs());
            return Finding::Suspect(Refusal::NotLongSilent { address, silent, needed });
        }
        // A node that is not listed now may be the one that all others wait for.
        if !view.complete {
            return Finding::Frozen(Refusal::MissingUnknown { address });
        }
        // Without an earlier fence no other one can still be at work.
        let Some(last) = &state.fence else { return Finding::Fence(node) };
        // The fence was requested and not accepted, for the task is still listed as running: `pursue` requests it
        // again, now that this invocation has evidence too.
        if last.task == node.task && !last.verified {
            return Finding::Again(outstanding(now, policy, last, address, node.stopping));
        }
        // Counted from the last StopTask request, not the first: a fence that has not worked yet may
        // still work. A fence that has failed is requested once a sweep, and those requests must not hold
        // off other fences for ever.
        let asked = last.asked.min(last.at.after(policy.fence_verify));
        let left = policy.fence_hold_off.saturating_sub(now.since(asked));
        // A second frozen node within the hold-off is left to operators.
        if last.task != node.task && !left.is_zero() {
            let seconds = left.as_secs();
            return Finding::Frozen(Refusal::HoldOff { address, fenced: last.slot.clone(), seconds });
        }
        Finding::Fence(node)
    }
}

fn several(missing: &[&Node]) -> Refusal {
    Refusal::SeveralMissing { addresses: missing.iter().map(|node| node.address).collect() }
}

fn silent_among<'a>(missing: &[&'a Node], view: &View) -> Option<&'a Node> {
    let silent = |node: &&&Node| {
        view.of(&node.task).is_some_and(|seen| seen.answer == Answer::NotKnown(NotKnown::Silent))
    };
    missing.iter().find(silent).copied()
}

/// The call that stops `node`; the state remembers it.
pub(crate) fn fence(
    now: Millis,
    state: &mut State,
    memory: &Memory,
    node: &Node,
    last_master: bool,
) -> Action {
    let silent = memory.silent.get(&node.task).copied().unwrap_or_default().time.as_secs();
    state.note(now, format!("fenced {} at {}: silent for {silent} s", node.slot, node.address));
    let (slot, task) = (node.slot.clone(), node.task.clone());
    state.fence = Some(Fence { slot, task, at: now, asked: now, verified: false });
    let what = if last_master { "the last master" } else { "a member" };
    ask(node, &format!("{what} at {} was silent for {silent} s while all others answered", node.address))
}

fn ask(node: &Node, why: &str) -> Action {
    let (slot, task, address) = (node.slot.clone(), node.task.clone(), node.address);
    Action::Fence { task, slot, address, reason: format!("master-election: {why}") }
}

/// Follows a fence until ECS reports the task STOPPED or MISSING: a requested stop is not a done one.
/// Until then the fence is requested again in two cases: ECS means to stop the task already, so the
/// request is idempotent; or what this invocation saw `stands` for a fence of the task. A call that
/// failed long ago is no evidence: the node may be well by now, and followed. Returns the call to make
/// now, and the refusal to report.
pub(crate) fn pursue(
    now: Millis,
    policy: &Policy,
    state: &mut State,
    view: &View,
    stands: bool,
) -> (Option<Action>, Option<Refusal>) {
    let Some(mut fence) = state.fence.clone().filter(|fence| !fence.verified) else { return (None, None) };
    let held = now.since(fence.at);
    if view.ended.contains(&fence.task) {
        fence.verified = true;
        state.note(now, format!("the fence of {} has worked after {} s", fence.slot, held.as_secs()));
        state.fence = Some(fence);
        return (None, None);
    }
    let seen = view.of(&fence.task);
    let accepted = seen.is_none_or(|seen| seen.node.stopping);
    // A listing older than the call does not show its effect. If a newer one shows the task running and the
    // node answers, the call failed and the node is back: stopping it now would do harm.
    let listed_since = view.complete && view.listed_at.since(fence.asked) >= ASK_AGAIN;
    if !accepted && listed_since && seen.is_some_and(|seen| seen.answer.took_part()) {
        fence.verified = true;
        state.note(now, format!("the fence of {} was not accepted, and it answers again", fence.slot));
        state.fence = Some(fence);
        return (None, None);
    }
    let every = if held < policy.fence_verify { ASK_AGAIN } else { ASK_RARELY };
    let again = view.complete && (accepted || stands) && now.since(fence.asked) >= every;
    let action = seen.filter(|_| again).map(|seen| {
        fence.asked = now;
        ask(&seen.node, &format!("it was fenced {} s ago and ECS does not report it STOPPED", held.as_secs()))
    });
    let refusal = match seen {
        _ if held >= policy.fence_verify => Some(failed(&fence, held, accepted)),
        Some(seen) => Some(outstanding(now, policy, &fence, seen.node.address, accepted)),
        None => None,
    };
    state.fence = Some(fence);
    (action, refusal)
}

fn outstanding(
    now: Millis,
    policy: &Policy,
    last: &Fence,
    address: std::net::IpAddr,
    accepted: bool,
) -> Refusal {
    let held = now.since(last.at);
    if held >= policy.fence_verify {
        return failed(last, held, accepted);
    }
    Refusal::FenceUnderWay { address, seconds: held.as_secs() }
}

fn failed(fence: &Fence, held: Duration, accepted: bool) -> Refusal {
    let (slot, task, seconds) = (fence.slot.clone(), fence.task.clone(), held.as_secs());
    Refusal::FenceFailed { slot, task, seconds, accepted }
}

/// The longest a silence grows in one round must not be shorter than the round itself.
const _: () = assert!(ROUND_ADDS.as_secs() > PATIENCE.as_secs());

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Kind, Millis, Observation};

    /// A function that stalls for a minute has not listened for a minute.
    #[test]
    fn a_round_adds_no_more_silence_than_one_round_listens() {
        let node = Node {
            slot: "core-3".into(),
            kind: Kind::Core,
            id: 3,
            task: "task-3".into(),
            address: [10, 0, 0, 3].into(),
            stopping: false,
        };
        let silent = Observation { node, answer: Answer::NotKnown(NotKnown::Silent), alive: None };
        let view = |asked_at| View {
            listed_at: asked_at,
            asked_at,
            complete: true,
            observations: vec![silent.clone()],
            ended: BTreeSet::new(),
            read: false,
            readers_read: false,
            groups: Vec::new(),
            readers: Vec::new(),
        };
        let mut memory = Memory::default();
        note_silence(Millis(2_000), &view(Millis(0)), &mut memory);
        assert_eq!(memory.silent["task-3"].time, Duration::from_secs(2));
        memory.last_round = Some(Millis(2_000));
        note_silence(Millis(62_000), &view(Millis(2_050)), &mut memory);
        assert_eq!(memory.silent["task-3"].time, Duration::from_secs(2) + ROUND_ADDS);
    }
}
