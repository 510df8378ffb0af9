//! Counts over many histories. A zero is a failure: what never came up has not been shown to work.

use std::collections::{BTreeMap, BTreeSet};

use backup_trigger::{Refusal, Unfit};

use super::{History, bounds, bucket::Said, check, ecs::Course, faults::Fault, run, shrink};
use crate::{Broken, counts::Counts};

/// The most faults of one history: two days of them.
const FAULTS: usize = 24;

#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Number of histories that were played.
    pub histories: u64,
    pub ticks: u64,
    /// Simulated hours.
    pub hours: u64,
    counts: Counts,
    courses: BTreeSet<Course>,
    faults: BTreeMap<Fault, u64>,
}

impl Report {
    /// Plays histories from `seed` on until there were `ticks` ticks.
    ///
    /// # Errors
    /// The first history that broke an invariant, with as few faults as still break it.
    pub fn over(seed: u64, ticks: u64) -> Result<Self, Broken> {
        let mut report = Self::default();
        while report.ticks < ticks {
            let history = run(seed + report.histories, FAULTS).map_err(shrink)?;
            report.add(history);
        }
        Ok(report)
    }

    pub fn merge(&mut self, other: &Self) {
        self.histories += other.histories;
        self.ticks += other.ticks;
        self.hours += other.hours;
        self.counts.merge(&other.counts);
        self.courses.extend(&other.courses);
        other.faults.iter().for_each(|(fault, times)| *self.faults.entry(*fault).or_default() += times);
    }

    fn add(&mut self, history: History) {
        let one = Self {
            histories: 1,
            ticks: history.checks.ticks,
            hours: history.hours,
            counts: history.checks.counts,
            courses: history.checks.courses,
            faults: history.faults,
        };
        self.merge(&one);
    }

    /// What never came up. An exempt tag may be missing: no rule is checked with it.
    pub fn zeros(&self) -> Vec<String> {
        let of =
            |kind: &'static str, names: &'static [&'static str]| names.iter().map(move |name| (kind, *name));
        let names = of("refusal", Refusal::NAMES)
            .chain(of("unfit", Unfit::NAMES))
            .chain(of("check", &check::NAMES))
            .chain(of("bound", &bounds::NAMES))
            .chain(of("store", &STORES))
            .chain(of("launch", &LAUNCHES))
            .chain(of("task", &TASKS))
            .chain(of("tick", &TICKS))
            .chain(of("end", &["verified", "unchecked", "inconsistent", "failed", "refused"]))
            .chain(of("owner", &["claimed", "another stack was faster"]))
            .chain(of("call", &["tag", "untag", "stop"]))
            .chain(of("lifecycle", &["deletes what is tagged"]));
        let never = names.filter(|(kind, name)| self.counts.of(kind, name) == 0);
        let said = Said::ALL.map(Course::Well);
        let courses = COURSES.iter().chain(&said).filter(|course| !self.courses.contains(course));
        let faults = Fault::ALL.iter().filter(|fault| !self.faults.contains_key(fault));
        never
            .map(|(kind, name)| format!("{kind} {name}"))
            .chain(courses.map(|course| format!("worker {course:?}")))
            .chain(faults.map(|fault| format!("fault {fault:?}")))
            .collect()
    }

    pub fn table(&self) -> String {
        let mut text = format!(
            "{} ticks of backup-trigger in {} simulated days of {} histories\n",
            self.ticks,
            self.hours / 24,
            self.histories
        );
        let mut counts = self.counts.clone();
        counts.add(check::EXEMPT, check::NEWER_IS_GONE, 0);
        for (kind, name, count) in counts.all() {
            text += &format!("  {:<64}{count:>12}\n", format!("{kind}: {name}"));
        }
        for (fault, count) in &self.faults {
            text += &format!("  {:<64}{count:>12}\n", format!("fault: {fault:?}"));
        }
        text
    }
}

/// How a write of the state ends.
const STORES: [&str; 6] = [
    "written",
    "lost (412)",
    "busy (409)",
    "failed",
    "written, and answered 412",
    "written, and the answer lost",
];
/// How RunTask ends.
const LAUNCHES: [&str; 6] = [
    "started",
    "started, and the answer lost",
    "found by its token",
    "throttled, or not answered",
    "denied",
    "failures[]",
];
/// What ECS says of workers.
const TASKS: [&str; 5] = ["running", "stopped", "unknown", "found by its run", "not found by its run"];
/// What becomes of ticks.
const TICKS: [&str; 8] = [
    "done",
    "failed",
    "lost",
    "late",
    "doubled",
    "cut off",
    "lost its race",
    "while another one is under way",
];
/// What becomes of workers that do not do well.
const COURSES: [Course; 9] = [
    Course::FailsEarly,
    Course::FailsHalf,
    Course::FailsLate,
    Course::Short,
    Course::Vanishes,
    Course::Hangs,
    Course::Freezes,
    Course::Lingers,
    Course::Slow,
];
