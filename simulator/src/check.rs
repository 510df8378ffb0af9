//! What must never happen: every event of the world passes through here.

use topology::{Action, Answer, Decision, Node, Refusal, State, Verdict};

use crate::{
    bounds::Bounds,
    calls::{Calls, Round},
    cloud::Cloud,
    cluster::Cluster,
    counts::Counts,
    setting::Setting,
    truth::{self, Judgement, Moment},
};

/// Counts and complaints of one history.
#[derive(Clone, Debug, Default)]
pub struct Checks {
    /// How often each thing happened.
    pub counts: Counts,
    /// What no call may do.
    pub calls: Calls,
    /// What must have happened by when.
    pub bounds: Bounds,
    /// Rounds of all invocations.
    pub rounds: u64,
    /// The story, line by line, if it is wanted.
    pub told: Option<Vec<String>>,
    /// Invariants that did not hold; a history ends with the first.
    pub broken: Vec<String>,
}

impl Checks {
    /// Checks of a history in which nothing has happened yet; `telling`: the story is kept.
    pub fn new(telling: bool) -> Self {
        Self { told: telling.then(Vec::new), ..Self::default() }
    }

    pub fn asks(&mut self, owner: &str, now: u64, cluster: &Cluster) {
        self.calls.asks(owner, now, truth::master(cluster, now));
    }

    /// The nodes have answered.
    pub fn probed(&mut self, owner: &str, nodes: &[Node], answers: &[Answer], now: u64, cluster: &Cluster) {
        self.rounds += 1;
        self.tell(|| {
            let said: Vec<String> =
                nodes.iter().zip(answers).map(|(node, said)| format!("{} {said:?}", node.address)).collect();
            format!("{now:>8} {owner} heard {}", said.join(", "))
        });
        self.calls.probed(owner, nodes, answers, Moment::of(cluster, now));
        if self.calls.round(owner).is_some_and(Round::is_early) {
            self.counts.count("round", "that ended early");
        }
    }

    /// A node was asked for the members that it hears.
    pub fn reported(&mut self, owner: &str, node: &Node, said: bool, now: u64, cluster: &Cluster) {
        if let Some(index) = cluster.of(&node.task).filter(|_| said) {
            self.calls.reported(owner, node.address, !cluster.members[index].misreports(now));
        }
    }

    /// An invocation decided, before it writes; the object holds `stored`.
    pub fn decided(&mut self, owner: &str, decision: &Decision, now: u64, stored: Option<&State>) {
        self.tell(|| format!("{now:>8} {owner}: {}: {}", decision.verdict, decision.sentence));
        self.counts.decided(decision);
        self.broken.extend(self.calls.decided(owner, decision).map(|what| format!("at {now} ms {what}")));
        let holds = |refusal: &Refusal| {
            matches!(
                refusal,
                Refusal::Leased { .. } | Refusal::Unconfirmed { .. } | Refusal::NoEvidence { .. }
            )
        };
        let found = matches!(decision.verdict, Verdict::Steady | Verdict::NewMaster | Verdict::DualMaster);
        let master = decision.state.master.as_ref().map(|master| master.address);
        let (Some(master), Some(round)) = (master, self.calls.round(owner)) else { return };
        if found && round.has_claimant(master) && !decision.refusals.iter().any(holds) {
            let began = round.began;
            // A plan that will be written brings a lease of its own.
            let lease = decision.state.lease.as_ref().filter(|lease| lease.owner == owner);
            let writes = lease.is_some() && stored.and_then(|state| state.lease.as_ref()) != lease;
            self.bounds.found((owner, master), began, now, writes);
        }
    }

    /// An invocation writes the state, without a concurrent write since it read the state.
    pub fn stored(&mut self, owner: &str, state: &State, now: u64) {
        let switched = state.master.as_ref().filter(|master| self.bounds.followed() != Some(master.address));
        if let (Some(master), Some(round)) = (switched, self.calls.round(owner)) {
            let (judgement, moment) = (round.switch(master.address), round.moment.clone());
            self.tell(|| format!("{now:>8} {owner} follows {}: {judgement:?}", master.address));
            self.judge("exempt switch", judgement, &moment, || format!("at {now} ms {owner}"));
        }
        self.bounds.follows(state.master.as_ref());
        self.bounds.stored(owner, now);
    }

    pub fn acts(
        &mut self,
        owner: &str,
        action: &Action,
        now: u64,
        cloud: &Cloud,
        cluster: &Cluster,
        setting: &Setting,
    ) {
        self.tell(|| {
            let held: Vec<_> = cloud.write.iter().map(|group| &group.targets).collect();
            format!("{now:>8} {owner} calls {action} in {:?}; write {held:?}", action.group())
        });
        self.counts.called(action);
        let mut wrong = self.calls.acts(owner, action, now, cloud, setting);
        match action {
            Action::Fence { task, address, .. } => {
                let judgement = self.calls.harm(owner, task, *address, cluster);
                let moment = self.calls.round(owner).map(|round| round.moment.clone()).unwrap_or_default();
                self.judge("exempt fence", judgement, &moment, || format!("at {now} ms {owner}: {action}"));
            }
            Action::Register { group, address, .. } if group.starts_with("write") => {
                let standby = self.bounds.followed().is_some_and(|followed| followed != *address);
                let outdated = self.calls.may_be_outdated(now);
                if standby && !outdated && !self.bounds.may_arm(now, setting.policy.rearm) {
                    wrong.push("re-armed too soon".to_owned());
                }
            }
            _ => {}
        }
        self.broken.extend(wrong.into_iter().map(|what| format!("at {now} ms {owner}: {action}: {what}")));
    }

    fn judge(
        &mut self,
        kind: &'static str,
        judgement: Judgement,
        moment: &Moment,
        when: impl FnOnce() -> String,
    ) {
        match judgement {
            Judgement::Right => {}
            Judgement::Exempt(name) => self.counts.count(kind, name),
            Judgement::Wrong(what) => {
                self.tell(|| format!("{what}: {moment:#?}"));
                self.broken.push(format!("{}: {what}", when()));
            }
        }
    }

    /// Looks at the world as it is, ten times a second.
    pub fn look(&mut self, now: u64, works: bool, cluster: &Cluster, cloud: &mut Cloud, setting: &Setting) {
        let late = self.bounds.look(now, works, cluster, cloud, setting, &mut self.counts);
        self.broken.extend(late.map(|what| format!("at {now} ms: {what}")));
    }

    pub fn loses_state(&mut self, now: u64) {
        self.calls.loses_state(now);
        self.bounds.follows(None);
    }

    /// Adds a line to the story, if that is kept.
    pub fn tell(&mut self, line: impl FnOnce() -> String) {
        if let Some(told) = &mut self.told {
            told.push(line());
        }
    }

    /// An invocation has ended, in the middle of a round or not.
    pub fn ended(&mut self, owner: &str, broke_off: bool) {
        self.calls.ended(owner);
        if broke_off {
            self.bounds.broke_off(owner);
        }
    }

    /// A violation that was found at the end.
    pub fn breaks(&mut self, now: u64, what: &str) {
        self.broken.push(format!("at {now} ms: {what}"));
    }
}
