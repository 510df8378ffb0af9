//! One tick after the other: what is begun and concluded, what operators ask, whose bucket it is.

use backup_trigger::{How, Unwanted, explain, request, tick};
use backups::{Consistency, Folder, Tier, Time};
use topology::{Millis, Pause};

use crate::stage::{DAY, STACK, Stage, TAKES, TICK, Worker, Write, block_on, policy, stage, time};

/// Two hours after the daily backup was due.
pub const AT: &str = "2026-11-25T04-05-00Z";

pub fn of(workers: &[Worker]) -> Stage {
    let stage = stage(AT, policy());
    stage.workers.borrow_mut().extend(workers);
    stage
}

#[test]
fn a_tick_begins_what_is_due_and_a_later_one_concludes_it() {
    let stage = of(&[]);
    let begun = stage.outcome();
    assert!(begun.sentence.starts_with("a daily backup from slave-1 (slave) was begun"), "{begun:?}");
    let run = stage.current().unwrap();
    assert_eq!(
        (run.task.as_deref(), begun.run),
        (Some("task/backup/id-1"), Some(run.order.folder.to_string()))
    );
    stage.pass(60);
    assert!(stage.tick().contains("has run for 60 s"));
    stage.pass(TAKES);
    let ended = stage.try_tick().unwrap();
    let tally = ended.tally.unwrap();
    assert_eq!((tally.bytes, tally.seconds, tally.failed), (Some(100), Some(TAKES), false));
    assert_eq!((stage.hows(), stage.current()), (vec![How::Verified], None));
    assert_eq!(tally.freshness.hourly.as_secs(), TAKES + 60, "from its beginning");
    // It counts for the hour too, and the next hour has its own.
    assert!(stage.tick().starts_with("no backup is due before 2026-11-25T05-00-00Z"));
    let sentences = stage.ticks(4);
    assert!(
        sentences.iter().any(|sentence| sentence.contains("an hourly backup from slave-1")),
        "{sentences:?}"
    );
    assert_eq!(stage.tasks.borrow().len(), 2);
}

/// Two deliveries of one event, or a schedule and the end of a task.
#[test]
fn doubled_ticks_begin_one_run_however_their_calls_interleave() {
    for seed in 1..400 {
        let stage = of(&[]);
        for round in 0..3 {
            stage.interleaving.set(seed * 7919 + round);
            let (one, two, three) = block_on(async {
                let tick = || tick(&stage, &stage.policy, &stage.memory);
                tokio::join!(tick(), tick(), tick())
            });
            let ended = [one, two, three].into_iter().filter_map(|ended| ended.outcome.ok());
            let lost: Vec<bool> = ended.map(|outcome| outcome.lost_race).collect();
            assert!(lost.contains(&false), "seed {seed}: {lost:?}");
            stage.pass(TAKES / 2 + 30);
        }
        assert_eq!(stage.tasks.borrow().len(), 1, "seed {seed}");
        let ends = stage.runs().ended;
        assert_eq!((ends.len(), &ends[0].how), (1, &How::Verified), "seed {seed}");
    }
}

#[test]
fn a_lost_race_drops_the_plan() {
    let stage = of(&[]);
    stage.tick();
    stage.pass(TAKES);
    stage.writes.borrow_mut().push_back(Write::Rival);
    let ended = stage.try_tick().unwrap();
    assert!(ended.outcome.unwrap().lost_race);
    assert_eq!(ended.tally.unwrap().bytes, None, "the tick that wrote it counts it");
    assert!(stage.current().is_some(), "nothing was concluded");
    stage.tick();
    assert_eq!(stage.hows(), [How::Verified]);

    let stage = of(&[]);
    stage.writes.borrow_mut().push_back(Write::Rival);
    assert!(stage.outcome().lost_race);
    assert!(stage.tasks.borrow().is_empty());
}

/// S3 answers 412 to a tick whose own write succeeded when the answer was lost.
#[test]
fn a_write_whose_answer_is_lost_is_recognised_and_its_plan_carried_out() {
    for how in [Write::MadeAndLost, Write::MadeAndBroken, Write::Busy] {
        let stage = of(&[]);
        stage.writes.borrow_mut().push_back(how);
        assert!(!stage.outcome().lost_race, "{how:?}");
        assert_eq!(stage.tasks.borrow().len(), 1, "{how:?}");
    }
    let stage = of(&[]);
    stage.writes.borrow_mut().push_back(Write::Broken);
    assert!(stage.try_tick().unwrap().outcome.is_err());
    assert!(stage.tasks.borrow().is_empty(), "without its record no worker is started");
    stage.tick();
    assert_eq!(stage.tasks.borrow().len(), 1);
}

#[test]
fn an_operator_gets_a_backup_at_once_from_the_slot_that_was_named() {
    let stage = of(&[]);
    stage.ticks(2);
    block_on(request(&stage, Some("core-2".into()))).unwrap();
    let twice = block_on(request(&stage, None)).unwrap_err();
    assert!(matches!(twice, Unwanted::Pending { .. }), "{twice}");
    stage.tick();
    assert_eq!(stage.sources().last().map(String::as_str), Some("core-2"));
    let folder = stage.current().unwrap().order.folder;
    assert_eq!(folder.tier, Tier::Manual);
    stage.ticks(1);
    assert_eq!((stage.runs().requested, stage.hows().last().cloned()), (None, Some(How::Verified)));
    // It is there for ever: its tier has no days.
    for _ in 0..50 {
        stage.pass(DAY);
        stage.tick();
    }
    assert!(stage.bucket.borrow().objects.contains_key(&folder.data()));
}

#[test]
fn a_slot_that_is_not_fit_is_refused_by_name_and_the_request_ends() {
    let stage = of(&[]);
    block_on(request(&stage, Some("core-1".into()))).unwrap();
    let sentence = stage.tick();
    assert!(sentence.contains("(backups/manual/"), "{sentence}");
    assert!(sentence.contains("it was not begun: core-1 is the master"), "{sentence}");
    assert_eq!(stage.runs().requested, None);
    assert!(matches!(&stage.runs().ended[0].how, How::Refused(_)));
    assert_eq!(stage.sources(), ["slave-1"], "what is due is begun all the same");
}

#[test]
fn a_request_without_a_slot_tries_three_sources() {
    let stage = of(&[]);
    stage.ticks(2);
    stage.workers.borrow_mut().extend([Worker::Dies(60); 3]);
    block_on(request(&stage, None)).unwrap();
    stage.tick();
    for _ in 0..6 {
        stage.pass(120);
        stage.tick();
    }
    let manual = |stage: &Stage| {
        let tasks = stage.tasks.borrow();
        let manual = tasks.iter().filter(|task| task.order.folder.tier == Tier::Manual);
        manual.map(|task| task.order.source.slot.clone()).collect::<Vec<_>>()
    };
    assert_eq!(manual(&stage), ["slave-1", "core-3", "core-2"]);
    assert_eq!(stage.runs().requested, None);
}

#[test]
fn a_bucket_is_claimed_once_and_another_stacks_is_left_alone() {
    let stage = of(&[]);
    stage.tick();
    assert_eq!(stage.owner.borrow().as_deref(), Some(STACK));

    for rival in [false, true] {
        let stage = of(&[]);
        if rival {
            stage.rival_owner.set(true);
        } else {
            *stage.owner.borrow_mut() = Some("arn:other".into());
        }
        // A backup of the other stack that is too old by this one's rules.
        let old = Folder::new(Tier::Hourly, Time::of_epoch(time(AT) - 9_000_000), "o").unwrap();
        stage.put(&old.data(), vec![0; 9]);
        for _ in 0..3 {
            let refused = stage.outcome();
            assert_eq!(refused.refusal.as_deref(), Some("OtherOwner"));
            assert!(refused.sentence.contains("belongs to the stack arn:other"), "{}", refused.sentence);
            stage.pass(TICK);
        }
        assert!(stage.tasks.borrow().is_empty() && stage.bucket.borrow().tagged.is_empty());
        assert_eq!(stage.tally().freshness.daily.as_secs(), 3 * TICK, "never fresh, so its alarm rings");
    }
}

#[test]
fn a_hold_that_comes_after_the_listing_is_seen_before_the_tag() {
    let stage = of(&[]);
    stage.ticks(2);
    let old = Folder::new(Tier::Hourly, Time::of_epoch(time(AT) - 9_000_000), "o").unwrap();
    stage.put(&old.data(), vec![0; 9]);
    *stage.late_hold.borrow_mut() = Some(old.clone());
    stage.tick();
    assert!(stage.bucket.borrow().tagged.is_empty());
    assert!(stage.runs().tagged.is_empty());
    stage.ticks(2);
    assert!(stage.bucket.borrow().tagged.is_empty(), "and the listing has it from now on");
    stage.bucket.borrow_mut().objects.remove(&old.hold());
    stage.tick();
    assert!(stage.bucket.borrow().tagged.contains_key(&old.data()), "a hold ends with its object");
    stage.put(&old.hold(), Vec::new());
    stage.tick();
    assert!(stage.bucket.borrow().tagged.is_empty(), "and begins with one, also after the tag");
    assert!(stage.runs().tagged.is_empty());
}

#[test]
fn a_tag_whose_answer_was_lost_is_put_on_and_taken_off_like_any_other() {
    let stage = of(&[]);
    stage.ticks(2);
    let old = Folder::new(Tier::Hourly, Time::of_epoch(time(AT) - 9_000_000), "o").unwrap();
    let is_tagged = || stage.bucket.borrow().tagged.contains_key(&old.data());
    stage.put(&old.data(), vec![0; 9]);
    stage.untold.set(true);
    stage.tick();
    assert!(is_tagged());
    stage.untold.set(false);
    stage.put(&old.hold(), Vec::new());
    stage.tick();
    assert!(!is_tagged(), "a hold takes it off although no answer said that it is there");

    stage.bucket.borrow_mut().objects.remove(&old.hold());
    stage.tick();
    stage.put(&old.hold(), Vec::new());
    stage.untold.set(true);
    stage.tick();
    assert!(!is_tagged());
    stage.bucket.borrow_mut().objects.remove(&old.hold());
    stage.untold.set(false);
    stage.tick();
    assert!(is_tagged(), "it is put on again although no answer said that it is gone");
    assert_eq!(stage.runs().tagged, [old.data()].into());
}

#[test]
fn a_warm_process_reads_each_manifest_once() {
    let stage = of(&[]);
    stage.ticks(20);
    let made = stage.catalogue().entries.len();
    assert!(made >= 4);
    assert_eq!(stage.manifests_read.get(), made);
    // What is too long is never read.
    let long = Folder::new(Tier::Hourly, Time::of_epoch(time(AT)), "long").unwrap();
    stage.put(&long.manifest(), vec![b' '; backups::LONGEST + 1]);
    stage.tick();
    assert_eq!(stage.manifests_read.get(), made);
}

#[test]
fn a_manifest_that_cannot_be_read_just_now_ends_no_run() {
    let stage = of(&[]);
    stage.tick();
    stage.pass(TICK);
    stage.unread.set(true);
    assert!(stage.tick().contains("has run for 900 s"));
    stage.unread.set(false);
    stage.tick();
    assert_eq!(stage.hows(), [How::Verified]);
}

#[test]
fn without_a_catalogue_nothing_is_decided_or_counted() {
    let stage = of(&[]);
    stage.unlisted.set(true);
    let ended = stage.try_tick().unwrap();
    assert!(ended.outcome.is_err() && ended.tally.is_none());
    assert!(stage.tasks.borrow().is_empty() && stage.state.borrow().0.is_none());
}

#[test]
fn nothing_is_begun_while_the_election_is_paused_and_what_runs_goes_on() {
    let stage = of(&[]);
    stage.tick();
    *stage.pause.borrow_mut() = Some(Pause { owner: "ada".into(), until: Millis((time(AT) + 7200) * 1000) });
    let sentences = stage.ticks(7);
    assert_eq!(stage.hows(), [How::Verified], "{sentences:?}");
    assert!(
        sentences.last().unwrap().starts_with("nothing is begun: ada paused the election"),
        "{sentences:?}"
    );
    stage.ticks(1);
    assert_eq!(stage.tasks.borrow().len(), 2, "the pause is over");
}

#[test]
fn an_explanation_does_nothing() {
    let stage = of(&[]);
    let decision = block_on(explain(&stage, &stage.policy, &stage.memory)).unwrap();
    assert_eq!(decision.actions.len(), 1);
    assert!(
        stage.tasks.borrow().is_empty() && stage.state.borrow().0.is_none() && stage.owner.borrow().is_none()
    );
}

#[test]
fn a_slow_backup_is_told_in_the_sentence() {
    let stage = of(&[Worker::Makes(Consistency::Consistent, 1900)]);
    stage.tick();
    stage.pass(1900);
    let sentence = stage.tick();
    assert!(sentence.contains("took 1900 s for 1073 MB (0.5 MB/s)"), "{sentence}");
    assert!(sentence.contains("one every 2 hours would fit"), "{sentence}");
}
