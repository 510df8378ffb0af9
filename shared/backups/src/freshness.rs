//! How old the newest backup is that could be restored.

use std::time::Duration;

use crate::{Catalogue, Entry, Tier, Time};

/// The ages of the newest verified backups, as alarms compare them with the schedules. They are measured from
/// the catalogue, so that it does not matter what made a backup, and an alarm clears by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Freshness {
    /// Of the hourly ones. A daily one counts, because the schedule makes it in place of an hourly one.
    pub hourly: Duration,
    /// Of the daily ones.
    pub daily: Duration,
}

impl Freshness {
    /// The ages at `now`. `since` is when the schedule was begun: its first tick.
    pub fn of(now: Time, catalogue: &Catalogue, since: Time) -> Self {
        let age = |tiers: &[Tier]| Self::age(now, catalogue.newest_verified(tiers), since);
        Self { hourly: age(&[Tier::Hourly, Tier::Daily]), daily: age(&[Tier::Daily]) }
    }

    /// The age of `newest`, from when it was begun, because later changes may be missing. Without one it is
    /// the time since the schedule was begun: a backup that was never made gets old too.
    pub fn age(now: Time, newest: Option<&Entry>, since: Time) -> Duration {
        now.since(newest.map_or(since, |entry| entry.folder.time))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Consistency::{Consistent, Inconsistent},
        twin::{Bucket, folder, time},
    };

    const HOUR: Duration = Duration::from_secs(3600);

    #[test]
    fn each_schedule_has_its_age_and_a_daily_one_counts_as_hourly() {
        let (now, since) = (time("2026-11-25T12-00-00Z"), time("2026-11-25T06-00-00Z"));
        let mut bucket = Bucket::default();
        let of = |bucket: &Bucket| Freshness::of(now, &bucket.catalogue(), since);
        assert_eq!(of(&bucket), Freshness { hourly: 6 * HOUR, daily: 6 * HOUR }, "never made");
        bucket.put(&folder("backups/hourly/2026-11-25T11-00-00Z-a"), Inconsistent);
        bucket.put(&folder("backups/manual/2026-11-25T11-30-00Z-b"), Consistent);
        assert_eq!(of(&bucket), Freshness { hourly: 6 * HOUR, daily: 6 * HOUR }, "neither is of a schedule");
        bucket.put(&folder("backups/daily/2026-11-25T02-00-00Z-c"), Consistent);
        assert_eq!(of(&bucket), Freshness { hourly: 10 * HOUR, daily: 10 * HOUR }, "as old as it is");
        bucket.put(&folder("backups/hourly/2026-11-25T10-00-00Z-d"), Consistent);
        assert_eq!(of(&bucket), Freshness { hourly: 2 * HOUR, daily: 10 * HOUR });
        bucket.put(&folder("backups/daily/2026-11-25T11-00-00Z-e"), Consistent);
        assert_eq!(of(&bucket), Freshness { hourly: HOUR, daily: HOUR });
        assert_eq!(Freshness::of(since, &bucket.catalogue(), since).daily, Duration::ZERO, "a clock behind");
    }
}
