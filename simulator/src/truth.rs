//! Which members were harmed: fences and switches are compared with what was true when their evidence was
//! taken, not with what the rules say about themselves.

use std::net::IpAddr;

use topology::Mode;

use crate::{
    cluster::Cluster,
    member::{Member, PATIENCE_MS, Role},
};

/// A member that a majority heard within this time counts as part of the cluster, milliseconds.
const LATELY: u64 = 5_000;

/// A round that waited in vain excuses those of the next 4 s, and the last of them may take its patience.
const EXCUSED: u64 = 3 * PATIENCE_MS;

/// What was true at one moment.
#[derive(Clone, Debug, Default)]
pub struct Moment {
    pub at: u64,
    pub master: Option<Master>,
    facts: Vec<Fact>,
}

/// The master of a majority.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Master {
    pub address: IpAddr,
    /// Whether it would answer the function for its role, truly and within the patience.
    pub answers: bool,
    /// Since when it would.
    since: Option<u64>,
}

#[derive(Clone, Debug)]
struct Fact {
    address: IpAddr,
    up: bool,
    connected: bool,
    heard_at: Option<u64>,
    reachable_at: Option<u64>,
    /// Whether it is a slave and says so.
    testifies: bool,
}

/// How a fence or a switch is judged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Judgement {
    /// It harmed a member that was not well, or none.
    Right,
    /// It harmed a member that no rule could have distinguished from one that is not well;
    /// counted under this name.
    Exempt(&'static str),
    /// It must never have happened.
    Wrong(String),
}

/// Fences and switches that are counted and do not break a run.
pub const EXEMPT: [(&str, &str); 7] = [
    ("exempt fence", UNHEARD),
    ("exempt fence", NO_TESTIMONY),
    ("exempt fence", FALSE_VIEW),
    ("exempt switch", NOT_SEEN),
    ("exempt switch", JUST_ELECTED),
    ("exempt switch", BACK),
    ("exempt switch", FALSE_VIEW),
];
const UNHEARD: &str = "of a living member that no majority hears";
const NO_TESTIMONY: &str = "of a hidden member, no other one could testify";
const FALSE_VIEW: &str = "on a false member view";
const NOT_SEEN: &str = "from a master that did not answer";
const BACK: &str = "from a master that answers again since a moment";
const JUST_ELECTED: &str = "from a master elected during the round";

impl Moment {
    pub fn of(cluster: &Cluster, now: u64) -> Self {
        let fact = |member: &Member| Fact {
            address: member.address,
            up: member.runs(),
            connected: member.connected(),
            heard_at: member.heard_at,
            reachable_at: member.reachable_at,
            // Followers of Raft say the same with and without a leader.
            testifies: cluster.mode == Mode::Ha && member.role == Role::Slave && member.answers_well(now),
        };
        Self { at: now, master: master(cluster, now), facts: cluster.members.iter().map(fact).collect() }
    }

    /// Judges a fence of the member at `address`, whose evidence was taken at this moment. `heard_of` says
    /// whether the followed master reported its members truly in that round, or falsely.
    pub fn fence(&self, address: IpAddr, heard_of: Option<bool>) -> Judgement {
        let Some(fact) = self.facts.iter().find(|fact| fact.address == address) else {
            return Judgement::Right;
        };
        let lately = |at: Option<u64>| at.is_some_and(|at| at + LATELY >= self.at);
        if !lately(fact.heard_at) {
            return if fact.up { Judgement::Exempt(UNHEARD) } else { Judgement::Right };
        }
        if lately(fact.reachable_at) {
            return Judgement::Wrong(
                "fenced a member that was up, heard by a majority, and heard by the function".to_owned(),
            );
        }
        // Beside a master its own view is the evidence; otherwise any slave is: it has a master.
        let slave = self.facts.iter().any(|other| other.testifies && other.address != address);
        match heard_of {
            Some(false) => Judgement::Exempt(FALSE_VIEW),
            _ if fact.connected && (slave || heard_of == Some(true)) => Judgement::Wrong(
                "fenced a member that was up and heard by a majority, as the others testify".to_owned(),
            ),
            _ => Judgement::Exempt(NO_TESTIMONY),
        }
    }

    /// Whether a round that had waited for it, and those that it excuses, may have begun
    /// before it answered again.
    fn is_back(&self, master: Master) -> bool {
        master.since.is_none_or(|since| since + EXCUSED > self.at)
    }

    /// Judges a switch to the member at `to`. `before` is the master when the nodes were asked; `misreported`
    /// says whether a claimant reported its members falsely, `passed_over` whether a node was not waited for,
    /// because a round had waited for it a moment ago, or was not listed yet.
    pub fn switch(
        &self,
        to: IpAddr,
        before: Option<Master>,
        misreported: bool,
        passed_over: impl Fn(IpAddr) -> bool,
    ) -> Judgement {
        match self.master {
            Some(master) if master.address != to => match before {
                _ if !master.answers => Judgement::Exempt(NOT_SEEN),
                Some(asked) if asked.address == master.address && misreported => {
                    Judgement::Exempt(FALSE_VIEW)
                }
                Some(asked) if asked.address == master.address && !asked.answers => Judgement::Exempt(BACK),
                Some(asked)
                    if asked.address == master.address
                        && passed_over(master.address)
                        && self.is_back(master) =>
                {
                    Judgement::Exempt(BACK)
                }
                Some(asked) if asked.address == master.address => Judgement::Wrong(format!(
                    "switched to {to} from {}, the master of a majority, which answers",
                    master.address
                )),
                _ => Judgement::Exempt(JUST_ELECTED),
            },
            _ => Judgement::Right,
        }
    }
}

/// The master of a majority.
pub fn master(cluster: &Cluster, now: u64) -> Option<Master> {
    let master = cluster.master()?;
    Some(Master { address: master.address, answers: master.answers_well(now), since: master.well_since })
}
