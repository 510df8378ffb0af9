//! Keeps Neo4j's users the same on every node.
//!
//! ```text
//! CloudFormation --> Custom::Neo4jUser --> record --.
//!                                                   v
//! schedule --> reconcile: every record --> all nodes at once: [ look --> plan --> change ]... --> proof
//! ```
//!
//! In 3.x users are files of each instance, so "the same everywhere" is nobody's work but this function's.

mod admin;
mod apply;
mod config;
mod desired;
mod events;
mod everywhere;
mod follow;
mod live;
mod node;
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

use custom_resource::{Handled, Https, Invocation, Protocol, is_request, lenient};
use lambda_runtime::{LambdaEvent, service_fn};
use runtime::Environment;
use serde_json::{Value, json, value::RawValue};
use tokio::time::{Instant, timeout};

pub use config::Config;
pub use desired::{Desired, NotARecord, Record};
pub use everywhere::Told;
pub use node::{Applied, Problem, Target};
pub use plan::{Observed, Password, Refusal, plan};
pub use properties::Properties;
pub use reconcile::{Summary, reconcile};
pub use resource::Neo4jUser;
pub use said::{Answer, RequestId, Said, expired};
pub use secrets::Passwords;
pub use user_records::UserRecords;
pub use world::{Node, Trouble, World};

/// What is left for the answer when a reconcile is broken off.
const BEFORE_THE_DEADLINE: Duration = Duration::from_secs(5);

/// Before that no change of a node is under way any more, and what was changed is compared with the records: a few calls to AWS, of
/// 10 s at most each.
const FOR_THE_RECORDS: Duration = Duration::from_secs(45);

/// Serves invocations until the process ends: CloudFormation's requests, and for every other event a reconcile.
///
/// # Errors
/// At once, before the first poll, when a parameter is of no use: one sentence that names it.
pub async fn serve(environment: &Environment) -> Result<(), lambda_runtime::Error> {
    let config = Config::read(environment)?;
    let sdk = aws::sdk_config().await;
    let world = Arc::new(live::Live::new(&sdk, &config));
    let itself = aws::Invoke::new(&sdk, environment.need("AWS_LAMBDA_FUNCTION_NAME")?);
    let protocol = Protocol::new(Https::new()?, itself)
        .with(Neo4jUser::new(Arc::clone(&world), config.clone()))
        .with(UserRecords::new(Arc::clone(&world), config.clone()));
    let (protocol, world, config) = (&protocol, &*world, &config);
    let handle = async |event: LambdaEvent<Box<RawValue>>| -> Result<Value, lambda_runtime::Error> {
        let payload = lenient(event.payload.get());
        if is_request(&payload) {
            let invocation = Invocation::from(&event.context);
            // On the heap: as one value the futures of three SDKs are too deep for the compiler.
            return match Box::pin(protocol.handle(&payload, invocation)).await {
                Handled::Undelivered => Err("the answer could not be delivered".into()),
                handled => Ok(json!({"handled": format!("{handled:?}")})),
            };
        }
        let time = remaining(event.context.deadline).saturating_sub(BEFORE_THE_DEADLINE);
        let until = Instant::now() + time.saturating_sub(FOR_THE_RECORDS);
        let summary = timeout(time, Box::pin(reconcile(world, config, until))).await.map_err(|_| {
            format!("the reconcile was broken off after {} s: raise the function's timeout", time.as_secs())
        })??;
        summary.emit(&config.stack);
        Ok(json!(summary))
    };
    lambda_runtime::run(service_fn(handle)).await
}

fn remaining(deadline_ms: u64) -> Duration {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    Duration::from_millis(deadline_ms).saturating_sub(now)
}
