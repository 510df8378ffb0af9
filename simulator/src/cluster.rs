//! Neo4j as far as the election sees it: which members hear each other, what they notice, and elections.
//! Timings are those measured on 3.4.6 with heartbeats of 0.5 s / 2 s.

use std::{collections::BTreeSet, net::IpAddr};

use topology::{Kind, Mode};

use crate::{
    Chance,
    member::{FalseView, Member, Process, Role, Task},
};

/// From the loss of a master until its survivors notice it, milliseconds, slightly different for each. At
/// most one heartbeat timeout and one interval: that is what makes a firm slave a proof.
const NOTICED: (u64, u64) = (1_800, 2_300);
/// A member that is not heard for this long is not alive in the others' view.
const UNHEARD: u64 = 2_500;
/// From noticing to a new master, milliseconds.
const ELECTED: (u64, u64) = (100, 400);
/// A connected member that knows the master is its slave after this long.
pub(crate) const JOINED: u64 = 400;
/// A member that lost sight of the cluster finds the master after this long.
const FOUND: u64 = 8_000;
/// How long a stale master believes that it is the master. Measured on real nodes it is 2 s;
/// nothing guarantees that.
pub(crate) const STALE: (u64, u64) = (5_000, 120_000);

#[derive(Clone, Debug)]
pub struct Cluster {
    /// In the order of their slots.
    pub members: Vec<Member>,
    pub mode: Mode,
    /// Whether survivors of a frozen master wait for it, as they do with a long read timeout.
    pub waits_for_frozen: bool,
    /// The highest task and address number so far.
    tasks: u64,
    /// When the next election ends.
    election: Option<u64>,
    elections: u64,
}

impl Cluster {
    /// A cluster of `core` core nodes, the first of them master, and slave-only slots, of which the
    /// last `at_zero` are at zero.
    pub fn new(mode: Mode, core: u32, slave_only: u32, at_zero: u32, over_bolt: bool) -> Self {
        let mut cluster = Self {
            members: Vec::new(),
            mode,
            waits_for_frozen: false,
            tasks: 0,
            election: None,
            elections: 0,
        };
        for id in 1..=core + slave_only {
            let kind = if id <= core { Kind::Core } else { Kind::SlaveOnly };
            let mut member = Member::new(id, kind, cluster.new_task(), over_bolt);
            if id == 1 {
                member.role = Role::Master;
            }
            if id > core + slave_only - at_zero {
                (member.process, member.wanted, member.counted) = (Process::Away, false, false);
            }
            cluster.members.push(member);
        }
        cluster
    }

    pub(crate) fn new_task(&mut self) -> Task {
        self.tasks += 1;
        let bytes = self.tasks.to_be_bytes();
        (self.tasks, IpAddr::from([10, bytes[5], bytes[6], bytes[7]]))
    }

    /// The index of the member with this task.
    pub fn of(&self, task: &str) -> Option<usize> {
        self.members.iter().position(|member| member.task == task)
    }

    /// Members that believe they are the master and accept writes.
    pub fn writers(&self) -> impl Iterator<Item = &Member> {
        self.members.iter().filter(|member| member.writes())
    }

    /// Whether the address belongs to a core slot's task that has not ended.
    pub fn is_core(&self, address: IpAddr) -> bool {
        self.members.iter().any(|m| m.address == address && m.kind == Kind::Core && m.listed())
    }

    /// The master of a majority: the one that the connected members elected last.
    pub fn master(&self) -> Option<&Member> {
        if !self.has_quorum() {
            return None;
        }
        let masters = self.members.iter().filter(|m| m.connected() && m.role == Role::Master);
        masters.max_by_key(|member| member.elected)
    }

    /// Whether the connected members are a majority of the voters.
    pub fn has_quorum(&self) -> bool {
        let may_vote = |member: &&Member| member.kind == Kind::Core || self.mode != Mode::Cluster;
        let counted = |member: &&Member| member.counted || self.mode == Mode::Cluster;
        let voters = self.members.iter().filter(may_vote).filter(counted);
        let (heard, all) =
            voters.fold((0, 0), |(heard, all), m| (heard + usize::from(m.connected()), all + 1));
        heard > all / 2
    }

    /// Server ids of the members that the one at `index` reports alive.
    pub fn view_of(&self, index: usize, now: u64) -> BTreeSet<u32> {
        let member = &self.members[index];
        let all = || self.members.iter().map(|other| other.id).collect();
        match member.misreports {
            Some((until, FalseView::All)) if now < until => return all(),
            Some((until, FalseView::Itself)) if now < until => return BTreeSet::from([member.id]),
            _ => {}
        }
        let lately = |m: &&Member| m.connected_at.is_some_and(|at| now.saturating_sub(at) <= UNHEARD);
        let others = self.members.iter().filter(|_| lately(&member)).filter(lately);
        others.map(|other| other.id).chain([member.id]).collect()
    }

    /// Lets happen what is due by `now`.
    pub fn step(&mut self, now: u64, chance: &mut Chance) {
        self.tasks(now, chance);
        self.notice(now, chance);
        self.elect(now, chance);
        self.join(now);
        let quorum = self.has_quorum();
        for member in &mut self.members {
            if member.connected() {
                member.connected_at = Some(now);
                member.counted = true;
                member.heard_at = if quorum { Some(now) } else { member.heard_at };
            }
            if member.reachable() {
                member.reachable_at = Some(now);
            }
            member.well_since = member.answers_well(now).then(|| member.well_since.unwrap_or(now));
        }
    }

    /// Members that hear no master, and masters without a majority, are between roles after a while;
    /// some masters stay stale.
    fn notice(&mut self, now: u64, chance: &mut Chance) {
        let last = self.master().map(|master| master.elected);
        let lingers = self.mode == Mode::Ha;
        for member in &mut self.members {
            if !member.runs() || member.role == Role::Pending {
                (member.notices, member.stale) = (None, None);
                continue;
            }
            if let Some(until) = member.stale {
                if now >= until {
                    (member.role, member.joins, member.stale) = (Role::Pending, None, None);
                }
                continue;
            }
            let outdated = member.role == Role::Master && last.is_some_and(|last| member.elected < last);
            if last.is_some() && member.connected() && !outdated {
                member.notices = None;
                continue;
            }
            let at = *member.notices.get_or_insert_with(|| now + chance.between(NOTICED.0, NOTICED.1));
            if now < at {
                continue;
            }
            member.notices = None;
            if lingers && member.role == Role::Master && chance.one_in(3) {
                member.stale = Some(now + chance.between(STALE.0, STALE.1));
            } else {
                (member.role, member.joins) = (Role::Pending, None);
            }
        }
    }

    /// A majority of connected members without a master elects one of its core nodes.
    fn elect(&mut self, now: u64, chance: &mut Chance) {
        let frozen = |m: &Member| m.process == Process::Frozen && m.role == Role::Master;
        let waits = self.mode == Mode::Ha && self.waits_for_frozen && self.members.iter().any(frozen);
        let mut connected = self.members.iter().filter(|member| member.connected());
        if waits || !connected.all(|member| member.role == Role::Pending) || !self.has_quorum() {
            self.election = None;
            return;
        }
        let at = *self.election.get_or_insert_with(|| now + chance.between(ELECTED.0, ELECTED.1));
        if now < at {
            return;
        }
        self.election = None;
        let core = |index: &usize| {
            let member = &self.members[*index];
            member.connected() && member.kind == Kind::Core && !member.stopping
        };
        let core: Vec<usize> = (0..self.members.len()).filter(core).collect();
        let Some(elected) = chance.pick(&core).copied() else { return };
        self.elections += 1;
        self.members[elected].elected = self.elections;
        for (index, member) in self.members.iter_mut().enumerate().filter(|(_, m)| m.connected()) {
            member.role = if index == elected { Role::Master } else { Role::Pending };
            member.joins = (index != elected).then_some(now + JOINED);
        }
    }

    fn join(&mut self, now: u64) {
        if self.master().is_none() {
            return;
        }
        for member in self.members.iter_mut().filter(|m| m.role == Role::Pending && m.connected()) {
            // Healed from a partition, or thawed: it finds the master after a while.
            if now >= *member.joins.get_or_insert(now + FOUND) {
                (member.role, member.joins) = (Role::Slave, None);
            }
        }
    }
}
