//! Clusters that are founded from a backup of the first stack: real archives, real S3 protocol, real Neo4j on what was unpacked.

use std::{fs, net::Ipv4Addr};

use local::{
    backups,
    client::{self, User},
    cloud::Cloud,
    control::{HTTP_PORT, Status},
    observe,
    stack::Stack,
    stacks,
};
use serde_json::{Value, json};

use end_to_end::stage::{Outcome, PATIENCE, Stage, rest, wait};

const CLUSTER: &str = "neo4j-local-restored";
const REFUSED: &str = "neo4j-local-refused";
/// Small nodes, without backups that begin by themselves.
const SMALL: [(&str, &str); 4] =
    [("HeapSize", "256m"), ("PageCacheSize", "32m"), ("HourlyBackups", "false"), ("DailyBackupAt", "off")];

/// Both are counted.
const FILL: &str = "UNWIND range(1, 2000) AS number CREATE (:From {number: number})-[:TO]->(:Into)";

/// A second cluster of three is founded from the newest backup, beside the first one: every node restores, Neo4j starts on none
/// before, and the graph is the manifest's. Its users are its own.
pub fn a_cluster(stage: &Stage) -> Outcome {
    stage.play(async |first| {
        let before = rest(first).await?;
        let at = observe::write_endpoint(&before, HTTP_PORT).ok_or("no listener for HTTP")?;
        client::cypher(at, &first.login(User::Writer).await?, FILL, json!({}), PATIENCE).await?;
        let backup = backed_up(first).await?;
        let source = format!("s3://{}/latest", backups::bucket(first).await?);
        let second = first.of(&Stack::new(CLUSTER));
        let lived = founded(first, &second, &source, &backup).await;
        // Whatever was seen: the next tests have the cloud for themselves.
        let gone = stacks::delete(second.endpoint, CLUSTER, PATIENCE).await;
        lived?;
        gone?;
        rest(first).await.map(drop)
    })
}

async fn founded(first: &Cloud, second: &Cloud, source: &str, backup: &Value) -> Outcome {
    deployed(second, &[("Snapshot", source)]).await?;
    let status = wait("the restored cluster forms", || async {
        let status = second.status().await;
        observe::formed(&status, 3).then_some(status)
    })
    .await?;
    let manifest = backups::manifest(first, folder(backup)?).await?;
    for node in &status.nodes {
        let found = counted(second, node.address).await?;
        if found != manifest["counts"] {
            return Err(format!("{} has {found}, and its backup {}", node.service, manifest["counts"]));
        }
    }
    all_restored(second, &status)?;
    let record = record(second).await?;
    if record["phase"] != "sealed" || record["snapshot"]["key"] != manifest["data"]["key"] {
        return Err(format!("the record is not sealed, or of another backup: {record}"));
    }
    let at = observe::write_endpoint(&status, HTTP_PORT).ok_or("no listener for HTTP")?;
    let write = async |cloud: &Cloud| {
        let login = cloud.login(User::Writer).await?;
        Ok::<_, String>(client::cypher(at, &login, "CREATE (:Restored)", json!({}), PATIENCE).await)
    };
    wait("the restored cluster's writer writes", || async { write(second).await.ok()?.ok() }).await?;
    match write(first).await? {
        Err(refused) if refused.says("Unauthorized") => {}
        other => return Err(format!("the first stack's writer on the restored one: {other:?}")),
    }
    after_the_seal(second, &status).await
}

/// A node of the sealed cluster loses its volume, with `Snapshot` still set: it copies from the master, what was written since too,
/// and restores nothing.
async fn after_the_seal(second: &Cloud, before: &Status) -> Outcome {
    let slave = before.nodes.iter().find(|node| node.role == "slave").ok_or("there is no slave")?;
    let begun = || events(second, &slave.service, "restore-begun").len();
    if begun() != 1 {
        return Err(format!("{} has begun {} restores, and one was meant", slave.service, begun()));
    }
    second.gateway.ecs.lose(&slave.service).map_err(|error| error.to_string())?;
    let copied = wait("the node that lost its volume is a slave again, and its reader logs in", || async {
        let status = second.status().await;
        let node = status.nodes.into_iter().find(|node| node.service == slave.service)?;
        let is_new = node.task != slave.task && node.role == "slave";
        if is_new { counted(second, node.address).await.ok() } else { None }
    })
    .await?;
    let (_, master, _) = observe::master(&second.status().await).ok_or("there is no master")?;
    let all = counted(second, master).await?;
    if copied != all || begun() != 1 {
        return Err(format!("it has {copied} of {all}, and has begun {} restores", begun()));
    }
    Ok(())
}

/// Each node says that it has restored, and Neo4j was started on none before the last one had.
fn all_restored(second: &Cloud, status: &Status) -> Outcome {
    let time = |event: &Value| event["timestamp"].as_str().unwrap_or_default().to_owned();
    let (mut restored, mut configured) = (Vec::new(), Vec::new());
    for node in &status.nodes {
        let done = events(second, &node.service, "restore-done");
        let [done] = &done[..] else {
            return Err(format!("{} has restored {} times, and once was meant", node.service, done.len()));
        };
        restored.push(time(done));
        configured.extend(events(second, &node.service, "configured").iter().map(time));
    }
    match (restored.iter().max(), configured.iter().min()) {
        (Some(last), Some(first)) if last <= first => Ok(()),
        (last, first) => {
            Err(format!("Neo4j was configured at {first:?}, and the last restore was done at {last:?}"))
        }
    }
}

/// What all tasks of a slot have logged of an event.
fn events(cloud: &Cloud, service: &str, name: &str) -> Vec<Value> {
    let files = fs::read_dir(cloud.layout.run.join("logs")).into_iter().flatten().flatten();
    let of_slot = files.filter(|file| file.file_name().to_string_lossy().starts_with(&format!("{service}-")));
    let texts = of_slot.filter_map(|file| fs::read_to_string(file.path()).ok());
    let lines: Vec<Value> = texts
        .flat_map(|text| text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect::<Vec<_>>())
        .collect();
    lines.into_iter().filter(|event| event["event"] == name).collect()
}

/// What cannot be founded from is refused by the first resource, in one sentence, before there is a node.
pub fn refused(stage: &Stage) -> Outcome {
    stage.play(async |first| {
        backed_up(first).await?;
        let bucket = backups::bucket(first).await?;
        let second = first.of(&Stack::new(REFUSED));
        let table = [
            (format!("s3://{bucket}/before:2020-01-01T00:00Z"), "no verified backup below"),
            (format!("s3://{bucket}/backups/daily/2020-01-01T00-00-00Z-none"), "there is no object"),
        ];
        for (source, says) in table {
            let failed =
                deployed(&second, &[("Snapshot", &source), ("Dialect", "SINGLE"), ("CoreSize", "1")]).await;
            let ended = stacks::last_operation(second.endpoint, REFUSED).await;
            let gone = stacks::delete(second.endpoint, REFUSED, PATIENCE).await;
            let ended = ended?;
            let slots: Vec<_> =
                ended.events.iter().filter(|event| event.logical_id.starts_with("Core")).collect();
            if failed.is_ok() || !ended.reasons().contains(says) || !slots.is_empty() {
                return Err(format!(
                    "{source} was not refused by {says:?} before its slots: {} {slots:?}",
                    ended.reasons()
                ));
            }
            gone?;
        }
        Ok(())
    })
}

async fn deployed(cloud: &Cloud, parameters: &[(&str, &str)]) -> Outcome {
    let parameters = [&SMALL, parameters].concat();
    let deployed = tokio::time::timeout(PATIENCE, cloud.deploy(&parameters)).await;
    let deployed = deployed.map_err(|_| format!("{} is not deployed within {PATIENCE:?}", cloud.stack))?;
    deployed.map_err(|error| error.to_string())
}

async fn backed_up(cloud: &Cloud) -> Result<Value, String> {
    let known = backups::folders(cloud).await?;
    backups::ask(cloud, &json!({"tier": "manual"})).await?;
    let made = backups::made(cloud, &known, PATIENCE).await?;
    if made["verdict"] == "verified" { Ok(made) } else { Err(format!("not verified: {made}")) }
}

fn folder(backup: &Value) -> Result<&str, String> {
    backup["folder"].as_str().ok_or_else(|| format!("no folder in {backup}"))
}

/// What the cluster was founded from.
async fn record(cloud: &Cloud) -> Result<Value, String> {
    let told = cloud.gateway.emulator.function_environment(&cloud.stack.function("snapshot-bootstrap")).await;
    let told = told.map_err(|error| error.to_string())?;
    let at = format!("{}/cluster/founding.json", told["STATE_BUCKET"].as_str().unwrap_or_default());
    let read = cloud.gateway.emulator.get_object(&at).await.map_err(|error| format!("{at}: {error}"))?;
    serde_json::from_slice(&read).map_err(|error| format!("{at}: {error}"))
}

async fn counted(cloud: &Cloud, node: Ipv4Addr) -> Result<Value, String> {
    let login = cloud.login(User::Reader).await?;
    Ok(client::counts((node, HTTP_PORT).into(), &login, PATIENCE).await?)
}
