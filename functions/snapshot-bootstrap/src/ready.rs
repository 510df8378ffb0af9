//! Whether a cluster, or one slot of it, is there. Pure: a function of what was expected and what was seen.

use std::net::IpAddr;

use backups::Counts;
use topology::{Answer, Kind, NotKnown};

/// What the template waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expected {
    /// The whole cluster.
    Cluster {
        /// So many nodes that are sure of their role.
        nodes: usize,
        /// Whether exactly one of them must be the master.
        master: bool,
    },
    /// One slot.
    Slot {
        /// The name of its service.
        name: String,
        /// How far it must be.
        standing: Standing,
        /// The task definition that it must run; none for any.
        definition: Option<String>,
    },
}

/// How far a slot must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Its node program waits for its peers, or is beyond that. More would be a deadlock where slots are made one after the
    /// other: the first one waits for the others.
    WaitsForPeers,
    /// It is the master or a slave again.
    Rejoined,
    /// It has rejoined, and the cluster is settled (see [`settled`]): stopping the next slot leaves a majority.
    AmongAll,
}

/// One slot, as it was seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slot {
    /// The name of its service.
    pub name: String,
    /// Whether it may be master.
    pub kind: Kind,
    /// What was there.
    pub seen: Seen,
}

/// What a slot has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    /// No task.
    NoTask,
    /// A task that does not run yet, or has no address.
    Pending,
    /// A running task.
    Running {
        /// Its address.
        address: IpAddr,
        /// ARN of its task definition.
        definition: String,
        /// What it said of its role.
        answer: Answer,
        /// What its node program says: `waiting-for-peers`, `starting` or `running`; empty when it does not tell.
        phase: String,
    },
}

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// All is there.
    Ready,
    /// Not yet, and who says what.
    NotYet(String),
}

/// What must be in the graph: what the snapshot had. None for what does not matter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Nodes.
    pub nodes: Option<u64>,
    /// Relationships.
    pub relationships: Option<u64>,
}

/// The phases of a node program, all of which are beyond its start.
const PHASES: [&str; 3] = ["waiting-for-peers", "starting", "running"];

/// Compares what was seen with what is expected.
pub fn ready(expected: &Expected, slots: &[Slot]) -> Readiness {
    match expected {
        Expected::Cluster { nodes, master } => cluster(*nodes, *master, slots),
        Expected::Slot { name, standing, definition } => {
            let own: Vec<&Slot> = slots.iter().filter(|slot| slot.name == *name).collect();
            let there = |slot: &&Slot| slot.runs(definition.as_deref()) && slot.stands(*standing);
            if !own.iter().any(there) {
                let says = own.iter().map(|slot| slot.says_of(definition.as_deref()));
                return Readiness::NotYet(says.collect::<Vec<_>>().join("; "));
            }
            match (standing, settled(slots)) {
                (Standing::AmongAll, Readiness::NotYet(says)) => Readiness::NotYet(format!(
                    "{name} has rejoined, and before another slot is stopped the whole cluster has to be well: {says}"
                )),
                _ => Readiness::Ready,
            }
        }
    }
}

/// Whether one slot may be stopped: every core slot is sure of its role, and exactly one of them is the master. Members that
/// died still count in Neo4j's majority, so that one more which leaves would end it. Slave-only slots come and go by design.
pub fn settled(slots: &[Slot]) -> Readiness {
    let core: Vec<&Slot> = slots.iter().filter(|slot| slot.kind == Kind::Core).collect();
    let is_firm = |slot: &Slot| slot.answer().is_some_and(Answer::is_firm);
    // While a slot is replaced it may have two tasks, of which one is firm.
    let unsure =
        core.iter().filter(|slot| !core.iter().any(|other| other.name == slot.name && is_firm(other)));
    let mut says: Vec<String> = unsure.map(|slot| slot.says()).collect();
    let masters: Vec<String> =
        slots.iter().filter(|slot| slot.answer() == Some(Answer::Master)).map(Slot::says).collect();
    if masters.len() > 1 {
        says.extend(masters);
    } else if masters.is_empty() {
        says.push("no node says master".to_owned());
    }
    if says.is_empty() { Readiness::Ready } else { Readiness::NotYet(says.join("; ")) }
}

fn cluster(nodes: usize, master: bool, slots: &[Slot]) -> Readiness {
    let firm = slots.iter().filter(|slot| slot.answer().is_some_and(Answer::is_firm)).count();
    let masters: Vec<&Slot> = slots.iter().filter(|slot| slot.answer() == Some(Answer::Master)).collect();
    let stray = masters.iter().any(|slot| slot.kind == Kind::SlaveOnly);
    if firm >= nodes && !stray && masters.len() <= 1 && (!master || masters.len() == 1) {
        return Readiness::Ready;
    }
    let each = slots.iter().map(Slot::says).collect::<Vec<_>>().join("; ");
    Readiness::NotYet(format!("{firm} of {nodes} nodes are sure of their role: {each}"))
}

/// Name and address of the master, when there is exactly one that may be.
pub fn sole_master(slots: &[Slot]) -> Option<(&str, IpAddr)> {
    let mut masters = slots.iter().filter(|slot| slot.answer() == Some(Answer::Master));
    match (masters.next()?, masters.next()) {
        (Slot { name, kind: Kind::Core, seen: Seen::Running { address, .. } }, None) => {
            Some((name, *address))
        }
        _ => None,
    }
}

impl Slot {
    /// The same of a slot that should run `wanted`.
    fn says_of(&self, wanted: Option<&str>) -> String {
        match (&self.seen, wanted) {
            (Seen::Running { definition, .. }, Some(wanted)) if !self.runs(Some(wanted)) => {
                format!("{} still runs {} and not {}", self.name, revision(definition), revision(wanted))
            }
            _ => self.says(),
        }
    }

    /// One clause: what it says, or why it says nothing.
    fn says(&self) -> String {
        let Self { name, kind, seen } = self;
        match seen {
            Seen::NoTask => format!("{name} has no task"),
            Seen::Pending => format!("{name} has a task that does not run yet"),
            Seen::Running { address, answer, phase, .. } => {
                let at = format!("{name} at {address}");
                let told = |text: &str| match phase.as_str() {
                    "" => format!("{at} {text}, and its node program does not tell"),
                    phase => format!("{at} {text}, and its node program says {phase}"),
                };
                match answer {
                    Answer::Master if *kind == Kind::SlaveOnly => {
                        format!("{at} says master, which it must never be")
                    }
                    Answer::Master => format!("{at} says master"),
                    Answer::Slave => format!("{at} says slave"),
                    Answer::NotKnown(NotKnown::Unsettled) => format!("{at} says unsettled"),
                    Answer::NotKnown(NotKnown::Refused) => told("refuses connections"),
                    Answer::NotKnown(NotKnown::Silent | NotKnown::Late | NotKnown::NotAwaited) => {
                        told("is silent")
                    }
                    Answer::NotKnown(NotKnown::Forbidden) => {
                        format!("{at} forbids the question for its role")
                    }
                    Answer::NotKnown(NotKnown::Unexpected) => {
                        told("answers what no node of its dialect does")
                    }
                }
            }
        }
    }

    /// What it said of its role; none without a task that runs.
    pub(crate) fn answer(&self) -> Option<Answer> {
        match &self.seen {
            Seen::Running { answer, .. } => Some(*answer),
            Seen::NoTask | Seen::Pending => None,
        }
    }

    fn stands(&self, standing: Standing) -> bool {
        match &self.seen {
            Seen::Running { answer, .. } if answer.is_firm() => true,
            Seen::Running { phase, .. } => {
                standing == Standing::WaitsForPeers && PHASES.contains(&phase.as_str())
            }
            Seen::NoTask | Seen::Pending => false,
        }
    }

    fn runs(&self, wanted: Option<&str>) -> bool {
        match (&self.seen, wanted) {
            (_, None) => true,
            (Seen::Running { definition, .. }, Some(wanted)) => revision(definition) == revision(wanted),
            (Seen::NoTask | Seen::Pending, Some(_)) => false,
        }
    }
}

/// `family:revision` of a task definition, which templates name with and without the rest of its ARN.
pub(crate) fn revision(definition: &str) -> &str {
    definition.rsplit('/').next().unwrap_or(definition)
}

impl Wanted {
    /// How `found` differs from it: a clause; none when it does not.
    pub fn differs(&self, found: Counts) -> Option<String> {
        let pairs =
            [("nodes", self.nodes, found.nodes), ("relationships", self.relationships, found.relationships)];
        let clause = |(what, wanted, found): (&str, Option<u64>, u64)| {
            wanted
                .filter(|wanted| *wanted != found)
                .map(|wanted| format!("{found} {what} where {wanted} are expected"))
        };
        let clauses: Vec<String> = pairs.into_iter().filter_map(clause).collect();
        (!clauses.is_empty()).then(|| format!("the master has {}", clauses.join(" and ")))
    }

    /// Whether anything matters.
    pub fn is_any(&self) -> bool {
        self.nodes.is_some() || self.relationships.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Answer::{Master, NotKnown as Not, Slave};

    fn running(number: u8, answer: Answer, phase: &str) -> Slot {
        let address = [10, 0, 0, number].into();
        let definition = "arn:aws:ecs:r:1:task-definition/core:7".to_owned();
        let seen = Seen::Running { address, definition, answer, phase: phase.into() };
        Slot { name: format!("core-{number}"), kind: Kind::Core, seen }
    }

    fn without(number: u8, seen: Seen) -> Slot {
        Slot { name: format!("core-{number}"), kind: Kind::Core, seen }
    }

    fn slave_only(number: u8, answer: Answer) -> Slot {
        Slot { kind: Kind::SlaveOnly, ..running(number, answer, "running") }
    }

    /// Name, nodes wanted, whether a master is, what is seen, what is not ready.
    type Case = (&'static str, usize, bool, Vec<Slot>, Option<&'static str>);

    #[test]
    fn a_cluster_is_ready_when_enough_are_sure_and_one_of_them_leads() {
        let up = |number, answer| running(number, answer, "running");
        let table: [Case; 11] = [
            ("whole", 3, true, vec![up(1, Slave), up(2, Master), up(3, Slave)], None),
            ("one node", 1, true, vec![up(1, Master)], None),
            ("a slave-only node counts", 2, true, vec![up(1, Master), slave_only(2, Slave)], None),
            ("no master, none wanted", 2, false, vec![up(1, Slave), up(2, Slave)], None),
            (
                "one is between roles, one has no task",
                3,
                true,
                vec![up(1, Master), up(2, Not(NotKnown::Unsettled)), without(3, Seen::NoTask)],
                Some(
                    "1 of 3 nodes are sure of their role: core-1 at 10.0.0.1 says master; core-2 at 10.0.0.2 says unsettled; \
                     core-3 has no task",
                ),
            ),
            (
                "nobody leads",
                2,
                true,
                vec![up(1, Slave), up(2, Slave)],
                Some(
                    "2 of 2 nodes are sure of their role: core-1 at 10.0.0.1 says slave; core-2 at 10.0.0.2 says slave",
                ),
            ),
            ("two lead", 2, true, vec![up(1, Master), up(2, Master)], Some("2 of 2 nodes")),
            ("two lead, none wanted", 2, false, vec![up(1, Master), up(2, Master)], Some("2 of 2 nodes")),
            (
                "a slave-only node leads",
                2,
                true,
                vec![up(1, Slave), slave_only(2, Master)],
                Some(
                    "2 of 2 nodes are sure of their role: core-1 at 10.0.0.1 says slave; \
                     core-2 at 10.0.0.2 says master, which it must never be",
                ),
            ),
            (
                "all wait",
                2,
                true,
                vec![running(1, Not(NotKnown::Refused), "waiting-for-peers"), without(2, Seen::Pending)],
                Some(
                    "0 of 2 nodes are sure of their role: core-1 at 10.0.0.1 refuses connections, and its node program says \
                     waiting-for-peers; core-2 has a task that does not run yet",
                ),
            ),
            (
                "silent and mute",
                1,
                true,
                vec![running(1, Not(NotKnown::Silent), "")],
                Some(
                    "0 of 1 nodes are sure of their role: core-1 at 10.0.0.1 is silent, and its node program does not tell",
                ),
            ),
        ];
        for (case, nodes, master, slots, expected) in table {
            match (ready(&Expected::Cluster { nodes, master }, &slots), expected) {
                (Readiness::Ready, None) => {}
                (Readiness::NotYet(says), Some(expected)) => {
                    assert!(says.starts_with(expected), "{case}: {says}");
                }
                (found, _) => panic!("{case}: {found:?}"),
            }
        }
    }

    #[test]
    fn a_slot_is_there_when_it_waits_for_its_peers_and_back_when_it_has_a_role() {
        use Standing::{Rejoined, WaitsForPeers};
        let refused = Not(NotKnown::Refused);
        let table = [
            (without(1, Seen::NoTask), false, false),
            (without(1, Seen::Pending), false, false),
            (running(1, refused, ""), false, false),
            (running(1, refused, "thinking"), false, false),
            (running(1, refused, "waiting-for-peers"), true, false),
            (running(1, refused, "starting"), true, false),
            (running(1, Not(NotKnown::Unsettled), "running"), true, false),
            (running(1, Slave, ""), true, true),
            (running(1, Master, "running"), true, true),
        ];
        for (slot, waits, rejoined) in table {
            for (standing, expected) in [(WaitsForPeers, waits), (Rejoined, rejoined)] {
                let expected_of = Expected::Slot { name: "core-1".into(), standing, definition: None };
                let found = ready(&expected_of, std::slice::from_ref(&slot));
                assert_eq!(found == Readiness::Ready, expected, "{standing:?} {slot:?}");
            }
        }
    }

    #[test]
    fn a_slot_that_runs_what_it_ran_before_is_not_back() {
        let of = |definition: &str| {
            let (name, definition) = ("core-1".to_owned(), Some(definition.into()));
            let expected = Expected::Slot { name, standing: Standing::Rejoined, definition };
            ready(&expected, &[running(1, Slave, "running")])
        };
        assert_eq!(of("arn:aws:ecs:r:1:task-definition/core:7"), Readiness::Ready);
        assert_eq!(of("core:7"), Readiness::Ready);
        assert_eq!(
            of("arn:aws:ecs:r:1:task-definition/core:8"),
            Readiness::NotYet("core-1 still runs core:7 and not core:8".into())
        );
    }

    #[test]
    fn the_next_slot_may_be_stopped_when_all_others_are_sure_and_one_leads() {
        let up = |number, answer| running(number, answer, "running");
        let replaced = Slot { seen: Seen::Pending, ..up(3, Slave) };
        let table: [(&str, Vec<Slot>, Option<&str>); 8] = [
            ("whole", vec![up(1, Slave), up(2, Master), up(3, Slave)], None),
            ("of one", vec![up(1, Master)], None),
            ("two tasks of one slot", vec![up(1, Slave), up(2, Master), replaced, up(3, Slave)], None),
            (
                "a slave-only slot is away",
                vec![up(1, Slave), up(2, Master), Slot { kind: Kind::SlaveOnly, ..without(3, Seen::NoTask) }],
                None,
            ),
            (
                "one is away",
                vec![up(1, Slave), up(2, Master), without(3, Seen::NoTask)],
                Some("core-3 has no task"),
            ),
            (
                "one is between roles",
                vec![up(1, Slave), up(2, Master), up(3, Not(NotKnown::Unsettled))],
                Some("core-3 at 10.0.0.3 says unsettled"),
            ),
            ("no master", vec![up(1, Slave), up(2, Slave), up(3, Slave)], Some("no node says master")),
            (
                "two masters",
                vec![up(1, Master), up(2, Master), up(3, Slave)],
                Some("core-1 at 10.0.0.1 says master; core-2 at 10.0.0.2 says master"),
            ),
        ];
        for (case, slots, expected) in table {
            let expected = expected.map_or(Readiness::Ready, |says| Readiness::NotYet(says.to_owned()));
            assert_eq!(settled(&slots), expected, "{case}");
        }
        let of = |standing, slots: &[Slot]| {
            ready(&Expected::Slot { name: "core-1".into(), standing, definition: None }, slots)
        };
        let degraded = [up(1, Slave), up(2, Master), without(3, Seen::NoTask)];
        assert_eq!(of(Standing::Rejoined, &degraded), Readiness::Ready, "the others are not its matter");
        assert_eq!(
            of(Standing::AmongAll, &degraded),
            Readiness::NotYet(
                "core-1 has rejoined, and before another slot is stopped the whole cluster has to be well: core-3 has no task"
                    .into()
            )
        );
    }

    #[test]
    fn the_sole_master_is_named_and_no_other() {
        let up = |number, answer| running(number, answer, "running");
        assert_eq!(sole_master(&[up(1, Slave), up(2, Master)]), Some(("core-2", [10, 0, 0, 2].into())));
        assert_eq!(sole_master(&[up(1, Master), up(2, Master)]), None);
        assert_eq!(sole_master(&[up(1, Slave)]), None);
        assert_eq!(sole_master(&[slave_only(1, Master)]), None);
    }

    #[test]
    fn counts_are_compared_one_by_one() {
        let found = Counts { nodes: 5, relationships: 7 };
        let differs = |nodes, relationships| Wanted { nodes, relationships }.differs(found);
        assert_eq!(differs(None, None), None);
        assert_eq!(differs(Some(5), Some(7)), None);
        assert_eq!(differs(Some(6), Some(7)).as_deref(), Some("the master has 5 nodes where 6 are expected"));
        assert_eq!(
            differs(Some(0), Some(8)).as_deref(),
            Some("the master has 5 nodes where 0 are expected and 7 relationships where 8 are expected")
        );
    }
}
