//! `Custom::ClusterReady` through the protocol, against a cluster that follows a script. Time is paused: it
//! advances when all futures wait.

use std::time::Duration;

use crate::stage::{
    Buckets, Cluster, FOUNDING, Function, STATE, data, event, event_with, having_restored, reason, running,
    waiting, whole,
};
use aws::{Error, Kind};
use backups::{Change, Counts, Founding, Phase, Time};
use custom_resource::Handled;
use serde_json::{Value, json};
use snapshot_bootstrap::{Seen, Sighting, Uncounted};
use tokio::time::Instant;
use topology::{Answer, NotKnown};

const COUNTS: Counts = Counts { nodes: 50_000, relationships: 12 };

/// Buckets in which a founding is recorded.
fn founded() -> Buckets {
    let buckets = Buckets::default();
    let Ok(Change::Write(founding)) = Founding::intend(None, None, Time::of_epoch(0)) else { panic!() };
    buckets.write(STATE, FOUNDING, &founding.write());
    buckets
}

fn failure(kind: Kind) -> Error {
    let what = "service core-3 of cluster c".to_owned();
    Error { call: "ecs:ListTasks", what, reason: format!("{kind:?}Exception"), kind }
}

fn uncounted(unauthorized: bool) -> Uncounted {
    let reason = "it refuses the login of that user with that password".into();
    Uncounted { reason, unauthorized }
}

#[tokio::test(start_paused = true)]
async fn it_waits_until_all_are_sure_then_counts_and_seals() {
    let buckets = founded();
    let some =
        vec![running(1, Answer::Slave, "running"), waiting(2), Sighting { seen: Seen::NoTask, ..waiting(3) }];
    let cluster = Cluster::default()
        .then(Ok(vec![waiting(1), waiting(2), waiting(3)]))
        .then(Ok(some))
        .then(Err(failure(Kind::Throttled)))
        .then(Ok(whole()))
        .counting(Ok(COUNTS));
    let begun = Instant::now();
    let answer = Function::new(&buckets, &cluster).answer(&event("cluster-ready-create")).await;
    let expected = json!({
        "Master": "core-2", "MasterAddress": "10.0.0.2", "Nodes": "core-1,core-2,core-3",
        "NodeCount": "50000", "RelationshipCount": "12",
    });
    assert_eq!(data(&answer), &expected);
    assert_eq!(answer["PhysicalResourceId"], "neo4j-local-ready");
    assert_eq!(begun.elapsed(), Duration::from_secs(6), "three pauses of two seconds");
    assert_eq!(cluster.looks(), vec![vec!["core-1", "core-2", "core-3"]; 4]);
    assert_eq!(
        cluster.counted(),
        ["10.0.0.2".parse::<std::net::IpAddr>().unwrap()],
        "only the master is asked, and only when all are there"
    );
    assert_eq!(buckets.founding().map(|founding| founding.phase), Some(Phase::Sealed));
}

#[tokio::test(start_paused = true)]
async fn what_takes_longer_than_an_invocation_goes_on_in_further_ones() {
    let buckets = founded();
    let mut cluster = Cluster::default();
    for _look in 0..200 {
        cluster = cluster.then(Ok(vec![waiting(1), waiting(2), waiting(3)]));
    }
    let cluster = cluster.then(Ok(whole())).counting(Ok(COUNTS));
    let function = Function::new(&buckets, &cluster);
    let answer = function.answer(&event("cluster-ready-create")).await;
    assert_eq!(data(&answer)["Master"], "core-2");
    assert!(function.queue.calls() >= 5, "400 s in invocations of a minute: {}", function.queue.calls());
}

#[tokio::test(start_paused = true)]
async fn the_timeout_says_which_node_says_what_and_nothing_is_sealed() {
    let buckets = founded();
    let unsettled = running(2, Answer::NotKnown(NotKnown::Unsettled), "running");
    let slots =
        vec![running(1, Answer::Slave, "running"), unsettled, Sighting { seen: Seen::NoTask, ..waiting(3) }];
    let cluster = Cluster::default().then(Ok(slots));
    let event = event_with("cluster-ready-create", &[("ServiceTimeout", json!("30"))]);
    let answer = Function::new(&buckets, &cluster).answer(&event).await;
    let reason = reason(&answer);
    let says = "1 of 3 nodes are sure of their role: core-1 at 10.0.0.1 says slave; core-2 at 10.0.0.2 says unsettled; core-3 has no task";
    assert!(reason.contains("timed out at step") && reason.contains(says), "{reason}");
    assert_eq!(buckets.founding().map(|founding| founding.phase), Some(Phase::Founding));
    assert!(cluster.counted().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_denied_ends_the_wait_at_once() {
    let cluster = Cluster::default().then(Err(failure(Kind::Denied)));
    let answer = Function::new(&founded(), &cluster).answer(&event("cluster-ready-create")).await;
    assert!(reason(&answer).starts_with("ecs:ListTasks on service core-3 of cluster c failed"), "{answer}");
    assert_eq!(cluster.looks().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_record_that_cannot_be_reached_is_waited_for_and_one_that_is_denied_is_not() {
    let of = async |kind| {
        let (buckets, cluster) = (founded(), Cluster::default().then(Ok(whole())).counting(Ok(COUNTS)));
        buckets.fail(STATE, FOUNDING, kind);
        let event = event_with("cluster-ready-create", &[("ServiceTimeout", json!("30"))]);
        let answer = Function::new(&buckets, &cluster).answer(&event).await;
        (reason(&answer).to_owned(), cluster.looks().len())
    };
    let (reason, looks) = of(Kind::Throttled).await;
    let says = "s3:GetObject on s3://neo4j-state/cluster/founding.json failed: Throttled";
    assert!(reason.contains("timed out") && reason.contains(says) && looks > 5, "{looks}: {reason}");
    let (reason, looks) = of(Kind::Denied).await;
    assert!(
        reason.starts_with("s3:GetObject on s3://neo4j-state/cluster/founding.json") && looks == 1,
        "{reason}"
    );
}

#[tokio::test(start_paused = true)]
async fn counts_must_be_the_snapshots_while_the_cluster_is_founded() {
    let cluster = Cluster::default()
        .then(Ok(whole()))
        .counting(Err(uncounted(true)))
        .counting(Ok(Counts { nodes: 49_999, relationships: 12 }))
        .counting(Ok(COUNTS));
    let begun = Instant::now();
    let answer = Function::new(&founded(), &cluster).answer(&event("cluster-ready-create")).await;
    assert_eq!(data(&answer)["NodeCount"], "50000");
    assert_eq!(begun.elapsed(), Duration::from_secs(15 + 2), "a wrong password is not tried again soon");

    let cluster = Cluster::default().then(Ok(whole())).counting(Ok(Counts { nodes: 0, relationships: 0 }));
    let buckets = founded();
    let event = event_with("cluster-ready-create", &[("ServiceTimeout", json!("30"))]);
    let answer = Function::new(&buckets, &cluster).answer(&event).await;
    let says = "the master has 0 nodes where 50000 are expected and 0 relationships where 12 are expected";
    assert!(reason(&answer).contains(says), "{answer}");
    assert_eq!(
        buckets.founding().map(|founding| founding.phase),
        Some(Phase::Founding),
        "an empty cluster is not sealed"
    );
}

/// A later Update of a living cluster must not wait for the counts of the day on which it was founded.
#[tokio::test(start_paused = true)]
async fn counts_do_not_matter_once_it_is_sealed() {
    let buckets = founded();
    let function = |counts| Function::new(&buckets, &Cluster::default().then(Ok(whole())).counting(counts));
    function(Ok(COUNTS)).answer(&event("cluster-ready-create")).await;
    let (sealed, puts) = (buckets.all(), buckets.puts());
    let mut update = event("cluster-ready-create");
    update["RequestType"] = json!("Update");
    update["PhysicalResourceId"] = json!("neo4j-local-ready");
    update["OldResourceProperties"] = json!({});
    let answer = function(Ok(Counts { nodes: 61_234, relationships: 0 })).answer(&update).await;
    assert_eq!(data(&answer)["NodeCount"], "61234");
    let answer = function(Err(uncounted(false))).answer(&update).await;
    assert_eq!(data(&answer)["NodeCount"], "", "what could not be counted is empty");
    assert_eq!((buckets.all(), buckets.puts()), (sealed, puts), "a seal is written once");
}

#[tokio::test(start_paused = true)]
async fn counts_that_the_snapshot_does_not_know_are_not_compared() {
    let unknown = json!({"Nodes": "", "Relationships": ""});
    let event = event_with("cluster-ready-create", &[("ExpectCounts", unknown)]);
    let cluster = Cluster::default().then(Ok(whole())).counting(Ok(Counts { nodes: 3, relationships: 4 }));
    let answer = Function::new(&founded(), &cluster).answer(&event).await;
    assert_eq!(data(&answer)["RelationshipCount"], "4");
}

/// By what the nodes have read in their own files: what early writers add changes nothing.
#[tokio::test(start_paused = true)]
async fn a_founding_from_a_snapshot_is_sealed_when_every_core_node_has_restored_it() {
    let unknown = json!({"Nodes": "", "Relationships": ""});
    let event =
        event_with("cluster-ready-create", &[("ExpectCounts", unknown), ("ServiceTimeout", json!("30"))]);
    let buckets = Buckets::with_backups();
    let recorded = Function::new(&buckets, &Cluster::default());
    data(&recorded.answer(&self::event("snapshot-bootstrap-create-latest")).await);
    let etag = buckets.founding().unwrap().snapshot.unwrap().etag;
    let restored = |percent, etag: &str, nodes| neo4j::Restore {
        percent,
        etag: etag.to_owned(),
        nodes: Some(nodes),
        relationships: Some(13),
    };
    // The third one in its own way.
    let slots = |third: Option<neo4j::Restore>| {
        let mut slots = having_restored(whole(), &etag, Counts { nodes: 60_000, relationships: 13 });
        let Seen::Running { restore, .. } = &mut slots[2].seen else { panic!("{slots:?}") };
        *restore = third;
        slots
    };
    let table = [
        (None, "core-3 at 10.0.0.3 says slave and has not restored it"),
        (Some(restored(40, &etag, 0)), "core-3 has restored 40 % of it"),
        (Some(restored(100, "\"other\"", 60_000)), "core-3 has restored another version of it"),
        (
            Some(restored(100, &etag, 59_999)),
            "core-3 has restored 59999 nodes and 13 relationships of 60000 and 13",
        ),
    ];
    for (third, says) in table {
        let cluster = Cluster::default().then(Ok(slots(third))).counting(Ok(COUNTS));
        let answer = Function::new(&buckets, &cluster).answer(&event).await;
        assert!(reason(&answer).contains(says), "{answer}");
        assert_eq!(buckets.founding().map(|founding| founding.phase), Some(Phase::Founding));
    }
    let written = Counts { nodes: 60_017, relationships: 13 };
    let all = slots(Some(restored(100, &etag, 60_000)));
    let cluster = Cluster::default().then(Ok(all)).counting(Ok(written));
    data(&Function::new(&buckets, &cluster).answer(&event).await);
    assert_eq!(buckets.founding().map(|founding| founding.phase), Some(Phase::Sealed));
}

#[tokio::test(start_paused = true)]
async fn whoever_loses_the_seal_reads_again_and_a_cluster_without_a_record_is_sealed_too() {
    let function =
        |buckets| Function::new(buckets, &Cluster::default().then(Ok(whole())).counting(Ok(COUNTS)));
    let buckets = founded();
    buckets.rival(buckets.founding().unwrap().write());
    data(&function(&buckets).answer(&event("cluster-ready-create")).await);
    assert_eq!(buckets.puts(), 2);
    assert_eq!(buckets.founding().map(|founding| founding.phase), Some(Phase::Sealed));

    let buckets = Buckets::default();
    data(&function(&buckets).answer(&event("cluster-ready-create")).await);
    assert_eq!(
        buckets.founding().map(|founding| (founding.phase, founding.snapshot)),
        Some((Phase::Sealed, None))
    );

    let buckets = founded();
    buckets.lose_answers(1);
    data(&function(&buckets).answer(&event("cluster-ready-create")).await);
    assert_eq!(buckets.puts(), 1, "the seal whose answer was lost is found, not written again");

    let buckets = founded();
    (0..9).for_each(|_| buckets.rival(buckets.founding().unwrap().write()));
    let answer = function(&buckets).answer(&event("cluster-ready-create")).await;
    assert!(
        reason(&answer).starts_with("s3://neo4j-state/cluster/founding.json was written by others 5 times"),
        "{answer}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_slot_is_made_when_it_waits_for_its_peers() {
    let buckets = founded();
    let pending = Sighting { seen: Seen::Pending, ..waiting(2) };
    let cluster = Cluster::default().then(Ok(vec![pending])).then(Ok(vec![waiting(1), waiting(2)]));
    let answer = Function::new(&buckets, &cluster).answer(&event("cluster-ready-slot-create")).await;
    assert_eq!(data(&answer)["Nodes"], "core-2");
    assert_eq!(answer["PhysicalResourceId"], "neo4j-local-ready-slot-2");
    assert_eq!(cluster.looks(), [["core-2"], ["core-2"]], "the others are not its matter");
    assert_eq!(
        buckets.founding().map(|founding| founding.phase),
        Some(Phase::Founding),
        "one slot seals nothing"
    );
    assert!(cluster.counted().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_slot_is_updated_when_its_new_task_has_rejoined() {
    let new = |slot: Sighting| match slot.seen {
        Seen::Running { address, answer, phase, restore, .. } => Sighting {
            seen: Seen::Running {
                address,
                answer,
                phase,
                restore,
                definition: "neo4j-local-core-2:2".into(),
            },
            ..slot
        },
        _ => slot,
    };
    let among =
        |slot| vec![running(1, Answer::Master, "running"), slot, running(3, Answer::Slave, "running")];
    let cluster = Cluster::default()
        // the old task, which still runs and is a slave
        .then(Ok(among(running(2, Answer::Slave, "running"))))
        .then(Ok(among(Sighting { seen: Seen::NoTask, ..waiting(2) })))
        .then(Ok(among(new(waiting(2)))))
        .then(Ok(among(new(running(2, Answer::NotKnown(NotKnown::Unsettled), "running")))))
        .then(Ok(among(new(running(2, Answer::Slave, "running")))));
    let answer = Function::new(&founded(), &cluster).answer(&event("cluster-ready-slot-update")).await;
    assert_eq!(data(&answer)["Nodes"], "core-2");
    assert_eq!(cluster.looks().len(), 5);

    let cluster = Cluster::default().then(Ok(vec![running(2, Answer::Slave, "running")]));
    let event = event_with("cluster-ready-slot-update", &[("ServiceTimeout", json!("20"))]);
    let answer = Function::new(&founded(), &cluster).answer(&event).await;
    assert!(
        reason(&answer).contains("core-2 still runs neo4j-local-core-2:1 and not neo4j-local-core-2:2"),
        "{answer}"
    );
    assert_eq!(answer["PhysicalResourceId"], "neo4j-local-ready-slot-2");
}

/// Its server id follows those of the core. The core must be well before the next slot is stopped: it is
/// looked at, and so is the slot itself.
#[tokio::test(start_paused = true)]
async fn a_slave_only_slot_is_waited_for_beside_the_core() {
    let slots = topology::Slot::numbered(&["core-1", "core-2", "core-3"], &["slave-1", "slave-2"]);
    let slave = |seen| Sighting { slot: slots[3].clone(), seen };
    let beside = |seen| [whole(), vec![slave(seen)]].concat();
    let running = |answer| {
        let (address, definition) = ([10, 0, 0, 4].into(), "slave:1".to_owned());
        Seen::Running { address, definition, answer, phase: "running".into(), restore: None }
    };
    let create =
        event_with("cluster-ready-slot-create", &[("Slot", json!("4")), ("Definition", json!("slave:1"))]);
    let cluster = Cluster::default()
        .then(Ok(vec![slave(Seen::Pending)]))
        .then(Ok(vec![slave(running(Answer::NotKnown(NotKnown::Unsettled)))]));
    let answer = Function::of(&founded(), &cluster, slots.clone()).answer(&create).await;
    assert_eq!(data(&answer)["Nodes"], "slave-1");
    assert_eq!(answer["PhysicalResourceId"], "neo4j-local-ready-slot-4");
    assert_eq!(cluster.looks(), [["slave-1"], ["slave-1"]]);

    let mut update =
        event_with("cluster-ready-slot-update", &[("Slot", json!("4")), ("Definition", json!("slave:1"))]);
    update["OldResourceProperties"]["Slot"] = json!("4");
    update["PhysicalResourceId"] = json!("neo4j-local-ready-slot-4");
    let cluster = Cluster::default().then(Ok(beside(Seen::NoTask))).then(Ok(beside(running(Answer::Slave))));
    let answer = Function::of(&founded(), &cluster, slots.clone()).answer(&update).await;
    assert_eq!(data(&answer)["Nodes"], "slave-1");
    assert_eq!(cluster.looks(), vec![vec!["core-1", "core-2", "core-3", "slave-1"]; 2]);
}

/// Faults 12 and 13: a Delete looks at nothing, whatever the state of the cluster, and a resource that still
/// waits comes to its own end.
#[tokio::test(start_paused = true)]
async fn a_delete_waits_for_nobody() {
    let buckets = founded();
    let cluster = Cluster::default().then(Ok(vec![waiting(1), waiting(2), waiting(3)]));
    let function = Function::new(&buckets, &cluster);
    assert_eq!(function.invoke(&event("cluster-ready-create")).await, Handled::HandedOver);
    let (before, looks, begun) = (buckets.all(), cluster.looks().len(), Instant::now());
    data(&function.answer(&event("cluster-ready-delete")).await);
    let mut slot = event("cluster-ready-delete");
    slot["PhysicalResourceId"] = json!("neo4j-local-ready-slot-2");
    slot["ResourceProperties"] = json!({"ExpectNodes": ["what"]});
    data(&function.answer(&slot).await);
    assert_eq!(begun.elapsed(), Duration::ZERO);
    assert_eq!((buckets.all(), cluster.looks().len()), (before, looks));
}

#[tokio::test(start_paused = true)]
async fn what_could_never_come_true_is_refused_at_once() {
    let table: [(&[(&str, Value)], &str); 7] = [
        (&[("ExpectNodes", json!("4"))], "ExpectNodes is 4, and the cluster has 3 slots"),
        (&[("ExpectNodes", json!("0"))], "ExpectNodes is 0"),
        (&[("ExpectNodes", json!(""))], "ExpectNodes is missing"),
        (&[("ExpectNodes", json!("three"))], "ResourceProperties.ExpectNodes: "),
        (&[("ExpectMaster", json!("false"))], "ExpectCounts is counted on the master"),
        (&[("Slot", json!("4"))], "Slot is 4, and the cluster has slots 1 to 3"),
        (&[("ExpectCounts", json!({"Nodes": "many"}))], "ResourceProperties.ExpectCounts.Nodes: "),
    ];
    for (properties, says) in table {
        let cluster = Cluster::default();
        let answer =
            Function::new(&founded(), &cluster).answer(&event_with("cluster-ready-create", properties)).await;
        assert!(reason(&answer).starts_with(says), "{says}: {answer}");
        assert!(cluster.looks().is_empty());
    }
}
