//! The nodes as they are: tasks, roles, lags, rolls, a pause; and what was true a moment ago.

use std::collections::VecDeque;

use backup_trigger::Node;
use neo4j::Status;
use topology::{Kind, Mode};

use super::member::{Member, Moment, Process, Quiet, Role, address};
use crate::Chance;

/// How long the past is kept: longer than an invocation lives and a listing is stale.
const PAST: u64 = 600_000;
/// From the end of a task to the next one, milliseconds, and until that one has joined.
const REPLACED: (u64, u64) = (20_000, 1_200_000);
const JOINS: (u64, u64) = (60_000, 300_000);
/// Bytes of every store, as long as it is one of the usual size.
const STORE: u64 = 5 << 30;
/// A master is elected within this time.
const ELECTS: (u64, u64) = (5_000, 60_000);

/// What comes later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Change {
    Away(usize),
    Start(usize),
    Join(usize),
    Elect,
    /// A second master steps down.
    StepDown(usize),
    /// Whatever is wrong with a node that runs ends.
    Well(usize),
    /// A roll comes to this slot.
    Roll(usize),
    Shrinks,
}

#[derive(Clone, Debug)]
pub struct Nodes {
    pub now: Moment,
    pub mode: Mode,
    /// The revision that new tasks have.
    definition: u64,
    tasks: u64,
    changes: Vec<(u64, Change)>,
    past: VecDeque<(u64, Moment)>,
}

impl Nodes {
    /// A cluster that is well: the first core slot is the master, `slots` has the kinds.
    pub fn new(slots: &[Kind], mode: Mode) -> Self {
        let member = |(slot, kind): (usize, &Kind)| Member {
            slot,
            kind: *kind,
            task: slot as u64 + 1,
            definition: 1,
            process: Process::Up,
            role: if slot == 0 { Role::Master } else { Role::Slave },
            lag: 0,
            reports_lag: true,
            quiet: Quiet::No,
            backup_server: Some(true),
            has_subnet: true,
            twin: None,
        };
        let members: Vec<Member> = slots.iter().enumerate().map(member).collect();
        let tasks = members.len() as u64;
        let now = Moment { members, pause: None, store_bytes: Some(STORE) };
        let past = VecDeque::from([(0, now.clone())]);
        Self { now, mode, definition: 1, tasks, changes: Vec::new(), past }
    }

    /// Lets happen what is due by `now`.
    pub fn step(&mut self, now: u64, chance: &mut Chance) {
        while let Some(index) = (0..self.changes.len()).min_by_key(|index| self.changes[*index].0) {
            let (at, due) = self.changes[index];
            if at > now {
                break;
            }
            self.changes.swap_remove(index);
            self.change(due, at, chance);
            self.changed(at);
        }
    }

    /// Notes what is true from `now` on.
    pub fn changed(&mut self, now: u64) {
        if self.past.back().is_none_or(|(_, last)| *last != self.now) {
            self.past.push_back((now, self.now.clone()));
        }
        while self.past.get(1).is_some_and(|(at, _)| at + PAST < now) {
            self.past.pop_front();
        }
    }

    /// Whether something was true from `from` to `to` without a break.
    pub fn throughout(&self, (from, to): (u64, u64), is: impl Fn(&Moment) -> bool) -> bool {
        let began = self.past.iter().rposition(|(at, _)| *at <= from).unwrap_or(0);
        self.past.iter().skip(began).take_while(|(at, _)| *at <= to).all(|(_, moment)| is(moment))
    }

    /// What was true at `at`.
    pub fn at(&self, at: u64) -> &Moment {
        let found = self.past.iter().rev().find(|(began, _)| *began <= at);
        found.map_or(&self.now, |(_, moment)| moment)
    }

    pub fn master(&self) -> Option<usize> {
        let is = |m: &Member| m.role == Role::Master && m.process == Process::Up && m.kind == Kind::Core;
        self.now.members.iter().position(is)
    }

    fn later(&mut self, at: u64, change: Change) {
        self.changes.push((at, change));
    }

    fn change(&mut self, due: Change, at: u64, chance: &mut Chance) {
        match due {
            Change::Away(slot) => self.leave(slot, at, chance),
            Change::Start(slot) => {
                self.tasks += 1;
                let member = &mut self.now.members[slot];
                (member.task, member.definition) = (self.tasks, self.definition);
                (member.process, member.role, member.quiet) = (Process::Starting, Role::Pending, Quiet::No);
                (member.lag, member.reports_lag, member.has_subnet) = (0, true, true);
                member.backup_server = Some(true);
                self.later(at + chance.between(JOINS.0, JOINS.1), Change::Join(slot));
            }
            Change::Join(slot) => {
                if self.now.members[slot].process == Process::Starting {
                    self.now.members[slot].process = Process::Up;
                    self.now.members[slot].role = Role::Slave;
                    self.later(at + chance.between(ELECTS.0, ELECTS.1), Change::Elect);
                }
            }
            Change::Elect => self.elect(),
            Change::StepDown(slot) => {
                let is_master = |m: &Member| m.role == Role::Master && m.kind == Kind::Core;
                let masters = self.now.members.iter().filter(|m| is_master(m)).count();
                let member = &self.now.members[slot];
                if member.role == Role::Master && (masters > 1 || member.kind == Kind::SlaveOnly) {
                    self.now.members[slot].role = Role::Slave;
                }
            }
            Change::Well(slot) => self.mend(slot),
            Change::Roll(slot) => {
                let Some(kind) = self.now.members.get(slot).map(|member| member.kind) else { return };
                let stops = at + chance.between(1_000, 60_000);
                self.stop(slot, stops);
                let next = if kind == Kind::Core { 120_000 } else { 30_000 };
                self.later(stops + next + chance.between(60_000, 900_000), Change::Roll(slot + 1));
            }
            Change::Shrinks => self.now.store_bytes = Some(STORE),
        }
    }

    fn mend(&mut self, slot: usize) {
        let member = &mut self.now.members[slot];
        (member.lag, member.reports_lag, member.has_subnet) = (0, true, true);
        (member.quiet, member.backup_server, member.twin) = (Quiet::No, Some(true), None);
        if member.process == Process::Up && member.role == Role::Pending {
            member.role = Role::Slave;
        }
        self.elect();
    }

    /// A master is elected if there is none.
    fn elect(&mut self) {
        let is_up = |m: &&mut Member| m.kind == Kind::Core && m.process == Process::Up;
        if self.master().is_none()
            && let Some(elected) = self.now.members.iter_mut().rfind(is_up)
        {
            elected.role = Role::Master;
        }
        let has_master = self.master().is_some();
        for member in &mut self.now.members {
            if has_master && member.process == Process::Up && member.role == Role::Pending {
                member.role = Role::Slave;
            }
        }
    }

    fn leave(&mut self, slot: usize, at: u64, chance: &mut Chance) {
        let member = &mut self.now.members[slot];
        if member.process == Process::Away {
            return;
        }
        (member.process, member.twin) = (Process::Away, None);
        if member.role == Role::Master && self.mode != Mode::Single {
            let others = self.now.members.iter_mut().filter(|m| m.process == Process::Up);
            others.for_each(|other| other.role = Role::Pending);
            self.later(at + chance.between(ELECTS.0, ELECTS.1), Change::Elect);
        }
        self.later(at + chance.between(REPLACED.0, REPLACED.1), Change::Start(slot));
    }

    fn stop(&mut self, slot: usize, ends: u64) {
        if self.now.members[slot].process == Process::Up {
            self.now.members[slot].process = Process::Stopping;
        }
        self.later(ends, Change::Away(slot));
    }

    pub fn dies(&mut self, slot: usize, now: u64, chance: &mut Chance) {
        self.leave(slot, now, chance);
    }

    /// ECS is asked to stop a task, which takes its time.
    pub fn stops(&mut self, slot: usize, now: u64, chance: &mut Chance) {
        self.stop(slot, now + chance.between(10_000, 1_200_000));
    }

    /// All slave-only slots are scaled to zero for a while.
    pub fn scales_to_zero(&mut self, until: u64) {
        let is_there = |m: &&mut Member| m.kind == Kind::SlaveOnly && m.process != Process::Away;
        let mut slots = Vec::new();
        for member in self.now.members.iter_mut().filter(is_there) {
            (member.process, member.twin) = (Process::Away, None);
            slots.push(member.slot);
        }
        slots.into_iter().for_each(|slot| self.later(until, Change::Start(slot)));
    }

    /// Something is wrong with a node for a while.
    pub fn ails(&mut self, slot: usize, until: u64, ails: impl FnOnce(&mut Member)) {
        ails(&mut self.now.members[slot]);
        self.later(until, Change::Well(slot));
    }

    /// A second node says that it is the master.
    pub fn claims(&mut self, slot: usize, until: u64) {
        let member = &mut self.now.members[slot];
        if member.process == Process::Up && member.role == Role::Slave {
            member.role = Role::Master;
            self.later(until, Change::StepDown(slot));
        }
    }

    /// The master takes itself for a slave for a while, and no other one is elected.
    pub fn loses_master(&mut self, until: u64) {
        if let Some(master) = self.master() {
            self.now.members[master].role = Role::Slave;
            self.later(until, Change::Elect);
        }
    }

    /// Every slot is replaced, one after the other.
    pub fn roll(&mut self, now: u64) {
        let rolls = self.changes.iter().any(|(_, change)| matches!(change, Change::Roll(_)));
        if !rolls {
            self.definition += 1;
            self.later(now, Change::Roll(0));
        }
    }

    pub fn grows(&mut self, bytes: Option<u64>, until: u64) {
        self.now.store_bytes = bytes;
        self.later(until, Change::Shrinks);
    }

    /// A second task of a slot runs for a while.
    pub fn doubles(&mut self, slot: usize, until: u64) {
        self.tasks += 1;
        let task = self.tasks;
        self.ails(slot, until, |member| {
            member.twin = (member.process != Process::Away).then_some(task);
        });
    }

    /// Everything that is wrong ends soon; what is under way goes on.
    pub fn calm(&mut self, now: u64) {
        let ends = |change: Change| matches!(change, Change::Well(_) | Change::StepDown(_) | Change::Shrinks);
        self.changes.retain(|(_, change)| !ends(*change));
        (self.now.pause, self.now.store_bytes) = (None, Some(STORE));
        (0..self.now.members.len()).for_each(|slot| self.mend(slot));
        let masters = self.now.members.iter_mut().filter(|m| m.role == Role::Master);
        masters.skip(1).for_each(|second| second.role = Role::Slave);
        let slave_only = self.now.members.iter_mut().filter(|m| m.kind == Kind::SlaveOnly);
        slave_only.filter(|m| m.role == Role::Master).for_each(|claimant| claimant.role = Role::Slave);
        self.elect();
        self.changed(now);
    }

    /// What ECS lists, as it was at `at`.
    pub fn listed(&self, at: u64, slots: &[topology::Slot]) -> Vec<Node> {
        let mut nodes = Vec::new();
        for member in self.at(at).members.iter().filter(|member| member.process != Process::Away) {
            for task in [Some(member.task), member.twin].into_iter().flatten() {
                nodes.push(Node {
                    slot: slots[member.slot].clone(),
                    task: format!("task-{task}"),
                    definition: format!("definition-{}", member.definition),
                    address: (member.process != Process::Starting || task % 2 == 0).then(|| address(task)),
                    subnet: member.has_subnet.then(|| format!("subnet-{}", member.slot % 3 + 1)),
                    running: member.process != Process::Starting || task % 2 == 0,
                    stopping: member.process == Process::Stopping,
                    status: None,
                });
            }
        }
        nodes
    }

    /// What the node program at `node`'s address reports now.
    pub fn status(&self, node: &Node, last: u64) -> Option<Status> {
        let member = self.now.at(node.address.filter(|_| node.running)?)?;
        member.status(self.mode, last, self.now.store_bytes)
    }
}
