//! What shows that a backup is one: a second stack, founded from it, beside the first.

use std::time::{Duration, Instant};

use crate::{
    backups,
    client::{User, counts},
    cloud::Cloud,
    control::HTTP_PORT,
    observe::{formed, master, observed, until},
    stack::Stack,
};

const STACK: &str = "neo4j-local-restored";
/// One small node: the cheapest way to look into the backup of a cluster.
const SMALL: [(&str, &str); 4] =
    [("Dialect", "SINGLE"), ("CoreSize", "1"), ("HeapSize", "256m"), ("PageCacheSize", "32m")];
const FORMING: Duration = Duration::from_secs(120);
const QUERY: Duration = Duration::from_secs(10);

/// Deploys it, compares its graph with the manifest, and logs in as its own user. It ends with the cloud.
pub async fn found_from(cloud: &Cloud, folder: &str, say: impl Fn(&str)) -> Result<(), String> {
    let source = format!("s3://{}/{folder}", backups::bucket(cloud).await?);
    let expected = backups::manifest(cloud, folder).await?["counts"].take();
    say(&format!("a second stack is founded from {source}"));
    let (second, begun) = (cloud.of(&Stack::new(STACK)), Instant::now());
    let parameters = [&SMALL[..], &[("Snapshot", &source)]].concat();
    second.deploy(&parameters).await.map_err(|error| error.to_string())?;
    let forming = until(FORMING, || async {
        let status = second.status().await;
        formed(&status, 1).then_some(status)
    });
    let status = observed(forming, "the second stack has no master").await?;
    let (_, address, _) = master(&status).ok_or("the second stack has no master")?;
    let reader = second.login(User::Reader).await?;
    let found = counts((address, HTTP_PORT).into(), &reader, QUERY).await?;
    if found != expected {
        return Err(format!("the second stack has {found}, and its backup has {expected}"));
    }
    say(&format!(
        "its reader logs in and counts what the manifest says, {} nodes and {} relationships, {} s later",
        found["nodes"],
        found["relationships"],
        begun.elapsed().as_secs()
    ));
    Ok(())
}
