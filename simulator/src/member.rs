//! One slot of the cluster: its task as ECS has it, its process, what it takes itself for, and what it answers.

use std::net::IpAddr;

use topology::{Answer, Kind, Mode, NotKnown, PATIENCE};

/// What the function waits for an answer, milliseconds.
pub const PATIENCE_MS: u64 = PATIENCE.as_secs() * 1_000;
/// A node program that serves the role over Bolt asks HTTP first, for so long.
const OVER_BOLT: u64 = 1_000;

/// What a process does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Process {
    /// It runs.
    Up,
    /// Its sockets are open and nothing answers.
    Frozen,
    /// Its host is gone: packets to it vanish, and ECS reports the task RUNNING until then.
    Lost {
        /// When ECS gives it up.
        until: u64,
    },
    /// It is gone until its successor starts.
    Dead {
        /// When that is.
        back: u64,
    },
    /// A slave-only slot that is configured and at zero.
    Away,
}

/// What a member takes itself for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The master.
    Master,
    /// A slave.
    Slave,
    /// Between roles.
    Pending,
}

/// What is false in a member view.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FalseView {
    /// It reports all members alive.
    All,
    /// It reports itself alone.
    Itself,
}

/// The number of a task, and its address.
pub type Task = (u64, IpAddr);

/// One slot with its present task.
#[derive(Clone, Debug)]
#[allow(clippy::struct_excessive_bools)] // faults that come and go on their own
pub struct Member {
    /// The slot's name.
    pub slot: String,
    /// Its server id.
    pub id: u32,
    /// Whether it may be master.
    pub kind: Kind,
    /// Its task now.
    pub task: String,
    /// The number of its task.
    pub started: u64,
    /// Its address now.
    pub address: IpAddr,
    /// What its process does.
    pub process: Process,
    /// What it takes itself for.
    pub role: Role,
    /// Its JVM starts until then; its ports are closed.
    pub starts: Option<u64>,
    /// When it becomes a slave, if it is on its way.
    pub joins: Option<u64>,
    /// Cut off from the other members.
    pub cut: bool,
    /// Cut off from the function.
    pub hidden: bool,
    /// Says something false until then.
    pub lies: Option<(u64, Answer)>,
    /// Reports members falsely until then.
    pub misreports: Option<(u64, FalseView)>,
    /// Its role endpoint takes so long, milliseconds.
    pub slow: u64,
    /// All its HTTP workers are taken until then; Bolt answers.
    pub workers_taken: u64,
    /// Whether its node program answers for the role over Bolt when HTTP is late.
    pub over_bolt: bool,
    /// Its host's agent is dead until then: `StopTask` is accepted and nothing stops, and what died is not reported.
    pub agent_dead: Option<u64>,
    /// ECS was asked to stop it.
    pub stopping: bool,
    /// A master that was asked to stop hands over then.
    pub hands_over: Option<u64>,
    /// The process ends then.
    pub stops: Option<u64>,
    /// It has left the cluster cleanly; its process still ends.
    pub left: bool,
    /// Its service wants a task.
    pub wanted: bool,
    /// Neo4j counts it for the quorum: members that died stay counted, those that left cleanly do not.
    pub counted: bool,
    /// A master that lost its majority, or woke up beside another one, and takes itself for the master until then.
    pub stale: Option<u64>,
    /// When it notices that its master is gone, or that it is alone.
    pub notices: Option<u64>,
    /// The number of the election that made it master.
    pub elected: u64,
    /// When the others heard it last.
    pub connected_at: Option<u64>,
    /// When it was up and heard by a majority of the voters last.
    pub heard_at: Option<u64>,
    /// Since when it answers the function well, without a break.
    pub well_since: Option<u64>,
    /// When the function could have heard from it last, over HTTP or Bolt.
    pub reachable_at: Option<u64>,
}

impl Member {
    /// A member that runs and is a slave.
    pub fn new(id: u32, kind: Kind, (task, address): Task, over_bolt: bool) -> Self {
        let name = if kind == Kind::Core { "core" } else { "slave-only" };
        Self {
            slot: format!("{name}-{id}"),
            id,
            kind,
            task: format!("task-{task}"),
            started: task,
            address,
            process: Process::Up,
            role: Role::Slave,
            starts: None,
            joins: None,
            cut: false,
            hidden: false,
            lies: None,
            misreports: None,
            slow: 0,
            workers_taken: 0,
            over_bolt,
            agent_dead: None,
            stopping: false,
            hands_over: None,
            stops: None,
            left: false,
            wanted: true,
            counted: true,
            stale: None,
            notices: None,
            elected: 0,
            connected_at: None,
            heard_at: None,
            reachable_at: None,
            well_since: None,
        }
    }

    /// Its slot's next task, whose JVM starts until `starts`.
    pub fn restart(&mut self, task: Task, starts: u64) {
        let fresh = Self::new(self.id, self.kind, task, self.over_bolt);
        let slot = std::mem::take(&mut self.slot);
        *self = Self {
            slot,
            role: Role::Pending,
            starts: Some(starts),
            counted: self.counted,
            wanted: self.wanted,
            ..fresh
        };
    }

    /// Whether ECS has a task of it that is not STOPPED.
    pub fn listed(&self) -> bool {
        match self.process {
            Process::Up | Process::Frozen | Process::Lost { .. } => true,
            Process::Dead { .. } => self.agent_dead.is_some(),
            Process::Away => false,
        }
    }

    /// Whether its Neo4j runs and takes part in the cluster, as far as the network lets it.
    pub fn runs(&self) -> bool {
        self.process == Process::Up && self.starts.is_none() && !self.left
    }

    /// Whether the other members hear it. A stale master hears what it wants to hear.
    pub fn connected(&self) -> bool {
        self.runs() && !self.cut && self.stale.is_none()
    }

    /// Whether it takes itself for the master, and takes writes.
    pub fn writes(&self) -> bool {
        self.runs() && self.role == Role::Master
    }

    /// Whether it lies at `now`, about its role.
    pub fn lies(&self, now: u64) -> bool {
        self.lies.is_some_and(|(until, _)| now < until)
    }

    /// Whether it lies at `now`, about the members.
    pub fn misreports(&self, now: u64) -> bool {
        self.misreports.is_some_and(|(until, _)| now < until)
    }

    /// What its role endpoint takes, if it answers at all.
    fn latency(&self, now: u64) -> Option<u64> {
        if now < self.workers_taken {
            return self.over_bolt.then_some(OVER_BOLT.max(self.slow));
        }
        Some(self.slow)
    }

    /// What its role endpoint has answered at `now` to a question of `waited` milliseconds ago; `None` while it is silent.
    pub fn answer(&self, now: u64, waited: u64, mode: Mode) -> Option<Answer> {
        if self.hidden || matches!(self.process, Process::Frozen | Process::Lost { .. }) {
            return None;
        }
        if !self.runs() {
            return Some(Answer::NotKnown(NotKnown::Refused));
        }
        if waited < self.latency(now)? {
            return None;
        }
        if let Some((until, lie)) = self.lies
            && now < until
        {
            return Some(lie);
        }
        Some(match self.role {
            Role::Master => Answer::Master,
            Role::Slave => Answer::Slave,
            // A follower of Raft says the same with and without a leader.
            Role::Pending if mode == Mode::Cluster => Answer::Slave,
            Role::Pending => Answer::NotKnown(NotKnown::Unsettled),
        })
    }

    /// Whether Bolt is silent; refusing is an answer.
    pub fn bolt_is_silent(&self) -> bool {
        self.hidden || matches!(self.process, Process::Frozen | Process::Lost { .. })
    }

    /// Whether the function hears from it at all: over HTTP within the patience, or over Bolt.
    pub fn reachable(&self) -> bool {
        !self.bolt_is_silent() && self.runs()
    }

    /// Whether it answers the function for its role, truly and within the patience.
    pub fn answers_well(&self, now: u64) -> bool {
        let in_time = self.latency(now).is_some_and(|latency| latency <= PATIENCE_MS);
        self.reachable() && in_time && !self.lies(now) && !self.stopping
    }

    /// Whether the function hears it say that it is the master.
    pub fn claims(&self, now: u64) -> bool {
        self.answer(now, PATIENCE_MS, Mode::Ha) == Some(Answer::Master)
    }
}
