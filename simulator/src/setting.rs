//! What is chosen before a history begins: the size of its cluster, and the parameters.

use std::time::Duration;

use topology::{Mode, Policy, Rearm};

use crate::{Chance, cluster::Cluster, tasks::STOP_TIMEOUT};

/// A cluster and how it is deployed.
#[derive(Clone, Debug)]
pub struct Setting {
    pub policy: Policy,
    /// Number of slave-only slots that begin at zero.
    pub at_zero: u32,
    /// Number of ports, each with a write group and a read group.
    pub ports: usize,
    /// Milliseconds from a call until the data plane follows it.
    pub propagation: u64,
    /// Whether node programs answer for the role over Bolt when HTTP is late.
    pub over_bolt: bool,
}

/// Core slots, slave-only slots, and how many of those are at zero.
const SIZES: [(u32, u32, u32); 9] =
    [(3, 0, 0), (3, 0, 0), (3, 0, 0), (3, 2, 0), (3, 2, 1), (3, 2, 2), (5, 0, 0), (5, 2, 2), (1, 0, 0)];

impl Setting {
    /// The setting of a history; common ones are common.
    pub fn choose(chance: &mut Chance) -> Self {
        let (core, slave_only, at_zero) = *chance.pick(&SIZES).unwrap_or(&SIZES[0]);
        let mode = if chance.one_in(6) { Mode::Cluster } else { Mode::Ha };
        // Read replicas of Raft do not vote, and differ in nothing else.
        let (slave_only, at_zero) = if mode == Mode::Cluster { (0, 0) } else { (slave_only, at_zero) };
        let seconds = Duration::from_secs;
        let fence_after = if chance.one_in(10) { Duration::ZERO } else { seconds(10) };
        let policy = Policy {
            mode,
            heartbeat_timeout: seconds(2),
            rearm: if chance.one_in(5) { Rearm::Never } else { Rearm::After(seconds(20)) },
            fence_after,
            fence_verify: seconds(60),
            stop_timeout: Duration::from_millis(STOP_TIMEOUT),
            read_from_core: chance.one_in(3),
            ..Policy::of(core as usize, slave_only as usize)
        };
        let ports = usize::try_from(chance.between(1, 3)).unwrap_or(1);
        let propagation = if chance.one_in(3) { 60_000 } else { 0 };
        Self { policy, at_zero, ports, propagation, over_bolt: chance.one_in(3) }
    }

    /// A cluster of this setting that is well.
    pub fn cluster(&self) -> Cluster {
        let size = |of: usize| u32::try_from(of).unwrap_or(1);
        let (core, slave_only) = (size(self.policy.core_size), size(self.policy.slave_only_size));
        Cluster::new(self.policy.mode, core, slave_only, self.at_zero, self.over_bolt)
    }

    pub fn majority(&self) -> usize {
        self.policy.core_size / 2 + 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_setting_has_parameters_that_the_function_would_start_with() {
        let mut chance = Chance::new(1);
        for _ in 0..200 {
            let setting = Setting::choose(&mut chance);
            assert_eq!(setting.policy.validate(), Ok(()), "{setting:?}");
        }
    }
}
