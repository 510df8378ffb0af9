//! What the node program makes of its own node's answers: when to ring, and when the JVM is frozen. A function of
//! answers and time.

use std::time::{Duration, Instant};

use neo4j::phase;
use topology::{Answer, NotKnown};

/// A change of role that whoever watches the cluster should look at now. Its content decides nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bell {
    /// The node has a role for the first time in this process's life.
    Joined,
    /// It says that it is the master.
    BecameMaster,
    /// It says that it is a slave.
    BecameSlave,
    /// It was the master and is not sure any more, or a slave that is between roles: it has lost its master. It says so before
    /// there is a new one, so that somebody is looking when there is.
    LostMaster,
}

impl Bell {
    /// The event's `detail-type`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Joined => "joined",
            Self::BecameMaster => "became-master",
            Self::BecameSlave => "became-slave",
            Self::LostMaster => "lost-master",
        }
    }
}

/// What was seen so far.
#[derive(Clone, Debug)]
pub struct Watch {
    fence_after: Duration,
    start: Start,
    /// The last answer that was not silence.
    last: Option<Answer>,
    had_role: bool,
    /// It has said a role, also one that is held back: it is not recovering a large store.
    has_spoken: bool,
    silent_since: Option<Instant>,
    /// Since when phase and role have been these.
    since: Instant,
}

/// How Neo4j was started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// It was not.
    NotYet,
    /// It was not, because a snapshot is being restored.
    Restoring,
    /// It was not, because it is restored here, and not everywhere.
    Restored,
    /// On a blank volume, without its backup server: as a slave it has not joined before it was started once more.
    Blank {
        /// Whether it is a slave now, so that its store is a copy of the master's.
        copied: bool,
    },
    /// It is being stopped after that: what it still says is not listened to.
    Stopping,
    /// Once more, after that.
    Again,
    /// As it stays.
    Usual,
}

impl Watch {
    /// A JVM that is silent for `fence_after` is frozen; zero for never.
    pub fn new(now: Instant, fence_after: Duration) -> Self {
        let (start, last, silent_since) = (Start::NotYet, None, None);
        Self { fence_after, start, last, had_role: false, has_spoken: false, silent_since, since: now }
    }

    /// Neo4j is started now, or goes on as what it says.
    pub fn start(&mut self, now: Instant, start: Start) {
        if start == Start::Again {
            self.has_spoken = false;
        }
        self.start = start;
        self.since = now;
    }

    /// Neo4j is stopped now to be started once more, if it is a slave that has copied its store. Until it is started again it says
    /// nothing of its own.
    pub fn begin_restart(&mut self, now: Instant) -> bool {
        let begins = self.has_copied();
        if begins {
            self.start(now, Start::Stopping);
        }
        begins
    }

    /// How far the node is, in a word: others wait for it.
    pub fn phase(&self) -> &'static str {
        match (self.start, self.had_role) {
            (Start::NotYet, _) => phase::WAITING,
            (Start::Restoring, _) => phase::RESTORING,
            (Start::Restored, _) => phase::RESTORED,
            (Start::Blank { copied: true }, _) => phase::COPIED,
            (Start::Stopping, _) | (Start::Again, false) => phase::RESTARTING,
            (_, true) => phase::RUNNING,
            (_, false) => phase::STARTING,
        }
    }

    /// Whether a slave has not joined yet, because it is started once more first.
    pub fn is_blank(&self) -> bool {
        matches!(self.start, Start::Blank { .. } | Start::Stopping)
    }

    /// Whether it is such a slave now.
    pub fn has_copied(&self) -> bool {
        self.start == Start::Blank { copied: true } && self.silent_since.is_none()
    }

    /// For how long phase and role have been these.
    pub fn since(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.since)
    }

    /// Takes an answer over HTTP, and whether Bolt gave a sign of life (asked where HTTP is late): it answered, or it
    /// refused, which a frozen process does not. `asked` is when the question was sent whose answer is missing: silence
    /// begins there, not when it was given up. The bells to ring.
    pub fn see(&mut self, asked: Instant, answer: Answer, bolt: bool) -> Vec<Bell> {
        let before = (self.phase(), self.role());
        let bells = self.take(asked, answer, bolt);
        if before != (self.phase(), self.role()) {
            self.since = asked;
        }
        bells
    }

    fn take(&mut self, asked: Instant, answer: Answer, bolt: bool) -> Vec<Bell> {
        if answer == Answer::NotKnown(NotKnown::Silent) {
            if bolt {
                self.silent_since = None;
            } else {
                self.silent_since.get_or_insert(asked);
            }
            return Vec::new();
        }
        self.silent_since = None;
        self.has_spoken |= answer.is_firm();
        if self.start == Start::Stopping {
            return Vec::new();
        }
        if self.is_blank() {
            // A master has founded the cluster, so that its store is the one that the others copy.
            self.start = if answer == Answer::Master {
                Start::Usual
            } else {
                Start::Blank { copied: answer == Answer::Slave }
            };
            if answer == Answer::Slave {
                // Not remembered: when it stays as it is, or is there again, it joins.
                return Vec::new();
            }
        }
        let before = self.last.replace(answer);
        if before == Some(answer) {
            return Vec::new();
        }
        let mut bells = Vec::new();
        if answer.is_firm() && !self.had_role {
            self.had_role = true;
            bells.push(Bell::Joined);
        }
        match (before, answer) {
            (_, Answer::Master) => bells.push(Bell::BecameMaster),
            (_, Answer::Slave) => bells.push(Bell::BecameSlave),
            (Some(Answer::Master), Answer::NotKnown(_))
            | (Some(Answer::Slave), Answer::NotKnown(NotKnown::Unsettled)) => bells.push(Bell::LostMaster),
            _ => {}
        }
        bells
    }

    /// Whether the JVM is frozen: it has said a role since it was started, and nothing of it has answered for long enough.
    /// One that never had a role may be recovering a large store.
    pub fn is_frozen(&self, now: Instant) -> bool {
        self.has_spoken && !self.fence_after.is_zero() && self.silent_for(now) >= self.fence_after
    }

    /// For how long nothing has answered.
    pub fn silent_for(&self, now: Instant) -> Duration {
        self.silent_since.map_or(Duration::ZERO, |since| now.saturating_duration_since(since))
    }

    /// Whether the last look was silence on HTTP and Bolt.
    pub fn is_silent(&self) -> bool {
        self.silent_since.is_some()
    }

    /// The last answer, in a word.
    pub fn role(&self) -> &'static str {
        match self.last {
            Some(Answer::Master) => "master",
            Some(Answer::Slave) => "slave",
            Some(Answer::NotKnown(NotKnown::Unsettled)) => "unsettled",
            Some(Answer::NotKnown(_)) => "not known",
            None => "not asked yet",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AFTER: Duration = Duration::from_secs(10);
    const SILENT: Answer = Answer::NotKnown(NotKnown::Silent);
    const UNSETTLED: Answer = Answer::NotKnown(NotKnown::Unsettled);
    const REFUSED: Answer = Answer::NotKnown(NotKnown::Refused);

    #[test]
    fn a_bell_rings_once_for_each_change_of_role() {
        use Bell::{BecameMaster, BecameSlave, Joined, LostMaster};
        let now = Instant::now();
        let mut watch = Watch::new(now, AFTER);
        let mut heard = Vec::new();
        for answer in [
            REFUSED,
            UNSETTLED,
            Answer::Slave,
            Answer::Slave,
            SILENT,
            Answer::Slave,
            UNSETTLED,
            Answer::Master,
            Answer::Master,
            UNSETTLED,
            Answer::Slave,
            REFUSED,
        ] {
            heard.extend(watch.see(now, answer, false));
        }
        assert_eq!(heard, [Joined, BecameSlave, LostMaster, BecameMaster, LostMaster, BecameSlave]);
    }

    #[test]
    fn a_jvm_that_had_a_role_and_says_nothing_is_frozen() {
        let now = Instant::now();
        let mut watch = Watch::new(now, AFTER);
        watch.see(now, Answer::Slave, false);
        watch.see(now, SILENT, false);
        watch.see(now + AFTER / 2, SILENT, false);
        assert!(!watch.is_frozen((now + AFTER).checked_sub(Duration::from_millis(1)).unwrap()));
        assert!(watch.is_frozen(now + AFTER));
    }

    #[test]
    fn bolt_is_a_sign_of_life_and_so_is_any_answer() {
        let now = Instant::now();
        for (answer, bolt) in [(SILENT, true), (UNSETTLED, false), (REFUSED, false)] {
            let mut watch = Watch::new(now, AFTER);
            watch.see(now, Answer::Master, false);
            watch.see(now, SILENT, false);
            watch.see(now + AFTER / 2, answer, bolt);
            watch.see(now + AFTER / 2, SILENT, false);
            assert!(!watch.is_frozen(now + AFTER), "{answer:?} {bolt}");
        }
    }

    #[test]
    fn a_node_waits_starts_and_runs() {
        let now = Instant::now();
        let mut watch = Watch::new(now, AFTER);
        assert_eq!(watch.phase(), "waiting-for-peers");
        watch.start(now, Start::Usual);
        watch.see(now, REFUSED, false);
        assert_eq!(watch.phase(), "starting");
        watch.see(now, Answer::Slave, false);
        watch.see(now, UNSETTLED, false);
        assert_eq!(watch.phase(), "running");
    }

    #[test]
    fn a_blank_slave_has_not_joined_before_it_was_started_once_more() {
        let now = Instant::now();
        let mut watch = Watch::new(now, AFTER);
        watch.start(now, Start::Blank { copied: false });
        assert_eq!(watch.see(now, UNSETTLED, false), []);
        assert_eq!((watch.phase(), watch.has_copied()), ("starting", false));
        assert_eq!(watch.see(now, Answer::Slave, false), [], "it rings only when it has joined");
        assert_eq!((watch.phase(), watch.role(), watch.has_copied()), ("copied", "unsettled", true));
        assert_eq!(watch.see(now, UNSETTLED, false), []);
        assert!(!watch.has_copied(), "without a master it must not be stopped");
        watch.see(now, Answer::Slave, false);
        assert!(watch.begin_restart(now));
        assert_eq!(watch.see(now, Answer::Slave, false), [], "the old one still answers");
        assert_eq!((watch.phase(), watch.is_blank()), ("restarting", true));
        watch.start(now, Start::Again);
        watch.see(now, REFUSED, false);
        assert_eq!(watch.phase(), "restarting");
        assert_eq!(watch.see(now, Answer::Slave, false), [Bell::Joined, Bell::BecameSlave]);
        assert_eq!(watch.phase(), "running");
    }

    #[test]
    fn only_a_slave_that_has_copied_and_is_not_silent_is_stopped() {
        let now = Instant::now();
        let mut watch = Watch::new(now, AFTER);
        watch.start(now, Start::Blank { copied: false });
        assert!(!watch.begin_restart(now));
        watch.see(now, Answer::Slave, false);
        watch.see(now, SILENT, false);
        assert!(!watch.begin_restart(now), "it would be killed, and count as dead");
        assert!(watch.is_frozen(now + AFTER), "and a frozen one is ended as any other");
        watch.see(now, Answer::Master, false);
        assert!(!watch.begin_restart(now), "it is the master now");
    }

    #[test]
    fn a_blank_master_has_joined_at_once_and_so_has_a_slave_that_goes_on_as_it_is() {
        let now = Instant::now();
        let mut watch = Watch::new(now, AFTER);
        watch.start(now, Start::Blank { copied: false });
        assert_eq!(watch.see(now, Answer::Master, false), [Bell::Joined, Bell::BecameMaster]);
        assert_eq!(
            watch.see(now, Answer::Slave, false),
            [Bell::BecameSlave],
            "later it is a slave like any other"
        );
        assert!(!watch.has_copied());
        let mut watch = Watch::new(now, AFTER);
        watch.start(now, Start::Blank { copied: false });
        watch.see(now, Answer::Slave, false);
        watch.start(now, Start::Usual);
        assert_eq!(watch.see(now, Answer::Slave, false), [Bell::Joined, Bell::BecameSlave]);
    }

    #[test]
    fn the_time_of_a_phase_and_a_role_begins_with_each_change() {
        let begin = Instant::now();
        let at = |seconds| begin + Duration::from_secs(seconds);
        let mut watch = Watch::new(begin, AFTER);
        watch.start(at(1), Start::Usual);
        assert_eq!(watch.since(at(3)), Duration::from_secs(2));
        watch.see(at(4), Answer::Slave, false);
        watch.see(at(6), Answer::Slave, false);
        assert_eq!(watch.since(at(9)), Duration::from_secs(5));
        watch.see(at(10), UNSETTLED, false);
        assert_eq!(watch.since(at(11)), Duration::from_secs(1));
    }

    #[test]
    fn one_that_never_had_a_role_or_must_not_be_fenced_is_left_alone() {
        let now = Instant::now();
        let mut starting = Watch::new(now, AFTER);
        starting.see(now, SILENT, false);
        assert!(!starting.is_frozen(now + AFTER * 100), "it may be recovering a large store");
        let mut off = Watch::new(now, Duration::ZERO);
        off.see(now, Answer::Master, false);
        off.see(now, SILENT, false);
        assert!(!off.is_frozen(now + AFTER * 100));
    }
}
