//! One slot as it is, and what is true of all of them at a moment.

use std::net::IpAddr;

use neo4j::{Status, phase};
use topology::{Kind, Mode, Pause};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    Master,
    Slave,
    /// Between the two.
    Pending,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Process {
    Up,
    /// The task runs, and Neo4j is not ready.
    Starting,
    /// ECS was asked to stop the task, and Neo4j still answers.
    Stopping,
    /// There is no task.
    Away,
}

/// How its status port fails to say what it should.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quiet {
    No,
    /// The node program does not answer.
    Silent,
    /// It answers, and its Neo4j has been silent for a minute.
    Deaf,
}

/// One slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Index of the slot in the policy.
    pub slot: usize,
    pub kind: Kind,
    /// The number of its task.
    pub task: u64,
    /// The revision of its task definition.
    pub definition: u64,
    pub process: Process,
    pub role: Role,
    /// Transactions that it is behind the master.
    pub lag: u64,
    pub reports_lag: bool,
    pub quiet: Quiet,
    /// `None` from a node program that does not report it.
    pub backup_server: Option<bool>,
    pub has_subnet: bool,
    /// A second task of the slot.
    pub twin: Option<u64>,
}

/// What is true at a moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moment {
    pub members: Vec<Member>,
    pub pause: Option<Pause>,
    /// Bytes of every store; `None` while node programs do not report them.
    pub store_bytes: Option<u64>,
}

impl Member {
    pub fn address(&self) -> IpAddr {
        address(self.task)
    }

    /// Whether it answers with a role that it is sure of, in a task that is to stay.
    pub fn is_firm(&self) -> bool {
        self.process == Process::Up && self.quiet == Quiet::No && self.role != Role::Pending
    }

    pub fn status(&self, mode: Mode, last: u64, store_bytes: Option<u64>) -> Option<Status> {
        if self.quiet == Quiet::Silent {
            return None;
        }
        let starting = self.process == Process::Starting;
        let role = match self.role {
            _ if starting => "pending",
            Role::Master => "master",
            Role::Slave => "slave",
            Role::Pending => "pending",
        };
        Some(Status {
            phase: if starting { phase::STARTING } else { phase::RUNNING }.to_owned(),
            role: role.to_owned(),
            silent_ms: if self.quiet == Quiet::Deaf { 60_000 } else { 75 },
            // A master is as far as there is to go, however far behind it was when it was elected.
            last_transaction: (self.reports_lag && mode != Mode::Cluster)
                .then(|| if self.role == Role::Master { last } else { last - self.lag }),
            store_bytes,
            backup_server: self.backup_server,
            ..Status::default()
        })
    }
}

pub fn address(task: u64) -> IpAddr {
    let [.., high, low] = task.to_be_bytes();
    [10, 0, high, low].into()
}

impl Moment {
    pub fn at(&self, address: IpAddr) -> Option<&Member> {
        let runs = |member: &&Member| member.process != Process::Away && member.address() == address;
        self.members.iter().find(runs)
    }

    /// Whether exactly one node says firmly that it is the master, and can be.
    pub fn has_one_master(&self) -> bool {
        let mut masters =
            self.members.iter().filter(|member| member.is_firm() && member.role == Role::Master);
        masters.next().is_some_and(|master| master.kind == Kind::Core) && masters.next().is_none()
    }

    /// Whether a core slot has no node that answers firmly.
    pub fn is_away(&self) -> bool {
        self.members.iter().any(|member| member.kind == Kind::Core && !member.is_firm())
    }

    /// Whether a roll shows: a slot has two tasks, one is being stopped, or tasks of one kind differ.
    pub fn rolls(&self) -> bool {
        let of = |kind| {
            self.members.iter().filter(move |member| member.kind == kind && member.process != Process::Away)
        };
        let differ =
            |kind| of(kind).next().is_some_and(|first| of(kind).any(|m| m.definition != first.definition));
        let shows = |member: &Member| member.twin.is_some() || member.process == Process::Stopping;
        self.members.iter().any(shows) || differ(Kind::Core) || differ(Kind::SlaveOnly)
    }

    /// Whether a slave is as far as it must be.
    pub fn is_near(&self, member: &Member, mode: Mode, max_lag: u64) -> bool {
        let reported = self.members.iter().all(|m| m.role != Role::Master || m.reports_lag);
        mode != Mode::Ha || (reported && member.reports_lag && member.lag <= max_lag)
    }

    /// Whether a copy can be taken from `member`.
    pub fn is_fit(&self, member: &Member, mode: Mode, max_lag: u64, from_master: bool) -> bool {
        let role = match member.role {
            Role::Master => from_master || mode == Mode::Single,
            _ => self.is_near(member, mode, max_lag),
        };
        member.is_firm() && role && member.backup_server != Some(false) && member.has_subnet
    }
}
