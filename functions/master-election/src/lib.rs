//! Keeps exactly the elected master behind the write groups.
//!
//! ```text
//! schedule --> run: [ list, probe, read groups --> topology::decide --> conditional write of the state --> calls ]
//!                    `---------------- again every 50 ms while something is under way ---------------------'
//! ```
//!
//! The event that invokes it decides nothing: it is only the moment of looking.

mod config;
mod events;
mod live;
mod rounds;
mod switch;
mod world;

use lambda_runtime::{LambdaEvent, service_fn};
use runtime::Environment;
use serde_json::Value;
use topology::Millis;

pub use config::Config;
pub use rounds::{Outcome, run};
pub use switch::Switch;
pub use world::{Listing, Stored, Trouble, Version, World};

/// What is left for the answer when the loop ends: the longest round and the last log line.
const BEFORE_THE_DEADLINE_MS: u64 = 5_000;

/// Serves invocations until the process ends.
///
/// # Errors
/// At once, before the first poll, when a parameter is of no use: one sentence that names it.
pub async fn serve(environment: &Environment) -> Result<(), lambda_runtime::Error> {
    let config = Config::read(environment)?;
    if let Some(warning) = config.policy.warning() {
        tracing::warn!(event = "parameters", "{warning}");
    }
    let world = &live::Live::new(&aws::sdk_config().await, &config);
    let policy = &config.policy;
    let handle = async |event: LambdaEvent<Value>| -> Result<Outcome, lambda_runtime::Error> {
        let until = Millis(event.context.deadline.saturating_sub(BEFORE_THE_DEADLINE_MS));
        // On the heap: as one value the futures of two SDKs are too deep for the compiler.
        let ended = Box::pin(run(world, policy, until)).await;
        if let Err(trouble) = &ended {
            tracing::error!(event = "sweep-failed", "{trouble}");
        }
        Ok(ended?)
    };
    lambda_runtime::run(service_fn(handle)).await
}
