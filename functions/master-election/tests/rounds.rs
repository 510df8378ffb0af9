//! The loop against a world in memory: what is called, what is not, and in which order.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    net::IpAddr,
    time::Duration,
};

use master_election::{Enough, Listing, Outcome, Registered, Stored, Trouble, Version, World, run};
use topology::{Action, Answer, GRACE, Group, Kind, Millis, Node, NotKnown, Policy, State, Verdict};

/// A world that is told what happens when.
struct Told {
    clock: Cell<u64>,
    /// What each node answers, from a point in time on.
    answers: Vec<(u64, [Answer; 3])>,
    groups: RefCell<Vec<Group>>,
    stored: RefCell<(State, u64)>,
    /// Someone else writes the state at this time.
    rival_at: Option<u64>,
    /// How many deregistrations still fail, and how.
    failing: Cell<u32>,
    failing_as: aws::Kind,
    log: RefCell<Vec<String>>,
}

fn ip(last: u8) -> IpAddr {
    IpAddr::from([10, 0, 0, last])
}

fn told(answers: &[(u64, [Answer; 3])], registered: &[u8]) -> Told {
    let targets = registered.iter().map(|last| ip(*last)).collect();
    Told {
        clock: Cell::new(0),
        answers: answers.to_vec(),
        groups: RefCell::new(vec![Group { arn: "arn".into(), port: 7474, targets }]),
        stored: RefCell::new((State::default(), 0)),
        rival_at: None,
        failing: Cell::new(0),
        failing_as: aws::Kind::Throttled,
        log: RefCell::default(),
    }
}

impl Told {
    fn says(&self, text: impl Into<String>) {
        self.log.borrow_mut().push(text.into());
    }

    fn log(&self) -> Vec<String> {
        self.log.borrow().clone()
    }

    fn targets(&self) -> Vec<IpAddr> {
        self.groups.borrow()[0].targets.iter().copied().collect()
    }

    /// One invocation that may last a minute of this world's time.
    fn invoke(&self) -> Result<Outcome, Trouble> {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(run(self, &policy(), "test", Millis(self.clock.get() + 55_000)))
    }
}

impl World for Told {
    fn now(&self) -> Millis {
        Millis(self.clock.get())
    }

    async fn pause(&self, time: Duration) {
        self.clock.set(self.clock.get() + u64::try_from(time.as_millis()).unwrap());
    }

    async fn list(&self) -> Listing {
        let node = |last| Node {
            slot: format!("core-{last}"),
            kind: Kind::Core,
            task: format!("t{last}"),
            address: ip(last),
        };
        Listing { nodes: (1..=3).map(node).collect(), failures: vec![] }
    }

    /// A silent node costs the deadline, and the grace when the others are enough.
    async fn probe(&self, nodes: &[Node], deadline: Duration, enough: Enough<'_>) -> Vec<Answer> {
        assert_eq!(nodes.len(), 3);
        let now = self.clock.get();
        let answers = self.answers.iter().rev().find(|(from, _)| *from <= now).unwrap().1;
        let so_far = answers.map(|answer| (answer != SILENT).then_some(answer));
        if !so_far.contains(&None) {
            return answers.to_vec();
        }
        let early = enough(&so_far);
        self.pause(if early { GRACE } else { deadline }).await;
        let unanswered = if early { Answer::NotKnown(NotKnown::NotAwaited) } else { SILENT };
        so_far.map(|answer| answer.unwrap_or(unanswered)).to_vec()
    }

    async fn alive(&self, _node: &Node) -> Option<usize> {
        None
    }

    async fn groups(&self) -> Result<Registered, Trouble> {
        self.says("read");
        Ok(Registered { write: self.groups.borrow().clone(), read: vec![] })
    }

    async fn load(&self) -> Result<(State, Version), Trouble> {
        let (state, version) = self.stored.borrow().clone();
        Ok((state, Version((version > 0).then(|| version.to_string()))))
    }

    async fn store(&self, state: &State, seen: &Version) -> Result<Stored, Trouble> {
        let mut stored = self.stored.borrow_mut();
        if self.rival_at.is_some_and(|at| at <= self.clock.get()) {
            stored.1 += 1;
        }
        if Version((stored.1 > 0).then(|| stored.1.to_string())) != *seen {
            self.says("lost");
            return Ok(Stored::Lost);
        }
        *stored = (state.clone(), stored.1 + 1);
        self.says("write");
        Ok(Stored::Written(Version(Some(stored.1.to_string()))))
    }

    async fn act(&self, action: &Action) -> Result<(), Trouble> {
        self.says(action.to_string());
        let group = &mut self.groups.borrow_mut()[0];
        match action {
            Action::Register { address, .. } => group.targets.insert(*address),
            Action::Deregister { .. } if self.failing.get() > 0 => {
                self.failing.set(self.failing.get() - 1);
                let (what, reason) = (String::new(), String::new());
                return Err(aws::Error { call: "deregister", what, reason, kind: self.failing_as }.into());
            }
            Action::Deregister { address, .. } => group.targets.remove(address),
            Action::Fence { .. } => false,
        };
        Ok(())
    }
}

fn policy() -> Policy {
    Policy::of(3, 0)
}

const UNSETTLED: Answer = Answer::NotKnown(NotKnown::Unsettled);
const SILENT: Answer = Answer::NotKnown(NotKnown::Silent);
const DOWN: Answer = Answer::NotKnown(NotKnown::Refused);
const WELL: [Answer; 3] = [Answer::Master, Answer::Slave, Answer::Slave];

/// A world at rest with core-1 as its master, where core-2 takes over at ten minutes.
fn taken_over() -> Told {
    let moved = [DOWN, Answer::Master, Answer::Slave];
    let world = told(&[(0, WELL), (600_000, moved)], &[1, 2, 3]);
    world.invoke().unwrap();
    world.clock.set(600_000);
    world.log.borrow_mut().clear();
    world
}

#[test]
fn a_first_master_is_registered_with_its_standbys_in_one_invocation() {
    let world = told(&[(0, WELL)], &[]);
    let outcome = world.invoke().unwrap();
    assert_eq!((outcome.verdict, outcome.calls), (Verdict::Steady, 3));
    assert_eq!(world.targets(), [ip(1), ip(2), ip(3)]);
    let before: Vec<String> = world.log().into_iter().take_while(|line| !line.contains("register")).collect();
    assert_eq!(before.last().map(String::as_str), Some("write"), "the state is written before any call");
}

#[test]
fn at_rest_one_round_reads_once_writes_nothing_and_calls_nothing() {
    let world = told(&[(0, WELL)], &[1, 2, 3]);
    world.invoke().unwrap();
    world.clock.set(60_000);
    world.log.borrow_mut().clear();
    let outcome = world.invoke().unwrap();
    assert_eq!((outcome.rounds, outcome.calls), (1, 0));
    assert_eq!(world.log(), ["read"]);
}

#[test]
fn the_hot_loop_waits_for_the_new_master_and_cuts_to_it() {
    let world = told(
        &[(0, WELL), (60_000, [DOWN, UNSETTLED, UNSETTLED]), (70_000, [DOWN, Answer::Master, Answer::Slave])],
        &[1, 2, 3],
    );
    world.invoke().unwrap();
    world.clock.set(60_000);
    world.log.borrow_mut().clear();
    let outcome = world.invoke().unwrap();
    assert_eq!(outcome.verdict, Verdict::Steady);
    assert_eq!(world.targets(), [ip(2)]);
    assert!(world.clock.get() < 72_000, "settled within two seconds of the election");
    let calls: Vec<String> = world.log().into_iter().filter(|line| line.contains("register")).collect();
    assert_eq!(calls, ["deregister 10.0.0.1 for 7474", "deregister 10.0.0.3 for 7474"]);
}

/// Its silence costs the rounds that confirm its successor no deadline, and the rounds after the switch are patient again.
#[test]
fn a_frozen_master_does_not_hold_up_the_switch_to_its_successor() {
    let world = told(&[(0, WELL), (600_000, [SILENT, Answer::Master, Answer::Slave])], &[1, 2, 3]);
    world.invoke().unwrap();
    world.clock.set(600_000);
    world.log.borrow_mut().clear();
    world.invoke().unwrap();
    assert_eq!(world.targets(), [ip(2)]);
    let decided = world.stored.borrow().0.master.clone().unwrap().since;
    let pause = policy().pause;
    assert_eq!(decided.since(Millis(600_000)), GRACE + pause + GRACE, "two rounds of a grace each");
    let silent = world.stored.borrow().0.silent.values().next().copied().expect("the old one is silent");
    assert!(silent >= decided, "its silence begins with a round that waited for it");
}

/// Fault 25.
#[test]
fn a_deregistration_that_fails_is_made_up_for_more_and_more_slowly() {
    let world = taken_over();
    world.failing.set(6);
    let outcome = world.invoke().unwrap();
    assert_eq!(world.targets(), [ip(2)]);
    assert_eq!(outcome.verdict, Verdict::Steady);
    // Two fail in each of three rounds: waits of 200, 400 and 800 ms.
    assert!(world.clock.get() >= 600_000 + 1_400, "no back-off: {} ms", world.clock.get() - 600_000);
    let tries = world.log().iter().filter(|line| line.starts_with("deregister 10.0.0.1")).count();
    assert_eq!(tries, 4);
}

#[test]
fn a_denied_call_ends_the_invocation_at_once() {
    let mut world = taken_over();
    world.failing_as = aws::Kind::Denied;
    world.failing.set(99);
    assert!(matches!(world.invoke(), Err(Trouble::Call(_))));
    let tries = world.log().iter().filter(|line| line.starts_with("deregister")).count();
    assert_eq!(tries, 1);
}

/// Fault 27, the stale invocation: whoever lost the conditional write calls nothing.
#[test]
fn a_lost_race_drops_the_plan() {
    let mut world = taken_over();
    world.rival_at = Some(600_000);
    let outcome = world.invoke().unwrap();
    assert!(outcome.lost_race);
    assert_eq!(outcome.calls, 0);
    assert_eq!(
        world.log(),
        ["read", "read", "lost"],
        "groups of an earlier round are read again before acting"
    );
    assert_eq!(world.targets(), [ip(1), ip(2), ip(3)]);
}

/// Fault 24.
#[test]
fn a_minority_and_nobody_cost_one_round_without_calls() {
    for (answers, verdict) in
        [([SILENT, SILENT, Answer::Master], Verdict::PartialView), ([SILENT; 3], Verdict::Blind)]
    {
        let world = told(&[(0, answers)], &[1]);
        let outcome = world.invoke().unwrap();
        assert_eq!((outcome.verdict, outcome.rounds, outcome.calls), (verdict, 1, 0));
        assert_eq!(world.log(), ["read"]);
    }
}

#[test]
fn without_a_master_it_looks_until_its_time_is_over() {
    let world = told(&[(0, [UNSETTLED; 3])], &[1]);
    let outcome = world.invoke().unwrap();
    assert_eq!((outcome.verdict, outcome.calls), (Verdict::NoMaster, 0));
    assert!(world.clock.get() <= 55_000 && world.clock.get() > 50_000, "ended at {}", world.clock.get());
    let reads = world.log().iter().filter(|line| *line == "read").count();
    assert!(reads <= 12, "groups are read every five seconds, not {reads} times in a minute");
}

#[test]
fn what_differs_by_time_is_written_once() {
    let writes: BTreeMap<u32, usize> = (1..=3)
        .map(|sweeps| {
            let world = told(&[(0, [UNSETTLED; 3])], &[1]);
            for _ in 0..sweeps {
                world.invoke().unwrap();
            }
            (sweeps, world.log().iter().filter(|line| *line == "write").count())
        })
        .collect();
    // What was found, and the lease given back at the end; later sweeps find nothing new.
    assert_eq!(writes, BTreeMap::from([(1, 2), (2, 2), (3, 2)]));
}
