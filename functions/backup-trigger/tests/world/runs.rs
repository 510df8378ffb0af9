//! Runs that go wrong, each in its own way.

use backup_trigger::{How, tick};
use backups::Consistency;
use topology::{Millis, Pause};

use crate::{
    stage::{Launch, Stage, TAKES, TICK, Worker, Write, block_on},
    ticks::of,
};

const MADE: Worker = Worker::Makes(Consistency::Consistent, TAKES);

/// Fault 31.
#[test]
fn a_worker_that_is_refused_is_a_failure_with_its_reason_and_three_are_enough() {
    let stage = of(&[]);
    stage.launches.borrow_mut().extend([Launch::Refused; 3]);
    let first = stage.tally();
    assert!(first.failed && !first.stuck);
    assert_eq!(stage.current(), None);
    let How::Failed(reason) = stage.hows().remove(0) else { panic!("{:?}", stage.hows()) };
    assert!(reason.starts_with("no worker was started: ecs:RunTask on x failed: it was told to"), "{reason}");
    let tried: Vec<String> = (0..2)
        .map(|_| {
            stage.pass(TICK);
            stage.tick();
            stage.runs().ended.last().unwrap().slot.clone()
        })
        .collect();
    assert_eq!(tried, ["core-3", "core-2"], "another source each time");
    stage.pass(TICK);
    let waits = stage.outcome();
    assert_eq!(waits.refusal.as_deref(), Some("Waits"), "{}", waits.sentence);
    // An hour after the first one: from the one that failed first.
    stage.pass(TICK);
    stage.tick();
    assert_eq!(stage.sources(), ["slave-1"]);
}

#[test]
fn a_tick_that_dies_around_run_task_leaves_one_worker() {
    for how in [Launch::DiesBefore, Launch::DiesAfter, Launch::AnswerLost, Launch::Throttled] {
        let stage = of(&[]);
        stage.launches.borrow_mut().push_back(how);
        let died = stage.try_tick().is_none();
        assert_eq!(died, matches!(how, Launch::DiesBefore | Launch::DiesAfter), "{how:?}");
        let run = stage.current().unwrap();
        assert_eq!((run.task, stage.hows()), (None, vec![]), "{how:?}");
        let was_started = !stage.tasks.borrow().is_empty();
        stage.pass(120);
        let again = stage.outcome();
        let is_repeated = again.sentence.contains("is started once more, with its token");
        assert_ne!(is_repeated, was_started, "{how:?}: {}", again.sentence);
        assert_eq!(stage.tasks.borrow().len(), 1, "{how:?}");
        assert_eq!(stage.current().unwrap().order, run.order, "{how:?}");
        assert!(stage.current().unwrap().task.is_some(), "{how:?}");
        stage.pass(TICK);
        stage.tick();
        assert_eq!(stage.hows(), [How::Verified], "{how:?}");
    }
}

type Change<'c> = &'c dyn Fn(&Stage);

/// The first call started nothing, and the cluster is not what it was when the next tick could repeat it.
#[test]
fn a_worker_is_not_started_late_where_none_may_be_started_any_more() {
    let paused = |stage: &Stage| {
        let until = Millis((stage.clock.get() + TICK) * 1000);
        *stage.pause.borrow_mut() = Some(Pause { owner: "ada".into(), until });
    };
    let elected = |stage: &Stage| {
        stage.change("core-1", |node| node.status.as_mut().unwrap().role = "slave".into());
        stage.change("core-3", |node| node.status.as_mut().unwrap().role = "master".into());
    };
    let replaced = |stage: &Stage| stage.change("core-3", |node| node.address = Some([10, 0, 9, 9].into()));
    let table: [(Change<'_>, &str, Option<&str>); 3] = [
        (&paused, "ada paused the election", None),
        (&elected, "core-3 is the master", Some("core-2")),
        (&replaced, "core-3 has another task", Some("core-2")),
    ];
    for (happens, why, next) in table {
        let stage = of(&[]);
        stage.change("slave-1", |node| node.status.as_mut().unwrap().backup_server = Some(false));
        stage.launches.borrow_mut().push_back(Launch::Throttled);
        stage.tick();
        assert_eq!(stage.current().unwrap().order.source.slot, "core-3");
        happens(&stage);
        stage.pass(120);
        let early = stage.tick();
        assert!(early.contains(why) && stage.tasks.borrow().is_empty() && stage.hows().is_empty(), "{early}");
        stage.pass(TICK - 120 - 1);
        stage.tick();
        let How::Failed(reason) = stage.hows().remove(0) else { panic!("{:?}", stage.hows()) };
        assert!(reason.starts_with("no worker was started") && reason.contains(why), "{reason}");
        assert_eq!(stage.sources().first().map(String::as_str), next, "{why}");
    }
}

/// The first call started a worker, and the second one is refused: there is a worker all the same.
#[test]
fn a_refusal_after_a_lost_answer_begins_no_second_run() {
    let stage = of(&[Worker::Hangs]);
    stage.launches.borrow_mut().extend([Launch::AnswerLost, Launch::Refused]);
    stage.unfound.set(true);
    stage.tick();
    stage.pass(TICK);
    stage.tick();
    assert_eq!((stage.tasks.borrow().len(), stage.hows(), stage.launches.borrow().len()), (1, vec![], 0));
    // At the deadline nothing is known of it: nothing else is begun.
    stage.launches.borrow_mut().extend([Launch::Refused; 20]);
    stage.ticks(8);
    assert!(stage.tally().stuck && stage.hows().is_empty());
    stage.unfound.set(false);
    stage.launches.borrow_mut().clear();
    stage.tick();
    assert!(matches!(&stage.hows()[..], [How::Failed(_)]));
    stage.ticks(1);
    assert_eq!(stage.sources(), ["slave-1", "core-3"], "once it was found and stopped");

    // Nothing was started: the refusal of a second call ends it.
    let stage = of(&[]);
    stage.launches.borrow_mut().extend([Launch::Throttled, Launch::Refused]);
    stage.tick();
    stage.pass(TICK);
    assert!(stage.tally().failed);
    assert!(matches!(&stage.hows()[..], [How::Failed(_)]));
}

/// The ARN cannot be recorded: the next tick finds the task by its token.
#[test]
fn an_arn_that_is_not_recorded_is_found_again() {
    let stage = of(&[]);
    stage.tick();
    stage.pass(TICK);
    stage.tick();
    stage.pass(3600);
    // The plan is written; the record of the ARN is not.
    let stage_writes = || stage.writes.borrow_mut();
    stage_writes().push_back(Write::MadeAndLost);
    stage_writes().push_back(Write::Broken);
    assert!(stage.try_tick().unwrap().outcome.is_err());
    assert_eq!((stage.tasks.borrow().len(), stage.current().unwrap().task), (2, None));
    stage.pass(TICK);
    stage.tick();
    assert_eq!((stage.tasks.borrow().len(), stage.hows().len()), (2, 2), "its manifest was there already");
}

#[test]
fn a_task_that_vanishes_is_a_failure() {
    let stage = of(&[Worker::Vanishes(10)]);
    stage.tick();
    stage.pass(60);
    assert!(stage.tick().contains("has run for 60 s"), "ECS may not know a new task yet");
    stage.pass(240);
    let sentence = stage.tick();
    assert!(sentence.contains("ECS does not know its task task/backup/id-1 any more"), "{sentence}");
    assert_eq!(stage.sources(), ["slave-1", "core-3"], "and the same tick takes another source");
}

#[test]
fn a_task_that_ecs_does_not_describe_is_waited_for() {
    let stage = of(&[Worker::Dies(60)]);
    stage.tick();
    stage.undescribed.set(true);
    stage.pass(TICK);
    assert!(stage.tick().contains("has run for 900 s"));
    stage.undescribed.set(false);
    assert!(stage.tick().contains("exit code 1: Essential container exited; it wrote no manifest"));
}

/// Fault 33.
#[test]
fn a_run_past_its_deadline_is_stopped_and_nothing_is_begun_before_it_is_gone() {
    let stage = of(&[Worker::Hangs]);
    stage.tick();
    stage.ticks(7);
    assert_eq!((stage.stops.get(), stage.hows()), (0, vec![]), "not a second too early");
    stage.unstoppable.set(true);
    stage.pass(TICK);
    let late = stage.tally();
    assert!(late.stuck && late.failed);
    assert!(matches!(&stage.hows()[..], [How::Failed(reason)] if reason.contains("deadline")));
    // The call failed: it is asked for again, and is counted once.
    stage.unstoppable.set(false);
    stage.pass(30);
    let later = stage.tally();
    assert!(later.stuck && !later.failed);
    assert_eq!((stage.stops.get(), stage.tasks.borrow().len()), (2, 1));
    stage.pass(30);
    assert!(stage.tick().contains("nothing else is begun before it is gone"));
    stage.pass(60);
    stage.tick();
    assert_eq!((stage.sources(), stage.hows().len()), (vec!["slave-1".into(), "core-3".into()], 1));
    assert!(!stage.tally().stuck);
}

/// Fault 35: data without a manifest is not a backup, and goes.
#[test]
fn a_half_written_upload_is_no_backup_and_does_not_stay() {
    let stage = of(&[Worker::HalfWritten(60)]);
    stage.tick();
    let half = stage.current().unwrap().order.folder;
    stage.ticks(1);
    assert!(matches!(&stage.hows()[..], [How::Failed(_)]));
    assert!(stage.catalogue().orphans.contains(&half) && stage.catalogue().entries.is_empty());
    assert!(stage.bucket.borrow().tagged.is_empty(), "younger than the deadline");
    stage.ticks(9);
    assert!(stage.bucket.borrow().tagged.contains_key(&half.data()));
    assert!(stage.runs().tagged.contains(&half.data()));
    stage.ticks(3 * 96);
    assert!(!stage.bucket.borrow().objects.contains_key(&half.data()), "the lifecycle deleted it");
    assert!(!stage.runs().tagged.contains(&half.data()));
}

/// Fault 34.
#[test]
fn an_inconsistent_backup_has_one_second_opinion_from_another_slave() {
    let bad = Worker::Makes(Consistency::Inconsistent, TAKES);
    for (second, runs, part) in [
        (
            MADE,
            2,
            "the store of slave-1 is damaged and the cluster is not, because the backup from core-3 is consistent",
        ),
        (
            bad,
            2,
            "the backups from slave-1 and core-3 are both inconsistent: the last verified backup is none",
        ),
    ] {
        let stage = of(&[bad, second]);
        stage.tick();
        stage.pass(TICK);
        let alarm = stage.tally();
        assert!(alarm.inconsistent && !alarm.failed);
        stage.pass(TICK);
        let sentence = stage.tick();
        assert!(sentence.contains(part), "{sentence}");
        stage.pass(TICK);
        stage.tick();
        assert_eq!((stage.tasks.borrow().len(), stage.sources()[1].as_str()), (runs, "core-3"), "{sentence}");
        let latest = stage.catalogue().latest().chosen.map(|entry| entry.folder.clone());
        assert_eq!(latest.is_some(), second == MADE, "an inconsistent one is never the latest");
    }
}

/// A check that could not run says nothing: another source is taken, and no alarm of damage rings.
#[test]
fn an_unchecked_backup_is_made_again_from_another_source() {
    let stage = of(&[Worker::Makes(Consistency::Unchecked, TAKES)]);
    stage.tick();
    stage.pass(TICK);
    let ended = stage.tally();
    assert!(ended.failed && !ended.inconsistent);
    assert_eq!(ended.freshness.hourly.as_secs(), TICK, "it does not make anything fresh");
    assert_eq!(stage.sources(), ["slave-1", "core-3"]);
}

/// Two ticks find a run without a task at once: one is refused a worker, the other one gets it.
#[test]
fn a_worker_whose_run_was_given_up_meanwhile_is_stopped() {
    let mut stopped = 0;
    for seed in 1..200 {
        let stage = of(&[Worker::Hangs]);
        stage.launches.borrow_mut().push_back(Launch::Throttled);
        stage.tick();
        stage.pass(TICK);
        stage.launches.borrow_mut().push_back(Launch::Refused);
        stage.interleaving.set(seed * 104_729);
        let both = block_on(async {
            let tick = || tick(&stage, &stage.policy, &stage.memory);
            tokio::join!(tick(), tick())
        });
        assert!(both.0.outcome.is_ok() && both.1.outcome.is_ok(), "seed {seed}: {both:?}");
        let task = stage.tasks.borrow().first().map(|task| task.arn.clone());
        match stage.current() {
            Some(run) => assert_eq!(run.task, task, "seed {seed}"),
            None => stopped += usize::from(stage.stops.get() == 1 && task.is_some()),
        }
    }
    assert!(stopped > 0, "no seed has made it happen");
}
