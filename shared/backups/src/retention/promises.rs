//! What is promised for any bucket, and a month without a schedule.

use proptest::{collection::vec, prelude::*, sample::select};

use super::{
    tests::{HOUR, ago, now, retention},
    *,
};
use crate::{
    Consistency::{self, Consistent, Inconsistent, Unchecked},
    Standing,
    twin::{Bucket, manifest_of, time},
};

/// Two days of backups, then the schedule stops, and the ticks go on for a month and longer. The last backups
/// that were tried were not verified.
#[test]
fn the_newest_verified_backup_is_still_there_after_a_month_without_a_schedule() {
    let (mut bucket, rules) = (Bucket::default(), retention());
    let start = time("2026-01-01T00-00-00Z").epoch();
    let mut newest = None;
    for hour in 0..24 * 45 {
        let now = Time::of_epoch(start + hour * HOUR);
        if hour < 54 {
            let tier = if hour % 24 == 2 { Tier::Daily } else { Tier::Hourly };
            let made = Folder::new(tier, now, format!("r{hour}")).unwrap();
            let consistency =
                if hour < 48 { Consistent } else { [Unchecked, Inconsistent][usize::from(hour == 50)] };
            bucket.put(&made, consistency);
            newest = Some(made).filter(|_| consistency == Consistent).or(newest);
        }
        // A run that was cut short.
        if hour == 20 {
            bucket.object(&Folder::new(Tier::Hourly, now, "cut").unwrap().data(), 7);
        }
        bucket.tick(now, &rules);
        let catalogue = bucket.catalogue();
        let latest = catalogue.latest().chosen.map(|entry| &entry.folder);
        assert_eq!(latest, newest.as_ref(), "hour {hour}");
    }
    let catalogue = bucket.catalogue();
    let left: Vec<String> = catalogue.entries.iter().map(|entry| entry.folder.id.clone()).collect();
    // The three hourly and two daily ones by number; every other one went with its data, as did the cut one.
    assert_eq!(left, ["r47", "r46", "r45", "r26", "r2"]);
    assert!(catalogue.entries.iter().all(|entry| entry.verdict() == Standing::Verified));
    assert_eq!((catalogue.orphans.len(), bucket.objects.len()), (0, 10));
}

/// One folder of any bucket: tier, hours ago, what its manifest is, the length of its data, a hold, a report.
type Drawn = (Tier, u64, Option<Result<Consistency, Unreadable>>, Option<u64>, bool, bool);

fn drawn() -> impl Strategy<Value = Drawn> {
    let unreadable = [Unreadable::TooLong, Unreadable::Format(2), Unreadable::NotRead];
    let manifest = prop_oneof![
        2 => Just(None),
        12 => select(vec![Consistent, Consistent, Consistent, Unchecked, Inconsistent])
            .prop_map(|consistency| Some(Ok(consistency))),
        2 => select(unreadable.to_vec()).prop_map(|unreadable| Some(Err(unreadable))),
    ];
    let data = prop_oneof![8 => Just(Some(100)), 1 => Just(Some(99)), 1 => Just(None)];
    let flag = || prop::bool::weighted(0.15);
    (select(Tier::ALL.to_vec()), 0..24 * 40_u64, manifest, data, flag(), flag())
}

fn any_bucket() -> impl Strategy<Value = Bucket> {
    vec(drawn(), 0..40).prop_map(|all| {
        let mut bucket = Bucket::default();
        for (index, (tier, hours, manifest, data, held, report)) in all.into_iter().enumerate() {
            let folder = ago(tier, hours, &index.to_string());
            if let Some(manifest) = manifest {
                bucket.commit(&folder, manifest.map(|consistency| manifest_of(&folder, consistency)));
            }
            let present = [(folder.hold(), held), (folder.report(), report)];
            for (key, _) in present.into_iter().filter(|(_, there)| *there) {
                bucket.object(&key, 1);
            }
            if let Some(bytes) = data {
                bucket.object(&folder.data(), bytes);
            }
        }
        bucket
    })
}

fn any_rules() -> impl Strategy<Value = Retention> {
    let keep = || {
        (0..5_usize, prop::option::weighted(0.8, 0..20_u64)).prop_map(|(newest, days)| Keep { newest, days })
    };
    (keep(), keep(), keep(), 0..72_u64).prop_map(|(hourly, daily, manual, hours)| Retention {
        hourly,
        daily,
        manual,
        deadline: Duration::from_secs(hours * HOUR),
    })
}

proptest! {
    #[test]
    fn what_never_expires(bucket in any_bucket(), rules in any_rules()) {
        let catalogue = bucket.catalogue();
        let fates = rules.fates(now(), &catalogue);
        prop_assert_eq!(fates.len(), catalogue.entries.len());
        for (entry, (folder, fate)) in catalogue.entries.iter().zip(&fates) {
            prop_assert_eq!(&entry.folder, folder);
            let newest = catalogue.newest_verified(&[folder.tier]) == Some(entry);
            prop_assert!(!(newest || entry.held) || *fate != Fate::Expires, "{} {}", folder, fate);
        }
        // At least the number of each tier, as far as there are so many.
        for tier in Tier::ALL {
            let verified = |folder: &Folder| {
                folder.tier == tier && catalogue.entries.iter().any(|entry| entry.folder == *folder && entry.is_verified())
            };
            let all = fates.iter().filter(|(folder, _)| verified(folder)).count();
            let kept = fates.iter().filter(|(folder, fate)| verified(folder) && *fate != Fate::Expires).count();
            prop_assert!(kept >= all.min(rules.keep(tier).newest));
        }
    }

    #[test]
    fn an_unverified_one_changes_no_fate_of_another(bucket in any_bucket(), rules in any_rules()) {
        let catalogue = bucket.catalogue();
        let mut alone = bucket.clone();
        for entry in catalogue.entries.iter().filter(|entry| !entry.is_verified()) {
            alone.objects.remove(&entry.folder.manifest());
        }
        let of_verified = rules.fates(now(), &catalogue).into_iter().zip(&catalogue.entries);
        let of_verified: Vec<_> = of_verified.filter(|(_, entry)| entry.is_verified()).map(|(fate, _)| fate).collect();
        prop_assert_eq!(of_verified, rules.fates(now(), &alone.catalogue()));
    }

    #[test]
    fn what_is_tagged(bucket in any_bucket(), rules in any_rules()) {
        let catalogue = bucket.catalogue();
        let fates = rules.fates(now(), &catalogue);
        let expired = rules.expired(now(), &catalogue);
        for key in &expired {
            prop_assert!(bucket.objects.contains_key(key));
            let folder = Folder::of_object(key).unwrap();
            prop_assert!(!bucket.objects.contains_key(&folder.hold()), "{} is held", key);
            if bucket.objects.contains_key(&folder.manifest()) {
                prop_assert_eq!(key, &folder.manifest(), "beside a living manifest");
                prop_assert!(fates.contains(&(folder, Fate::Expires)));
            } else {
                prop_assert!(now().since(folder.time) > rules.deadline, "{} may be a run under way", key);
            }
        }
        // And nothing that may go is forgotten.
        let manifests = fates.iter().filter(|(_, fate)| *fate == Fate::Expires).count();
        let of_orphans = catalogue.orphans.iter().filter(|folder| {
            now().since(folder.time) > rules.deadline && !bucket.objects.contains_key(&folder.hold())
        });
        prop_assert_eq!(expired.len(), manifests + of_orphans.map(|folder| catalogue.objects(folder).len()).sum::<usize>());
    }

    #[test]
    fn time_alone_saves_nothing_and_never_takes_the_floor(
        bucket in any_bucket(), rules in any_rules(), steps in vec(1..200_u64, 1..20),
    ) {
        let (mut bucket, mut at) = (bucket, now());
        let before = bucket.catalogue();
        let mut gone = Vec::new();
        for hours in steps {
            at = Time::of_epoch(at.epoch() + hours * HOUR);
            let fates = rules.fates(at, &bucket.catalogue());
            for folder in &gone {
                prop_assert!(!fates.iter().any(|(other, fate)| other == folder && *fate != Fate::Expires));
            }
            gone = fates.into_iter().filter(|(_, fate)| *fate == Fate::Expires).map(|(folder, _)| folder).collect();
            bucket.tick(at, &rules);
        }
        let after = bucket.catalogue();
        prop_assert_eq!(before.latest().chosen, after.latest().chosen);
        for tier in Tier::ALL {
            prop_assert_eq!(before.newest_verified(&[tier]), after.newest_verified(&[tier]));
        }
        for entry in before.entries.iter().filter(|entry| entry.held) {
            prop_assert!(after.entries.contains(entry));
        }
    }
}
