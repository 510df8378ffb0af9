//! Frozen processes, and what people ask of the function.

use std::time::{Instant, SystemTime};

use local::{
    bench::longest_gap,
    client::{User, Writer},
    control::HTTP_PORT,
    observe,
    processes::{Signal, children, signal, signal_group},
};

use end_to_end::stage::{
    HISTORY, Outcome, Stage, ask, elb_writes,
    expect::{ended, moved_on, new_master, no_node_fenced, not_replaced, rejoined, task_of},
    invoke, master, rest,
    usable::Sampler,
    wait,
};

use crate::processes::cold_restart;

const EXPLAIN: &[u8] = include_bytes!("../../../events/explain.json");
const PAUSE: &[u8] = include_bytes!("../../../events/pause.json");
const RESUME: &[u8] = include_bytes!("../../../events/resume.json");

/// The JVM of the master is stopped, its node program is not: the watchdog ends it, no AWS needed.
pub fn jvm_of_the_master(stage: &Stage) -> Outcome {
    stage.play(async |cloud| {
        let before = rest(cloud).await?;
        let old = master(&before)?;
        let task = task_of(cloud, &old.0)?;
        children(old.2).into_iter().for_each(|jvm| signal(jvm, Signal::STOP));
        let end = ended(cloud, &task).await?;
        if end.code != "EssentialContainerExited" || end.exit != Some(1) {
            return Err(format!("the watchdog should have ended the task: {end:?}"));
        }
        moved_on(cloud, &old).await
    })
}

/// The settings that are shipped: the survivors elect while the old master is still frozen, and when it wakes up it is a
/// slave. No task is stopped.
pub fn survivors_elect(stage: &Stage) -> Outcome {
    stage.play(async |cloud| {
        let old = master(&rest(cloud).await?)?;
        let (task, since) = (task_of(cloud, &old.0)?, SystemTime::now());
        let sampler = Sampler::start(cloud);
        signal_group(old.2, Signal::STOP);
        let elected = new_master(cloud, old.1).await;
        let stopped = no_node_fenced(cloud, since);
        signal_group(old.2, Signal::CONT);
        elected?;
        stopped?;
        rejoined(cloud, old.1).await?;
        rest(cloud).await?;
        sampler.end()?;
        no_node_fenced(cloud, since)?;
        not_replaced(cloud, &old.0, &task)
    })
}

/// The whole task of the master is stopped, its watchdog too: the function has the task stopped.
pub fn whole_task_of_the_master(stage: &Stage) -> Outcome {
    stage.play(async |cloud| {
        let before = rest(cloud).await?;
        let old = master(&before)?;
        let task = task_of(cloud, &old.0)?;
        let sampler = Sampler::start(cloud);
        signal_group(old.2, Signal::STOP);
        let end = wait("the function fenced the frozen task", || async {
            let _looks = invoke(cloud).await;
            cloud.tasks().into_iter().find(|other| other.arn == task)?.stopped
        })
        .await?;
        if end.code != "UserInitiated" || !end.reason.starts_with("master-election: ") {
            return Err(format!("not a fence of the function: {end:?}"));
        }
        let history = ask(cloud, HISTORY).await?;
        if !history["history"].to_string().contains(&format!("fenced {}", old.0)) {
            return Err(format!("the fence is not in the history: {history}"));
        }
        moved_on(cloud, &old).await?;
        sampler.end()
    })
}

/// A frozen slave stalls the master's commits: its own watchdog ends it. Commits are pushed to the slave with the lowest id,
/// so that is the one; `make bench-failover` has the figures, without the watchdog too.
pub fn jvm_of_a_slave(stage: &Stage) -> Outcome {
    stage.play(async |cloud| {
        let before = rest(cloud).await?;
        let slave = before.nodes.iter().find(|node| node.role == "slave").ok_or("there is no slave")?;
        let task = task_of(cloud, &slave.service)?;
        let endpoint = observe::write_endpoint(&before, HTTP_PORT).ok_or("no listener")?;
        let writer = Writer::start(endpoint, cloud.login(User::Writer).await?, "Stalled");
        let started = Instant::now();
        let acknowledged = async |since| {
            wait("a write is acknowledged", || async { (writer.acknowledged_since(since) > 0).then_some(()) })
                .await
        };
        acknowledged(started).await?;
        let frozen = Instant::now();
        children(slave.pid).into_iter().for_each(|jvm| signal(jvm, Signal::STOP));
        let end = ended(cloud, &task).await?;
        acknowledged(Instant::now()).await?;
        let stall = longest_gap(&writer.stop().await, frozen).unwrap_or_default();
        println!("writes stalled for {} ms beside a frozen slave that its watchdog ended", stall.as_millis());
        if end.exit != Some(1) {
            return Err(format!("the watchdog should have ended the task: {end:?}"));
        }
        let (name, ..) = master(&before)?;
        let after = rest(cloud).await?;
        if master(&after)?.0 == name { Ok(()) } else { Err("the death of a slave moved the master".into()) }
    })
}

/// While paused nothing is called; explain changes nothing.
pub fn paused_and_explained(stage: &Stage) -> Outcome {
    stage.play(async |cloud| {
        rest(cloud).await?;
        let explained = ask(cloud, EXPLAIN).await?;
        if explained["verdict"].as_str().is_none_or(|verdict| !verdict.starts_with("Steady")) {
            return Err(format!("explain says {explained}"));
        }
        let calls = elb_writes(cloud).len();
        ask(cloud, PAUSE).await?;
        let swept = invoke(cloud).await?;
        let resumed = ask(cloud, RESUME).await?;
        if swept["verdict"] != "Paused" || elb_writes(cloud).len() != calls {
            return Err(format!("not paused: {swept}"));
        }
        if !resumed["pause"].is_null() || invoke(cloud).await?["verdict"] == "Paused" {
            return Err(format!("still paused after {resumed}"));
        }
        Ok(())
    })
}

/// Two of three nodes die uncleanly: no quorum, and no node is registered. Members that return to a cluster without a
/// quorum do not come up, so the last one goes too, and a cold restart of all forms one cluster.
pub fn two_nodes_gone(stage: &Stage) -> Outcome {
    stage.play(async |cloud| {
        let before = rest(cloud).await?;
        let calls = elb_writes(cloud).len();
        before.nodes.iter().take(2).for_each(|node| signal_group(node.pid, Signal::KILL));
        let verdict = invoke(cloud).await?["verdict"].clone();
        let since: Vec<_> = elb_writes(cloud).split_off(calls);
        if since.iter().any(|(action, _)| action == "RegisterTargets") {
            return Err(format!(
                "{verdict}: a node was registered although no node can be elected: {since:?}"
            ));
        }
        cold_restart(cloud, &before).await
    })
}
