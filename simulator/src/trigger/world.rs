//! The simulated world as an invocation sees it: every look and every call takes time, and may fail.

use std::{
    cell::{Ref, RefCell, RefMut},
    rc::Rc,
    time::Duration,
};

use aws::{Kind, TaskEnd};
use backup_trigger::{Decision, Node, Run, Runs, Stored, Trouble, Version, World};
use backups::{Folder, Listed, ROOT, Time};
use tokio::time::{Instant, sleep};
use topology::Pause;

use super::{
    look::Look,
    sim::Sim,
    weather::{Weather, failure, refusal},
};
use crate::world::millis;

/// The last transaction of the master when a history begins.
const TRANSACTIONS: u64 = 1_000_000;

/// One invocation's view of the world.
pub struct Seen {
    sim: Rc<RefCell<Sim>>,
    began: Instant,
    /// How wrong its clock is, milliseconds.
    skew: i64,
    /// The name of the invocation.
    pub name: String,
    /// What it has seen, and what was true then.
    look: RefCell<Look>,
    /// It only explains: it must write nothing.
    explains: bool,
}

impl Seen {
    pub fn new(sim: Rc<RefCell<Sim>>, began: Instant, skew: i64, name: String, explains: bool) -> Self {
        Self { sim, began, skew, name, look: RefCell::default(), explains }
    }

    fn sim(&self) -> RefMut<'_, Sim> {
        self.sim.borrow_mut()
    }

    pub fn look(&self) -> Ref<'_, Look> {
        self.look.borrow()
    }

    pub fn true_now(&self) -> u64 {
        millis(self.began.elapsed())
    }

    fn weather(&self) -> Weather {
        self.sim().weather
    }

    /// Takes `from` to `to` milliseconds, and more if this invocation is the one that stalls.
    async fn takes(&self, from: u64, to: u64) {
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
        self.sim().step(self.true_now());
    }

    fn fails(&self, one_in: u64) -> bool {
        one_in > 0 && self.sim().chance.one_in(one_in)
    }

    fn failure(&self, call: &'static str) -> aws::Error {
        failure(call, &mut self.sim().chance)
    }

    /// An answer that is lost on its way, or that the caller does not live to see.
    fn half_done(&self, call: &'static str) -> Result<(), aws::Error> {
        if self.fails(self.weather().half_done) { Err(self.failure(call)) } else { Ok(()) }
    }

    /// A call that changes something is about to have its effect.
    fn changes(&self, what: &str) {
        if self.explains {
            let (now, mut sim) = (self.true_now(), self.sim());
            sim.checks.breaks(now, &format!("{} only explains, and calls {what}", self.name));
        }
    }
}

impl World for Seen {
    fn now(&self) -> Time {
        let epoch = self.sim().setting.epoch_ms(self.true_now());
        Time::of_epoch(epoch.saturating_add_signed(self.skew) / 1_000)
    }

    async fn sleep(&self, time: Duration) {
        sleep(time).await;
        self.sim().step(self.true_now());
    }

    fn id(&self) -> Result<String, Trouble> {
        Ok(format!("{:016x}", self.sim().chance.draw()))
    }

    async fn load(&self) -> Result<(Option<Runs>, Version), Trouble> {
        self.takes(5, 60).await;
        if self.fails(self.weather().state) {
            return Err(self.failure("s3:GetObject").into());
        }
        let sim = self.sim();
        let Some((body, version)) = &sim.state else { return Ok((None, Version::default())) };
        let runs = Runs::read(body)
            .map_err(|reason| Trouble::NotRuns { object: "s3://state/runs.json".to_owned(), reason })?;
        let current = runs.current.as_ref().map(|run| run.order.folder.clone());
        self.look.borrow_mut().loads(current);
        Ok((Some(runs), Version(Some(version.to_string()))))
    }

    async fn store(&self, runs: &Runs, seen: &Version) -> Result<Stored, Trouble> {
        self.changes("s3:PutObject");
        self.takes(10, 120).await;
        let weather = self.weather();
        if self.fails(weather.busy) {
            self.sim().checks.counts.count("store", "busy (409)");
            return Ok(Stored::Busy);
        }
        if self.fails(weather.state) {
            self.sim().checks.counts.count("store", "failed");
            return Err(self.failure("s3:PutObject").into());
        }
        let written = {
            let (now, sim) = (self.true_now(), &mut *self.sim());
            let version = sim.state.as_ref().map(|(_, version)| version.to_string());
            if version != seen.0 {
                sim.checks.counts.count("store", "lost (412)");
                return Ok(Stored::Lost);
            }
            sim.writes(&self.name, &self.look.borrow(), runs, now)
        };
        // The write succeeded; from here on the answer is false, or lost.
        self.takes(1, 30).await;
        if self.fails(weather.own_412) {
            self.sim().checks.counts.count("store", "written, and answered 412");
            return Ok(Stored::Lost);
        }
        if self.fails(weather.half_done) {
            self.sim().checks.counts.count("store", "written, and the answer lost");
            return Err(self.failure("s3:PutObject").into());
        }
        self.sim().checks.counts.count("store", "written");
        Ok(Stored::Written(Version(Some(written.to_string()))))
    }

    async fn owner(&self) -> Result<Option<String>, Trouble> {
        self.takes(5, 60).await;
        if self.fails(self.weather().owner) {
            return Err(self.failure("s3:GetObject").into());
        }
        let (now, sim) = (self.true_now(), self.sim());
        self.look.borrow_mut().owned(now, sim.bucket.owner.as_deref());
        Ok(sim.bucket.owner.clone())
    }

    async fn claim(&self, stack: &str) -> Result<(), Trouble> {
        self.changes("s3:PutObject");
        self.takes(5, 60).await;
        self.sim().claims(stack, self.true_now());
        Ok(self.half_done("s3:PutObject")?)
    }

    /// A listing of everything is of two pages, which do not show the same moment.
    async fn list(&self, prefix: &str) -> Result<Vec<Listed>, aws::Error> {
        let began = self.true_now();
        if prefix == ROOT {
            self.look.borrow_mut().lists(began, &self.sim().bucket);
        }
        self.takes(10, 150).await;
        if self.fails(self.weather().list) {
            return Err(self.failure("s3:ListObjectsV2"));
        }
        if prefix != ROOT {
            let sim = self.sim();
            if let Some(folder) = Folder::of_object(&format!("{prefix}x")) {
                self.look.borrow_mut().relists(&folder, &sim.bucket);
            }
            return Ok(sim.bucket.page(prefix, None, None));
        }
        let (mut listed, until) = {
            let sim = &mut *self.sim();
            let keys: Vec<String> = sim.bucket.objects.keys().cloned().collect();
            let until = sim.chance.pick(&keys).cloned();
            (sim.bucket.page(prefix, None, until.as_deref()), until)
        };
        self.takes(5, 150).await;
        let sim = self.sim();
        if let Some(until) = until {
            listed.extend(sim.bucket.page(prefix, Some(&until), None));
        }
        self.look.borrow_mut().listed(self.true_now(), &sim.bucket);
        Ok(listed)
    }

    async fn manifests(&self, keys: &[String]) -> Vec<Result<Option<Vec<u8>>, aws::Error>> {
        self.takes(5, 200).await;
        let one_in = self.weather().unread;
        let mut read = Vec::with_capacity(keys.len());
        for key in keys {
            if self.fails(one_in) {
                self.look.borrow_mut().unread = true;
                read.push(Err(self.failure("s3:GetObject")));
            } else {
                let sim = self.sim();
                read.push(Ok(sim.bucket.objects.get(key).map(|object| object.body.clone())));
            }
        }
        read
    }

    async fn nodes(&self) -> Result<Vec<Node>, aws::Error> {
        self.takes(20, 200).await;
        if self.fails(self.weather().unlisted) {
            return Err(self.failure("ecs:ListTasks"));
        }
        let (from, mut nodes) = {
            let sim = &mut *self.sim();
            let stale = sim.chance.between(0, sim.weather.stale);
            let from = self.true_now().saturating_sub(stale);
            (from, sim.nodes.listed(from, &sim.setting.policy.slots))
        };
        // They are asked at once; what each one says is as of its own moment.
        let last = TRANSACTIONS + self.true_now() / 100;
        for node in &mut nodes {
            self.takes(1, 40).await;
            node.status = self.sim().nodes.status(node, last);
        }
        if nodes.iter().any(|node| node.status.is_none()) {
            self.takes(1_000, 2_000).await;
        }
        self.look.borrow_mut().nodes = (from, self.true_now());
        Ok(nodes)
    }

    async fn pause(&self) -> Result<Option<Pause>, Trouble> {
        let began = self.true_now();
        self.takes(5, 60).await;
        if self.fails(self.weather().pause) {
            return Err(self.failure("s3:GetObject").into());
        }
        self.look.borrow_mut().pause = (began, self.true_now());
        Ok(self.sim().nodes.now.pause.clone())
    }

    async fn launch(&self, run: &Run) -> Result<String, aws::Error> {
        self.changes("ecs:RunTask");
        self.takes(50, 500).await;
        let weather = self.weather();
        let counted = |sim: &mut Sim, how| sim.checks.counts.count("launch", how);
        if weather.launch_denied {
            counted(&mut self.sim(), "denied");
            return Err(refusal("ecs:RunTask", "AccessDeniedException", Kind::Denied));
        }
        if self.fails(weather.launch) {
            counted(&mut self.sim(), "throttled, or not answered");
            return Err(self.failure("ecs:RunTask"));
        }
        let known = self.sim().ecs.of_token(&run.order.folder.id).map(|worker| worker.arn.clone());
        let arn = if let Some(arn) = known {
            counted(&mut self.sim(), "found by its token");
            arn
        } else {
            if self.fails(weather.refused) {
                counted(&mut self.sim(), "failures[]");
                return Err(refusal("ecs:RunTask", "RESOURCE:FARGATE", Kind::Other));
            }
            let (now, sim) = (self.true_now(), &mut *self.sim());
            counted(sim, "started");
            sim.starts(&self.name, &self.look.borrow(), run, now)
        };
        self.takes(5, 100).await;
        if self.fails(weather.launch_lost) {
            counted(&mut self.sim(), "started, and the answer lost");
            return Err(refusal("ecs:RunTask", "no answer", Kind::Passing));
        }
        Ok(arn)
    }

    async fn started(&self, run: &Run) -> Result<Option<String>, aws::Error> {
        self.takes(10, 100).await;
        if self.fails(self.weather().task) {
            return Err(self.failure("ecs:ListTasks"));
        }
        let (now, sim) = (self.true_now(), &mut *self.sim());
        let found = sim.ecs.listed(&run.order.folder.id, now).map(|worker| worker.arn.clone());
        let name = if found.is_some() { "found by its run" } else { "not found by its run" };
        sim.checks.counts.count("task", name);
        Ok(found)
    }

    async fn task(&self, arn: &str) -> Result<TaskEnd, aws::Error> {
        self.takes(10, 100).await;
        if self.fails(self.weather().task) {
            return Err(self.failure("ecs:DescribeTasks"));
        }
        let (now, sim) = (self.true_now(), &mut *self.sim());
        let end = sim.ecs.describe(arn, now, &mut sim.chance);
        let name = match end {
            TaskEnd::Running => "running",
            TaskEnd::Stopped { .. } => "stopped",
            TaskEnd::Unknown => "unknown",
        };
        sim.checks.counts.count("task", name);
        Ok(end)
    }

    async fn stop(&self, arn: &str, _reason: &str) -> Result<(), aws::Error> {
        self.changes("ecs:StopTask");
        self.takes(10, 100).await;
        if self.fails(self.weather().stop) {
            return Err(self.failure("ecs:StopTask"));
        }
        {
            let (now, sim) = (self.true_now(), &mut *self.sim());
            sim.stops(&self.name, &self.look.borrow(), arn, now);
        }
        self.half_done("ecs:StopTask")
    }

    async fn tag(&self, key: &str) -> Result<(), aws::Error> {
        self.changes("s3:PutObjectTagging");
        self.takes(5, 80).await;
        let weather = self.weather();
        if weather.tag_denied {
            self.sim().checks.counts.count("tag", "denied");
            return Err(refusal("s3:PutObjectTagging", "AccessDenied", Kind::Denied));
        }
        if self.fails(weather.tag) {
            self.sim().checks.counts.count("tag", "failed");
            return Err(self.failure("s3:PutObjectTagging"));
        }
        let tagged = {
            let (now, sim) = (self.true_now(), &mut *self.sim());
            sim.tags(&self.name, &self.look.borrow(), key, now)
        };
        if !tagged {
            return Err(refusal("s3:PutObjectTagging", "NoSuchKey", Kind::Other));
        }
        self.half_done("s3:PutObjectTagging")
    }

    async fn untag(&self, key: &str) -> Result<(), aws::Error> {
        self.changes("s3:DeleteObjectTagging");
        self.takes(5, 80).await;
        if self.fails(self.weather().tag) {
            return Err(self.failure("s3:DeleteObjectTagging"));
        }
        {
            let (now, sim) = (self.true_now(), &mut *self.sim());
            sim.untags(&self.name, key, now);
        }
        self.half_done("s3:DeleteObjectTagging")
    }

    fn decided(&self, decision: &Decision) {
        let (now, mut sim) = (self.true_now(), self.sim());
        sim.checks.decided(&self.name, decision, now);
    }
}
