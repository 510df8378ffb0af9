//! The loop against a world in memory: what is called, what is not, and in which order.

use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    time::Duration,
};

use master_election::{
    Enough, Invoked, Listing, Outcome, Registered, Request, Stored, Trouble, Version, World, pause, run,
};
use topology::{
    Action, Answer, GRACE, Group, Kind, Lease, Millis, Node, NotKnown, PATIENCE, Policy, State, Verdict,
};

/// A world that follows a script.
struct Told {
    clock: Cell<u64>,
    /// What each node answers, from a point in time on.
    answers: Vec<(u64, [Answer; 3])>,
    groups: RefCell<Vec<Group>>,
    stored: RefCell<(State, u64)>,
    /// A concurrent invocation writes the state at this time.
    rival_at: Option<u64>,
    /// How the next writes go wrong.
    writes: RefCell<Vec<Write>>,
    /// How many deregistrations still fail, and how.
    failing: Cell<u32>,
    failing_as: aws::Kind,
    /// A group that cannot be read, and one whose registrations fail.
    unreadable: Option<&'static str>,
    unreadable_as: aws::Kind,
    /// A group on which every call is denied.
    denied: Option<&'static str>,
    unregistrable: Option<&'static str>,
    /// From when on tasks cannot be listed.
    unlisted_from: Option<u64>,
    /// The members that a master reports to hear.
    alive: Option<BTreeSet<u32>>,
    /// Calls that change nothing.
    idle_calls: bool,
    /// How long giving the lease back takes.
    release_takes: u64,
    /// How every write that gives the lease back ends.
    releases: Option<Write>,
    log: RefCell<Vec<String>>,
}

/// How a write of the state goes wrong.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Write {
    /// The write succeeds, its answer is lost, and the retry of a layer below is answered 412.
    MadeAndLost,
    /// The write succeeds, and the answer is an error.
    MadeAndBroken,
    /// The write fails, and the answer is an error.
    Broken,
    /// 409.
    Busy,
}

fn ip(last: u8) -> IpAddr {
    IpAddr::from([10, 0, 0, last])
}

fn group(arn: &str, targets: BTreeSet<IpAddr>) -> Group {
    Group { arn: arn.into(), port: 7474, targets }
}

fn failure(call: &'static str, kind: aws::Kind) -> aws::Error {
    let (what, reason) = (String::new(), String::new());
    aws::Error { call, what, reason, kind }
}

fn told(answers: &[(u64, [Answer; 3])], registered: &[u8]) -> Told {
    let targets = registered.iter().map(|last| ip(*last)).collect();
    Told {
        clock: Cell::new(0),
        answers: answers.to_vec(),
        groups: RefCell::new(vec![group("arn", targets)]),
        stored: RefCell::new((State::default(), 0)),
        rival_at: None,
        writes: RefCell::default(),
        failing: Cell::new(0),
        failing_as: aws::Kind::Throttled,
        unreadable: None,
        unreadable_as: aws::Kind::Throttled,
        denied: None,
        unregistrable: None,
        unlisted_from: None,
        alive: None,
        idle_calls: false,
        release_takes: 0,
        releases: None,
        log: RefCell::default(),
    }
}

impl Told {
    fn says(&self, text: impl Into<String>) {
        self.log.borrow_mut().push(text.into());
        assert!(self.log.borrow().len() < ENDLESS, "an endless loop at {} ms", self.clock.get());
    }

    fn log(&self) -> Vec<String> {
        self.log.borrow().clone()
    }

    fn targets(&self) -> Vec<IpAddr> {
        self.groups.borrow()[0].targets.iter().copied().collect()
    }

    /// One invocation of a doorbell, which may last for a minute of this world's time.
    fn invoke(&self) -> Result<Outcome, Trouble> {
        self.invoke_as(true)
    }

    fn invoke_as(&self, rung: bool) -> Result<Outcome, Trouble> {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let invoked = Invoked { owner: "test", rung, until: Millis(self.clock.get() + 50_000) };
        runtime.block_on(run(self, &policy(), invoked)).outcome
    }

    /// The log of what is done from here on.
    fn quiet(&self, at: u64) {
        self.clock.set(at);
        self.log.borrow_mut().clear();
    }
}

impl World for Told {
    fn now(&self) -> Millis {
        Millis(self.clock.get())
    }

    async fn sleep(&self, time: Duration) {
        self.clock.set(self.clock.get() + u64::try_from(time.as_millis()).unwrap());
    }

    async fn list(&self, _remembered: &[String]) -> Listing {
        self.says("list");
        if self.unlisted_from.is_some_and(|from| self.clock.get() >= from) {
            return Listing {
                failures: vec![failure("ecs:ListTasks", aws::Kind::Throttled)],
                ..Listing::default()
            };
        }
        let node = |last| Node {
            slot: format!("core-{last}"),
            kind: Kind::Core,
            id: u32::from(last),
            task: format!("t{last}"),
            address: ip(last),
            stopping: false,
        };
        Listing { nodes: (1..=3).map(node).collect(), ..Listing::default() }
    }

    /// A node that does not answer costs the patience, or the grace when the other answers are enough.
    async fn probe(&self, nodes: &[Node], unanswered: &BTreeSet<String>, enough: Enough<'_>) -> Vec<Answer> {
        if nodes.is_empty() {
            return vec![];
        }
        assert_eq!(nodes.len(), 3);
        let now = self.clock.get();
        let answers = self.answers.iter().rev().find(|(from, _)| *from <= now).unwrap().1;
        let so_far = answers.map(|answer| (!answer.is_unanswered()).then_some(answer));
        if !so_far.contains(&None) {
            return answers.to_vec();
        }
        let early = enough(&so_far);
        self.sleep(if early { GRACE } else { PATIENCE }).await;
        let waited = nodes.iter().zip(answers).map(|(node, answer)| match answer {
            answer if !answer.is_unanswered() => answer,
            _ if early => Answer::NotKnown(NotKnown::NotAwaited),
            // Without Bolt beside it, the node is only late.
            _ if !unanswered.contains(&node.task) => LATE,
            answer => answer,
        });
        waited.collect()
    }

    async fn alive(&self, _node: &Node) -> Option<BTreeSet<u32>> {
        self.alive.clone()
    }

    async fn groups(&self) -> Registered {
        self.says("read");
        let write = self
            .groups
            .borrow()
            .iter()
            .filter(|group| Some(group.arn.as_str()) != self.unreadable)
            .cloned()
            .collect();
        let failures = self.unreadable.map(|_| failure("read", self.unreadable_as)).into_iter().collect();
        Registered { write, failures, ..Registered::default() }
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
        let mut next =
            if self.writes.borrow().is_empty() { None } else { Some(self.writes.borrow_mut().remove(0)) };
        if state.lease.is_none() && stored.0.lease.is_some() {
            next = self.releases.or(next);
        }
        if next == Some(Write::Busy) {
            return Ok(Stored::Busy);
        }
        if next == Some(Write::Broken) {
            return Err(failure("s3:PutObject", aws::Kind::Other).into());
        }
        *stored = (state.clone(), stored.1 + 1);
        self.says("write");
        if state.lease.is_none() {
            self.clock.set(self.clock.get() + self.release_takes);
        }
        match next {
            Some(Write::MadeAndLost) => return Ok(Stored::Lost),
            Some(Write::MadeAndBroken) => return Err(failure("s3:PutObject", aws::Kind::Other).into()),
            _ => {}
        }
        Ok(Stored::Written(Version(Some(stored.1.to_string()))))
    }

    async fn act(&self, action: &Action) -> Result<(), Trouble> {
        self.says(action.to_string());
        let mut groups = self.groups.borrow_mut();
        let Some(group) = groups.iter_mut().find(|group| Some(group.arn.as_str()) == action.group()) else {
            return Ok(());
        };
        if self.idle_calls {
            return Ok(());
        }
        if self.denied.is_some() && action.group() == self.denied {
            return Err(failure("a call", aws::Kind::Denied).into());
        }
        match action {
            Action::Register { group, .. } if Some(group.as_str()) == self.unregistrable => {
                return Err(failure("register", aws::Kind::Throttled).into());
            }
            Action::Register { address, .. } => group.targets.insert(*address),
            Action::Deregister { .. } if self.failing.get() > 0 => {
                self.failing.set(self.failing.get() - 1);
                return Err(failure("deregister", self.failing_as).into());
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
const LATE: Answer = Answer::NotKnown(NotKnown::Late);
const SILENT: Answer = Answer::NotKnown(NotKnown::Silent);
const DOWN: Answer = Answer::NotKnown(NotKnown::Refused);
/// One invocation never logs this many lines.
const ENDLESS: usize = 10_000;
const WELL: [Answer; 3] = [Answer::Master, Answer::Slave, Answer::Slave];

/// A world at rest with core-1 as its master, where core-2 takes over at ten minutes.
fn taken_over() -> Told {
    let moved = [DOWN, Answer::Master, Answer::Slave];
    let world = told(&[(0, WELL), (600_000, moved)], &[1, 2, 3]);
    world.invoke().unwrap();
    world.quiet(600_000);
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

/// The groups are read every fifth minute: an operator may have registered an address.
#[test]
fn at_rest_a_sweep_lists_once_writes_nothing_and_reads_the_groups_every_fifth_time() {
    let world = told(&[(0, WELL)], &[1, 2, 3]);
    world.invoke().unwrap();
    for (minute, expected) in [(1, &["list"][..]), (2, &["list"]), (5, &["list", "read"]), (6, &["list"])] {
        world.quiet(minute * 60_000);
        let outcome = world.invoke_as(false).unwrap();
        assert_eq!((outcome.rounds, outcome.calls), (1, 0));
        assert_eq!(world.log(), expected, "minute {minute}");
    }
    world.quiet(7 * 60_000);
    world.invoke_as(true).unwrap();
    assert_eq!(world.log(), ["list", "read"], "a bell says that something may have changed");
}

#[test]
fn a_sweep_that_finds_something_reads_the_groups_after_all() {
    let world = told(&[(0, WELL), (60_000, [DOWN, Answer::Master, Answer::Slave])], &[1, 2, 3]);
    world.invoke().unwrap();
    world.quiet(60_000);
    world.invoke_as(false).unwrap();
    assert_eq!(world.targets(), [ip(2)]);
}

#[test]
fn the_hot_loop_waits_for_the_new_master_and_cuts_to_it() {
    let world = told(
        &[(0, WELL), (60_000, [DOWN, UNSETTLED, UNSETTLED]), (70_000, [DOWN, Answer::Master, Answer::Slave])],
        &[1, 2, 3],
    );
    world.invoke().unwrap();
    world.quiet(60_000);
    let outcome = world.invoke().unwrap();
    assert_eq!(outcome.verdict, Verdict::Steady);
    assert_eq!(world.targets(), [ip(2)]);
    assert!(world.clock.get() < 72_000, "settled within two seconds of the election");
    let calls: Vec<String> = world.log().into_iter().filter(|line| line.contains("register")).collect();
    assert_eq!(calls, ["deregister 10.0.0.1 for 7474", "deregister 10.0.0.3 for 7474"]);
}

/// The master's silence costs one round, which might have found it slow; the rounds that confirm its
/// successor do not wait for it again.
#[test]
fn a_frozen_master_holds_up_the_switch_to_its_successor_for_one_patience() {
    let world = told(&[(0, WELL), (600_000, [SILENT, Answer::Master, Answer::Slave])], &[1, 2, 3]);
    world.invoke().unwrap();
    world.quiet(600_000);
    world.invoke().unwrap();
    assert_eq!(world.targets(), [ip(2)]);
    let decided = world.stored.borrow().0.master.clone().unwrap().since;
    assert_eq!(decided.since(Millis(600_000)), PATIENCE + policy().pause + GRACE);
}

/// Fault 47: a master that is only slow must not be passed over for a stale claimant.
#[test]
fn a_slow_master_beside_a_stale_claimant_is_waited_for() {
    let stale = [LATE, Answer::Master, Answer::Slave];
    let both = [Answer::Master, Answer::Master, Answer::Slave];
    let world = told(&[(0, WELL), (600_000, stale), (600_100, both), (620_000, WELL)], &[1, 2, 3]);
    world.invoke().unwrap();
    world.quiet(600_000);
    world.invoke().unwrap();
    let master = world.stored.borrow().0.master.clone().unwrap();
    assert_eq!(master.slot, "core-1", "it is followed all the time");
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

/// Fault 26. The call is tried once, the cuts of the other group are made, and the
/// invocation fails with the denial.
#[test]
fn a_denied_call_is_not_repeated_and_holds_up_no_other_group() {
    let mut world = taken_over();
    *world.groups.borrow_mut() = vec![group("bad", [ip(1)].into()), group("good", [ip(1), ip(2)].into())];
    world.denied = Some("bad");
    assert!(matches!(world.invoke(), Err(Trouble::Call(_))));
    assert_eq!(world.groups.borrow()[1].targets, [ip(2)].into(), "the good group is cut");
    assert_eq!(
        world.groups.borrow()[0].targets,
        [ip(1)].into(),
        "the bad one is left as it is, never emptied"
    );
    let tries = world.log().iter().filter(|line| line.starts_with("register 10.0.0.2")).count();
    assert_eq!(tries, 1);
    assert!(world.clock.get() < 610_000, "it ends: {}", world.clock.get());
    assert_eq!(world.stored.borrow().0.lease, None, "the lease is given back");
}

/// One group that answers AccessDenied, for ever: a new master is followed in the other groups,
/// and a frozen one is fenced.
#[test]
fn a_group_that_may_not_be_read_keeps_nobody_from_following_or_fencing() {
    let mut world = taken_over();
    *world.groups.borrow_mut() = vec![group("bad", [ip(1)].into()), group("good", [ip(1), ip(2)].into())];
    (world.unreadable, world.unreadable_as) = (Some("bad"), aws::Kind::Denied);
    assert!(matches!(world.invoke(), Err(Trouble::Call(_))), "it says so at its end");
    assert_eq!(world.groups.borrow()[1].targets, [ip(2)].into(), "the good group is cut");

    let waits = [SILENT, UNSETTLED, UNSETTLED];
    let mut world = told(&[(0, WELL), (600_000, waits)], &[1, 2, 3]);
    world.invoke().unwrap();
    (world.unreadable, world.unreadable_as) = (Some("arn"), aws::Kind::Denied);
    world.quiet(600_000);
    world.invoke().unwrap_err();
    let fenced = world.log().iter().any(|line| line.starts_with("fence core-1"));
    assert!(fenced, "{:?}", world.log());
}

/// Fault 27: an invocation that lost the write race drops its plan, and goes on with the newer state.
#[test]
fn a_lost_race_drops_the_plan_and_looks_again() {
    let mut world = taken_over();
    world.rival_at = Some(600_000);
    let outcome = world.invoke().unwrap();
    assert_eq!(outcome.calls, 0, "its plan is dropped each time");
    assert!(outcome.lost_race && outcome.rounds > 2, "it looks again until its time is over: {outcome:?}");
    assert_eq!(world.targets(), [ip(1), ip(2), ip(3)]);
}

/// S3 answers 412 to an invocation whose own write succeeded when the answer was lost: the
/// plan is executed at once.
#[test]
fn a_write_whose_answer_is_lost_is_recognised_and_its_plan_carried_out() {
    for how in [Write::MadeAndLost, Write::MadeAndBroken, Write::Busy] {
        let world = taken_over();
        *world.writes.borrow_mut() = vec![how];
        let outcome = world.invoke().unwrap();
        assert_eq!(world.targets(), [ip(2)]);
        assert!(!outcome.lost_race);
        assert!(world.clock.get() < 601_000, "without waiting for its own lease: {}", world.clock.get());
        let lease = world.stored.borrow().0.lease.clone();
        assert_eq!(lease, None, "the lease is given back");
    }
}

#[test]
fn a_write_that_was_not_made_is_tried_again() {
    let world = taken_over();
    *world.writes.borrow_mut() = vec![Write::Broken, Write::Broken];
    world.invoke().unwrap();
    assert_eq!(world.targets(), [ip(2)]);
}

#[test]
fn a_group_that_cannot_be_read_or_registered_in_does_not_hold_up_the_others() {
    for unregistrable in [false, true] {
        let mut world = taken_over();
        // The first group holds the old master alone, so that the new one has to be registered there first.
        *world.groups.borrow_mut() = vec![group("bad", [ip(1)].into()), group("good", [ip(1), ip(2)].into())];
        if unregistrable {
            world.unregistrable = Some("bad");
        } else {
            world.unreadable = Some("bad");
        }
        world.invoke().unwrap();
        let groups = world.groups.borrow();
        assert_eq!(groups[1].targets, [ip(2)].into(), "the good group is cut");
        assert_eq!(groups[0].targets, [ip(1)].into(), "the bad one is left as it is, never emptied");
    }
}

/// A group that holds a node of ours under another port: a deregistration there succeeds without effect.
#[test]
fn calls_that_change_nothing_are_repeated_more_and_more_slowly() {
    let mut world = taken_over();
    world.idle_calls = true;
    let outcome = world.invoke().unwrap();
    assert!(outcome.calls <= 40, "{} calls in one invocation", outcome.calls);
}

/// The nodes of the state are asked. A claimant is followed when it reports that it hears a majority:
/// otherwise a task that is not listed may be the master, and this claimant stale.
#[test]
fn a_listing_that_fails_keeps_the_nodes_that_are_known() {
    for (alive, followed) in [(Some([2, 3].into()), true), (Some([2].into()), false), (None, false)] {
        let mut world = taken_over();
        (world.unlisted_from, world.alive) = (Some(600_000), alive);
        let outcome = world.invoke().unwrap();
        let verdict = if followed { Verdict::Steady } else { Verdict::NewMaster };
        assert_eq!(outcome.verdict, verdict, "{}", outcome.sentence);
        assert_eq!(world.targets() == [ip(2)], followed);
    }
}

/// A burst of bells must not occupy all invocations that an account may run at once.
#[test]
fn a_bell_that_finds_the_lease_held_ends_at_once_and_a_sweep_waits_for_it() {
    let world = taken_over();
    let acting = Lease { owner: "another".into(), until: Millis(610_000) };
    world.stored.borrow_mut().0.lease = Some(acting);
    let bell = world.invoke_as(true).unwrap();
    assert_eq!((bell.verdict, bell.rounds, bell.calls), (Verdict::Leased, 0, 0));
    assert!(bell.sentence.contains("invocation another acts now"), "{}", bell.sentence);
    assert_eq!((world.log(), world.clock.get()), (Vec::new(), 600_000), "it looks at nothing");

    let sweep = world.invoke_as(false).unwrap();
    assert_eq!((sweep.verdict, world.targets()), (Verdict::Steady, vec![ip(2)]));
    assert!(world.clock.get() >= 610_000, "it acted at {} ms, while the other one acts", world.clock.get());

    world.quiet(620_000);
    assert_eq!(world.invoke_as(true).unwrap().rounds, 1, "without a lease a bell looks");
}

/// Nothing was seen, so there is nothing to count: no master was found, and none was missed.
#[test]
fn a_bell_that_gave_way_makes_no_metrics() {
    let world = taken_over();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let ring = || {
        let invoked = Invoked { owner: "test", rung: true, until: Millis(world.clock.get() + 50_000) };
        runtime.block_on(run(&world, &policy(), invoked)).tally
    };
    world.stored.borrow_mut().0.lease = Some(Lease { owner: "another".into(), until: Millis(610_000) });
    assert_eq!(ring(), None);
    world.stored.borrow_mut().0.lease = None;
    assert!(ring().is_some_and(|tally| tally.master_found));
}

/// The bell gave way, because the lease was still held: core-3 took over while the invocation
/// that acts was about to end.
#[test]
fn an_invocation_that_acted_looks_again_after_it_has_given_the_lease_back() {
    let third = [DOWN, DOWN, Answer::Master];
    let second = [DOWN, Answer::Master, Answer::Slave];
    let mut world = told(&[(0, WELL), (600_000, second), (601_500, third)], &[1, 2, 3]);
    world.invoke().unwrap();
    world.quiet(600_000);
    world.release_takes = 2_000;
    let outcome = world.invoke().unwrap();
    // One of three answers at the end: the outcome is what that last round saw.
    assert_eq!(outcome.verdict, Verdict::PartialView);
    let log = world.log();
    let released = log.iter().rposition(|line| line == "write").expect("the lease was given back");
    assert!(log[released..].contains(&"list".to_owned()), "nothing that was listed before is kept: {log:?}");
    assert_eq!(world.stored.borrow().0.lease, None);

    let third = [DOWN, Answer::Slave, Answer::Master];
    let mut world = told(&[(0, WELL), (600_000, second), (601_500, third)], &[1, 2, 3]);
    world.invoke().unwrap();
    world.quiet(600_000);
    world.release_takes = 2_000;
    assert_eq!(world.invoke().unwrap().verdict, Verdict::Steady);
    assert_eq!(world.targets(), [ip(3)], "the write groups follow core-3, without a sweep");
    assert_eq!(world.stored.borrow().0.lease, None, "and the lease is given back in the end");
}

/// S3 answers reads and accepts no write that gives the lease back: the lease ends by itself, and nothing is
/// asked again and again meanwhile.
#[test]
fn a_lease_that_cannot_be_given_back_makes_no_hot_loop() {
    let mut world = taken_over();
    world.releases = Some(Write::Broken);
    let outcome = world.invoke().unwrap();
    assert_eq!(world.targets(), [ip(2)]);
    let listed = world.log().iter().filter(|line| *line == "list").count();
    assert!(
        outcome.rounds < 20 && listed < 10,
        "{} rounds, {listed} listings: {:?}",
        outcome.rounds,
        world.log()
    );
}

/// The lease was given back, and the answer says that the write was lost.
#[test]
fn a_release_whose_answer_is_lost_is_followed_by_a_look_too() {
    for how in [Write::MadeAndLost, Write::MadeAndBroken] {
        let mut world = taken_over();
        world.releases = Some(how);
        world.invoke().unwrap();
        let log = world.log();
        let released = log.iter().rposition(|line| line == "write").expect("the lease was given back");
        assert!(log[released..].contains(&"list".to_owned()), "{how:?}: {log:?}");
        assert_eq!(world.stored.borrow().0.lease, None);
    }
}

#[test]
fn a_pause_is_answered_when_no_plan_is_carried_out_any_more() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let asked = Request::Pause { owner: "ada".into(), time: Duration::from_secs(600) };
    let world = told(&[(0, WELL)], &[1, 2, 3]);
    let acting = Lease { owner: "another".into(), until: Millis(20_000) };
    world.stored.borrow_mut().0.lease = Some(acting);
    let told = runtime.block_on(pause(&world, &asked, Millis(50_000))).unwrap();
    assert!(told.acting.is_none() && told.pause.is_some());
    assert!(world.clock.get() >= 20_000, "answered at {} ms, while the other one acts", world.clock.get());

    world.clock.set(0);
    let told = runtime.block_on(pause(&world, &asked, Millis(5_000))).unwrap();
    assert_eq!(told.acting.unwrap().owner, "another", "or it says that one acts");
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
        assert_eq!(world.log(), ["list", "read"]);
    }
}

#[test]
fn without_a_master_it_looks_until_its_time_is_over() {
    let world = told(&[(0, [UNSETTLED; 3])], &[1]);
    let outcome = world.invoke().unwrap();
    assert_eq!((outcome.verdict, outcome.calls), (Verdict::NoMaster, 0));
    assert!(world.clock.get() <= 50_000 && world.clock.get() > 48_000, "ended at {}", world.clock.get());
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
    // The found master, and the lease given back at the end; later sweeps find nothing new.
    assert_eq!(writes, BTreeMap::from([(1, 2), (2, 2), (3, 2)]));
}
