//! A frozen master that wakes up again: at no moment could a client use two.

use std::{
    collections::BTreeSet,
    fs,
    net::Ipv4Addr,
    time::{Duration, Instant, SystemTime},
};

use local::{
    cloud::Cloud,
    control::{Node, Status},
    observe,
    processes::{Signal, signal_group},
};

use crate::processes::cold_restart;

use end_to_end::stage::{
    Outcome, Stage,
    expect::{ended, moved_on, no_node_fenced, not_replaced, task_of},
    invoke, master, rest, status,
    usable::Sampler,
    wait,
};

/// Longer than the heartbeat timeout of four seconds, so that the survivors notice; shorter than `FenceAfterSeconds`, 12.
const SHORT: Duration = Duration::from_secs(9);

/// Far longer than an election takes.
const ELECTING: Duration = Duration::from_secs(60);
const ELECTED: &str = "was elected as coordinator";
const LEFT: &str = "has left the cluster";

/// The whole task of the master freezes, and wakes up before any node is fenced. With line 0 the survivors may have elected
/// meanwhile; without it they have waited. Either way there is one master afterwards and no task was stopped.
pub fn before_the_fence(stage: &Stage) -> Outcome {
    stage.play(async |cloud| {
        let old = master(&rest(cloud).await?)?;
        let (task, since) = (task_of(cloud, &old.0)?, SystemTime::now());
        let sampler = Sampler::start(cloud);
        signal_group(old.2, Signal::STOP);
        // The function looks all the time, and is tempted.
        let freeze = async {
            tokio::time::sleep(SHORT).await;
            signal_group(old.2, Signal::CONT);
        };
        let (looked, ()) = tokio::join!(invoke(cloud), freeze);
        looked?;
        rest(cloud).await?;
        sampler.end()?;
        no_node_fenced(cloud, since)?;
        not_replaced(cloud, &old.0, &task)
    })
}

/// The whole task of the master freezes and is fenced; it wakes up while ECS waits for it to stop.
pub fn after_the_fence(stage: &Stage) -> Outcome {
    stage.play(async |cloud| {
        let before = rest(cloud).await?;
        let old = master(&before)?;
        let (task, since) = (task_of(cloud, &old.0)?, SystemTime::now());
        let sampler = Sampler::start(cloud);
        signal_group(old.2, Signal::STOP);
        let fenced = wait("the function fences the frozen task", || async {
            let stops = cloud.gateway.calls.of("ecs", &["StopTask"]);
            if stops.iter().any(|call| call.at >= since) {
                return Some(Instant::now());
            }
            // The invocation lasts as long as the silence is looked at, and this one ends with the fence at the latest.
            tokio::select! {
                _looked = invoke(cloud) => None,
                () = tokio::time::sleep(Duration::from_secs(1)) => None,
            }
        })
        .await;
        signal_group(old.2, Signal::CONT);
        let fenced = fenced?;
        let end = ended(cloud, &task).await?;
        if end.code != "UserInitiated" || !end.reason.starts_with("master-election: ") {
            return Err(format!("not a fence of the function: {end:?}"));
        }
        elected(cloud, &before, old.1).await?;
        moved_on(cloud, &old).await?;
        if sampler.was_usable(old.1, fenced) {
            return Err(format!("a client could use {} after it was fenced", old.0));
        }
        sampler.end()
    })
}

/// Waits for another master than the one at `old`. Neo4j 3.4.6 has a race: survivors may elect a member that has left a moment before, and
/// then none becomes the master, for ever. No fence and no target group helps there, and what this test shows holds all the same: so
/// the nodes are restarted, as the runbook of `no-master` says, if their own logs show that it is this race and nothing else.
async fn elected(cloud: &Cloud, before: &Status, old: Ipv4Addr) -> Outcome {
    let other = || async { observe::master(&status(cloud).await).filter(|(_, address, _)| *address != old) };
    if observe::until(ELECTING, other).await.is_some() {
        return Ok(());
    }
    let survivors: Vec<&Node> = before.nodes.iter().filter(|node| node.address != old).collect();
    for node in survivors {
        let log = cloud.layout.run.join("logs").join(format!("{}-{}.log", node.service, node.task));
        let text = fs::read_to_string(&log).map_err(|error| format!("{}: {error}", log.display()))?;
        if !elected_one_that_left(&text) {
            return Err(format!("no master within {ELECTING:?}, and {} shows no reason", log.display()));
        }
    }
    println!("Neo4j elected the member that had left: all nodes are restarted");
    cold_restart(cloud, before).await
}

/// Whether the last election that a node's log tells of was of a member that had left.
fn elected_one_that_left(log: &str) -> bool {
    let (mut left, mut is_last_of_one_that_left) = (BTreeSet::new(), false);
    for line in log.lines() {
        let Some((_, rest)) = line.split_once("Instance ") else { continue };
        let instance = rest.split(' ').next();
        if line.contains(LEFT) {
            left.insert(instance);
        } else if line.contains(ELECTED) {
            is_last_of_one_that_left = left.contains(&instance);
        }
    }
    is_last_of_one_that_left
}
