use super::*;
use Answer::{Master, NotKnown as Not, Slave};

fn slot(number: u8, kind: Kind) -> Slot {
    Slot { name: format!("core-{number}"), kind, server_id: number.into() }
}

fn running(number: u8, answer: Answer, phase: &str) -> Sighting {
    let address = [10, 0, 0, number].into();
    let definition = "arn:aws:ecs:r:1:task-definition/core:7".to_owned();
    let seen = Seen::Running { address, definition, answer, phase: phase.into(), restore: None };
    Sighting { slot: slot(number, Kind::Core), seen }
}

fn without(number: u8, seen: Seen) -> Sighting {
    Sighting { slot: slot(number, Kind::Core), seen }
}

fn slave_only(number: u8, answer: Answer) -> Sighting {
    Sighting { slot: slot(number, Kind::SlaveOnly), ..running(number, answer, "running") }
}

/// Name, nodes wanted, whether a master is wanted, what is seen, and the clause of a
/// cluster that is not ready.
type Case = (&'static str, usize, bool, Vec<Sighting>, Option<&'static str>);

#[test]
fn a_cluster_is_ready_when_enough_are_sure_and_one_of_them_leads() {
    let up = |number, answer| running(number, answer, "running");
    let table: [Case; 11] = [
        ("whole", 3, true, vec![up(1, Slave), up(2, Master), up(3, Slave)], None),
        ("one node", 1, true, vec![up(1, Master)], None),
        ("a slave-only node counts", 2, true, vec![up(1, Master), slave_only(2, Slave)], None),
        ("no master, none wanted", 2, false, vec![up(1, Slave), up(2, Slave)], None),
        (
            "one is between roles, one has no task",
            3,
            true,
            vec![up(1, Master), up(2, Not(NotKnown::Unsettled)), without(3, Seen::NoTask)],
            Some(
                "1 of 3 nodes are sure of their role: core-1 at 10.0.0.1 says master; core-2 at 10.0.0.2 says unsettled; \
                 core-3 has no task",
            ),
        ),
        (
            "no leader",
            2,
            true,
            vec![up(1, Slave), up(2, Slave)],
            Some(
                "2 of 2 nodes are sure of their role: core-1 at 10.0.0.1 says slave; core-2 at 10.0.0.2 says slave",
            ),
        ),
        ("two lead", 2, true, vec![up(1, Master), up(2, Master)], Some("2 of 2 nodes")),
        ("two lead, none wanted", 2, false, vec![up(1, Master), up(2, Master)], Some("2 of 2 nodes")),
        (
            "a slave-only node leads",
            2,
            true,
            vec![up(1, Slave), slave_only(2, Master)],
            Some(
                "2 of 2 nodes are sure of their role: core-1 at 10.0.0.1 says slave; \
                 core-2 at 10.0.0.2 says master, which it must never be",
            ),
        ),
        (
            "all wait",
            2,
            true,
            vec![running(1, Not(NotKnown::Refused), "waiting-for-peers"), without(2, Seen::Pending)],
            Some(
                "0 of 2 nodes are sure of their role: core-1 at 10.0.0.1 refuses connections, and its node program says \
                 waiting-for-peers; core-2 has a task that does not run yet",
            ),
        ),
        (
            "silent and mute",
            1,
            true,
            vec![running(1, Not(NotKnown::Silent), "")],
            Some(
                "0 of 1 nodes are sure of their role: core-1 at 10.0.0.1 is silent, and its node program does not tell",
            ),
        ),
    ];
    for (case, nodes, master, slots, expected) in table {
        match (ready(&Expected::Cluster { nodes, master }, &slots), expected) {
            (Readiness::Ready, None) => {}
            (Readiness::NotYet(says), Some(expected)) => {
                assert!(says.starts_with(expected), "{case}: {says}");
            }
            (found, _) => panic!("{case}: {found:?}"),
        }
    }
}

#[test]
fn a_slot_is_there_when_it_waits_for_its_peers_and_back_when_it_has_a_role() {
    use Standing::{Rejoined, WaitsForPeers};
    let refused = Not(NotKnown::Refused);
    let table = [
        (without(1, Seen::NoTask), false, false),
        (without(1, Seen::Pending), false, false),
        (running(1, refused, ""), false, false),
        (running(1, refused, "thinking"), false, false),
        (running(1, refused, "waiting-for-peers"), true, false),
        (running(1, refused, "starting"), true, false),
        (running(1, Not(NotKnown::Unsettled), "running"), true, false),
        (running(1, Slave, ""), true, true),
        (running(1, Master, "running"), true, true),
    ];
    for (slot, waits, rejoined) in table {
        for (standing, expected) in [(WaitsForPeers, waits), (Rejoined, rejoined)] {
            let expected_of = Expected::Slot { name: "core-1".into(), standing, definition: None };
            let found = ready(&expected_of, std::slice::from_ref(&slot));
            assert_eq!(found == Readiness::Ready, expected, "{standing:?} {slot:?}");
        }
    }
}

#[test]
fn a_slot_that_runs_what_it_ran_before_is_not_back() {
    let of = |definition: &str| {
        let (name, definition) = ("core-1".to_owned(), Some(definition.into()));
        let expected = Expected::Slot { name, standing: Standing::Rejoined, definition };
        ready(&expected, &[running(1, Slave, "running")])
    };
    assert_eq!(of("arn:aws:ecs:r:1:task-definition/core:7"), Readiness::Ready);
    assert_eq!(of("core:7"), Readiness::Ready);
    assert_eq!(
        of("arn:aws:ecs:r:1:task-definition/core:8"),
        Readiness::NotYet("core-1 still runs core:7 and not core:8".into())
    );
}

#[test]
fn the_next_slot_may_be_stopped_when_all_others_are_sure_and_one_leads() {
    let up = |number, answer| running(number, answer, "running");
    let replaced = Sighting { seen: Seen::Pending, ..up(3, Slave) };
    let table: [(&str, Vec<Sighting>, Option<&str>); 9] = [
        ("whole", vec![up(1, Slave), up(2, Master), up(3, Slave)], None),
        ("of one", vec![up(1, Master)], None),
        ("two tasks of one slot", vec![up(1, Slave), up(2, Master), replaced, up(3, Slave)], None),
        (
            "a slave-only slot is away",
            vec![
                up(1, Slave),
                up(2, Master),
                Sighting { slot: slot(3, Kind::SlaveOnly), seen: Seen::NoTask },
            ],
            None,
        ),
        (
            "one is away",
            vec![up(1, Slave), up(2, Master), without(3, Seen::NoTask)],
            Some("core-3 has no task"),
        ),
        (
            "one is between roles",
            vec![up(1, Slave), up(2, Master), up(3, Not(NotKnown::Unsettled))],
            Some("core-3 at 10.0.0.3 says unsettled"),
        ),
        ("no master", vec![up(1, Slave), up(2, Slave), up(3, Slave)], Some("no node says master")),
        (
            "a slave-only slot leads",
            vec![up(1, Slave), up(2, Slave), slave_only(3, Master)],
            Some("core-3 at 10.0.0.3 says master, which it must never be"),
        ),
        (
            "two masters",
            vec![up(1, Master), up(2, Master), up(3, Slave)],
            Some("core-1 at 10.0.0.1 says master; core-2 at 10.0.0.2 says master"),
        ),
    ];
    for (case, slots, expected) in table {
        let expected = expected.map_or(Readiness::Ready, |says| Readiness::NotYet(says.to_owned()));
        assert_eq!(settled(&slots), expected, "{case}");
    }
    let of = |standing, slots: &[Sighting]| {
        ready(&Expected::Slot { name: "core-1".into(), standing, definition: None }, slots)
    };
    let degraded = [up(1, Slave), up(2, Master), without(3, Seen::NoTask)];
    assert_eq!(of(Standing::Rejoined, &degraded), Readiness::Ready, "the others are not its matter");
    assert_eq!(
        of(Standing::AmongAll, &degraded),
        Readiness::NotYet(
            "core-1 has rejoined, and before another slot is stopped the whole cluster has to be well: core-3 has no task"
                .into()
        )
    );
}

#[test]
fn the_sole_master_is_named_and_no_other() {
    let up = |number, answer| running(number, answer, "running");
    assert_eq!(sole_master(&[up(1, Slave), up(2, Master)]), Some(("core-2", [10, 0, 0, 2].into())));
    assert_eq!(sole_master(&[up(1, Master), up(2, Master)]), None);
    assert_eq!(sole_master(&[up(1, Slave)]), None);
    assert_eq!(sole_master(&[slave_only(1, Master)]), None);
}

#[test]
fn counts_are_compared_one_by_one() {
    let found = Counts { nodes: 5, relationships: 7 };
    let differs = |nodes, relationships| Wanted { nodes, relationships }.differs(found);
    assert_eq!(differs(None, None), None);
    assert_eq!(differs(Some(5), Some(7)), None);
    assert_eq!(differs(Some(6), Some(7)).as_deref(), Some("the master has 5 nodes where 6 are expected"));
    assert_eq!(
        differs(Some(0), Some(8)).as_deref(),
        Some("the master has 5 nodes where 0 are expected and 7 relationships where 8 are expected")
    );
}

/// Whatever phase a node is in: one with a store of its own runs without having restored.
#[test]
fn a_restore_is_over_when_every_core_node_has_restored_exactly_that() {
    let refused = Not(NotKnown::Refused);
    let snapshot = snapshot();
    let having = |number, phase: &str, etag: &str, percent| {
        let mut slot = running(number, refused, phase);
        let Seen::Running { restore, .. } = &mut slot.seen else { unreachable!() };
        *restore =
            Some(neo4j::Restore { percent, etag: etag.into(), nodes: Some(5), relationships: Some(7) });
        slot
    };
    let done = |number, phase| having(number, phase, &snapshot.etag, 100);
    let says = |slots: &[Sighting]| match ready(&Expected::Restored(Box::new(snapshot.clone())), slots) {
        Readiness::Ready => String::new(),
        Readiness::NotYet(says) => says,
    };
    let waiting =
        [done(1, "restored"), having(2, "restoring", &snapshot.etag, 42), without(3, Seen::Pending)];
    assert!(
        says(&waiting).ends_with("core-2 has restored 42 % of it; core-3 has a task that does not run yet"),
        "{}",
        says(&waiting)
    );
    for phase in ["restored", "starting", "running"] {
        assert_eq!(says(&[done(1, phase), done(2, "running"), slave_only(4, refused)]), "", "{phase}");
        let own = says(&[done(1, phase), running(2, Slave, phase)]);
        assert!(own.contains("core-2 at 10.0.0.2 says slave and has not restored it"), "{own}");
        let other = says(&[having(1, phase, "\"another\"", 100)]);
        assert!(other.contains("core-1 has restored another version of it"), "{other}");
    }
}

fn snapshot() -> Snapshot {
    Snapshot {
        asked: "latest".into(),
        bucket: "b".into(),
        manifest: "backups/daily/x/manifest.json".into(),
        manifest_format: 1,
        key: "backups/daily/x/store.tar.zst".into(),
        etag: "\"e\"".into(),
        bytes: 9,
        sha256: "0".repeat(64),
        neo4j: "3.4.6".parse().unwrap(),
        database: "graph.db".into(),
        counts: Some(Counts { nodes: 5, relationships: 7 }),
        last_transaction: None,
        store_id: None,
        store_bytes: None,
    }
}
