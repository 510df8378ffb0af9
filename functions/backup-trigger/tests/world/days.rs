//! Weeks and months of ticks, by the clock.

use backup_trigger::{Policy, Schedule};
use backups::{Folder, Tier, Time};

use crate::stage::{DAY, Stage, TICK, policy, stage, time};

/// Ticks for so many seconds.
fn live(stage: &Stage, seconds: u64) {
    live_by(stage, seconds, TICK);
}

/// Ticks every `step` seconds for so many.
fn live_by(stage: &Stage, seconds: u64, step: u64) {
    for _ in 0..seconds / step {
        stage.pass(step);
        stage.tick();
    }
}

fn of(stage: &Stage, tier: Tier) -> Vec<Folder> {
    let mut folders: Vec<Folder> = stage
        .catalogue()
        .entries
        .into_iter()
        .map(|entry| entry.folder)
        .filter(|folder| folder.tier == tier)
        .collect();
    folders.sort();
    folders
}

#[test]
fn months_leave_what_retention_keeps_and_a_schedule_that_stops_leaves_the_newest() {
    let stage = stage("2026-01-01T00-00-00Z", policy());
    // Every hour, which is enough for hourly ones.
    live_by(&stage, 30 * DAY, 3600);
    let (hourly, daily) = (of(&stage, Tier::Hourly), of(&stage, Tier::Daily));
    // A day, and up to two more until the lifecycle has run: tagged within a tick, deleted a day later.
    assert!((23..=3 * 24).contains(&hourly.len()), "{} hourly ones", hourly.len());
    assert!((14..=17).contains(&daily.len()), "{} daily ones", daily.len());
    let objects = stage.bucket.borrow().objects.len();
    assert!(objects <= 2 * (hourly.len() + daily.len()) + 2 * 3 * 24, "{objects} objects: data goes too");
    assert!(stage.runs().tagged.len() < 150, "what is gone is forgotten");

    // No worker makes anything for a month: what is old goes, and the newest of each tier stays.
    let newest = [hourly, daily].map(|tier| tier.last().unwrap().clone());
    for node in stage.nodes.borrow_mut().iter_mut() {
        node.status.as_mut().unwrap().backup_server = Some(false);
    }
    live_by(&stage, 35 * DAY, 3 * 3600);
    for folder in newest {
        let bucket = stage.bucket.borrow();
        assert!(
            bucket.objects.contains_key(&folder.manifest()) && bucket.objects.contains_key(&folder.data())
        );
    }
    assert_eq!(
        (of(&stage, Tier::Hourly).len(), of(&stage, Tier::Daily).len()),
        (6, 7),
        "as many as are kept by number"
    );
    assert!(stage.bucket.borrow().tagged.is_empty());
}

#[test]
fn a_held_backup_stays_whatever_its_age() {
    let stage = stage("2026-01-01T00-00-00Z", policy());
    live(&stage, 2 * DAY);
    // The oldest ones are tagged already, and a hold would be too late for them.
    let held = of(&stage, Tier::Hourly).last().unwrap().clone();
    stage.put(&held.hold(), b"{}".to_vec());
    live_by(&stage, 10 * DAY, 3600);
    assert_eq!(of(&stage, Tier::Hourly).first(), Some(&held));
}

fn berlin(at: &str) -> Policy {
    let zone = jiff::tz::TimeZone::get("Europe/Berlin").unwrap();
    let schedule = Schedule { hourly: false, daily: Some(at.parse().unwrap()), zone };
    Policy { schedule, ..policy() }
}

/// The clock jumps from 02:00 to 03:00 on one of these days, and shows 02:00 to 03:00 twice on another.
#[test]
fn a_day_has_one_daily_backup_when_the_clock_changes_too() {
    for (begins, expected) in [
        ("2026-03-27T12-00-00Z", ["2026-03-28T01-30-00Z", "2026-03-29T01-00-00Z", "2026-03-30T00-30-00Z"]),
        ("2026-10-23T12-00-00Z", ["2026-10-24T00-30-00Z", "2026-10-25T00-30-00Z", "2026-10-26T01-30-00Z"]),
    ] {
        let stage = stage(begins, berlin("02:30"));
        // The first tick makes one: there is none since yesterday's.
        stage.tick();
        live(&stage, 3 * DAY);
        let begun: Vec<String> =
            of(&stage, Tier::Daily).into_iter().skip(1).map(|folder| folder.time.to_string()).collect();
        assert_eq!(begun, expected);
    }
}

#[test]
fn hours_go_on_when_the_clock_changes() {
    let policy = Policy { schedule: Schedule { hourly: true, ..berlin("02:30").schedule }, ..policy() };
    let stage = stage("2026-10-24T20-00-00Z", policy);
    stage.tick();
    live(&stage, 12 * 3600 + TICK);
    let mut all = [of(&stage, Tier::Hourly), of(&stage, Tier::Daily)].concat();
    all.sort();
    let mut hours: Vec<u64> = all.iter().map(|folder| folder.time.epoch() / 3600).collect();
    hours.dedup();
    let first = time("2026-10-24T20-00-00Z") / 3600;
    assert_eq!(hours, (first..=first + 12).collect::<Vec<_>>(), "one in each hour");
    let daily: Vec<Time> = of(&stage, Tier::Daily).into_iter().map(|folder| folder.time).collect();
    assert_eq!(daily.len(), 2, "the first one, and that of the night: {daily:?}");
}
