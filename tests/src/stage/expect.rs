//! What several tests expect of a cluster after a fault.

use std::{
    net::Ipv4Addr,
    time::{Duration, SystemTime},
};

use local::{cloud::Cloud, ecs::Stopped, observe};

use super::{Outcome, invoke, master, rest, status, wait, write};

/// Every write group comes to hold `new` and not `old`, the function being invoked all the time.
pub async fn followed(cloud: &Cloud, old: Ipv4Addr, new: Ipv4Addr) -> Outcome {
    wait("the write groups follow the new master", || async {
        invoke(cloud).await.ok()?;
        let groups = observe::registered(&status(cloud).await.balancers);
        groups.iter().all(|targets| targets.contains(&new) && !targets.contains(&old)).then_some(())
    })
    .await
}

/// A master at another address than `old`.
pub async fn new_master(cloud: &Cloud, old: Ipv4Addr) -> Result<Ipv4Addr, String> {
    wait("a new master", || async {
        let (_, address, _) = observe::master(&status(cloud).await)?;
        tokio::time::sleep(Duration::from_millis(50)).await;
        (address != old).then_some(address)
    })
    .await
}

/// A new master, the groups follow it, writes go through, and the frozen slot is back.
pub async fn moved_on(cloud: &Cloud, old: &(String, Ipv4Addr, i32)) -> Outcome {
    let after = rest(cloud).await?;
    if master(&after)?.1 == old.1 {
        return Err("the frozen master is still the master".into());
    }
    let groups = observe::registered(&after.balancers);
    if groups.iter().any(|targets| targets.contains(&old.1)) {
        return Err(format!("{} is still registered", old.1));
    }
    wait("writes through the balancer", || async { write(cloud, 29).await.ok() }).await
}

/// The node at `address` comes to be a slave.
pub async fn rejoined(cloud: &Cloud, address: Ipv4Addr) -> Outcome {
    wait("the old master is a slave", || async {
        let now = status(cloud).await;
        now.nodes.iter().any(|node| node.address == address && node.role == "slave").then_some(())
    })
    .await
}

/// The service still has the task that it had.
pub fn not_replaced(cloud: &Cloud, service: &str, task: &str) -> Outcome {
    if task_of(cloud, service)? == task { Ok(()) } else { Err(format!("{service} was replaced")) }
}

/// The task that runs of `service`.
pub fn task_of(cloud: &Cloud, service: &str) -> Result<String, String> {
    let tasks = cloud.tasks();
    let running = tasks.iter().find(|task| task.service == service && task.stopped.is_none());
    running.map(|task| task.arn.clone()).ok_or_else(|| format!("{service} has no task"))
}

/// Whether `StopTask` was not called since `since`.
pub fn no_node_fenced(cloud: &Cloud, since: SystemTime) -> Outcome {
    match cloud.gateway.calls.of("ecs", &["StopTask"]).iter().find(|call| call.at >= since) {
        None => Ok(()),
        Some(call) => Err(format!("a node was fenced, and none should have been: {call:?}")),
    }
}

/// How the task ended, once it has.
pub async fn ended(cloud: &Cloud, arn: &str) -> Result<Stopped, String> {
    wait("the task stopped", || async { cloud.tasks().into_iter().find(|task| task.arn == arn)?.stopped })
        .await
}
