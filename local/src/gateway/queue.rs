//! Lambda's queue of asynchronous invocations: an event whose function is throttled stays in it while it is young.
//!
//! The emulator accepts an asynchronous invocation and drops it when the function is throttled. So the queue is here, and
//! what the emulator gets is the synchronous invocation that a worker of the queue makes.

use std::time::{Duration, Instant};

use serde_json::Value;
use tracing::warn;

use crate::emulator::{Emulator, Error, Limits, Ran};

/// After a throttled try the wait is a second, doubled each time up to five minutes.
const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(300);
/// After an error of the function itself: a minute, then two.
const AFTER_ERROR: Duration = Duration::from_secs(60);

/// What became of the tries so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tries {
    /// The function was throttled, or Lambda failed.
    pub throttled: u32,
    /// The function ran and failed.
    pub failed: u32,
}

/// How long an event that is `age` old waits for its next try; none when it is dropped.
pub fn wait(limits: Limits, tries: Tries, last: Ran, age: Duration) -> Option<Duration> {
    let doubled = |times: u32| 2_u32.saturating_pow(times.saturating_sub(1));
    let wait = match last {
        Ran::Well => return None,
        Ran::Throttled => FIRST_WAIT.saturating_mul(doubled(tries.throttled)).min(LONGEST_WAIT),
        Ran::Failed if tries.failed > limits.retries => return None,
        Ran::Failed => AFTER_ERROR.saturating_mul(doubled(tries.failed)),
    };
    (age + wait <= limits.age).then_some(wait)
}

/// How a delivery ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The function returned a result.
    Well,
    /// The event was dropped after these tries, the last of which ended so.
    Dropped(Ran, Tries),
    /// There is no such function.
    Refused(String),
}

/// Delivers `event` to `function`, as often as it takes and as `limits` allow.
pub async fn deliver(emulator: Emulator, function: &str, event: &Value, limits: Limits) -> Ended {
    let (queued, mut tries) = (Instant::now(), Tries::default());
    loop {
        let last = match emulator.invoke(function, event).await {
            Ok(ran) => ran,
            Err(error @ Error::Refused { .. }) => {
                warn!(function, %error, "an event was dropped from the queue: its function is not to be had");
                return Ended::Refused(error.to_string());
            }
            Err(error) => {
                warn!(function, %error, "an event stays in the queue");
                Ran::Throttled
            }
        };
        match last {
            Ran::Well => return Ended::Well,
            Ran::Throttled => tries.throttled += 1,
            Ran::Failed => tries.failed += 1,
        }
        let Some(wait) = wait(limits, tries, last, queued.elapsed()) else {
            warn!(function, ?last, ?tries, "an event was dropped from the queue");
            return Ended::Dropped(last, tries);
        };
        tokio::time::sleep(wait).await;
    }
}
