//! Real faults, again and again, side by side with what people would otherwise put in front of the same nodes.
//!
//! The clock is a prober of its own (20 ms); both clients are the demo's: a new connection per write, every 50 ms, a
//! second of patience. Both write to the same cluster in the same run, one through the balancer that the Lambda works
//! on, one through HAProxy with a check every 250 ms.

use std::{
    net::{Ipv4Addr, SocketAddr},
    time::{Duration, Instant, SystemTime},
};

use serde_json::Value;

use super::{
    haproxy::Haproxy,
    series::{Fault, Play, Series},
    stall::longest_gap,
    table::{Measured, Sample},
};
use crate::{
    client::{self, User, Write, Writer},
    cloud::Cloud,
    control::{HTTP_PORT, Node, Status},
    observe,
    processes::{Processes, Signal, children, signal, signal_group},
    watch::Watch,
};

const RESTING: Duration = Duration::from_secs(240);
/// Longer than a frozen task takes to be fenced and ended: `FenceAfterSeconds`, a stop timeout of 90 s, and an election.
const MOVING: Duration = Duration::from_secs(180);
/// Writes that have to succeed in a row before a fault.
const WARM: usize = 20;
/// After the first write that succeeds, so that a loss would show.
const MORE: Duration = Duration::from_secs(1);
const CLIENTS: [&str; 2] = ["Ours", "Haproxy"];

/// Plays a series on a fresh cloud, printing one line for each fault; what was measured is in `samples` even if a later
/// one fails.
///
/// # Errors
/// The step that was not observed.
pub async fn play(cloud: &Cloud, series: &Series, samples: &mut Vec<Sample>) -> Result<(), String> {
    let begun = Instant::now();
    println!("{:?}: {} faults", series.setting, series.plays.len());
    super::form(cloud, &series.setting.overrides()).await?;
    for (number, play) in series.plays.iter().enumerate() {
        cloud.gateway.elb.set_propagation(play.propagation);
        let measured = once(cloud, *play).await?;
        println!("[{:>4} s] {:>2} {:?}: {measured}", begun.elapsed().as_secs(), number + 1, play.fault);
        samples.push(Sample { setting: series.setting, play: *play, measured });
    }
    Ok(())
}

async fn once(cloud: &Cloud, play: Play) -> Result<Measured, String> {
    let before = observe::at_rest(cloud, RESTING + play.propagation * 2).await?;
    forget_faults(cloud).await?;
    let victim = victim(&before, play.fault)?;
    let nodes: Vec<Ipv4Addr> = before.nodes.iter().map(|node| node.address).collect();
    let haproxy =
        Haproxy::start(&cloud.layout, &Processes::new(cloud.layout.journal()), cloud.endpoint.ip(), &nodes)
            .await?;
    let endpoint = observe::write_endpoint(&before, HTTP_PORT).ok_or("no listener")?;
    let login = cloud.login(User::Writer).await?;
    let clients = [
        Writer::start(endpoint, login.clone(), CLIENTS[0]),
        Writer::start(haproxy.endpoint, login, CLIENTS[1]),
    ];
    let both_wrote = async |what: &str, since: Instant, writes: usize, within: Duration| {
        let wrote = || async {
            clients.iter().all(|client| client.acknowledged_since(since) >= writes).then_some(())
        };
        observe::until(within, wrote).await.ok_or_else(|| format!("not observed within {within:?}: {what}"))
    };
    both_wrote("writes before the fault", Instant::now(), WARM, MOVING).await?;
    let others = nodes.iter().copied().filter(|node| *node != victim.address).collect();
    let watch = Watch::start(others, cloud, HTTP_PORT);

    let (at, wall) = (Instant::now(), SystemTime::now());
    strike(victim, play.fault);
    if let Some(freeze) = play.thaw_after {
        tokio::time::sleep(freeze).await;
        thaw(victim);
    }
    let elected = if play.fault == Fault::FreezeSlave {
        over(cloud, victim, play).await?;
        None
    } else if play.thaw_after.is_some() {
        // The one that was thawed may be the master again.
        watch.seen().elected.into_values().min()
    } else {
        let seen = || async { watch.seen().elected.into_values().min() };
        Some(observe::until(MOVING, seen).await.ok_or("not observed: a new master")?)
    };
    let since = if play.fault == Fault::FreezeSlave { Instant::now() } else { at };
    both_wrote("writes after the fault", since, 1, MOVING + play.propagation * 2).await?;
    tokio::time::sleep(MORE).await;
    let [ours, theirs] = clients;
    let writes = [ours.stop().await, theirs.stop().await];
    drop(watch.stop());
    haproxy.stop().await;

    let first_call = first_deregistration(cloud, wall);
    // A call that came before the prober's next look was made at once.
    let reaction = elected.zip(first_call).map(|(elected, call)| {
        let elected = wall + elected.saturating_duration_since(at);
        millis(call.duration_since(elected).unwrap_or_default())
    });
    let outage = |writes: &[Write]| match play.fault {
        Fault::FreezeSlave => longest_gap(writes, at),
        _ => client::outage(writes, at).map(|(from, to)| to.saturating_duration_since(from)),
    };
    let outages: Vec<Duration> = writes.iter().filter_map(|writes| outage(writes)).collect();
    let [ours, theirs] = outages[..] else { return Err("the outage cannot be measured".into()) };
    Ok(Measured {
        elected: elected.map(|elected| millis(elected.saturating_duration_since(at))),
        reaction,
        outage: millis(ours),
        outage_haproxy: millis(theirs),
        lost: lost(cloud, &writes).await?,
        acknowledged: writes.iter().flatten().filter(|write| write.acknowledged.is_some()).count(),
    })
}

/// Switches of the last five minutes raise the confirmations that a new master needs, and a fence holds off the next one.
/// Repetitions follow each other faster than masters die in life, so what is remembered of them is taken out of the election's
/// state while it is at rest.
async fn forget_faults(cloud: &Cloud) -> Result<(), String> {
    let emulator = &cloud.gateway.emulator;
    let function = cloud.stack.function("master-election");
    let environment = emulator.function_environment(&function).await.map_err(|error| error.to_string())?;
    let text = |name: &str| environment[name].as_str().ok_or_else(|| format!("{function} has no {name}"));
    let object = format!("{}/master-election/state.json", text("STATE_BUCKET")?);
    let state = emulator.get_object(&object).await.map_err(|error| error.to_string())?;
    let mut state: Value = serde_json::from_slice(&state).map_err(|error| format!("{object}: {error}"))?;
    let switches =
        state["switches"].as_array_mut().ok_or_else(|| format!("{object} has no list of switches"))?;
    switches.clear();
    state["fence"] = Value::Null;
    emulator.put_object(&object, state.to_string().into()).await.map_err(|error| error.to_string())
}

/// The master, or the slave that commits are pushed to: the one with the lowest server id.
fn victim(status: &Status, fault: Fault) -> Result<&Node, String> {
    let role = if fault == Fault::FreezeSlave { "slave" } else { "master" };
    status.nodes.iter().find(|node| node.role == role).ok_or_else(|| format!("there is no {role}"))
}

fn strike(victim: &Node, fault: Fault) {
    match fault {
        Fault::Kill => signal_group(victim.pid, Signal::KILL),
        Fault::FreezeTask => signal_group(victim.pid, Signal::STOP),
        Fault::FreezeJvm | Fault::FreezeSlave => {
            children(victim.pid).into_iter().for_each(|jvm| signal(jvm, Signal::STOP));
        }
    }
}

fn thaw(victim: &Node) {
    children(victim.pid).into_iter().for_each(|jvm| signal(jvm, Signal::CONT));
}

/// Waits until the freeze of a slave is over: it was thawed, or its watchdog has ended it.
async fn over(cloud: &Cloud, victim: &Node, play: Play) -> Result<(), String> {
    if play.thaw_after.is_some() {
        return Ok(());
    }
    let ended = || async {
        let tasks = cloud.tasks();
        tasks.iter().any(|task| task.id() == victim.task && task.stopped.is_some()).then_some(())
    };
    observe::until(MOVING, ended).await.ok_or_else(|| "the watchdog did not end the frozen slave".into())
}

fn first_deregistration(cloud: &Cloud, since: SystemTime) -> Option<SystemTime> {
    let calls = cloud.gateway.calls.of("elasticloadbalancing", &["DeregisterTargets"]);
    calls.iter().map(|call| call.at).filter(|call| *call >= since).min()
}

/// How many acknowledged writes are not on the master; all are forgotten afterwards.
async fn lost(cloud: &Cloud, writes: &[Vec<Write>; 2]) -> Result<usize, String> {
    let reader = cloud.login(User::Reader).await?;
    let master = || async { observe::master(&cloud.status().await) };
    let (_, master, _) = observe::until(MOVING, master).await.ok_or("there is no master at the end")?;
    let node = SocketAddr::from((master, HTTP_PORT));
    let mut lost = 0;
    for (client, writes) in CLIENTS.iter().zip(writes) {
        lost += client::lost(writes, &client::stored(node, &reader, client).await?).len();
    }
    client::forget(node, &cloud.login(User::Writer).await?).await?;
    Ok(lost)
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
