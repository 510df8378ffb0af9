//! What the operator chose, and how the choices must relate.

use std::time::Duration;

/// When standbys come back into the write groups after a switch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rearm {
    /// So long after it.
    After(Duration),
    /// Never: only the master is ever registered.
    Never,
}

/// The rules of a round. All durations are parameters of the function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Core slots, from configuration: never from who happens to be listed.
    pub core_size: usize,
    /// Slave-only slots, which vote as well.
    pub slave_only_size: usize,
    /// What a node gets to answer in the first round of an invocation.
    pub probe_deadline: Duration,
    /// What it gets in the rounds of the hot loop.
    pub hot_deadline: Duration,
    /// The longest a whole round may take.
    pub round: Duration,
    /// Between two rounds of the hot loop.
    pub pause: Duration,
    /// Rounds in a row in which a new master must be the only claimant.
    pub confirmations: u32,
    /// Neo4j's own `ha.heartbeat_timeout`.
    pub heartbeat_timeout: Duration,
    /// When standbys come back.
    pub rearm: Rearm,
    /// How long a last master is silent before it is fenced; zero for never. Three times as long for anybody else.
    pub fence_after: Duration,
    /// How long no second node is fenced after the first.
    pub fence_hold_off: Duration,
    /// How long a fence may take until it has failed: the stop timeout, and an election.
    pub fence_verify: Duration,
    /// Whether core slaves serve readers beside slave-only ones.
    pub read_from_core: bool,
}

/// Parameters that do not fit together: one sentence that names them.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unfitting(String);

/// What registering and deregistering takes at AWS, generously.
const API_BUDGET: Duration = Duration::from_millis(500);
/// More would make an operator wait for nothing: rounds are 50 ms apart.
const MOST_CONFIRMATIONS: u32 = 10;

impl Policy {
    /// The defaults of the template, for a cluster of so many slots.
    pub fn of(core_size: usize, slave_only_size: usize) -> Self {
        Self {
            core_size,
            slave_only_size,
            probe_deadline: Duration::from_secs(1),
            hot_deadline: Duration::from_millis(250),
            round: Duration::from_secs(2),
            pause: Duration::from_millis(50),
            confirmations: 2,
            heartbeat_timeout: Duration::from_secs(4),
            rearm: Rearm::After(Duration::from_secs(60)),
            fence_after: Duration::from_secs(12),
            fence_hold_off: Duration::from_secs(300),
            fence_verify: Duration::from_secs(150),
            read_from_core: false,
        }
    }

    /// Checks the relations between the parameters.
    ///
    /// # Errors
    /// The first that does not hold, in one sentence that names the environment variable.
    pub fn validate(&self) -> Result<(), Unfitting> {
        let ms = |duration: Duration| duration.as_millis();
        let confirming = (self.hot_deadline + self.pause) * self.confirmations + API_BUDGET;
        let rules = [
            (self.core_size > 0, "CORE_SERVICES must name at least one service".to_owned()),
            (
                !self.hot_deadline.is_zero() && !self.probe_deadline.is_zero(),
                "PROBE_DEADLINE_MS and HOT_DEADLINE_MS must be at least 1".to_owned(),
            ),
            (
                self.probe_deadline < self.round,
                format!(
                    "PROBE_DEADLINE_MS ({}) must be shorter than ROUND_MS ({}), the round it is part of",
                    ms(self.probe_deadline),
                    ms(self.round)
                ),
            ),
            (
                self.hot_deadline <= self.probe_deadline,
                format!(
                    "HOT_DEADLINE_MS ({}) must not be longer than PROBE_DEADLINE_MS ({})",
                    ms(self.hot_deadline),
                    ms(self.probe_deadline)
                ),
            ),
            (
                (1..=MOST_CONFIRMATIONS).contains(&self.confirmations),
                format!("CONFIRMATIONS ({}) must be 1 to {MOST_CONFIRMATIONS}", self.confirmations),
            ),
            (
                confirming < self.heartbeat_timeout,
                format!(
                    "HEARTBEAT_TIMEOUT_MS ({}) must be longer than confirming a master takes: CONFIRMATIONS x \
                     (HOT_DEADLINE_MS + PAUSE_MS) + {} ms for the API calls = {} ms",
                    ms(self.heartbeat_timeout),
                    ms(API_BUDGET),
                    ms(confirming)
                ),
            ),
            (
                self.fence_after.is_zero() || self.fence_after >= self.heartbeat_timeout * 2,
                format!(
                    "FENCE_AFTER_SECONDS ({}) must be 0 or at least twice HEARTBEAT_TIMEOUT_MS ({}): Neo4j elects by \
                     itself first",
                    self.fence_after.as_secs(),
                    ms(self.heartbeat_timeout)
                ),
            ),
            (
                self.fence_hold_off >= self.fence_verify,
                format!(
                    "FENCE_HOLD_OFF_SECONDS ({}) must not be shorter than FENCE_VERIFY_SECONDS ({})",
                    self.fence_hold_off.as_secs(),
                    self.fence_verify.as_secs()
                ),
            ),
        ];
        match rules.into_iter().find(|(holds, _)| !holds) {
            Some((_, sentence)) => Err(Unfitting(sentence)),
            None => Ok(()),
        }
    }

    /// A choice that works and that people regret: an even number of voters survives no more deaths than one less.
    pub fn warning(&self) -> Option<String> {
        let total = self.voters();
        total.is_multiple_of(2).then(|| {
            format!(
                "{total} members vote: an even number survives no more unclean deaths than {}, so add or remove one slot",
                total - 1
            )
        })
    }

    /// Everybody who votes.
    pub(crate) fn voters(&self) -> usize {
        self.core_size + self.slave_only_size
    }

    /// How many of them are a majority.
    pub(crate) fn majority(&self) -> usize {
        self.voters() / 2 + 1
    }

    /// How many rounds confirm a master after `switches` recent ones.
    pub(crate) fn confirmations_after(&self, switches: usize) -> u32 {
        let more = u32::try_from(switches).unwrap_or(MOST_CONFIRMATIONS);
        self.confirmations.saturating_add(more).min(MOST_CONFIRMATIONS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fitting() -> Policy {
        Policy { heartbeat_timeout: Duration::from_secs(2), ..Policy::of(3, 0) }
    }

    #[test]
    fn each_broken_relation_is_named() {
        assert_eq!(fitting().validate(), Ok(()));
        let second = Duration::from_secs(1);
        let table: [(Policy, &str); 8] = [
            (Policy { core_size: 0, ..fitting() }, "CORE_SERVICES must name"),
            (
                Policy { probe_deadline: 2 * second, ..fitting() },
                "PROBE_DEADLINE_MS (2000) must be shorter than ROUND_MS (2000)",
            ),
            (Policy { hot_deadline: 2 * second, ..fitting() }, "HOT_DEADLINE_MS (2000) must not be longer"),
            (Policy { hot_deadline: Duration::ZERO, ..fitting() }, "must be at least 1"),
            (Policy { confirmations: 11, ..fitting() }, "CONFIRMATIONS (11) must be 1 to 10"),
            (Policy { heartbeat_timeout: second, ..fitting() }, "HEARTBEAT_TIMEOUT_MS (1000) must be longer"),
            (
                Policy { fence_after: 3 * second, ..fitting() },
                "FENCE_AFTER_SECONDS (3) must be 0 or at least twice",
            ),
            (
                Policy { fence_hold_off: second, ..fitting() },
                "FENCE_HOLD_OFF_SECONDS (1) must not be shorter",
            ),
        ];
        for (policy, sentence) in table {
            let error = policy.validate().unwrap_err().to_string();
            assert!(error.contains(sentence), "{error}");
        }
    }

    #[test]
    fn an_even_number_of_voters_is_warned_of() {
        assert_eq!(fitting().warning(), None);
        assert!(Policy { slave_only_size: 1, ..fitting() }.warning().unwrap().starts_with("4 members vote"));
    }

    #[test]
    fn flapping_raises_the_confirmations_up_to_a_bound() {
        assert_eq!([0, 1, 3, 99].map(|switches| fitting().confirmations_after(switches)), [2, 3, 5, 10]);
    }
}
