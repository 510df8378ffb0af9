//! What an observer of a running cloud waits for and reads from its status: the demo, the benchmarks and the tests.

use std::{
    future::Future,
    net::{Ipv4Addr, SocketAddr},
    time::{Duration, Instant},
};

use crate::{
    cloud::Cloud,
    control::Status,
    elb::{BalancerStatus, ListenerStatus},
    processes::{children, deleted_files},
};

/// Core nodes of the local stack.
pub const CORE_SIZE: usize = 3;
/// Three JVMs start on two cores and elect in 25 to 45 s.
pub const FORMING: Duration = Duration::from_secs(180);
const LOOK: Duration = Duration::from_millis(100);

/// Waits until `CORE_SIZE` nodes have one master among them.
pub async fn form(cloud: &Cloud) -> Result<Status, String> {
    let formed = until(FORMING, || async {
        let status = cloud.status().await;
        formed(&status, CORE_SIZE).then_some(status)
    });
    let status = observed(formed, "the nodes did not form a cluster; their logs are in .local").await?;
    no_deleted_logs(cloud, &status)?;
    Ok(status)
}

/// Fails if a node writes to a transaction log that is deleted, which is what a backup server beside the first store copy can cause.
pub fn no_deleted_logs(cloud: &Cloud, status: &Status) -> Result<(), String> {
    let volumes = cloud.layout.run.join("hosts");
    let jvms = status.nodes.iter().flat_map(|node| children(node.pid));
    let deleted: Vec<String> = jvms.flat_map(|jvm| deleted_files(jvm, &volumes)).collect();
    let logs: Vec<&String> = deleted.iter().filter(|file| file.contains("neostore.transaction")).collect();
    if logs.is_empty() {
        Ok(())
    } else {
        Err(format!("a node writes to a transaction log that is deleted: {logs:?}"))
    }
}

/// Waits until every node is registered in every write group and the balancer admits the master alone.
pub async fn at_rest(cloud: &Cloud, within: Duration) -> Result<Status, String> {
    let rest = until(within, || async {
        let status = cloud.status().await;
        let (_, master, _) = master(&status)?;
        let groups = registered(&status.balancers);
        let all = groups.iter().all(|targets| targets.len() == CORE_SIZE) && !groups.is_empty();
        let ports =
            status.balancers.iter().flat_map(|balancer| &balancer.listeners).map(|listener| listener.port);
        let alone = ports.into_iter().all(|port| healthy(&status.balancers, port) == [master]);
        // A standby that was never checked to its end would be admitted by one good check instead of two.
        let checked =
            |listener: &ListenerStatus| listener.targets.iter().all(|target| target.state != "initial");
        let checked = writers(&status.balancers).all(|(_, listener)| checked(listener));
        (all && alone && checked && formed(&status, CORE_SIZE)).then_some(status)
    });
    observed(rest, "the write groups did not come to rest; the function's log is in CloudWatch Logs").await
}

/// Whether `size` nodes run, one of them the master and all others slaves.
pub fn formed(status: &Status, size: usize) -> bool {
    let count = |role: &str| status.nodes.iter().filter(|node| node.role == role).count();
    count("master") == 1 && count("slave") == size - 1 && status.nodes.len() == size
}

/// `(service, address, process)` of the master.
pub fn master(status: &Status) -> Option<(String, Ipv4Addr, i32)> {
    let node = status.nodes.iter().find(|node| node.role == "master")?;
    Some((node.service.clone(), node.address, node.pid))
}

/// The listeners whose check admits the master alone, with the address of their balancer.
pub fn writers(balancers: &[BalancerStatus]) -> impl Iterator<Item = (Ipv4Addr, &ListenerStatus)> {
    let all =
        balancers.iter().flat_map(|balancer| balancer.listeners.iter().map(|one| (balancer.address, one)));
    all.filter(|(_, listener)| listener.admits_the_master_alone())
}

/// Where clients that write connect for `port`.
pub fn write_endpoint(status: &Status, port: u16) -> Option<SocketAddr> {
    let (address, _) = writers(&status.balancers).find(|(_, listener)| listener.port == port)?;
    Some((address, port).into())
}

/// The addresses of each write group, sorted, without those that only drain.
pub fn registered(balancers: &[BalancerStatus]) -> Vec<Vec<Ipv4Addr>> {
    writers(balancers)
        .map(|(_, listener)| {
            let registered = listener.targets.iter().filter(|target| target.state != "draining");
            let mut targets: Vec<Ipv4Addr> = registered.map(|target| target.ip).collect();
            targets.sort();
            targets
        })
        .collect()
}

/// The addresses that the balancer's own check admits for writes on `port`.
pub fn healthy(balancers: &[BalancerStatus], port: u16) -> Vec<Ipv4Addr> {
    writers(balancers)
        .filter(|(_, listener)| listener.port == port)
        .flat_map(|(_, listener)| admitted(listener))
        .collect()
}

fn admitted(listener: &ListenerStatus) -> Vec<Ipv4Addr> {
    listener.targets.iter().filter(|target| target.state == "healthy").map(|target| target.ip).collect()
}

/// Asks until there is an answer, or none in time.
pub async fn until<T, F: Future<Output = Option<T>>>(within: Duration, ask: impl Fn() -> F) -> Option<T> {
    let deadline = Instant::now() + within;
    loop {
        if let Some(found) = ask().await {
            return Some(found);
        }
        if Instant::now() > deadline {
            return None;
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// `step`, or an error that says what was not observed.
pub async fn observed<T>(step: impl Future<Output = Option<T>>, otherwise: &str) -> Result<T, String> {
    step.await.ok_or_else(|| format!("not observed: {otherwise}"))
}
