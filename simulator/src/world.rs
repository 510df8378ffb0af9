//! The simulated world as an invocation sees it: every look and every call takes virtual time, and may fail.

use std::{
    cell::{RefCell, RefMut},
    collections::BTreeSet,
    rc::Rc,
    time::Duration,
};

use master_election::{Enough, Listing, Registered, Stored, Trouble, Version, World};
use tokio::time::{Instant, sleep};
use topology::{Action, Answer, Decision, Group, Millis, Node, State};

use crate::{Chance, check::Checks, cloud::Cloud, cluster::Cluster, member::Process, setting::Setting};

#[derive(Debug)]
pub struct Sim {
    pub setting: Setting,
    /// Neo4j and its tasks.
    pub cluster: Cluster,
    /// AWS.
    pub cloud: Cloud,
    /// Chance, for everything that is not a fault.
    pub chance: Chance,
    /// What must never happen, and counts.
    pub checks: Checks,
    /// Number of invocations for which a bell rings.
    pub bells: u32,
    /// Whether an operator wants to pause.
    pub pauses: bool,
    /// How long the next call stalls.
    pub stall_ms: u64,
    /// When a stall is over.
    pub stalled_until: u64,
    /// When a call last failed.
    pub failed_at: Option<u64>,
}

impl Sim {
    /// Whether calls work, and nothing is paused or stalled.
    pub fn works(&self, now: u64) -> bool {
        let paused = self.cloud.state().and_then(|state| state.pause.as_ref()).is_some();
        // An invocation that backed off waits for this long.
        let calm = self.failed_at.is_none_or(|at| now > at + BACK_OFF);
        calm && now >= self.cloud.weather.until && self.stall_ms == 0 && now >= self.stalled_until && !paused
    }
}

/// One invocation's view of the world.
pub struct Seen {
    sim: Rc<RefCell<Sim>>,
    began: Instant,
    /// How wrong this invocation's clock is.
    skew: i64,
    /// The name of the invocation.
    pub owner: String,
}

impl Seen {
    pub fn new(sim: Rc<RefCell<Sim>>, began: Instant, skew: i64, owner: String) -> Self {
        Self { sim, began, skew, owner }
    }

    pub(crate) fn sim(&self) -> RefMut<'_, Sim> {
        self.sim.borrow_mut()
    }

    pub(crate) fn true_now(&self) -> u64 {
        millis(self.began.elapsed())
    }

    /// Takes `from` to `to` milliseconds, and more if this invocation is the one that stalls.
    pub(crate) async fn takes(&self, from: u64, to: u64) {
        let time = {
            let now = self.true_now();
            let mut sim = self.sim();
            let stall = std::mem::take(&mut sim.stall_ms);
            let time = sim.chance.between(from, to) + stall;
            if stall > 0 {
                sim.stalled_until = now + time;
            }
            time
        };
        sleep(Duration::from_millis(time)).await;
        self.step();
    }

    fn step(&self) {
        let now = self.true_now();
        let sim = &mut *self.sim();
        sim.cluster.step(now, &mut sim.chance);
    }

    fn fails(&self, one_in: u64) -> bool {
        one_in > 0 && self.sim().chance.one_in(one_in)
    }

    fn weather(&self) -> crate::cloud::Weather {
        self.sim().cloud.weather
    }

    fn nodes(&self, remembered: &[String]) -> Vec<Node> {
        let sim = self.sim();
        // ListTasks has the tasks that are to run; a stopping one is found only if its ARN is remembered.
        let members = sim.cluster.members.iter().filter(|member| member.listed());
        let found = members.filter(|member| !member.stopping || remembered.contains(&member.task));
        let node = |member: &crate::member::Member| Node {
            slot: member.slot.clone(),
            kind: member.kind,
            id: member.id,
            task: member.task.clone(),
            address: member.address,
            stopping: member.stopping,
        };
        found.map(node).collect()
    }
}

/// The longest back-off of the election, and a call.
const BACK_OFF: u64 = 6_000;
/// A call has a deadline of ten seconds; two clocks are a second apart, and the call
/// itself takes up to 200 ms.
const LONGEST_STALL: u64 = 8_500;

pub fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn failure(call: &'static str) -> aws::Error {
    let (what, reason) = ("simulated".to_owned(), "ThrottlingException".to_owned());
    aws::Error { call, what, reason, kind: aws::Kind::Throttled }
}

impl World for Seen {
    fn now(&self) -> Millis {
        Millis(self.true_now().saturating_add_signed(self.skew))
    }

    async fn sleep(&self, time: Duration) {
        sleep(time).await;
        self.step();
    }

    async fn list(&self, remembered: &[String]) -> Listing {
        let weather = self.weather();
        self.takes(5, if weather.slow_listing { 15_000 } else { 80 }).await;
        if weather.unlisted {
            return Listing { failures: vec![failure("ecs:ListTasks")], ..Listing::default() };
        }
        let mut nodes = self.nodes(remembered);
        let running = |task: &&String| {
            let sim = self.sim();
            sim.cluster.of(task).is_some_and(|index| sim.cluster.members[index].listed())
        };
        let ended = remembered.iter().filter(|task| !running(task)).cloned().collect();
        let mut failures = Vec::new();
        if weather.incomplete && !nodes.is_empty() {
            failures.push(failure("ecs:DescribeTasks"));
            let lacks = usize::try_from(self.sim().chance.draw() % 8).unwrap_or(0);
            if lacks < nodes.len() {
                nodes.remove(lacks);
            }
        }
        Listing { nodes, ended, failures }
    }

    async fn probe(&self, nodes: &[Node], unanswered: &BTreeSet<String>, enough: Enough<'_>) -> Vec<Answer> {
        self.ask(nodes, unanswered, enough).await
    }

    /// A read over Bolt or JMX, with a login, on a node that may be busy.
    async fn alive(&self, node: &Node) -> Option<BTreeSet<u32>> {
        let longest = if self.fails(4) { 500 } else { 42 };
        self.takes(4, longest).await;
        let silent = self.fails(10);
        let now = self.true_now();
        let sim = &mut *self.sim();
        let index = sim.cluster.of(&node.task).filter(|_| !silent)?;
        let said = sim.cluster.members[index].reachable().then(|| sim.cluster.view_of(index, now));
        sim.checks.reported(&self.owner, node, said.is_some(), now, &sim.cluster);
        sim.checks
            .tell(|| format!("{now:>8} {}: {} reports that it hears {said:?}", self.owner, node.address));
        said
    }

    async fn groups(&self) -> Registered {
        self.takes(5, 60).await;
        let unreadable = self.weather().unreadable;
        let read = |groups: Vec<Group>| -> (Vec<Group>, Vec<aws::Error>) {
            let (lost, read): (Vec<Group>, Vec<Group>) =
                groups.into_iter().partition(|_| self.fails(unreadable));
            (read, lost.iter().map(|_| failure("elasticloadbalancing:DescribeTargetHealth")).collect())
        };
        let (write, readers) = {
            let sim = self.sim();
            (sim.cloud.write.clone(), sim.cloud.read.clone())
        };
        let ((write, failures), (read, reader_failures)) = (read(write), read(readers));
        Registered { write, read, failures, reader_failures }
    }

    async fn load(&self) -> Result<(State, Version), Trouble> {
        self.takes(5, 60).await;
        if self.fails(self.weather().state_fails) {
            return Err(failure("s3:GetObject").into());
        }
        Ok(match &self.sim().cloud.state {
            None => (State::default(), Version(None)),
            Some((state, version)) => (state.clone(), Version(Some(version.to_string()))),
        })
    }

    async fn store(&self, state: &State, seen: &Version) -> Result<Stored, Trouble> {
        self.takes(5, 60).await;
        let weather = self.weather();
        if self.fails(weather.busy) {
            self.sim().checks.counts.count("store", "busy (409)");
            return Ok(Stored::Busy);
        }
        if self.fails(weather.state_fails) {
            self.sim().checks.counts.count("store", "failed");
            return Err(failure("s3:PutObject").into());
        }
        let written = {
            let now = self.true_now();
            let sim = &mut *self.sim();
            let version = sim.cloud.state.as_ref().map(|(_, version)| version.to_string());
            if version != seen.0 {
                sim.checks.counts.count("store", "lost (412)");
                return Ok(Stored::Lost);
            }
            sim.checks.stored(&self.owner, state, now);
            sim.cloud.put(state.clone())
        };
        // The write succeeded; from here on the answer is false, or lost.
        if self.fails(weather.own_412) {
            self.sim().checks.counts.count("store", "written, and answered 412");
            return Ok(Stored::Lost);
        }
        if self.fails(weather.half_done * 3) {
            self.sim().checks.counts.count("store", "written, and the answer lost");
            return Err(failure("s3:PutObject").into());
        }
        self.sim().checks.counts.count("store", "written");
        Ok(Stored::Written(Version(Some(written.to_string()))))
    }

    fn decided(&self, decision: &Decision) {
        let now = self.true_now();
        let sim = &mut *self.sim();
        sim.checks.decided(&self.owner, decision, now, sim.cloud.state());
    }

    async fn act(&self, action: &Action) -> Result<(), Trouble> {
        {
            // A longer stall is one between calls.
            let mut sim = self.sim();
            sim.stall_ms = sim.stall_ms.min(LONGEST_STALL);
        }
        self.takes(10, 200).await;
        let weather = self.weather();
        let register = matches!(action, Action::Register { .. });
        let refused = |sim: &Sim| {
            weather.refused_group.map(|index| sim.cloud.write[index].arn.as_str()) == action.group()
        };
        if self.fails(weather.throttled)
            || (register && weather.refused_group.is_some() && refused(&self.sim()))
        {
            return Err(failure("a call").into());
        }
        let now = self.true_now();
        {
            let sim = &mut *self.sim();
            sim.cloud.calls += 1;
            sim.checks.acts(&self.owner, action, now, &sim.cloud, &sim.cluster, &sim.setting);
            match action {
                Action::Register { group, address, .. } => {
                    sim.cloud.group(group).map(|group| group.targets.insert(*address));
                    sim.cloud.changed(now);
                }
                Action::Deregister { group, address, .. } => {
                    sim.cloud.group(group).map(|group| group.targets.remove(address));
                    sim.cloud.changed(now);
                }
                Action::Fence { task, .. } => {
                    if let Some(index) = sim.cluster.of(task) {
                        sim.cluster.stop(index, now, &mut sim.chance);
                    }
                }
            }
        }
        if self.fails(weather.half_done) {
            return Err(failure("a call whose answer was lost").into());
        }
        Ok(())
    }
}

/// Whether the groups hold what they must hold at rest, for `master`.
pub fn rests(sim: &Sim, master: std::net::IpAddr) -> bool {
    use topology::{Kind, Rearm};
    let of = |kind: Kind| {
        let members = sim.cluster.members.iter().filter(move |m| m.kind == kind && m.process == Process::Up);
        members.map(|member| member.address)
    };
    let writers: BTreeSet<_> = match sim.setting.policy.rearm {
        Rearm::Never => BTreeSet::from([master]),
        Rearm::After(_) => of(Kind::Core).collect(),
    };
    let mut readers: BTreeSet<_> = of(Kind::SlaveOnly).collect();
    if readers.is_empty() || sim.setting.policy.read_from_core {
        readers.extend(of(Kind::Core).filter(|address| *address != master));
    }
    sim.cloud.write.iter().all(|group| group.targets == writers)
        && sim.cloud.read.iter().all(|group| readers.is_subset(&group.targets))
}
