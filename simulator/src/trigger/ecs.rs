//! ECS as far as workers are concerned: each token starts one task, whose process makes a backup, or does not.

use std::collections::VecDeque;

use aws::TaskEnd;
use backup_trigger::Run;
use backups::{Folder, Time};

use super::bucket::{Bucket, Said};
use crate::{Chance, counts::Counts};

/// From RunTask to the worker's process.
const STARTS: (u64, u64) = (20_000, 120_000);
/// ECS's calls do not all see the same moment: a new task is not known, and an ended one still runs.
const STALE_START: u64 = 150_000;
const STALE_END: u64 = 30_000;
/// How long ECS knows a task that has ended.
const REMEMBERED: u64 = 3_600_000;
/// From StopTask to SIGKILL, as the task definition has it.
pub const STOP_TIMEOUT: u64 = 120_000;
/// No manifest is written so short before the deadline that the write could end after it.
const RESERVE: u64 = 4_000;
/// A worker gives up its upload at its deadline before it ends.
const GIVES_UP: u64 = 20_000;

/// What becomes of a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Course {
    Well(Said),
    /// It ends before it has written anything.
    FailsEarly,
    /// It ends in the middle of the upload.
    FailsHalf,
    /// It ends with all data written, and no manifest.
    FailsLate,
    /// Its data is of another length than its manifest says.
    Short,
    /// ECS forgets it, and it is gone.
    Vanishes,
    /// It does not go on, and ends at its deadline.
    Hangs,
    /// It does not even end at its deadline.
    Freezes,
    /// It has written its manifest, and does not end.
    Lingers,
    /// It is done when its deadline comes.
    Slow,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Begins,
    Parts,
    Data,
    Manifest,
    Exits(i32),
    Vanishes,
}

#[derive(Clone, Debug)]
pub struct Worker {
    pub arn: String,
    pub token: String,
    pub folder: Folder,
    pub slot: String,
    pub course: Course,
    /// The order's deadline, milliseconds since the history began.
    pub deadline: u64,
    /// When its process begins.
    pub begins: u64,
    /// When it wrote its manifest, after which it reads nothing of its source and writes nothing.
    pub committed: Option<u64>,
    /// When it ended, and how ECS reports that; `Unknown` for one that vanished.
    pub ended: Option<(u64, TaskEnd)>,
    /// Until when ECS does not know it.
    unknown_until: u64,
    stop: Option<u64>,
    plan: VecDeque<(u64, Step)>,
}

impl Worker {
    /// Whether its process runs at `at`.
    pub fn runs(&self, at: u64) -> bool {
        self.begins <= at && self.ended.as_ref().is_none_or(|(ended, _)| at < *ended)
    }

    /// Whether it is at work at `at`: one that lingers is not.
    pub fn works(&self, at: u64) -> bool {
        self.runs(at) && self.committed.is_none_or(|committed| at < committed)
    }
}

#[derive(Clone, Debug, Default)]
pub struct Ecs {
    pub workers: Vec<Worker>,
    /// What becomes of the next ones.
    pub courses: VecDeque<Course>,
    /// When a worker that does not do well was last started.
    pub ill: Option<u64>,
    /// Tasks that began or ended: each is an event.
    pub events: u32,
}

/// What the clock of a history says.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    pub now: u64,
    /// When the history began, milliseconds since the epoch.
    pub starts_ms: u64,
}

impl Clock {
    fn time(self, at: u64) -> Time {
        Time::of_epoch((self.starts_ms + at) / 1_000)
    }
}

impl Ecs {
    /// The task that was started with this token.
    pub fn of_token(&self, token: &str) -> Option<&Worker> {
        self.workers.iter().find(|worker| worker.token == token)
    }

    /// What a listing of the tasks of a run has: one that is meant to run.
    pub fn listed(&self, token: &str, now: u64) -> Option<&Worker> {
        let runs =
            |worker: &&Worker| worker.ended.is_none() && worker.stop.is_none() && now >= worker.unknown_until;
        self.of_token(token).filter(runs)
    }

    pub fn of_arn(&self, arn: &str) -> Option<&Worker> {
        self.workers.iter().find(|worker| worker.arn == arn)
    }

    /// Starts the task of `run`, which has none.
    pub fn start(&mut self, run: &Run, clock: Clock, longest: u64, chance: &mut Chance) -> &Worker {
        let Clock { now, starts_ms } = clock;
        let course = self.courses.pop_front().unwrap_or(Course::Well(Said::Consistent));
        if course != Course::Well(Said::Consistent) {
            self.ill = Some(now);
        }
        let begins = now + chance.between(STARTS.0, STARTS.1);
        let deadline = (run.order.deadline.epoch() * 1_000).saturating_sub(starts_ms);
        // Its clock and the trigger's differ.
        let skew = chance.between(0, 500);
        let takes = if course == Course::Slow {
            deadline.saturating_sub(begins) + 20_000
                - chance.between(0, 60_000).min(deadline.saturating_sub(begins))
        } else {
            chance.between(longest / 4, longest)
        };
        let (data, done) = (begins + takes / 4 * 3, begins + takes);
        let mut plan = VecDeque::from([(begins, Step::Begins), (begins + takes / 2, Step::Parts)]);
        match course {
            Course::FailsEarly => plan.insert(1, (begins + takes / 3, Step::Exits(1))),
            Course::FailsHalf => plan.push_back((data, Step::Exits(137))),
            Course::FailsLate => plan.extend([(data, Step::Data), (done, Step::Exits(1))]),
            Course::Vanishes => {
                let data = Some((data, Step::Data)).filter(|_| chance.one_in(2));
                plan.extend(data.into_iter().chain([(done, Step::Vanishes)]));
            }
            Course::Hangs | Course::Freezes if chance.one_in(2) => plan.truncate(1),
            Course::Hangs | Course::Freezes => plan.push_back((data, Step::Data)),
            Course::Well(_) | Course::Short | Course::Lingers | Course::Slow => {
                plan.extend([(data, Step::Data), (done, Step::Manifest)]);
                if course != Course::Lingers {
                    plan.push_back((done + chance.between(100, 4_000), Step::Exits(0)));
                }
            }
        }
        plan.retain(|(at, step)| *step != Step::Manifest || at + RESERVE <= deadline + skew);
        if course != Course::Freezes {
            plan.retain(|(at, step)| *at <= deadline + skew || *step == Step::Begins);
            // One that begins after its deadline ends at once.
            let gives_up =
                if begins < deadline { deadline + chance.between(100, GIVES_UP) } else { begins + 1_000 };
            let ends = |step: Step| matches!(step, Step::Exits(_) | Step::Vanishes);
            if !plan.iter().any(|(_, step)| ends(*step)) {
                plan.push_back((gives_up, Step::Exits(1)));
            }
        }
        let known = if chance.one_in(4) { chance.between(1_000, STALE_START) } else { 0 };
        self.workers.push(Worker {
            arn: format!("arn:aws:ecs:us-east-1:1:task/cluster/{:016x}", chance.draw()),
            token: run.order.folder.id.clone(),
            folder: run.order.folder.clone(),
            slot: run.order.source.slot.clone(),
            course,
            deadline,
            begins,
            committed: None,
            ended: None,
            unknown_until: now + known,
            stop: None,
            plan,
        });
        self.workers.last().expect("one was just added")
    }

    /// Lets happen what is due. Returns the pairs of workers of different runs that were at work at once.
    pub fn step(&mut self, clock: Clock, bucket: &mut Bucket, counts: &mut Counts) -> Vec<(String, String)> {
        let mut began = Vec::new();
        for worker in self.workers.iter_mut().filter(|worker| worker.ended.is_none()) {
            let until = worker.stop.map_or(clock.now, |stop| stop.min(clock.now));
            while let Some((at, step)) = worker.plan.front().copied().filter(|(at, _)| *at <= until) {
                worker.plan.pop_front();
                if step == Step::Begins {
                    began.push((at, worker.token.clone()));
                }
                worker.take(step, at, clock, bucket, counts);
                self.events += u32::from(matches!(step, Step::Begins | Step::Exits(_)));
                if worker.ended.is_some() {
                    break;
                }
            }
            if let Some(stop) = worker.stop.filter(|stop| *stop <= clock.now && worker.ended.is_none()) {
                let reason = "the trigger asked for it".to_owned();
                worker.ended = Some((stop, TaskEnd::Stopped { reason, exit_code: Some(143) }));
                self.events += 1;
            }
        }
        let mut pairs = Vec::new();
        for (at, token) in began {
            let others = self.workers.iter().filter(|other| other.token != token && other.works(at));
            pairs.extend(others.map(|other| (other.folder.to_string(), token.clone())));
        }
        pairs
    }

    pub fn describe(&self, arn: &str, now: u64, chance: &mut Chance) -> TaskEnd {
        let Some(worker) = self.of_arn(arn).filter(|worker| now >= worker.unknown_until) else {
            return TaskEnd::Unknown;
        };
        match &worker.ended {
            None => TaskEnd::Running,
            Some((at, TaskEnd::Stopped { .. })) if now < at + STALE_END && chance.one_in(3) => {
                TaskEnd::Running
            }
            Some((at, _)) if now > at + REMEMBERED => TaskEnd::Unknown,
            Some((_, end)) => end.clone(),
        }
    }

    pub fn stop(&mut self, arn: &str, now: u64, chance: &mut Chance) {
        let worker = self.workers.iter_mut().find(|worker| worker.arn == arn && worker.stop.is_none());
        if let Some(worker) = worker.filter(|worker| worker.ended.is_none()) {
            let killed = worker.course == Course::Freezes;
            let takes = if killed { STOP_TIMEOUT } else { chance.between(1_000, STOP_TIMEOUT) };
            worker.stop = Some(now + takes);
        }
    }

    /// Forgets those that ended long ago, so that a long history stays fast.
    pub fn forget(&mut self, now: u64) {
        let is_old = |worker: &Worker| worker.ended.as_ref().is_some_and(|(at, _)| now > at + 4 * REMEMBERED);
        self.workers.retain(|worker| !is_old(worker));
    }
}

impl Worker {
    fn take(&mut self, step: Step, at: u64, clock: Clock, bucket: &mut Bucket, counts: &mut Counts) {
        let bytes = 1_000 + at % 1_000;
        match step {
            Step::Begins => {}
            Step::Parts => bucket.parts += 1,
            Step::Data => {
                bucket.parts = bucket.parts.saturating_sub(1);
                bucket.put(self.folder.data(), bytes);
            }
            Step::Manifest => {
                let said = if let Course::Well(said) = self.course { said } else { Said::Consistent };
                let there = bucket.objects.get(&self.folder.data()).map_or(bytes, |data| data.bytes);
                let bytes = if self.course == Course::Short { there + 1 } else { there };
                self.committed = Some(at);
                bucket.commit(&self.folder, said, bytes, &self.slot, clock.time(at));
            }
            Step::Exits(code) => {
                counts.count("worker", if code == 0 { "ends well" } else { "fails" });
                let reason = "Essential container in task exited".to_owned();
                self.ended = Some((at, TaskEnd::Stopped { reason, exit_code: Some(code) }));
            }
            Step::Vanishes => {
                counts.count("worker", "vanishes");
                self.ended = Some((at, TaskEnd::Unknown));
            }
        }
    }
}
