//! A frozen master that wakes up again: at no moment could a client use two.

use std::time::{Duration, Instant, SystemTime};

use local::processes::{Signal, signal_group};

use end_to_end::stage::{
    Outcome, Stage,
    expect::{ended, moved_on, no_node_fenced, not_replaced, task_of},
    invoke, master, rest,
    usable::Sampler,
    wait,
};

/// Longer than the heartbeat timeout of four seconds, so that the survivors notice; shorter than `FenceAfterSeconds`, 12.
const SHORT: Duration = Duration::from_secs(9);

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
        let old = master(&rest(cloud).await?)?;
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
        moved_on(cloud, &old).await?;
        if sampler.was_usable(old.1, fenced) {
            return Err(format!("a client could use {} after it was fenced", old.0));
        }
        sampler.end()
    })
}
