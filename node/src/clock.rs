//! The time of day, as backups have it.

use std::time::{SystemTime, UNIX_EPOCH};

use backups::Time;

/// Now, in whole seconds.
pub fn now() -> Time {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    Time::of_epoch(since.map_or(0, |since| since.as_secs()))
}
