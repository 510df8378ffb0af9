//! What is chosen before a history begins: the cluster, the schedule and its zone, and what is kept.

use std::time::Duration;

use backup_trigger::{Policy, Schedule};
use backups::{Keep, Retention, Time};
use jiff::{Timestamp, tz::TimeZone};
use topology::{Mode, Slot};

use crate::Chance;

/// The id of the stack whose trigger is played.
pub const STACK: &str = "arn:aws:cloudformation:us-east-1:1:stack/ours/1";
/// The slot that an operator may name although the cluster does not have it.
pub const NO_SLOT: &str = "core-9";

/// A cluster and how its backups are made.
#[derive(Clone, Debug)]
pub struct Setting {
    pub policy: Policy,
    /// When the history begins, seconds since the epoch.
    pub starts: u64,
    /// The longest that a worker takes when all is well, milliseconds.
    pub longest: u64,
    /// When the daily backup is due, as the zone's clock shows it, milliseconds since the history began.
    pub days: Vec<i64>,
}

/// Core slots, slave-only slots, and how they are clustered.
const SIZES: [(usize, usize, Mode); 8] = [
    (3, 0, Mode::Ha),
    (3, 0, Mode::Ha),
    (3, 1, Mode::Ha),
    (3, 2, Mode::Ha),
    (5, 1, Mode::Ha),
    (3, 0, Mode::Cluster),
    (3, 1, Mode::Ha),
    (1, 0, Mode::Single),
];

/// Moments at which the clock of a zone jumps.
const JUMPS: [(&str, &str); 9] = [
    ("UTC", "2026-01-01T00-00-00Z"),
    ("Europe/Berlin", "2026-03-29T01-00-00Z"),
    ("Europe/Berlin", "2026-10-25T01-00-00Z"),
    ("America/New_York", "2026-03-08T07-00-00Z"),
    ("America/New_York", "2026-11-01T06-00-00Z"),
    ("Australia/Lord_Howe", "2026-04-04T15-00-00Z"),
    ("Australia/Lord_Howe", "2026-10-03T15-30-00Z"),
    ("America/Santiago", "2026-09-06T04-00-00Z"),
    ("America/Santiago", "2026-04-05T03-00-00Z"),
];
/// All at a quarter of an hour, as jumps are: so the scan for them can step by quarters.
const DAILY_AT: [&str; 8] = ["00:00", "00:30", "01:30", "01:45", "02:00", "02:30", "03:00", "23:30"];
const QUARTER: u64 = 900;
/// Days around a history in which its daily backups are looked for.
const DAYS_BEFORE: u64 = 2;
const DAYS_AFTER: u64 = 16;
const DAY: u64 = 86_400;

impl Setting {
    /// The setting of a history; common ones are common.
    pub fn choose(chance: &mut Chance) -> Self {
        let (core, slave_only, mode) = *chance.pick(&SIZES).unwrap_or(&SIZES[0]);
        let named = |kind: &str, count: usize| -> Vec<String> {
            (1..=count).map(|number| format!("{kind}-{number}")).collect()
        };
        let (zone, jump) = *chance.pick(&JUMPS).unwrap_or(&JUMPS[0]);
        // The jump comes in the days of faults, or in the calm after them.
        let starts = jump.parse().map_or(0, Time::epoch) - chance.between(0, 4 * DAY);
        let at = *chance.pick(&DAILY_AT).unwrap_or(&"02:00");
        let zone = TimeZone::get(zone).unwrap_or(TimeZone::UTC);
        let daily = if chance.one_in(6) { None } else { at.parse().ok() };
        let days = daily.map(|_| days(&zone, at, starts)).unwrap_or_default();
        let deadline = Duration::from_secs(60 * chance.pick(&[30, 60, 120]).copied().unwrap_or(120));
        let mut keep = |most_days: u64| Keep {
            newest: usize::try_from(chance.between(1, 4)).unwrap_or(1),
            days: Some(chance.between(0, most_days)),
        };
        let retention =
            Retention { hourly: keep(1), daily: keep(2), manual: Keep { newest: 0, days: None }, deadline };
        let policy = Policy {
            stack_id: STACK.to_owned(),
            mode,
            slots: Slot::numbered(&named("core", core), &named("slave", slave_only)),
            schedule: Schedule { hourly: !chance.one_in(6), daily, zone },
            retention,
            deadline,
            max_lag: 1_000,
            from_master: chance.one_in(4),
        };
        let longest = 60_000 * chance.pick(&[3, 10, 20]).copied().unwrap_or(10);
        Self { policy, starts, longest, days }
    }

    /// Milliseconds since the epoch.
    pub fn epoch_ms(&self, now: u64) -> u64 {
        self.starts * 1_000 + now
    }

    /// `time` in milliseconds since the history began; negative before.
    pub fn since_start(&self, time: Time) -> i64 {
        (i64::try_from(time.epoch()).unwrap_or(i64::MAX) - i64::try_from(self.starts).unwrap_or(0)) * 1_000
    }
}

/// The first moment of each date at which the zone's clock shows `at` or later: found by looking at the clock
/// every quarter of an hour, and so without the rules for times that it jumps over or shows twice.
pub fn days(zone: &TimeZone, at: &str, starts: u64) -> Vec<i64> {
    let first = (starts - DAYS_BEFORE * DAY) / QUARTER * QUARTER;
    let (mut found, mut last) = (Vec::new(), None);
    for second in (first..starts + DAYS_AFTER * DAY).step_by(900) {
        let second = i64::try_from(second).unwrap_or(0);
        let Ok(instant) = Timestamp::from_second(second) else { continue };
        let shown = zone.to_datetime(instant);
        let reached = format!("{:02}:{:02}", shown.hour(), shown.minute()).as_str() >= at;
        if reached && last.is_none_or(|last| last < shown.date()) {
            last = Some(shown.date());
            found.push((second - i64::try_from(starts).unwrap_or(0)) * 1_000);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two ways to the same moments: the function's rules, and a look at the clock.
    #[test]
    fn the_schedule_is_due_when_the_clock_of_its_zone_says_so() {
        let mut chance = Chance::new(1);
        for _ in 0..60 {
            let setting = Setting::choose(&mut chance);
            // The first one may be of a date that had begun before the scan.
            for day in setting.days.iter().skip(1).take(14) {
                let second = setting.starts.saturating_add_signed(day / 1_000);
                let due = setting.policy.schedule.day(Time::of_epoch(second));
                assert_eq!(due.map(Time::epoch), Some(second), "{setting:?}");
                let before = setting.policy.schedule.day(Time::of_epoch(second - 1));
                assert!(before.is_some_and(|before| before.epoch() < second));
            }
        }
    }
}
