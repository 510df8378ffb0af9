//! Real fail-overs, again and again, side by side with what people would otherwise put in front of the same nodes.
//!
//! The clock is a prober of its own (20 ms); both clients are the demo's: a new connection per write, every 50 ms, a
//! second of patience. Both write to the same cluster in the same run, one through the balancer that the Lambda works
//! on, one through HAProxy with a check every 250 ms.

mod figures;
mod haproxy;

use std::{
    net::{Ipv4Addr, SocketAddr},
    time::{Duration, Instant, SystemTime},
};

pub use figures::Figures;
use haproxy::Haproxy;

use crate::{
    cloud::Cloud,
    control::{self, HTTP_PORT},
    demo::{self, Watch, Writer},
    deploy,
    processes::{Processes, Signal, children, signal, signal_group},
};

/// A standby is armed as soon as it rings after a return: repetitions follow each other faster.
const OVERRIDES: [(&str, &str); 1] = [("StandbyRearmSeconds", "3")];
const RESTING: Duration = Duration::from_secs(240);
const MOVING: Duration = Duration::from_secs(120);
/// Writes that have to succeed in a row before a fault.
const WARM: usize = 20;

/// How the master is taken away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// SIGKILL of the whole task.
    Kill,
    /// SIGSTOP of the JVM; its watchdog ends it ten seconds later.
    Freeze,
}

/// One fail-over, in milliseconds after the fault.
#[derive(Clone, Debug)]
pub struct Failover {
    /// What was done.
    pub fault: Fault,
    /// A survivor said that it is the master.
    pub elected: u64,
    /// From that moment to the first deregistration at the gateway; none when the balancer's cut came before it was
    /// seen.
    pub reaction: Option<u64>,
    /// Without an acknowledged write, through the balancer.
    pub outage: u64,
    /// The same through HAProxy.
    pub outage_haproxy: u64,
    /// Acknowledged writes of both clients that are not there.
    pub lost: usize,
    /// Acknowledged writes of both clients.
    pub acknowledged: usize,
}

/// Plays `each` kills and `each` freezes, printing one line each, and the figures at the end.
///
/// # Errors
/// The step that was not observed.
pub async fn run(cloud: &Cloud, each: usize, propagation: Duration) -> Result<(), String> {
    let begun = Instant::now();
    deploy::build(&cloud.layout, cloud.endpoint).await.map_err(|error| error.to_string())?;
    deploy::deploy(&cloud.layout, cloud.endpoint, &OVERRIDES).await.map_err(|error| error.to_string())?;
    demo::form(cloud).await?;
    let mut done = Vec::new();
    for number in 0..each * 2 {
        let fault = if number % 2 == 0 { Fault::Kill } else { Fault::Freeze };
        let failover = once(cloud, fault, propagation).await?;
        println!(
            "[{:>4} s] {:>2} {fault:?}: elected {} ms, reaction {} ms, outage {} ms, through HAProxy {} ms, lost {}",
            begun.elapsed().as_secs(),
            number + 1,
            failover.elected,
            failover.reaction.map_or_else(|| "-".to_owned(), |ms| ms.to_string()),
            failover.outage,
            failover.outage_haproxy,
            failover.lost
        );
        done.push(failover);
    }
    println!("\n{}", figures::table(&done, propagation));
    Ok(())
}

async fn once(cloud: &Cloud, fault: Fault, propagation: Duration) -> Result<Failover, String> {
    let before = demo::at_rest(cloud, RESTING + propagation).await?;
    let old = demo::master(&before).ok_or("there is no master")?;
    let nodes: Vec<Ipv4Addr> = before.nodes.iter().map(|node| node.address).collect();
    let processes = Processes::new(cloud.layout.journal());
    let haproxy = Haproxy::start(&cloud.layout, &processes, cloud.endpoint.ip(), &nodes).await?;
    let endpoint = demo::write_endpoint(&before, HTTP_PORT).ok_or("no listener")?;
    let clients = [Writer::start(endpoint, "Ours"), Writer::start(haproxy.endpoint, "Haproxy")];
    let started = Instant::now();
    seen("writes before the fault", MOVING, || async {
        clients.iter().all(|client| client.acknowledged_since(started) >= WARM).then_some(())
    })
    .await?;
    let others = nodes.iter().copied().filter(|node| *node != old.1).collect();
    let watch = Watch::start(others, cloud.gateway.elb.clone(), HTTP_PORT);

    let (at, wall) = (Instant::now(), SystemTime::now());
    match fault {
        Fault::Kill => signal_group(old.2, Signal::KILL),
        Fault::Freeze => children(old.2).into_iter().for_each(|jvm| signal(jvm, Signal::STOP)),
    }
    let new = seen("a new master", MOVING, || async { watch.seen().elected.into_iter().next() }).await?;
    seen("writes after the fault", MOVING + propagation * 2, || async {
        clients.iter().all(|client| client.acknowledged_since(at) > 0).then_some(())
    })
    .await?;
    // Some more, so that a loss would show.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let [ours, haproxy_client] = clients;
    let (ours, through_haproxy) = (ours.stop().await, haproxy_client.stop().await);
    drop(watch.stop());
    haproxy.stop().await;

    let elected_wall = wall + new.1.saturating_duration_since(at);
    let calls = cloud.gateway.calls.of("elasticloadbalancing", &["DeregisterTargets"]);
    let first = calls.iter().map(|call| call.at).filter(|call| *call >= wall).min();
    let reaction = first.and_then(|call| call.duration_since(elected_wall).ok()).map(millis);
    let outage = |writes: &[demo::Write]| {
        let (from, to) = demo::outage(writes, at).ok_or("the outage cannot be measured")?;
        Ok::<u64, String>(millis(to.saturating_duration_since(from)))
    };
    let status = control::status(&cloud.gateway).await;
    let master = demo::master(&status).map_or(new.0, |(_, address, _)| address);
    let node = SocketAddr::from((master, HTTP_PORT));
    let lost = demo::lost(&ours, &demo::stored(node, "Ours").await?).len()
        + demo::lost(&through_haproxy, &demo::stored(node, "Haproxy").await?).len();
    demo::forget(node).await?;
    let acknowledged =
        ours.iter().chain(&through_haproxy).filter(|write| write.acknowledged.is_some()).count();
    Ok(Failover {
        fault,
        elected: millis(new.1.saturating_duration_since(at)),
        reaction,
        outage: outage(&ours)?,
        outage_haproxy: outage(&through_haproxy)?,
        lost,
        acknowledged,
    })
}

async fn seen<T, F: Future<Output = Option<T>>>(
    what: &str,
    within: Duration,
    ask: impl Fn() -> F,
) -> Result<T, String> {
    demo::until(within, ask).await.ok_or_else(|| format!("not observed within {within:?}: {what}"))
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
