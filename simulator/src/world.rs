//! The simulated world as an invocation sees it: every look and every call takes virtual time, and may fail.

use std::{
    cell::{RefCell, RefMut},
    net::IpAddr,
    rc::Rc,
    time::Duration,
};

use master_election::{Enough, Listing, Registered, Stored, Trouble, Version, World};
use tokio::time::{Instant, sleep};
use topology::{Action, Answer, Decision, GRACE, Millis, Node, NotKnown, Pause, State};

use crate::{
    Chance,
    check::{Checks, NOT_AWAITED, SILENT},
    cloud::Cloud,
    cluster::{Cluster, Process, SLOW},
};

/// How often a probe looks whether somebody has answered, milliseconds.
const STEP: u64 = 25;

/// The whole world.
#[derive(Debug)]
pub struct Sim {
    /// Neo4j.
    pub cluster: Cluster,
    /// AWS.
    pub cloud: Cloud,
    /// Chance, for whatever is not a fault.
    pub chance: Chance,
    /// What must never happen, and counts.
    pub checks: Checks,
    /// Somebody rang.
    pub bell: bool,
    /// The next call stalls for so long.
    pub stall_ms: u64,
}

impl Sim {
    /// Somebody pauses for a minute or two, if there is a state.
    pub fn pause(&mut self, now: u64) {
        let until = Millis(now + self.chance.between(10_000, 120_000));
        if let Some((state, version)) = &mut self.cloud.state {
            state.pause(Millis(now), Some(Pause { owner: "somebody".into(), until }));
            self.checks.versions += 1;
            *version = self.checks.versions;
        }
    }
}

/// One invocation's view of it.
pub struct Seen {
    sim: Rc<RefCell<Sim>>,
    began: Instant,
    /// This invocation's clock is wrong by so much.
    skew: i64,
    /// The invocation.
    pub owner: String,
}

impl Seen {
    /// A new invocation.
    pub fn new(sim: Rc<RefCell<Sim>>, began: Instant, skew: i64, owner: String) -> Self {
        Self { sim, began, skew, owner }
    }

    fn sim(&self) -> RefMut<'_, Sim> {
        self.sim.borrow_mut()
    }

    fn true_now(&self) -> u64 {
        millis(self.began.elapsed())
    }

    /// Takes `from` to `to` milliseconds, and more when this invocation is the one that stalls.
    async fn takes(&self, from: u64, to: u64) {
        let time = {
            let mut sim = self.sim();
            let stall = std::mem::take(&mut sim.stall_ms);
            sim.chance.between(from, to) + stall
        };
        sleep(Duration::from_millis(time)).await;
        let now = self.true_now();
        let sim = &mut *self.sim();
        sim.cluster.step(now, &mut sim.chance);
    }

    fn fails(&self, one_in: u64) -> bool {
        one_in > 0 && self.sim().chance.one_in(one_in)
    }
}

/// Milliseconds of a duration.
pub fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn trouble(call: &'static str) -> Trouble {
    let (what, reason) = ("simulated".to_owned(), "ThrottlingException".to_owned());
    aws::Error { call, what, reason, kind: aws::Kind::Throttled }.into()
}

impl World for Seen {
    fn now(&self) -> Millis {
        Millis(self.true_now().saturating_add_signed(self.skew))
    }

    async fn pause(&self, time: Duration) {
        sleep(time).await;
        let now = self.true_now();
        let sim = &mut *self.sim();
        sim.cluster.step(now, &mut sim.chance);
    }

    async fn list(&self) -> Listing {
        self.takes(5, 80).await;
        let incomplete = self.sim().cloud.weather.incomplete;
        let mut nodes: Vec<Node> = self
            .sim()
            .cluster
            .members
            .iter()
            .filter(|member| !matches!(member.process, Process::Dead { .. }))
            .map(|member| Node {
                slot: member.slot.clone(),
                kind: member.kind,
                task: member.task.clone(),
                address: member.address,
            })
            .collect();
        let mut failures = Vec::new();
        if incomplete && !nodes.is_empty() {
            let (what, reason) = ("a service".to_owned(), "ServerException".to_owned());
            failures.push(aws::Error { call: "ecs:ListTasks", what, reason, kind: aws::Kind::Other });
            let lacks = usize::try_from(self.sim().chance.draw() % 8).unwrap_or(0);
            if lacks < nodes.len() {
                nodes.remove(lacks);
            }
        }
        Listing { nodes, failures }
    }

    /// As the real one does it: whoever took part is asked again while somebody is waited for and nobody is the master, and
    /// nobody is waited for any more once there is enough.
    async fn probe(&self, nodes: &[Node], deadline: Duration, enough: Enough<'_>) -> Vec<Answer> {
        let began = self.true_now();
        let mut so_far: Vec<Option<Answer>> = vec![None; nodes.len()];
        let waited = loop {
            let waited = self.true_now() - began;
            let claimed = so_far.contains(&Some(Answer::Master));
            for (node, said) in nodes.iter().zip(&mut so_far) {
                if said.is_none_or(|answer| answer.took_part() && !claimed) {
                    let answer = self.answer(node, waited);
                    *said = if answer == SILENT { *said } else { Some(answer) };
                }
            }
            let enough = enough(&so_far);
            let over = waited >= millis(deadline) || (enough && waited >= millis(GRACE));
            if !so_far.contains(&None) || over {
                break waited;
            }
            // Where nobody is asked again, only a slow one can still say something.
            let waits = so_far.contains(&Some(Answer::Master)) && !enough;
            let step = if waits { SLOW.min(millis(deadline) - waited) } else { STEP };
            self.takes(step, step).await;
        };
        self.takes(3, 5).await;
        let unanswered = if waited < millis(deadline) { NOT_AWAITED } else { SILENT };
        let answers: Vec<Answer> = so_far.into_iter().map(|answer| answer.unwrap_or(unanswered)).collect();
        self.sim().checks.probed(&self.owner, nodes, &answers);
        answers
    }

    async fn alive(&self, node: &Node) -> Option<usize> {
        self.takes(2, 20).await;
        let sim = self.sim();
        let member = sim.cluster.members.iter().find(|member| member.task == node.task)?;
        let connected = |m: &&crate::cluster::Member| m.process == Process::Up && !m.cut;
        let alive = sim.cluster.members.iter().filter(connected).count();
        Some(if member.cut { 1 } else { alive })
    }

    async fn groups(&self) -> Result<Registered, Trouble> {
        self.takes(5, 60).await;
        if self.fails(self.weather().throttled * 2) {
            return Err(trouble("elasticloadbalancing:DescribeTargetHealth"));
        }
        let sim = self.sim();
        Ok(Registered { write: vec![sim.cloud.write.clone()], read: vec![sim.cloud.read.clone()] })
    }

    async fn load(&self) -> Result<(State, Version), Trouble> {
        self.takes(5, 60).await;
        if self.fails(self.weather().state_fails) {
            return Err(trouble("s3:GetObject"));
        }
        Ok(match &self.sim().cloud.state {
            None => (State::default(), Version(None)),
            Some((state, version)) => (state.clone(), Version(Some(version.to_string()))),
        })
    }

    async fn store(&self, state: &State, seen: &Version) -> Result<Stored, Trouble> {
        self.takes(5, 60).await;
        if self.fails(self.weather().state_fails) {
            return Err(trouble("s3:PutObject"));
        }
        let stored = {
            let mut sim = self.sim();
            let version = sim.cloud.state.as_ref().map(|(_, version)| version.to_string());
            if version != seen.0 {
                return Ok(Stored::Lost);
            }
            sim.checks.versions += 1;
            let next = sim.checks.versions;
            sim.cloud.state = Some((state.clone(), next));
            next
        };
        if self.fails(self.weather().half_done * 3) {
            return Err(trouble("s3:PutObject"));
        }
        Ok(Stored::Written(Version(Some(stored.to_string()))))
    }

    fn decided(&self, decision: &Decision) {
        let now = self.true_now();
        let sim = &mut *self.sim();
        sim.checks.decided(&self.owner, decision, now);
    }

    async fn act(&self, action: &Action) -> Result<(), Trouble> {
        {
            // A call has a deadline of ten seconds; a longer stall is one between calls.
            let mut sim = self.sim();
            sim.stall_ms = sim.stall_ms.min(9_000);
        }
        self.takes(10, 300).await;
        if self.fails(self.weather().throttled) {
            return Err(trouble("a call"));
        }
        let now = self.true_now();
        {
            let sim = &mut *self.sim();
            sim.cloud.calls += 1;
            let lease = sim.cloud.state.as_ref().and_then(|(state, _)| state.lease.clone());
            sim.checks.acts(&self.owner, action, lease.as_ref(), now, &sim.cloud, &sim.cluster);
            match action {
                Action::Register { group, address, .. } => {
                    sim.cloud.group(group).targets.insert(*address);
                }
                Action::Deregister { group, address, .. } => {
                    sim.cloud.group(group).targets.remove(address);
                }
                Action::Fence { task, .. } => stop(sim, task, now),
            }
        }
        if self.fails(self.weather().half_done) {
            return Err(trouble("a call whose answer was lost"));
        }
        Ok(())
    }
}

impl Seen {
    /// What `node` has said to somebody who asked so many milliseconds ago.
    fn answer(&self, node: &Node, waited: u64) -> Answer {
        let now = self.true_now();
        let sim = self.sim();
        let member = sim.cluster.members.iter().find(|member| member.task == node.task);
        member.map_or(Answer::NotKnown(NotKnown::Refused), |member| Cluster::answer(member, now, waited))
    }

    fn weather(&self) -> crate::cloud::Weather {
        self.sim().cloud.weather
    }
}

/// SIGTERM, and for a frozen process SIGKILL after the stop timeout; nothing on a host whose agent is dead.
fn stop(sim: &mut Sim, task: &str, now: u64) {
    let Some(member) = sim.cluster.of(task) else { return };
    if member.agent_dead || member.stops.is_some() {
        return;
    }
    let takes = if member.process == Process::Frozen { 30_000 } else { 2_000 };
    member.stops = Some(now + takes);
}

/// Whether the write group holds what it shall at rest, for `address` as the master.
pub fn rests(sim: &Sim, address: IpAddr) -> bool {
    let targets = &sim.cloud.write.targets;
    let core = sim.cluster.members.iter().filter(|member| member.kind == topology::Kind::Core);
    let ours: Vec<IpAddr> = core.map(|member| member.address).collect();
    targets.contains(&address)
        && targets.iter().all(|target| ours.contains(target))
        && targets.len() == ours.len()
}
