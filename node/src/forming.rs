//! When a node may start Neo4j: never so early that it could found a cluster of one.

use std::{net::IpAddr, time::Duration};

/// What to do now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Formation {
    /// Neo4j is not started yet.
    Wait(String),
    /// Neo4j starts with these hosts.
    Start(Vec<IpAddr>),
    /// It starts with a majority, because the rest did not show up in time.
    StartWithout {
        /// Who is there.
        hosts: Vec<IpAddr>,
        /// The slots without an address.
        missing: Vec<String>,
    },
}

/// Decides from one look at the slots after another.
#[derive(Clone, Debug)]
pub struct Forming {
    timeout: Duration,
    before: Option<Vec<IpAddr>>,
}

impl Forming {
    /// After `timeout` a majority is enough.
    pub fn new(timeout: Duration) -> Self {
        Self { timeout, before: None }
    }

    /// Takes a look at the slots, `waited` after the first one.
    ///
    /// A list counts when two looks in a row show the same: ECS still names the address of a task that is just dying.
    pub fn look(&mut self, waited: Duration, slots: &[(String, Option<IpAddr>)]) -> Formation {
        let hosts: Vec<IpAddr> = slots.iter().filter_map(|(_, address)| *address).collect();
        let missing: Vec<String> =
            slots.iter().filter(|(_, address)| address.is_none()).map(|(slot, _)| slot.clone()).collect();
        let same = self.before.replace(hosts.clone()).as_ref() == Some(&hosts);
        let late = waited >= self.timeout;
        let majority = hosts.len() > slots.len() / 2;
        match (missing.is_empty(), same) {
            (true, true) => Formation::Start(hosts),
            (true, false) => Formation::Wait("every slot has an address, looking once more".into()),
            (false, true) if late && majority => Formation::StartWithout { hosts, missing },
            (false, _) if late && !majority => Formation::Wait(format!(
                "no address of {} after {} s, and {} of {} slots are no majority: a cluster formed now could be a second one",
                missing.join(", "),
                waited.as_secs(),
                hosts.len(),
                slots.len(),
            )),
            (false, _) => Formation::Wait(format!("no address yet of {}", missing.join(", "))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMEOUT: Duration = Duration::from_secs(600);

    fn slots(last: [Option<u8>; 3]) -> Vec<(String, Option<IpAddr>)> {
        let address = |last: u8| IpAddr::from([10, 0, 0, last]);
        last.iter()
            .enumerate()
            .map(|(index, last)| (format!("core-{}", index + 1), last.map(address)))
            .collect()
    }

    fn hosts(last: &[u8]) -> Vec<IpAddr> {
        last.iter().map(|last| IpAddr::from([10, 0, 0, *last])).collect()
    }

    /// The formation after the same look twice.
    fn settled(waited: Duration, last: [Option<u8>; 3]) -> Formation {
        let mut forming = Forming::new(TIMEOUT);
        let first = forming.look(waited, &slots(last));
        assert!(matches!(first, Formation::Wait(_)), "one look is no proof: {first:?}");
        forming.look(waited, &slots(last))
    }

    #[test]
    fn fault_44_nothing_starts_before_every_slot_has_an_address() {
        let all = [Some(1), Some(2), Some(3)];
        assert_eq!(settled(Duration::ZERO, all), Formation::Start(hosts(&[1, 2, 3])));
        let early = TIMEOUT.checked_sub(Duration::from_secs(1)).unwrap();
        assert_eq!(
            settled(early, [Some(1), None, Some(3)]),
            Formation::Wait("no address yet of core-2".into())
        );
    }

    #[test]
    fn fault_44_a_majority_is_enough_only_after_the_timeout() {
        let expected = Formation::StartWithout { hosts: hosts(&[1, 3]), missing: vec!["core-2".into()] };
        assert_eq!(settled(TIMEOUT, [Some(1), None, Some(3)]), expected);
    }

    #[test]
    fn fault_44_one_slot_of_three_never_starts() {
        let Formation::Wait(reason) = settled(TIMEOUT * 100, [Some(1), None, None]) else {
            panic!("a cluster of one was formed by accident");
        };
        assert!(reason.contains("core-2, core-3") && reason.contains("1 of 3"), "{reason}");
    }

    #[test]
    fn an_address_that_changes_between_two_looks_is_looked_at_again() {
        let mut forming = Forming::new(TIMEOUT);
        let look = |forming: &mut Forming, last| forming.look(Duration::ZERO, &slots(last));
        look(&mut forming, [Some(1), Some(2), Some(3)]);
        assert!(matches!(look(&mut forming, [Some(1), Some(9), Some(3)]), Formation::Wait(_)));
        assert_eq!(look(&mut forming, [Some(1), Some(9), Some(3)]), Formation::Start(hosts(&[1, 9, 3])));
    }
}
