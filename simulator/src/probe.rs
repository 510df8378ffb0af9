//! How an invocation asks the nodes, in the same way as the real one.

use std::collections::BTreeSet;

use master_election::Enough;
use topology::{Answer, GRACE, Node, NotKnown};

use crate::{
    member::PATIENCE_MS,
    world::{Seen, millis},
};

/// How often a probe looks whether a node has answered, milliseconds; seldom once it has waited for long.
const STEP: u64 = 25;
const LONG_STEP: u64 = 300;
/// What counts as long, milliseconds.
const LONG: u64 = 100;

impl Seen {
    /// Nodes that took part are asked again while another one has not answered and none is the master, and no
    /// node is waited for any more once the answers are enough.
    pub(crate) async fn ask(
        &self,
        nodes: &[Node],
        unanswered: &BTreeSet<String>,
        enough: Enough<'_>,
    ) -> Vec<Answer> {
        let began = self.true_now();
        {
            let sim = &mut *self.sim();
            sim.checks.asks(&self.owner, began, &sim.cluster);
        }
        let mut so_far: Vec<Option<Answer>> = vec![None; nodes.len()];
        let early = loop {
            let now = self.true_now();
            let waited = now - began;
            let claimed = so_far.contains(&Some(Answer::Master));
            for (node, said) in nodes.iter().zip(&mut so_far) {
                if said.is_none_or(|answer| answer.took_part() && !claimed) {
                    *said = self.answer(node, now, waited).or(*said);
                }
            }
            if !so_far.contains(&None) || waited >= PATIENCE_MS {
                break false;
            }
            if waited >= millis(GRACE) && enough(&so_far) {
                break true;
            }
            let step = if waited < LONG { STEP } else { LONG_STEP.min(PATIENCE_MS - waited) };
            self.takes(step, step).await;
        };
        let given_up = |node: &Node| {
            Answer::NotKnown(match early {
                true => NotKnown::NotAwaited,
                // Bolt is asked too only where an earlier question was not answered.
                false if unanswered.contains(&node.task) && self.bolt_is_silent(node) => NotKnown::Silent,
                false => NotKnown::Late,
            })
        };
        let answers: Vec<Answer> =
            nodes.iter().zip(so_far).map(|(node, said)| said.unwrap_or_else(|| given_up(node))).collect();
        {
            let now = self.true_now();
            let sim = &mut *self.sim();
            sim.checks.probed(&self.owner, nodes, &answers, now, &sim.cluster);
        }
        self.takes(3, 5).await;
        answers
    }

    /// What `node` has answered to a question of `waited` milliseconds ago. A task that has ended refuses.
    fn answer(&self, node: &Node, now: u64, waited: u64) -> Option<Answer> {
        let sim = self.sim();
        match sim.cluster.of(&node.task) {
            Some(index) => sim.cluster.members[index].answer(now, waited, sim.cluster.mode),
            None => Some(Answer::NotKnown(NotKnown::Refused)),
        }
    }

    fn bolt_is_silent(&self, node: &Node) -> bool {
        let sim = self.sim();
        sim.cluster.of(&node.task).is_some_and(|index| sim.cluster.members[index].bolt_is_silent())
    }
}
