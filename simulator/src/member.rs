//! One slot of the cluster: its task as ECS has it, its process, the role that it believes it
//! has, and what it answers.

use std::net::IpAddr;

use topology::{Answer, Kind, Mode, NotKnown, PATIENCE};

/// How long the function waits for an answer, milliseconds.
pub const PATIENCE_MS: u64 = PATIENCE.as_secs() * 1_000;
/// How long a node program that serves the role over Bolt asks only HTTP, milliseconds.
const OVER_BOLT: u64 = 1_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Process {
    Up,
    /// Its sockets are open and nothing answers.
    Frozen,
    /// Its host is gone: packets to it vanish, and ECS reports the task RUNNING until then.
    Lost {
        /// When ECS notices it.
        until: u64,
    },
    /// It has ended, and its successor starts later.
    Dead {
        /// When the successor starts.
        back: u64,
    },
    /// A slave-only slot that is configured and scaled to zero.
    Away,
}

/// The role that a member believes it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    Master,
    Slave,
    Pending,
}

/// How a member view is false.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FalseView {
    /// It reports all members alive.
    All,
    /// It reports itself alone.
    Itself,
}

/// The number of a task, and its address.
pub type Task = (u64, IpAddr);

#[derive(Clone, Debug)]
#[allow(clippy::struct_excessive_bools)] // faults that come and go on their own
pub struct Member {
    pub slot: String,
    pub id: u32,
    pub kind: Kind,
    pub task: String,
    /// The number of its task.
    pub started: u64,
    pub address: IpAddr,
    pub process: Process,
    /// The role that it believes it has.
    pub role: Role,
    /// Until when its JVM starts, with closed ports.
    pub starts: Option<u64>,
    /// When it becomes a slave, if it is about to.
    pub joins: Option<u64>,
    /// Whether it is cut off from the other members.
    pub cut: bool,
    /// Whether it is cut off from the function.
    pub hidden: bool,
    /// Until when it lies about its role, and its answer.
    pub lies: Option<(u64, Answer)>,
    /// Until when it reports members falsely, and how.
    pub misreports: Option<(u64, FalseView)>,
    /// Latency of its role endpoint, milliseconds.
    pub slow: u64,
    /// Until when all its HTTP workers are taken; Bolt answers.
    pub workers_taken: u64,
    /// Whether its node program answers for the role over Bolt when HTTP is late.
    pub over_bolt: bool,
    /// Until when its host's agent is dead: `StopTask` is accepted and nothing stops, and a process
    /// that ends is not reported.
    pub agent_dead: Option<u64>,
    /// Whether ECS was asked to stop it.
    pub stopping: bool,
    /// When a master that was asked to stop hands over.
    pub hands_over: Option<u64>,
    /// When the process ends.
    pub stops: Option<u64>,
    /// Whether it has left the cluster cleanly, while its process is still ending.
    pub left: bool,
    /// Whether its service wants a task.
    pub wanted: bool,
    /// Whether Neo4j counts it for the quorum: members that died stay counted, those
    /// that left cleanly do not.
    pub counted: bool,
    /// Until when a master that lost its majority, or woke up beside another one,
    /// believes that it is the master.
    pub stale: Option<u64>,
    /// When it notices that its master is gone, or that it is alone.
    pub notices: Option<u64>,
    /// The number of the election that made it master.
    pub elected: u64,
    /// When the others last heard it.
    pub connected_at: Option<u64>,
    /// When it was last up and heard by a majority of the voters.
    pub heard_at: Option<u64>,
    /// Since when it answers the function well, without a break.
    pub well_since: Option<u64>,
    /// When the function could last have heard from it, over HTTP or Bolt.
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

    /// The slot's next task, whose JVM starts until `starts`.
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

    /// Whether the other members hear it. A stale master believes what it likes.
    pub fn connected(&self) -> bool {
        self.runs() && !self.cut && self.stale.is_none()
    }

    /// Whether it believes that it is the master, and accepts writes.
    pub fn writes(&self) -> bool {
        self.runs() && self.role == Role::Master
    }

    pub fn lies(&self, now: u64) -> bool {
        self.lies.is_some_and(|(until, _)| now < until)
    }

    pub fn misreports(&self, now: u64) -> bool {
        self.misreports.is_some_and(|(until, _)| now < until)
    }

    /// Latency of its role endpoint; `None` if it does not answer at all.
    fn latency(&self, now: u64) -> Option<u64> {
        if now < self.workers_taken {
            return self.over_bolt.then_some(OVER_BOLT.max(self.slow));
        }
        Some(self.slow)
    }

    /// What its role endpoint has answered by `now` to a question of `waited` milliseconds ago;
    /// `None` while it is silent.
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

    /// Whether Bolt is silent; a refusal is an answer.
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
