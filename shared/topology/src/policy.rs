//! What the operator chose, and how the choices must relate.

use std::{collections::BTreeSet, time::Duration};

use crate::{GRACE, PATIENCE};

/// How the members of a cluster agree on a master, which decides what an answer proves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// High availability of 3.x. A slave that loses its master is between roles (`UNKNOWN`) within one
    /// heartbeat timeout and one interval, and is a slave again only of a master that announced itself
    /// (measured). So a firm slave proves that a master lives.
    Ha,
    /// Raft. A follower says `false` with and without a leader, so it proves nothing; and Raft goes
    /// on beside a frozen member.
    Cluster,
    /// One node.
    Single,
}

/// When standbys come back into the write groups after a switch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rearm {
    /// This long after a round has found the groups cut.
    After(Duration),
    /// Never: only the master is ever registered.
    Never,
}

/// The rules of a round. All durations are parameters of the function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// How the members agree on a master.
    pub mode: Mode,
    /// Number of core slots, from the configuration: never from what happens to be listed.
    pub core_size: usize,
    /// Number of slave-only slots. They vote in Neo4j's own elections, and they leave and return by design:
    /// what they answer is evidence, and their absence is not.
    pub slave_only_size: usize,
    /// The wait between two rounds of the hot loop.
    pub pause: Duration,
    /// Rounds in a row in which a new master must be the only claimant.
    pub confirmations: u32,
    /// Neo4j's own `ha.heartbeat_timeout`.
    pub heartbeat_timeout: Duration,
    /// When standbys come back.
    pub rearm: Rearm,
    /// How long the last master must be silent before it is fenced; zero for never. Any other node must be
    /// silent three times as long.
    pub fence_after: Duration,
    /// How long after a fence no other node is fenced.
    pub fence_hold_off: Duration,
    /// How long a fence may take before it counts as failed: longer than the stop timeout.
    pub fence_verify: Duration,
    /// The time that a task gets between SIGTERM and SIGKILL.
    pub stop_timeout: Duration,
    /// Whether core slaves serve readers beside slave-only ones.
    pub read_from_core: bool,
}

/// Parameters that do not fit together; the message names them.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unfitting(String);

/// What registering and deregistering takes at AWS, generously.
const API_BUDGET: Duration = Duration::from_millis(500);
/// More would make an operator wait for nothing: rounds are 50 ms apart.
const MOST_CONFIRMATIONS: u32 = 10;
/// How much longer any node but the last master has to be silent before it is fenced.
pub(crate) const OTHERS: u32 = 3;
/// How long an invocation may last: the function's timeout (55 s, the schedule's minute is longer) less what
/// its answer needs. A clock of silence lives in one invocation, so the longest one has to fit.
const INVOCATION: Duration = Duration::from_secs(50);
/// Rounds before and after the silence: the one that finds the role endpoint late, and the one that
/// ends after the time is over.
const AROUND_A_SILENCE: u32 = 2;

impl Policy {
    /// The defaults of the template, for a cluster of this size.
    pub fn of(core_size: usize, slave_only_size: usize) -> Self {
        Self {
            mode: Mode::Ha,
            core_size,
            slave_only_size,
            pause: Duration::from_millis(50),
            confirmations: 2,
            heartbeat_timeout: Duration::from_secs(4),
            rearm: Rearm::After(Duration::from_secs(60)),
            fence_after: Duration::from_secs(12),
            fence_hold_off: Duration::from_secs(300),
            fence_verify: Duration::from_secs(150),
            stop_timeout: Duration::from_secs(90),
            read_from_core: false,
        }
    }

    /// Checks the relations between the parameters.
    ///
    /// # Errors
    /// The first relation that does not hold, in one sentence that names the environment variable.
    pub fn validate(&self) -> Result<(), Unfitting> {
        let ms = |duration: Duration| duration.as_millis();
        // For nodes that answer at once: an early end waits for GRACE. A slow node may take its whole
        // patience in each round, which no parameter can shorten. It is then confirmed later, which does no
        // harm, because the balancer's check has the same patience.
        let round = self.pause.saturating_add(GRACE);
        let confirming = round.saturating_mul(self.confirmations).saturating_add(API_BUDGET);
        let silence = self.fence_after.saturating_mul(OTHERS).saturating_add(PATIENCE * AROUND_A_SILENCE);
        let rules = [
            (self.core_size > 0, "CORE_SERVICES must name at least one service".to_owned()),
            (
                (1..=MOST_CONFIRMATIONS).contains(&self.confirmations),
                format!("CONFIRMATIONS ({}) must be 1 to {MOST_CONFIRMATIONS}", self.confirmations),
            ),
            (
                confirming < self.heartbeat_timeout,
                format!(
                    "HEARTBEAT_TIMEOUT_MS ({}) must be longer than confirming a master takes: CONFIRMATIONS x ({} + PAUSE_MS) \
                     + {} ms for the API calls = {} ms",
                    ms(self.heartbeat_timeout),
                    ms(GRACE),
                    ms(API_BUDGET),
                    ms(confirming)
                ),
            ),
            (
                self.fence_after.is_zero() || self.fence_after >= self.heartbeat_timeout.saturating_mul(2),
                format!(
                    "FENCE_AFTER_SECONDS ({}) must be 0 or at least twice HEARTBEAT_TIMEOUT_MS ({}): Neo4j elects by \
                     itself first",
                    self.fence_after.as_secs(),
                    ms(self.heartbeat_timeout)
                ),
            ),
            (
                silence <= INVOCATION,
                format!(
                    "FENCE_AFTER_SECONDS ({}) is too long: a silence is seen within one invocation of {} s, a slave's is {OTHERS} \
                     times as long, and {} s are needed around it",
                    self.fence_after.as_secs(),
                    INVOCATION.as_secs(),
                    (PATIENCE * AROUND_A_SILENCE).as_secs()
                ),
            ),
            (
                self.fence_after.is_zero() || self.fence_verify > self.stop_timeout,
                format!(
                    "FENCE_VERIFY_SECONDS ({}) must be longer than STOP_TIMEOUT_SECONDS ({}): a frozen task ends only when that \
                     is over",
                    self.fence_verify.as_secs(),
                    self.stop_timeout.as_secs()
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

    /// A choice that works and that operators regret: an even number of voters survives no
    /// more deaths than one less.
    pub fn warning(&self) -> Option<String> {
        let total = self.voters();
        total.is_multiple_of(2).then(|| {
            format!(
                "{total} members vote: an even number survives no more unclean deaths than {}, so add or remove one slot",
                total - 1
            )
        })
    }

    /// All members that vote in Neo4j's own elections.
    pub(crate) fn voters(&self) -> usize {
        self.core_size + self.slave_only_size
    }

    /// How many core nodes are a majority of the core slots.
    pub(crate) fn majority(&self) -> usize {
        self.core_size / 2 + 1
    }

    /// Whether the members that are `alive` carry a master. Neo4j's quorum is of all voters; with slave-only
    /// slots at zero, which left cleanly, it is of the core nodes.
    pub(crate) fn carries(&self, alive: &BTreeSet<u32>) -> bool {
        let cores = u32::try_from(self.core_size).unwrap_or(u32::MAX);
        let core = alive.iter().filter(|id| (1..=cores).contains(*id)).count();
        core >= self.majority() || alive.len() > self.voters() / 2
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
        let table: [(Policy, &str); 7] = [
            (Policy { core_size: 0, ..fitting() }, "CORE_SERVICES must name"),
            (Policy { confirmations: 11, ..fitting() }, "CONFIRMATIONS (11) must be 1 to 10"),
            (
                Policy { heartbeat_timeout: second / 2, ..fitting() },
                "HEARTBEAT_TIMEOUT_MS (500) must be longer than confirming a master takes: CONFIRMATIONS x (25 + PAUSE_MS) + 500",
            ),
            (
                Policy { fence_after: 3 * second, ..fitting() },
                "FENCE_AFTER_SECONDS (3) must be 0 or at least twice",
            ),
            (
                Policy { fence_after: 16 * second, ..fitting() },
                "FENCE_AFTER_SECONDS (16) is too long: a silence is seen within one invocation of 50 s",
            ),
            (
                Policy { fence_hold_off: second, ..fitting() },
                "FENCE_HOLD_OFF_SECONDS (1) must not be shorter",
            ),
            (
                Policy { fence_verify: 90 * second, ..fitting() },
                "FENCE_VERIFY_SECONDS (90) must be longer than STOP_TIMEOUT_SECONDS (90)",
            ),
        ];
        for (policy, sentence) in table {
            let error = policy.validate().unwrap_err().to_string();
            assert!(error.contains(sentence), "{error}");
        }
    }

    /// What samconfig.toml deploys for AWS (the template's defaults) and for the local cloud, and absurd
    /// parameters, which must end in a sentence and not in a panic.
    #[test]
    fn both_parameter_sets_of_the_repository_fit_and_absurd_ones_do_not() {
        assert_eq!(Policy::of(3, 0).validate(), Ok(()));
        let seconds = Duration::from_secs;
        let local = Policy {
            fence_after: seconds(10),
            fence_verify: seconds(90),
            stop_timeout: seconds(30),
            ..fitting()
        };
        assert_eq!(local.validate(), Ok(()));
        assert!(Policy { fence_after: Duration::MAX, ..fitting() }.validate().is_err());
        assert!(Policy { heartbeat_timeout: Duration::MAX, ..fitting() }.validate().is_err());
        assert!(Policy { pause: Duration::MAX, ..fitting() }.validate().is_err());
        assert!(Policy { pause: Duration::MAX / 2, confirmations: 10, ..fitting() }.validate().is_err());
    }

    #[test]
    fn slave_only_slots_are_no_part_of_the_majority() {
        assert_eq!(
            [(1, 0), (3, 0), (3, 2), (5, 2)].map(|(core, only)| Policy::of(core, only).majority()),
            [1, 2, 2, 3]
        );
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
