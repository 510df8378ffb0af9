//! Causal clustering: the leader is the master, and Raft needs no fence.

use std::{net::Ipv4Addr, time::SystemTime};

use local::{
    cloud::Cloud,
    demo,
    processes::{Signal, signal_group},
};

use super::{Outcome, Stage, election::new_master, invoke, master, rest, status, wait, write};

pub fn forms_and_rests(stage: &Stage) -> Outcome {
    stage.play(async |cloud| {
        rest(cloud).await?;
        wait("writes through the balancer", || async { write(cloud, 1).await.ok() }).await
    })
}

pub fn killed(stage: &Stage) -> Outcome {
    stage.play(async |cloud| {
        let old = master(&rest(cloud).await?)?;
        signal_group(old.2, Signal::KILL);
        let new = new_master(cloud, old.1).await?;
        followed(cloud, old.1, new).await?;
        rest(cloud).await.map(drop)
    })
}

/// The function leaves the frozen task alone, and when it is thawed, it is a follower.
pub fn frozen(stage: &Stage) -> Outcome {
    stage.play(async |cloud| {
        let old = master(&rest(cloud).await?)?;
        let since = SystemTime::now();
        signal_group(old.2, Signal::STOP);
        let moved = async {
            let new = new_master(cloud, old.1).await?;
            followed(cloud, old.1, new).await
        };
        let moved = moved.await;
        signal_group(old.2, Signal::CONT);
        moved?;
        let stopped = cloud.gateway.calls.of("ecs", &["StopTask"]);
        if stopped.iter().any(|call| call.at >= since) {
            return Err("a frozen leader was fenced, and nobody had asked for that".into());
        }
        rest(cloud).await.map(drop)
    })
}

async fn followed(cloud: &Cloud, old: Ipv4Addr, new: Ipv4Addr) -> Outcome {
    wait("the write groups follow the new leader", || async {
        invoke(cloud).await.ok()?;
        let groups = demo::registered(&status(cloud).await.balancers);
        groups.iter().all(|targets| targets.contains(&new) && !targets.contains(&old)).then_some(())
    })
    .await?;
    wait("writes through the balancer", || async { write(cloud, 2).await.ok() }).await
}
