//! What must never happen, checked at every call, and what has happened, counted.

use std::collections::BTreeMap;

use topology::{Action, Answer, Decision, Kind, Lease, Millis, Node, NotKnown, Verdict};

use crate::{cloud::Cloud, cluster::Cluster};

/// What a node says that says nothing.
pub const SILENT: Answer = Answer::NotKnown(NotKnown::Silent);
/// What one is taken to say that was not waited for.
pub const NOT_AWAITED: Answer = Answer::NotKnown(NotKnown::NotAwaited);
/// Rounds of silence without which a fence has no evidence.
const EVIDENCE: u32 = 3;

/// The hold-off of 300 s counts from the decision; the call may come a lease later.
const HOLD_OFF: u64 = 280_000;

/// A master that lost its majority steps down by itself in so long (measured), whatever the balancer does.
const TWO_MASTERS: u64 = 5_000;

/// The last round of an invocation, as it saw it.
#[derive(Clone, Debug, Default)]
struct Round {
    nodes: Vec<(Node, Answer)>,
    /// Rounds of silence in a row, by task.
    silent: BTreeMap<String, u32>,
    verdict: Option<Verdict>,
}

/// Counts and complaints of one history.
#[derive(Clone, Debug, Default)]
pub struct Checks {
    rounds_of: BTreeMap<String, Round>,
    /// The last fence: its task and when it was first asked for.
    fenced: Option<(String, u64)>,
    state_lost: Option<u64>,
    /// Since when two nodes take writes through the balancer.
    two_writers: Option<u64>,
    /// The version of the state object, which never goes back.
    pub versions: u64,
    /// Rounds.
    pub rounds: u64,
    /// Rounds that ended before everybody had answered.
    pub early: u64,
    /// How often each verdict was found.
    pub verdicts: BTreeMap<String, u64>,
    /// How often each refusal was given.
    pub refusals: BTreeMap<String, u64>,
    /// How often each call was made.
    pub actions: BTreeMap<&'static str, u64>,
    /// The story, line by line, when somebody wants to read it.
    pub told: Option<Vec<String>>,
    /// Invariants that did not hold; a history ends with the first.
    pub broken: Vec<String>,
}

impl Checks {
    /// Nothing has happened yet; the story is kept when somebody wants to be told.
    pub fn new(telling: bool) -> Self {
        Self { told: telling.then(Vec::new), ..Self::default() }
    }

    /// An invocation asked its nodes.
    pub fn probed(&mut self, owner: &str, nodes: &[Node], answers: &[Answer]) {
        self.rounds += 1;
        let round = self.rounds_of.entry(owner.to_owned()).or_default();
        round.nodes = nodes.iter().cloned().zip(answers.iter().copied()).collect();
        let before = std::mem::take(&mut round.silent);
        let so_far = |node: &Node| before.get(&node.task).copied().unwrap_or(0);
        for (node, answer) in &round.nodes {
            let rounds = match *answer {
                SILENT => so_far(node) + 1,
                NOT_AWAITED => so_far(node),
                _ => 0,
            };
            round.silent.insert(node.task.clone(), rounds);
        }
        self.early += u64::from(answers.contains(&NOT_AWAITED));
    }

    /// An invocation decided.
    pub fn decided(&mut self, owner: &str, decision: &Decision, now: u64) {
        self.tell(|| format!("{now:>8} {owner}: {}: {}", decision.verdict, decision.sentence));
        *self.verdicts.entry(decision.verdict.to_string()).or_default() += 1;
        for refusal in &decision.refusals {
            let name = format!("{refusal:?}");
            let name = name.split([' ', '{']).next().unwrap_or_default().to_owned();
            *self.refusals.entry(name).or_default() += 1;
        }
        let round = self.rounds_of.entry(owner.to_owned()).or_default();
        round.verdict = Some(decision.verdict);
        let early = round.nodes.iter().any(|(_, answer)| *answer == NOT_AWAITED);
        if early && !matches!(decision.verdict, Verdict::NewMaster | Verdict::Paused) {
            let what = format!("at {now} ms {owner}: {} in a round that ended early", decision.verdict);
            self.broken.push(what);
        }
    }

    /// An invocation calls.
    pub fn acts(
        &mut self,
        owner: &str,
        action: &Action,
        lease: Option<&Lease>,
        now: u64,
        cloud: &Cloud,
        cluster: &Cluster,
    ) {
        self.tell(|| {
            format!(
                "{now:>8} {owner} calls {action}; write {:?} read {:?}",
                cloud.write.targets, cloud.read.targets
            )
        });
        let round = self.rounds_of.get(owner).cloned().unwrap_or_default();
        let mut never = |what: String| self.broken.push(format!("at {now} ms {owner}: {action}: {what}"));
        // A call that is under way when the object is lost can not know.
        let lost = self.state_lost.is_some_and(|at| now < at + 12_000);
        if !lost && lease.is_none_or(|lease| lease.owner != owner) {
            never(format!("called while {lease:?} is the lease"));
        }
        let core = cluster.members.iter().filter(|member| member.kind == Kind::Core).count();
        let voters = cluster.members.len();
        let took_part = round.nodes.iter().filter(|(_, answer)| answer.took_part()).count();
        if took_part <= voters / 2 {
            never(format!("called with answers from {took_part} of {voters}"));
        }
        let claimants: Vec<&Node> = round
            .nodes
            .iter()
            .filter(|(node, answer)| node.kind == Kind::Core && *answer == Answer::Master)
            .map(|(node, _)| node)
            .collect();
        match action {
            Action::Deregister { group, address, .. } => {
                let targets = if group == "read" { &cloud.read.targets } else { &cloud.write.targets };
                if targets.len() == 1 && targets.contains(address) {
                    never("emptied the group".into());
                }
            }
            Action::Register { group, address, .. } if group == "write" => {
                let said = round.nodes.iter().find(|(node, _)| node.address == *address);
                match said {
                    Some((node, answer)) if node.kind == Kind::Core && answer.is_firm() => {}
                    other => never(format!("registered as a writer what said {other:?}")),
                }
                if claimants.is_empty() {
                    never("registered a slave as the writer while nobody is the master".into());
                }
                if claimants.len() > 1 && !claimants.iter().any(|node| node.address == *address) {
                    never("armed a standby beside two masters".into());
                }
            }
            Action::Register { .. } => {}
            Action::Fence { task, .. } => {
                let silent = round.silent.get(task).copied().unwrap_or(0);
                let now_silent =
                    round.nodes.iter().any(|(node, answer)| node.task == *task && *answer == SILENT);
                if silent < EVIDENCE || !now_silent {
                    never(format!("fenced after {silent} rounds of silence, silent now: {now_silent}"));
                }
                if round.verdict == Some(Verdict::Paused) {
                    never("fenced while paused".into());
                }
                let missing = round
                    .nodes
                    .iter()
                    .filter(|(node, answer)| node.kind == Kind::Core && !answer.took_part());
                if missing.count() > 1 {
                    never(format!("fenced although more than one of {core} core nodes is missing"));
                }
                match &self.fenced {
                    Some((other, at)) if other != task && now.saturating_sub(*at) < HOLD_OFF => {
                        never(format!("fenced a second node {} ms after {other}", now - at));
                    }
                    Some((other, _)) if other == task => {}
                    // Its state is lost already: nobody can hold off because of it.
                    _ if lost => {}
                    _ => self.fenced = Some((task.clone(), now)),
                }
            }
        }
        let name = match action {
            Action::Register { .. } => "register",
            Action::Deregister { .. } => "deregister",
            Action::Fence { .. } => "fence",
        };
        *self.actions.entry(name).or_default() += 1;
    }

    /// The state is lost, and with it the memory of the last fence: nobody can hold off because of it any more.
    pub fn loses_state(&mut self, now: u64) {
        self.fenced = None;
        self.state_lost = Some(now);
    }

    /// So many nodes take writes through the balancer now.
    pub fn writers(&mut self, now: u64, usable: usize, propagation: u64) {
        if usable < 2 {
            self.two_writers = None;
            return;
        }
        let since = *self.two_writers.get_or_insert(now);
        if now - since > propagation + TWO_MASTERS {
            self.broken.push(format!("at {now} ms: {usable} nodes take writes since {since} ms"));
        }
    }

    /// Adds a line to the story, if it is told.
    pub fn tell(&mut self, line: impl FnOnce() -> String) {
        if let Some(told) = &mut self.told {
            told.push(line());
        }
    }

    /// An invocation has ended.
    pub fn ended(&mut self, owner: &str) {
        self.rounds_of.remove(owner);
    }

    /// Something that was found at the end.
    pub fn breaks(&mut self, now: Millis, what: &str) {
        self.broken.push(format!("at {} ms: {what}", now.0));
    }
}
