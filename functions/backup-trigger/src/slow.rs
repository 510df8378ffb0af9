//! Whether backups take too long for their schedule, in figures.

use std::fmt;

use backups::{Catalogue, Tier, Time};

use crate::Schedule;

const HOUR: u64 = 3600;

/// The last scheduled backup took longer than half of its interval.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slow {
    /// When it was begun.
    pub began: Time,
    /// Bytes of the store, or else of the backup.
    pub bytes: u64,
    pub seconds: u64,
    /// Seconds from one to the next, as the schedule is.
    pub interval: u64,
}

/// Whether the last scheduled backup was slow. Twice its time must fit into the interval: a failed one is made
/// again, from another source.
pub(crate) fn slow(catalogue: &Catalogue, schedule: &Schedule) -> Option<Slow> {
    let interval = match (schedule.hourly, schedule.daily) {
        (true, _) => HOUR,
        (false, Some(_)) => 24 * HOUR,
        (false, None) => return None,
    };
    let last = catalogue.entries.iter().find(|entry| entry.folder.tier != Tier::Manual)?;
    let manifest = last.manifest.as_ref().ok()?;
    let seconds = manifest.finished?.since(manifest.created).as_secs();
    let bytes = manifest.store_bytes.unwrap_or(manifest.data.bytes);
    (seconds * 2 > interval).then_some(Slow { began: manifest.created, bytes, seconds, interval })
}

impl fmt::Display for Slow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { began, bytes, seconds, interval } = self;
        let fits = (seconds * 2).div_ceil(HOUR);
        let megabytes = bytes / 1_000_000;
        // In tenths: a small store is slow for another reason than its size.
        let rate = bytes / 100_000 / seconds.max(&1);
        let rate = format!("{}.{}", rate / 10, rate % 10);
        write!(
            f,
            "the backup of {began} took {seconds} s for {megabytes} MB ({rate} MB/s), which is more than half of its interval of \
             {interval} s: one every {fits} hours would fit"
        )
    }
}

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZone;

    use super::*;
    use crate::example::{catalogue, entry};

    #[test]
    fn a_backup_that_takes_more_than_half_of_its_interval_is_told_in_figures() {
        let schedule = |hourly, daily: Option<&str>| Schedule {
            hourly,
            daily: daily.map(|at| at.parse().unwrap()),
            zone: TimeZone::UTC,
        };
        let took = |seconds: u64| {
            let mut entry = entry(Tier::Hourly, 10_000, backups::Consistency::Consistent);
            let manifest = entry.manifest.as_mut().unwrap();
            manifest.finished = Some(Time::of_epoch(10_000 + seconds));
            manifest.store_bytes = Some(512_000_000_000);
            // A manual one says nothing of a schedule.
            catalogue(vec![
                crate::example::entry(Tier::Manual, 20_000, backups::Consistency::Consistent),
                entry,
            ])
        };
        assert_eq!(slow(&took(1800), &schedule(true, Some("02:00"))), None);
        let told = slow(&took(1801), &schedule(true, None)).unwrap().to_string();
        assert!(
            told.starts_with("the backup of 1970-01-01T02-46-40Z took 1801 s for 512000 MB (284.2 MB/s)"),
            "{told}"
        );
        assert!(told.ends_with("half of its interval of 3600 s: one every 2 hours would fit"), "{told}");
        assert_eq!(slow(&took(1801), &schedule(false, Some("02:00"))), None);
        assert_eq!(
            slow(&took(43_201), &schedule(false, Some("02:00"))).map(|slow| slow.interval),
            Some(86_400)
        );
        assert_eq!(slow(&took(43_201), &schedule(false, None)), None);
        assert_eq!(slow(&Catalogue::default(), &schedule(true, None)), None);
    }
}
