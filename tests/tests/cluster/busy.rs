//! A master that is busy and well: queries take every worker of its HTTP server.

use std::{
    net::{Ipv4Addr, SocketAddr},
    time::{Duration, Instant, SystemTime},
};

use local::{
    client::{self, User, bolt::Session},
    cloud::Cloud,
    control::{HTTP_PORT, master_path},
    http::{self as wire, Failure},
    login::Login,
    observe,
};
use serde_json::json;
use tokio::task::JoinSet;

use end_to_end::stage::{
    Outcome, Stage, elb_writes,
    expect::{no_node_fenced, not_replaced, task_of},
    invoke, master, rest, wait,
};

const BOLT_PORT: u16 = 7687;
/// Half as many again as Neo4j has HTTP workers (`FEWEST_WORKERS` of the node program).
const WRITERS: usize = 300;
/// Ten times what fenced such a master before.
const BUSY: Duration = Duration::from_secs(120);
const EVERY: Duration = Duration::from_secs(1);
/// A client's, and the balancer's.
const PATIENCE: Duration = Duration::from_secs(2);
/// For a statement that has to succeed: one write in fifteen takes two seconds with a push to a slave, and the first of its kind
/// is planned first.
const STATEMENT: Duration = Duration::from_secs(10);
/// All writers are through after the lock is free.
const DRAINED: Duration = Duration::from_secs(90);

/// 300 HTTP writes wait for one lock, which an open transaction holds for two minutes: the role endpoint of Neo4j is silent for
/// all of it. Nothing is fenced, registered, deregistered or cut, and the balancer never fails open.
pub fn workers_taken(stage: &Stage) -> Outcome {
    stage.play(async |cloud| {
        let before = rest(cloud).await?;
        let old = master(&before)?;
        let client = Client {
            http: observe::write_endpoint(&before, HTTP_PORT).ok_or("no listener for HTTP")?,
            bolt: observe::write_endpoint(&before, BOLT_PORT).ok_or("no listener for Bolt")?,
            login: cloud.login(User::Writer).await?,
        };
        client.over_http("CREATE (:Lock)".into(), STATEMENT).await?;
        let (task, since, calls) = (task_of(cloud, &old.0)?, SystemTime::now(), elb_writes(cloud).len());
        // Through the balancer, so that a cut would be felt.
        let mut holder = Session::open(client.bolt, &client.login, PATIENCE).await?;
        for statement in ["BEGIN", "MATCH (l:Lock) SET l.held = true"] {
            let done = holder.run(statement, STATEMENT).await;
            done.map_err(|why| format!("{statement} in the open session: {why}"))?;
        }
        let writer = |number: usize| {
            let client = client.clone();
            async move { client.over_http(format!("MATCH (l:Lock) SET l.by = {number}"), BUSY + DRAINED).await }
        };
        let mut writers: JoinSet<_> = (0..WRITERS).map(writer).collect();
        wait("every HTTP worker is taken", || async { is_silent(cloud, old.1).await.then_some(()) }).await?;

        let seen = watched(cloud, &client, old.1).await;
        holder.run("COMMIT", STATEMENT).await.map_err(|why| format!("COMMIT in the open session: {why}"))?;
        let seen = seen?;
        let mut through = 0;
        let drained = async {
            while let Some(written) = writers.join_next().await {
                through += usize::from(matches!(written, Ok(Ok(()))));
            }
        };
        let in_time = tokio::time::timeout(DRAINED, drained).await.is_ok();
        println!(
            "all HTTP workers of the master taken for {} s: of a client's writes over Bolt {} of {} were acknowledged, the \
             slowest after {} ms; over HTTP {} of {} within {} s; of the {WRITERS} that waited {through} in the end",
            BUSY.as_secs(),
            seen.bolt,
            seen.looks,
            seen.slowest.as_millis(),
            seen.http,
            seen.looks,
            PATIENCE.as_secs(),
        );
        if !in_time || through == 0 {
            return Err(format!("{through} of {WRITERS} writes came through after the lock was free"));
        }
        if seen.bolt < seen.looks {
            return Err(format!("a client over Bolt was refused: {} of {}", seen.bolt, seen.looks));
        }
        no_node_fenced(cloud, since)?;
        not_replaced(cloud, &old.0, &task)?;
        let called = elb_writes(cloud).split_off(calls);
        if !called.is_empty() {
            return Err(format!("target groups were written to: {called:?}"));
        }
        let after = rest(cloud).await?;
        if master(&after)?.1 == old.1 { Ok(()) } else { Err("the master has moved".into()) }
    })
}

/// A client that writes through the balancer, each time over a new connection.
#[derive(Clone)]
struct Client {
    http: SocketAddr,
    bolt: SocketAddr,
    login: Login,
}

impl Client {
    async fn over_http(&self, statement: String, within: Duration) -> Result<(), String> {
        client::cypher(self.http, &self.login, &statement, json!({}), within).await?;
        Ok(())
    }

    /// How long the write took.
    async fn over_bolt(&self) -> Result<Duration, String> {
        let begun = Instant::now();
        let mut session = Session::open(self.bolt, &self.login, PATIENCE).await?;
        session.run("CREATE (:WrittenOverBolt)", STATEMENT).await?;
        Ok(begun.elapsed())
    }
}

/// What a client saw meanwhile.
#[derive(Default)]
struct Seen {
    looks: u32,
    bolt: u32,
    slowest: Duration,
    http: u32,
}

/// For so long: the master's own endpoint is silent, the balancer finds it healthy and nothing else, every verdict is steady.
async fn watched(cloud: &Cloud, client: &Client, master: Ipv4Addr) -> Result<Seen, String> {
    let (mut seen, until) = (Seen::default(), Instant::now() + BUSY);
    while Instant::now() < until {
        let balancers = cloud.balancers();
        for (_, listener) in observe::writers(&balancers) {
            let healthy = observe::healthy(&balancers, listener.port);
            if healthy != [master] {
                return Err(format!("healthy on {}: {healthy:?}, not {master} alone", listener.port));
            }
        }
        let (silent, bolt, http, verdict) = tokio::join!(
            is_silent(cloud, master),
            client.over_bolt(),
            client.over_http("CREATE (:Written {number: 11})".into(), PATIENCE),
            verdict_now_and_then(cloud, seen.looks),
        );
        if !silent {
            return Err(
                "the master's endpoint answers: its workers are not taken, and nothing was shown".into()
            );
        }
        if let Some(verdict) = verdict?
            && verdict != "Steady"
        {
            return Err(format!("the verdict on a busy master is {verdict}"));
        }
        seen.looks += 1;
        seen.http += u32::from(http.is_ok());
        match bolt {
            Ok(took) => (seen.bolt, seen.slowest) = (seen.bolt + 1, seen.slowest.max(took)),
            Err(why) => println!("a write over Bolt: {why}"),
        }
        tokio::time::sleep(EVERY).await;
    }
    Ok(seen)
}

/// Neo4j's own endpoint, asked itself with the balancer's patience.
async fn is_silent(cloud: &Cloud, master: Ipv4Addr) -> bool {
    let answer = wire::get((master, HTTP_PORT).into(), master_path(&cloud.tasks()), PATIENCE).await;
    matches!(answer, Err(Failure::Timeout(..)))
}

/// The function is invoked every fourth time: it has something to be tempted by.
async fn verdict_now_and_then(cloud: &Cloud, look: u32) -> Result<Option<String>, String> {
    if !look.is_multiple_of(4) {
        return Ok(None);
    }
    let verdict = invoke(cloud).await?["verdict"].as_str().unwrap_or_default().to_owned();
    Ok(Some(verdict))
}
