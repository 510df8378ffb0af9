//! ECS as far as the election sees it: tasks that end, stop, are lost with their host, and come back.

use topology::Kind;

use crate::{
    Chance,
    cluster::{Cluster, JOINED, STALE},
    member::{Process, Role},
};
use topology::Mode;

/// A process that starts joins the others after this long, milliseconds.
const STARTS: (u64, u64) = (8_000, 15_000);
/// From the end of a task until ECS starts its successor, milliseconds.
const REPLACED: (u64, u64) = (2_000, 20_000);
/// The time that a task gets between SIGTERM and SIGKILL, milliseconds; [`crate::setting`]
/// gives the policy the same.
pub const STOP_TIMEOUT: u64 = 30_000;
/// A master that is asked to stop has handed over after this long, milliseconds (measured: 0.24 to 1.63 s).
const HANDED_OVER: (u64, u64) = (200, 3_000);

impl Cluster {
    /// Lets happen to the tasks what is due by `now`.
    pub(crate) fn tasks(&mut self, now: u64, chance: &mut Chance) {
        for index in 0..self.members.len() {
            let member = &mut self.members[index];
            if member.agent_dead.is_some_and(|until| now >= until) {
                self.agent_ends(index, now, chance);
            }
            let member = &mut self.members[index];
            if member.hands_over.is_some_and(|at| now >= at) {
                (member.left, member.counted, member.hands_over) = (true, false, None);
                member.role = Role::Pending;
            }
            if member.stops.is_some_and(|at| now >= at) {
                member.counted &= member.process != Process::Up;
                self.kill(index, now, chance);
            }
            let member = &mut self.members[index];
            if member.starts.is_some_and(|at| now >= at) {
                (member.starts, member.joins) = (None, Some(now + JOINED));
            }
            match member.process {
                Process::Lost { until } if now >= until => self.kill(index, now, chance),
                Process::Dead { back } if now >= back && member.agent_dead.is_none() => {
                    self.begin(index, now, chance);
                }
                Process::Away if member.wanted => self.begin(index, now, chance),
                _ => {}
            }
        }
    }

    /// Starts the slot's next task, unless the service is at zero.
    fn begin(&mut self, index: usize, now: u64, chance: &mut Chance) {
        if !self.members[index].wanted {
            self.members[index].process = Process::Away;
            return;
        }
        let task = self.new_task();
        self.members[index].restart(task, now + chance.between(STARTS.0, STARTS.1));
    }

    pub fn kill(&mut self, index: usize, now: u64, chance: &mut Chance) {
        let back = now + chance.between(REPLACED.0, REPLACED.1);
        let member = &mut self.members[index];
        if !matches!(member.process, Process::Dead { .. } | Process::Away) {
            (member.process, member.stops, member.hands_over) = (Process::Dead { back }, None, None);
        }
    }

    /// SIGTERM, and for a frozen process SIGKILL after the stop timeout. On a host without an agent nothing
    /// happens, except that ECS means to stop the task.
    pub fn stop(&mut self, index: usize, now: u64, chance: &mut Chance) {
        let member = &mut self.members[index];
        if member.stopping || !member.listed() {
            return;
        }
        member.stopping = true;
        if member.agent_dead.is_some() || matches!(member.process, Process::Lost { .. }) {
            return;
        }
        if member.process == Process::Frozen {
            member.stops = Some(now + STOP_TIMEOUT);
            return;
        }
        let longest = if chance.one_in(3) { STOP_TIMEOUT } else { 4_000 };
        let takes = chance.between(500, longest);
        member.stops = Some(now + takes);
        if member.role == Role::Master && member.runs() {
            member.hands_over = Some(now + chance.between(HANDED_OVER.0, HANDED_OVER.1).min(takes));
        }
    }

    /// The host dies: nothing answers any more, and ECS notices it after minutes.
    pub fn lose(&mut self, index: usize, until: u64) {
        let member = &mut self.members[index];
        if matches!(member.process, Process::Up | Process::Frozen) {
            (member.process, member.stops, member.hands_over) = (Process::Lost { until }, None, None);
        }
    }

    /// A dead agent is replaced: where a task should have stopped, or had ended, by terminating the instance.
    pub fn agent_ends(&mut self, index: usize, now: u64, chance: &mut Chance) {
        let member = &mut self.members[index];
        if member.agent_dead.take().is_some() && member.stopping {
            self.kill(index, now, chance);
        }
    }

    /// Wakes a frozen process. A master that finds another one steps down at its first look around, or later.
    pub fn thaw(&mut self, index: usize, now: u64, chance: &mut Chance) {
        if self.members[index].process != Process::Frozen {
            return;
        }
        let other = self.master().is_some();
        let lingers = self.mode == Mode::Ha && chance.one_in(2);
        let member = &mut self.members[index];
        member.process = Process::Up;
        member.stops = member.stops.map(|at| at.min(now + 2_000));
        if other && member.role == Role::Master && lingers {
            member.stale = Some(now + chance.between(STALE.0, STALE.1));
        } else if other && member.role == Role::Master {
            (member.role, member.joins) = (Role::Pending, Some(now + JOINED));
        }
    }

    /// A slave-only slot is scaled to zero, or back to one. It leaves cleanly.
    pub fn scale(&mut self, index: usize, wanted: bool, now: u64, chance: &mut Chance) {
        if self.members[index].kind == Kind::SlaveOnly {
            self.members[index].wanted = wanted;
            if !wanted {
                self.stop(index, now, chance);
            }
        }
    }
}
