//! Everything that is true, and the calls that change it.

use backup_trigger::{Run, Runs};
use backups::Folder;

use super::{
    bucket::Bucket,
    check::Checks,
    ecs::{Clock, Ecs},
    look::Look,
    nodes::Nodes,
    setting::{STACK, Setting},
    weather::Weather,
};
use crate::Chance;

/// How long a stack that claimed the bucket first has it.
const RIVAL: u64 = 1_800_000;

/// What an operator wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ask {
    /// A backup, of this slot or of any.
    Backup(Option<String>),
    /// What a tick would do.
    Explain,
}

#[derive(Debug)]
pub struct Sim {
    pub setting: Setting,
    pub nodes: Nodes,
    pub ecs: Ecs,
    pub bucket: Bucket,
    /// The state object and its version; `None` before the first write.
    pub state: Option<(Vec<u8>, u64)>,
    /// The same, read.
    pub runs: Option<Runs>,
    /// The last version; versions never go back.
    versions: u64,
    pub weather: Weather,
    /// Until when ticks are lost, late or cut off.
    pub disturbed: u64,
    /// Until when the bucket is another stack's.
    foreign: u64,
    /// Until when events are lost.
    pub deaf: u64,
    /// Chance, for everything that is not a fault.
    pub chance: Chance,
    /// What must never happen, and counts.
    pub checks: Checks,
    pub asks: Vec<Ask>,
    /// How long the next call stalls.
    pub stall_ms: u64,
    /// When a stall is over.
    pub stalled_until: u64,
    /// Invocations that have not ended.
    pub invocations: u64,
}

impl Sim {
    pub fn new(setting: Setting, chance: &Chance, telling: bool) -> Self {
        let kinds: Vec<_> = setting.policy.slots.iter().map(|slot| slot.kind).collect();
        Self {
            nodes: Nodes::new(&kinds, setting.policy.mode),
            setting,
            ecs: Ecs::default(),
            bucket: Bucket::default(),
            state: None,
            runs: None,
            versions: 0,
            weather: Weather::default(),
            disturbed: 0,
            foreign: 0,
            deaf: 0,
            chance: chance.clone(),
            checks: Checks::new(telling),
            asks: Vec::new(),
            stall_ms: 0,
            stalled_until: 0,
            invocations: 0,
        }
    }

    pub fn clock(&self, now: u64) -> Clock {
        Clock { now, starts_ms: self.setting.starts * 1_000 }
    }

    /// Whether ticks come, and their calls work.
    pub fn works(&self, now: u64) -> bool {
        let ours = self.bucket.owner.as_deref().is_none_or(|owner| owner == STACK);
        now >= self.weather.until
            && now >= self.disturbed
            && self.stall_ms == 0
            && now >= self.stalled_until
            && ours
    }

    /// Lets happen what is due by `now`.
    pub fn step(&mut self, now: u64) {
        self.nodes.step(now, &mut self.chance);
        let clock = self.clock(now);
        let pairs = self.ecs.step(clock, &mut self.bucket, &mut self.checks.counts);
        for (one, other) in pairs {
            self.checks
                .breaks(now, &format!("the workers of {one} and of the run {other} were at work at once"));
        }
        for key in self.bucket.step(now) {
            self.checks.counts.count("lifecycle", "deletes what is tagged");
            self.checks.tell(|| format!("{now:>9} the lifecycle deletes {key}"));
        }
        if now >= self.weather.until {
            self.weather = Weather::default();
        }
        if self.foreign > 0 && now >= self.foreign {
            (self.foreign, self.bucket.owner) = (0, Some(STACK.to_owned()));
        }
    }

    /// The bucket is another stack's, until an administrator gives it back.
    pub fn loses_bucket(&mut self, until: u64) {
        (self.foreign, self.bucket.owner) = (until, Some("arn:another".to_owned()));
    }

    /// A stack claims the bucket. Another one may have been faster.
    pub fn claims(&mut self, stack: &str, now: u64) {
        let is_late = self.bucket.owner.is_none() && self.chance.one_in(10);
        self.checks.counts.count("owner", if is_late { "another stack was faster" } else { "claimed" });
        if is_late {
            self.loses_bucket(now + RIVAL);
        }
        self.bucket.owner.get_or_insert_with(|| stack.to_owned());
    }

    /// An invocation writes the state, without a concurrent write since it read the state. Returns the version.
    pub fn writes(&mut self, name: &str, look: &Look, runs: &Runs, now: u64) -> u64 {
        self.checks.stored(name, look, (self.runs.as_ref(), runs), now, &self.ecs);
        self.versions += 1;
        self.state = Some((runs.write(), self.versions));
        self.runs = Some(runs.clone());
        self.versions
    }

    /// An administrator deletes the state.
    pub fn loses_state(&mut self) {
        (self.state, self.runs) = (None, None);
        self.checks.loses_state();
    }

    /// RunTask starts the worker of `run`. Returns the task's ARN.
    pub fn starts(&mut self, name: &str, look: &Look, run: &Run, now: u64) -> String {
        self.checks.starts(name, look, run, now, (&self.nodes, &self.setting));
        let clock = self.clock(now);
        let worker = self.ecs.start(run, clock, self.setting.longest, &mut self.chance);
        let (arn, course) = (worker.arn.clone(), worker.course);
        self.checks.courses.insert(course);
        self.checks.tell(|| format!("{now:>9} {name} starts a worker for {}: {course:?}", run.order.folder));
        arn
    }

    pub fn stops(&mut self, name: &str, look: &Look, arn: &str, now: u64) {
        self.checks.stops(name, look, arn, now, &self.ecs);
        self.ecs.stop(arn, now, &mut self.chance);
    }

    /// Returns whether the object was there to be tagged.
    pub fn tags(&mut self, name: &str, look: &Look, key: &str, now: u64) -> bool {
        let was_there = self.bucket.objects.contains_key(key);
        if was_there {
            self.checks.tags(name, look, key, now, &self.bucket);
        }
        self.bucket.tag(key, now, &mut self.chance)
    }

    pub fn untags(&mut self, name: &str, key: &str, now: u64) {
        self.checks.counts.count("call", "untag");
        self.checks.tell(|| format!("{now:>9} {name} takes the tag off {key}"));
        self.bucket.untag(key);
    }

    /// The folder of the run that is under way, as the state has it.
    pub fn current(&self) -> Option<&Folder> {
        let run = self.runs.as_ref()?.current.as_ref()?;
        Some(&run.order.folder)
    }
}
