//! Which backups are kept, and why.

use std::{fmt, time::Duration};

use crate::{Catalogue, Entry, Folder, Tier, Time, Unreadable};

const DAY: u64 = 24 * 60 * 60;

/// How long backups are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// Of the hourly tier.
    pub hourly: Keep,
    /// Of the daily tier.
    pub daily: Keep,
    /// Of the manual tier.
    pub manual: Keep,
    /// The longest that any run may take. Data without a manifest is left alone that long after its run was
    /// begun: the manifest may still come.
    pub deadline: Duration,
}

/// How long backups of one tier are kept. One goes only when it is beyond both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keep {
    /// The number of verified ones that are kept whatever their age.
    pub newest: usize,
    /// Days of 24 hours for which every one is kept; `None`: for ever.
    pub days: Option<u64>,
}

/// What becomes of a backup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It stays.
    Kept(Why),
    /// It goes.
    Expires,
}

/// Why a backup stays: the strongest of the reasons.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// An operator holds it.
    Held,
    /// Its manifest could not be read just now. It may be the newest verified one.
    NotRead,
    /// Its manifest is of this format, which another version of the programs wrote and can judge.
    Format(u64),
    /// No verified one is newer, in any tier.
    Newest,
    /// No verified one is newer in its tier.
    NewestOf(Tier),
    /// It is among the verified ones of its tier that are kept by number.
    Number {
        /// 2 for the second newest.
        number: usize,
        /// How many are kept.
        of: usize,
        /// Its tier.
        tier: Tier,
    },
    /// Its tier is kept for ever.
    ForEver(Tier),
    /// It is younger than its tier's days.
    Young {
        /// Until when that keeps it.
        until: Time,
        /// The days of its tier.
        days: u64,
        /// Its tier.
        tier: Tier,
    },
}

impl Retention {
    /// What the rules say of a tier.
    pub fn keep(&self, tier: Tier) -> Keep {
        match tier {
            Tier::Hourly => self.hourly,
            Tier::Daily => self.daily,
            Tier::Manual => self.manual,
        }
    }

    /// What becomes of each backup at `now`, newest first.
    pub fn fates(&self, now: Time, catalogue: &Catalogue) -> Vec<(Folder, Fate)> {
        // The tiers of the verified ones that are newer than the one that is looked at.
        let mut newer = Vec::new();
        let mut fates = Vec::new();
        for entry in &catalogue.entries {
            let fate = self.why(now, entry, &newer).map_or(Fate::Expires, Fate::Kept);
            fates.push((entry.folder.clone(), fate));
            // An unverified one supersedes nothing.
            if entry.is_verified() {
                newer.push(entry.folder.tier);
            }
        }
        fates
    }

    /// The keys of what goes at `now`, to be tagged for deletion: the manifest of each backup that expires, and
    /// everything in a folder without a manifest that is older than the deadline. So data is never named while
    /// its manifest is listed. A folder with a hold is left alone.
    ///
    /// A caller looks for [`Folder::hold`] once more before it tags, because the listing is a little old, and
    /// leaves out the folder of a run that is under way, whatever its age. It takes the tag off what it once
    /// tagged and what is not named here any more: a newer backup's data may be gone, so that an older one
    /// counts again.
    pub fn expired(&self, now: Time, catalogue: &Catalogue) -> Vec<String> {
        let fates = self.fates(now, catalogue);
        let manifests =
            fates.iter().filter(|(_, fate)| *fate == Fate::Expires).map(|(folder, _)| folder.manifest());
        let orphans = catalogue.orphans.iter().filter(|folder| now.since(folder.time) > self.deadline);
        let objects = orphans.flat_map(|folder| {
            let objects = catalogue.objects(folder);
            let held = objects.iter().any(|object| object.key == folder.hold());
            objects.iter().filter(move |_| !held).map(|object| object.key.clone())
        });
        manifests.chain(objects).collect()
    }

    /// Why `entry` stays; `None` if it goes. `newer` has the tiers of the verified ones that are newer.
    fn why(&self, now: Time, entry: &Entry, newer: &[Tier]) -> Option<Why> {
        let tier = entry.folder.tier;
        let keep = self.keep(tier);
        if entry.held {
            return Some(Why::Held);
        }
        match entry.manifest {
            // A read that failed must not cost a backup.
            Err(Unreadable::NotRead) => return Some(Why::NotRead),
            // Neither may a rollback to an earlier version of the programs.
            Err(Unreadable::Format(format)) => return Some(Why::Format(format)),
            _ => {}
        }
        if entry.is_verified() {
            if newer.is_empty() {
                return Some(Why::Newest);
            }
            let number = newer.iter().filter(|other| **other == tier).count() + 1;
            if number == 1 {
                return Some(Why::NewestOf(tier));
            }
            if number <= keep.newest {
                return Some(Why::Number { number, of: keep.newest, tier });
            }
        }
        let Some(days) = keep.days else { return Some(Why::ForEver(tier)) };
        let until = Time::of_epoch(entry.folder.time.epoch().saturating_add(days.saturating_mul(DAY)));
        (now < until).then_some(Why::Young { until, days, tier })
    }
}

impl fmt::Display for Fate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kept(why) => write!(f, "kept: {why}"),
            Self::Expires => f.write_str(
                "expires: it is older than the days of its tier, and not among the newest verified ones that are kept",
            ),
        }
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Held => {
                write!(f, "an operator holds it ({}); it stays until that object is deleted", crate::HOLD)
            }
            Self::NotRead => f.write_str("its manifest could not be read just now, and nothing goes unread"),
            Self::Format(format) => write!(
                f,
                "its manifest is of format {format}, which this version cannot judge; the version that wrote it can"
            ),
            Self::Newest => f.write_str("it is the newest verified backup of all, which never expires"),
            Self::NewestOf(tier) => write!(f, "it is the newest verified {tier} backup, which never expires"),
            Self::Number { number, of, tier } => {
                write!(f, "it is number {number} of the {of} newest verified {tier} backups that are kept")
            }
            Self::ForEver(tier) => write!(f, "{tier} backups are kept for ever"),
            Self::Young { until, days, tier } => {
                let days = if *days == 1 { "1 day".to_owned() } else { format!("{days} days") };
                write!(f, "{tier} backups are kept for {days}, this one until {until}")
            }
        }
    }
}

#[cfg(test)]
mod promises;
#[cfg(test)]
mod tests;
