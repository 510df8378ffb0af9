//! Keeps Neo4j's users the same on every node.
//!
//! ```text
//! CloudFormation --> Custom::Neo4jUser --> record --.
//!                                                   v
//! schedule --> reconcile: every record --> all nodes at once: [ look --> plan --> change ]... --> proof
//! ```
//!
//! In 3.x users are files of each instance, so only this function makes them "the same everywhere".

mod admin;
mod apply;
mod config;
mod converge;
mod desired;
mod events;
mod everywhere;
mod follow;
mod live;
mod once;
mod plan;
mod properties;
mod reconcile;
mod remove;
mod resource;
mod round;
mod said;
mod secrets;
mod user_records;
mod world;

use std::{sync::Arc, time::Duration};

use custom_resource::{Https, OneInvocation, Protocol, Unable, serve_beside};
use runtime::Environment;
use serde_json::json;
use tokio::time::{Instant, timeout};

pub use config::Config;
pub use converge::{Applied, Problem, Target};
pub use desired::{Desired, NotARecord, Record};
pub use everywhere::Told;
pub use plan::{Observed, Password, Refusal, plan};
pub use properties::Properties;
pub use reconcile::{Summary, reconcile};
pub use resource::Neo4jUser;
pub use said::{Answer, RequestId, Said, expired};
pub use secrets::Passwords;
pub use user_records::UserRecords;
pub use world::{Node, Trouble, World};

/// The time for the answer when a reconcile is broken off.
const BEFORE_THE_DEADLINE: Duration = Duration::from_secs(5);

/// The time kept at the end, when no change of a node is in progress any more, to compare what was changed
/// with the records: a few calls to AWS, of at most 10 s each.
const FOR_THE_RECORDS: Duration = Duration::from_secs(45);

/// Serves invocations until the process ends: CloudFormation's requests, and for every other event a
/// reconcile. No parameter keeps it from answering: with an invalid one, requests are answered without being
/// executed, and a reconcile is an error.
///
/// # Errors
/// Errors of the runtime; before the first poll only without root certificates, because then
/// no answer could be sent.
pub async fn serve(environment: &Environment) -> Result<(), lambda_runtime::Error> {
    // First of all, because the clients of AWS need root certificates too.
    let https = Https::new()?;
    match Config::read(environment) {
        Ok(config) => work(https, config).await,
        Err(invalid) => {
            let unable = Unable::because(invalid);
            let protocol = Protocol::new(https, OneInvocation)
                .without::<Neo4jUser<live::Live>>(&unable)
                .without::<UserRecords<live::Live>>(&unable);
            serve_beside(protocol, async |_event, _invocation| Err(unable.to_string().into())).await
        }
    }
}

async fn work(https: Https, config: Config) -> Result<(), lambda_runtime::Error> {
    let sdk = aws::sdk_config().await;
    let world = Arc::new(live::Live::new(&sdk, &config));
    let protocol = Protocol::new(https, aws::Invoke::new(&sdk, config.function.clone()))
        .with(Neo4jUser::new(Arc::clone(&world), config.clone()))
        .with(UserRecords::new(Arc::clone(&world), config.clone()));
    let (world, config) = (&*world, &config);
    serve_beside(protocol, async |_event, invocation| {
        let time = invocation.remaining().saturating_sub(BEFORE_THE_DEADLINE);
        let until = Instant::now() + time.saturating_sub(FOR_THE_RECORDS);
        let summary = timeout(time, Box::pin(reconcile(world, config, until))).await.map_err(|_| {
            format!("the reconcile was broken off after {} s: raise the function's timeout", time.as_secs())
        })??;
        summary.emit(&config.cluster.stack);
        Ok(json!(summary))
    })
    .await
}
