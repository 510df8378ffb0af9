//! Elections that are wrong on purpose: the checks must break them, and must not break the right
//! one in the same history.

use std::{collections::BTreeSet, time::Duration};

use master_election::{Enough, Invoked, Listing, Registered, Stored, Trouble, Version, World, run as invoke};
use tokio::{
    task::{LocalSet, spawn_local},
    time::sleep,
};
use topology::{Action, Answer, Decision, Millis, Mode, Node, NotKnown, Policy, Rearm, State};

use crate::{
    Chance, Fault,
    check::Checks,
    history,
    member::{Process, Role},
    schedule::{LOOK, Stage},
    setting::Setting,
    world::{Seen, Sim},
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wrong {
    Nothing,
    /// It never deregisters an address.
    NeverCuts,
    /// It takes a late role endpoint for silence, and believes that the master does not
    /// hear the second core node.
    FencesOnHttpAlone,
    /// It does not wait for slow members when another one claims.
    PassesOver,
    /// It never writes, and so never acts.
    NeverActs,
}

struct Tampered(Seen, Wrong);

impl World for Tampered {
    fn now(&self) -> Millis {
        self.0.now()
    }

    async fn sleep(&self, time: Duration) {
        World::sleep(&self.0, time).await;
    }

    async fn list(&self, remembered: &[String]) -> Listing {
        self.0.list(remembered).await
    }

    async fn probe(&self, nodes: &[Node], unanswered: &BTreeSet<String>, enough: Enough<'_>) -> Vec<Answer> {
        match self.1 {
            Wrong::FencesOnHttpAlone => {
                let answers = self.0.probe(nodes, unanswered, enough).await;
                let late = |answer: Answer| if answer.is_unanswered() { SILENT } else { answer };
                answers.into_iter().map(late).collect()
            }
            Wrong::PassesOver => {
                let claims = |so_far: &[Option<Answer>]| {
                    so_far.contains(&Some(Answer::Master)) && so_far.iter().flatten().count() > 1
                };
                self.0.probe(nodes, unanswered, &claims).await
            }
            _ => self.0.probe(nodes, unanswered, enough).await,
        }
    }

    async fn alive(&self, node: &Node) -> Option<BTreeSet<u32>> {
        let said = self.0.alive(node).await;
        if self.1 == Wrong::FencesOnHttpAlone { Some(BTreeSet::from([1, 3])) } else { said }
    }

    async fn groups(&self) -> Registered {
        self.0.groups().await
    }

    async fn load(&self) -> Result<(State, Version), Trouble> {
        self.0.load().await
    }

    async fn store(&self, state: &State, seen: &Version) -> Result<Stored, Trouble> {
        if self.1 == Wrong::NeverActs {
            World::sleep(&self.0, Duration::from_millis(50)).await;
            return Ok(Stored::Lost);
        }
        self.0.store(state, seen).await
    }

    fn decided(&self, decision: &Decision) {
        self.0.decided(decision);
    }

    async fn act(&self, action: &Action) -> Result<(), Trouble> {
        match action {
            Action::Deregister { .. } if self.1 == Wrong::NeverCuts => Ok(()),
            _ => self.0.act(action).await,
        }
    }
}

const SILENT: Answer = Answer::NotKnown(NotKnown::Silent);

type Happens = (u64, fn(&mut Sim, u64));

fn setting() -> Setting {
    let policy = Policy {
        heartbeat_timeout: Duration::from_secs(2),
        rearm: Rearm::After(Duration::from_secs(20)),
        fence_after: Duration::from_secs(10),
        fence_verify: Duration::from_secs(60),
        stop_timeout: Duration::from_secs(30),
        ..Policy::of(3, 0)
    };
    Setting { policy, at_zero: 0, ports: 1, propagation: 0, over_bolt: false }
}

/// Plays what `happens` (at these seconds) against an election, for `seconds` seconds.
fn play(wrong: Wrong, happens: &[Happens], seconds: u64) -> Checks {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    let happens = happens.to_vec();
    LocalSet::new().block_on(&runtime.unwrap(), async move {
        let stage = Stage::new(history::world(setting(), &Chance::new(3), true));
        let mut chance = Chance::new(4);
        for tick in 0..seconds * 10 {
            for (at, happens) in happens.iter().filter(|(at, _)| at * 10 == tick) {
                happens(&mut stage.sim.borrow_mut(), at * 1_000);
            }
            // Invoked once a minute, and twenty seconds later by a doorbell.
            let rung = tick % 600 == 200;
            if tick % 600 == 0 || rung {
                let seen = stage.seen(&mut chance, "sweep");
                let (owner, policy) = (seen.owner.clone(), setting().policy);
                let until = Millis(stage.now() + 50_000);
                spawn_local(async move {
                    let invoked = Invoked { owner: &owner, rung, until };
                    invoke(&Tampered(seen, wrong), &policy, invoked).await;
                });
            }
            sleep(LOOK).await;
            stage.look();
        }
        std::mem::take(&mut stage.sim.borrow_mut().checks)
    })
}

/// `wrong` breaks with `what`, and the right election in the same history breaks nothing.
fn breaks(wrong: Wrong, happens: &[Happens], what: &str) {
    let right = play(Wrong::Nothing, happens, 400);
    assert!(right.broken.is_empty(), "{:#?}\n{:#?}", right.told, right.broken);
    let broken = play(wrong, happens, 400);
    let found = broken.broken.iter().any(|complaint| complaint.contains(what));
    assert!(found, "{:#?}\n{:#?}", broken.told, broken.broken);
}

fn kills_the_master(sim: &mut Sim, now: u64) {
    Fault::KillMaster.strike(sim, now);
}

fn master_is_stale(sim: &mut Sim, now: u64) {
    let master = sim.cluster.members.iter_mut().find(|member| member.role == Role::Master).unwrap();
    (master.cut, master.stale) = (true, Some(now + 120_000));
}

/// S1, S3: a stale master that lingers would take writes for as long as it is registered.
#[test]
fn an_election_that_never_cuts_is_found() {
    breaks(Wrong::NeverCuts, &[(70, kills_the_master)], "is in a write group");
    breaks(Wrong::NeverCuts, &[(70, master_is_stale)], "is in a write group");
}

/// S2: harm is judged by what the fenced member was, not by what the rules say.
#[test]
fn an_election_that_fences_on_http_alone_is_found() {
    let slave_is_busy: Happens = (65, |sim, now| sim.cluster.members[1].workers_taken = now + 200_000);
    breaks(Wrong::FencesOnHttpAlone, &[slave_is_busy], "heard by the function");
}

/// S2: a slow master is passed over for a stale one.
#[test]
fn an_election_that_does_not_wait_for_a_slow_master_is_found() {
    let state_is_lost: Happens = (79, |sim, now| {
        let masters = sim.cluster.members.iter_mut().filter(|member| member.writes() && !member.cut);
        masters.for_each(|member| member.slow = 1_900);
        Fault::StateLost.strike(sim, now);
    });
    breaks(
        Wrong::PassesOver,
        &[(70, master_is_stale), state_is_lost],
        "the master of a majority, which answers",
    );
}

/// S3: a switch that is delayed by minutes does not count as one.
#[test]
fn an_election_that_never_follows_is_found() {
    breaks(Wrong::NeverActs, &[(70, kills_the_master)], "answers as the master since");
}

/// S4: a task that is asked to stop leaves the listing, is found by its ARN for as long as it runs, and on a
/// host whose agent is dead never ends.
#[test]
fn a_stopping_task_is_listed_only_when_it_is_remembered() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    LocalSet::new().block_on(&runtime.unwrap(), async {
        let stage = Stage::new(history::world(setting(), &Chance::new(5), false));
        let seen = stage.seen(&mut Chance::new(6), "test");
        {
            let sim = &mut *stage.sim.borrow_mut();
            sim.cluster.members[1].agent_dead = Some(500_000);
            sim.cluster.stop(1, 0, &mut sim.chance);
            sim.cluster.members[2].process = Process::Frozen;
            sim.cluster.stop(2, 0, &mut sim.chance);
        }
        let remembered = ["task-2".to_owned(), "task-3".to_owned()];
        let tasks = |listing: &Listing| -> Vec<String> {
            listing.nodes.iter().map(|node| format!("{} {}", node.task, node.stopping)).collect()
        };
        assert_eq!(tasks(&seen.list(&[]).await), ["task-1 false"]);
        let listing = seen.list(&remembered).await;
        assert_eq!(tasks(&listing), ["task-1 false", "task-2 true", "task-3 true"]);
        assert!(listing.ended.is_empty());
        World::sleep(&seen, Duration::from_secs(40)).await;
        let listing = seen.list(&remembered).await;
        assert_eq!(tasks(&listing)[..2], ["task-1 false", "task-2 true"]);
        assert_eq!(listing.ended, BTreeSet::from(["task-3".to_owned()]));
        let asked = seen.list(&[]).await.nodes;
        let none = BTreeSet::new();
        assert_eq!(seen.probe(&asked[..1], &none, &|_| false).await, [Answer::Master]);
    });
}

/// S5: a dead host is silent, over HTTP and Bolt, and RUNNING for minutes; a dead process refuses.
#[test]
fn a_dead_host_is_silent_and_a_dead_process_refuses() {
    let mut chance = Chance::new(7);
    let mut cluster = setting().cluster();
    cluster.lose(0, 60_000);
    cluster.kill(1, 0, &mut chance);
    let said = |index: usize| cluster.members[index].answer(5_000, 5_000, Mode::Ha);
    assert_eq!(said(0), None);
    assert!(cluster.members[0].bolt_is_silent() && cluster.members[0].listed());
    assert_eq!(said(1), Some(Answer::NotKnown(NotKnown::Refused)));
    assert!(!cluster.members[1].listed());
    cluster.step(60_000, &mut chance);
    assert!(!cluster.members[0].listed());
}
