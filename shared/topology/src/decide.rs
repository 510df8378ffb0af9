//! One round: what was seen becomes what is done.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use crate::{
    Action, Answer, Kind, Millis, Node, Policy, Rearm, Refusal, State, Verdict, View,
    groups::{arm, clean, cut},
    sentence,
};

/// A standby is fit when it gave firm answers in so many rounds in a row.
const FIT_ROUNDS: u32 = 3;

/// What an invocation remembers between its own rounds; a new invocation starts with none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// Who was the only claimant, for how many rounds in a row, and when the first of them was.
    pub claim: Option<(IpAddr, u32, Millis)>,
    /// Rounds in a row with firm answers.
    pub firm: BTreeMap<IpAddr, u32>,
}

/// What follows from a round.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// What was found.
    pub verdict: Verdict,
    /// What is to be done, registrations first.
    pub actions: Vec<Action>,
    /// What is not done, and why.
    pub refusals: Vec<Refusal>,
    /// One English sentence: log line and status at once.
    pub sentence: String,
    /// The state from now on. When it must be written, its generation is raised: write it before acting, and drop the
    /// plan when somebody else was faster.
    pub state: State,
    /// What the next round of this invocation needs.
    pub memory: Memory,
    /// Whether something is under way that the next sweep would be too late for.
    pub look_again: bool,
}

impl Decision {
    /// Whether the state has to be written before the actions are done.
    pub fn writes(&self, before: &State) -> bool {
        self.state.generation != before.generation
    }
}

/// Decides one round.
///
/// Switching, cutting and arming happen only when a majority of the configured members took part; then the confirmed
/// only claimant is always followed, and everything else is held.
pub fn decide(now: Millis, policy: &Policy, state: &State, memory: &Memory, view: &View) -> Decision {
    let answered = view.answered();
    let mut round = Round {
        now,
        policy,
        view,
        state: state.clone(),
        memory: remember(memory, view),
        actions: Vec::new(),
        refusals: Vec::new(),
    };
    let (verdict, hot) = if answered < policy.majority() {
        round.memory.claim = None;
        round.refusals.push(Refusal::NoMajority { answered, needed: policy.majority() });
        (if answered == 0 { Verdict::Blind } else { Verdict::PartialView }, false)
    } else {
        round.with_majority()
    };
    round.finish(state, verdict, hot)
}

struct Round<'a> {
    now: Millis,
    policy: &'a Policy,
    view: &'a View,
    state: State,
    memory: Memory,
    actions: Vec<Action>,
    refusals: Vec<Refusal>,
}

impl Round<'_> {
    fn with_majority(&mut self) -> (Verdict, bool) {
        let impostors = self.view.impostors();
        self.refusals.extend(impostors.iter().map(|node| Refusal::SlaveOnlyClaims { address: node.address }));
        let outcome = match self.view.claimants()[..] {
            [] => self.nobody(),
            [node] => self.one(node),
            ref several => self.several(several),
        };
        clean(self.view, &mut self.state.missing, &mut self.actions, &mut self.refusals);
        outcome
    }

    /// The last known target is held: the balancer's check knows better than we do who comes next.
    fn nobody(&mut self) -> (Verdict, bool) {
        self.memory.claim = None;
        self.state.no_master_since.get_or_insert(self.now);
        self.refusals.push(Refusal::NobodyToFollow);
        (Verdict::NoMaster, true)
    }

    fn one(&mut self, node: &Node) -> (Verdict, bool) {
        self.state.no_master_since = None;
        if self.state.follows(node) {
            self.memory.claim = None;
            let waits = self.follow(node.address);
            return (Verdict::Steady, waits || !self.actions.is_empty());
        }
        let (rounds, first) = match self.memory.claim {
            Some((address, rounds, first)) if address == node.address => (rounds + 1, first),
            _ => (1, self.now),
        };
        self.memory.claim = Some((node.address, rounds, first));
        let needed = self.policy.confirmations_after(self.state.recent_switches(self.now));
        if rounds < needed {
            self.refusals.push(Refusal::Unconfirmed { address: node.address, rounds, needed });
        } else {
            self.state.switch(node, self.now);
            self.follow(node.address);
        }
        (Verdict::NewMaster, true)
    }

    /// Never both, never none: the incumbent stays, and nobody is armed until one is left.
    fn several(&mut self, claimants: &[&Node]) -> (Verdict, bool) {
        self.memory.claim = None;
        self.state.no_master_since = None;
        if let Some(incumbent) = claimants.iter().find(|node| self.state.follows(node)) {
            self.actions = cut(&self.view.groups, incumbent.address);
            if !self.actions.is_empty() {
                self.state.cut_at = Some(self.now);
            }
        } else {
            let claimants = claimants.iter().map(|node| node.address).collect();
            self.refusals.push(Refusal::NoEvidence { claimants });
        }
        (Verdict::DualMaster, true)
    }

    /// Plans what the groups need for `master`; whether a standby is about to become fit.
    fn follow(&mut self, master: IpAddr) -> bool {
        let arming = match (self.policy.rearm, self.state.cut_at) {
            (Rearm::Never, _) => false,
            (Rearm::After(_), None) => true,
            (Rearm::After(wait), Some(cut_at)) => self.now.since(cut_at) >= wait,
        };
        if !arming {
            self.actions = cut(&self.view.groups, master);
            return false;
        }
        let slaves = self
            .view
            .observations
            .iter()
            .filter(|seen| seen.node.kind == Kind::Core && seen.answer == Answer::Slave);
        let (fit, almost): (Vec<IpAddr>, Vec<IpAddr>) = slaves
            .map(|seen| seen.node.address)
            .partition(|address| self.memory.firm.get(address).is_some_and(|rounds| *rounds >= FIT_ROUNDS));
        let these: BTreeSet<IpAddr> = fit.into_iter().chain([master]).collect();
        self.actions = arm(&self.view.groups, &these);
        almost.iter().any(|address| self.view.groups.iter().any(|group| !group.targets.contains(address)))
    }

    fn finish(mut self, before: &State, verdict: Verdict, look_again: bool) -> Decision {
        self.actions.sort();
        self.state.forget_old_switches(self.now);
        let sentence =
            sentence::of(verdict, &self.state, self.view, self.policy, &self.actions, &self.refusals);
        if !self.actions.is_empty() || self.state.differs(before) {
            self.state.generation += 1;
            self.state.sentence.clone_from(&sentence);
        } else {
            self.state = before.clone();
        }
        let Self { actions, refusals, state, memory, .. } = self;
        Decision { verdict, actions, refusals, sentence, state, memory, look_again }
    }
}

/// Firm rounds in a row, for the nodes that are still there.
fn remember(memory: &Memory, view: &View) -> Memory {
    let firm = view.observations.iter().filter(|seen| seen.answer.is_firm()).map(|seen| {
        let address = seen.node.address;
        (address, memory.firm.get(&address).copied().unwrap_or(0).saturating_add(1))
    });
    Memory { claim: memory.claim, firm: firm.collect() }
}
