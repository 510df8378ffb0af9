//! Whether a round may end before everybody has answered.

use std::time::Duration;

use crate::{Answer, Kind, Node, Policy, State};

/// What everybody gets to answer, whatever is enough: many times what an answer takes within a VPC.
pub const GRACE: Duration = Duration::from_millis(25);
/// What every node gets to answer in every round: the balancer's own check time-out, so that a master that the balancer finds
/// well is never silent here.
pub const PATIENCE: Duration = Duration::from_secs(2);

/// Whether `so_far`, in the order of `nodes`, carries a switch: a majority took part, and exactly one core node says that it
/// is the master, who is not the one that was followed.
///
/// A master that froze would otherwise cost a whole deadline in each round that confirms its successor. Those who are not
/// waited for have said nothing, which is not silence: neither a fence nor a standby's fitness takes anything from such a
/// round. One that is the master too, and slow, is found by the next round, which has somebody to follow and waits for all.
pub fn enough(policy: &Policy, state: &State, nodes: &[Node], so_far: &[Option<Answer>]) -> bool {
    let said = || nodes.iter().zip(so_far).filter_map(|(node, answer)| Some((node, (*answer)?)));
    let mut claimants = said().filter(|(node, answer)| node.kind == Kind::Core && *answer == Answer::Master);
    let (Some((claimant, _)), None) = (claimants.next(), claimants.next()) else { return false };
    said().filter(|(_, answer)| answer.took_part()).count() >= policy.majority() && !state.follows(claimant)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Millis, NotKnown};

    const UNSETTLED: Option<Answer> = Some(Answer::NotKnown(NotKnown::Unsettled));
    const REFUSED: Option<Answer> = Some(Answer::NotKnown(NotKnown::Refused));
    const MASTER: Option<Answer> = Some(Answer::Master);
    const SLAVE: Option<Answer> = Some(Answer::Slave);

    fn nodes() -> Vec<Node> {
        let node = |last: u8| Node {
            slot: format!("slot-{last}"),
            kind: if last < 4 { Kind::Core } else { Kind::SlaveOnly },
            task: format!("task-{last}"),
            address: [10, 0, 0, last].into(),
        };
        (1..=4).map(node).collect()
    }

    #[test]
    fn only_one_other_master_before_a_majority_is_enough() {
        let nodes = nodes();
        let mut state = State::default();
        state.switch(&nodes[0], Millis(0));
        let table = [
            ([None, MASTER, SLAVE, SLAVE], true, "the old one is silent"),
            ([None, MASTER, UNSETTLED, UNSETTLED], true, "between roles is taking part"),
            ([None, MASTER, SLAVE, None], false, "two of four are no majority"),
            ([REFUSED, MASTER, REFUSED, None], false, "a refusal is no part"),
            ([MASTER, None, SLAVE, SLAVE], false, "the one that is followed: the others are waited for"),
            ([MASTER, MASTER, SLAVE, None], false, "two masters"),
            ([None, MASTER, MASTER, SLAVE], false, "two other masters"),
            ([None, SLAVE, SLAVE, MASTER], false, "a slave-only node is none"),
            ([None, SLAVE, SLAVE, SLAVE], false, "nobody is"),
        ];
        for (so_far, expected, why) in table {
            assert_eq!(enough(&Policy::of(3, 1), &state, &nodes, &so_far), expected, "{why}");
        }
    }
}
