//! Days in which everything goes wrong that can, chosen by a seed.

use backups::{Consistency, Tier, Time};
use proptest::prelude::*;
use topology::{Millis, Pause};

use crate::stage::{DAY, Launch, Stage, TICK, Worker, Write, policy, stage, time};

const BEGINS: &str = "2026-05-01T00-00-00Z";

/// Numbers from a seed.
struct Chance(u64);

impl Chance {
    fn next(&mut self, below: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % below
    }

    fn one_in(&mut self, times: u64) -> bool {
        self.next(times) == 0
    }

    fn worker(&mut self) -> Worker {
        let takes = 60 + self.next(3000);
        match self.next(8) {
            0 => Worker::Dies(takes),
            1 => Worker::HalfWritten(takes),
            2 => Worker::Vanishes(takes),
            3 => Worker::Hangs,
            4 => Worker::Makes(Consistency::Unchecked, takes),
            5 => Worker::Makes(Consistency::Inconsistent, takes),
            _ => Worker::Makes(Consistency::Consistent, takes),
        }
    }
}

/// Strikes with one fault, or ends one.
fn strike(stage: &Stage, chance: &mut Chance) {
    let now = stage.clock.get();
    match chance.next(15) {
        0..=2 => {
            let worker = chance.worker();
            stage.workers.borrow_mut().push_back(worker);
        }
        3 => {
            let all = [
                Launch::Refused,
                Launch::Throttled,
                Launch::AnswerLost,
                Launch::DiesBefore,
                Launch::DiesAfter,
            ];
            let launch = all[usize::try_from(chance.next(5)).unwrap()];
            stage.launches.borrow_mut().push_back(launch);
        }
        4 => {
            let all = [Write::MadeAndLost, Write::MadeAndBroken, Write::Broken, Write::Busy, Write::Rival];
            let write = all[usize::try_from(chance.next(5)).unwrap()];
            stage.writes.borrow_mut().push_back(write);
        }
        5 => stage.unlisted.set(!stage.unlisted.get()),
        6 => stage.unread.set(!stage.unread.get()),
        7 => stage.undescribed.set(!stage.undescribed.get()),
        8 => stage.unstoppable.set(!stage.unstoppable.get()),
        9 => {
            let until = Millis((now + chance.next(7200)) * 1000);
            *stage.pause.borrow_mut() = Some(Pause { owner: "ada".into(), until });
        }
        10 => stage.change("slave-1", |node| node.stopping = !node.stopping),
        11 => stage.change("core-3", |node| {
            let status = node.status.as_mut().unwrap();
            status.backup_server = Some(status.backup_server == Some(false));
        }),
        12 => stage.unfound.set(!stage.unfound.get()),
        13 => stage.change("core-2", |node| {
            let status = node.status.as_mut().unwrap();
            status.last_transaction = Some(if status.last_transaction == Some(1) { 1000 } else { 1 });
        }),
        _ => {
            let named = [None, Some("core-1".to_owned()), Some("core-3".to_owned())];
            let slot = named[usize::try_from(chance.next(3)).unwrap()].clone();
            drop(crate::stage::block_on(backup_trigger::request(stage, slot)));
        }
    }
}

fn calm(stage: &Stage) {
    for faults in [&stage.unlisted, &stage.unread, &stage.undescribed, &stage.unstoppable, &stage.unfound] {
        faults.set(false);
    }
    stage.workers.borrow_mut().clear();
    stage.launches.borrow_mut().clear();
    stage.writes.borrow_mut().clear();
    *stage.pause.borrow_mut() = None;
    for slot in ["slave-1", "core-2", "core-3"] {
        stage.change(slot, |node| {
            node.stopping = false;
            let status = node.status.as_mut().unwrap();
            (status.last_transaction, status.backup_server) = (Some(1000), Some(true));
        });
    }
}

/// What must never be, whatever goes wrong. That there are never two workers the stage itself asserts.
fn never(stage: &Stage) {
    let tasks = stage.tasks.borrow();
    for task in tasks.iter() {
        assert_eq!(task.order.source.role, "slave", "a master that was not allowed");
        assert_ne!(task.order.source.slot, "core-1");
    }
    let scheduled: Vec<u64> = tasks
        .iter()
        .filter(|task| task.order.folder.tier != Tier::Manual)
        .map(|task| task.order.folder.time.epoch())
        .collect();
    for (index, at) in scheduled.iter().enumerate() {
        let within = scheduled[index..].iter().filter(|later| **later < at + 3600).count();
        assert!(within <= 3, "{within} runs within an hour of {}", Time::of_epoch(*at));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn whatever_goes_wrong_there_is_one_run_at_a_time_and_calm_makes_everything_fresh(seed in 1_u64..u64::MAX) {
        let stage = stage(BEGINS, policy());
        let mut chance = Chance(seed);
        while stage.clock.get() < time(BEGINS) + 2 * DAY {
            if chance.one_in(3) {
                strike(&stage, &mut chance);
            }
            // The schedule, or the end of a task, or an event that comes twice.
            let wait = if chance.one_in(3) { chance.next(TICK) } else { TICK };
            stage.pass(wait);
            drop(stage.try_tick());
            if chance.one_in(6) {
                drop(stage.try_tick());
            }
        }
        never(&stage);
        calm(&stage);
        // What hangs is stopped at its deadline; then three runs of the last hour are over.
        for _ in 0..16 {
            stage.pass(TICK);
            stage.tick();
        }
        let tally = stage.try_tick().unwrap().tally.unwrap();
        prop_assert!(tally.freshness.hourly.as_secs() <= 2 * 3600, "{:?}", tally.freshness);
        for _ in 0..96 {
            stage.pass(TICK);
            stage.tick();
        }
        let tally = stage.try_tick().unwrap().tally.unwrap();
        prop_assert!(tally.freshness.daily.as_secs() <= 25 * 3600, "{:?}", tally.freshness);
        never(&stage);
        // Everything that is not kept is tagged, and nothing that is kept.
        let catalogue = stage.catalogue();
        let now = Time::of_epoch(stage.clock.get());
        let expired = stage.policy.retention.expired(now, &catalogue);
        let bucket = stage.bucket.borrow();
        for key in &expired {
            prop_assert!(bucket.tagged.contains_key(key), "{key} stays");
        }
        for key in bucket.tagged.keys() {
            prop_assert!(expired.contains(key), "{key} goes");
        }
    }
}
