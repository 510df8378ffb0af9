//! What no call may do, compared with the last round that its invocation saw.

use std::{collections::BTreeMap, net::IpAddr};

use topology::{Action, Answer, Decision, Kind, Node, NotKnown, State, Verdict};

use crate::{
    cloud::Cloud,
    cluster::Cluster,
    setting::Setting,
    truth::{Judgement, Master, Moment},
};

/// With fewer rounds of silence a fence has no evidence.
const EVIDENCE: u32 = 3;
/// The hold-off of 300 s counts from the decision; the call may come as late as the lease ends.
const HOLD_OFF: u64 = 280_000;
/// How long a call may already be under way when the state is lost: it cannot know that.
const UNDER_WAY: u64 = 12_000;

const SILENT: Answer = Answer::NotKnown(NotKnown::Silent);
pub(crate) const NOT_AWAITED: Answer = Answer::NotKnown(NotKnown::NotAwaited);

/// The last round of an invocation: what it saw, and what was true.
#[derive(Clone, Debug, Default)]
pub struct Round {
    /// When the nodes were asked.
    pub began: u64,
    nodes: Vec<(Node, Answer)>,
    /// Rounds of silence in a row, by task.
    silent: BTreeMap<String, u32>,
    /// The master of a majority when the nodes were asked.
    before: Option<Master>,
    /// What was true when they had answered.
    pub moment: Moment,
    /// The nodes that reported their members, and whether truly.
    reported: Vec<(IpAddr, bool)>,
}

/// Everything that calls are compared with.
#[derive(Clone, Debug, Default)]
pub struct Calls {
    rounds_of: BTreeMap<String, Round>,
    /// The last fence: its task, and when it was first requested.
    fenced: Option<(String, u64)>,
    state_lost: Option<u64>,
    /// Until when an operator was promised that nothing happens.
    pub promised: Option<u64>,
}

impl Round {
    /// Whether it ended before all nodes had answered.
    pub fn is_early(&self) -> bool {
        self.nodes.iter().any(|(_, answer)| *answer == NOT_AWAITED)
    }

    fn claimants(&self) -> impl Iterator<Item = &Node> {
        let core = |(node, answer): &&(Node, Answer)| node.kind == Kind::Core && *answer == Answer::Master;
        self.nodes.iter().filter(core).map(|(node, _)| node)
    }

    /// Whether the node at `address` said that it is the master.
    pub fn has_claimant(&self, address: IpAddr) -> bool {
        self.claimants().any(|node| node.address == address)
    }

    fn took_part(&self) -> usize {
        let core = self.nodes.iter().filter(|(node, answer)| node.kind == Kind::Core && answer.took_part());
        core.map(|(node, _)| &node.slot).collect::<std::collections::BTreeSet<_>>().len()
    }

    /// Judges a switch to `to` on the evidence of this round.
    pub fn switch(&self, to: IpAddr) -> Judgement {
        let misreported = self.reported.iter().any(|(_, truly)| !truly);
        // A task that is not in the listing yet could not be asked: a listing is some seconds old,
        // and older when ECS fails.
        let passed_over = |address| {
            let asked = self.nodes.iter().find(|(node, _)| node.address == address);
            asked.is_none_or(|(_, answer)| *answer == NOT_AWAITED)
        };
        self.moment.switch(to, self.before, misreported, passed_over)
    }
}

impl Calls {
    pub fn round(&self, owner: &str) -> Option<&Round> {
        self.rounds_of.get(owner)
    }

    pub fn asks(&mut self, owner: &str, now: u64, master: Option<Master>) {
        let round = self.rounds_of.entry(owner.to_owned()).or_default();
        (round.began, round.before) = (now, master);
        round.reported.clear();
    }

    /// The nodes have answered.
    pub fn probed(&mut self, owner: &str, nodes: &[Node], answers: &[Answer], moment: Moment) {
        let round = self.rounds_of.entry(owner.to_owned()).or_default();
        round.moment = moment;
        round.nodes = nodes.iter().cloned().zip(answers.iter().copied()).collect();
        let before = std::mem::take(&mut round.silent);
        for (node, answer) in &round.nodes {
            let so_far = || before.get(&node.task).copied().unwrap_or(0);
            let rounds = match *answer {
                SILENT => so_far() + 1,
                NOT_AWAITED => so_far(),
                _ => continue,
            };
            round.silent.insert(node.task.clone(), rounds);
        }
    }

    pub fn reported(&mut self, owner: &str, address: IpAddr, truly: bool) {
        self.rounds_of.entry(owner.to_owned()).or_default().reported.push((address, truly));
    }

    /// An invocation decided. Returns what must not follow from its round.
    pub fn decided(&self, owner: &str, decision: &Decision) -> Option<String> {
        let early = self.round(owner).is_some_and(Round::is_early);
        // A bell that gives way decides nothing about the round before.
        let wrong =
            early && !matches!(decision.verdict, Verdict::NewMaster | Verdict::Paused | Verdict::Leased);
        wrong.then(|| format!("{owner}: {} in a round that ended early", decision.verdict))
    }

    /// The state is lost, and with it the memory of the last fence: no invocation can hold
    /// off because of it any more.
    pub fn loses_state(&mut self, now: u64) {
        (self.fenced, self.state_lost, self.promised) = (None, Some(now), None);
    }

    /// Whether a call at `now` may have been planned on a state that is lost.
    pub fn may_be_outdated(&self, now: u64) -> bool {
        self.state_lost.is_some_and(|at| now < at + UNDER_WAY)
    }

    pub fn ended(&mut self, owner: &str) {
        self.rounds_of.remove(owner);
    }

    /// What is wrong with a call, whichever member it harms.
    pub fn acts(
        &mut self,
        owner: &str,
        action: &Action,
        now: u64,
        cloud: &Cloud,
        setting: &Setting,
    ) -> Vec<String> {
        let mut wrong = Vec::new();
        let lost = self.may_be_outdated(now);
        let lease = cloud.state().and_then(|state: &State| state.lease.as_ref());
        if !lost && lease.is_none_or(|lease| lease.owner != owner) {
            wrong.push(format!("called while {lease:?} is the lease"));
        }
        let paused = cloud.state().and_then(|state| state.pause.as_ref());
        if paused.is_some_and(|pause| now < pause.until.0) && self.promised.is_some_and(|until| now < until) {
            wrong.push("called while paused, after the pause was answered".to_owned());
        }
        let Some(round) = self.rounds_of.get(owner) else {
            wrong.push("called without a round".to_owned());
            return wrong;
        };
        if round.took_part() < setting.majority() {
            wrong.push(format!("called with answers from {} core slots", round.took_part()));
        }
        match action {
            Action::Deregister { group, address, .. } => {
                let group = cloud.write.iter().chain(&cloud.read).find(|known| known.arn == *group);
                let only =
                    |group: &topology::Group| group.targets.len() == 1 && group.targets.contains(address);
                // Two plans may be executed concurrently when the lease is lost with the state.
                if !lost && group.is_some_and(only) {
                    wrong.push("emptied the group".to_owned());
                }
            }
            Action::Register { group, address, .. } if group.starts_with("write") => {
                wrong.extend(round.register(*address));
            }
            Action::Register { .. } => {}
            Action::Fence { task, .. } => wrong.extend(self.fence(task, now, lost, owner)),
        }
        wrong
    }

    fn fence(&mut self, task: &str, now: u64, lost: bool, owner: &str) -> Vec<String> {
        let mut wrong = Vec::new();
        let round = self.rounds_of.get(owner).cloned().unwrap_or_default();
        let said = round.nodes.iter().find(|(node, _)| node.task == task);
        // A repeated request that ECS has accepted already is a no-op.
        if said.is_none_or(|(node, _)| node.stopping) {
            return wrong;
        }
        let silent = round.silent.get(task).copied().unwrap_or(0);
        let now_silent = said.is_some_and(|(_, answer)| *answer == SILENT);
        if !now_silent || silent < EVIDENCE {
            wrong.push(format!("fenced after {silent} rounds of silence, silent now: {now_silent}"));
        }
        // A node that is stopping is not expected to answer.
        let missing =
            round.nodes.iter().filter(|(node, answer)| !answer.took_part() && !node.stopping).count();
        if missing > 1 {
            wrong.push(format!("fenced although {missing} nodes are missing"));
        }
        match &self.fenced {
            Some((other, at)) if other != task && now.saturating_sub(*at) < HOLD_OFF => {
                wrong.push(format!("fenced a second node {} ms after {other}", now - at));
            }
            Some((other, _)) if other == task => {}
            // The state is lost: no invocation can hold off because of that fence.
            _ if lost => {}
            _ => self.fenced = Some((task.to_owned(), now)),
        }
        wrong
    }

    /// Judges a fence of the task at `address` by what was true when its evidence was taken.
    pub fn harm(&self, owner: &str, task: &str, address: IpAddr, cluster: &Cluster) -> Judgement {
        let stopping = cluster.of(task).is_none_or(|index| cluster.members[index].stopping);
        match self.round(owner) {
            Some(round) if !stopping => {
                let followed = round.claimants().next().map(|node| node.address);
                let said = round.reported.iter().find(|(by, _)| Some(*by) == followed);
                round.moment.fence(address, said.map(|(_, truly)| *truly))
            }
            _ => Judgement::Right,
        }
    }
}

impl Round {
    /// What is wrong with registering the node at `address` as a writer.
    fn register(&self, address: IpAddr) -> Vec<String> {
        let mut wrong = Vec::new();
        match self.nodes.iter().find(|(node, _)| node.address == address) {
            Some((node, answer)) if node.kind == Kind::Core && answer.is_firm() => {}
            other => wrong.push(format!("registered as a writer what said {other:?}")),
        }
        let claimants: Vec<&Node> = self.claimants().collect();
        if claimants.is_empty() {
            wrong.push("registered a slave as the writer while no node is the master".to_owned());
        }
        if claimants.len() > 1 && !claimants.iter().any(|node| node.address == address) {
            wrong.push("armed a standby beside two masters".to_owned());
        }
        wrong
    }
}
