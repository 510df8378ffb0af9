use aws::TaskEnd;
use backups::Consistency;
use proptest::prelude::*;
use topology::{Millis, Pause};

use super::*;
use crate::{
    Unfit,
    example::{catalogue, entry, leftovers, policy, view},
    runs::{Request, tests::run},
};

mod ends;

/// Half past midnight: no daily backup is due before two, and an hourly one is.
const NOW: u64 = 1_750_032_000 + 1800;

fn now() -> Time {
    Time::of_epoch(NOW)
}

fn made(at: u64) -> Vec<Entry> {
    // The daily one of yesterday, so that only hours count.
    vec![entry(Tier::Daily, at, Consistency::Consistent)]
}

fn yesterday() -> Vec<Entry> {
    made(NOW - 80_000)
}

fn first() -> Runs {
    Runs::new(Time::of_epoch(NOW - 1_000_000))
}

fn decided(runs: &Runs, entries: Vec<Entry>, view: &View) -> Decision {
    decide(now(), &policy(), runs, &catalogue(entries), view)
}

/// A run of this hour, with its task, and a view in which the task is as `end` says.
fn under_way(end: Option<TaskEnd>) -> (Runs, View) {
    let mut runs = first();
    let mut run = run(Tier::Hourly, "slave-1", NOW - 600);
    run.order.source.address = ([10, 0, 0, 4], neo4j::ports::BACKUP).into();
    (run.task, run.launched) = (Some("t/9".into()), Some(Time::of_epoch(NOW - 600)));
    runs.current = Some(run);
    (runs, View { task: end, ..view() })
}

fn stopped() -> TaskEnd {
    TaskEnd::Stopped { reason: "Essential container exited".into(), exit_code: Some(1) }
}

fn of_current(runs: &Runs, consistency: Consistency) -> Entry {
    let folder = runs.current.as_ref().unwrap().order.folder.clone();
    let manifest = crate::example::manifest(&folder, consistency);
    Entry { data: Some(manifest.data.bytes), manifest: Ok(manifest), held: false, folder }
}

fn launched(decision: &Decision) -> Option<&Run> {
    decision.actions.iter().find_map(|action| match action {
        Action::Launch { run, .. } => Some(&**run),
        _ => None,
    })
}

#[test]
fn what_is_due_is_begun_and_its_record_is_what_is_started() {
    let decision = decided(&first(), yesterday(), &view());
    let run = launched(&decision).unwrap();
    assert_eq!(decision.runs.current.as_ref(), Some(run));
    assert_eq!(run.order.folder.to_string(), "backups/hourly/2025-06-16T00-30-00Z-id-1");
    assert_eq!(run.order.source.address.to_string(), "10.0.0.4:6362");
    assert_eq!((run.order.source.slot.as_str(), run.order.source.role.as_str()), ("slave-1", "slave"));
    assert_eq!(
        (run.order.deadline, run.subnet.as_str(), &run.task),
        (Time::of_epoch(NOW + 7200), "subnet-4", &None)
    );
    assert_eq!(
        decision.sentence,
        "an hourly backup from slave-1 (slave) was begun and must be done by 2025-06-16T02-30-00Z: \
         backups/hourly/2025-06-16T00-30-00Z-id-1"
    );
    assert_eq!(decision.refusal, None);
    assert!(matches!(&decision.news[..], [News::Started(_)]));
    assert_eq!(backups::Order::read(&run.order.write()).as_ref(), Ok(&run.order), "a worker can read it");
}

#[test]
fn nothing_is_begun_when_nothing_is_due_or_another_one_runs() {
    let rest = decided(
        &first(),
        [yesterday(), vec![entry(Tier::Hourly, NOW - 60, Consistency::Consistent)]].concat(),
        &view(),
    );
    assert_eq!(
        (rest.sentence.as_str(), &rest.actions),
        ("no backup is due before 2025-06-16T01-00-00Z", &vec![])
    );
    assert_eq!(rest.runs, first());

    let (runs, view) = under_way(Some(TaskEnd::Running));
    let busy = decided(&runs, yesterday(), &view);
    assert_eq!(
        (&busy.runs, &busy.actions),
        (&runs, &vec![]),
        "fault 32: the second one is skipped, and said so"
    );
    assert!(busy.sentence.contains("has run for 600 s and must be done by"), "{}", busy.sentence);
    let (mut runs, view) = under_way(None);
    runs.requested = Some(Request { slot: None, at: now() });
    let busy = decided(&runs, yesterday(), &view);
    assert!(busy.sentence.ends_with("the one that was requested waits for it"), "{}", busy.sentence);
    assert_eq!(busy.runs, runs);
}

/// A tick that died between the write and `RunTask`.
#[test]
fn a_run_without_a_task_is_started_with_the_same_record() {
    let (mut runs, view) = under_way(None);
    runs.current.as_mut().unwrap().task = None;
    let again = decided(&runs, yesterday(), &view);
    runs.current.as_mut().unwrap().asked = Some(now());
    assert_eq!(launched(&again), runs.current.as_ref());
    assert_eq!((again.actions.len(), &again.runs), (1, &runs));
    // Where no worker may be started any more, the first one may still be at work.
    let unrest = View { nodes: Err("x".into()), ..view.clone() };
    let waits = decided(&runs, yesterday(), &unrest);
    assert_eq!((&waits.runs, waits.actions.len()), (&runs, 0), "{}", waits.sentence);
    let ends = |ago, started| {
        let mut runs = runs.clone();
        runs.current.as_mut().unwrap().asked = Some(Time::of_epoch(NOW - ago));
        decided(&runs, yesterday(), &View { started, ..unrest.clone() }).runs.ended.len()
    };
    assert_eq!(
        (ends(300, Started::Nothing), ends(299, Started::Nothing), ends(300, Started::NotKnown)),
        (1, 0, 0)
    );
    runs.current.as_mut().unwrap().asked = None;
    // An earlier call may have started a task that is not listed yet: a refusal proves nothing then.
    let is_conclusive = |runs: &Runs, started: Started| {
        let decision = decided(runs, yesterday(), &View { started, ..view.clone() });
        matches!(decision.actions[..], [Action::Launch { conclusive: true, .. }])
    };
    assert!(is_conclusive(&runs, Started::Nothing) && !is_conclusive(&runs, Started::NotKnown));
    runs.current.as_mut().unwrap().began = Time::of_epoch(NOW - 299);
    assert!(!is_conclusive(&runs, Started::Nothing));
    // It is found: it is not started again.
    let found = decided(&runs, yesterday(), &View { started: Started::Task("t/1".into()), ..view });
    assert!(found.actions.is_empty());
    assert_eq!(found.runs.current.unwrap().task.as_deref(), Some("t/1"));
}

#[test]
fn a_bucket_of_another_stack_is_left_alone() {
    let foreign = View { owner: Owner::Another("arn:other".into()), ..view() };
    let old = entry(Tier::Hourly, NOW - 900_000, Consistency::Unchecked);
    let (runs, _) = under_way(Some(stopped()));
    for runs in [first(), runs] {
        let decision = decided(&runs, [yesterday(), vec![old.clone()]].concat(), &foreign);
        assert!(decision.actions.is_empty(), "{:?}", decision.actions);
        assert_eq!(Runs { refused: None, ..decision.runs.clone() }, runs);
        assert!(decision.sentence.contains("belongs to the stack arn:other"), "{}", decision.sentence);
        assert_eq!(
            decision.tally.freshness.hourly.as_secs(),
            1_000_000,
            "its backups do not make this stack fresh"
        );
    }
    let mut asked = first();
    asked.requested = Some(Request { slot: None, at: now() });
    let refused = decided(&asked, yesterday(), &foreign);
    assert_eq!(
        refused.runs.requested, None,
        "it does not surprise an operator when the bucket is this stack's"
    );
    assert!(matches!(&refused.runs.ended[0].how, How::Refused(_)));
}

#[test]
fn a_request_with_a_slot_takes_that_slot_or_is_refused_by_name() {
    let mut runs = first();
    runs.requested = Some(Request { slot: Some("core-2".into()), at: Time::of_epoch(NOW - 5) });
    let taken = decided(&runs, yesterday(), &view());
    let run = launched(&taken).unwrap();
    assert_eq!((run.order.folder.tier, run.order.source.slot.as_str()), (Tier::Manual, "core-2"));
    assert_eq!(taken.runs.requested, runs.requested, "it is open until its run has ended");

    runs.requested = Some(Request { slot: Some("core-1".into()), at: Time::of_epoch(NOW - 5) });
    let refused = decided(&runs, yesterday(), &view());
    assert_eq!(refused.runs.requested, None, "and not retried for ever");
    let last = refused.runs.ended.last().unwrap();
    assert_eq!((last.slot.as_str(), last.folder.tier), ("core-1", Tier::Manual));
    assert!(
        matches!(&last.how, How::Refused(reason) if reason.starts_with("core-1 is the master")),
        "{last:?}"
    );
    assert!(refused.sentence.contains("it was not begun: core-1 is the master"), "{}", refused.sentence);
    assert_eq!(
        launched(&refused).unwrap().order.folder.tier,
        Tier::Hourly,
        "what is due is begun all the same"
    );
    assert!(!refused.tally.failed, "no run failed");
}

#[test]
fn a_request_without_a_slot_waits_an_hour_for_a_source() {
    let mut runs = first();
    runs.requested = Some(Request { slot: None, at: Time::of_epoch(NOW - 3599) });
    let paused =
        View { pause: Ok(Some(Pause { owner: "ada".into(), until: Millis(NOW * 1000 + 60_000) })), ..view() };
    let waits = decided(&runs, yesterday(), &paused);
    assert_eq!(waits.runs.requested, runs.requested);
    assert!(matches!(waits.refusal, Some(Refusal::Paused { .. })));
    runs.requested = Some(Request { slot: None, at: Time::of_epoch(NOW - 3600) });
    let over = decided(&runs, yesterday(), &paused);
    assert_eq!(over.runs.requested, None);
    assert!(matches!(over.runs.ended.last().unwrap().how, How::Refused(_)));
}

#[test]
fn a_refusal_is_news_once() {
    let paused = |minutes: u64| {
        let until = Millis((NOW + minutes * 60) * 1000);
        View { pause: Ok(Some(Pause { owner: "ada".into(), until })), ..view() }
    };
    let news = |decision: &Decision| decision.news.len();
    let one = decided(&first(), yesterday(), &paused(10));
    assert_eq!((news(&one), one.runs.refused.as_deref()), (1, Some("Paused")));
    assert!(one.sentence.starts_with("nothing is begun: ada paused the election"), "{}", one.sentence);
    let two = decided(&one.runs, yesterday(), &paused(9));
    assert_eq!((news(&two), &two.runs), (0, &one.runs), "nothing is written either");
    let other = decided(&two.runs, yesterday(), &View { nodes: Err("x".into()), ..view() });
    assert_eq!((news(&other), other.runs.refused.as_deref()), (1, Some("Unlisted")));
    let begun = decided(&other.runs, yesterday(), &view());
    assert_eq!((news(&begun), &begun.runs.refused), (1, &None));
}

#[test]
fn what_is_not_kept_is_tagged_once_and_never_what_a_run_is_writing() {
    let old = entry(Tier::Hourly, NOW - 900_000, Consistency::Unchecked);
    let mut runs = first();
    runs.tagged = ["backups/hourly/2020-01-01T00-00-00Z-x/manifest.json".into()].into();
    let decision = decided(&runs, [yesterday(), vec![old.clone()]].concat(), &view());
    assert!(decision.actions.contains(&Action::Tag { key: old.folder.manifest() }), "{:?}", decision.actions);
    assert!(decision.runs.tagged.is_empty(), "what is gone is forgotten");
    runs.tagged = [old.folder.manifest()].into();
    let again = decided(&runs, [yesterday(), vec![old.clone()]].concat(), &view());
    assert!(!again.actions.iter().any(|action| matches!(action, Action::Tag { .. })), "{:?}", again.actions);
    assert_eq!(again.runs.tagged, runs.tagged);
    assert!(
        !again.actions.iter().any(|action| matches!(action, Action::Untag { .. })),
        "{:?}",
        again.actions
    );
    // A hold that comes later.
    let held = Entry { held: true, ..old.clone() };
    let kept = decided(&runs, [yesterday(), vec![held]].concat(), &view());
    assert!(kept.actions.contains(&Action::Untag { key: old.folder.manifest() }), "{:?}", kept.actions);
    assert_eq!((kept.runs.tagged.len(), &kept.runs.unsure), (0, &runs.tagged), "until it is done");

    let (mut runs, view) = under_way(Some(TaskEnd::Running));
    let run = runs.current.as_mut().unwrap();
    // As old as can be, and not stopped yet.
    (run.began, run.stopping) = (Time::of_epoch(NOW - 90_000), Some(now()));
    run.order.folder = Folder::new(Tier::Hourly, run.began, "slow").unwrap();
    run.order.deadline = Time::of_epoch(NOW - 80_000);
    let dead = Folder::new(Tier::Hourly, Time::of_epoch(NOW - 90_000), "dead").unwrap();
    let rest = leftovers(&[run.order.folder.clone(), dead.clone()]);
    let decision = decide(now(), &policy(), &runs, &rest, &view);
    let tags: Vec<&Action> =
        decision.actions.iter().filter(|action| matches!(action, Action::Tag { .. })).collect();
    assert_eq!(tags, [&Action::Tag { key: dead.data() }]);
}

#[test]
fn one_tick_tags_no_more_than_it_has_time_for() {
    let old = (0..250).map(|n| entry(Tier::Hourly, NOW - 900_000 - n, Consistency::Unchecked));
    let decision = decided(&first(), yesterday().into_iter().chain(old).collect(), &view());
    let tags = decision.actions.iter().filter(|action| matches!(action, Action::Tag { .. })).count();
    assert_eq!(tags, TAGS_AT_ONCE);
}

#[test]
fn a_source_that_is_not_fit_is_in_the_sentence() {
    let mut off = view();
    for node in off.nodes.as_mut().unwrap() {
        node.status.as_mut().unwrap().backup_server = Some(false);
    }
    let decision = decided(&first(), yesterday(), &off);
    let Some(Refusal::NoSource { unfit }) = &decision.refusal else { panic!("{}", decision.sentence) };
    assert_eq!(unfit.len(), 4);
    assert_eq!(unfit[0], ("core-1".into(), Unfit::IsMaster));
}

fn end() -> impl Strategy<Value = Option<TaskEnd>> {
    prop::sample::select(vec![None, Some(TaskEnd::Running), Some(stopped()), Some(TaskEnd::Unknown)])
}

fn consistency() -> impl Strategy<Value = Consistency> {
    prop::sample::select(vec![Consistency::Consistent, Consistency::Unchecked, Consistency::Inconsistent])
}

proptest! {
    /// A decision is a function of its arguments; it never begins a second run, loses one, or tags what is
    /// being written; and the same look on what it wrote begins nothing more.
    #[test]
    fn whatever_is_seen_there_is_at_most_one_run(
        ago in 0_u64..20_000, task in prop::option::of(Just("t/9".to_owned())), end in end(),
        made in prop::option::of(consistency()), stopping: bool, paused: bool, foreign: bool,
    ) {
        let mut runs = first();
        let mut run = run(Tier::Hourly, "core-3", NOW - ago);
        run.launched = task.as_ref().map(|_| run.began);
        run.stopping = (stopping && task.is_some() && ago >= 7200).then_some(run.began);
        run.task = task;
        runs.current = Some(run.clone());
        let mut entries = yesterday();
        entries.extend(made.map(|consistency| of_current(&runs, consistency)));
        let mut view = View { task: end, ..view() };
        if paused {
            view.pause = Ok(Some(Pause { owner: "ada".into(), until: Millis((NOW + 60) * 1000) }));
        }
        if foreign {
            view.owner = Owner::Another("x".into());
        }
        let decision = decided(&runs, entries.clone(), &view);
        prop_assert_eq!(&decision, &decided(&runs, entries.clone(), &view));
        let launches: Vec<&Action> =
            decision.actions.iter().filter(|action| matches!(action, Action::Launch { .. })).collect();
        prop_assert!(launches.len() <= 1);
        if let Some(started) = launched(&decision) {
            prop_assert_eq!(Some(started), decision.runs.current.as_ref());
            prop_assert!(!foreign);
            let is_old = started.order.folder == run.order.folder;
            prop_assert!(is_old || !paused, "nothing new during a pause");
            let stops = decision.actions.iter().any(|action| matches!(action, Action::StopTask { .. }));
            prop_assert!(is_old || !stops);
        }
        let known = |runs: &Runs| {
            runs.current.iter().any(|current| current.order.folder == run.order.folder)
                || runs.ended.iter().any(|ended| ended.folder == run.order.folder)
        };
        prop_assert!(known(&decision.runs) || run.stopping.is_some(), "a run is under way or has ended");
        let ends = decision.runs.ended.iter().filter(|ended| ended.folder == run.order.folder).count();
        prop_assert!(ends <= 1);
        // What was begun is not begun again by the next look.
        let next = decided(&decision.runs, entries, &View { id: "id-2".into(), task: None, ..view });
        let new = |decision: &Decision| launched(decision).map(|run| run.order.folder.clone());
        prop_assert!(new(&next).is_none() || new(&next) == decision.runs.current.map(|run| run.order.folder));
    }
}
