//! A host whose container agent is dead: ECS accepts a stop, the task leaves the listing, and nothing dies.

use std::{
    fs,
    time::{Duration, SystemTime},
};

use local::{
    cloud::Cloud,
    ecs::Task,
    observe,
    processes::{Signal, signal_group},
};

use end_to_end::stage::{
    HISTORY, Outcome, Stage, ask,
    expect::{ended, moved_on, task_of},
    invoke, master, rest,
    usable::Sampler,
    wait,
};

/// `FenceVerifySeconds` of the suite.
const VERIFY: Duration = Duration::from_secs(90);
/// Ten seconds from one call to the next, as the function counts them; the gateway sees them a little later or earlier.
const SOONEST: Duration = Duration::from_secs(9);
/// In [`VERIFY`] there is time for nine, and the gap between two invocations may cost some of them.
const FEWEST_CALLS: usize = 5;
const EVERY: Duration = Duration::from_millis(200);

/// The master's whole task is frozen, and the agent beside it is dead, so that the fence has no effect. The function asks again
/// and again, says what an operator has to do, and fences no second node meanwhile. Then the operator does it.
pub fn ignores_stop_task(stage: &Stage) -> Outcome {
    stage.play(async |cloud| {
        let old = master(&rest(cloud).await?)?;
        let (task, since) = (task_of(cloud, &old.0)?, SystemTime::now());
        let sampler = Sampler::start(cloud);
        cloud.gateway.ecs.kill_agent(&old.0);
        signal_group(old.2, Signal::STOP);
        let shown = tokio::select! {
            shown = fence_fails(cloud, &task, since) => shown,
            broken = nothing_else_happens(cloud, &task) => broken,
        };
        // Whatever was seen: the next test needs the slot, and an agent that hears.
        cloud.gateway.ecs.terminate_instance(&old.0);
        shown?;
        let end = ended(cloud, &task).await?;
        if !end.reason.ends_with("terminated.") {
            return Err(format!("the task did not end with its instance: {end:?}"));
        }
        moved_on(cloud, &old).await?;
        let worked = format!("the fence of {} has worked", old.0);
        wait("the function reports that the fence has worked", || async {
            let _looks = invoke(cloud).await;
            let history = ask(cloud, HISTORY).await.ok()?;
            history["history"].to_string().contains(&worked).then_some(())
        })
        .await?;
        sampler.end()
    })
}

/// The call is accepted, it is made again about every ten seconds, and then the log names the next command.
async fn fence_fails(cloud: &Cloud, arn: &str, since: SystemTime) -> Outcome {
    let accepted = wait("ECS is asked to stop the frozen task", || async {
        let _looks = invoke(cloud).await;
        Some(known(cloud, arn)?).filter(|task| task.stopping.is_some())
    })
    .await?;
    if (accepted.last_status(), accepted.desired_status()) != ("RUNNING", "STOPPED") {
        return Err(format!("the agent is not dead, nothing is shown: {accepted:?}"));
    }
    let function = cloud.stack.function("master-election");
    let said = wait("the function reports that the fence has failed", || async {
        let _looks = invoke(cloud).await;
        let lines = cloud.function_logs(&function, since).await;
        let line = lines.into_iter().find(|line| line["event"] == "fence-failed")?;
        line["message"].as_str().map(str::to_owned)
    })
    .await?;
    let calls = cloud.gateway.calls.of("ecs", &["StopTask"]);
    let asked: Vec<SystemTime> = calls.iter().map(|call| call.at).filter(|at| *at >= since).collect();
    let after = |from: SystemTime, to: SystemTime| to.duration_since(from).unwrap_or_default();
    let first = *asked.first().ok_or("no StopTask was called, and yet the task should stop")?;
    if after(first, SystemTime::now()) < VERIFY {
        return Err(format!("reported as failed before it had its time: {said}"));
    }
    let (in_time, gaps) = (
        asked.iter().filter(|at| after(first, **at) < VERIFY).count(),
        asked.windows(2).map(|two| after(two[0], two[1])).collect::<Vec<_>>(),
    );
    println!("StopTask was called {in_time} times in {VERIFY:?}, after {gaps:?}; then: {said}");
    if in_time < FEWEST_CALLS || gaps.iter().any(|gap| *gap < SOONEST) {
        return Err(format!(
            "StopTask is to be called about every ten seconds, not {in_time} times, after {gaps:?}"
        ));
    }
    // The sentence is all that an operator has at night.
    if said.contains("terminate the instance") && said.contains(arn) {
        return Ok(());
    }
    Err(format!("the sentence does not name the next command and the task: {said}"))
}

/// Ends only with what must not happen: a write group without a target, a second task that is asked to stop, a frozen process
/// that dies after all.
async fn nothing_else_happens(cloud: &Cloud, arn: &str) -> Outcome {
    loop {
        let groups = observe::registered(&cloud.balancers());
        if groups.iter().any(Vec::is_empty) {
            return Err(format!("a write group was emptied: {groups:?}"));
        }
        let tasks = cloud.tasks();
        let other = |task: &&Task| task.arn != arn && task.stopping.is_some() && task.stopped.is_none();
        if let Some(other) = tasks.iter().find(other) {
            return Err(format!("{} was fenced too: {:?}", other.service, other.stopping));
        }
        let alive = |task: &Task| fs::exists(format!("/proc/{}", task.pid)).unwrap_or(false);
        if !tasks.iter().any(|task| task.arn == arn && task.stopped.is_none() && alive(task)) {
            return Err("the task ended although no agent was there to end it: nothing is shown".into());
        }
        tokio::time::sleep(EVERY).await;
    }
}

fn known(cloud: &Cloud, arn: &str) -> Option<Task> {
    cloud.tasks().into_iter().find(|task| task.arn == arn)
}
