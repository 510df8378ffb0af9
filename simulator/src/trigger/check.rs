//! What must never happen: every event of the world passes through here.

use std::collections::BTreeSet;

use backup_trigger::{Decision, EndedRun, How, Refusal, Run, Runs, Tally};
use backups::{Folder, MANIFEST, Tier, Time};
use topology::Mode;

use super::{
    bucket::{Bucket, Newest, Said},
    ecs::{Course, Ecs, Worker},
    look::{Look, Page},
    member::{Moment, Role},
    nodes::Nodes,
    setting::Setting,
};
use crate::counts::Counts;

/// The clocks of two invocations differ by a second, and times are cut to whole ones.
const SKEW: u64 = 2;
/// Four runs of the schedule are begun within no hour.
const RUNS_AN_HOUR: usize = 3;
const HOUR: u64 = 3_600;

/// The names of the checks, each of which must have had something to judge.
pub const NAMES: [&str; 15] = [
    PAUSE, ROLL, MASTERS, AWAY, MASTER, FAR, OPINION, NEWEST, HELD, BESIDE, ENDS, FAILED, ASKED, HOURLY,
    FRESHNESS,
];
const PAUSE: &str = "no start in a pause";
const ROLL: &str = "no start in a roll";
const MASTERS: &str = "no start without exactly one master";
const AWAY: &str = "no start while a core node is away";
const MASTER: &str = "no start on a master that is not allowed";
const FAR: &str = "no start on a node that is not fit";
const OPINION: &str = "a second opinion is another slave's";
const NEWEST: &str = "no tag on the newest verified backup";
const HELD: &str = "no tag on what is held";
const BESIDE: &str = "no tag on data beside a manifest";
const ENDS: &str = "a run ends as its manifest says";
const FAILED: &str = "no run fails while its worker works";
const ASKED: &str = "a request ends with a run or a reason";
const HOURLY: &str = "three runs an hour";
const FRESHNESS: &str = "freshness is true";

/// Counts and complaints of one history.
#[derive(Clone, Debug, Default)]
pub struct Checks {
    pub counts: Counts,
    /// What became of workers.
    pub courses: BTreeSet<Course>,
    /// Ticks that came to an end, in one way or another.
    pub ticks: u64,
    /// The story, line by line, if it is wanted.
    pub told: Option<Vec<String>>,
    /// Invariants that did not hold; a history ends with the first.
    pub broken: Vec<String>,
    /// When runs of the schedule were begun, in seconds since the epoch.
    begun: Vec<u64>,
    /// When the state was first written.
    since: Option<u64>,
}

impl Checks {
    pub fn new(telling: bool) -> Self {
        Self { told: telling.then(Vec::new), ..Self::default() }
    }

    /// Adds a line to the story, if that is kept.
    pub fn tell(&mut self, line: impl FnOnce() -> String) {
        if let Some(told) = &mut self.told {
            told.push(line());
        }
    }

    pub fn breaks(&mut self, now: u64, what: &str) {
        self.broken.push(format!("at {} s: {what}", now / 1_000));
    }

    fn holds(&mut self, name: &'static str, now: u64, holds: bool, what: impl FnOnce() -> String) {
        self.counts.count("check", name);
        if !holds {
            self.breaks(now, &format!("{name}: {}", what()));
        }
    }

    /// A tick decided, before it writes.
    pub fn decided(&mut self, name: &str, decision: &Decision, now: u64) {
        self.tell(|| format!("{now:>9} {name}: {}", decision.sentence));
        let Some(refusal) = &decision.refusal else { return };
        self.counts.count("refusal", refusal.name());
        match refusal {
            Refusal::NotReady { why, .. } | Refusal::UnfitSlot { why, .. } => {
                self.counts.count("unfit", why.name());
            }
            Refusal::NoSource { unfit } | Refusal::NoOtherSlave { unfit, .. } => {
                unfit.iter().for_each(|(_, why)| self.counts.count("unfit", why.name()));
            }
            _ => {}
        }
    }

    /// A worker is started: judged by what was true as long as the invocation looked.
    pub fn starts(
        &mut self,
        name: &str,
        look: &Look,
        run: &Run,
        now: u64,
        (nodes, setting): (&Nodes, &Setting),
    ) {
        let order = &run.order;
        let told = || {
            let source = nodes.at(look.nodes.1).at(order.source.address.ip());
            format!("{name} starts {} from {}: {source:?}", order.folder, order.source.slot)
        };
        let always = |is: &dyn Fn(&Moment) -> bool| nodes.throughout(look.nodes, is);
        let ends = setting.epoch_ms(look.pause.1) + SKEW * 1_000;
        let paused = |m: &Moment| m.pause.as_ref().is_some_and(|pause| pause.until.0 > ends);
        let (mode, policy) = (nodes.mode, &setting.policy);
        let address = order.source.address.ip();
        let allowed = (mode == Mode::Single || policy.from_master) && run.confirms.is_none();
        let is_master = |m: &Moment| m.at(address).is_some_and(|source| source.role == Role::Master);
        let from_master = allowed || run.confirms.is_some();
        let is_fit = |m: &Moment| {
            m.at(address).is_some_and(|source| m.is_fit(source, mode, policy.max_lag, from_master))
        };
        self.holds(PAUSE, now, !nodes.throughout(look.pause, paused), told);
        self.holds(ROLL, now, !always(&|m| m.rolls()), told);
        self.holds(MASTERS, now, !always(&|m| !m.has_one_master()), told);
        self.holds(AWAY, now, !always(&|m| m.is_away()), told);
        self.holds(MASTER, now, allowed || !always(&is_master), told);
        self.holds(FAR, now, !always(&|m| !is_fit(m)), told);
        self.foreign(name, "starts a worker", look, now);
    }

    /// A call on what belongs to another stack.
    fn foreign(&mut self, name: &str, what: &str, look: &Look, now: u64) {
        if look.is_foreign() {
            self.breaks(now, &format!("{name} {what}, and had read that the bucket is another stack's"));
        }
    }

    pub fn stops(&mut self, name: &str, look: &Look, arn: &str, now: u64, ecs: &Ecs) {
        self.counts.count("call", "stop");
        self.foreign(name, "stops a task", look, now);
        let early = ecs.of_arn(arn).is_some_and(|worker| now + SKEW * 1_000 < worker.deadline);
        if early {
            self.breaks(now, &format!("{name} stops {arn} before its deadline"));
        }
    }

    /// An object is tagged.
    pub fn tags(&mut self, name: &str, look: &Look, key: &str, now: u64, bucket: &Bucket) {
        self.tell(|| format!("{now:>9} {name} tags {key}"));
        self.counts.count("call", "tag");
        self.foreign(name, "tags an object", look, now);
        let Some(folder) = Folder::of_object(key) else {
            return self.breaks(now, &format!("{name} tags {key}, which is of no backup"));
        };
        let told = || format!("{name} tags {key}");
        let was =
            |page: &Option<Page>| page.as_ref().is_some_and(|page| page.latest.as_ref() == Some(&folder));
        let is_newest = bucket.verified().next() == Some(&folder);
        if is_newest && !(was(&look.began) && was(&look.ended)) {
            self.counts.count(EXEMPT, NEWER_IS_GONE);
        } else {
            self.holds(NEWEST, now, !is_newest, told);
        }
        let Some(relisted) = look.relisted(&folder) else {
            return self.breaks(now, &format!("{name} tags {key} without a second look for a hold"));
        };
        self.holds(HELD, now, !relisted.is_held, told);
        let is_data = !key.ends_with(MANIFEST);
        self.holds(BESIDE, now, !(is_data && relisted.has_manifest), told);
    }

    /// An invocation writes the state.
    pub fn stored(
        &mut self,
        name: &str,
        look: &Look,
        (before, after): (Option<&Runs>, &Runs),
        now: u64,
        ecs: &Ecs,
    ) {
        self.since.get_or_insert(now);
        let current = before.and_then(|runs| runs.current.as_ref());
        let of = |runs: &Runs| runs.current.as_ref().map(|run| run.order.folder.clone());
        let is_new = of(after).filter(|folder| before.and_then(of).as_ref() != Some(folder));
        if let Some(run) = current
            && of(after).as_ref() != Some(&run.order.folder)
            && !after.ended.iter().any(|ended| ended.folder == run.order.folder)
        {
            self.breaks(now, &format!("{name} drops the run {} without an end", run.order.folder));
        }
        let asked = before.and_then(|runs| runs.requested.as_ref());
        if let Some(asked) = asked.filter(|asked| after.requested.as_ref() != Some(asked)) {
            let is_of = |ended: &&EndedRun| ended.folder.tier == Tier::Manual && ended.began >= asked.at;
            let is_met = after.ended.iter().filter(is_of).any(|ended| ended.confirms.is_none());
            self.holds(ASKED, now, is_met, || format!("{name} drops what was requested at {}", asked.at));
        }
        for ended in &after.ended {
            let known = before.is_some_and(|runs| runs.ended.contains(ended));
            if !known {
                self.tell(|| {
                    format!("{now:>9} {name} ends {} of {}: {}", ended.folder, ended.slot, ended.how)
                });
                self.ends(name, look, &ended.folder, &ended.how, now, ecs);
            }
        }
        if let Some(run) = after.current.as_ref().filter(|_| is_new.is_some()) {
            self.tell(|| {
                format!("{now:>9} {name} begins {} from {}", run.order.folder, run.order.source.slot)
            });
            if run.order.folder.tier != Tier::Manual || run.confirms.is_some() {
                self.begins(name, run.began.epoch(), now);
            }
            self.foreign(name, "begins a run", look, now);
            // Its worker, which ECS knows for some hours, says best where the doubted one is from.
            let doubted = run.confirms.as_ref().and_then(|doubted| {
                let ended = after.ended.iter().find(|ended| ended.folder == *doubted);
                let worker = ecs.of_token(&doubted.id).map(|worker| &worker.slot);
                worker.or(ended.map(|ended| &ended.slot))
            });
            if let Some(doubted) = doubted {
                let is_other = *doubted != run.order.source.slot;
                self.holds(OPINION, now, is_other, || format!("{name} asks {doubted} again"));
            }
        }
    }

    fn begins(&mut self, name: &str, began: u64, now: u64) {
        let oldest = self.begun.len().checked_sub(RUNS_AN_HOUR).map(|index| self.begun[index]);
        self.begun.push(began);
        let spread = oldest.is_none_or(|oldest| began + SKEW >= oldest + HOUR);
        self.holds(HOURLY, now, spread, || format!("{name} begins a fourth one"));
    }

    /// A run ended: compared with the manifest as it was while the invocation listed the bucket.
    fn ends(&mut self, name: &str, look: &Look, folder: &Folder, how: &How, now: u64, ecs: &Ecs) {
        // What the listing showed is of the run that was under way then, not of one that was begun since.
        let is_of = look.current.as_ref() == Some(folder);
        let said = |page: &Option<Page>| page.as_ref().filter(|_| is_of).and_then(|page| page.said);
        let (began, ended) = (said(&look.began), said(&look.ended));
        let is = |expected: Said| [began, ended].contains(&Some((expected, true)));
        let usable = |said: Option<(Said, bool)>| {
            said.is_some_and(|(said, there)| there && !matches!(said, Said::Newer | Said::Garbage))
        };
        let (kind, agrees) = match how {
            How::Verified => ("verified", is(Said::Consistent)),
            How::Unchecked => ("unchecked", is(Said::Unchecked)),
            How::Inconsistent => ("inconsistent", is(Said::Inconsistent)),
            // At its deadline a run ends, also when S3 does not give its manifest to this tick.
            How::Failed(_) => ("failed", look.unread || !(usable(began) && usable(ended))),
            How::Refused(_) => ("refused", ecs.of_token(&folder.id).is_none()),
        };
        self.counts.count("end", kind);
        let told =
            || format!("{name} ends {folder} with {how}, and its manifest said {began:?} and {ended:?}");
        self.holds(ENDS, now, agrees, told);
        if let How::Failed(reason) = how {
            let is_busy = |worker: &&Worker| worker.ended.is_none() && worker.committed.is_none();
            let worker = ecs.of_token(&folder.id).filter(is_busy);
            let over = worker.is_none_or(|worker| now + SKEW * 1_000 >= worker.deadline);
            self.holds(FAILED, now, over, || format!("{name} ends {folder}, {reason}"));
        }
    }

    /// A tick ended, and reports how old the backups are.
    pub fn tallied(&mut self, name: &str, look: &Look, tally: &Tally, now: u64, setting: &Setting) {
        let (Some(began), Some(ended), Some(since)) = (&look.began, &look.ended, self.since) else { return };
        let foreign = look.is_foreign();
        let none = Newest::default();
        let newest = |page: &Page| if foreign { none } else { page.newest };
        let (first, last) = (newest(began), newest(ended));
        let second = |at: u64| setting.epoch_ms(at) / 1_000;
        let age =
            |at: u64, time: Option<Time>| second(at).saturating_sub(time.map_or(second(since), Time::epoch));
        let freshness = &tally.freshness;
        let pairs = [
            (freshness.hourly.as_secs(), first.hourly, last.hourly),
            (freshness.daily.as_secs(), first.daily, last.daily),
        ];
        for (reported, first, last) in pairs {
            let youngest = age(ended.at, first).min(age(ended.at, last)).saturating_sub(SKEW);
            // A first tick's state is from a moment before it was written.
            let never = if first.is_none() || last.is_none() { TICK } else { 0 };
            let oldest = age(now, first).max(age(now, last)) + SKEW + never;
            // What cannot be read may be older than the schedule, whose first tick counts without it.
            let unread = age(ended.at, None).saturating_sub(SKEW);
            let youngest = if look.unread { youngest.min(unread) } else { youngest };
            let oldest = if look.unread { u64::MAX } else { oldest };
            self.holds(FRESHNESS, now, (youngest..=oldest).contains(&reported), || {
                format!("{name} reports an age of {reported} s, which is {youngest} to {oldest} s")
            });
        }
    }

    pub fn loses_state(&mut self) {
        self.since = None;
        self.begun.clear();
    }
}

/// The longest tick, seconds: the function's timeout.
const TICK: u64 = 120;
/// The kind under which what cannot be seen is counted.
pub const EXEMPT: &str = "exempt tag";
pub const NEWER_IS_GONE: &str = "a newer backup's data was lost since the listing";
