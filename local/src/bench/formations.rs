//! Formations from blank volumes, one after another: how long each takes, whether a node ended on the way, and whether every slave
//! has its backup server in the end.

use std::{
    net::{Ipv4Addr, SocketAddr},
    time::{Duration, Instant, SystemTime},
};

use tokio::{net::TcpStream, time::timeout};

use crate::{bench, cloud::Cloud, control::Status, observe};

/// Neo4j's backup server.
pub const BACKUP_PORT: u16 = 6362;
/// On the same machine.
const CONNECT: Duration = Duration::from_secs(2);

/// Forms the cluster, and then again and again after all its volumes were lost at once.
///
/// # Errors
/// At the first formation that is not as it must be.
pub async fn run(cloud: &Cloud, rounds: u32) -> Result<(), String> {
    println!("deploying the stack, which is the first formation");
    bench::form(cloud, &[]).await?;
    let mut status = cloud.status().await;
    without_backups(&status).await?;
    for round in 2..=rounds {
        let (begun, at) = (Instant::now(), SystemTime::now());
        for node in &status.nodes {
            cloud.gateway.ecs.lose(&node.service).map_err(|error| error.to_string())?;
        }
        let lost = status;
        status = observe::observed(
            observe::until(observe::FORMING, || async {
                let now = cloud.status().await;
                let is_new = |task: &String| lost.nodes.iter().all(|node| node.task != *task);
                let all_new = now.nodes.iter().all(|node| is_new(&node.task));
                (all_new && observe::formed(&now, observe::CORE_SIZE)).then_some(now)
            }),
            "the nodes did not form a cluster again; their logs are in .local",
        )
        .await?;
        let formed = begun.elapsed();
        observe::no_deleted_logs(cloud, &status)?;
        let ended: Vec<String> = cloud
            .tasks()
            .iter()
            .filter(|task| task.started > at && task.stopped.is_some())
            .map(|task| task.service.clone())
            .collect();
        if !ended.is_empty() {
            return Err(format!(
                "formation {round}: a node of {} ended before the cluster was there",
                ended.join(", ")
            ));
        }
        without_backups(&status).await.map_err(|error| format!("formation {round}: {error}"))?;
        println!(
            "formation {round} of {rounds}: {} s, no node ended, every slave has its backup server",
            formed.as_secs()
        );
    }
    Ok(())
}

/// Fails with the first slave that has no backup server.
pub async fn without_backups(status: &Status) -> Result<(), String> {
    for node in status.nodes.iter().filter(|node| node.role == "slave") {
        if !is_bound(node.address).await {
            return Err(format!(
                "{} at {} has no backup server on port {BACKUP_PORT}",
                node.service, node.address
            ));
        }
    }
    Ok(())
}

async fn is_bound(address: Ipv4Addr) -> bool {
    let connecting = TcpStream::connect(SocketAddr::from((address, BACKUP_PORT)));
    matches!(timeout(CONNECT, connecting).await, Ok(Ok(_)))
}
