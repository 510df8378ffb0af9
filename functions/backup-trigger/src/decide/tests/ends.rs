//! How runs end, and what follows.

use super::*;

#[test]
fn a_run_ends_as_its_manifest_says_and_makes_room_for_the_next() {
    for (consistency, how, failed, inconsistent) in [
        (Consistency::Consistent, How::Verified, false, false),
        (Consistency::Unchecked, How::Unchecked, true, false),
        (Consistency::Inconsistent, How::Inconsistent, false, true),
    ] {
        let (runs, view) = under_way(Some(stopped()));
        let decision = decided(&runs, [yesterday(), vec![of_current(&runs, consistency)]].concat(), &view);
        assert_eq!(decision.runs.ended.last().unwrap().how, how);
        let tally = decision.tally;
        assert_eq!((tally.failed, tally.inconsistent, tally.stuck), (failed, inconsistent, false), "{how:?}");
        assert_eq!((tally.bytes, tally.seconds), (Some(100), Some(60)));
        // Verified: nothing more is due. Else the same tick takes another source.
        let next = launched(&decision).map(|run| run.order.source.slot.as_str());
        assert_eq!(next, (how != How::Verified).then_some("core-3"), "{}", decision.sentence);
    }
}

/// Faults 31, 33, 35.
#[test]
fn a_task_that_ended_without_a_manifest_failed_and_another_source_is_taken() {
    let (runs, view) = under_way(Some(stopped()));
    let decision = decided(&runs, yesterday(), &view);
    let ended = decision.runs.ended.last().unwrap();
    assert!(matches!(&ended.how, How::Failed(reason) if reason.contains("exit code 1")), "{ended:?}");
    assert!(decision.tally.failed && !decision.tally.stuck);
    assert_eq!(launched(&decision).unwrap().order.source.slot, "core-3");
    assert!(matches!(&decision.news[..], [News::Ended { .. }, News::Started(_)]));
}

#[test]
fn a_run_past_its_deadline_fails_once_and_nothing_is_begun_before_its_task_is_gone() {
    let (mut runs, view) = under_way(Some(TaskEnd::Running));
    runs.current.as_mut().unwrap().order.deadline = now();
    let late = decided(&runs, yesterday(), &view);
    let reason =
        "the backup backups/hourly/2025-06-16T00-20-00Z-r1750033200 was not done by 2025-06-16T00-30-00Z";
    assert_eq!(late.actions, [Action::StopTask { task: "t/9".into(), reason: reason.into() }]);
    assert!(late.tally.failed && late.tally.stuck);
    assert!(matches!(&late.news[..], [News::Stuck(_), News::Ended { .. }]));
    assert_eq!(late.runs.current.as_ref().unwrap().stopping, Some(now()));
    assert!(matches!(late.runs.ended.last().unwrap().how, How::Failed(_)));

    // The call may have failed: it is asked for again, and the failure is not counted again.
    for end in [Some(TaskEnd::Running), None] {
        let later = decided(&late.runs, yesterday(), &View { task: end, ..view.clone() });
        assert_eq!((later.actions.len(), &later.runs), (1, &late.runs));
        assert!(later.tally.stuck && !later.tally.failed && later.news.is_empty());
    }
    let gone = decided(&late.runs, yesterday(), &View { task: Some(stopped()), ..view.clone() });
    assert_eq!(gone.runs.ended, late.runs.ended, "once");
    assert!(!gone.tally.failed && !gone.tally.stuck);
    assert_eq!(launched(&gone).unwrap().order.source.slot, "core-3", "and another source is taken");

    // It had written its manifest before it stopped: the backup is there.
    let found = [yesterday(), vec![of_current(&late.runs, Consistency::Consistent)]].concat();
    let saved = decided(&late.runs, found, &View { task: Some(stopped()), ..view });
    assert_eq!((saved.runs.ended.len(), &saved.runs.ended.last().unwrap().how), (1, &How::Verified));
    assert_eq!(saved.runs.current, None);
}

#[test]
fn a_worker_that_ecs_never_confirmed_is_given_up_when_ecs_says_that_there_is_none() {
    let (mut runs, view) = under_way(None);
    let run = runs.current.as_mut().unwrap();
    (run.task, run.order.deadline) = (None, now());
    let of = |started: Started| decided(&runs, yesterday(), &View { started, ..view.clone() });
    let gone = of(Started::Nothing);
    assert!(gone.tally.stuck && gone.tally.failed);
    assert_eq!(launched(&gone).unwrap().order.source.slot, "core-3");
    let found = of(Started::Task("t/1".into()));
    assert!(
        matches!(&found.actions[..], [Action::StopTask { task, .. }] if task == "t/1"),
        "{:?}",
        found.actions
    );
    let unknown = of(Started::NotKnown);
    assert!(unknown.tally.stuck && !unknown.tally.failed);
    assert_eq!(unknown.runs, runs, "nothing else is begun beside it: {}", unknown.sentence);
}

/// Fault 34: the second opinion is about another slave, and its verdict is a sentence.
#[test]
fn a_second_opinion_says_whether_the_copy_or_the_cluster_is_damaged() {
    let (runs, view) = under_way(Some(stopped()));
    let bad = of_current(&runs, Consistency::Inconsistent);
    let begun = decided(&runs, [yesterday(), vec![bad.clone()]].concat(), &view);
    let run = launched(&begun).unwrap();
    assert_eq!((run.confirms.as_ref(), run.order.source.slot.as_str()), (Some(&bad.folder), "core-3"));
    assert!(begun.sentence.contains("as the second opinion on backups/hourly/"), "{}", begun.sentence);
    for (consistency, part) in [
        (
            Consistency::Consistent,
            "or the store of slave-1 is damaged and the cluster is not, because the backup from core-3",
        ),
        (
            Consistency::Inconsistent,
            "the backups from slave-1 and core-3 are both inconsistent: the last verified backup is backups/daily/",
        ),
    ] {
        let mut runs = begun.runs.clone();
        let run = runs.current.as_mut().unwrap();
        (run.task, run.launched) = (Some("t".into()), Some(now()));
        let found = [yesterday(), vec![bad.clone(), of_current(&runs, consistency)]].concat();
        let decision =
            decided(&runs, found, &View { task: Some(stopped()), id: "id-2".into(), ..view.clone() });
        assert!(decision.sentence.contains(part), "{}", decision.sentence);
        assert_eq!(launched(&decision), None, "exactly one: {}", decision.sentence);
    }
}

/// In a SINGLE there is no second slave: the hour is over, and the next one makes another copy.
#[test]
fn without_another_slave_a_doubt_does_not_hold_up_the_schedule() {
    let policy = Policy { mode: topology::Mode::Single, slots: policy().slots[..1].to_vec(), ..policy() };
    let mut one = view();
    one.nodes.as_mut().unwrap().truncate(1);
    let (mut runs, _) = under_way(None);
    runs.current.as_mut().unwrap().order.source.slot = "core-1".into();
    runs.end(now(), How::Inconsistent);
    let found = catalogue(yesterday());
    let this_hour = decide(now(), &policy, &runs, &found, &one);
    assert!(matches!(this_hour.refusal, Some(Refusal::NoOtherSlave { .. })), "{}", this_hour.sentence);
    let next_hour = decide(Time::of_epoch(NOW + 1800), &policy, &runs, &found, &one);
    assert_eq!(launched(&next_hour).unwrap().order.source.slot, "core-1");
}
