//! What a cluster is founded from, and when it is there: `Custom::SnapshotBootstrap` and `Custom::ClusterReady`.
//!
//! ```text
//! SnapshotBootstrap: Source --resolve: list, read, HEAD--> backups::Snapshot --Founding::intend--> conditional write
//! nodes:             founding.json --while it says founding--> restore, once
//! ClusterReady:      tasks, roles, counts --ready--> Founding::seal --> conditional write
//! ```
//!
//! Neither ever deletes or overwrites data. Both are called again until they are done, in further invocations if need be.

mod config;
mod hopeless;
mod live;
mod ready;
mod ready_resource;
mod record;
mod resolve;
mod roll;
mod snapshot_resource;
mod source;
mod storage;
mod world;

use custom_resource::{Https, Protocol};
use runtime::Environment;

pub use config::Config;
pub use ready::{Expected, Readiness, Seen, Slot, Standing, Wanted, ready, settled, sole_master};
pub use ready_resource::ClusterReady;
pub use record::{Record, Untold};
pub use resolve::{Refusal, resolve};
pub use roll::RollCheck;
pub use snapshot_resource::{Nodes, SnapshotBootstrap};
pub use source::{NotASource, Source};
pub use storage::Storage;
pub use world::{Uncounted, World};

/// Serves invocations until the process ends.
///
/// # Errors
/// At once, before the first poll, when a parameter is of no use (one sentence names it) or there are no root certificates.
pub async fn serve(environment: &Environment) -> Result<(), lambda_runtime::Error> {
    let config = Config::read(environment)?;
    let sdk = aws::sdk_config().await;
    let objects = aws::Objects::new(&sdk);
    let record = Record::new(objects.clone(), &config.state_bucket, &config.founding_key);
    let world = std::sync::Arc::new(live::Live::new(&sdk, &config));
    let protocol = Protocol::new(Https::new()?, aws::Invoke::new(&sdk, &config.function))
        .with(SnapshotBootstrap::new(
            objects,
            record.clone(),
            config.backup_bucket.clone(),
            config.version,
            Nodes::BeginEmpty,
        ))
        .with(RollCheck::new(std::sync::Arc::clone(&world), config.core_services.clone()))
        .with(ClusterReady::new(world, record, config.core_services, config.slave_only_services));
    custom_resource::serve(protocol).await
}
