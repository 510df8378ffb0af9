//! A stack in memory: its state, its bucket with the lifecycle, its nodes, and workers that end as a test says.

mod made;
mod world;

use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use aws::Kind;
use backup_trigger::{Ended, How, Memory, Node, Outcome, Policy, Run, Runs, Tally, tick};
use backups::{Catalogue, Consistency, Folder, Listed, Manifest, Order, Time};
use topology::Pause;

pub use made::policy;
use made::{manifest, node};

pub const DAY: u64 = 24 * 3600;
pub const STACK: &str = "arn:stack";
/// Between two ticks.
pub const TICK: u64 = 900;
/// How long a worker takes, unless a test says otherwise.
pub const TAKES: u64 = 600;
/// How long ECS knows a task that has stopped.
const KNOWN: u64 = 3600;
/// How long a task takes to stop when it is asked to.
const STOPS: u64 = 60;

/// How a worker ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Worker {
    /// With a manifest, after so many seconds.
    Makes(Consistency, u64),
    /// Without one.
    Dies(u64),
    /// With data and without a manifest.
    HalfWritten(u64),
    /// ECS forgets it at once.
    Vanishes(u64),
    /// Not before it is stopped.
    Hangs,
}

/// How a call of `RunTask` goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Launch {
    /// `failures[]`, or an invalid request.
    Refused,
    /// Nothing is started.
    Throttled,
    /// It is started, and the answer is lost.
    AnswerLost,
    /// The function dies before the call, or after it.
    DiesBefore,
    DiesAfter,
}

/// How a write of the state goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Write {
    /// The write succeeds, its answer is lost, and a layer below is answered 412 at its second try.
    MadeAndLost,
    /// The write succeeds, and the answer is an error.
    MadeAndBroken,
    /// The write fails, and the answer is an error.
    Broken,
    /// 409.
    Busy,
    /// A concurrent invocation writes first.
    Rival,
}

#[derive(Clone, Debug)]
pub struct Task {
    pub arn: String,
    pub order: Order,
    pub began: u64,
    worker: Worker,
    asked_to_stop: Option<u64>,
    /// When it ended, and with which code.
    pub ended: Option<(u64, i32)>,
    committed: bool,
}

#[derive(Default)]
pub struct Bucket {
    pub objects: BTreeMap<String, Vec<u8>>,
    /// Since when.
    pub tagged: BTreeMap<String, u64>,
}

pub struct Stage {
    pub policy: Policy,
    pub memory: Memory,
    pub clock: Cell<u64>,
    pub state: RefCell<(Option<Runs>, u64)>,
    pub owner: RefCell<Option<String>>,
    pub bucket: RefCell<Bucket>,
    pub tasks: RefCell<Vec<Task>>,
    pub nodes: RefCell<Vec<Node>>,
    pub pause: RefCell<Option<Pause>>,
    /// How the next workers end.
    pub workers: RefCell<VecDeque<Worker>>,
    pub launches: RefCell<VecDeque<Launch>>,
    pub writes: RefCell<VecDeque<Write>>,
    /// The bucket cannot be listed; a manifest cannot be read; a task cannot be stopped or described.
    pub unlisted: Cell<bool>,
    pub unread: Cell<bool>,
    pub unstoppable: Cell<bool>,
    pub undescribed: Cell<bool>,
    /// A task cannot be found by what started it.
    pub unfound: Cell<bool>,
    /// An operator holds this folder after the catalogue was listed.
    pub late_hold: RefCell<Option<Folder>>,
    /// A tag is put on or taken off, and the answer is lost.
    pub untold: Cell<bool>,
    pub manifests_read: Cell<usize>,
    /// Another stack claims the bucket a moment before this one.
    pub rival_owner: Cell<bool>,
    /// The seed of how calls of ticks at once interleave; 0: they do not.
    pub interleaving: Cell<u64>,
    ids: Cell<u64>,
    pub stops: Cell<usize>,
}

pub fn time(text: &str) -> u64 {
    text.parse::<Time>().unwrap().epoch()
}

pub fn failure(call: &'static str, kind: Kind) -> aws::Error {
    aws::Error { call, what: "x".into(), reason: "it was told to".into(), kind }
}

pub fn stage(at: &str, policy: Policy) -> Stage {
    Stage {
        nodes: RefCell::new(policy.slots.iter().map(node).collect()),
        policy,
        memory: Memory::default(),
        clock: Cell::new(time(at)),
        state: RefCell::default(),
        owner: RefCell::default(),
        bucket: RefCell::default(),
        tasks: RefCell::default(),
        pause: RefCell::default(),
        workers: RefCell::default(),
        launches: RefCell::default(),
        writes: RefCell::default(),
        unlisted: Cell::default(),
        unread: Cell::default(),
        unstoppable: Cell::default(),
        undescribed: Cell::default(),
        unfound: Cell::default(),
        late_hold: RefCell::default(),
        untold: Cell::default(),
        manifests_read: Cell::default(),
        rival_owner: Cell::default(),
        interleaving: Cell::default(),
        ids: Cell::default(),
        stops: Cell::default(),
    }
}

pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(future)
}

impl Stage {
    /// One tick. A function that dies leaves `None`.
    pub fn try_tick(&self) -> Option<Ended> {
        let ticked = async { tick(self, &self.policy, &self.memory).await };
        // What dies waits for ever, and nothing else waits at all.
        block_on(async { tokio::time::timeout(Duration::from_millis(20), ticked).await }).ok()
    }

    /// One tick, which must succeed; its sentence.
    pub fn tick(&self) -> String {
        self.try_tick().unwrap().outcome.unwrap().sentence
    }

    /// Lets time pass, in which workers work and the lifecycle deletes.
    pub fn pass(&self, seconds: u64) {
        let (before, now) = (self.clock.get(), self.clock.get() + seconds);
        self.clock.set(now);
        let mut tasks = self.tasks.borrow_mut();
        for task in tasks.iter_mut().filter(|task| task.ended.is_none()) {
            self.work(task, now);
        }
        if before / DAY != now / DAY {
            self.lifecycle();
        }
    }

    fn work(&self, task: &mut Task, now: u64) {
        if let Some(stop) = task.asked_to_stop.filter(|stop| stop + STOPS <= now) {
            task.ended = Some((stop + STOPS, 137));
            return;
        }
        let put = |key: String, bytes: Vec<u8>| drop(self.bucket.borrow_mut().objects.insert(key, bytes));
        let folder = &task.order.folder;
        match task.worker {
            Worker::Makes(consistency, takes) if task.began + takes <= now => {
                let done = task.began + takes;
                task.ended = Some((done, 0));
                // A worker whose deadline has passed writes no manifest.
                if done < task.order.deadline.epoch() {
                    put(folder.data(), vec![0; 100]);
                    put(folder.manifest(), manifest(&task.order, consistency, done).write());
                    task.committed = true;
                }
            }
            Worker::Dies(takes) | Worker::Vanishes(takes) if task.began + takes <= now => {
                task.ended = Some((task.began + takes, 1));
            }
            Worker::HalfWritten(takes) if task.began + takes <= now => {
                put(folder.data(), vec![0; 50]);
                task.ended = Some((task.began + takes, 1));
            }
            _ => {}
        }
    }

    /// Once a day, what was tagged for a day is deleted.
    fn lifecycle(&self) {
        let mut bucket = self.bucket.borrow_mut();
        let now = self.clock.get();
        let over: Vec<String> = bucket
            .tagged
            .iter()
            .filter(|(_, since)| **since + DAY <= now)
            .map(|(key, _)| key.clone())
            .collect();
        for key in over {
            bucket.objects.remove(&key);
            bucket.tagged.remove(&key);
        }
    }

    /// The metrics of one tick.
    pub fn tally(&self) -> Tally {
        self.try_tick().unwrap().tally.unwrap()
    }

    /// The answer of one tick.
    pub fn outcome(&self) -> Outcome {
        self.try_tick().unwrap().outcome.unwrap()
    }

    /// Ticks every quarter of an hour, so many times.
    pub fn ticks(&self, times: usize) -> Vec<String> {
        let tick = |_| {
            self.pass(TICK);
            self.tick()
        };
        (0..times).map(tick).collect()
    }

    /// How the runs ended, oldest first.
    pub fn hows(&self) -> Vec<How> {
        self.runs().ended.into_iter().map(|ended| ended.how).collect()
    }

    pub fn runs(&self) -> Runs {
        self.state.borrow().0.clone().unwrap()
    }

    pub fn current(&self) -> Option<Run> {
        self.runs().current
    }

    /// The slots of all workers that were started, in order.
    pub fn sources(&self) -> Vec<String> {
        self.tasks.borrow().iter().map(|task| task.order.source.slot.clone()).collect()
    }

    pub fn catalogue(&self) -> Catalogue {
        let bucket = self.bucket.borrow();
        let listed =
            |(key, bytes): (&String, &Vec<u8>)| Listed { key: key.clone(), bytes: bytes.len() as u64 };
        let listing: Vec<Listed> = bucket.objects.iter().map(listed).collect();
        let manifests = bucket.objects.iter().filter(|(key, _)| key.ends_with("/manifest.json"));
        let read = manifests.map(|(key, bytes)| (key.clone(), Manifest::read(bytes))).collect();
        Catalogue::of(&listing, &read)
    }

    pub fn put(&self, key: &str, bytes: Vec<u8>) {
        self.bucket.borrow_mut().objects.insert(key.to_owned(), bytes);
    }

    /// The status of a slot's node, to be changed.
    pub fn change(&self, slot: &str, change: impl FnOnce(&mut Node)) {
        change(self.nodes.borrow_mut().iter_mut().find(|node| node.slot.name == slot).unwrap());
    }

    /// Lets other ticks go first, as often as the seed says.
    async fn others(&self) {
        let seed = self.interleaving.get();
        if seed == 0 {
            return;
        }
        let next = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.interleaving.set(next | 1);
        for _ in 0..(next >> 33) % 4 {
            tokio::task::yield_now().await;
        }
    }

    fn start(&self, run: &Run) -> String {
        let order = &run.order;
        let now = self.clock.get();
        let mut tasks = self.tasks.borrow_mut();
        if let Some(known) = tasks.iter().find(|task| task.order.folder.id == order.folder.id) {
            assert_eq!(known.order, *order, "one token, one order");
            return known.arn.clone();
        }
        let at_work = |task: &&Task| task.ended.is_none() && !task.committed;
        if let Some(other) = tasks.iter().find(at_work) {
            panic!("{} was started while {} runs", order.folder, other.order.folder);
        }
        let worker = self.workers.borrow_mut().pop_front();
        let worker = worker.unwrap_or(Worker::Makes(Consistency::Consistent, TAKES));
        let arn = format!("task/backup/{}", order.folder.id);
        let order = order.clone();
        tasks.push(Task {
            arn: arn.clone(),
            order,
            began: now,
            worker,
            asked_to_stop: None,
            ended: None,
            committed: false,
        });
        arn
    }
}
