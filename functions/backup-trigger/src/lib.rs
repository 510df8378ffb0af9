//! Starts backups when they are due, concludes them, and lets go of what is not kept.
//!
//! ```text
//! schedule, event --> tick: [ state, owner, task, catalogue, nodes --decide--> conditional write --> calls ]
//!                                                                  `- due, choose: which, from where
//! worker (node backup), on Fargate --> data --> manifest: the commit
//! ```
//!
//! **Level-triggered.** The event that invokes it decides nothing: a tick that was lost, late or doubled is
//! made good by the next one.
//!
//! **At most one run at a time.** A run is written before its worker is started, and the write is conditional;
//! the worker is started with a token, so that a tick that died in between leaves no second one.

mod act;
mod action;
mod again;
mod choose;
mod conclude;
mod config;
mod decide;
mod due;
#[cfg(test)]
mod example;
mod live;
mod look;
mod news;
mod node;
mod policy;
mod refusal;
mod request;
mod runs;
mod schedule;
mod scratch;
mod show;
mod slow;
mod tally;
mod tick;
mod view;
mod world;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use lambda_runtime::{LambdaEvent, service_fn};
use runtime::Environment;
use serde_json::{Value, json};

pub use action::Action;
pub use choose::{Choice, Wanted, choose};
pub use config::{Config, ELECTION_KEY, OWNER_KEY, STATE_KEY};
pub use decide::{Decision, decide};
pub use due::{Doubt, Due, Wish, due};
pub use live::EXPIRED;
pub use look::Memory;
pub use news::News;
pub use node::{Node, Role};
pub use policy::Policy;
pub use refusal::{Refusal, Unfit};
pub use request::{Explained, NotUnderstood, Request, Unwanted, request};
pub use runs::{Ended as EndedRun, FORMAT, How, NotRuns, Request as Requested, Run, Runs};
pub use schedule::{DailyAt, NotATimeOfDay, Schedule};
pub use scratch::{TooLarge, scratch_gib};
pub use show::{Line, Shown, show};
pub use slow::Slow;
pub use tally::Tally;
pub use tick::{Ended, Outcome, explain, tick};
pub use view::{Owner, Started, View};
pub use world::{Stored, Trouble, Version, World};

/// The time for the answer and the metrics when a tick is given up.
const BEFORE_THE_DEADLINE: Duration = Duration::from_secs(3);

/// Serves invocations until the process ends.
///
/// # Errors
/// At once, before the first poll, when a parameter is invalid: one sentence that names it.
pub async fn serve(environment: &Environment) -> Result<(), lambda_runtime::Error> {
    let config = Config::read(environment)?;
    let world = &live::Live::new(&aws::sdk_config().await, &config);
    let (config, memory) = (&config, &Memory::default());
    let handle = async |event: LambdaEvent<Value>| -> Result<Value, lambda_runtime::Error> {
        let request = Request::read(&event.payload, &config.cluster)?;
        let ends = UNIX_EPOCH + Duration::from_millis(event.context.deadline);
        let left = ends.duration_since(SystemTime::now()).unwrap_or_default();
        // Boxed: as one value the futures of three SDKs are too deep for the compiler.
        let answer = Box::pin(answer(world, config, memory, &request));
        match tokio::time::timeout(left.saturating_sub(BEFORE_THE_DEADLINE), answer).await {
            Ok(answered) => answered,
            Err(_over) => Err(Trouble::OutOfTime.into()),
        }
    };
    lambda_runtime::run(service_fn(handle)).await
}

async fn answer(
    world: &live::Live,
    config: &Config,
    memory: &Memory,
    asked: &Request,
) -> Result<Value, lambda_runtime::Error> {
    let policy = &config.policy;
    match asked {
        Request::Tick => ticked(world, config, memory).await,
        Request::Manual { slot } => {
            request(world, slot.clone()).await?;
            ticked(world, config, memory).await
        }
        Request::Explain => Ok(json!(Explained::from(explain(world, policy, memory).await?))),
        Request::History => Ok(json!(world.load().await?.0)),
        Request::Catalogue => {
            let catalogue = look::catalogue(world, memory).await?;
            Ok(json!(show(world.now(), world.owner().await?, &catalogue, &policy.retention)))
        }
    }
}

async fn ticked(
    world: &live::Live,
    config: &Config,
    memory: &Memory,
) -> Result<Value, lambda_runtime::Error> {
    let ended = tick(world, &config.policy, memory).await;
    if let Some(tally) = &ended.tally {
        tally.emit(&config.cluster.stack);
    }
    if let Err(trouble) = &ended.outcome {
        tracing::error!(event = "tick-failed", "{trouble}");
    }
    Ok(json!(ended.outcome?))
}
