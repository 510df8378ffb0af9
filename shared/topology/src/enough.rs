//! Whether a round may end before every node has answered.

use std::{collections::BTreeSet, time::Duration};

use crate::{Answer, Kind, Node, Policy, State};

/// How long a node gets to answer on its role endpoint, and on Bolt. It is the timeout of the balancer's own
/// check: a master that the balancer keeps must be one that the function follows.
pub const PATIENCE: Duration = Duration::from_secs(2);

/// How long every node gets to answer, even when the answers so far are enough: many times what an
/// answer takes within a VPC.
pub const GRACE: Duration = Duration::from_millis(25);

/// Whether `so_far`, in the order of `nodes`, carries a switch: a majority of the core slots took part,
/// exactly one core node says that it is the master and is not the followed one, and each node that has not
/// answered was waited for in vain (`waited`), for the whole patience, a moment ago in this invocation.
///
/// A master that froze would otherwise cost the whole patience in each round that confirms its successor. A
/// node that was not silent before is always waited for: a slow master must not be passed over for a stale
/// claimant. A node that was not waited for has said nothing, which is not silence: such a round adds nothing
/// to the evidence for a fence or to a standby's fitness.
pub fn enough(
    policy: &Policy,
    state: &State,
    waited: &BTreeSet<String>,
    nodes: &[Node],
    so_far: &[Option<Answer>],
) -> bool {
    let said = || nodes.iter().zip(so_far).filter_map(|(node, answer)| Some((node, (*answer)?)));
    let mut claimants = said().filter(|(node, answer)| node.kind == Kind::Core && *answer == Answer::Master);
    let (Some((claimant, _)), None) = (claimants.next(), claimants.next()) else { return false };
    let mut waited_for = nodes.iter().zip(so_far).filter(|(_, answer)| answer.is_none());
    let core = said().filter(|(node, answer)| node.kind == Kind::Core && answer.took_part());
    let slots: BTreeSet<&String> = core.map(|(node, _)| &node.slot).collect();
    slots.len() >= policy.majority()
        && !state.follows(claimant)
        && waited_for.all(|(node, _)| waited.contains(&node.task))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Memory, Millis, NotKnown};

    const UNSETTLED: Option<Answer> = Some(Answer::NotKnown(NotKnown::Unsettled));
    const REFUSED: Option<Answer> = Some(Answer::NotKnown(NotKnown::Refused));
    const MASTER: Option<Answer> = Some(Answer::Master);
    const SLAVE: Option<Answer> = Some(Answer::Slave);

    fn nodes() -> Vec<Node> {
        let node = |last: u8| Node {
            slot: format!("slot-{last}"),
            kind: if last < 4 { Kind::Core } else { Kind::SlaveOnly },
            id: last.into(),
            task: format!("task-{last}"),
            address: [10, 0, 0, last].into(),
            stopping: false,
        };
        (1..=4).map(node).collect()
    }

    #[test]
    fn only_one_other_master_before_a_majority_is_enough() {
        let nodes = nodes();
        let mut state = State::default();
        state.switch(&nodes[0], Millis(0));
        // The followed master, and the slave-only node, were silent for the whole patience before.
        let unanswered = BTreeSet::from(["task-1".to_owned(), "task-4".to_owned()]);
        let table = [
            ([None, MASTER, SLAVE, SLAVE], true, "the old one is silent"),
            ([None, MASTER, UNSETTLED, UNSETTLED], true, "between roles is taking part"),
            ([None, MASTER, SLAVE, None], true, "a silent slave-only node does not count in the majority"),
            ([REFUSED, MASTER, SLAVE, SLAVE], true, "the old one is down"),
            ([None, MASTER, None, SLAVE], false, "a slave-only node does not count in the majority"),
            ([REFUSED, MASTER, None, SLAVE], false, "slot 3 may be a slow master and was not silent before"),
            ([REFUSED, MASTER, REFUSED, None], false, "a refusal does not count"),
            ([MASTER, None, SLAVE, SLAVE], false, "the one that is followed: the others are waited for"),
            ([MASTER, MASTER, SLAVE, None], false, "two masters"),
            ([None, MASTER, MASTER, SLAVE], false, "two other masters"),
            ([None, SLAVE, SLAVE, MASTER], false, "a slave-only node is not a master"),
            ([None, SLAVE, SLAVE, SLAVE], false, "no master"),
        ];
        for (so_far, expected, why) in table {
            assert_eq!(enough(&Policy::of(3, 1), &state, &unanswered, &nodes, &so_far), expected, "{why}");
        }
        let slow = [None, MASTER, SLAVE, SLAVE];
        let early = enough(&Policy::of(3, 1), &state, &BTreeSet::new(), &nodes, &slow);
        assert!(!early, "the followed master may be slow: it is waited for until it was silent once");
    }

    /// Rounds that end early learn nothing of a node that they pass over: without an end to it, a node that
    /// is back and slower than a stale claimant would never be heard again.
    #[test]
    fn a_wait_in_vain_excuses_the_rounds_of_the_next_four_seconds() {
        let waited = [("task-1".to_owned(), Millis(10_000))].into();
        let memory = Memory { waited, ..Memory::default() };
        assert!(memory.need_not_wait_for(Millis(14_000)).contains("task-1"));
        assert!(memory.need_not_wait_for(Millis(14_001)).is_empty());
    }
}
