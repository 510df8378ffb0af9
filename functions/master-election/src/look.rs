//! What a round sees: tasks from ECS, roles from the nodes, groups from the balancer; some of it
//! kept from the last round.

use std::time::Duration;

use topology::{Answer, Memory, Millis, Mode, Node, NotKnown, Observation, Policy, State, View, enough};
use tracing::{error, warn};

use crate::{Listing, Registered, World};

/// Within one hot loop tasks and groups are read again after this long; nodes are probed in every round.
const READ_AGAIN: Duration = Duration::from_secs(5);
/// How long a listing may take while the nodes of the last one can be asked: after that
/// the round decides on those.
const LISTING: Duration = Duration::from_secs(3);
/// In a cluster at rest one sweep in five minutes reads the groups. Their targets stay the same unless
/// an operator changes them.
const FIVE_MINUTES: u64 = 300_000;
/// The part of the five minutes in which a sweep reads them: longer than the schedule's minute. Sweeps at
/// 4:59.9 and 6:00.1, by two clocks that differ or a schedule that is late, must not both miss it.
const READS: u64 = 75_000;
const BEFORE: u64 = READS - 60_000;

/// What an invocation keeps from one round to the next.
pub(crate) struct Eyes {
    rung: bool,
    first: bool,
    listing: Option<(Listing, Millis)>,
    groups: Option<(Registered, Millis)>,
}

pub(crate) struct Looked {
    pub(crate) view: View,
    /// The groups were read in this round.
    pub(crate) fresh: bool,
    /// The groups were left unread on purpose.
    pub(crate) skipped: bool,
    /// The error for a group that this function is not allowed to read.
    pub(crate) denied: Option<aws::Error>,
}

impl Eyes {
    pub(crate) fn new(rung: bool) -> Self {
        Self { rung, first: true, listing: None, groups: None }
    }

    /// Makes the next round read the groups again: a call has changed them, or may have.
    pub(crate) fn forget_groups(&mut self) {
        self.groups = None;
    }

    pub(crate) async fn look<W: World>(
        &mut self,
        world: &W,
        policy: &Policy,
        state: &State,
        memory: &Memory,
    ) -> Looked {
        let began = world.now();
        let skipped = std::mem::take(&mut self.first) && !self.rung && may_skip(state, began);
        if self.listing.is_none() {
            let listing = world.list(&state.remembered()).await;
            self.keep(listing, state, world.now());
        }
        let (listing, listed_at) = self.listing.clone().unwrap_or_default();
        let asked_at = world.now();
        let waited = memory.need_not_wait_for(asked_at);
        let enough = |so_far: &[Option<Answer>]| enough(policy, state, &waited, &listing.nodes, so_far);
        let is_old = began.since(listed_at) >= READ_AGAIN;
        let relist = async { if is_old { Some(bounded_listing(world, state).await) } else { None } };
        // A round that confirms a claim also acts on it, so the groups are read beside the probes.
        let known = self.groups.clone();
        let known = known.filter(|(_, at)| {
            memory.claim.is_none() && memory.backed.is_none() && began.since(*at) < READ_AGAIN
        });
        let read = async {
            match known {
                _ if skipped => (Registered::default(), began, false),
                Some((groups, at)) => (groups, at, false),
                None => (world.groups().await, began, true),
            }
        };
        let (answers, (groups, read_at, fresh), relisted) =
            tokio::join!(world.probe(&listing.nodes, &memory.unanswered, &enough), read, relist);
        let (complete, ended) = (listing.failures.is_empty(), listing.ended.clone());
        let observations = observe(world, policy, (listing.nodes, complete), answers).await;
        if let Some(newer) = relisted {
            self.keep(newer, state, world.now());
        }
        if !skipped {
            self.keep_groups(&groups, read_at);
        }
        let view = View {
            listed_at,
            asked_at,
            complete,
            observations,
            ended,
            read: false,
            readers_read: false,
            groups: Vec::new(),
            readers: Vec::new(),
        };
        Looked { view, fresh, skipped, denied: None }.with(groups)
    }

    /// The same round with the groups as they are now.
    pub(crate) async fn read_again<W: World>(&mut self, world: &W, looked: Looked) -> Looked {
        let at = world.now();
        let groups = world.groups().await;
        self.keep_groups(&groups, at);
        Looked { fresh: true, skipped: false, ..looked }.with(groups)
    }

    /// A group that could not be read is read again in the next round, after the back-off, not
    /// when the others are old.
    fn keep_groups(&mut self, groups: &Registered, at: Millis) {
        let all = groups.failures.is_empty() && groups.reader_failures.is_empty();
        self.groups = all.then(|| (groups.clone(), at));
    }

    /// A listing that failed keeps the nodes that were known: each of them can still be asked.
    /// Absence proves nothing then.
    fn keep(&mut self, mut listing: Listing, state: &State, now: Millis) {
        for failure in &listing.failures {
            error!(event = "listing-incomplete", "{failure}");
        }
        if !listing.failures.is_empty() {
            let before = self.listing.iter().flat_map(|(before, _)| &before.nodes).chain(&state.tasks);
            for node in before {
                let listed = listing.nodes.iter().any(|listed| listed.task == node.task);
                if !listed && !listing.ended.contains(&node.task) {
                    listing.nodes.push(node.clone());
                }
            }
        }
        self.listing = Some((listing, now));
    }
}

/// Every node's answer, and the members that a claimant hears: when another node is silent, when there are
/// several claimants, and when a task that is not listed may be the master.
async fn observe<W: World>(
    world: &W,
    policy: &Policy,
    (nodes, complete): (Vec<Node>, bool),
    answers: Vec<Answer>,
) -> Vec<Observation> {
    let masters = answers.iter().filter(|answer| **answer == Answer::Master).count();
    let silent = answers.contains(&Answer::NotKnown(NotKnown::Silent));
    let ask = policy.mode == Mode::Ha && (masters > 1 || silent || !complete);
    let mut observations = Vec::new();
    for (node, answer) in nodes.into_iter().zip(answers) {
        let alive = if ask && answer == Answer::Master { world.alive(&node).await } else { None };
        observations.push(Observation { node, answer, alive });
    }
    observations
}

async fn bounded_listing<W: World>(world: &W, state: &State) -> Listing {
    let remembered = state.remembered();
    tokio::select! {
        biased;
        listing = world.list(&remembered) => listing,
        () = world.sleep(LISTING) => {
            let (what, reason) = ("the cluster".to_owned(), format!("no answer within {} s", LISTING.as_secs()));
            let failure = aws::Error { call: "ecs:ListTasks", what, reason, kind: aws::Kind::Other };
            Listing { failures: vec![failure], ..Listing::default() }
        }
    }
}

fn may_skip(state: &State, now: Millis) -> bool {
    state.at_rest && state.pause.is_none() && (now.0 + BEFORE) % FIVE_MINUTES >= READS
}

impl Looked {
    fn with(mut self, groups: Registered) -> Self {
        for failure in groups.failures.iter().chain(&groups.reader_failures) {
            warn!(event = "group-unreadable", "{failure}; the group is left as it is");
            if failure.kind == aws::Kind::Denied {
                self.denied = Some(failure.clone());
            }
        }
        self.view.read = !self.skipped && groups.failures.is_empty();
        self.view.readers_read = !self.skipped && groups.reader_failures.is_empty();
        (self.view.groups, self.view.readers) = (groups.write, groups.read);
        self
    }
}
