//! Whether a cluster, or one slot of it, is ready. Pure: a function of what was expected and what was seen.

use std::net::IpAddr;

use backups::{Counts, Snapshot};
use topology::{Answer, Kind, NotKnown, Slot};

/// What the template waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expected {
    Cluster {
        /// Number of nodes that must be sure of their role.
        nodes: usize,
        /// Whether exactly one of them must be the master.
        master: bool,
    },
    /// Every core slot has restored this.
    Restored(Box<Snapshot>),
    Slot {
        /// The name of its service.
        name: String,
        standing: Standing,
        /// The task definition that it must run; `None` for any.
        definition: Option<String>,
    },
}

/// How far a slot must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Its node program waits for its peers, or is further. To require more would be a deadlock where slots
    /// are created one after another: the first one waits for the others.
    WaitsForPeers,
    /// It is the master or a slave again.
    Rejoined,
    /// It has rejoined, and the cluster is settled (see [`settled`]): stopping the
    /// next slot leaves a majority.
    AmongAll,
}

/// One slot, with one of its tasks; a slot has two tasks while one is replaced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sighting {
    pub slot: Slot,
    pub seen: Seen,
}

/// The state of a slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    NoTask,
    /// A task that does not run yet, or has no address.
    Pending,
    Running {
        address: IpAddr,
        /// ARN of its task definition.
        definition: String,
        /// What it answered to the question for its role.
        answer: Answer,
        /// What its node program reports ([`neo4j::Status::phase`]); empty if it does not report it.
        phase: String,
        /// What it says of the snapshot that it restores, or has restored.
        restore: Option<neo4j::Restore>,
    },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Readiness {
    Ready,
    /// Not yet, and what each slot reports.
    NotYet(String),
}

/// What must be in the graph: what the snapshot had. `None` for what does not matter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    pub nodes: Option<u64>,
    pub relationships: Option<u64>,
}

pub fn ready(expected: &Expected, slots: &[Sighting]) -> Readiness {
    match expected {
        Expected::Cluster { nodes, master } => cluster(*nodes, *master, slots),
        Expected::Restored(snapshot) => {
            not_restored(slots, snapshot).map_or(Readiness::Ready, Readiness::NotYet)
        }
        Expected::Slot { name, standing, definition } => {
            let own: Vec<&Sighting> = slots.iter().filter(|sighting| sighting.slot.name == *name).collect();
            let there = |slot: &&Sighting| slot.runs(definition.as_deref()) && slot.stands(*standing);
            if !own.iter().any(there) {
                let says = own.iter().map(|slot| slot.says_of(definition.as_deref()));
                return Readiness::NotYet(says.collect::<Vec<_>>().join("; "));
            }
            if *standing != Standing::AmongAll {
                return Readiness::Ready;
            }
            match settled(slots) {
                Readiness::NotYet(says) => Readiness::NotYet(format!(
                    "{name} has rejoined, and before another slot is stopped the whole cluster has to be well: {says}"
                )),
                Readiness::Ready => Readiness::Ready,
            }
        }
    }
}

/// Whether one slot may be stopped: every core slot is sure of its role, and exactly one of them is the
/// master. Members that died still count in Neo4j's majority, so one more that leaves could end it.
/// Slave-only slots come and go by design.
pub fn settled(slots: &[Sighting]) -> Readiness {
    let core: Vec<&Sighting> = slots.iter().filter(|sighting| sighting.slot.kind == Kind::Core).collect();
    let is_firm = |slot: &Sighting| slot.answer().is_some_and(Answer::is_firm);
    // While a slot is replaced it may have two tasks, one of which is firm.
    let unsure = core
        .iter()
        .filter(|sighting| !core.iter().any(|other| other.slot.name == sighting.slot.name && is_firm(other)));
    let mut says: Vec<String> = unsure.map(|sighting| sighting.says()).collect();
    let masters: Vec<&Sighting> =
        slots.iter().filter(|sighting| sighting.answer() == Some(Answer::Master)).collect();
    // A slave-only slot never counts as the one master.
    let stray = masters.iter().any(|sighting| sighting.slot.kind == Kind::SlaveOnly);
    if masters.len() > 1 || stray {
        says.extend(masters.into_iter().map(Sighting::says));
    } else if masters.is_empty() {
        says.push("no node says master".to_owned());
    }
    if says.is_empty() { Readiness::Ready } else { Readiness::NotYet(says.join("; ")) }
}

fn cluster(nodes: usize, master: bool, slots: &[Sighting]) -> Readiness {
    let firm = slots.iter().filter(|slot| slot.answer().is_some_and(Answer::is_firm)).count();
    let masters: Vec<&Sighting> = slots.iter().filter(|slot| slot.answer() == Some(Answer::Master)).collect();
    let stray = masters.iter().any(|sighting| sighting.slot.kind == Kind::SlaveOnly);
    if firm >= nodes && !stray && masters.len() <= 1 && (!master || masters.len() == 1) {
        return Readiness::Ready;
    }
    let each = slots.iter().map(Sighting::says).collect::<Vec<_>>().join("; ");
    Readiness::NotYet(format!("{firm} of {nodes} nodes are sure of their role: {each}"))
}

/// Why the core slots have not restored `snapshot`; `None` if every one of them has. By what each node read in its own files before
/// its Neo4j was started, so that early writes change nothing.
pub fn not_restored(slots: &[Sighting], snapshot: &Snapshot) -> Option<String> {
    let core = slots.iter().filter(|sighting| sighting.slot.kind == Kind::Core);
    let says: Vec<String> = core.filter_map(|sighting| sighting.has_not_restored(snapshot)).collect();
    (!says.is_empty()).then(|| format!("the cluster is founded from {snapshot}: {}", says.join("; ")))
}

/// Name and address of the master, if exactly one task says that it is, and that task is of a core slot.
pub fn sole_master(slots: &[Sighting]) -> Option<(&str, IpAddr)> {
    let mut masters = slots.iter().filter(|slot| slot.answer() == Some(Answer::Master));
    match (masters.next()?, masters.next()) {
        (Sighting { slot, seen: Seen::Running { address, .. } }, None) if slot.kind == Kind::Core => {
            Some((&slot.name, *address))
        }
        _ => None,
    }
}

impl Sighting {
    /// The clause for a slot that should run `wanted`.
    fn says_of(&self, wanted: Option<&str>) -> String {
        match (&self.seen, wanted) {
            (Seen::Running { definition, .. }, Some(wanted)) if !self.runs(Some(wanted)) => {
                format!("{} still runs {} and not {}", self.slot.name, revision(definition), revision(wanted))
            }
            _ => self.says(),
        }
    }

    /// One clause: what it reports, or why it reports nothing.
    fn says(&self) -> String {
        let Self { slot: Slot { name, kind, .. }, seen } = self;
        match seen {
            Seen::NoTask => format!("{name} has no task"),
            Seen::Pending => format!("{name} has a task that does not run yet"),
            Seen::Running { address, restore: Some(restore), phase, .. }
                if phase == neo4j::phase::RESTORING =>
            {
                format!("{name} at {address} has restored {} %", restore.percent)
            }
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
                    Answer::NotKnown(NotKnown::Unexpected) => told("has no role yet"),
                }
            }
        }
    }

    /// Why it has not restored `snapshot`, as a clause; `None` if it has.
    fn has_not_restored(&self, snapshot: &Snapshot) -> Option<String> {
        let name = &self.slot.name;
        let Seen::Running { restore, .. } = &self.seen else { return Some(self.says()) };
        let Some(restore) = restore else {
            return Some(format!("{} and has not restored it", self.says()));
        };
        if restore.etag != snapshot.etag {
            return Some(format!("{name} has restored another version of it, {}", restore.etag));
        }
        if restore.percent < 100 {
            return Some(format!("{name} has restored {} % of it", restore.percent));
        }
        let expected = snapshot.counts.map(|counts| (counts.nodes, counts.relationships));
        let found = restore.nodes.zip(restore.relationships);
        match (found, expected) {
            (Some(found), Some(expected)) if found != expected => Some(format!(
                "{name} has restored {} nodes and {} relationships of {} and {}",
                found.0, found.1, expected.0, expected.1
            )),
            _ => None,
        }
    }

    /// What it answered to the question for its role; `None` without a running task.
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
                standing == Standing::WaitsForPeers && neo4j::phase::ALL.contains(&phase.as_str())
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

/// `family:revision` of a task definition, which templates name with or without the rest of its ARN.
pub(crate) fn revision(definition: &str) -> &str {
    definition.rsplit('/').next().unwrap_or(definition)
}

impl Wanted {
    /// How `found` differs from it, as a clause; `None` if it does not.
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

    pub fn is_any(&self) -> bool {
        self.nodes.is_some() || self.relationships.is_some()
    }
}

#[cfg(test)]
mod tests;
