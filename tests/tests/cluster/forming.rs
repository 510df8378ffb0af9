//! The stack as it was deployed.

use std::fs;

use local::{control::HTTP_PORT, observe, templates};
use serde_json::json;

use end_to_end::stage::{Outcome, PATIENCE, Stage, count, master, rest, status, wait, write};

/// Where node programs tell what their node sees.
const STATUS_PORT: u16 = 7475;

pub fn forms_and_rests(stage: &Stage) -> Outcome {
    stage.play(async |cloud| {
        observe::form(cloud).await?;
        // No invocation here: the schedule that the template made has to bring it to rest.
        observe::at_rest(cloud, PATIENCE).await.map(drop)
    })
}

/// They were formed blank, without it, and have joined only after a second start. The master had no reason for one.
pub fn backup_servers(stage: &Stage) -> Outcome {
    stage.play(async |cloud| {
        let status = rest(cloud).await?;
        local::bench::without_backups(&status).await?;
        let mut restarts = Vec::new();
        for node in status.nodes {
            let log = node_log(cloud, &node.service, &node.task);
            let starts = log.matches("\"event\":\"neo4j-started\"").count();
            let wanted = if node.role == "slave" { 2 } else { 1 };
            if starts != wanted {
                return Err(format!(
                    "Neo4j of {}, the {}, was started {starts} times",
                    node.service, node.role
                ));
            }
            if node.role == "slave" {
                let (from, to) = (moment(&log, "restarting")?, moment(&log, "joined")?);
                if to < from {
                    return Err(format!("{} rang before it was started once more", node.service));
                }
                restarts.push((from, to));
            }
        }
        restarts.sort();
        match restarts.windows(2).find(|pair| pair[1].0 < pair[0].1) {
            Some(pair) => Err(format!("two slaves were away at once: {pair:?}")),
            None => Ok(()),
        }
    })
}

/// When the line with this event was written; as text, which sorts as time does.
fn moment(log: &str, event: &str) -> Result<String, String> {
    let named = format!("\"event\":\"{event}\"");
    let line =
        log.lines().find(|line| line.contains(&named)).ok_or_else(|| format!("no {event} in {log}"))?;
    let line: serde_json::Value = serde_json::from_str(line).map_err(|error| error.to_string())?;
    Ok(line["timestamp"].as_str().unwrap_or_default().to_owned())
}

/// What the container beside Neo4j's has printed: a store copy is found there by the saved query.
pub fn debug_log(stage: &Stage) -> Outcome {
    stage.play(async |cloud| {
        for node in status(cloud).await.nodes.into_iter().filter(|node| node.role == "slave") {
            let stream = node_log(cloud, &node.service, &format!("{}-debug-log", node.task));
            for words in ["Copying store from master", "Finished copying store from master"] {
                if !stream.lines().any(|line| line.contains(words)) {
                    return Err(format!(
                        "no {words:?} in the stream of {}, of {} bytes",
                        node.service,
                        stream.len()
                    ));
                }
            }
        }
        Ok(())
    })
}

fn node_log(cloud: &local::cloud::Cloud, service: &str, task: &str) -> String {
    let file = cloud.layout.log(&format!("{service}-{task}"));
    fs::read_to_string(&file).unwrap_or_default()
}

/// The evidence for two masters: each node program tells how many members its node sees alive.
pub fn member_view(stage: &Stage) -> Outcome {
    stage.play(async |cloud| {
        for node in rest(cloud).await?.nodes {
            wait(&format!("{} sees all members", node.service), || async {
                let at = (node.address, STATUS_PORT).into();
                let (_, body) =
                    local::http::get(at, "/status", std::time::Duration::from_secs(2)).await.ok()?;
                let told: serde_json::Value = serde_json::from_slice(&body).ok()?;
                (told["alive"] == observe::CORE_SIZE && told["role"] == node.role.as_str()).then_some(())
            })
            .await?;
        }
        Ok(())
    })
}

/// Readers are served by slaves, over their own balancer.
pub fn readers(stage: &Stage) -> Outcome {
    stage.play(async |cloud| {
        let before = rest(cloud).await?;
        let slaves = before.nodes.iter().filter(|node| node.role == "slave").map(|node| node.address);
        let mut slaves: Vec<_> = slaves.collect();
        slaves.sort();
        wait("the read groups hold all slaves and no other node", || async {
            let now = status(cloud).await;
            let listeners = now.balancers.iter().flat_map(|balancer| &balancer.listeners);
            let mut groups = listeners.filter(|listener| !listener.admits_the_master_alone());
            groups
                .all(|listener| {
                    let mut targets: Vec<_> = listener.targets.iter().map(|target| target.ip).collect();
                    targets.sort();
                    targets == slaves
                })
                .then_some(())
        })
        .await
    })
}

pub fn left_out(stage: &Stage) -> Outcome {
    stage.play(async |cloud| {
        let root = &cloud.layout.root;
        let beside =
            fs::read_dir(root.join("cluster")).into_iter().flatten().flatten().map(|file| file.path());
        let nested = beside.filter(|path| path.extension().is_some_and(|ending| ending == "yml"));
        let mut expected = Vec::new();
        for template in nested.chain([root.join("template.yml")]) {
            let text = fs::read_to_string(&template).map_err(|error| error.to_string())?;
            let local = templates::without_listed_types(&text);
            expected.extend(local.map_err(|error| format!("{}: {error}", template.display()))?.dropped);
        }
        let said = status(cloud).await.left_out;
        if expected.is_empty() || !expected.iter().all(|resource| said.contains(resource)) {
            return Err(format!("{expected:?} should have been left out, {said:?} was said"));
        }
        let target = "AmazonEC2ContainerServiceV20141113.ListServices";
        let request = json!({"cluster": cloud.stack.cluster(), "maxResults": 100});
        let services = cloud.gateway.emulator.json("ecs", target, &request).await;
        let services = services.map_err(|error| error.to_string())?;
        let count = services["serviceArns"].as_array().map_or(0, Vec::len);
        if count != observe::CORE_SIZE {
            return Err(format!(
                "{count} services instead of one for each of the {} slots",
                observe::CORE_SIZE
            ));
        }
        Ok(())
    })
}

pub fn writes(stage: &Stage) -> Outcome {
    stage.play(async |cloud| {
        let before = rest(cloud).await?;
        write(cloud, 1).await?;
        let (_, address, _) = master(&before)?;
        match count(cloud, (address, HTTP_PORT).into(), 1).await? {
            1 => {}
            other => return Err(format!("the write is {other} times on the master")),
        }
        // Slaves pull every second.
        for node in status(cloud).await.nodes {
            wait(&format!("the write on {}", node.service), || async {
                (count(cloud, (node.address, HTTP_PORT).into(), 1).await == Ok(1)).then_some(())
            })
            .await?;
        }
        Ok(())
    })
}
