//! The demo: deploy, write, kill the master, watch the writes move on. Every step is observed or the demo fails.

mod phases;
mod restore;

use std::{
    net::{Ipv4Addr, SocketAddr},
    time::{Duration, Instant, SystemTime},
};

use phases::{Phases, table};
use serde_json::{Value, json};

use crate::{
    backups,
    client::{Users, Writer, lost, outage, stored},
    cloud::Cloud,
    control::{HTTP_PORT, Status},
    deploy,
    observe::{CORE_SIZE, at_rest, form, formed, master, observed, registered, until, write_endpoint},
    processes::{Signal, signal_group},
    report,
    watch::Watch,
};

/// One sweep a minute, the balancer's checks and a look of the emulator's scheduler every ten seconds.
const SWEEPING: Duration = Duration::from_secs(150);
/// A restarted node copies what it missed and rejoins in about 10 s; a join that fails ends after 120 s.
const REJOINING: Duration = Duration::from_secs(240);
/// A node that rings has its users within seconds; the schedule is every five minutes.
const USERS: Duration = Duration::from_secs(330);
/// A copy of a small store, its check and its way to S3 take seconds each.
const BACKING_UP: Duration = Duration::from_secs(180);
/// What the demo's client calls its writes.
const CLIENT: &str = "Demo";
/// Writes that have to succeed in a row before the master is killed.
const WARM: usize = 20;

/// Runs it on a fresh cloud.
///
/// # Errors
/// One sentence that says which step was not observed.
pub async fn run(cloud: &Cloud, dialect: &str) -> Result<(), String> {
    let begun = Instant::now();
    let say = |text: &str| println!("[{:>3} s] {text}", begun.elapsed().as_secs());
    say(&format!("local cloud at http://{}", cloud.endpoint));
    say("building the functions' packages (sam build)");
    deploy::build(&cloud.layout, cloud.endpoint).await.map_err(|error| error.to_string())?;
    say("deploying the stack (sam deploy)");
    cloud.deploy(&[("Dialect", dialect)]).await.map_err(|error| error.to_string())?;

    say(&report::left_out(&cloud.status().await));
    say(&format!("waiting for three Neo4j 3.4.6 Enterprise nodes to form a cluster ({dialect})"));
    form(cloud).await?;
    say("waiting for the scheduled master-election Lambda to register them");
    let before = at_rest(cloud, SWEEPING).await?;
    print!("{}", report::status(&before));
    let users = Users::of(cloud).await?;
    users.on(&before.nodes).await?;
    say("the stack's users, reader and writer, log in on every node; the reader's writes are refused there");
    let old = master(&before).ok_or("the master was lost before anything was broken")?;

    let endpoint = write_endpoint(&before, HTTP_PORT).ok_or("the balancer has no listener for HTTP")?;
    say(&format!("a client writes every 50 ms through the balancer at {endpoint}"));
    let writer = Writer::start(endpoint, users.writer.clone(), CLIENT);
    let started = Instant::now();
    observed(
        until(Duration::from_secs(30), || async {
            (writer.acknowledged_since(started) >= WARM).then_some(())
        }),
        "no writes were acknowledged through the balancer",
    )
    .await?;
    let others = before.nodes.iter().map(|node| node.address).filter(|address| *address != old.1).collect();
    let watch = Watch::start(others, cloud, HTTP_PORT);

    say(&format!("killing the master {} at {} with SIGKILL", old.0, old.1));
    let (fault, fault_at) = (Instant::now(), SystemTime::now());
    signal_group(old.2, Signal::KILL);
    observed(
        until(SWEEPING, || async { (writer.acknowledged_since(fault) > 0).then_some(()) }),
        "no write was acknowledged after the kill",
    )
    .await?;
    say("writes are acknowledged again");

    let new = observed(
        until(SWEEPING, || async { watch.seen().elected.keys().next().copied() }),
        "no survivor became master",
    )
    .await?;
    let events = observed(
        until(SWEEPING, || async { retarget(cloud, fault_at, new).await }),
        "the Lambda wrote no retarget event for the new master",
    )
    .await?;
    let calls = cloud.gateway.calls.of("elasticloadbalancing", &["RegisterTargets", "DeregisterTargets"]);
    let calls: Vec<_> = calls.into_iter().filter(|call| call.at >= fault_at).collect();
    observed(
        until(SWEEPING, || async {
            let groups = cloud.status().await;
            registered(&groups.balancers).iter().all(|targets| targets[..] == [new]).then_some(())
        }),
        "the write groups were not cut to the new master",
    )
    .await?;
    say(&format!("the Lambda cut the write groups to the new master at {new}"));

    say(&format!("waiting for {} to come back", old.0));
    observed(
        until(REJOINING, || async {
            let status = cloud.status().await;
            let back = status.nodes.iter().any(|node| node.service == old.0 && node.role == "slave");
            (back && formed(&status, CORE_SIZE)).then_some(())
        }),
        "the killed node did not come back as a slave",
    )
    .await?;
    say("it is back, as a slave with a new address");
    lose_a_volume(cloud, &users, &cloud.status().await, say).await?;
    let backup = back_up(cloud, say).await?;
    restore::found_from(cloud, &backup, say).await?;
    say("waiting for the standbys to be registered again");
    let after = at_rest(cloud, SWEEPING).await?;
    print!("{}", report::status(&after));

    let sent = writer.stop().await;
    let seen = watch.stop();
    let (name, address, _) = master(&after).ok_or("there is no master at the end")?;
    let stored = stored(SocketAddr::from((address, HTTP_PORT)), &users.reader, CLIENT).await?;
    let lost = lost(&sent, &stored);
    let phases = Phases { fault, fault_at, new, seen, event: events, calls, outage: outage(&sent, fault) };
    println!("\n{}", table(&phases));
    let acknowledged = sent.iter().filter(|write| write.acknowledged.is_some()).count();
    println!(
        "{acknowledged} of {} writes were acknowledged; {} of those are on the master {name} now.",
        sent.len(),
        acknowledged - lost.len()
    );
    for number in &lost {
        println!("LOST: write {number} was acknowledged and is not there");
    }
    if phases.outage.is_none() {
        return Err("the outage could not be measured".into());
    }
    println!("demo done in {} s", begun.elapsed().as_secs());
    Ok(())
}

/// Ends a slave together with its volume, and waits until its replacement has a role and its users.
async fn lose_a_volume(
    cloud: &Cloud,
    users: &Users,
    before: &Status,
    say: impl Fn(&str),
) -> Result<(), String> {
    let slave = before.nodes.iter().find(|node| node.role == "slave").ok_or("there is no slave")?;
    say(&format!("{} is lost with its volume; its users are files on that volume", slave.service));
    cloud.gateway.ecs.lose(&slave.service).map_err(|error| error.to_string())?;
    let (gone, replaced) = (slave.task.clone(), slave.service.clone());
    observed(
        until(REJOINING, || async {
            let status = cloud.status().await;
            let new = status.nodes.iter().find(|node| node.service == replaced && node.task != gone)?;
            (new.role == "slave").then_some(())
        }),
        "the lost node was not replaced",
    )
    .await?;
    let blank = Instant::now();
    observed(
        until(USERS, || async {
            let status = cloud.status().await;
            users.on(&status.nodes).await.ok()
        }),
        "the replaced node did not get its users",
    )
    .await?;
    say(&format!(
        "its replacement copied the store, and had both users {} s later",
        blank.elapsed().as_secs()
    ));
    Ok(())
}

/// Asks for a backup, and waits until there is one; its folder.
async fn back_up(cloud: &Cloud, say: impl Fn(&str)) -> Result<String, String> {
    let (known, begun) = (backups::folders(cloud).await?, Instant::now());
    let asked = backups::ask(cloud, &json!({"tier": "manual"})).await?;
    say(&format!(
        "a backup is asked for while the client writes: {}",
        asked["sentence"].as_str().unwrap_or_default()
    ));
    let backup = backups::made(cloud, &known, BACKING_UP).await?;
    let word = |name: &str| backup[name].as_str().unwrap_or("unknown").to_owned();
    let number = |name: &str| backup[name].as_u64().unwrap_or_default();
    if word("verdict") != "verified" {
        return Err(format!("the backup is not verified: {backup}"));
    }
    say(&format!(
        "{}: {} of {} from {}, {} ({} of {}), {} transactions behind the master, {} s later",
        word("verdict"),
        word("folder"),
        word("neo4j"),
        word("source"),
        word("source_role"),
        kilobytes(number("bytes")),
        kilobytes(number("store_bytes")),
        number("behind"),
        begun.elapsed().as_secs()
    ));
    Ok(word("folder"))
}

fn kilobytes(bytes: u64) -> String {
    format!("{} kB", bytes / 1000)
}

/// The Lambda's own account of the switch to `new`.
async fn retarget(cloud: &Cloud, since: SystemTime, new: Ipv4Addr) -> Option<Value> {
    let lines = cloud.function_logs(&cloud.stack.function("master-election"), since).await;
    lines.into_iter().find(|line| line["event"] == "retarget" && line["to"] == new.to_string())
}
