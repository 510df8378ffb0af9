//! Causal clustering: the leader is the master, and Raft needs no fence.

use std::{net::Ipv4Addr, time::SystemTime};

use local::{
    cloud::Cloud,
    processes::{Signal, signal_group},
};

use end_to_end::stage::{
    Outcome, Stage,
    expect::{followed, new_master, no_node_fenced},
    master, rest, wait, write,
};

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
        moves_on(cloud, old.1).await?;
        rest(cloud).await.map(drop)
    })
}

/// The function leaves the frozen task alone, and when it is thawed, it is a follower.
pub fn frozen(stage: &Stage) -> Outcome {
    stage.play(async |cloud| {
        let old = master(&rest(cloud).await?)?;
        let since = SystemTime::now();
        signal_group(old.2, Signal::STOP);
        let moved = moves_on(cloud, old.1).await;
        signal_group(old.2, Signal::CONT);
        moved?;
        no_node_fenced(cloud, since)?;
        rest(cloud).await.map(drop)
    })
}

async fn moves_on(cloud: &Cloud, old: Ipv4Addr) -> Outcome {
    let new = new_master(cloud, old).await?;
    followed(cloud, old, new).await?;
    wait("writes through the balancer", || async { write(cloud, 2).await.ok() }).await
}
