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
    given_up: Duration,
    before: Option<Vec<IpAddr>>,
}

impl Forming {
    /// After `timeout` a majority is enough. By `given_up` the others have given up an earlier task of this slot: until then they
    /// deny entry to a member with its id, and Neo4j 3.4 ends itself a minute later (measured with a replacement that was there
    /// in no time).
    pub fn new(timeout: Duration, given_up: Duration) -> Self {
        Self { timeout, given_up, before: None }
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
            (true, true) if waited < self.given_up => Formation::Wait(
                "every slot has an address; an earlier task of this one may not be given up yet".into(),
            ),
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
        let mut forming = Forming::new(TIMEOUT, Duration::ZERO);
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
        let mut forming = Forming::new(TIMEOUT, Duration::ZERO);
        let look = |forming: &mut Forming, last| forming.look(Duration::ZERO, &slots(last));
        look(&mut forming, [Some(1), Some(2), Some(3)]);
        assert!(matches!(look(&mut forming, [Some(1), Some(9), Some(3)]), Formation::Wait(_)));
        assert_eq!(look(&mut forming, [Some(1), Some(9), Some(3)]), Formation::Start(hosts(&[1, 9, 3])));
    }

    #[test]
    fn a_slot_that_is_back_at_once_waits_until_its_earlier_task_is_given_up() {
        let (all, given_up) = (slots([Some(1), Some(2), Some(3)]), Duration::from_secs(4));
        let mut forming = Forming::new(TIMEOUT, given_up);
        forming.look(Duration::ZERO, &all);
        assert!(matches!(forming.look(Duration::from_secs(3), &all), Formation::Wait(_)));
        assert_eq!(forming.look(given_up, &all), Formation::Start(hosts(&[1, 2, 3])));
    }
}
