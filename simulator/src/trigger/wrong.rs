//! Triggers that are wrong on purpose: the checks must break them, and must not break the right one in the same
//! history.

mod tampered;

use std::time::Duration;

use backup_trigger::{Memory, Policy, Schedule, request, tick};
use backups::{Folder, Keep, Retention, Tier, Time};
use jiff::tz::TimeZone;
use tampered::{Tampered, Wrong};
use tokio::{
    task::{LocalSet, spawn_local},
    time::sleep,
};
use topology::{Mode, Slot};

use super::{
    bounds::{self, Bounds, LOOK, PERIOD},
    bucket::Said,
    check::{self, Checks},
    ecs::Course,
    faults::Fault,
    member::Quiet,
    schedule::Stage,
    setting::{STACK, Setting, days},
    sim::{Ask, Sim},
    weather::Weather,
};
use crate::Chance;

const HOURS: u64 = 12;
/// An object beside the folders of backups.
const NOTES: &str = "backups/hourly/notes.txt";

/// What happens at a minute of a history. The hourly backup of the second hour is due at about 107, and begun
/// at 120.
type Happens = (u64, fn(&mut Sim, u64));

/// What is wrong, what happens to it, and the complaint.
const WRONG: [(Wrong, &[Happens], &str); 33] = [
    (Wrong::WinsRaces, &[], "were at work at once"),
    (Wrong::SeesNoRun, &[(100, freezes)], "were at work at once"),
    (Wrong::SeesNoRun, &[], "without an end"),
    (Wrong::AnyToken, &[(105, answers_are_lost)], "were at work at once"),
    (Wrong::ForgetsEnds, &[(100, all_fail)], "three runs an hour"),
    (Wrong::SeesNoPause, &[(119, |sim, now| Fault::Pause.strike(sim, now))], "no start in a pause"),
    // From the end of a slot's replacement to the beginning of the next one.
    (Wrong::SeesNoRoll, &[(119, |sim, now| sim.nodes.ails(1, now + HOUR, |node| node.definition = 7))], ROLL),
    (
        Wrong::SeesOneMaster,
        &[(119, |sim, now| sim.nodes.claims(1, now + HOUR))],
        "no start without exactly one master",
    ),
    (
        Wrong::SeesNoSilence,
        &[(119, |sim, now| sim.nodes.ails(1, now + HOUR, |node| node.quiet = Quiet::Silent))],
        "no start while a core node is away",
    ),
    (Wrong::TakesTheMaster, &[], "no start on a master that is not allowed"),
    (
        Wrong::SeesNoLag,
        &[(119, |sim, now| Fault::AllLag.strike(sim, now))],
        "no start on a node that is not fit",
    ),
    (Wrong::AsksAgain, &[(119, damaged)], "a second opinion is another slave's"),
    (Wrong::SeesNoDamage, &[(119, damaged)], "a run ends as its manifest says"),
    (Wrong::SeesNoWorker, &[(100, freezes)], "no run fails while its worker works"),
    (Wrong::SeesNoData, &[], "no tag on the newest verified backup"),
    (Wrong::SeesNoData, &[], "freshness is true"),
    (Wrong::SeesNoHold, &[(190, all_are_held)], "no tag on what is held"),
    (Wrong::LooksOnce, &[], "without a second look for a hold"),
    (Wrong::SeesNoManifest, &[], "no tag on data beside a manifest"),
    (Wrong::TagsNotes, &[(1, |sim, _| sim.bucket.put(NOTES.to_owned(), 1))], "which is of no backup"),
    (Wrong::SeesNoOwner, &[(100, |sim, now| sim.loses_bucket(now + 2 * HOUR))], "is another stack's"),
    (Wrong::DropsRequests, &[(60, asks)], "a request ends with a run or a reason"),
    (Wrong::SeesNoRequest, &[(60, asks)], "a request is answered"),
    (Wrong::ActsWhenAsked, &[], "only explains"),
    (Wrong::StopsAtOnce, &[], "before its deadline"),
    (Wrong::NeverStops, &[(100, freezes)], "a worker ends at its deadline"),
    (Wrong::NeverStops, &[(100, freezes)], "a run ends at its deadline"),
    (Wrong::SeesNoEnd, &[(100, all_fail)], "a run ends with its worker"),
    (Wrong::NeverLaunches, &[], "a run has a worker"),
    (Wrong::NeverLaunches, &[], "the hourly backup is fresh"),
    (Wrong::HasNoDays, &[], "the daily backup is made"),
    (Wrong::NeverTags, &[], "what expires is tagged"),
    (Wrong::NeverUntags, &[(400, what_goes_is_held)], "what stays after all loses its tag"),
];
const ROLL: &str = "no start in a roll";
const HOUR: u64 = 3_600_000;

fn answers_are_lost(sim: &mut Sim, now: u64) {
    sim.weather = Weather { until: now + 1_200_000, launch_lost: 1, ..Weather::default() };
}

fn all_fail(sim: &mut Sim, _: u64) {
    sim.ecs.courses.extend([Course::FailsEarly; 8]);
}

fn freezes(sim: &mut Sim, _: u64) {
    sim.ecs.courses.push_back(Course::Freezes);
}

fn damaged(sim: &mut Sim, _: u64) {
    sim.ecs.courses.push_back(Course::Well(Said::Inconsistent));
}

fn all_are_held(sim: &mut Sim, _: u64) {
    let folders: Vec<Folder> = sim.bucket.verified().cloned().collect();
    folders.iter().for_each(|folder| sim.bucket.put(folder.hold(), 1));
}

fn what_goes_is_held(sim: &mut Sim, _: u64) {
    let keys = sim.bucket.objects.iter().filter(|(_, object)| object.deletes.is_some());
    let folders: Vec<Folder> = keys.filter_map(|(key, _)| Folder::of_object(key)).collect();
    folders.iter().for_each(|folder| sim.bucket.put(folder.hold(), 1));
}

fn asks(sim: &mut Sim, _: u64) {
    sim.asks.push(Ask::Backup(None));
}

fn setting() -> Setting {
    let keep = Keep { newest: 2, days: Some(0) };
    let deadline = Duration::from_secs(1_800);
    let (starts, daily) = (1_790_000_000, "20:00");
    let policy = Policy {
        stack_id: STACK.to_owned(),
        mode: Mode::Ha,
        slots: Slot::numbered(&["core-1", "core-2", "core-3"], &[""; 0]),
        schedule: Schedule { hourly: true, daily: daily.parse().ok(), zone: TimeZone::UTC },
        retention: Retention { hourly: keep, daily: keep, manual: keep, deadline },
        deadline,
        max_lag: 1_000,
        from_master: false,
    };
    Setting { policy, starts, longest: 180_000, days: days(&TimeZone::UTC, daily, starts) }
}

/// Plays what `happens` to a trigger. Each tick comes twice.
fn play(wrong: Wrong, happens: &[Happens]) -> Checks {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    let happens = happens.to_vec();
    LocalSet::new().block_on(&runtime.unwrap(), async move {
        let stage = Stage::new(Sim::new(setting(), &Chance::new(3), true));
        let (mut chance, mut bounds) = (Chance::new(4), Bounds::default());
        for look in 0..HOURS * HOUR / LOOK {
            for (_, happens) in happens.iter().filter(|(minute, _)| minute * 60_000 == look * LOOK) {
                let (now, sim) = (stage.now(), &mut *stage.sim.borrow_mut());
                happens(sim, now);
                sim.nodes.changed(now);
            }
            if look % (PERIOD / LOOK) == 0 {
                (0..2).for_each(|_| ticks(&stage, wrong, &mut chance));
            }
            let asks = std::mem::take(&mut stage.sim.borrow_mut().asks);
            for _ in asks {
                let seen = stage.seen(&mut chance, "operator", false);
                spawn_local(async move { request(&seen, None).await });
            }
            sleep(Duration::from_millis(LOOK)).await;
            let (now, sim) = (stage.now(), &mut *stage.sim.borrow_mut());
            sim.step(now);
            let late = bounds.look(now, sim);
            late.iter().for_each(|late| sim.checks.breaks(now, late));
        }
        std::mem::take(&mut stage.sim.borrow_mut().checks)
    })
}

fn ticks(stage: &Stage, wrong: Wrong, chance: &mut Chance) {
    let seen = Tampered(stage.seen(chance, "tick", wrong == Wrong::ActsWhenAsked), wrong);
    let stage = stage.clone();
    spawn_local(async move {
        let ended = tick(&seen, &wrong.policy(setting().policy), &Memory::default()).await;
        let (now, sim) = (stage.now(), &mut *stage.sim.borrow_mut());
        if let Some(tally) = &ended.tally {
            sim.checks.tallied(&seen.0.name, &seen.0.look(), tally, now, &sim.setting);
        }
    });
}

#[test]
fn each_wrong_trigger_is_found_and_the_right_one_breaks_nothing() {
    let mut missed = Vec::new();
    for (wrong, happens, what) in WRONG {
        let right = play(Wrong::Nothing, happens);
        assert!(right.broken.is_empty(), "{wrong:?}: {:#?}\n{:#?}", right.told, right.broken);
        let broken = play(wrong, happens).broken;
        if !broken.iter().any(|complaint| complaint.contains(what)) {
            missed.push((wrong, what, broken));
        }
    }
    assert!(missed.is_empty(), "{missed:#?}");
}

#[test]
fn each_check_and_each_bound_breaks_a_wrong_trigger() {
    let all = check::NAMES.iter().chain(&bounds::NAMES);
    let never: Vec<_> = all.filter(|name| WRONG.iter().all(|(.., what)| what != *name)).collect();
    assert!(never.is_empty(), "{never:?}");
}

/// What of a folder is held, newest, or not there yet is true whatever the trigger thinks.
#[test]
fn the_bucket_knows_what_must_go() {
    let mut sim = Sim::new(setting(), &Chance::new(5), false);
    let time = |hours: u64| Time::of_epoch(setting().starts + hours * 3_600);
    for hours in 0..4 {
        let folder = Folder { time: time(hours), tier: Tier::Hourly, id: hours.to_string() };
        sim.bucket.put(folder.data(), 7);
        sim.bucket.commit(&folder, Said::Consistent, 7, "core-2", time(hours));
        if hours == 0 {
            sim.bucket.put(folder.hold(), 1);
        }
    }
    let cut = Folder { time: time(5), tier: Tier::Daily, id: "cut".to_owned() };
    sim.bucket.put(cut.data(), 7);
    let retention = setting().policy.retention;
    let must_go = |hours, current| sim.bucket.must_go(time(hours).epoch(), &retention, current);
    let third = Folder { time: time(1), tier: Tier::Hourly, id: "1".to_owned() };
    assert_eq!(must_go(5, None), [third.manifest()]);
    assert_eq!(must_go(6, None), [third.manifest(), cut.data()]);
    assert_eq!(must_go(6, Some(&cut)), [third.manifest()]);
}
