//! Rolls of the deployed stack: what is refused, what goes on, and what a client that writes sees of it.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use local::{
    client::{self, User, Write, Writer},
    cloud::Cloud,
    control::{HTTP_PORT, Status},
    observe,
    processes::{Signal, signal_group},
};
use serde_json::json;
use tokio::task::JoinHandle;

use end_to_end::stage::{Outcome, PATIENCE, Stage, master, rest, status, wait};

/// Another heap than the suite's: every slot's task is to change.
const ANOTHER_HEAP: (&str, &str) = ("HeapSize", "500m");
/// The JVM refuses so little at its start.
const NO_HEAP: (&str, &str) = ("HeapSize", "1m");
const GOES_ON: (&str, &str) = ("RollWhenDegraded", "yes");
/// Free settings of neo4j.conf, one a line.
const SETTINGS: (&str, &str) =
    ("Neo4jSettings", "# slow queries\ndbms.logs.query.enabled=true\n\ndbms.logs.query.threshold=2s\n");
/// Writes are sent every 50 ms; a pause that is longer than this is one that a client notices.
const NOTICED: Duration = Duration::from_millis(500);
/// No master moves, so that a pause is Neo4j's own or a busy machine's: with a push to a slave one write in fifteen waits for two
/// seconds (docs/replication.md), and the one after it has a client's patience of a second. An election takes longer.
const UNDISTURBED: Duration = Duration::from_secs(3);
const LOOK: Duration = Duration::from_millis(100);

/// One slot has no host. A deployment that would stop another one is refused, names it, and is rolled back; with the word of the
/// person who deploys it goes on, and when the host is there again the slot is mended first.
pub fn while_a_slot_is_away(stage: &Stage) -> Outcome {
    stage.play(async |cloud| {
        let before = not_the_last(cloud).await?;
        let away = before.nodes.last().ok_or("there are no nodes")?.service.clone();
        cloud.gateway.ecs.take_host(&away);
        let outcome = refused_and_mended(stage, cloud, &away).await;
        cloud.gateway.ecs.give_host(&away);
        outcome?;
        rest(cloud).await.map(drop)
    })
}

/// The cluster at rest, with another master than its last slot: a roll begins with the last one, so that it is the one to mend.
async fn not_the_last(cloud: &Cloud) -> Result<Status, String> {
    let before = rest(cloud).await?;
    let (name, _, pid) = master(&before)?;
    if before.nodes.last().is_none_or(|last| last.service != name) {
        return Ok(before);
    }
    signal_group(pid, Signal::KILL);
    wait("another master", || async {
        master(&status(cloud).await).ok().filter(|(other, ..)| *other != name).map(drop)
    })
    .await?;
    rest(cloud).await
}

async fn refused_and_mended(stage: &Stage, cloud: &Cloud, away: &str) -> Outcome {
    wait("the slot is without a task", || async {
        status(cloud).await.nodes.iter().all(|node| node.service != away).then_some(())
    })
    .await?;
    let tasks = tasks(cloud).await;
    let roll = Roll::start(cloud, "Refused").await?;
    let begun = Instant::now();
    let ended = stage.redeploy(cloud, &[ANOTHER_HEAP]).await?.must_be("UPDATE_ROLLBACK_COMPLETE")?;
    let took = begun.elapsed();
    let seen = roll.end(cloud).await?;
    println!("refused and rolled back after {} s: {}", took.as_secs(), seen.sentence());
    let reasons = ended.reasons();
    for part in [format!("{away} has no task"), "RollWhenDegraded=yes".to_owned()] {
        if !reasons.contains(&part) {
            return Err(format!("the reason does not say {part:?}: {reasons}"));
        }
    }
    seen.undisturbed()?;
    if tasks != self::tasks(cloud).await {
        return Err(format!("a slot was stopped: {tasks:?} became {:?}", self::tasks(cloud).await));
    }

    let roll = Roll::start(cloud, "Mended").await?;
    let old = definitions(cloud).await;
    let host = async {
        // The new host comes while the deployment runs.
        let changed = wait("the deployment changes the slot that is away", || async {
            let asked = asked_definition(cloud, away).await?;
            (!old.contains(&asked)).then_some(())
        });
        let changed = changed.await;
        cloud.gateway.ecs.give_host(away);
        changed
    };
    let (ended, changed) = tokio::join!(stage.redeploy(cloud, &[ANOTHER_HEAP, GOES_ON, SETTINGS]), host);
    changed?;
    ended?.must_be("UPDATE_COMPLETE")?;
    let seen = roll.end(cloud).await?;
    println!("a roll of all slots: {}", seen.sentence());
    if seen.masters.len() > 3 {
        return Err(format!("the master moved more than twice: {:?}", seen.masters));
    }
    let new = definitions(cloud).await;
    if old.iter().any(|definition| new.contains(definition)) {
        return Err(format!("a slot was left out: {old:?} became {new:?}"));
    }
    settings_are_everywhere(cloud).await
}

/// Each Neo4j itself lists the settings of the roll.
async fn settings_are_everywhere(cloud: &Cloud) -> Outcome {
    let login = cloud.login(User::Admin).await?;
    let query = "CALL dbms.listConfig('dbms.logs.query') YIELD name, value RETURN name, value";
    for node in rest(cloud).await?.nodes {
        let listed =
            client::cypher((node.address, HTTP_PORT).into(), &login, query, json!({}), PATIENCE).await?;
        for setting in [["dbms.logs.query.enabled", "true"], ["dbms.logs.query.threshold", "2000ms"]] {
            if !listed.to_string().contains(&format!("{}", json!(setting))) {
                return Err(format!("{} has not the setting {setting:?}: {listed}", node.service));
            }
        }
    }
    Ok(())
}

/// Another `CoreSize` is refused by its name, before the functions are told of it.
pub fn another_size(stage: &Stage) -> Outcome {
    stage.play(async |cloud| {
        rest(cloud).await?;
        let tasks = tasks(cloud).await;
        let ended = stage.redeploy(cloud, &[("CoreSize", "5")]).await?.must_be("UPDATE_ROLLBACK_COMPLETE")?;
        if !ended.reasons().contains("CoreSize of a living stack cannot change from 3 to 5") {
            return Err(format!("the reason does not say so: {}", ended.reasons()));
        }
        let changed: Vec<&str> = ended.events.iter().map(|event| event.logical_id.as_str()).collect();
        for resource in ["MasterElection", "UserCreation", "Core4", "Core1"] {
            if changed.contains(&resource) {
                return Err(format!("{resource} was touched before the refusal: {changed:?}"));
            }
        }
        if tasks == self::tasks(cloud).await { Ok(()) } else { Err("a slot was stopped".into()) }
    })
}

/// The new tasks do not stay up: the first slot fails with ECS's own words, and all is as it was.
pub fn that_fails(stage: &Stage) -> Outcome {
    stage.play(async |cloud| {
        let before = not_the_last(cloud).await?;
        let roll = Roll::start(cloud, "Failed").await?;
        let begun = Instant::now();
        let ended = stage.redeploy(cloud, &[NO_HEAP]).await?.must_be("UPDATE_ROLLBACK_COMPLETE")?;
        let took = begun.elapsed();
        let seen = roll.end(cloud).await?;
        println!("a roll that failed, and back, in {} s: {}", took.as_secs(), seen.sentence());
        let reasons = ended.reasons();
        if !reasons.contains("does not stay up") || !reasons.contains("Essential container in task exited") {
            return Err(format!("ECS's own words are not in the reason: {reasons}"));
        }
        let after = rest(cloud).await?;
        let stayed =
            before.nodes.iter().filter(|node| after.nodes.iter().any(|other| other.task == node.task));
        // The first slot that is rolled is the one with the highest id; the others were never touched.
        if stayed.count() != 2 {
            return Err("more than one slot was stopped".into());
        }
        seen.undisturbed()
    })
}

/// A client that writes, and who was the master meanwhile.
pub struct Roll {
    client: &'static str,
    /// None once it was stopped.
    writer: Option<Writer>,
    masters: Arc<Mutex<Vec<String>>>,
    looking: JoinHandle<()>,
}

/// What was seen.
pub struct Seen {
    writes: Vec<Write>,
    masters: Vec<String>,
    lost: usize,
}

impl Drop for Roll {
    fn drop(&mut self) {
        self.looking.abort();
    }
}

impl Roll {
    pub async fn start(cloud: &Cloud, client: &'static str) -> Result<Self, String> {
        let endpoint = observe::write_endpoint(&status(cloud).await, HTTP_PORT).ok_or("no listener")?;
        let writer = Writer::start(endpoint, cloud.login(User::Writer).await?, client);
        let masters = Arc::default();
        let looking = tokio::spawn(look(cloud.clone(), Arc::clone(&masters)));
        Ok(Self { client, writer: Some(writer), masters, looking })
    }

    pub async fn end(mut self, cloud: &Cloud) -> Result<Seen, String> {
        let writes = self.writer.take().ok_or("it was stopped before")?.stop().await;
        self.looking.abort();
        let masters = self.masters.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let (_, address, _) = master(&status(cloud).await)?;
        let reader = cloud.login(User::Reader).await?;
        let stored = client::stored((address, HTTP_PORT).into(), &reader, self.client).await?;
        let lost = client::lost(&writes, &stored).len();
        if lost > 0 {
            return Err(format!("{lost} acknowledged writes are lost"));
        }
        Ok(Seen { writes, masters, lost })
    }
}

/// Notes each change of the only master.
async fn look(cloud: Cloud, masters: Arc<Mutex<Vec<String>>>) {
    loop {
        if let Some((name, ..)) = observe::master(&cloud.status().await) {
            let mut masters = masters.lock().unwrap_or_else(PoisonError::into_inner);
            if masters.last() != Some(&name) {
                masters.push(name);
            }
        }
        tokio::time::sleep(LOOK).await;
    }
}

impl Seen {
    /// The pauses without an acknowledged write that a client notices, from its first write to its last, the first one first.
    fn gaps(&self, longer: Duration) -> Vec<Duration> {
        let sent = [self.writes.first(), self.writes.last()].into_iter().flatten().map(|write| write.sent);
        let mut at: Vec<Instant> =
            self.writes.iter().filter_map(|write| write.acknowledged).chain(sent).collect();
        at.sort();
        at.windows(2).map(|pair| pair[1] - pair[0]).filter(|gap| *gap > longer).collect()
    }

    pub fn sentence(&self) -> String {
        let acknowledged = self.writes.iter().filter(|write| write.acknowledged.is_some()).count();
        let gaps: Vec<String> =
            self.gaps(NOTICED).iter().map(|gap| format!("{:.2} s", gap.as_secs_f64())).collect();
        let refused = self.writes.iter().filter(|write| write.refused.is_some()).count();
        format!(
            "the master was {} ({} moves), gaps for a client with 20 writes/s: [{}]; {acknowledged} of {} writes acknowledged, \
             {refused} refused, {} late; {} of the acknowledged ones are lost",
            self.masters.join(" -> "),
            self.masters.len().saturating_sub(1),
            gaps.join(", "),
            self.writes.len(),
            self.writes.len() - acknowledged - refused,
            self.lost
        )
    }

    /// How many writes that were sent since then were answered too late, or never.
    pub fn late_since(&self, since: Instant) -> usize {
        let late = |write: &&Write| write.acknowledged.is_none() && write.refused.is_none();
        self.writes.iter().filter(|write| write.sent >= since).filter(late).count()
    }

    /// The writes that were sent since then and were refused, or lost their connection, with the reasons. A late one is not among
    /// them: a busy machine may be slow, and how slow is bounded by `undisturbed`.
    pub fn refused_since(&self, since: Instant) -> Vec<String> {
        let sent = self.writes.iter().filter(|write| write.sent >= since);
        let refused = sent.filter_map(|write| Some(format!("{}: {}", write.number, write.refused.as_ref()?)));
        refused.collect()
    }

    pub fn undisturbed(&self) -> Outcome {
        match (self.masters.len(), self.gaps(UNDISTURBED)) {
            (1, gaps) if gaps.is_empty() => Ok(()),
            _ => Err(format!("a client noticed: {}", self.sentence())),
        }
    }
}

/// The tasks that run, by slot.
async fn tasks(cloud: &Cloud) -> Vec<String> {
    let mut tasks: Vec<String> = status(cloud).await.nodes.into_iter().map(|node| node.task).collect();
    tasks.sort();
    tasks
}

/// The task definitions that the slots' services ask for.
async fn definitions(cloud: &Cloud) -> Vec<String> {
    let mut definitions = Vec::new();
    for number in 1..=observe::CORE_SIZE {
        definitions.extend(asked_definition(cloud, &cloud.stack.core(number)).await);
    }
    definitions
}

async fn asked_definition(cloud: &Cloud, service: &str) -> Option<String> {
    let target = "AmazonEC2ContainerServiceV20141113.DescribeServices";
    let request = json!({"cluster": cloud.stack.cluster(), "services": [service]});
    let answer = cloud.gateway.emulator.json("ecs", target, &request).await.ok()?;
    answer["services"][0]["taskDefinition"].as_str().map(str::to_owned)
}
