//! The container agent of a slot's host, and its death.
//!
//! ECS only writes down what a task should be; the agent does it, and reports what became of it. So while an agent is dead
//! `StopTask` is accepted and nothing happens, a task that ends stays RUNNING, and no successor starts on its host.

use std::collections::{BTreeSet, HashMap};

use tracing::info;

use super::{Ecs, Running, run, task::Stopped};
use crate::{processes::Signal, random::random};

/// What dead agents have not heard, and not reported.
#[derive(Default)]
pub(super) struct Dead {
    /// Hosts (slots) whose agent is dead.
    hosts: BTreeSet<String>,
    /// By task: a stop that ECS accepted.
    unheard: HashMap<String, run::Stop>,
    /// By task: its end.
    unreported: HashMap<String, Stopped>,
    /// Tasks whose instance was terminated, until their processes are gone.
    terminated: HashMap<String, String>,
}

impl Dead {
    /// Whether the agent of `host` is dead.
    pub(super) fn has(&self, host: &str) -> bool {
        self.hosts.contains(host)
    }

    /// A stop that ECS accepted for later.
    pub(super) fn keep(&mut self, task: &str, stop: run::Stop) {
        self.unheard.insert(task.to_owned(), stop);
    }

    /// The end of a task as ECS hears of it: nothing as long as the agent of `host` is dead.
    pub(super) fn report(&mut self, host: &str, task: &str, mut end: Stopped) -> Option<Stopped> {
        if self.has(host) {
            self.unreported.insert(task.to_owned(), end);
            return None;
        }
        if let Some(reason) = self.terminated.remove(task) {
            // No agent was left to read an exit code.
            (end.reason, end.code, end.exit) = (reason, "TerminationNotice", None);
        } else if let Some(stop) = self.unheard.remove(task) {
            // The task had been asked to stop before its end was known.
            (end.reason, end.code) = (stop.reason, stop.code);
        }
        Some(end)
    }

    /// Whether the processes of `task` are gone, although ECS does not know.
    pub(super) fn is_over(&self, task: &str) -> bool {
        self.unreported.contains_key(task)
    }
}

impl Ecs {
    /// Lets the agent of a slot's host die. The tasks on it run on.
    pub fn kill_agent(&self, slot: &str) {
        info!(slot, "the agent of a slot is dead");
        self.running().dead.hosts.insert(slot.to_owned());
    }

    /// Starts the agent again: it carries out the stops it has not heard, and reports the ends.
    pub fn revive_agent(&self, slot: &str) {
        let mut running = self.running();
        if !running.dead.hosts.remove(slot) {
            return;
        }
        info!(slot, "the agent of a slot is back");
        for arn in running.unfinished_on(slot) {
            if let Some(end) = running.dead.unreported.remove(&arn) {
                self.end(&mut running, &arn, end);
            } else if let Some(stop) = running.dead.unheard.remove(&arn) {
                self.ask(&mut running, &arn, stop);
            }
        }
    }

    /// Ends the instance of a slot with everything on it, as an operator or an Auto Scaling group does: the processes are
    /// killed, ECS hears of it, and the slot's next task has a new instance and the same volume.
    pub fn terminate_instance(&self, slot: &str) {
        let mut running = self.running();
        running.dead.hosts.remove(slot);
        let reason = format!("Host EC2 (instance i-{:016x}0) terminated.", random());
        info!(slot, reason, "the instance of a slot is gone");
        for arn in running.unfinished_on(slot) {
            running.dead.terminated.insert(arn.clone(), reason.clone());
            running.dead.unheard.remove(&arn);
            if let Some(end) = running.dead.unreported.remove(&arn) {
                self.end(&mut running, &arn, end);
            } else if let Some(task) = running.tasks.iter_mut().find(|task| task.arn == arn) {
                task.signal(Signal::KILL);
            }
        }
    }

    /// The slots whose agent is dead.
    pub fn dead_agents(&self) -> BTreeSet<String> {
        self.running().dead.hosts.clone()
    }
}

impl Running {
    /// The tasks on `host` that ECS does not know to be stopped.
    pub(super) fn unfinished_on(&self, host: &str) -> Vec<String> {
        let tasks = self.tasks.iter().filter(|task| task.host == host && task.stopped.is_none());
        tasks.map(|task| task.arn.clone()).collect()
    }
}
