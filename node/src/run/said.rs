//! Why something is waited for is said when it changes, and once in a while.

use std::time::{Duration, Instant};

/// The same reason is said again only so often.
const SAY_AGAIN: Duration = Duration::from_secs(30);

/// What was said last, and when.
#[derive(Default)]
pub struct Said(Option<(String, Instant)>);

impl Said {
    /// Whether `reason` is to be said now; from then on it was.
    pub fn is_new(&mut self, reason: &str) -> bool {
        let new = self.0.as_ref().is_none_or(|(last, at)| last != reason || at.elapsed() >= SAY_AGAIN);
        if new {
            self.0 = Some((reason.to_owned(), Instant::now()));
        }
        new
    }
}
