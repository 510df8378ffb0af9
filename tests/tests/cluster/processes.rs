//! Faults of processes: what a container engine and ECS make of them.

use std::net::Ipv4Addr;

use local::{
    cloud::Cloud,
    control::Status,
    ecs::Task,
    observe,
    processes::{Signal, children, signal, signal_group},
};

use end_to_end::stage::{Outcome, Stage, expect::ended, master, rest, status, wait};

pub fn dead_jvm(stage: &Stage) -> Outcome {
    stage.play(async |cloud| {
        let slave = a_slave(cloud).await?;
        let jvm = children(slave.pid);
        let [jvm] = jvm[..] else {
            return Err(format!("one JVM expected below the node program, found {jvm:?}"));
        };
        signal(jvm, Signal::KILL);
        let end = ended(cloud, &slave.arn).await?;
        if end.code != "EssentialContainerExited"
            || end.exit == Some(0)
            || end.exit.is_none_or(|code| code > 128)
        {
            return Err(format!("the node program should have exited by itself with a failure: {end:?}"));
        }
        comes_back(cloud, &slave).await
    })
}

pub fn stopped(stage: &Stage) -> Outcome {
    stage.play(async |cloud| {
        let slave = a_slave(cloud).await?;
        cloud.gateway.ecs.stop(&slave.arn, "asked by a test", "UserInitiated");
        let end = ended(cloud, &slave.arn).await?;
        if end.exit != Some(0) || end.reason != "asked by a test" {
            return Err(format!("Neo4j was not stopped cleanly: {end:?}"));
        }
        comes_back(cloud, &slave).await
    })
}

/// All nodes that are left are killed at once: they find each other at new addresses and form one cluster.
pub async fn cold_restart(cloud: &Cloud, before: &Status) -> Outcome {
    let old: Vec<Ipv4Addr> = before.nodes.iter().map(|node| node.address).collect();
    status(cloud).await.nodes.iter().for_each(|node| signal_group(node.pid, Signal::KILL));
    let after = wait("three new nodes in one cluster", || async {
        let now = status(cloud).await;
        let all_new = now.nodes.iter().all(|node| !old.contains(&node.address));
        (all_new && observe::formed(&now, observe::CORE_SIZE)).then_some(now)
    })
    .await?;
    master(&after)?;
    rest(cloud).await.map(drop)
}

async fn a_slave(cloud: &Cloud) -> Result<Task, String> {
    let before = rest(cloud).await?;
    let node = before.nodes.iter().find(|node| node.role == "slave").ok_or("there is no slave")?;
    let tasks = cloud.tasks();
    tasks.into_iter().find(|task| task.id() == node.task).ok_or_else(|| "its task is unknown".into())
}

async fn comes_back(cloud: &Cloud, gone: &Task) -> Outcome {
    wait("a new task of the slot, as a slave", || async {
        let now = status(cloud).await;
        let back = now.nodes.iter().find(|node| node.service == gone.service)?;
        (back.task != gone.id() && back.role == "slave").then_some(())
    })
    .await
}
