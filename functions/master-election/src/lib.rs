//! Keeps exactly the elected master behind the write groups.
//!
//! ```text
//! schedule --> run: [ list, probe, read groups --> topology::decide --> conditional write of the state --> calls ]
//!                    `---------------- again every 50 ms while something is under way ---------------------'
//! ```
//!
//! The event that invokes it decides nothing: it only says when to look.

mod act;
mod branched;
mod config;
mod events;
mod invocation;
mod live;
mod look;
mod pausing;
mod request;
mod rounds;
mod switch;
mod tally;
mod world;

use lambda_runtime::{LambdaEvent, service_fn};
use runtime::Environment;
use serde_json::{Value, json};
use topology::Millis;

pub use config::{Config, STATE_KEY};
pub use invocation::Invoked;
pub use pausing::pause;
pub use request::Acting;
pub use request::{Explained, NotUnderstood, Request, Told};
pub use rounds::{Ended, Outcome, explain, run};
pub use switch::Switch;
pub use tally::Tally;
pub use world::{Enough, Listing, Registered, Stored, Trouble, Version, World};

/// The time for the answer when the loop ends: a round that is given up, giving back the
/// lease, and the last log line.
const BEFORE_THE_DEADLINE_MS: u64 = 5_000;

/// Serves invocations until the process ends.
///
/// # Errors
/// At once, before the first poll, when a parameter is invalid: one sentence that names it.
pub async fn serve(environment: &Environment) -> Result<(), lambda_runtime::Error> {
    let config = Config::read(environment)?;
    if let Some(warning) = config.policy.warning() {
        tracing::warn!(event = "parameters", "{warning}");
    }
    let world = &live::Live::new(&aws::sdk_config().await, &config);
    let config = &config;
    let handle = async |event: LambdaEvent<Value>| -> Result<Value, lambda_runtime::Error> {
        let until = Millis(event.context.deadline.saturating_sub(BEFORE_THE_DEADLINE_MS));
        let request = Request::read(&event.payload)?;
        // Before the look, whatever its outcome: the bell may give way to another invocation.
        if let Some(slot) = branched::rung(&event.payload, &config.cluster) {
            branched::report(slot, &config.cluster.stack);
        }
        let owner = unique(&event.context.request_id)?;
        // Boxed: as one value the futures of three SDKs are too deep for the compiler.
        Ok(Box::pin(answer(world, config, &owner, &request, until)).await?)
    };
    lambda_runtime::run(service_fn(handle)).await
}

/// The request id alone does not identify an invocation: an event that is delivered twice has the same one.
fn unique(request_id: &str) -> Result<String, getrandom::Error> {
    let mut random = [0; 4];
    getrandom::fill(&mut random)?;
    Ok(format!("{request_id}/{:08x}", u32::from_be_bytes(random)))
}

async fn answer(
    world: &live::Live,
    config: &Config,
    owner: &str,
    request: &Request,
    until: Millis,
) -> Result<Value, Trouble> {
    match request {
        Request::Sweep { rung } => {
            let invoked = Invoked { owner, rung: *rung, until };
            let ended = run(world, &config.policy, invoked).await;
            if let Some(tally) = &ended.tally {
                tally.emit(&config.cluster.stack);
            }
            if let Err(trouble) = &ended.outcome {
                tracing::error!(event = "sweep-failed", "{trouble}");
            }
            Ok(json!(ended.outcome?))
        }
        Request::Explain => Ok(json!(Explained::from(explain(world, &config.policy).await?))),
        Request::History => Ok(json!(Told::from(world.load().await?.0))),
        Request::Pause { .. } | Request::Resume => Ok(json!(pause(world, request, until).await?)),
    }
}
