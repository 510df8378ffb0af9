//! What invokes the function: the schedule, events of ECS, an operator; and the watcher that looks at the
//! world in between.

use std::{cell::RefCell, rc::Rc, time::Duration};

use backup_trigger::{Memory, explain, request, tick};
use tokio::{
    task::spawn_local,
    time::{Instant, sleep},
};

use super::{
    bounds::{Bounds, LATE, LOOK, PERIOD},
    sim::{Ask, Sim},
    world::Seen,
};
use crate::{Chance, world::millis};

/// Lambda ends an invocation after this long, less the time for its answer.
const INVOCATION: u64 = 117_000;

/// Everything that an invocation needs to begin.
#[derive(Clone)]
pub struct Stage {
    pub sim: Rc<RefCell<Sim>>,
    began: Instant,
    /// What a warm process remembers.
    memory: Rc<RefCell<Rc<Memory>>>,
    invocations: Rc<RefCell<u64>>,
}

impl Stage {
    pub fn new(sim: Sim) -> Self {
        Self {
            sim: Rc::new(RefCell::new(sim)),
            began: Instant::now(),
            memory: Rc::default(),
            invocations: Rc::default(),
        }
    }

    /// Milliseconds since the history began.
    pub fn now(&self) -> u64 {
        millis(self.began.elapsed())
    }

    /// The schedule, whatever the invocation before does: sometimes twice, and in bad times late, or not at all.
    pub async fn ticks(self, seed: u64) {
        let mut chance = Chance::new(seed);
        loop {
            let late = {
                let (now, sim) = (self.now(), &mut *self.sim.borrow_mut());
                let disturbed = now < sim.disturbed;
                match chance.between(0, 3) {
                    0 if disturbed => {
                        sim.checks.counts.count("tick", "lost");
                        None
                    }
                    1 if disturbed => {
                        sim.checks.counts.count("tick", "late");
                        Some(chance.between(LATE, PERIOD))
                    }
                    _ => Some(chance.between(0, LATE - 1_000)),
                }
            };
            if let Some(late) = late {
                let twice = chance.one_in(8);
                self.start(&mut chance, "tick", late);
                if twice {
                    self.sim.borrow_mut().checks.counts.count("tick", "doubled");
                    let apart = if chance.one_in(2) { 0 } else { chance.between(1, 1_000) };
                    self.start(&mut chance, "twin", late + apart);
                }
            }
            sleep(Duration::from_millis(PERIOD)).await;
        }
    }

    /// Looks twice a minute, and never waits for anything else. Each task that began or ended is an event:
    /// sometimes twice, sometimes late, sometimes lost.
    pub async fn watch(self, seed: u64) {
        let mut chance = Chance::new(seed);
        let mut bounds = Bounds::default();
        loop {
            sleep(Duration::from_millis(LOOK)).await;
            let (now, events, asks) = {
                let (now, sim) = (self.now(), &mut *self.sim.borrow_mut());
                sim.step(now);
                for late in bounds.look(now, sim) {
                    sim.checks.breaks(now, &late);
                }
                sim.ecs.forget(now);
                let events = std::mem::take(&mut sim.ecs.events);
                (now, if now < sim.deaf { 0 } else { events }, std::mem::take(&mut sim.asks))
            };
            for _ in 0..events {
                if !chance.one_in(3) {
                    for _ in 0..chance.between(1, 2) {
                        let late = chance.between(0, 60_000);
                        self.start(&mut chance, "event", late);
                    }
                }
            }
            for ask in asks {
                self.sim.borrow_mut().checks.tell(|| format!("{now:>9} an operator asks for {ask:?}"));
                self.clone().asks(ask, &mut chance);
            }
        }
    }

    pub fn seen(&self, chance: &mut Chance, why: &str, explains: bool) -> Seen {
        *self.invocations.borrow_mut() += 1;
        // Clocks of two invocations differ by up to a second.
        let skew = i64::try_from(chance.between(0, 1_000)).unwrap_or(500) - 500;
        let name = format!("{why}-{}", self.invocations.borrow());
        Seen::new(self.sim.clone(), self.began, skew, name, explains)
    }

    /// What the next invocation's process remembers: sometimes it is a cold one.
    fn memory(&self, chance: &mut Chance) -> Rc<Memory> {
        if chance.one_in(8) {
            *self.memory.borrow_mut() = Rc::default();
        }
        self.memory.borrow().clone()
    }

    fn asks(self, ask: Ask, chance: &mut Chance) {
        let (seen, memory) = (self.seen(chance, "operator", ask == Ask::Explain), self.memory(chance));
        spawn_local(async move {
            let policy = self.sim.borrow().setting.policy.clone();
            match ask {
                Ask::Explain => drop(explain(&seen, &policy, &memory).await),
                Ask::Backup(slot) => match request(&seen, slot).await {
                    Ok(()) => self.tick(seen, &memory, INVOCATION).await,
                    Err(_) => self.sim.borrow_mut().checks.counts.count("request", "not recorded"),
                },
            }
        });
    }

    fn start(&self, chance: &mut Chance, why: &str, late: u64) {
        let (seen, stage, memory) = (self.seen(chance, why, false), self.clone(), self.memory(chance));
        let cut = chance.one_in(4).then(|| chance.between(20, 3_000));
        spawn_local(async move {
            sleep(Duration::from_millis(late)).await;
            // In bad times a process is killed in the middle.
            let disturbed = stage.now() < stage.sim.borrow().disturbed;
            let time = cut.filter(|_| disturbed).unwrap_or(INVOCATION);
            stage.tick(seen, &memory, time).await;
        });
    }

    async fn tick(&self, seen: Seen, memory: &Memory, time: u64) {
        let policy = {
            let mut sim = self.sim.borrow_mut();
            sim.invocations += 1;
            if sim.invocations > 1 {
                sim.checks.counts.count("tick", "while another one is under way");
            }
            sim.setting.policy.clone()
        };
        let ended = tokio::select! {
            biased;
            ended = tick(&seen, &policy, memory) => Some(ended),
            () = sleep(Duration::from_millis(time)) => None,
        };
        let (now, sim) = (self.now(), &mut *self.sim.borrow_mut());
        (sim.invocations, sim.checks.ticks) = (sim.invocations - 1, sim.checks.ticks + 1);
        let Some(ended) = ended else {
            sim.checks.counts.count("tick", "cut off");
            return;
        };
        if let Some(tally) = &ended.tally {
            sim.checks.tallied(&seen.name, &seen.look(), tally, now, &sim.setting);
        }
        match ended.outcome {
            Ok(outcome) => {
                sim.checks.counts.count("tick", if outcome.lost_race { "lost its race" } else { "done" });
            }
            Err(trouble) => {
                sim.checks.tell(|| format!("{now:>9} {}: {trouble}", seen.name));
                sim.checks.counts.count("tick", "failed");
            }
        }
    }
}
