//! By when things must have happened, while calls work, ticks come, nothing is paused, and a source is fit.

use std::collections::BTreeMap;

use backups::Folder;

use super::{ecs::STOP_TIMEOUT, member::Moment, sim::Sim};

/// The schedule's period, milliseconds, as all times here.
pub const PERIOD: u64 = 900_000;
/// How late the schedule invokes.
pub const LATE: u64 = 60_000;
/// How long a tick takes while calls work: five looks at 0.4 s, a node that does not answer for 2 s, five calls
/// and, at most, a hundred tags of 0.3 s.
const TICK: u64 = 40_000;
/// From any moment to the end of the next tick that began after it.
const NEXT: u64 = PERIOD + LATE + TICK;
/// From RunTask to the worker's process, and from its manifest to its end.
const AROUND: u64 = 125_000;
/// ECS may not know a new task for so long, and a tick does not take that for an end.
const TOO_NEW: u64 = 300_000;
const HOUR: u64 = 3_600_000;
/// Two clocks that are wrong by half a second each, and times in whole seconds.
const SKEW: u64 = 2_000;

/// The names of bounds: counted when one was in force, and held.
pub const NAMES: [&str; 9] = [HOURLY, DAILY, CONCLUDED, NOTICED, CONFIRMED, GONE, ANSWERED, TAGGED, UNTAGGED];
const HOURLY: &str = "the hourly backup is fresh";
const DAILY: &str = "the daily backup is made";
const CONCLUDED: &str = "a run ends at its deadline";
const NOTICED: &str = "a run ends with its worker";
const CONFIRMED: &str = "a run has a worker";
const GONE: &str = "a worker ends at its deadline";
const ANSWERED: &str = "a request is answered";
const TAGGED: &str = "what expires is tagged";
const UNTAGGED: &str = "what stays after all loses its tag";

/// The clocks of all bounds.
#[derive(Clone, Debug, Default)]
pub struct Bounds {
    /// Since when ticks come and their calls work.
    works: Option<u64>,
    /// Since when that is so, and the cluster rests, and workers will do well.
    well: Option<u64>,
    /// The last look.
    looked: u64,
    /// Since when each object that must go is there without a tag.
    rest: BTreeMap<String, u64>,
    /// Since when each object that the trigger has tagged stays after all.
    kept: BTreeMap<String, u64>,
    /// The run whose deadline has passed, whose end is awaited.
    overdue: Option<Folder>,
    /// The run whose worker has ended, and when.
    left: Option<(Folder, u64)>,
    requested: Option<u64>,
    unconfirmed: Option<(Folder, u64)>,
}

/// The longest that a run takes from its tick to the tick that sees its end.
fn run(longest: u64) -> u64 {
    AROUND + longest + NEXT
}

/// From when all is well until what happened before holds nothing up any more: a run that hangs has its
/// deadline before it, is stopped at the next tick and seen to be gone at the one after it; three runs were
/// begun within the hour; a requested backup, a second opinion and a daily one are before the hourly one; and
/// after an inconsistent one that hour has no other.
fn settles(longest: u64, deadline: u64) -> u64 {
    let hangs = deadline + TOO_NEW + NEXT + STOP_TIMEOUT + NEXT;
    hangs + HOUR + 3 * run(longest) + HOUR + run(longest)
}

/// The age of an hourly one at rest: an hour, the tick that begins the next one, its run, and a daily one, or
/// one that was requested before, in its way.
fn hourly(longest: u64) -> u64 {
    HOUR + NEXT + AROUND + longest + run(longest)
}

/// From the moment that a daily one is due until it is there: the run that is under way, one that was
/// requested, the next tick, and its own run.
fn daily(longest: u64) -> u64 {
    2 * run(longest) + NEXT + AROUND + longest
}

impl Bounds {
    /// Looks at the world, and returns what is late.
    pub fn look(&mut self, now: u64, sim: &mut Sim) -> Vec<String> {
        let since = (self.looked, now);
        self.looked = now;
        let policy = &sim.setting.policy;
        let (mode, max_lag, from_master) = (sim.nodes.mode, policy.max_lag, policy.from_master);
        let paused = |m: &Moment| m.pause.as_ref().is_some_and(|p| p.until.0 > sim.setting.epoch_ms(since.0));
        let rests = |m: &Moment| {
            let fit = |member| m.is_fit(member, mode, max_lag, from_master);
            let usual = m.store_bytes.is_none_or(|bytes| bytes < LARGE);
            m.has_one_master()
                && !m.is_away()
                && !m.rolls()
                && !paused(m)
                && usual
                && m.members.iter().any(fit)
        };
        // An invocation that began before may still be under way.
        self.works = if sim.works(now) { Some(self.works.unwrap_or(now)) } else { None };
        // What an administrator deletes was fresh: it is made again like one that failed.
        let lost = sim.bucket.lost_data.is_some_and(|at| at > since.0);
        // It may have been chosen and started between two looks.
        let ill = sim.ecs.ill.is_some_and(|at| at > since.0);
        let well = self.works.is_some()
            && !lost
            && !ill
            && sim.ecs.courses.is_empty()
            && sim.nodes.throughout(since, rests);
        self.well = if well { Some(self.well.unwrap_or(now)) } else { None };
        let mut late = Vec::new();
        late.extend(self.ended(now, sim));
        late.extend(self.confirmed(now, sim));
        late.extend(self.gone(now, sim));
        late.extend(self.answered(now, sim));
        // The whole bucket is read for these, and their bounds are quarters of an hour and more.
        if now / RARELY != since.0 / RARELY {
            late.extend(self.fresh(now, sim));
            late.extend(self.made(now, sim));
            late.extend(self.tagged(now, sim));
        }
        late
    }

    /// Milliseconds for which calls have worked.
    fn worked(&self, now: u64) -> u64 {
        self.works.map_or(0, |since| now - since)
    }

    /// Since when all has been well for so long that nothing from before holds anything up.
    fn settled(&self, now: u64, sim: &Sim) -> Option<u64> {
        let deadline = u64::try_from(sim.setting.policy.deadline.as_millis()).unwrap_or(u64::MAX);
        let settled = self.well? + settles(sim.setting.longest, deadline);
        (settled <= now).then_some(settled)
    }

    fn fresh(&self, now: u64, sim: &mut Sim) -> Option<String> {
        self.settled(now, sim).filter(|_| sim.setting.policy.schedule.hourly)?;
        let newest = sim.bucket.newest().hourly.map(|time| sim.setting.since_start(time));
        let most = hourly(sim.setting.longest);
        sim.checks.counts.count("bound", HOURLY);
        let signed = |ms: u64| i64::try_from(ms).unwrap_or(i64::MAX);
        let is_fresh = newest.is_some_and(|newest| signed(now) - newest <= signed(most + SKEW));
        (!is_fresh).then(|| format!("{HOURLY}: the newest is of {newest:?} ms, and {most} ms is its bound"))
    }

    fn made(&self, now: u64, sim: &mut Sim) -> Option<String> {
        let settled = i64::try_from(self.settled(now, sim)?).ok()?;
        let by = i64::try_from(now.saturating_sub(daily(sim.setting.longest))).ok()?;
        let due = *sim.setting.days.iter().rfind(|due| (settled..by).contains(*due))?;
        sim.checks.counts.count("bound", DAILY);
        let newest = sim.bucket.newest().daily.map(|time| sim.setting.since_start(time));
        let is_made = newest.is_some_and(|newest| newest + 2_000 >= due);
        (!is_made).then(|| format!("{DAILY}: it was due at {due} ms, and the newest is of {newest:?} ms"))
    }

    /// The end of the run that is under way.
    fn ended(&mut self, now: u64, sim: &mut Sim) -> Option<String> {
        let current = sim.runs.as_ref().and_then(|runs| runs.current.clone());
        let folder = current.as_ref().map(|run| run.order.folder.clone());
        if self.overdue.as_ref().is_some_and(|overdue| folder.as_ref() != Some(overdue)) {
            self.overdue = None;
            sim.checks.counts.count("bound", CONCLUDED);
        }
        if self.left.as_ref().is_some_and(|(left, _)| folder.as_ref() != Some(left)) {
            self.left = None;
            sim.checks.counts.count("bound", NOTICED);
        }
        let (run, folder) = (current?, folder?);
        let deadline = u64::try_from(sim.setting.since_start(run.order.deadline)).unwrap_or(0);
        if now > deadline {
            self.overdue = Some(folder.clone());
            // Whether there is a task to be stopped is known when a new one would be listed.
            let recorded = if run.task.is_none() { TOO_NEW + NEXT } else { NEXT };
            let bound = if run.stopping.is_some() { recorded + STOP_TIMEOUT + NEXT } else { recorded };
            let since = deadline.max(now - self.worked(now));
            if now > since + bound + SKEW {
                return Some(format!("{CONCLUDED}: {folder} had to be done at {deadline} ms"));
            }
        }
        let worker = sim.ecs.of_token(&folder.id)?;
        let (ended, _) = worker.ended.as_ref()?;
        // An invocation that stalled may have recorded the task long after it was started.
        let (_, left) = self.left.get_or_insert((folder.clone(), now));
        let launched = run.launched.map_or(0, |at| u64::try_from(sim.setting.since_start(at)).unwrap_or(0));
        let since = (*ended).max(*left).max(launched).max(now - self.worked(now));
        let late = run.task.is_some() && now > since + TOO_NEW + NEXT + SKEW;
        late.then(|| format!("{NOTICED}: the worker of {folder} ended at {ended} ms"))
    }

    /// The ARN of the worker is known.
    fn confirmed(&mut self, now: u64, sim: &mut Sim) -> Option<String> {
        let current = sim.runs.as_ref().and_then(|runs| runs.current.as_ref());
        let run = current.filter(|run| run.task.is_none() && run.stopping.is_none());
        let Some(run) = run.filter(|_| self.well.is_some()) else {
            if self.unconfirmed.take().is_some() {
                sim.checks.counts.count("bound", CONFIRMED);
            }
            return None;
        };
        let folder = &run.order.folder;
        let since = match &self.unconfirmed {
            Some((before, since)) if before == folder => *since,
            _ => now,
        };
        self.unconfirmed = Some((folder.clone(), since));
        // A source that is not fit any more ends the run when a task of the last call would be listed.
        (now > since + TOO_NEW + NEXT + SKEW)
            .then(|| format!("{CONFIRMED}: {folder} has none since {since} ms"))
    }

    /// Workers whose deadline has passed.
    fn gone(&mut self, now: u64, sim: &mut Sim) -> Option<String> {
        let worked = self.worked(now);
        let over = |deadline: u64| now > deadline.max(now - worked) + NEXT + STOP_TIMEOUT + SKEW;
        let workers = sim.ecs.workers.iter();
        let late =
            workers.filter(|worker| worker.runs(now) && now > worker.deadline).find(|w| over(w.deadline));
        let late = late.map(|worker| format!("{GONE}: the worker of {} still runs", worker.folder));
        let ended_late =
            |ended: u64, deadline: u64| ended > deadline && ended <= now && now.saturating_sub(ended) < LOOK;
        let ended = sim.ecs.workers.iter().filter(|worker| {
            worker.ended.as_ref().is_some_and(|(ended, _)| ended_late(*ended, worker.deadline))
        });
        let ended = ended.count() as u64;
        if ended > 0 {
            sim.checks.counts.add("bound", GONE, ended);
        }
        late
    }

    fn answered(&mut self, now: u64, sim: &mut Sim) -> Option<String> {
        let requested = sim.runs.as_ref().and_then(|runs| runs.requested.as_ref());
        let Some(request) = requested else {
            if self.requested.take().is_some() {
                sim.checks.counts.count("bound", ANSWERED);
            }
            return None;
        };
        let at = u64::try_from(sim.setting.since_start(request.at)).unwrap_or(0);
        self.requested = Some(at);
        let deadline = u64::try_from(sim.setting.policy.deadline.as_millis()).unwrap_or(u64::MAX);
        let since = at.max(self.well.unwrap_or(now));
        let late = now > since + settles(sim.setting.longest, deadline);
        late.then(|| format!("{ANSWERED}: it was requested at {at} ms"))
    }

    /// What must go has its tag, and what stays after all has lost it again, as far as the trigger remembers it.
    fn tagged(&mut self, now: u64, sim: &mut Sim) -> Vec<String> {
        if self.works.is_none() {
            self.rest.clear();
            self.kept.clear();
            return Vec::new();
        }
        let epoch = sim.setting.epoch_ms(now) / 1_000;
        let must_go = sim.bucket.must_go(epoch, &sim.setting.policy.retention, sim.current());
        let is_tagged = |key: &String| sim.bucket.objects.get(key).map(|object| object.deletes.is_some());
        let known = sim.runs.iter().flat_map(|runs| runs.tagged.union(&runs.unsure));
        let kept = known.filter(|key| is_tagged(key) == Some(true) && !must_go.contains(*key)).cloned();
        let kept: Vec<String> = kept.collect();
        let rest: Vec<String> = must_go.into_iter().filter(|key| is_tagged(key) == Some(false)).collect();
        let mut late = Vec::new();
        for (name, waits, keys) in [(TAGGED, &mut self.rest, rest), (UNTAGGED, &mut self.kept, kept)] {
            let since = |key: &String| waits.get(key).copied().unwrap_or(now);
            let left: BTreeMap<String, u64> =
                keys.into_iter().map(|key| (key.clone(), since(&key))).collect();
            let overdue = left.iter().find(|(_, since)| now > *since + NEXT + SKEW);
            late.extend(overdue.map(|(key, since)| format!("{name}: {key} waits since {since} ms")));
            let done = waits.keys().filter(|key| !left.contains_key(*key)).count() as u64;
            if done > 0 {
                sim.checks.counts.add("bound", name, done);
            }
            *waits = left;
        }
        late
    }
}

/// How often the world is looked at, and all of its bucket.
pub const LOOK: u64 = 30_000;
const RARELY: u64 = 300_000;
/// A store whose copy fits on no worker's disk, bytes.
pub const LARGE: u64 = 300 << 30;
