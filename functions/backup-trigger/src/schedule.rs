//! When scheduled backups are due: every hour, and every day at an hour of the operator's zone.

use std::{fmt, str::FromStr};

use backups::Time;
use jiff::{
    Timestamp,
    civil::Date,
    tz::{AmbiguousOffset, TimeZone},
};

const HOUR: u64 = 3600;

/// The schedules of the scheduled tiers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedule {
    /// Whether there are hourly backups.
    pub hourly: bool,
    /// When the daily backup is due; `None`: there is none.
    pub daily: Option<DailyAt>,
    /// The zone whose clock `daily` is read from.
    pub zone: TimeZone,
}

/// An hour and a minute on a clock, such as `02:00`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DailyAt {
    hour: i8,
    minute: i8,
}

/// Text that is not a time of a day.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it must be an hour and a minute such as 02:00, or off")]
pub struct NotATimeOfDay;

impl FromStr for DailyAt {
    type Err = NotATimeOfDay;

    fn from_str(text: &str) -> Result<Self, NotATimeOfDay> {
        let number = |text: &str| {
            let digits = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
            digits.then(|| text.parse().ok())?
        };
        let read = || {
            let (hour, minute) = text.split_once(':')?;
            let (hour, minute) = (number(hour)?, number(minute)?);
            (hour < 24 && minute < 60).then_some(Self { hour, minute })
        };
        read().ok_or(NotATimeOfDay)
    }
}

impl fmt::Display for DailyAt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02}:{:02}", self.hour, self.minute)
    }
}

impl Schedule {
    /// The hour that has begun last; `None` without hourly backups. Hours are UTC's: what matters is that
    /// there is one in each hour, and a zone's clock has hours that do not exist.
    pub fn hour(&self, now: Time) -> Option<Time> {
        self.hourly.then(|| Time::of_epoch(now.epoch() - now.epoch() % HOUR))
    }

    /// When the daily backup was due last; `None` without daily backups.
    pub fn day(&self, now: Time) -> Option<Time> {
        // Tomorrow's date may have begun: no zone jumps by more than a day.
        self.days(now, [-2, -1, 0, 1]).filter(|at| *at <= now).max()
    }

    /// When a scheduled backup is due next; `None` without schedules.
    pub fn next(&self, now: Time) -> Option<Time> {
        let hour = self.hour(now).map(|hour| Time::of_epoch(hour.epoch() + HOUR));
        let day = self.days(now, [-1, 0, 1, 2]).filter(|at| *at > now).min();
        hour.into_iter().chain(day).min()
    }

    /// When the daily backup is due on dates around the zone's date of `now`.
    fn days(&self, now: Time, around: [i8; 4]) -> impl Iterator<Item = Time> {
        let date = instant(now).map(|now| self.zone.to_datetime(now).date());
        let dates = around.into_iter().filter_map(move |days| date.and_then(|date| moved(date, days)));
        dates.filter_map(move |date| self.on(date, self.daily?))
    }

    /// When it is `at` on `date`. A time that the clock jumps over is the moment of the jump; one that it
    /// shows twice is the first of the two.
    fn on(&self, date: Date, at: DailyAt) -> Option<Time> {
        let shown = self.zone.to_ambiguous_timestamp(date.at(at.hour, at.minute, 0, 0));
        let earlier = shown.earlier().ok()?;
        let instant = match shown.offset() {
            // Read with the offset after the jump, it is before the jump.
            AmbiguousOffset::Gap { .. } => self.zone.following(earlier).next()?.timestamp(),
            AmbiguousOffset::Fold { .. } | AmbiguousOffset::Unambiguous { .. } => earlier,
        };
        u64::try_from(instant.as_second()).ok().map(Time::of_epoch)
    }
}

fn instant(time: Time) -> Option<Timestamp> {
    Timestamp::from_second(i64::try_from(time.epoch()).ok()?).ok()
}

/// The date `days` later, at most two.
fn moved(date: Date, days: i8) -> Option<Date> {
    let step = if days < 0 { Date::yesterday } else { Date::tomorrow };
    (0..days.unsigned_abs()).try_fold(date, |date, _| step(date)).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn schedule(at: &str, zone: &str) -> Schedule {
        Schedule {
            hourly: true,
            daily: Some(at.parse().unwrap()),
            zone: if zone == "UTC" { TimeZone::UTC } else { TimeZone::get(zone).unwrap() },
        }
    }

    fn time(text: &str) -> Time {
        text.parse().unwrap()
    }

    #[test]
    fn a_day_begins_by_the_clock_of_the_zone() {
        let table = [
            // at, zone, now, due last, due next (without the hours)
            ("02:00", "UTC", "2026-11-25T01-59-59Z", "2026-11-24T02-00-00Z", "2026-11-25T02-00-00Z"),
            ("02:00", "UTC", "2026-11-25T02-00-00Z", "2026-11-25T02-00-00Z", "2026-11-26T02-00-00Z"),
            (
                "02:00",
                "Europe/Berlin",
                "2026-07-01T00-00-00Z",
                "2026-07-01T00-00-00Z",
                "2026-07-02T00-00-00Z",
            ),
            (
                "02:00",
                "Europe/Berlin",
                "2026-01-10T00-30-00Z",
                "2026-01-09T01-00-00Z",
                "2026-01-10T01-00-00Z",
            ),
            // It is tomorrow already, 14 hours ahead of UTC, and still yesterday, 11 hours behind.
            (
                "00:30",
                "Pacific/Kiritimati",
                "2026-01-09T10-45-00Z",
                "2026-01-09T10-30-00Z",
                "2026-01-10T10-30-00Z",
            ),
            (
                "23:00",
                "Pacific/Pago_Pago",
                "2026-01-10T09-00-00Z",
                "2026-01-09T10-00-00Z",
                "2026-01-10T10-00-00Z",
            ),
            // The clock jumps from 02:00 to 03:00 at 01:00 UTC: what it jumps over is the moment of the jump.
            (
                "02:00",
                "Europe/Berlin",
                "2026-03-29T00-59-59Z",
                "2026-03-28T01-00-00Z",
                "2026-03-29T01-00-00Z",
            ),
            (
                "02:30",
                "Europe/Berlin",
                "2026-03-29T01-00-00Z",
                "2026-03-29T01-00-00Z",
                "2026-03-30T00-30-00Z",
            ),
            (
                "03:00",
                "Europe/Berlin",
                "2026-03-29T01-00-00Z",
                "2026-03-29T01-00-00Z",
                "2026-03-30T01-00-00Z",
            ),
            (
                "03:30",
                "Europe/Berlin",
                "2026-03-29T01-29-59Z",
                "2026-03-28T02-30-00Z",
                "2026-03-29T01-30-00Z",
            ),
            // It shows 02:30 at 00:30 and at 01:30 UTC, and the first of them counts.
            (
                "02:30",
                "Europe/Berlin",
                "2026-10-25T00-29-59Z",
                "2026-10-24T00-30-00Z",
                "2026-10-25T00-30-00Z",
            ),
            (
                "02:30",
                "Europe/Berlin",
                "2026-10-25T00-30-00Z",
                "2026-10-25T00-30-00Z",
                "2026-10-26T01-30-00Z",
            ),
            (
                "02:30",
                "Europe/Berlin",
                "2026-10-25T01-30-00Z",
                "2026-10-25T00-30-00Z",
                "2026-10-26T01-30-00Z",
            ),
            // A jump at midnight.
            (
                "00:00",
                "America/Santiago",
                "2026-09-06T04-00-00Z",
                "2026-09-06T04-00-00Z",
                "2026-09-07T03-00-00Z",
            ),
        ];
        for (at, zone, now, last, next) in table {
            let daily = Schedule { hourly: false, ..schedule(at, zone) };
            let found =
                (daily.day(time(now)).unwrap().to_string(), daily.next(time(now)).unwrap().to_string());
            assert_eq!(found, (last.into(), next.into()), "{at} in {zone} at {now}");
        }
    }

    #[test]
    fn hours_are_full_ones_and_what_is_off_is_never_due() {
        let now = time("2026-11-25T21-15-05Z");
        let all = schedule("02:00", "UTC");
        assert_eq!(all.hour(now), Some(time("2026-11-25T21-00-00Z")));
        assert_eq!(all.next(now), Some(time("2026-11-25T22-00-00Z")));
        let none = Schedule { hourly: false, daily: None, zone: TimeZone::UTC };
        assert_eq!((none.hour(now), none.day(now), none.next(now)), (None, None, None));
    }

    #[test]
    fn only_an_hour_and_a_minute_are_a_time_of_a_day() {
        for text in ["00:00", "02:00", "23:59"] {
            assert_eq!(text.parse::<DailyAt>().unwrap().to_string(), text);
        }
        for text in ["", "2:00", "24:00", "02:60", "0200", "02:00:00", "+2:00", "off", "02:0x", "2am"] {
            assert_eq!(text.parse::<DailyAt>(), Err(NotATimeOfDay), "{text}");
        }
    }

    proptest! {
        /// On every day of forty years, in zones with every kind of jump.
        #[test]
        fn a_daily_backup_is_due_once_between_two_others(
            day in 0_u64..15_000, second in 0_u64..86_400, hour in 0_u8..24, minute in 0_u8..60,
            zone in prop::sample::select(vec![
                "UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Pacific/Apia", "Africa/Casablanca",
            ]),
        ) {
            let schedule = schedule(&format!("{hour:02}:{minute:02}"), zone);
            let now = Time::of_epoch(day * 86_400 + second + 7 * 86_400);
            let last = schedule.day(now).unwrap();
            let next = Schedule { hourly: false, ..schedule.clone() }.next(now).unwrap();
            prop_assert!(last <= now && now < next, "{last} {now} {next}");
            // A date that a zone left out makes two of a day, which are less apart.
            prop_assert!(next.since(last).as_secs() <= 26 * 3600, "{last} {next}");
            prop_assert_eq!(schedule.day(Time::of_epoch(next.epoch() - 1)), Some(last));
            prop_assert_eq!(schedule.day(next), Some(next));
        }
    }
}
