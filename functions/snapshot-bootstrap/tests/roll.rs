//! Rolls through the protocol: the check before the first slot, and the wait between two. Time is paused: it
//! advances when all futures wait.

use std::time::{Duration, SystemTime};

use crate::stage::{Buckets, Cluster, Function, data, event, event_with, reason, running, waiting, whole};
use aws::{Ended, Error, Kind, Operation, Service};
use serde_json::{Value, json};
use snapshot_bootstrap::{Seen, Sighting};
use tokio::time::Instant;
use topology::{Answer, NotKnown};

/// All slots but core-3.
fn degraded() -> Vec<Sighting> {
    let mut slots = whole();
    slots[2].seen = Seen::NoTask;
    slots
}

fn not_told(kind: Kind) -> Error {
    let what = "arn:stack/neo4j-local".to_owned();
    Error { call: "cloudformation:DescribeStacks", what, reason: format!("{kind:?}"), kind }
}

/// The answer, and the time that it took.
async fn answer(cluster: &Cluster, event: &Value) -> (Value, Duration) {
    let begun = Instant::now();
    let answer = Function::new(&Buckets::default(), cluster).answer(event).await;
    (answer, begun.elapsed())
}

fn roll(properties: &[(&str, Value)]) -> Value {
    event_with("roll-check-update", properties)
}

#[tokio::test(start_paused = true)]
async fn a_cluster_that_is_well_is_rolled_at_once_and_one_that_settles_in_time_too() {
    let cluster = Cluster::default().then(Ok(whole()));
    let (ready, took) = answer(&cluster, &roll(&[])).await;
    data(&ready);
    assert_eq!((ready["PhysicalResourceId"].as_str(), took), (Some("neo4j-local-roll"), Duration::ZERO));
    assert_eq!(cluster.looks(), [["core-1", "core-2", "core-3"]]);

    let unsettled = [&whole()[..2], &[running(3, Answer::NotKnown(NotKnown::Unsettled), "running")]].concat();
    let throttled = Error { kind: Kind::Throttled, ..not_told(Kind::Throttled) };
    let cluster = Cluster::default().then(Ok(unsettled)).then(Err(throttled)).then(Ok(whole()));
    let (ready, took) = answer(&cluster, &roll(&[])).await;
    data(&ready);
    assert_eq!(took, Duration::from_secs(4), "two pauses of two seconds");
}

#[tokio::test(start_paused = true)]
async fn a_slot_that_is_away_is_named_after_a_minute_with_what_to_do() {
    let (refused, took) = answer(&Cluster::default().then(Ok(degraded())), &roll(&[])).await;
    assert_eq!(
        reason(&refused),
        "no slot was stopped, because the cluster would lose its majority or its only master: core-3 has no task. Bring that \
         back first; or, if this deployment is what mends it, deploy with RollWhenDegraded=yes"
    );
    assert!((60..70).contains(&took.as_secs()), "{took:?}");
    assert_eq!(refused["PhysicalResourceId"], "neo4j-local-roll");
}

#[tokio::test(start_paused = true)]
async fn a_deployment_that_says_so_goes_on_without_a_look() {
    let cluster = Cluster::default().then(Ok(degraded()));
    let (ready, _) = answer(&cluster, &roll(&[("RollWhenDegraded", json!("yes"))])).await;
    data(&ready);
    assert!(cluster.looks().is_empty());
}

#[tokio::test(start_paused = true)]
async fn another_secret_of_the_administrator_is_refused_by_its_name() {
    let given = |arn: &str| [("AdminSecretArn", json!(arn))];
    let mut event = roll(&given("arn:new"));
    event["OldResourceProperties"]["AdminSecretArn"] = json!("arn:old");
    let cluster = Cluster::default().then(Ok(whole()));
    let (refused, took) = answer(&cluster, &event).await;
    let says = "AdminSecretArn of a living stack cannot change to arn:new: its nodes have the password of the secret before. No slot \
                was stopped. Set AdminSecretArn back";
    assert!(reason(&refused).starts_with(says), "{refused}");
    assert!(took < Duration::from_secs(1) && cluster.looks().is_empty(), "nothing can be waited for");
    // The same secret, and a check of an earlier version, which had none.
    event["OldResourceProperties"]["AdminSecretArn"] = json!("arn:new");
    data(&answer(&Cluster::default().then(Ok(whole())), &event).await.0);
    data(&answer(&Cluster::default().then(Ok(whole())), &roll(&given("arn:new"))).await.0);
}

#[tokio::test(start_paused = true)]
async fn a_roll_back_is_never_refused() {
    for properties in [vec![], vec![("CoreSize", json!("5"))], vec![("AdminSecretArn", json!("arn:new"))]] {
        let cluster = Cluster::default().then(Ok(degraded())).during(Ok(Operation::RollBack));
        let (ready, took) = answer(&cluster, &roll(&properties)).await;
        data(&ready);
        assert_eq!(took, Duration::ZERO, "{properties:?}");
    }
    // Whether it is a roll-back is asked again after a throttled call; when it cannot be
    // asked the sentence says so.
    let cluster = Cluster::default().then(Ok(degraded()));
    let cluster = cluster.during(Err(not_told(Kind::Throttled))).during(Ok(Operation::RollBack));
    data(&answer(&cluster, &roll(&[])).await.0);
    let cluster = Cluster::default().then(Ok(degraded())).during(Err(not_told(Kind::Denied)));
    let (refused, took) = answer(&cluster, &roll(&[])).await;
    assert!(reason(&refused).contains("core-3 has no task"), "{refused}");
    assert!(reason(&refused).contains("If this was a roll-back: cloudformation:DescribeStacks"), "{refused}");
    assert_eq!(took, Duration::ZERO, "nothing passes by waiting");
}

#[tokio::test(start_paused = true)]
async fn another_core_size_is_refused_at_once_whatever_the_cluster_is() {
    for properties in
        [vec![("CoreSize", json!("5"))], vec![("CoreSize", json!("5")), ("RollWhenDegraded", json!("yes"))]]
    {
        let cluster = Cluster::default().then(Ok(whole()));
        let (refused, took) = answer(&cluster, &roll(&properties)).await;
        let says = "CoreSize of a living stack cannot change from 3 to 5: its members count majorities of 3. Nothing was changed. \
                    Deploy a second stack with CoreSize 5 from a snapshot";
        assert!(reason(&refused).starts_with(says), "{refused}");
        assert_eq!(took, Duration::ZERO);
        assert!(cluster.looks().is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn a_change_that_stops_no_slot_is_not_checked() {
    let mut update = roll(&[("RollWhenDegraded", json!("yes"))]);
    update["ResourceProperties"]["Settings"] = update["OldResourceProperties"]["Settings"].clone();
    update["ResourceProperties"]["RollWhenDegraded"] = json!("no");
    update["OldResourceProperties"]["RollWhenDegraded"] = json!("yes");
    let cluster = Cluster::default().then(Ok(degraded()));
    data(&answer(&cluster, &update).await.0);
    assert!(cluster.looks().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_stack_that_is_made_is_not_checked_and_one_that_gets_the_check_is() {
    let mut create = event("roll-check-update");
    create["RequestType"] = json!("Create");
    create.as_object_mut().unwrap().remove("PhysicalResourceId");
    for told in [Ok(Operation::Other), Err(not_told(Kind::Throttled)), Err(not_told(Kind::Denied))] {
        let cluster = Cluster::default().then(Ok(degraded())).during(told);
        data(&answer(&cluster, &create).await.0);
        assert!(cluster.looks().is_empty(), "there is no cluster yet");
    }
    let cluster = Cluster::default().then(Ok(degraded())).during(Ok(Operation::Update));
    let (refused, _) = answer(&cluster, &create).await;
    assert!(reason(&refused).contains("core-3 has no task"), "{refused}");
}

#[tokio::test(start_paused = true)]
async fn what_is_neither_yes_nor_no_is_refused() {
    let (refused, _) = answer(&Cluster::default(), &roll(&[("RollWhenDegraded", json!("maybe"))])).await;
    assert!(reason(&refused).contains("RollWhenDegraded: it must be yes or no"), "{refused}");
}

/// `core-2` with its new task.
fn replaced(answer: Answer, phase: &str) -> Sighting {
    let slot = running(2, answer, phase);
    let Seen::Running { address, answer, phase, restore, .. } = slot.seen else { panic!("it runs") };
    Sighting {
        seen: Seen::Running { address, answer, phase, restore, definition: "neo4j-local-core-2:2".into() },
        ..slot
    }
}

/// The cluster around it.
fn around(core_2: Sighting, core_3: Sighting) -> Vec<Sighting> {
    vec![running(1, Answer::Master, "running"), core_2, core_3]
}

#[tokio::test(start_paused = true)]
async fn the_next_slot_waits_until_all_others_are_well_and_says_for_what() {
    let away = Sighting { seen: Seen::NoTask, ..waiting(3) };
    let slave = || running(3, Answer::Slave, "running");
    let cluster = Cluster::default()
        .then(Ok(around(replaced(Answer::Slave, "running"), away.clone())))
        .then(Ok(around(replaced(Answer::Slave, "running"), slave())));
    let (ready, took) = answer(&cluster, &event("cluster-ready-slot-update")).await;
    assert_eq!(data(&ready)["Nodes"], "core-2");
    assert_eq!(took, Duration::from_secs(2));

    let cluster = Cluster::default().then(Ok(around(replaced(Answer::Slave, "running"), away.clone())));
    let update = event_with("cluster-ready-slot-update", &[("ServiceTimeout", json!("30"))]);
    let (refused, _) = answer(&cluster, &update).await;
    let says = "core-2 has rejoined, and before another slot is stopped the whole cluster has to be well: core-3 has no task";
    assert!(reason(&refused).contains(says), "{refused}");

    // In a roll-back, and when the deployment says so, only the slot itself is waited for.
    let scene = || Cluster::default().then(Ok(around(replaced(Answer::Slave, "running"), away.clone())));
    let (ready, took) =
        answer(&scene().during(Ok(Operation::RollBack)), &event("cluster-ready-slot-update")).await;
    assert_eq!((data(&ready)["Nodes"].as_str(), took), (Some("core-2"), Duration::ZERO));
    let goes_on = event_with("cluster-ready-slot-update", &[("RollWhenDegraded", json!("yes"))]);
    let (ready, took) = answer(&scene(), &goes_on).await;
    assert_eq!((data(&ready)["Nodes"].as_str(), took), (Some("core-2"), Duration::ZERO));
    let unfinished = around(replaced(Answer::NotKnown(NotKnown::Refused), "starting"), away);
    let cluster = Cluster::default().then(Ok(unfinished)).during(Ok(Operation::RollBack));
    let (refused, _) = answer(&cluster, &update).await;
    assert!(
        reason(&refused).contains("its node program says starting"),
        "its own slot it waits for: {refused}"
    );
}

/// The roll-back of a slot's stack may make a new revision of the earlier task definition: the properties
/// name one that no service asks for any more.
#[tokio::test(start_paused = true)]
async fn in_a_roll_back_the_slot_runs_what_its_service_asks_for() {
    let slots = around(running(2, Answer::Slave, "running"), running(3, Answer::Slave, "running"));
    let service = |revision: u8| {
        let definition =
            format!("arn:aws:ecs:us-east-1:000000000000:task-definition/neo4j-local-core-2:{revision}");
        vec![Service { name: "core-2".into(), definition, ..Service::default() }]
    };
    let update = event_with("cluster-ready-slot-update", &[("ServiceTimeout", json!("30"))]);
    let scene = || Cluster::default().then(Ok(slots.clone()));
    let (ready, took) = answer(&scene().during(Ok(Operation::RollBack)).saying(service(1)), &update).await;
    assert_eq!((data(&ready)["Nodes"].as_str(), took), (Some("core-2"), Duration::ZERO));
    let (refused, _) = answer(&scene().during(Ok(Operation::RollBack)).saying(service(3)), &update).await;
    assert!(
        reason(&refused).contains("core-2 still runs neo4j-local-core-2:1"),
        "not yet replaced: {refused}"
    );
    let (refused, _) = answer(&scene().saying(service(1)), &update).await;
    assert!(reason(&refused).contains("core-2 still runs neo4j-local-core-2:1"), "no roll-back: {refused}");
}

/// A slot cannot have a role while no majority is left: a deployment that repairs
/// goes on to the missing slot.
#[tokio::test(start_paused = true)]
async fn without_any_master_a_slot_that_waits_for_its_peers_is_enough_for_a_deployment_that_mends() {
    let leaderless = vec![
        running(1, Answer::NotKnown(NotKnown::Unsettled), "running"),
        replaced(Answer::NotKnown(NotKnown::Refused), "waiting-for-peers"),
        Sighting { seen: Seen::NoTask, ..waiting(3) },
    ];
    let goes_on = event_with("cluster-ready-slot-update", &[("RollWhenDegraded", json!("yes"))]);
    let (ready, took) = answer(&Cluster::default().then(Ok(leaderless.clone())), &goes_on).await;
    data(&ready);
    assert!((60..65).contains(&took.as_secs()), "an election takes seconds: {took:?}");
    let update = event_with("cluster-ready-slot-update", &[("ServiceTimeout", json!("120"))]);
    let (refused, _) = answer(&Cluster::default().then(Ok(leaderless)), &update).await;
    assert!(reason(&refused).contains("timed out"), "{refused}");
}

/// The slot was away before, with RollWhenDegraded=yes, and its Update failed because of it:
/// so would the Update back.
#[tokio::test(start_paused = true)]
async fn a_roll_back_does_not_fail_for_a_slot_that_cannot_come() {
    let words = "(service core-2) was unable to place a task because no container instance met all of its requirements.";
    let at = SystemTime::UNIX_EPOCH + Duration::from_secs(1_600_000_000);
    let said =
        vec![Service { name: "core-2".into(), events: vec![(at, words.into())], ..Service::default() }];
    let away = around(Sighting { seen: Seen::NoTask, ..waiting(2) }, running(3, Answer::Slave, "running"));
    let scene = || Cluster::default().then(Ok(away.clone())).saying(said.clone());
    let goes_on = event_with("cluster-ready-slot-update", &[("RollWhenDegraded", json!("yes"))]);
    let (refused, took) = answer(&scene(), &goes_on).await;
    assert!(reason(&refused).contains(words), "{refused}");
    assert!((600..620).contains(&took.as_secs()), "{took:?}");
    let (ready, _) = answer(&scene().during(Ok(Operation::RollBack)), &goes_on).await;
    assert_eq!(data(&ready)["Nodes"], "core-2");
}

/// `RollWhenDegraded` is set back: no slot changes, and none is waited for.
#[tokio::test(start_paused = true)]
async fn an_update_that_replaces_no_task_waits_for_nothing() {
    let mut update = event_with("cluster-ready-slot-update", &[("RollWhenDegraded", json!("yes"))]);
    update["OldResourceProperties"] = event("cluster-ready-slot-update")["ResourceProperties"].clone();
    let cluster = Cluster::default().then(Ok(degraded()));
    data(&answer(&cluster, &update).await.0);
    assert!(cluster.looks().is_empty());
    // A change of subnets replaces the task as well, although its definition stays.
    update["ResourceProperties"]["Network"] = json!("sg-1,subnet-2");
    let cluster = Cluster::default()
        .then(Ok(around(replaced(Answer::Slave, "running"), running(3, Answer::Slave, "running"))));
    data(&answer(&cluster, &update).await.0);
    assert_eq!(cluster.looks().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn tasks_that_end_again_and_again_end_the_wait_with_the_words_of_ecs() {
    let now = 1_700_000_000;
    let ended = |seconds: u64| Ended {
        definition: "arn:aws:ecs:us-east-1:000000000000:task-definition/neo4j-local-core-2:2".into(),
        at: SystemTime::UNIX_EPOCH + Duration::from_secs(now + seconds),
        reason: "Essential container in task exited; exit code 1".into(),
    };
    let said = |ended: Vec<Ended>| {
        let definition = "arn:aws:ecs:us-east-1:000000000000:task-definition/neo4j-local-core-2:2".into();
        vec![Service { name: "core-2".into(), definition, events: Vec::new(), ended }]
    };
    let starting = around(
        replaced(Answer::NotKnown(NotKnown::Refused), "starting"),
        running(3, Answer::Slave, "running"),
    );
    let cluster = Cluster::default()
        .then(Ok(starting))
        .saying(said(vec![]))
        .saying(said(vec![ended(5), ended(9)]))
        .saying(said(vec![ended(5), ended(9), ended(25)]));
    let (refused, took) = answer(&cluster, &event("cluster-ready-slot-update")).await;
    let says = "core-2 does not stay up: 3 of its tasks ended by themselves, the last one (neo4j-local-core-2:2) with: \
                Essential container in task exited; exit code 1. Its log says more; the deployment waited for this: core-2 at";
    assert!(reason(&refused).starts_with(says), "{refused}");
    assert!((20..25).contains(&took.as_secs()), "ECS is asked every ten seconds: {took:?}");
}
