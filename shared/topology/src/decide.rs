//! One round: what was seen becomes what is done.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    time::Duration,
};

use crate::{
    Action, Answer, Kind, Millis, Node, Policy, Rearm, Refusal, State, Verdict, View,
    fence::{self, Finding},
    groups::{arm, clean, cut},
    readers, sentence,
    state::Lease,
};

/// A standby is fit when it gave firm answers in so many rounds in a row.
const FIT_ROUNDS: u32 = 3;

/// How long a write gives its invocation the right to act; the next write renews it, the end of the invocation gives it
/// back. Longer than the longest call (10 s), so that none is under way when somebody else begins.
const LEASE: Duration = Duration::from_secs(20);

/// What an invocation remembers between its own rounds; a new invocation starts with none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// The invocation, which holds the lease when it acts.
    pub owner: String,
    /// Who was the only claimant, for how many rounds in a row, and when the first of them was.
    pub claim: Option<(IpAddr, u32, Millis)>,
    /// Rounds in a row with firm answers.
    pub firm: BTreeMap<IpAddr, u32>,
    /// Rounds in a row of silence, by task, and when the first of them was.
    pub silent: BTreeMap<String, (u32, Millis)>,
}

impl Memory {
    /// What was counted in a row begins anew.
    fn forget(&mut self) {
        self.claim = None;
        self.silent.clear();
    }

    /// The memory of an invocation that begins.
    pub fn of(owner: impl Into<String>) -> Self {
        Self { owner: owner.into(), ..Self::default() }
    }
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
/// Switching, cutting, arming and fencing happen only when a majority of the configured members took part; then the confirmed
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
    round.expire_pause();
    let (verdict, hot) = if let Some(pause) = &round.state.pause {
        let seconds = pause.until.since(now).as_secs();
        round.refusals.push(Refusal::Paused { owner: pause.owner.clone(), seconds });
        round.memory.forget();
        (Verdict::Paused, false)
    } else if answered < policy.majority() {
        // Whoever saw that there is no master goes on looking: a sweep later is too late for the one who comes.
        let hot = round.state.no_master_since.is_some();
        round.memory.forget();
        round.state.silent.clear();
        round.refusals.push(Refusal::NoMajority { answered, needed: policy.majority() });
        (if answered == 0 { Verdict::Blind } else { Verdict::PartialView }, hot)
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
    fn expire_pause(&mut self) {
        if self.state.pause.as_ref().is_some_and(|pause| self.now >= pause.until) {
            self.state.pause = None;
            self.state.note(self.now, "the pause has ended by itself".to_owned());
        }
    }

    fn with_majority(&mut self) -> (Verdict, bool) {
        fence::note_silence(self.now, self.view, &mut self.memory, &mut self.state);
        if self.view.complete {
            let nodes = self.view.observations.iter().map(|seen| &seen.node);
            self.state.addresses = nodes.map(|node| (node.slot.clone(), node.address)).collect();
        }
        let impostors = self.view.impostors();
        self.refusals.extend(impostors.iter().map(|node| Refusal::SlaveOnlyClaims { address: node.address }));
        let claimants = self.view.claimants();
        let outcome = match claimants[..] {
            [] => self.nobody(),
            [node] => self.one(node),
            ref several => self.several(several),
        };
        let has_master = claimants.len() == 1;
        let failed = fence::verify(self.now, self.policy, &mut self.state, self.view, has_master);
        if let Some(failed) = failed.filter(|failed| !self.refusals.contains(failed)) {
            self.refusals.push(failed);
        }
        clean(self.view, &mut self.state.missing, &mut self.actions, &mut self.refusals);
        outcome
    }

    /// The last known target is held: the balancer's check knows better than we do who comes next.
    fn nobody(&mut self) -> (Verdict, bool) {
        self.memory.claim = None;
        self.state.no_master_since.get_or_insert(self.now);
        self.refusals.push(Refusal::NobodyToFollow);
        let finding = fence::without_master(self.now, self.policy, &self.state, &self.memory, self.view);
        let suspected = self.fence(finding, true) && fence::is_silent(&self.memory);
        (if suspected { Verdict::FrozenMaster } else { Verdict::NoMaster }, true)
    }

    /// Whether somebody is suspected, with what follows from it.
    fn fence(&mut self, finding: Finding<'_>, last_master: bool) -> bool {
        match finding {
            Finding::Nobody => false,
            Finding::Refused(refusal) => {
                self.refusals.push(refusal);
                false
            }
            Finding::Suspect(refusal) => {
                self.refusals.push(refusal);
                true
            }
            Finding::Fence(node) => {
                let action = fence::fence(self.now, self.policy, &mut self.state, node, last_master);
                self.actions.push(action);
                true
            }
        }
    }

    fn one(&mut self, node: &Node) -> (Verdict, bool) {
        if self.state.follows(node) {
            (self.state.no_master_since, self.memory.claim) = (None, None);
            let waits = self.follow(node.address) | self.serve_readers(node.address);
            let finding = fence::beside_master(self.now, self.policy, &self.state, &self.memory, self.view);
            let waits = waits | fence::keeps_looking(&finding);
            self.fence(finding, false);
            return (Verdict::Steady, waits || !self.actions.is_empty());
        }
        let (rounds, first) = match self.memory.claim {
            Some((address, rounds, first)) if address == node.address => (rounds + 1, first),
            _ => (1, self.now),
        };
        self.memory.claim = Some((node.address, rounds, first));
        let needed = self.policy.confirmations_after(self.state.recent_switches(self.now));
        if rounds < needed {
            // Nothing that would be written, for a write would take longer than the round.
            self.refusals.push(Refusal::Unconfirmed { address: node.address, rounds, needed });
        } else {
            self.state.no_master_since = None;
            self.state.switch(node, self.now);
            self.follow(node.address);
        }
        (Verdict::NewMaster, true)
    }

    /// Plans what the read groups need; whether somebody is about to become fit.
    fn serve_readers(&mut self, master: IpAddr) -> bool {
        let fit =
            |address: &IpAddr| self.memory.firm.get(address).is_some_and(|rounds| *rounds >= FIT_ROUNDS);
        let (actions, almost) = readers::plan(self.view, self.policy, master, fit);
        self.actions.extend(actions);
        almost
    }

    /// Never both, never none: the one whose own members are a majority stays, else the incumbent; nobody is armed until
    /// one is left.
    fn several(&mut self, claimants: &[&Node]) -> (Verdict, bool) {
        self.memory.claim = None;
        self.state.no_master_since = None;
        let backed: Vec<&&Node> = claimants.iter().filter(|node| self.has_majority(node)).collect();
        let stays = match backed[..] {
            [node] => Some(node),
            _ => claimants.iter().find(|node| self.state.follows(node)),
        };
        if let Some(node) = stays {
            if !self.state.follows(node) {
                self.state.switch(node, self.now);
            }
            self.actions = cut(&self.view.groups, node.address);
            if !self.actions.is_empty() {
                self.state.cut_at = Some(self.now);
            }
        } else {
            let claimants = claimants.iter().map(|node| node.address).collect();
            self.refusals.push(Refusal::NoEvidence { claimants });
        }
        (Verdict::DualMaster, true)
    }

    fn has_majority(&self, node: &Node) -> bool {
        let said = self.view.observations.iter().find(|seen| seen.node.task == node.task);
        said.and_then(|seen| seen.alive).is_some_and(|alive| alive >= self.policy.majority())
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
        let writes = !self.actions.is_empty() || self.state.differs(before);
        let foreign =
            before.lease.as_ref().filter(|lease| lease.owner != self.memory.owner && self.now < lease.until);
        if let Some(lease) = foreign.filter(|_| writes) {
            // Somebody else is at it, and has the same picture or a newer one.
            self.refusals.push(Refusal::Leased { owner: lease.owner.clone() });
            self.actions.clear();
            self.state = before.clone();
        }
        let writes = writes && foreign.is_none();
        let sentence =
            sentence::of(verdict, &self.state, self.view, self.policy, &self.actions, &self.refusals);
        if writes {
            self.state.generation += 1;
            self.state.lease = Some(Lease { owner: self.memory.owner.clone(), until: self.now.after(LEASE) });
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
    let firm = firm.collect();
    Memory { owner: memory.owner.clone(), claim: memory.claim, firm, silent: memory.silent.clone() }
}
