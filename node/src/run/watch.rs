//! What the node program makes of its own node's answers: when to ring, and when the JVM is frozen. A function of
//! answers and time.

use std::time::{Duration, Instant};

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
    started: bool,
    /// The last answer that was not silence.
    last: Option<Answer>,
    had_role: bool,
    silent_since: Option<Instant>,
}

impl Watch {
    /// A JVM that is silent for `fence_after` is frozen; zero for never.
    pub fn new(fence_after: Duration) -> Self {
        Self { fence_after, started: false, last: None, had_role: false, silent_since: None }
    }

    /// Neo4j is started now.
    pub fn start(&mut self) {
        self.started = true;
    }

    /// How far the node is, in a word: others wait for it.
    pub fn phase(&self) -> &'static str {
        match (self.started, self.had_role) {
            (false, _) => "waiting-for-peers",
            (true, false) => "starting",
            (true, true) => "running",
        }
    }

    /// Takes an answer over HTTP, and whether Bolt gave a sign of life (asked where HTTP is late): it answered, or it
    /// refused, which a frozen process does not. `asked` is when the question was sent whose answer is missing: silence
    /// begins there, not when it was given up. The bells to ring.
    pub fn see(&mut self, asked: Instant, answer: Answer, bolt: bool) -> Vec<Bell> {
        if answer == Answer::NotKnown(NotKnown::Silent) {
            if bolt {
                self.silent_since = None;
            } else {
                self.silent_since.get_or_insert(asked);
            }
            return Vec::new();
        }
        self.silent_since = None;
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

    /// Whether the JVM is frozen: it had a role in this process's life, and nothing of it has answered for long enough.
    /// One that never had a role may be recovering a large store.
    pub fn is_frozen(&self, now: Instant) -> bool {
        self.had_role && !self.fence_after.is_zero() && self.silent_for(now) >= self.fence_after
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
        let mut watch = Watch::new(AFTER);
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
        let mut watch = Watch::new(AFTER);
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
            let mut watch = Watch::new(AFTER);
            watch.see(now, Answer::Master, false);
            watch.see(now, SILENT, false);
            watch.see(now + AFTER / 2, answer, bolt);
            watch.see(now + AFTER / 2, SILENT, false);
            assert!(!watch.is_frozen(now + AFTER), "{answer:?} {bolt}");
        }
    }

    #[test]
    fn a_node_waits_starts_and_runs() {
        let mut watch = Watch::new(AFTER);
        assert_eq!(watch.phase(), "waiting-for-peers");
        watch.start();
        watch.see(Instant::now(), REFUSED, false);
        assert_eq!(watch.phase(), "starting");
        watch.see(Instant::now(), Answer::Slave, false);
        watch.see(Instant::now(), UNSETTLED, false);
        assert_eq!(watch.phase(), "running");
    }

    #[test]
    fn one_that_never_had_a_role_or_must_not_be_fenced_is_left_alone() {
        let now = Instant::now();
        let mut starting = Watch::new(AFTER);
        starting.see(now, SILENT, false);
        assert!(!starting.is_frozen(now + AFTER * 100), "it may be recovering a large store");
        let mut off = Watch::new(Duration::ZERO);
        off.see(now, Answer::Master, false);
        off.see(now, SILENT, false);
        assert!(!off.is_frozen(now + AFTER * 100));
    }
}
