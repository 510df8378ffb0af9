//! API calls that are throttled: a token bucket for each action that a test limits.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard},
    time::Instant,
};

use super::faults::Fault;

/// The limits. Clones are the same limits; none is set at first.
#[derive(Clone, Debug, Default)]
pub struct Rates(Arc<Mutex<BTreeMap<(String, String), Bucket>>>);

impl Rates {
    /// Lets `per_second` calls of `action` through, and `burst` at once.
    pub fn limit(&self, service: &str, action: &str, per_second: f64, burst: f64) {
        let bucket = Bucket::full(per_second, burst, Instant::now());
        self.buckets().insert((service.to_owned(), action.to_owned()), bucket);
    }

    /// Lets all calls through again.
    pub fn lift(&self) {
        self.buckets().clear();
    }

    /// The refusal of a call that comes too soon.
    pub(super) fn refuse(&self, service: &str, action: &str, now: Instant) -> Option<Fault> {
        let mut buckets = self.buckets();
        let bucket = buckets.get_mut(&(service.to_owned(), action.to_owned()))?;
        (!bucket.take(now)).then(|| {
            let (code, status) = match service {
                "s3" => ("SlowDown", 503),
                "lambda" => ("TooManyRequestsException", 429),
                // The services of the query protocol.
                "elasticloadbalancing" | "cloudformation" => ("Throttling", 400),
                _ => ("ThrottlingException", 400),
            };
            Fault { message: "Rate exceeded".into(), ..Fault::refused(service, action, 0, code, status) }
        })
    }

    fn buckets(&self) -> MutexGuard<'_, BTreeMap<(String, String), Bucket>> {
        self.0.lock().expect("no panic while the limits are held")
    }
}

/// A token bucket: `burst` tokens at most, `per_second` new ones.
#[derive(Clone, Debug)]
struct Bucket {
    per_second: f64,
    burst: f64,
    tokens: f64,
    at: Instant,
}

impl Bucket {
    fn full(per_second: f64, burst: f64, now: Instant) -> Self {
        Self { per_second, burst, tokens: burst, at: now }
    }

    /// Takes a token if there is one.
    fn take(&mut self, now: Instant) -> bool {
        let new = now.saturating_duration_since(self.at).as_secs_f64() * self.per_second;
        (self.tokens, self.at) = ((self.tokens + new).min(self.burst), self.at.max(now));
        let taken = self.tokens >= 1.0;
        if taken {
            self.tokens -= 1.0;
        }
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_burst_is_taken_at_once_and_the_rest_at_the_rate() {
        let begun = Instant::now();
        let mut bucket = Bucket::full(3.0, 5.0, begun);
        let mut taken = |millis: u64, calls: usize| {
            (0..calls).filter(|_| bucket.take(begun + Duration::from_millis(millis))).count()
        };
        assert_eq!(taken(0, 20), 5, "the burst");
        assert_eq!(taken(333, 20), 0, "not yet a whole token");
        assert_eq!(taken(334, 20), 1);
        assert_eq!(taken(1334, 20), 3, "three a second");
        assert_eq!(taken(1000, 20), 0, "a clock that goes back gives none");
        assert_eq!(taken(600_000, 20), 5, "no more than the burst is saved");
    }

    #[test]
    fn a_limit_is_for_one_action_and_is_lifted() {
        let (rates, now) = (Rates::default(), Instant::now());
        rates.limit("ssm", "PutParameter", 3.0, 1.0);
        assert!(rates.refuse("ssm", "PutParameter", now).is_none());
        let refusal = rates.refuse("ssm", "PutParameter", now).unwrap();
        assert_eq!((refusal.code.as_str(), refusal.status), ("ThrottlingException", 400));
        assert!(rates.refuse("ssm", "GetParameter", now).is_none());
        rates.lift();
        assert!(rates.refuse("ssm", "PutParameter", now).is_none());
    }
}
