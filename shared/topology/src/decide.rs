//! One round: what was seen becomes what is done.

use std::{collections::BTreeSet, net::IpAddr, time::Duration};

use crate::{
    Action, Answer, Decision, Kind, Memory, Millis, Mode, Next, Node, Policy, Rearm, Refusal, State, Verdict,
    View,
    fence::{self, Finding, Look},
    groups::{arm, clean, cut},
    memory::{newly_late, remember},
    readers, sentence,
    state::Lease,
};

/// A standby is fit when it gave firm answers in this many rounds in a row.
const FIT_ROUNDS: u32 = 3;

/// How long a write gives its invocation the right to act. The next write renews it, and the end of the
/// invocation gives it back. Longer than the longest call (10 s), so that no call is under way when
/// another invocation begins.
const LEASE: Duration = Duration::from_secs(20);

/// Decides one round.
///
/// Switching, cutting, arming and fencing happen only when a majority of the configured core slots took part.
/// A single claimant is then followed, once several rounds in a row have confirmed it.
pub fn decide(now: Millis, policy: &Policy, state: &State, memory: &Memory, view: &View) -> Decision {
    let answered = view.answered();
    let mut round = Round {
        now,
        policy,
        view,
        state: state.clone(),
        memory: remember(now, memory, view),
        newly_late: newly_late(memory, view),
        stands: false,
        actions: Vec::new(),
        refusals: Vec::new(),
    };
    round.expire_pause();
    let (verdict, next) = if let Some(pause) = &round.state.pause {
        // An operator may be working on the nodes, so what they answer now must not count in later rounds.
        let seconds = pause.until.since(now).as_secs();
        round.refusals.push(Refusal::Paused { owner: pause.owner.clone(), seconds });
        round.memory.forget();
        (Verdict::Paused, Next::Rest)
    } else if answered < policy.majority() {
        // This function may be the one that is cut off. Once an invocation has seen the cluster
        // without a master it stays in the hot loop, even if it loses its majority: waiting for the
        // next sweep would delay the switch.
        let next = Next::look_again_if(round.state.no_master_since.is_some());
        round.memory.forget();
        round.refusals.push(Refusal::NoMajority { answered, needed: policy.majority() });
        (if answered == 0 { Verdict::Blind } else { Verdict::PartialView }, next)
    } else {
        // A majority of the core slots answers, so this function is not the side that is cut off.
        round.with_majority()
    };
    round.memory.last_round = Some(now);
    round.finish(state, verdict, next)
}

struct Round<'a> {
    now: Millis,
    policy: &'a Policy,
    view: &'a View,
    state: State,
    memory: Memory,
    /// A role endpoint was late for the first time: only the next round also asks Bolt, and
    /// can tell late from silent.
    newly_late: bool,
    /// This round's own evidence would fence the node of the outstanding fence too.
    stands: bool,
    actions: Vec<Action>,
    refusals: Vec<Refusal>,
}

impl<'a> Round<'a> {
    fn expire_pause(&mut self) {
        if self.state.pause.as_ref().is_some_and(|pause| self.now >= pause.until) {
            self.state.pause = None;
            self.state.note(self.now, "the pause has ended by itself".to_owned());
        }
    }

    fn with_majority(&mut self) -> (Verdict, Next) {
        // Counted only with a majority: with fewer answers this function itself may be cut off.
        fence::note_silence(self.now, self.view, &mut self.memory);
        // An incomplete listing must not replace the nodes that were known: absence proves nothing then.
        if self.view.complete {
            self.state.tasks = self.view.observations.iter().map(|seen| seen.node.clone()).collect();
        }
        let impostors = self.view.impostors();
        // Reported and otherwise ignored: a slave-only node cannot be elected, so its
        // claim is a fault of its own.
        self.refusals.extend(impostors.iter().map(|node| Refusal::SlaveOnlyClaims { address: node.address }));
        let claimants = self.view.claimants();
        if claimants.len() < 2 {
            self.memory.backed = None; // two rounds in a row
        }
        let (verdict, mut next) = match claimants[..] {
            [] => self.no_master(),
            [node] => self.one(node),
            ref several => self.several(several),
        };
        // In every round, also in one that looks again for another reason.
        if self.pursue_fence() {
            next = Next::LookAgain;
        }
        // After all other plans, because it must know them: no group may end up empty.
        clean(self.view, &mut self.state.missing, &mut self.actions, &mut self.refusals);
        // A round that did not read the groups cannot know, so it keeps what the last reading found.
        self.state.at_rest = self.is_at_rest(verdict, next).unwrap_or(self.state.at_rest);
        (verdict, next)
    }

    fn look(&self) -> Look<'_, 'a> {
        Look { now: self.now, policy: self.policy, state: &self.state, memory: &self.memory, view: self.view }
    }

    /// Asks for an earlier fence again until it has worked. Returns whether it still has time to work.
    fn pursue_fence(&mut self) -> bool {
        if self.actions.iter().any(|action| matches!(action, Action::Fence { .. })) {
            return true; // this very round asks for the first time
        }
        let (again, refusal) = fence::pursue(self.now, self.policy, &mut self.state, self.view, self.stands);
        let waits = matches!(refusal, Some(Refusal::FenceUnderWay { .. }));
        self.actions.extend(again);
        self.refusals.extend(refusal.filter(|refusal| !self.refusals.contains(refusal)));
        waits
    }

    /// Whether a sweep need not read the groups; `None` when this round did not read them itself.
    fn is_at_rest(&self, verdict: Verdict, next: Next) -> Option<bool> {
        let nodes = || self.view.observations.iter().filter(|seen| seen.node.kind == Kind::Core);
        let armed = |address: &IpAddr| self.view.groups.iter().all(|group| group.targets.contains(address));
        // A standby that is not registered yet will be, and perhaps no bell announces when it can be.
        let all_armed = self.policy.rearm == Rearm::Never || nodes().all(|seen| armed(&seen.node.address));
        let all_well = self.view.observations.iter().all(|seen| seen.answer.is_firm() && !seen.node.stopping);
        let quiet = next == Next::Rest && self.actions.is_empty() && self.state.missing.is_empty();
        (self.view.read && self.view.readers_read)
            .then_some(verdict == Verdict::Steady && quiet && all_armed && all_well)
    }

    /// Holds the last known target: the balancer's own check knows better than this function which
    /// node is the next master.
    fn no_master(&mut self) -> (Verdict, Next) {
        // A round without a claimant ends the row of rounds that confirms one.
        self.memory.claim = None;
        // Kept from the first such round: every clock starts when the function itself
        // first saw the condition.
        self.state.no_master_since.get_or_insert(self.now);
        self.refusals.push(Refusal::NobodyToFollow);
        let finding = self.look().without_master();
        let verdict = match finding {
            // Only in HA: followers of Raft say the same with and without a leader.
            _ if self.policy.mode == Mode::Ha && !self.view.slaves().is_empty() => Verdict::MasterUnseen,
            // Named even when a refusal holds the fence back: the verdict is what was
            // found, not what is done.
            Finding::Fence(_) | Finding::Frozen(_) | Finding::Again(..) => Verdict::FrozenMaster,
            Finding::NoneSilent | Finding::Refused(_) | Finding::Suspect(_) => Verdict::NoMaster,
        };
        self.fence(finding, true);
        // Looks again: the next master must be followed as soon as it appears, and the next
        // sweep may be a minute away.
        (verdict, Next::LookAgain)
    }

    /// Plans the actions and refusals that follow from a finding.
    fn fence(&mut self, finding: Finding<'_>, last_master: bool) {
        match finding {
            Finding::NoneSilent => {}
            Finding::Refused(refusal) | Finding::Suspect(refusal) | Finding::Frozen(refusal) => {
                self.refusals.push(refusal);
            }
            // No request here: `pursue_fence` knows when the last one was, and asks again in time.
            Finding::Again(refusal) => {
                self.refusals.push(refusal);
                self.stands = true;
            }
            Finding::Fence(node) => {
                let action = fence::fence(self.now, &mut self.state, &self.memory, node, last_master);
                self.actions.push(action);
            }
        }
    }

    fn one(&mut self, node: &Node) -> (Verdict, Next) {
        // The followed master needs no confirmation, so that a cluster at rest costs one round.
        if self.state.follows(node) {
            // The followed master is back, so the rounds of another claimant are not in a row any more.
            (self.state.no_master_since, self.memory.claim) = (None, None);
            let a_standby_is_almost_fit = self.follow(node.address);
            let a_reader_is_almost_fit = self.serve_readers(node.address);
            // A frozen slave stalls the commits of a healthy master, so silence matters here too.
            let finding = self.look().beside_master();
            // A silence must be listened to within one invocation, and a node that was late
            // once may be a silent one.
            let listens = fence::keeps_looking(&finding) || self.newly_late;
            self.fence(finding, false);
            // Looks again after calls: one may have failed, and the next round plans on what is really there.
            let calls = !self.actions.is_empty();
            let again = a_standby_is_almost_fit || a_reader_is_almost_fit || listens || calls;
            return (Verdict::Steady, Next::look_again_if(again));
        }
        // Another node: one answer may be late or wrong, so several rounds in a row must
        // find it the only claimant.
        let (rounds, first) = match self.memory.claim {
            Some((address, rounds, first)) if address == node.address => (rounds + 1, first),
            _ => (1, self.now),
        };
        self.memory.claim = Some((node.address, rounds, first));
        // More rounds after recent switches: a master that changes often is harder to believe.
        let needed = self.policy.confirmations_after(self.state.recent_switches(self.now));
        if rounds < needed {
            // Plans nothing that changes the state: a write would take longer than the round.
            self.refusals.push(Refusal::Unconfirmed { address: node.address, rounds, needed });
        } else if !self.view.complete && !self.has_majority(node) {
            // A task that is not listed was not asked, and may be the master. Then this claimant is
            // stale, and hears no majority.
            self.refusals.push(Refusal::Unbacked { address: node.address });
        } else {
            self.state.no_master_since = None;
            self.state.switch(node, self.now);
            // After a switch everything else is cut out: the balancer's fail-open to the
            // only target is then right.
            self.follow(node.address);
        }
        // Looks again: the claim is not confirmed yet, or no round has found the groups cut yet.
        (Verdict::NewMaster, Next::LookAgain)
    }

    /// Plans what the read groups need. Returns whether a node is about to become fit.
    fn serve_readers(&mut self, master: IpAddr) -> bool {
        let fit =
            |address: &IpAddr| self.memory.firm.get(address).is_some_and(|rounds| *rounds >= FIT_ROUNDS);
        let (actions, almost) = readers::plan(self.view, self.policy, master, fit);
        self.actions.extend(actions);
        almost
    }

    /// Follows one claimant, never several: the one whose own members are a majority, if every other one
    /// reports that its own are not; otherwise the incumbent, unless it reports a minority itself. If neither
    /// exists, none is preferred. No standby is armed until one claimant is left.
    fn several(&mut self, claimants: &[&Node]) -> (Verdict, Next) {
        // Two claimants end the row of rounds that confirms a single one.
        self.memory.claim = None;
        let before =
            self.memory.backed.take().filter(|one| claimants.iter().any(|node| node.address == *one));
        let backed: Vec<&&Node> = claimants.iter().filter(|node| self.has_majority(node)).collect();
        // A claimant that does not report its members may have the majority: a failed read
        // is no evidence against it.
        let all_report = claimants.iter().all(|node| self.reports(node).is_some());
        let stays = match backed[..] {
            [node] if all_report => Some(node),
            // Without evidence nothing moves: the incumbent stays, unless its own report speaks against it.
            _ => claimants.iter().find(|node| {
                self.state.follows(node) && self.reports(node).is_none_or(|alive| self.policy.carries(alive))
            }),
        };
        let Some(node) = stays else {
            // No evidence for any of them: the order of a list must not decide.
            let claimants = claimants.iter().map(|node| node.address).collect();
            self.refusals.push(Refusal::NoEvidence { claimants });
            self.state.no_master_since = None;
            return (Verdict::DualMaster, Next::LookAgain);
        };
        let unconfirmed = if self.state.follows(node) {
            // It reported a minority a moment ago, and does not report now: a read that failed must not cut the other one.
            before.filter(|_| self.reports(node).is_none())
        } else {
            // A node is asked for its claim first, and for its members after it: a stale master that rejoins in between has claimed,
            // and hears a majority. Only a claim of the next round is newer than that report.
            Some(node.address).filter(|address| before != Some(*address))
        };
        if let Some(address) = unconfirmed {
            // Plans nothing that changes the state, as for a single claimant.
            self.memory.backed = Some(address);
            self.refusals.push(Refusal::Unconfirmed { address, rounds: 1, needed: 2 });
            return (Verdict::DualMaster, Next::LookAgain);
        }
        self.state.no_master_since = None;
        if !self.state.follows(node) {
            self.state.switch(node, self.now);
        }
        // The balancer's check admits every claimant, so only the groups keep writers
        // away from the other ones.
        self.actions = cut(&self.view.groups, node.address);
        self.state.uncut |= !self.actions.is_empty();
        (Verdict::DualMaster, Next::LookAgain)
    }

    /// Whether the claimant's own member view backs it: a claimant that hears no majority is a stale master.
    fn has_majority(&self, node: &Node) -> bool {
        self.reports(node).is_some_and(|alive| self.policy.carries(alive))
    }

    /// Server ids of the members that a claimant reports alive; `None` if it was not asked
    /// or does not report them.
    fn reports(&self, node: &Node) -> Option<&BTreeSet<u32>> {
        self.view.of(&node.task).and_then(|seen| seen.alive.as_ref())
    }

    /// Plans what the write groups need for `master`. Returns whether a standby is about to become fit.
    fn follow(&mut self, master: IpAddr) -> bool {
        // A switch is complete when a round has found the groups cut. Until then nothing is armed: the calls
        // may have failed for longer than the standbys must stay out.
        if self.state.uncut || self.policy.rearm == Rearm::Never {
            self.actions = cut(&self.view.groups, master);
            // Only a round that read all groups can find them cut, and the wait of the standbys begins then.
            if self.state.uncut && self.view.read && self.actions.is_empty() {
                (self.state.uncut, self.state.cut_at) = (false, Some(self.now));
            }
            return false;
        }
        let arming = match (self.policy.rearm, self.state.cut_at) {
            (Rearm::Never, _) => unreachable!("only the master is ever registered"),
            // The first master of a cluster has no predecessor to be cut from.
            (Rearm::After(_), None) => true,
            (Rearm::After(wait), Some(cut_at)) => self.now.since(cut_at) >= wait,
        };
        if !arming {
            // Until the wait is over only the master is registered: fail-open would send
            // writes to every other target.
            self.actions = cut(&self.view.groups, master);
            return false;
        }
        // A node that is stopping leaves in a moment, so it is not registered again.
        let slaves = self.view.observations.iter().filter(|seen| {
            seen.node.kind == Kind::Core && !seen.node.stopping && seen.answer == Answer::Slave
        });
        let (fit, almost): (Vec<IpAddr>, Vec<IpAddr>) = slaves
            .map(|seen| seen.node.address)
            .partition(|address| self.memory.firm.get(address).is_some_and(|rounds| *rounds >= FIT_ROUNDS));
        let these: BTreeSet<IpAddr> = fit.into_iter().chain([master]).collect();
        // Adds only: a late answer takes no address out, because the balancer's own
        // check knows about that node.
        self.actions = arm(&self.view.groups, &these);
        almost.iter().any(|address| self.view.groups.iter().any(|group| !group.targets.contains(address)))
    }

    fn finish(mut self, before: &State, verdict: Verdict, next: Next) -> Decision {
        // Registrations first (the order of the variants), so that no group is emptied on the way.
        self.actions.sort();
        self.state.forget_old_switches(self.now);
        // Written before acting, so that an invocation that lost the write race makes no call.
        let writes = !self.actions.is_empty() || self.state.differs(before);
        // A lease that is over does not count: its invocation may have been killed.
        let foreign =
            before.lease.as_ref().filter(|lease| lease.owner != self.memory.owner && self.now < lease.until);
        if let Some(lease) = foreign.filter(|_| writes) {
            // A concurrent invocation acts, and has the same picture or a newer one: this plan is dropped.
            self.refusals.push(Refusal::Leased { owner: lease.owner.clone() });
            self.actions.clear();
            self.state = before.clone();
        }
        let writes = writes && foreign.is_none();
        let sentence =
            sentence::of(verdict, &self.state, self.view, self.policy, &self.actions, &self.refusals);
        if writes {
            // Every write renews the lease: the calls that follow need it.
            self.state.generation += 1;
            self.state.lease = Some(Lease { owner: self.memory.owner.clone(), until: self.now.after(LEASE) });
            self.state.sentence.clone_from(&sentence);
        } else {
            // What `differs` ignores is not worth a write, so the stored state stays exactly as it is.
            self.state = before.clone();
        }
        let Self { actions, refusals, state, memory, .. } = self;
        Decision { verdict, actions, refusals, sentence, state, memory, next }
    }
}
