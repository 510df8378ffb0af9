//! How long an invocation works, and how much time is kept for the answer. Plain arithmetic on moments.

use std::time::Duration;

use tokio::time::Instant;

/// Kept for the hand-over or the answer: two PUTs without an answer (2 s each) and a
/// hand-over that is retried.
const RESERVE: Duration = Duration::from_secs(10);
/// CloudFormation's clock starts before ours (a cold start, a queue), and the answer travels through S3: at
/// most this much of its timeout is left for that...
const STACK_RESERVE: Duration = Duration::from_secs(30);
/// ...and of short timeouts a tenth.
const STACK_SHARE: u32 = 10;
/// A further call is made in this invocation while this share of its time is left. Whole invocations
/// are used up because Lambda stops a function that invoked itself some sixteen times in a row
/// (recursive loop detection).
const WORTH_A_CALL: u32 = 4;

/// A resource that asks for no pause gets this one: it must not spin for minutes.
const SHORTEST_PAUSE: Duration = Duration::from_millis(100);
/// A longer pause is longer than CloudFormation waits, and would overflow a clock.
const LONGEST_PAUSE: Duration = Duration::from_secs(24 * 3600);

/// The moments of one invocation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limits {
    begun: Instant,
    /// The end of work in this invocation.
    pub(crate) work: Instant,
    /// The end of work altogether: CloudFormation's timeout, with a margin.
    pub(crate) stack: Instant,
    /// When Lambda ends the function.
    deadline: Instant,
}

/// What to do with a resource that is not done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// Call it again here, at this moment.
    Here(Instant),
    /// Invoke the function again, at this moment; the next invocation waits for the rest of the pause.
    HandOver(Instant),
    /// CloudFormation will have given up before the next call could report anything.
    GiveUp,
}

impl Limits {
    /// Limits of an invocation with `remaining` left, for a request that is `age` old.
    pub(crate) fn new(begun: Instant, remaining: Duration, age: Duration, service_timeout: Duration) -> Self {
        let margin = STACK_RESERVE.min(service_timeout / STACK_SHARE);
        let stack = begun + service_timeout.saturating_sub(margin).saturating_sub(age);
        let work = begun + remaining.saturating_sub(RESERVE.min(remaining / 2));
        Self { begun, work: work.min(stack), stack, deadline: begun + remaining }
    }

    /// What follows a call that wants to go on after a pause.
    pub(crate) fn next(&self, now: Instant, pause: Duration) -> Next {
        let again = now + pause.clamp(SHORTEST_PAUSE, LONGEST_PAUSE);
        let enough = (self.work - self.begun) / WORTH_A_CALL;
        if again >= self.stack {
            Next::GiveUp
        } else if self.work == self.stack || again + enough <= self.work {
            Next::Here(again)
        } else {
            Next::HandOver(again.min(self.work))
        }
    }

    /// When the hand-over must have succeeded: after that there is only time to answer that it did not.
    pub(crate) fn hand_over(&self, now: Instant) -> Instant {
        now + self.deadline.saturating_duration_since(now) / 2
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[tokio::test(start_paused = true)]
    async fn work_ends_early_enough_for_the_answer() {
        let now = Instant::now();
        let limits = |remaining, age, timeout| Limits::new(now, remaining, seconds(age), seconds(timeout));
        assert_eq!(limits(seconds(900), 0, 3600).work, now + seconds(890));
        assert_eq!(limits(seconds(2), 0, 3600).work, now + seconds(1));
        assert_eq!(limits(seconds(0), 0, 3600).work, now);
        assert_eq!(limits(seconds(900), 0, 3600).stack, now + seconds(3570));
        assert_eq!(limits(seconds(900), 3500, 3600).work, now + seconds(70));
        assert_eq!(limits(seconds(900), 5000, 3600).work, now);
        assert_eq!(limits(seconds(900), 0, 60).work, now + seconds(54));
        assert_eq!(limits(seconds(900), 0, 1).stack, now + Duration::from_millis(900));
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_not_done_goes_on_here_then_elsewhere_then_not_at_all() {
        let begun = Instant::now();
        let limits = Limits::new(begun, seconds(110), seconds(0), seconds(1000));
        let table = [
            (0, 5, Next::Here(begun + seconds(5))),
            (70, 5, Next::Here(begun + seconds(75))),
            (71, 5, Next::HandOver(begun + seconds(76))),
            (98, 5, Next::HandOver(begun + seconds(100))),
            (100, 800, Next::HandOver(begun + seconds(100))),
            (100, 870, Next::GiveUp),
        ];
        for (at, pause, expected) in table {
            assert_eq!(
                limits.next(begun + seconds(at), seconds(pause)),
                expected,
                "at {at} s, for {pause} s"
            );
        }
        let last = Limits::new(begun, seconds(110), seconds(900), seconds(1000));
        assert_eq!(last.next(begun + seconds(60), seconds(5)), Next::Here(begun + seconds(65)));
        assert_eq!(last.next(begun + seconds(66), seconds(5)), Next::GiveUp);
    }
}
