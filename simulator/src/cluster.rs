//! Neo4j as far as the election sees it: roles, deaths, freezes, partitions. Timings are those measured on 3.4.6 with
//! heartbeats of 0.5 s / 2 s.

use std::net::IpAddr;

use topology::{Answer, Kind, NotKnown};

use crate::Chance;

/// From the loss of a master to the moment its survivors notice, milliseconds; each a little differently.
const NOTICED: (u64, u64) = (1_800, 2_300);
/// From noticing to a new master.
const ELECTED: (u64, u64) = (100, 400);
/// A slow member answers after so long.
pub const SLOW: u64 = 400;
/// A member that returns is a slave after so long.
const REJOINED: (u64, u64) = (8_000, 15_000);
/// From the death of a task to its successor, which ECS starts.
const REPLACED: (u64, u64) = (2_000, 20_000);

/// What a process does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Process {
    /// It runs.
    Up,
    /// Its sockets are open and nothing answers.
    Frozen,
    /// It is gone until its successor starts.
    Dead {
        /// When that is.
        back: u64,
    },
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

/// One slot with its present task.
#[derive(Clone, Debug)]
#[allow(clippy::struct_excessive_bools)] // faults that come and go on their own
pub struct Member {
    /// The slot's name.
    pub slot: String,
    /// Whether it may be master.
    pub kind: Kind,
    /// Its task now.
    pub task: String,
    /// Its address now.
    pub address: IpAddr,
    /// What its process does.
    pub process: Process,
    /// What it takes itself for.
    pub role: Role,
    /// When it becomes a slave, if it is on its way.
    pub joins: Option<u64>,
    /// Cut off from the other members.
    pub cut: bool,
    /// Cut off from the prober.
    pub hidden: bool,
    /// Says something false until then.
    pub lies: Option<(u64, Answer)>,
    /// Answers late.
    pub slow: bool,
    /// Its host's agent is dead: it can not be stopped through ECS.
    pub agent_dead: bool,
    /// ECS was asked to stop it, and the process ends then.
    pub stops: Option<u64>,
    /// When it notices that its master is gone, or that it is alone.
    notices: Option<u64>,
    /// The number of the election that made it master.
    elected: u64,
}

/// All members.
#[derive(Clone, Debug)]
pub struct Cluster {
    /// In the order of their slots.
    pub members: Vec<Member>,
    /// Survivors of a frozen master wait for it, as they do with a long read timeout.
    pub waits_for_frozen: bool,
    /// The highest task and address number so far.
    tasks: u64,
    /// When the next election ends.
    election: Option<u64>,
    /// Elections so far.
    elections: u64,
}

impl Cluster {
    /// So many core nodes and slave-only nodes, the first one master.
    pub fn new(core: usize, slave_only: usize) -> Self {
        let mut cluster =
            Self { members: Vec::new(), waits_for_frozen: false, tasks: 0, election: None, elections: 0 };
        for index in 0..core + slave_only {
            let (kind, name) =
                if index < core { (Kind::Core, "core") } else { (Kind::SlaveOnly, "slave-only") };
            let role = if index == 0 { Role::Master } else { Role::Slave };
            let (task, address) = cluster.new_task();
            cluster.members.push(Member {
                slot: format!("{name}-{}", index + 1),
                kind,
                task,
                address,
                process: Process::Up,
                role,
                joins: None,
                cut: false,
                hidden: false,
                lies: None,
                slow: false,
                agent_dead: false,
                stops: None,
                notices: None,
                elected: 0,
            });
        }
        cluster
    }

    fn new_task(&mut self) -> (String, IpAddr) {
        self.tasks += 1;
        let bytes = self.tasks.to_be_bytes();
        (format!("task-{}", self.tasks), IpAddr::from([10, bytes[5], bytes[6], bytes[7]]))
    }

    /// The member whose task has this address.
    pub fn at(&mut self, address: IpAddr) -> Option<&mut Member> {
        self.members.iter_mut().find(|member| member.address == address)
    }

    /// The member with this task.
    pub fn of(&mut self, task: &str) -> Option<&mut Member> {
        self.members.iter_mut().find(|member| member.task == task)
    }

    /// Who really is the master and takes writes.
    pub fn writers(&self) -> Vec<IpAddr> {
        let writes = |member: &&Member| member.role == Role::Master && member.process == Process::Up;
        self.members.iter().filter(writes).map(|member| member.address).collect()
    }

    /// What a member has answered at `now` to somebody who asked `waited` milliseconds ago; silent when nothing yet.
    pub fn answer(member: &Member, now: u64, waited: u64) -> Answer {
        let not = Answer::NotKnown;
        if member.hidden {
            return not(NotKnown::Silent);
        }
        match member.process {
            Process::Dead { .. } => return not(NotKnown::Refused),
            Process::Frozen => return not(NotKnown::Silent),
            Process::Up => {}
        }
        if member.slow && waited < SLOW {
            return not(NotKnown::Silent);
        }
        if let Some((until, lie)) = member.lies
            && now < until
        {
            return lie;
        }
        match member.role {
            Role::Master => Answer::Master,
            Role::Slave => Answer::Slave,
            Role::Pending => not(NotKnown::Unsettled),
        }
    }

    /// Ends a process.
    pub fn kill(&mut self, index: usize, now: u64, chance: &mut Chance) {
        let back = now + chance.between(REPLACED.0, REPLACED.1);
        let member = &mut self.members[index];
        if !matches!(member.process, Process::Dead { .. }) {
            (member.process, member.stops, member.agent_dead) = (Process::Dead { back }, None, false);
        }
    }

    /// Wakes a frozen process. If somebody else is master by now it steps down at its first look around.
    pub fn thaw(&mut self, index: usize, now: u64) {
        let other = self.members.iter().enumerate().any(|(other, m)| other != index && is_master(m));
        let member = &mut self.members[index];
        if member.process == Process::Frozen {
            member.process = Process::Up;
            if other && member.role == Role::Master {
                (member.role, member.joins) = (Role::Pending, Some(now + 400));
            }
        }
    }

    /// What has happened by `now`.
    pub fn step(&mut self, now: u64, chance: &mut Chance) {
        for index in 0..self.members.len() {
            if self.members[index].stops.is_some_and(|at| now >= at) {
                self.kill(index, now, chance);
            }
            if matches!(self.members[index].process, Process::Dead { back } if now >= back) {
                let (task, address) = self.new_task();
                let member = &mut self.members[index];
                (member.task, member.address) = (task, address);
                (member.process, member.role) = (Process::Up, Role::Pending);
                (member.slow, member.hidden, member.cut, member.lies) = (false, false, false, None);
                member.joins = Some(now + chance.between(REJOINED.0, REJOINED.1));
            }
        }
        self.notice(now, chance);
        self.elect(now, chance);
        self.join(now);
    }

    fn connected(&self) -> Vec<usize> {
        let connected = |member: &Member| member.process == Process::Up && !member.cut;
        (0..self.members.len()).filter(|index| connected(&self.members[*index])).collect()
    }

    fn has_quorum(&self) -> bool {
        self.connected().len() > self.members.len() / 2
    }

    fn master_connected(&self) -> bool {
        self.connected().into_iter().any(|index| self.members[index].role == Role::Master)
    }

    /// Members without a master they can hear, and masters without a majority, are between roles after a while.
    fn notice(&mut self, now: u64, chance: &mut Chance) {
        let (well, connected) = (self.master_connected() && self.has_quorum(), self.connected());
        // Two that hear each other: the one elected last stays.
        let masters = connected.iter().filter(|index| self.members[**index].role == Role::Master);
        let last = masters.map(|index| self.members[*index].elected).max();
        for (index, member) in self.members.iter_mut().enumerate() {
            if member.process != Process::Up || member.role == Role::Pending {
                member.notices = None;
                continue;
            }
            let outdated = member.role == Role::Master && last.is_some_and(|last| member.elected < last);
            if well && connected.contains(&index) && !outdated {
                member.notices = None;
                continue;
            }
            let at = *member.notices.get_or_insert_with(|| now + chance.between(NOTICED.0, NOTICED.1));
            if now >= at {
                (member.role, member.joins, member.notices) = (Role::Pending, None, None);
            }
        }
    }

    /// A majority of connected members without a master elects one of its core nodes.
    fn elect(&mut self, now: u64, chance: &mut Chance) {
        let connected = self.connected();
        let all_pending = connected.iter().all(|index| self.members[*index].role == Role::Pending);
        let frozen = |member: &Member| member.process == Process::Frozen && member.role == Role::Master;
        let waits = self.waits_for_frozen && self.members.iter().any(frozen);
        if !self.has_quorum() || !all_pending || waits {
            self.election = None;
            return;
        }
        let at = *self.election.get_or_insert_with(|| now + chance.between(ELECTED.0, ELECTED.1));
        if now < at {
            return;
        }
        self.election = None;
        let core: Vec<usize> =
            connected.iter().copied().filter(|index| self.members[*index].kind == Kind::Core).collect();
        let Some(elected) = chance.pick(&core).copied() else { return };
        self.elections += 1;
        self.members[elected].elected = self.elections;
        for index in connected {
            let member = &mut self.members[index];
            member.role = if index == elected { Role::Master } else { Role::Pending };
            member.joins = (index != elected).then_some(now + 400);
        }
    }

    fn join(&mut self, now: u64) {
        let well = self.master_connected() && self.has_quorum();
        for member in &mut self.members {
            let ready = member.role == Role::Pending && member.process == Process::Up && !member.cut;
            if !well || !ready {
                continue;
            }
            // Healed from a partition, or thawed: it finds the master sooner or later.
            let at = *member.joins.get_or_insert(now + REJOINED.0);
            if now >= at {
                (member.role, member.joins) = (Role::Slave, None);
            }
        }
    }
}

fn is_master(member: &Member) -> bool {
    member.role == Role::Master && member.process == Process::Up && !member.cut
}
