//! Backups of the living cluster: the deployed trigger, a worker that is a task, real `neo4j-admin`, and the S3 protocol.

use std::{collections::BTreeSet, fs, path::Path, process::Command, time::Duration};

use local::{
    backups::{self, folders},
    client::{self, User, Writer},
    cloud::Cloud,
    control::HTTP_PORT,
    gateway::Fault,
    observe,
    processes::{Signal, signal_group},
};
use serde_json::{Value, json};

use end_to_end::stage::{Outcome, PATIENCE, Stage, ask_function, expect::task_of, master, rest, wait};

const TRIGGER: &str = "backup-trigger";
const TICK: &[u8] = include_bytes!("../../../events/backup-tick.json");
const MANUAL: &[u8] = include_bytes!("../../../events/backup-manual.json");
const HISTORY: &[u8] = br#"{"history":true}"#;
/// Nodes of a store that is worth a copy.
const FILLED: u64 = 50_000;
/// One statement, on two busy cores.
const STATEMENT: Duration = Duration::from_secs(60);

/// A backup from a slave while a client writes: its counts, its source, its data, and what becomes of the client.
pub fn from_a_slave(stage: &Stage) -> Outcome {
    stage.play(async |cloud| {
        let before = rest(cloud).await?;
        let (_, address, _) = master(&before)?;
        let endpoint = observe::write_endpoint(&before, HTTP_PORT).ok_or("no listener")?;
        let login = cloud.login(User::Writer).await?;
        let fill = "UNWIND range(1, $nodes) AS number CREATE (:Filled {number: number})";
        client::cypher(endpoint, &login, fill, json!({ "nodes": FILLED }), STATEMENT).await?;
        let filled = counted(cloud, (address, HTTP_PORT).into()).await?;

        let writer = Writer::start(endpoint, login, "Backup");
        let known = folders(cloud).await?;
        ask_function(cloud, TRIGGER, MANUAL).await?;
        let entry = made(cloud, &known).await?;
        let sent = writer.stop().await;
        let refused: Vec<&String> = sent.iter().filter_map(|write| write.refused.as_ref()).collect();
        if !refused.is_empty() {
            return Err(format!(
                "{} of {} writes were refused beside a backup: {refused:?}",
                refused.len(),
                sent.len()
            ));
        }
        let expect = |what: &str, holds: bool| {
            if holds { Ok(()) } else { Err(format!("{what}: {entry}")) }
        };
        expect("it is verified", entry["verdict"] == "verified")?;
        expect("a slave is its source", entry["source_role"] == "slave")?;
        // Transactions are pushed to the slave with the lowest id.
        let highest = before.nodes.iter().filter(|node| node.role == "slave").map(|node| &node.service).max();
        expect(
            "its source is the slave with the highest id",
            entry["source"].as_str() == highest.map(String::as_str),
        )?;

        let folder = text(&entry["folder"])?;
        let manifest = object(cloud, &format!("{folder}/manifest.json")).await?;
        let manifest: Value = serde_json::from_slice(&manifest).map_err(|error| error.to_string())?;
        let after = counted(cloud, (address, HTTP_PORT).into()).await?;
        let nodes = manifest["counts"]["nodes"].as_u64().ok_or_else(|| format!("no counts in {manifest}"))?;
        if !(filled..=after).contains(&nodes) {
            return Err(format!(
                "it has {nodes} nodes, and the cluster had {filled} before it and {after} after it"
            ));
        }
        by_hand(cloud, folder, &manifest).await
    })
}

/// What the documentation says that an operator needs: the object, zstd and tar.
async fn by_hand(cloud: &Cloud, folder: &str, manifest: &Value) -> Outcome {
    let data = object(cloud, &format!("{folder}/store.tar.zst")).await?;
    if manifest["data"]["bytes"].as_u64() != Some(data.len() as u64) {
        return Err(format!("{} bytes are not those of {manifest}", data.len()));
    }
    let directory = cloud.layout.run.join("by-hand");
    let unpacked = directory.join("store");
    let said = |error: std::io::Error| error.to_string();
    fs::create_dir_all(&unpacked).map_err(said)?;
    fs::write(directory.join("store.tar.zst"), &data).map_err(said)?;
    run("zstd", &["-q", "-d", "-f", "store.tar.zst"], &directory)?;
    run("tar", &["-xf", "store.tar", "-C", "store"], &directory)?;
    let admin = cloud.layout.root.join(".local/neo4j-3.4.6/bin/neo4j-admin");
    let store = unpacked.display().to_string();
    let told = run(&admin.display().to_string(), &["store-info", &format!("--store={store}")], &directory)?;
    fs::remove_dir_all(&directory).map_err(said)?;
    if told.contains("v0.A.9") { Ok(()) } else { Err(format!("3.4.6 does not know this store: {told}")) }
}

/// Requests that come together, as an impatient operator and a retry make them.
pub fn one_at_a_time(stage: &Stage) -> Outcome {
    stage.play(async |cloud| {
        rest(cloud).await?;
        let (known, before) = (folders(cloud).await?, workers(cloud));
        let (first, second, third) = tokio::join!(
            ask_function(cloud, TRIGGER, MANUAL),
            ask_function(cloud, TRIGGER, MANUAL),
            ask_function(cloud, TRIGGER, TICK),
        );
        if first.is_err() && second.is_err() {
            return Err(format!("both requests were refused: {first:?}, {second:?}, {third:?}"));
        }
        made(cloud, &known).await?;
        ask_function(cloud, TRIGGER, TICK).await?;
        let begun: Vec<_> = workers(cloud).difference(&before).cloned().collect();
        if begun.len() == 1 {
            Ok(())
        } else {
            Err(format!("{} workers for one backup: {begun:?}", begun.len()))
        }
    })
}

/// A worker that is killed leaves no backup, and the next one is from another slave.
pub fn worker_killed(stage: &Stage) -> Outcome {
    stage.play(async |cloud| {
        rest(cloud).await?;
        let (known, before) = (folders(cloud).await?, workers(cloud));
        ask_function(cloud, TRIGGER, MANUAL).await?;
        let pid = wait("a worker runs", || async {
            let tasks = cloud.stand_alone_tasks();
            let new = tasks.into_iter().find(|task| !before.contains(&task.arn) && task.stopped.is_none());
            new.map(|task| task.pid)
        })
        .await?;
        signal_group(pid, Signal::KILL);
        let failed = wait("the trigger has noticed", || async {
            ask_function(cloud, TRIGGER, TICK).await.ok()?;
            let history = ask_function(cloud, TRIGGER, HISTORY).await.ok()?;
            let ended = history["ended"].as_array()?.last()?.clone();
            ended["how"]["failed"].is_string().then_some(ended)
        })
        .await?;
        made(cloud, &known).await?;
        let folder = text(&failed["folder"])?;
        if object(cloud, &format!("{folder}/manifest.json")).await.is_ok() {
            return Err(format!("the run that was killed has a manifest: {folder}"));
        }
        // The run after it, not the next backup: a copy may fail for reasons of its own, and then the first source is tried again.
        let history = ask_function(cloud, TRIGGER, HISTORY).await?;
        let ended = history["ended"].as_array().ok_or_else(|| format!("no history: {history}"))?;
        let mut after = ended.iter().skip_while(|run| run["folder"] != failed["folder"]).skip(1);
        match after.next() {
            Some(next) if next["slot"] != failed["slot"] => Ok(()),
            next => Err(format!("the next source is the one that failed: {failed}, {next:?}")),
        }
    })
}

/// `RunTask` answers 200 with a failure, and the next time its answer is lost after the task was started.
pub fn run_task_fails(stage: &Stage) -> Outcome {
    stage.play(async |cloud| {
        rest(cloud).await?;
        let (known, before) = (folders(cloud).await?, workers(cloud));
        cloud
            .gateway
            .faults
            .inject(Fault::no_task(1, "Capacity is unavailable at this time. Please try again later"));
        ask_function(cloud, TRIGGER, MANUAL).await?;
        let history = ask_function(cloud, TRIGGER, HISTORY).await?;
        let last = history["ended"].as_array().and_then(|ended| ended.last().cloned()).unwrap_or_default();
        let reason = last["how"]["failed"].as_str().unwrap_or_default();
        if !reason.contains("Capacity is unavailable") {
            return Err(format!("the reason is not ECS's: {last}"));
        }
        cloud.gateway.faults.inject(Fault::answer_lost("ecs", "RunTask", 1));
        made(cloud, &known).await?;
        let begun: Vec<_> = workers(cloud).difference(&before).cloned().collect();
        if begun.len() == 1 { Ok(()) } else { Err(format!("{} workers: {begun:?}", begun.len())) }
    })
}

/// No slave: the request waits and says for what, the master is not asked, and it is made when the slave is back.
pub fn no_slave(stage: &Stage) -> Outcome {
    stage.play(async |cloud| {
        let before = rest(cloud).await?;
        let (known, begun) = (folders(cloud).await?, workers(cloud));
        let slave = before.nodes.iter().find(|node| node.role == "slave").ok_or("there is no slave")?;
        let task = task_of(cloud, &slave.service)?;
        signal_group(slave.pid, Signal::KILL);
        wait("its task ended", || async {
            cloud.tasks().into_iter().find(|other| other.arn == task)?.stopped
        })
        .await?;
        let told = ask_function(cloud, TRIGGER, MANUAL).await?;
        let sentence = text(&told["sentence"])?;
        if told["refusal"].is_null() || !sentence.contains(&slave.service) {
            return Err(format!("nothing says that {} is awaited: {told}", slave.service));
        }
        if workers(cloud) != begun {
            return Err("a worker was started while a core slot was away".into());
        }
        rest(cloud).await?;
        made(cloud, &known).await.map(drop)
    })
}

async fn made(cloud: &Cloud, known: &BTreeSet<String>) -> Result<Value, String> {
    backups::made(cloud, known, PATIENCE).await
}

/// All workers there were within the hour that ECS remembers.
fn workers(cloud: &Cloud) -> BTreeSet<String> {
    cloud.stand_alone_tasks().into_iter().map(|task| task.arn).collect()
}

async fn object(cloud: &Cloud, key: &str) -> Result<Vec<u8>, String> {
    let bucket = backups::bucket(cloud).await?;
    let read = cloud.gateway.emulator.get_object(&format!("{bucket}/{key}")).await;
    read.map(|body| body.to_vec()).map_err(|error| error.to_string())
}

async fn counted(cloud: &Cloud, node: std::net::SocketAddr) -> Result<u64, String> {
    let login = cloud.login(User::Reader).await?;
    let answer = client::cypher(node, &login, "MATCH (n) RETURN count(n)", json!({}), STATEMENT).await?;
    answer["results"][0]["data"][0]["row"][0].as_u64().ok_or_else(|| format!("no count in {answer}"))
}

fn text(value: &Value) -> Result<&str, String> {
    value.as_str().ok_or_else(|| format!("no text: {value}"))
}

fn run(program: &str, arguments: &[&str], directory: &Path) -> Result<String, String> {
    let output = Command::new(program).args(arguments).current_dir(directory).output();
    let output = output.map_err(|error| format!("{program}: {error}"))?;
    let said =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    if output.status.success() { Ok(said) } else { Err(format!("{program} {arguments:?}: {said}")) }
}
