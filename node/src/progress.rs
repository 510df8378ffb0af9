//! How far a backup or a restore is: a line every few seconds, of which the last one before an end says where it ended.

use std::{
    convert::Infallible,
    fmt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use tokio::time::{Instant, sleep};
use tracing::info;

/// From one line to the next. Ten seconds are promised.
const EVERY: Duration = Duration::from_secs(5);

/// Where it is. Clones are of the same one.
#[derive(Clone)]
pub struct Meter<P>(Arc<State<P>>);

struct State<P> {
    phase: Mutex<(P, Option<u64>, Instant)>,
    done: AtomicU64,
}

impl<P: Copy + fmt::Display> Meter<P> {
    /// In the phase `first`.
    pub fn new(first: P) -> Self {
        let phase = Mutex::new((first, None, Instant::now()));
        Self(Arc::new(State { phase, done: AtomicU64::new(0) }))
    }

    /// A phase begins, with so many bytes to go if that is known.
    pub fn enter(&self, phase: P, total: Option<u64>) {
        self.0.done.store(0, Relaxed);
        *self.0.phase.lock().unwrap_or_else(PoisonError::into_inner) = (phase, total, Instant::now());
    }

    pub fn phase(&self) -> P {
        self.figures().phase
    }

    /// For how long the phase goes on.
    pub fn elapsed(&self) -> Duration {
        self.figures().elapsed
    }

    /// So many bytes more are done.
    pub fn add(&self, bytes: u64) {
        self.0.done.fetch_add(bytes, Relaxed);
    }

    /// So many bytes are done altogether.
    pub fn set(&self, bytes: u64) {
        self.0.done.store(bytes, Relaxed);
    }

    /// How far it is now.
    pub fn figures(&self) -> Figures<P> {
        let (phase, total, began) = *self.0.phase.lock().unwrap_or_else(PoisonError::into_inner);
        Figures { phase, done: self.0.done.load(Relaxed), total, elapsed: began.elapsed() }
    }

    /// Logs lines as this `event`, for as long as it is polled.
    pub async fn report(&self, event: &'static str) -> Infallible {
        loop {
            sleep(EVERY).await;
            let figures = self.figures();
            info!(
                event,
                phase = %figures.phase,
                percent = figures.percent(),
                mb_per_second = figures.speed(),
                seconds_left = figures.left(),
                "{figures}"
            );
        }
    }
}

/// What a line is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Figures<P> {
    phase: P,
    done: u64,
    total: Option<u64>,
    elapsed: Duration,
}

impl<P> Figures<P> {
    /// Up to 99: what is reported as going on is not done.
    pub fn percent(&self) -> Option<u64> {
        let total = self.total.filter(|total| *total > 0)?;
        Some(u64::try_from(u128::from(self.done) * 100 / u128::from(total)).unwrap_or(99).min(99))
    }

    /// MB of 10^6 bytes in a second; `None` before the first one.
    fn speed(&self) -> Option<u64> {
        let per_second = u128::from(self.done) * 1000 / self.elapsed.as_millis().max(1);
        (self.done > 0).then(|| u64::try_from(per_second / 1_000_000).unwrap_or(u64::MAX))
    }

    /// Seconds, if it goes on as fast as until now.
    fn left(&self) -> Option<u64> {
        let left = u128::from(self.total?.checked_sub(self.done)?);
        let millis = (left * self.elapsed.as_millis()).checked_div(u128::from(self.done))?;
        u64::try_from(millis.div_ceil(1000)).ok()
    }
}

impl<P: fmt::Display> fmt::Display for Figures<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.phase)?;
        match (self.percent(), self.total) {
            (Some(percent), Some(total)) => write!(f, "{percent} % of {}, ", mb(total))?,
            _ if self.done > 0 => write!(f, "{} so far, ", mb(self.done))?,
            _ => {}
        }
        if let Some(speed) = self.speed() {
            write!(f, "{speed} MB/s, ")?;
        }
        match self.left() {
            Some(left) => write!(f, "{left} s left"),
            None => write!(f, "for {} s", self.elapsed.as_secs()),
        }
    }
}

/// MB of 10^6 bytes, rounded up, as disks and networks are sold.
pub fn mb(bytes: u64) -> String {
    format!("{} MB", bytes.div_ceil(1_000_000))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(done: u64, total: Option<u64>, seconds: u64) -> String {
        let elapsed = Duration::from_secs(seconds);
        Figures { phase: "stream", done, total, elapsed }.to_string()
    }

    #[test]
    fn a_line_says_percent_speed_and_time_left() {
        assert_eq!(line(300_000_000, Some(1_000_000_000), 10), "stream: 30 % of 1000 MB, 30 MB/s, 24 s left");
        assert_eq!(line(1_000_000, Some(1_000_000), 1), "stream: 99 % of 1 MB, 1 MB/s, 0 s left");
    }

    #[test]
    fn what_is_not_known_is_left_out() {
        assert_eq!(line(50_000_000, None, 5), "stream: 50 MB so far, 10 MB/s, for 5 s");
        assert_eq!(line(0, None, 12), "stream: for 12 s");
        assert_eq!(line(0, Some(1_000_000), 12), "stream: 0 % of 1 MB, for 12 s");
        assert_eq!(line(3_000_000, Some(2_000_000), 1), "stream: 99 % of 2 MB, 3 MB/s, for 1 s");
        assert_eq!(
            line(u64::MAX, Some(u64::MAX), 0).split(',').next(),
            Some("stream: 99 % of 18446744073710 MB")
        );
    }

    #[test]
    fn a_phase_begins_with_nothing_done() {
        let meter = Meter::new("scratch");
        assert_eq!(meter.phase(), "scratch");
        meter.enter("copy", Some(7));
        meter.set(5);
        meter.add(1);
        assert_eq!((meter.figures().done, meter.figures().total), (6, Some(7)));
        meter.enter("check", None);
        assert_eq!((meter.figures().done, meter.figures().total, meter.phase()), (0, None, "check"));
    }
}
