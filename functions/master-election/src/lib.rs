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
mod request;
mod rounds;
mod switch;
mod tally;
mod world;

use lambda_runtime::{LambdaEvent, service_fn};
use runtime::Environment;
use serde_json::{Value, json};
use topology::Millis;

pub use config::Config;
pub use request::{Explained, NotUnderstood, Request, Told};
pub use rounds::{Outcome, explain, run};
pub use switch::Switch;
pub use tally::Tally;
pub use world::{Enough, Listing, Registered, Stored, Trouble, Version, World};

/// What is left for the answer when the loop ends: the longest round and the last log line.
const BEFORE_THE_DEADLINE_MS: u64 = 5_000;
const PAUSE_TRIES: u32 = 5;

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
    let config = &config;
    let handle = async |event: LambdaEvent<Value>| -> Result<Value, lambda_runtime::Error> {
        let until = Millis(event.context.deadline.saturating_sub(BEFORE_THE_DEADLINE_MS));
        let request = Request::read(&event.payload)?;
        // On the heap: as one value the futures of three SDKs are too deep for the compiler.
        Ok(Box::pin(answer(world, config, &event.context.request_id, &request, until)).await?)
    };
    lambda_runtime::run(service_fn(handle)).await
}

async fn answer(
    world: &live::Live,
    config: &Config,
    owner: &str,
    request: &Request,
    until: Millis,
) -> Result<Value, Trouble> {
    match request {
        Request::Sweep => {
            let ended = run(world, &config.policy, owner, until).await;
            match &ended {
                Ok(outcome) => outcome.tally.emit(&config.stack),
                Err(trouble) => tracing::error!(event = "sweep-failed", "{trouble}"),
            }
            Ok(json!(ended?))
        }
        Request::Explain => Ok(json!(Explained::from(explain(world, &config.policy).await?))),
        Request::History => Ok(json!(Told::from(world.load().await?.0))),
        Request::Pause { .. } | Request::Resume => Ok(json!(pause(world, request).await?)),
    }
}

/// Writes the pause, or its end. A sweep may write at the same moment: then it is tried again on what that one wrote.
async fn pause<W: World>(world: &W, request: &Request) -> Result<Told, Trouble> {
    for _try in 0..PAUSE_TRIES {
        let (mut state, version) = world.load().await?;
        let now = world.now();
        state.pause(now, request.pause(now));
        if let Stored::Written(_) = world.store(&state, &version).await? {
            tracing::warn!(event = "pause", pause = ?state.pause, "the pause was changed");
            return Ok(state.into());
        }
    }
    Err(Trouble::Contended)
}
