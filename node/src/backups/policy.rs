//! How long backups are kept, as this program is told, and what of that it is not told.

use std::time::Duration;

use backups::{Keep, Retention};
use runtime::{Environment, Invalid};
use serde::Serialize;

/// The template's own, for a program that is not given the stack's.
const DEFAULTS: Defaults =
    Defaults { keep_hourly: 6, hourly_days: 1, keep_daily: 7, daily_days: 14, deadline_minutes: 120 };

struct Defaults {
    keep_hourly: usize,
    hourly_days: u64,
    keep_daily: usize,
    daily_days: u64,
    deadline_minutes: u64,
}

/// What decides about each backup, and where each number is from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Policy {
    /// So many of the newest verified hourly backups are kept, however old they are.
    keep_hourly: usize,
    /// Every hourly backup is kept for so many days.
    hourly_days: u64,
    /// So many of the newest verified daily backups are kept, however old they are.
    keep_daily: usize,
    /// Every daily backup is kept for so many days.
    daily_days: u64,
    /// A backup that has no manifest after so many minutes never gets one.
    backup_deadline_minutes: u64,
    /// Which of these are the template's defaults, because this program was given none: compare them with the stack's parameters.
    assumed: Vec<&'static str>,
}

impl Policy {
    pub(super) fn read(environment: &Environment) -> Result<Self, Invalid> {
        let names = ["KEEP_HOURLY", "HOURLY_DAYS", "KEEP_DAILY", "DAILY_DAYS", "BACKUP_DEADLINE_MINUTES"];
        let [keep_hourly, hourly_days, keep_daily, daily_days, deadline] = names;
        Ok(Self {
            keep_hourly: environment.parse_or(keep_hourly, DEFAULTS.keep_hourly)?,
            hourly_days: environment.parse_or(hourly_days, DEFAULTS.hourly_days)?,
            keep_daily: environment.parse_or(keep_daily, DEFAULTS.keep_daily)?,
            daily_days: environment.parse_or(daily_days, DEFAULTS.daily_days)?,
            backup_deadline_minutes: environment.parse_or(deadline, DEFAULTS.deadline_minutes)?,
            assumed: names.into_iter().filter(|name| environment.text(name).is_none()).collect(),
        })
    }

    pub(super) fn retention(&self) -> Retention {
        Retention {
            hourly: Keep { newest: self.keep_hourly, days: Some(self.hourly_days) },
            daily: Keep { newest: self.keep_daily, days: Some(self.daily_days) },
            manual: Keep { newest: 0, days: None },
            deadline: Duration::from_secs(self.backup_deadline_minutes.saturating_mul(60)),
        }
    }

    /// One line, for the end of a table.
    pub(super) fn sentence(&self) -> String {
        let Self { keep_hourly, hourly_days, keep_daily, daily_days, backup_deadline_minutes, assumed } =
            self;
        let origin = match assumed.as_slice() {
            [] => "as the variables here say".to_owned(),
            assumed => format!(
                "{} not set here, so the template's default: compare with the stack's parameters",
                assumed.join(", ")
            ),
        };
        format!(
            "kept: hourly the newest {keep_hourly} verified and all of {hourly_days} d, daily the newest {keep_daily} verified \
             and all of {daily_days} d, manual for ever; a backup's deadline is {backup_deadline_minutes} min ({origin})"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_set_is_the_templates_default_and_is_said() {
        let policy = Policy::read(&Environment::default()).unwrap();
        let retention = policy.retention();
        assert_eq!((retention.hourly.newest, retention.hourly.days), (6, Some(1)));
        assert_eq!((retention.daily.newest, retention.daily.days), (7, Some(14)));
        assert_eq!((retention.manual.days, retention.deadline), (None, Duration::from_secs(7200)));
        assert_eq!(
            policy.sentence(),
            "kept: hourly the newest 6 verified and all of 1 d, daily the newest 7 verified and all of 14 d, manual for ever; a \
             backup's deadline is 120 min (KEEP_HOURLY, HOURLY_DAYS, KEEP_DAILY, DAILY_DAYS, BACKUP_DEADLINE_MINUTES not set \
             here, so the template's default: compare with the stack's parameters)"
        );
    }

    #[test]
    fn what_is_set_decides_and_what_is_no_number_is_refused() {
        let set = [
            ("KEEP_HOURLY", "1"),
            ("HOURLY_DAYS", "2"),
            ("KEEP_DAILY", "3"),
            ("DAILY_DAYS", "4"),
            ("BACKUP_DEADLINE_MINUTES", "5"),
        ];
        let policy = Policy::read(&set.into_iter().collect()).unwrap();
        let retention = policy.retention();
        assert_eq!((retention.hourly.newest, retention.hourly.days), (1, Some(2)));
        assert_eq!((retention.daily.newest, retention.daily.days), (3, Some(4)));
        assert_eq!(retention.deadline, Duration::from_secs(300));
        assert!(policy.sentence().ends_with("5 min (as the variables here say)"), "{}", policy.sentence());
        let refused = Policy::read(&[("DAILY_DAYS", "two")].into_iter().collect()).unwrap_err();
        assert_eq!(refused.to_string(), "DAILY_DAYS is \"two\": invalid digit found in string");
    }
}
