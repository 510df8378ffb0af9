//! When a password may be tried: three wrong ones lock the administrator out, for every client. A function of outcomes and time.

use std::time::{Duration, Instant};

/// For so long Neo4j refuses every login of a user after three wrong passwords in a row, the right one too.
pub(crate) const LOCK_OUT: Duration = Duration::from_secs(5);
/// Wrong logins in that time, at most: one less than locks out.
const MOST_WRONG: usize = 2;
/// After a refusal the same password gets one try a minute. The reconcile that brings a rotated password to the node comes every five
/// minutes. The secret is looked up no more often.
pub(crate) const AGAIN: Duration = Duration::from_secs(60);

/// A node that answers at all refuses a password in a few milliseconds. A login that takes longer than this waits for something else,
/// such as a worker of HTTP, and must not keep the other path from asking a busy master for its role.
const LATE: Duration = Duration::from_millis(100);

/// What is known of the password at hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    /// The node has neither accepted nor refused it yet: one try at a time, or a second one beside a late one.
    Untried,
    /// The first try.
    Trying(Instant),
    /// The one try of a password that was refused before.
    TryingAgain,
    /// Accepted: as many logins as there are callers, and each path of this program has one at a time.
    Accepted,
    /// Refused at that moment.
    Refused(Instant),
}

/// The logins of this program, over all its paths.
#[derive(Debug)]
pub(crate) struct Logins {
    standing: Standing,
    /// Logins whose outcome is not known yet.
    under_way: usize,
    wrong: Vec<Instant>,
}

impl Logins {
    pub(crate) fn new() -> Self {
        Self { standing: Standing::Untried, under_way: 0, wrong: Vec::new() }
    }

    /// Whether to log in now; if so, the outcome must be reported: [`Self::ended`], and what it was before that.
    pub(crate) fn begin(&mut self, now: Instant) -> bool {
        self.wrong.retain(|at| now.duration_since(*at) < LOCK_OUT);
        let may = match self.standing {
            // Those under way were begun with this password, one on each path: they are as many as may be wrong.
            Standing::Accepted => self.wrong.len() < MOST_WRONG,
            // Others under way may have the password before, which was refused.
            Standing::Untried => self.may_all_be_wrong(),
            Standing::Trying(since) => now.duration_since(since) >= LATE && self.may_all_be_wrong(),
            Standing::Refused(at) => now.duration_since(at) >= AGAIN && self.may_all_be_wrong(),
            Standing::TryingAgain => false,
        };
        if !may {
            return false;
        }
        self.standing = match self.standing {
            Standing::Untried => Standing::Trying(now),
            Standing::Refused(_) => Standing::TryingAgain,
            as_it_was => as_it_was,
        };
        self.under_way += 1;
        true
    }

    /// Even when every login under way and one more turn out to be wrong, none is locked out.
    fn may_all_be_wrong(&self) -> bool {
        self.wrong.len() + self.under_way < MOST_WRONG
    }

    /// A login is over.
    pub(crate) fn ended(&mut self) {
        self.under_way = self.under_way.saturating_sub(1);
    }

    /// The node has accepted the password at hand.
    pub(crate) fn accepted(&mut self) {
        self.standing = Standing::Accepted;
    }

    /// The node has refused a password; `at_hand` says that it is still the one at hand.
    pub(crate) fn refused(&mut self, now: Instant, at_hand: bool) {
        self.wrong.push(now);
        if at_hand {
            self.standing = Standing::Refused(now);
        }
    }

    /// No answer, or none that says anything of the password at hand: one that was refused before may have been refused again.
    pub(crate) fn unknown(&mut self, now: Instant) {
        self.standing = match self.standing {
            Standing::Trying(_) => Standing::Untried,
            Standing::TryingAgain => Standing::Refused(now),
            as_it_was => as_it_was,
        };
    }

    /// There is another password at hand.
    pub(crate) fn replaced(&mut self) {
        self.standing = Standing::Untried;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn an_untried_password_is_tried_by_one_caller_and_an_accepted_one_by_all() {
        let (mut logins, now) = (Logins::new(), Instant::now());
        assert!(logins.begin(now));
        assert!(!logins.begin(now), "not a second one beside it");
        logins.ended();
        logins.unknown(now);
        assert!(logins.begin(now), "no answer says nothing");
        assert!(!logins.begin(now + LATE / 2) && logins.begin(now + LATE), "that one is late");
        assert!(!logins.begin(now + LATE), "a third one would lock out");
        logins.ended();
        logins.ended();
        logins.accepted();
        assert!((0..10).all(|_| logins.begin(now)));
    }

    #[test]
    fn a_refused_password_is_tried_once_a_minute() {
        let (mut logins, begun) = (Logins::new(), Instant::now());
        let mut wrong = 0;
        for second in 0..180 {
            let now = begun + SECOND * second;
            if logins.begin(now) {
                wrong += 1;
                logins.ended();
                logins.refused(now, true);
            }
        }
        assert_eq!(wrong, 3);
        // A retry without an answer may have been wrong.
        let now = begun + SECOND * 180;
        assert!(logins.begin(now));
        logins.ended();
        logins.unknown(now);
        assert!(!logins.begin(now + SECOND * 59) && logins.begin(now + SECOND * 60));
    }

    #[test]
    fn two_wrong_logins_in_five_seconds_are_the_most_whatever_is_looked_up() {
        let (mut logins, now) = (Logins::new(), Instant::now());
        assert!(logins.begin(now));
        logins.ended();
        logins.accepted();
        // Both paths are under way when the node gets another password.
        assert!(logins.begin(now) && logins.begin(now));
        logins.ended();
        logins.refused(now, true);
        logins.replaced();
        assert!(!logins.begin(now), "the other one will be wrong too");
        logins.ended();
        logins.refused(now + SECOND, false);
        assert!(!logins.begin(now + SECOND) && !logins.begin(now + SECOND * 4));
        assert!(logins.begin(now + SECOND * 5));
        logins.ended();
        logins.refused(now + SECOND * 5, true);
        logins.replaced();
        assert!(!logins.begin(now + SECOND * 5));
        assert!(logins.begin(now + SECOND * 6));
    }

    #[test]
    fn after_one_wrong_login_the_password_that_was_looked_up_is_tried_at_once() {
        let (mut logins, now) = (Logins::new(), Instant::now());
        assert!(logins.begin(now));
        logins.ended();
        logins.refused(now, true);
        logins.replaced();
        assert!(logins.begin(now));
    }
}
