use backups::{Folder, Tier};
use neo4j::{Status, phase};
use proptest::prelude::*;
use topology::{Millis, Pause};

use super::*;
use crate::example::{policy, view};

const NOW: u64 = 1_750_032_000;

fn now() -> Time {
    Time::of_epoch(NOW)
}

fn choose(view: &View, policy: &Policy, last: Option<&str>, wanted: Wanted<'_>) -> Result<Choice, Refusal> {
    super::choose(now(), view, policy, last, wanted)
}

fn slot(
    view: &View,
    policy: &Policy,
    last: Option<&str>,
    wanted: Wanted<'_>,
) -> Result<String, &'static str> {
    choose(view, policy, last, wanted).map(|choice| choice.slot).map_err(|refusal| refusal.name())
}

/// The node of a slot, to be changed.
fn of<'v>(view: &'v mut View, slot: &str) -> &'v mut Node {
    view.nodes.as_mut().unwrap().iter_mut().find(|node| node.slot.name == slot).unwrap()
}

fn status<'v>(view: &'v mut View, slot: &str) -> &'v mut Status {
    of(view, slot).status.as_mut().unwrap()
}

fn without(slot: &str) -> View {
    let mut view = view();
    view.nodes.as_mut().unwrap().retain(|node| node.slot.name != slot);
    view
}

fn doubt(slot: &str) -> Doubt {
    Doubt { folder: Folder::new(Tier::Hourly, now(), "d").unwrap(), slot: slot.into() }
}

#[test]
fn slave_only_first_then_the_last_source_then_the_highest_id() {
    let all = Wanted::default();
    assert_eq!(slot(&view(), &policy(), None, all), Ok("slave-1".into()));
    assert_eq!(
        slot(&view(), &policy(), Some("core-2"), all),
        Ok("slave-1".into()),
        "it is no burden on a voter"
    );
    let cores = without("slave-1");
    assert_eq!(slot(&cores, &policy(), None, all), Ok("core-3".into()), "the master pushes to the lowest id");
    assert_eq!(slot(&cores, &policy(), Some("core-2"), all), Ok("core-2".into()));
    assert_eq!(slot(&cores, &policy(), Some("core-1"), all), Ok("core-3".into()), "it is the master now");
    let choice = choose(&cores, &policy(), None, all).unwrap();
    assert_eq!((choice.subnet.as_str(), choice.role), ("subnet-3", Role::Slave));
    assert_eq!(choice.master, Some(Seen { last_transaction: 1000, at: now() }));
    assert_eq!(choice.store_bytes, Some(1 << 30));
}

#[test]
fn one_that_failed_is_taken_when_there_is_no_other_one() {
    let failed = |slots: &[&str]| slots.iter().map(|slot| (*slot).to_owned()).collect::<Vec<_>>();
    let allowed = Policy { from_master: true, ..policy() };
    let table = [
        (failed(&["slave-1"]), "core-3", "core-3"),
        (failed(&["slave-1", "core-3"]), "core-2", "core-2"),
        (failed(&["slave-1", "core-3", "core-2"]), "slave-1", "core-1"),
        (failed(&["core-3", "core-2", "slave-1", "core-1"]), "core-3", "core-3"),
    ];
    for (failed, expected, with_master) in table {
        let wanted = Wanted { failed: &failed, ..Wanted::default() };
        assert_eq!(slot(&view(), &policy(), Some("slave-1"), wanted), Ok(expected.into()), "{failed:?}");
        assert_eq!(slot(&view(), &allowed, Some("slave-1"), wanted), Ok(with_master.into()), "{failed:?}");
    }
}

#[test]
fn a_node_that_is_not_fit_is_passed_over_with_its_reason() {
    type Change = fn(&mut Node);
    let table: [(Change, Unfit); 7] = [
        (|node| node.running = false, Unfit::NotStarted),
        (|node| node.address = None, Unfit::NotStarted),
        (|node| node.status = None, Unfit::Silent),
        (|node| node.subnet = None, Unfit::NoSubnet),
        (|node| node.status.as_mut().unwrap().backup_server = Some(false), Unfit::BackupServerOff),
        (
            |node| node.status.as_mut().unwrap().last_transaction = Some(899),
            Unfit::Behind { transactions: 101, most: 100 },
        ),
        (|node| node.status.as_mut().unwrap().last_transaction = None, Unfit::HowFarUnknown),
    ];
    for (change, why) in table {
        let mut view = view();
        change(of(&mut view, "slave-1"));
        assert_eq!(slot(&view, &policy(), None, Wanted::default()), Ok("core-3".into()), "{why:?}");
        let wanted = Wanted { slot: Some("slave-1"), ..Wanted::default() };
        let refused = choose(&view, &policy(), None, wanted).unwrap_err();
        assert_eq!(refused, Refusal::UnfitSlot { slot: "slave-1".into(), why });
        assert!(refused.to_string().starts_with("slave-1 "), "{refused}");
    }
    let mut near = view();
    status(&mut near, "slave-1").last_transaction = Some(900);
    // A slave that is ahead of what the master reported a moment ago.
    status(&mut near, "core-3").last_transaction = Some(1001);
    // An older node program does not report it.
    status(&mut near, "slave-1").backup_server = None;
    status(&mut near, "slave-1").store_bytes = None;
    let choice = choose(&near, &policy(), None, Wanted::default()).unwrap();
    assert_eq!((choice.slot.as_str(), choice.store_bytes), ("slave-1", None));
}

#[test]
fn nothing_is_taken_from_a_cluster_that_is_not_at_rest() {
    type Change = fn(&mut View);
    let table: [(&str, Change); 18] = [
        ("Unlisted", |view| view.nodes = Err("ecs:ListTasks failed".into())),
        ("PauseUnknown", |view| view.pause = Err("s3:GetObject failed".into())),
        ("Paused", |view| {
            view.pause = Ok(Some(Pause { owner: "ada".into(), until: Millis(NOW * 1000 + 1) }));
        }),
        ("NotOneTask", |view| *view = View { pause: Ok(None), ..without("core-2") }),
        ("NotOneTask", |view| {
            let second = of(view, "core-2").clone();
            view.nodes.as_mut().unwrap().push(second);
        }),
        ("NotOneTask", |view| {
            let second = of(view, "slave-1").clone();
            view.nodes.as_mut().unwrap().push(second);
        }),
        ("NotReady", |view| of(view, "core-2").stopping = true),
        ("NotReady", |view| of(view, "slave-1").stopping = true),
        ("NotReady", |view| of(view, "core-2").running = false),
        ("NotReady", |view| of(view, "core-1").status = None),
        ("NotReady", |view| status(view, "core-2").role = "unsettled".into()),
        ("NotReady", |view| status(view, "core-2").silent_ms = 2001),
        ("NotReady", |view| status(view, "core-2").phase = phase::RESTARTING.into()),
        ("Rolling", |view| of(view, "core-2").definition = "core:8".into()),
        ("NoMaster", |view| status(view, "core-1").role = "slave".into()),
        ("NoMaster", |view| {
            status(view, "core-1").role = "slave".into();
            status(view, "slave-1").role = "master".into();
        }),
        ("SeveralMasters", |view| status(view, "core-2").role = "master".into()),
        ("SeveralMasters", |view| status(view, "slave-1").role = "master".into()),
    ];
    for (expected, change) in table {
        let mut view = view();
        change(&mut view);
        let refused = choose(&view, &policy(), None, Wanted::default()).unwrap_err();
        assert_eq!(refused.name(), expected, "{refused}");
        let sentence = refused.to_string();
        assert!(
            sentence.contains("awaited") || sentence.contains("first"),
            "it says what is awaited: {sentence}"
        );
        // An operator's slot changes nothing about that.
        let wanted = Wanted { slot: Some("core-3"), ..Wanted::default() };
        assert_eq!(slot(&view, &policy(), None, wanted), Err(expected));
    }
    let mut over = view();
    over.pause = Ok(Some(Pause { owner: "ada".into(), until: Millis(NOW * 1000) }));
    assert!(choose(&over, &policy(), None, Wanted::default()).is_ok(), "a pause ends by itself");
    let mut busy = view();
    status(&mut busy, "core-2").silent_ms = 2000;
    assert!(choose(&busy, &policy(), None, Wanted::default()).is_ok(), "within the patience");
}

/// Fault 36.
#[test]
fn the_master_is_taken_only_where_that_is_allowed_and_no_slave_is_fit() {
    let mut alone = view();
    for slave in ["core-2", "core-3", "slave-1"] {
        status(&mut alone, slave).backup_server = Some(false);
    }
    let refused = choose(&alone, &policy(), None, Wanted::default()).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "no node is fit to be backed up (core-1 is the master, from which a backup is taken only when that is allowed and no slave \
         is fit; core-2 has no backup server before its next start; core-3 has no backup server before its next start; slave-1 \
         has no backup server before its next start): a fit one is awaited"
    );
    let allowed = Policy { from_master: true, ..policy() };
    assert_eq!(slot(&alone, &allowed, None, Wanted::default()), Ok("core-1".into()));
    assert_eq!(slot(&view(), &allowed, Some("core-1"), Wanted::default()), Ok("slave-1".into()));
    let named = Wanted { slot: Some("core-1"), ..Wanted::default() };
    assert_eq!(slot(&view(), &policy(), None, named), Err("UnfitSlot"));
    assert_eq!(slot(&view(), &allowed, None, named), Ok("core-1".into()));

    let single = Policy { mode: Mode::Single, slots: policy().slots[..1].to_vec(), ..policy() };
    let mut one = view();
    one.nodes.as_mut().unwrap().truncate(1);
    assert_eq!(slot(&one, &single, None, Wanted::default()), Ok("core-1".into()));
    status(&mut one, "core-1").last_transaction = None;
    assert_eq!(choose(&one, &single, None, Wanted::default()).unwrap().master, None);
}

#[test]
fn a_slot_that_the_cluster_does_not_have_is_refused_with_those_that_it_has() {
    let wanted = Wanted { slot: Some("core-9"), ..Wanted::default() };
    let refused = choose(&view(), &policy(), None, wanted).unwrap_err().to_string();
    assert_eq!(
        refused,
        "core-9 is not a slot of this cluster: name one of core-1, core-2, core-3, slave-1, or none"
    );
}

#[test]
fn a_second_opinion_is_another_slaves() {
    let first = doubt("slave-1");
    let wanted = Wanted { confirms: Some(&first), ..Wanted::default() };
    assert_eq!(slot(&view(), &policy(), Some("slave-1"), wanted), Ok("core-3".into()));
    let mut alone = view();
    for slave in ["core-2", "core-3"] {
        status(&mut alone, slave).backup_server = Some(false);
    }
    for from_master in [false, true] {
        let policy = Policy { from_master, ..policy() };
        assert_eq!(slot(&alone, &policy, None, wanted), Err("NoOtherSlave"));
    }
    let single = Policy { mode: Mode::Single, slots: policy().slots[..1].to_vec(), ..policy() };
    let mut one = view();
    one.nodes.as_mut().unwrap().truncate(1);
    assert_eq!(slot(&one, &single, None, wanted), Err("NoOtherSlave"));
}

#[test]
fn nodes_of_causal_clustering_do_not_report_how_far_they_are() {
    let mut view = view();
    for slot in ["core-1", "core-2", "core-3", "slave-1"] {
        status(&mut view, slot).last_transaction = None;
    }
    let causal = Policy { mode: Mode::Cluster, ..policy() };
    let choice = choose(&view, &causal, None, Wanted::default()).unwrap();
    assert_eq!((choice.slot.as_str(), choice.master), ("slave-1", None));
    assert_eq!(
        slot(&view, &policy(), None, Wanted::default()),
        Err("NoSource"),
        "in high availability they must"
    );
}

#[test]
fn a_store_that_does_not_fit_is_refused_in_figures() {
    let mut view = view();
    status(&mut view, "slave-1").store_bytes = Some(154 << 30);
    let refused = choose(&view, &policy(), None, Wanted::default()).unwrap_err().to_string();
    assert!(
        refused.contains("165356240896 bytes") && refused.contains("202 GiB, and a worker has at most 200"),
        "{refused}"
    );
}

/// Numbers that change at each tick are not another refusal.
#[test]
fn a_refusal_is_the_same_while_only_its_figures_change() {
    let behind = |transactions| Refusal::NoSource {
        unfit: vec![("core-2".into(), Unfit::Behind { transactions, most: 100 })],
    };
    assert_eq!(behind(200).key(), behind(300).key());
    let off = Refusal::NoSource { unfit: vec![("core-2".into(), Unfit::BackupServerOff)] };
    assert_ne!(behind(200).key(), off.key());
    let until = |at| Refusal::Waits { until: Time::of_epoch(at) };
    assert_eq!(until(1).key(), until(2).key());
    let named = |slot: &str| Refusal::UnfitSlot { slot: slot.into(), why: Unfit::IsMaster };
    assert_ne!(named("core-1").key(), named("core-2").key());
}

#[derive(Clone, Debug)]
#[allow(clippy::struct_excessive_bools)] // each is one thing that goes wrong by itself
struct Broken {
    role: &'static str,
    stopping: bool,
    running: bool,
    answers: bool,
    server: Option<bool>,
    last: Option<u64>,
    definition: &'static str,
    twice: bool,
}

fn broken() -> impl Strategy<Value = Broken> {
    let role = prop::sample::select(vec!["slave", "slave", "slave", "master", "unsettled"]);
    let rare = || prop::bool::weighted(0.05);
    let last = prop_oneof![8 => Just(Some(1000)), 1 => Just(Some(1)), 1 => Just(None)];
    let server = prop::sample::select(vec![Some(true), Some(true), Some(false), None]);
    let definition = prop::sample::select(vec!["d:1", "d:1", "d:1", "d:1", "d:1", "d:1", "d:1", "d:2"]);
    (role, rare(), rare(), rare(), server, last, definition, rare()).prop_map(
        |(role, stopping, stopped, silent, server, last, definition, twice)| Broken {
            role,
            stopping,
            running: !stopped,
            answers: !silent,
            server,
            last,
            definition,
            twice,
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// Whatever is broken: never a master that was not allowed, a node that is not firm, one that is too far
    /// behind, or any while a roll is seen.
    #[test]
    fn a_source_is_fit_whatever_is_broken(
        nodes in prop::collection::vec(broken(), 4), from_master: bool,
        failed in prop::sample::subsequence(vec!["core-1", "core-2", "core-3", "slave-1"], 0..=4),
        named in prop::option::of(prop::sample::select(vec!["core-1", "core-3", "slave-1"])),
        confirms in prop::option::of(prop::sample::select(vec!["core-2", "slave-1"])),
    ) {
        let policy = Policy { from_master, ..policy() };
        let mut view = view();
        for (node, broken) in view.nodes.as_mut().unwrap().iter_mut().zip(&nodes) {
            (node.stopping, node.running, node.definition) =
                (broken.stopping, broken.running, broken.definition.into());
            let status = node.status.as_mut().unwrap();
            (status.role, status.last_transaction) = (broken.role.into(), broken.last);
            status.backup_server = broken.server;
            if !broken.answers {
                node.status = None;
            }
        }
        let all = view.nodes.as_mut().unwrap();
        let twins: Vec<Node> =
            all.iter().zip(&nodes).filter(|(_, broken)| broken.twice).map(|(node, _)| node.clone()).collect();
        all.extend(twins);
        let failed: Vec<String> = failed.into_iter().map(str::to_owned).collect();
        let doubt = confirms.filter(|_| named.is_none()).map(doubt);
        let wanted = Wanted { slot: named, failed: &failed, confirms: doubt.as_ref() };
        if let Ok(choice) = choose(&view, &policy, Some("core-2"), wanted) {
            let index = policy.slots.iter().position(|slot| slot.name == choice.slot).unwrap();
            let taken = &nodes[index];
            prop_assert!(taken.running && taken.answers && !taken.stopping && taken.server != Some(false));
            prop_assert_eq!(taken.role, choice.role.to_string());
            let core = &nodes[..3];
            prop_assert!(core.iter().all(|node| node.running && node.answers && node.role != "unsettled"));
            prop_assert!(nodes.iter().all(|node| !node.stopping && !node.twice));
            prop_assert!(core.iter().all(|node| node.definition == core[0].definition));
            prop_assert_eq!(core.iter().filter(|node| node.role == "master").count(), 1);
            prop_assert!(choice.role == Role::Slave || (from_master && doubt.is_none()));
            if choice.role == Role::Slave {
                let master = core.iter().find(|node| node.role == "master").and_then(|node| node.last);
                let behind = master.zip(taken.last).map(|(master, slave)| master.saturating_sub(slave));
                prop_assert!(behind.is_some_and(|behind| behind <= 100));
            }
            prop_assert!(named.is_none_or(|named| named == choice.slot));
            prop_assert!(doubt.is_none_or(|doubt| doubt.slot != choice.slot));
        }
    }
}
