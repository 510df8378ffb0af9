//! Each rule by example.

use super::*;
use crate::{
    Consistency::{self, Consistent, Inconsistent, Unchecked},
    twin::{Bucket, time},
};

pub(super) const HOUR: u64 = 3600;

pub(super) fn retention() -> Retention {
    Retention {
        hourly: Keep { newest: 3, days: Some(1) },
        daily: Keep { newest: 2, days: Some(14) },
        manual: Keep { newest: 1, days: None },
        deadline: Duration::from_secs(2 * HOUR),
    }
}

pub(super) fn now() -> Time {
    time("2026-11-25T12-00-00Z")
}

/// A backup's folder, begun `hours` before [`now`].
pub(super) fn ago(tier: Tier, hours: u64, id: &str) -> Folder {
    Folder::new(tier, Time::of_epoch(now().epoch() - hours * HOUR), id).unwrap()
}

/// The fate of the backup `id`.
fn fate(bucket: &Bucket, rules: &Retention, id: &str) -> Fate {
    let fates = rules.fates(now(), &bucket.catalogue());
    fates.into_iter().find(|(folder, _)| folder.id == id).unwrap().1
}

fn bucket(backups: &[(Tier, u64, &str, Consistency)]) -> Bucket {
    let mut bucket = Bucket::default();
    for (tier, hours, id, consistency) in backups {
        bucket.put(&ago(*tier, *hours, id), *consistency);
    }
    bucket
}

#[test]
fn a_backup_goes_when_it_is_beyond_the_number_and_beyond_the_days() {
    use Tier::Hourly;
    let all = ["1", "2", "3", "4", "5"].map(|id| (Hourly, 20 + id.parse::<u64>().unwrap(), id, Consistent));
    let bucket = bucket(&all);
    let rules = retention();
    assert_eq!(fate(&bucket, &rules, "1"), Fate::Kept(Why::Newest));
    assert_eq!(fate(&bucket, &rules, "2"), Fate::Kept(Why::Number { number: 2, of: 3, tier: Hourly }));
    assert_eq!(fate(&bucket, &rules, "3"), Fate::Kept(Why::Number { number: 3, of: 3, tier: Hourly }));
    // Begun 24 hours ago, to the second: it was kept for a day.
    assert_eq!(fate(&bucket, &rules, "4"), Fate::Expires);
    assert_eq!(fate(&bucket, &rules, "5"), Fate::Expires);

    let days = |days| Retention { hourly: Keep { newest: 3, days }, ..rules };
    let until = time("2026-11-26T12-00-00Z");
    assert_eq!(
        fate(&bucket, &days(Some(2)), "4"),
        Fate::Kept(Why::Young { until, days: 2, tier: Hourly }),
        "beyond the number alone"
    );
    assert!(
        matches!(fate(&bucket, &days(Some(u64::MAX)), "5"), Fate::Kept(Why::Young { .. })),
        "no overflow"
    );
    assert_eq!(fate(&bucket, &days(None), "5"), Fate::Kept(Why::ForEver(Hourly)));
    assert_eq!(fate(&bucket, &days(Some(0)), "4"), Fate::Expires, "by number alone");
    assert_eq!(fate(&bucket, &days(Some(0)), "3"), fate(&bucket, &rules, "3"));
}

#[test]
fn each_tier_has_its_own_number_and_days() {
    use Tier::{Daily, Hourly, Manual};
    let bucket = bucket(&[
        (Hourly, 1, "h", Consistent),
        (Daily, 20 * 24, "d1", Consistent),
        (Daily, 21 * 24, "d2", Consistent),
        (Daily, 22 * 24, "d3", Consistent),
        (Manual, 9000, "m1", Consistent),
        (Manual, 9001, "m2", Consistent),
        (Hourly, 9002, "h2", Consistent),
    ]);
    let rules = retention();
    let expected = [
        ("h", Fate::Kept(Why::Newest)),
        ("d1", Fate::Kept(Why::NewestOf(Daily))),
        ("d2", Fate::Kept(Why::Number { number: 2, of: 2, tier: Daily })),
        ("d3", Fate::Expires),
        ("m1", Fate::Kept(Why::NewestOf(Manual))),
        ("m2", Fate::Kept(Why::ForEver(Manual))),
        ("h2", Fate::Kept(Why::Number { number: 2, of: 3, tier: Hourly })),
    ];
    for (id, expected) in expected {
        assert_eq!(fate(&bucket, &rules, id), expected, "{id}");
    }
    let nothing = Keep { newest: 0, days: Some(0) };
    let rules = Retention { hourly: nothing, daily: nothing, manual: nothing, ..rules };
    for (id, kept) in [("h", true), ("d1", true), ("d2", false), ("m1", true), ("m2", false), ("h2", false)] {
        assert_eq!(
            fate(&bucket, &rules, id) != Fate::Expires,
            kept,
            "{id}: the newest of each tier is a floor"
        );
    }
}

#[test]
fn an_unverified_one_goes_by_days_alone_and_supersedes_nothing() {
    use Tier::{Daily, Hourly, Manual};
    let mut bucket = bucket(&[
        (Hourly, 1, "young", Unchecked),
        (Hourly, 30, "inconsistent", Inconsistent),
        (Hourly, 31, "unchecked", Unchecked),
        (Daily, 100, "daily", Unchecked),
        (Manual, 5000, "manual", Inconsistent),
        (Hourly, 40, "gone", Consistent),
        (Hourly, 41, "cut", Consistent),
        (Hourly, 900, "verified", Consistent),
    ]);
    bucket.objects.remove(&ago(Hourly, 40, "gone").data());
    bucket.object(&ago(Hourly, 41, "cut").data(), 99);
    bucket.commit(&ago(Hourly, 50, "malformed"), Err(Unreadable::Malformed("EOF".into())));
    bucket.commit(&ago(Hourly, 51, "long"), Err(Unreadable::TooLong));
    for id in ["inconsistent", "unchecked", "gone", "cut", "malformed", "long"] {
        assert_eq!(fate(&bucket, &retention(), id), Fate::Expires, "{id}");
    }
    for id in ["young", "daily"] {
        assert!(matches!(fate(&bucket, &retention(), id), Fate::Kept(Why::Young { .. })), "{id}");
    }
    assert_eq!(fate(&bucket, &retention(), "manual"), Fate::Kept(Why::ForEver(Manual)));
    assert_eq!(fate(&bucket, &retention(), "verified"), Fate::Kept(Why::Newest));
}

#[test]
fn what_this_tick_or_this_version_cannot_read_stays() {
    use Tier::Hourly;
    let mut bucket = bucket(&[(Hourly, 800, "old", Consistent), (Hourly, 700, "unread", Consistent)]);
    let unread = ago(Hourly, 700, "unread");
    bucket.manifests.remove(&unread.manifest());
    bucket.commit(&ago(Hourly, 600, "later"), Err(Unreadable::Format(2)));
    let rules = Retention { hourly: Keep { newest: 0, days: Some(0) }, ..retention() };
    assert_eq!(fate(&bucket, &rules, "unread"), Fate::Kept(Why::NotRead));
    assert_eq!(fate(&bucket, &rules, "later"), Fate::Kept(Why::Format(2)));
    assert_eq!(fate(&bucket, &rules, "old"), Fate::Kept(Why::Newest), "as far as is known");
    assert_eq!(rules.expired(now(), &bucket.catalogue()), Vec::<String>::new());
}

#[test]
fn a_hold_beats_everything() {
    use Tier::Hourly;
    let all =
        [(Hourly, 1, "a", Consistent), (Hourly, 900, "b", Consistent), (Hourly, 901, "c", Inconsistent)];
    let mut bucket = bucket(&all);
    let orphan = ago(Hourly, 902, "d");
    bucket.object(&orphan.data(), 5);
    let rules = Retention { hourly: Keep { newest: 0, days: Some(0) }, ..retention() };
    let (b, c) = (ago(Hourly, 900, "b"), ago(Hourly, 901, "c"));
    assert_eq!(rules.expired(now(), &bucket.catalogue()), [b.manifest(), c.manifest(), orphan.data()]);
    for folder in [&ago(Hourly, 1, "a"), &b, &c, &orphan] {
        bucket.object(&folder.hold(), 2);
    }
    bucket.object(&c.report(), 2);
    for id in ["a", "b", "c"] {
        assert_eq!(fate(&bucket, &rules, id), Fate::Kept(Why::Held), "{id}");
    }
    assert_eq!(rules.expired(now(), &bucket.catalogue()), Vec::<String>::new());
    // A hold holds its own folder: one of another folder has no effect.
    for folder in [&b, &c, &orphan] {
        bucket.objects.remove(&folder.hold());
    }
    assert_eq!(rules.expired(now(), &bucket.catalogue()), [b.manifest(), c.manifest(), orphan.data()]);
}

#[test]
fn the_manifest_goes_first_and_the_rest_once_it_is_gone() {
    use Tier::Hourly;
    let mut bucket = bucket(&[(Hourly, 1, "a", Consistent), (Hourly, 900, "b", Inconsistent)]);
    let old = ago(Hourly, 900, "b");
    bucket.object(&old.report(), 9).object(&format!("{old}/kit/auth"), 1);
    for _listed_still in 0..3 {
        assert_eq!(retention().expired(now(), &bucket.catalogue()), [old.manifest()]);
    }
    bucket.objects.remove(&old.manifest());
    let rest = [format!("{old}/kit/auth"), old.report(), old.data()];
    assert_eq!(retention().expired(now(), &bucket.catalogue()), rest);
}

#[test]
fn data_without_a_manifest_stays_until_no_run_can_commit_it() {
    let orphan = ago(Tier::Hourly, 2, "a");
    let mut bucket = Bucket::default();
    bucket.object(&orphan.data(), 5).object("backups/hourly/readme.txt", 5).object("backups/other/x/y", 5);
    assert_eq!(
        retention().expired(now(), &bucket.catalogue()),
        Vec::<String>::new(),
        "at the deadline itself"
    );
    let later = Time::of_epoch(now().epoch() + 1);
    assert_eq!(
        retention().expired(later, &bucket.catalogue()),
        [orphan.data()],
        "and nothing that is not ours"
    );
    let before = Time::of_epoch(orphan.time.epoch() - 1);
    assert_eq!(retention().expired(before, &bucket.catalogue()), Vec::<String>::new(), "a clock behind");
}

#[test]
fn an_operator_reads_why() {
    let until = time("2026-11-26T00-00-00Z");
    let table = [
        (
            Fate::Expires,
            "expires: it is older than the days of its tier, and not among the newest verified ones that are kept",
        ),
        (
            Fate::Kept(Why::Held),
            "kept: an operator holds it (hold.json); it stays until that object is deleted",
        ),
        (Fate::Kept(Why::NotRead), "kept: its manifest could not be read just now, and nothing goes unread"),
        (
            Fate::Kept(Why::Format(2)),
            "kept: its manifest is of format 2, which this version cannot judge; the version that wrote it can",
        ),
        (Fate::Kept(Why::Newest), "kept: it is the newest verified backup of all, which never expires"),
        (
            Fate::Kept(Why::NewestOf(Tier::Daily)),
            "kept: it is the newest verified daily backup, which never expires",
        ),
        (
            Fate::Kept(Why::Number { number: 2, of: 24, tier: Tier::Hourly }),
            "kept: it is number 2 of the 24 newest verified hourly backups that are kept",
        ),
        (Fate::Kept(Why::ForEver(Tier::Manual)), "kept: manual backups are kept for ever"),
        (
            Fate::Kept(Why::Young { until, days: 14, tier: Tier::Daily }),
            "kept: daily backups are kept for 14 days, this one until 2026-11-26T00-00-00Z",
        ),
        (
            Fate::Kept(Why::Young { until, days: 1, tier: Tier::Hourly }),
            "kept: hourly backups are kept for 1 day, this one until 2026-11-26T00-00-00Z",
        ),
    ];
    for (fate, sentence) in table {
        assert_eq!(fate.to_string(), sentence);
    }
}
