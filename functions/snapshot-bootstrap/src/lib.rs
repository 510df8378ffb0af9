//! What a cluster is founded from, and when it is there: `Custom::SnapshotBootstrap`
//! and `Custom::ClusterReady`.
//!
//! ```text
//! SnapshotBootstrap: Source --choose, resolve: list, read, HEAD--> backups::Snapshot --Founding::intend--> conditional write
//! nodes:             founding.json --while it says founding--> restore, once
//! ClusterReady:      tasks, roles, counts --ready--> Founding::seal --> conditional write
//! ```
//!
//! Neither ever deletes or overwrites data. Both are called again until they are done, in further
//! invocations if necessary.

mod choose;
mod config;
mod hopeless;
mod live;
mod progress;
mod ready;
mod ready_resource;
mod record;
mod refusal;
mod rejoined;
mod resolve;
mod roll;
mod snapshot_resource;
mod source;
mod storage;
mod world;

use backups::FOUNDING_KEY;
use custom_resource::{Https, OneInvocation, Protocol, Unable};
use runtime::Environment;

pub use config::Config;
pub use ready::{
    Expected, Readiness, Seen, Sighting, Standing, Wanted, not_restored, ready, settled, sole_master,
};
pub use ready_resource::ClusterReady;
pub use record::{Record, Untold};
pub use refusal::Refusal;
pub use resolve::{Resolved, resolve};
pub use roll::RollCheck;
pub use snapshot_resource::SnapshotBootstrap;
pub use source::{NotASource, Source};
pub use storage::Storage;
pub use world::{Uncounted, World};

/// Serves invocations until the process ends. No parameter keeps it from answering: with an invalid one,
/// requests are answered without being executed.
///
/// # Errors
/// Errors of the runtime; before the first poll only without root certificates, because then
/// no answer could be sent.
pub async fn serve(environment: &Environment) -> Result<(), lambda_runtime::Error> {
    // First of all, because the clients of AWS need root certificates too.
    let https = Https::new()?;
    let config = match Config::read(environment) {
        Ok(config) => config,
        Err(invalid) => {
            let unable = Unable::because(invalid);
            let protocol = Protocol::new(https, OneInvocation)
                .without::<SnapshotBootstrap<aws::Objects>>(&unable)
                .without::<RollCheck<live::Live>>(&unable)
                .without::<ClusterReady<live::Live, aws::Objects>>(&unable);
            return custom_resource::serve(protocol).await;
        }
    };
    let sdk = aws::sdk_config().await;
    let objects = aws::Objects::new(&sdk);
    let record = Record::new(objects.clone(), &config.state_bucket, FOUNDING_KEY);
    let world = std::sync::Arc::new(live::Live::new(&sdk, &config));
    let protocol = Protocol::new(https, aws::Invoke::new(&sdk, &config.function))
        .with(SnapshotBootstrap::new(
            objects,
            record.clone(),
            config.state_bucket.clone(),
            config.cluster.version,
        ))
        .with(RollCheck::new(std::sync::Arc::clone(&world), &config.cluster.slots))
        .with(ClusterReady::new(world, record, config.cluster.slots));
    custom_resource::serve(protocol).await
}
