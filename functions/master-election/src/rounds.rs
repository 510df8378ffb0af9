//! The loop: observe, decide, write, act; again while something is under way.

use std::time::Duration;

use serde::Serialize;
use topology::{
    Action, Answer, Decision, Memory, Millis, Observation, Policy, Refusal, State, Verdict, View, decide,
    enough,
};
use tracing::{error, warn};

use crate::{Listing, Registered, Stored, Switch, Tally, Trouble, Version, World, events::Voice};

/// Tasks and groups are read again after so long within one hot loop; probes go every round.
const READ_AGAIN: Duration = Duration::from_secs(5);
/// After a call that failed: doubled each time, so that a throttled account is left in peace.
const FIRST_BACK_OFF: Duration = Duration::from_millis(200);
const LONGEST_BACK_OFF: Duration = Duration::from_secs(5);

/// How often somebody who waits for the lease looks whether it is free.
const WHILE_LEASED: Duration = Duration::from_secs(1);
/// The longest a call may take, with the SDK's own tries: one must not be under way when the lease ends.
const LONGEST_CALL: Duration = Duration::from_secs(10);

/// What an invocation answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Outcome {
    /// What the last round found.
    pub verdict: Verdict,
    /// What it said.
    pub sentence: String,
    /// How many rounds there were.
    pub rounds: u32,
    /// How many calls changed a target group.
    pub calls: u32,
    /// The state's generation.
    pub generation: u64,
    /// Somebody else wrote the state meanwhile, and the plan was dropped.
    pub lost_race: bool,
    /// What metrics are made of.
    #[serde(skip)]
    pub tally: Tally,
}

/// Runs rounds until nothing is under way or `until` is near.
///
/// # Errors
/// When the state can not be read or written, or AWS denies a call. What was not done is done by the next sweep.
pub async fn run<W: World>(
    world: &W,
    policy: &Policy,
    owner: &str,
    until: Millis,
) -> Result<Outcome, Trouble> {
    let mut invocation = Invocation::new(world, policy, owner);
    let ended = invocation.rounds_until(until).await;
    invocation.release().await;
    if let Some(switch) = invocation.switch {
        switch.report();
    }
    ended
}

/// One round's decision, which nobody acts on and nothing is written of.
///
/// # Errors
/// When the state or a group can not be read.
pub async fn explain<W: World>(world: &W, policy: &Policy) -> Result<Decision, Trouble> {
    let mut invocation = Invocation::new(world, policy, "explain");
    let (state, _) = world.load().await?;
    let (view, _) = invocation.look(&state, world.now()).await?;
    Ok(invocation.decide(&state, &view))
}

impl<'a, W> Invocation<'a, W> {
    fn new(world: &'a W, policy: &'a Policy, owner: &str) -> Self {
        Self {
            world,
            policy,
            known: None,
            memory: Memory::of(owner),
            listing: None,
            groups: None,
            voice: Voice::default(),
            switch: None,
            back_off: Duration::ZERO,
            leased: false,
            rounds: 0,
            calls: 0,
            tally: Tally::default(),
        }
    }
}

struct Invocation<'a, W> {
    world: &'a W,
    policy: &'a Policy,
    /// The state and its version; none before it is read, and after a write that may have got through or not.
    known: Option<(State, Version)>,
    memory: Memory,
    listing: Option<(Listing, Millis)>,
    groups: Option<(Registered, Millis)>,
    voice: Voice,
    /// A switch of this invocation that has not settled.
    switch: Option<Switch>,
    back_off: Duration,
    /// Another invocation acts.
    leased: bool,
    rounds: u32,
    calls: u32,
    tally: Tally,
}

impl<W: World> Invocation<'_, W> {
    async fn rounds_until(&mut self, until: Millis) -> Result<Outcome, Trouble> {
        loop {
            let (outcome, look_again) = match self.round().await {
                Ok((outcome, look_again)) => (Ok(outcome), look_again),
                Err(trouble) => {
                    warn!(event = "round-failed", "{trouble}");
                    self.known = None;
                    self.groups = None;
                    self.slow_down();
                    let again = !trouble.is_final();
                    (Err(trouble), again)
                }
            };
            let wait = if self.leased { WHILE_LEASED } else { self.policy.pause };
            let pause = wait.max(self.back_off);
            let next = self.world.now().0
                + u64::try_from((pause + self.policy.round).as_millis()).unwrap_or(u64::MAX);
            if !look_again || next > until.0 {
                return outcome;
            }
            self.world.pause(pause).await;
        }
    }

    /// Gives the lease back, so that the next invocation need not wait for its end.
    async fn release(&mut self) {
        let Some((mut state, version)) = self.known.take() else { return };
        if state.lease.take().is_some_and(|lease| lease.owner == self.memory.owner) {
            state.generation += 1;
            if let Err(trouble) = self.world.store(&state, &version).await {
                warn!(event = "lease-kept", "the lease ends by itself: {trouble}");
            }
        }
    }

    fn slow_down(&mut self) {
        self.back_off = (self.back_off * 2).clamp(FIRST_BACK_OFF, LONGEST_BACK_OFF);
    }

    /// One round: what it found, and whether to look again.
    async fn round(&mut self) -> Result<(Outcome, bool), Trouble> {
        self.rounds += 1;
        let (state, version) = match self.known.take() {
            Some(known) => known,
            None => self.world.load().await?,
        };
        let started = self.world.now();
        let (view, fresh) = self.look(&state, started).await?;
        let mut decision = self.decide(&state, &view);
        if !decision.actions.is_empty() && !fresh {
            // The plan is made on what is registered now, not some seconds ago.
            let registered = self.world.groups().await?;
            self.groups = Some((registered.clone(), started));
            let view = View { groups: registered.write, readers: registered.read, ..view };
            decision = self.decide(&state, &view);
        }
        // What was seen was seen, whether or not the rest of the round succeeds.
        self.memory = decision.memory.clone();
        self.voice.tell(&decision, decision.state.generation);
        self.tally.round(&decision);
        self.world.decided(&decision);
        let version = if decision.writes(&state) {
            match self.world.store(&decision.state, &version).await? {
                Stored::Written(version) => version,
                Stored::Lost => {
                    warn!(event = "lost-race", "another invocation wrote the state; this plan is dropped");
                    let mut outcome = self.outcome(&decision);
                    outcome.lost_race = true;
                    return Ok((outcome, false));
                }
            }
        } else {
            version
        };
        self.note_switch(&state, &decision);
        let done = self.act(&decision).await?;
        self.settle(&decision, done);
        let outcome = self.outcome(&decision);
        let look_again = decision.look_again || !done;
        self.leased = decision.refusals.iter().any(|refusal| matches!(refusal, Refusal::Leased { .. }));
        // Whoever has the lease writes the state: what is known of it is old at once.
        self.known = if self.leased { None } else { Some((decision.state, version)) };
        Ok((outcome, look_again))
    }

    /// Lists, probes and reads; whether the groups were read in this very round.
    async fn look(&mut self, state: &State, started: Millis) -> Result<(View, bool), Trouble> {
        if self.listing.as_ref().is_none_or(|(_, at)| started.since(*at) >= READ_AGAIN) {
            let listing = self.world.list().await;
            for failure in &listing.failures {
                error!(event = "listing-incomplete", "{failure}");
            }
            self.listing = Some((listing, started));
        }
        let Some((listing, listed_at)) = &self.listing else { unreachable!("it was just read") };
        // A first look is patient; in the hot loop a late answer costs the round, and the next one is 50 ms away.
        let deadline = if self.rounds == 1 { self.policy.probe_deadline } else { self.policy.hot_deadline };
        let enough = |so_far: &[Option<Answer>]| enough(self.policy, state, &listing.nodes, so_far);
        let (answers, read) =
            tokio::join!(self.world.probe(&listing.nodes, deadline, &enough), self.read_groups(started));
        let (groups, fresh) = match read {
            Ok(read) => read,
            Err(trouble) => {
                // What the nodes said is dropped with the round: nothing is in a row with what comes after it.
                self.memory = Memory::of(self.memory.owner.clone());
                return Err(trouble);
            }
        };
        let several = answers.iter().filter(|answer| **answer == Answer::Master).count() > 1;
        let mut observations = Vec::new();
        for (node, answer) in listing.nodes.iter().cloned().zip(answers) {
            let alive =
                if several && answer == Answer::Master { self.world.alive(&node).await } else { None };
            observations.push(Observation { node, answer, alive });
        }
        let (complete, listed_at) = (listing.complete(), *listed_at);
        if fresh {
            self.groups = Some((groups.clone(), started));
        }
        let view = View { listed_at, complete, observations, groups: groups.write, readers: groups.read };
        Ok((view, fresh))
    }

    /// Who is registered, and whether it was read just now: as long as a claim is being confirmed it is read in every round,
    /// while the nodes are asked, because the round that believes it will act on it.
    async fn read_groups(&self, started: Millis) -> Result<(Registered, bool), Trouble> {
        match &self.groups {
            Some((groups, at)) if self.memory.claim.is_none() && started.since(*at) < READ_AGAIN => {
                Ok((groups.clone(), false))
            }
            _ => Ok((self.world.groups().await?, true)),
        }
    }

    fn decide(&self, state: &State, view: &View) -> Decision {
        decide(self.world.now(), self.policy, state, &self.memory, view)
    }

    fn note_switch(&mut self, before: &State, decision: &Decision) {
        let Some(to) = decision.state.master.clone() else { return };
        if before.master.as_ref() == Some(&to) {
            return;
        }
        let decided_at = to.since;
        let detected_at = decision.memory.claim.map_or(decided_at, |(_, _, first)| first);
        let from = before.master.clone();
        let switch = Switch { from, to, detected_at, decided_at, called_at: None, settled_at: None };
        self.tally.retargets += 1;
        self.tally.detection_ms = Some(decided_at.0.saturating_sub(detected_at.0));
        if let Some(unsettled) = self.switch.replace(switch) {
            unsettled.report();
        }
    }

    /// Does what was planned; whether every call was answered well.
    async fn act(&mut self, decision: &Decision) -> Result<bool, Trouble> {
        let mut done = true;
        for action in &decision.actions {
            let lease = decision.state.lease.as_ref();
            if lease.is_none_or(|lease| self.world.now().after(LONGEST_CALL) >= lease.until) {
                // Frozen since the write, perhaps: by the end of the call another invocation may act.
                warn!(event = "lease-short", "{action} is left to a later round");
                done = false;
                break;
            }
            self.calls += 1;
            if let Action::Fence { slot, task, address, reason } = action {
                error!(event = "fence", slot, task, %address, "{reason}");
            }
            if let Err(trouble) = self.world.act(action).await {
                warn!(event = "call-failed", "{action}: {trouble}");
                if trouble.is_final() {
                    return Err(trouble);
                }
                done = false;
                if matches!(action, Action::Register { .. }) {
                    // Registrations come first, so that a group is never emptied: without this one it might be.
                    break;
                }
            }
        }
        if !decision.actions.is_empty() {
            self.groups = None;
        }
        if done {
            self.back_off = Duration::ZERO;
        } else {
            self.slow_down();
        }
        Ok(done)
    }

    fn settle(&mut self, decision: &Decision, done: bool) {
        let now = self.world.now();
        let Some(switch) = &mut self.switch else { return };
        if done && switch.called_at.is_none() {
            switch.called_at = Some(now);
        }
        if decision.verdict == Verdict::Steady && decision.actions.is_empty() {
            switch.settled_at = Some(now);
            self.tally.settled_ms = Some(now.0.saturating_sub(switch.detected_at.0));
            switch.report();
            self.switch = None;
        }
    }

    fn outcome(&self, decision: &Decision) -> Outcome {
        Outcome {
            verdict: decision.verdict,
            sentence: decision.sentence.clone(),
            rounds: self.rounds,
            calls: self.calls,
            generation: decision.state.generation,
            lost_race: false,
            tally: Tally { calls: self.calls, ..self.tally.clone() },
        }
    }
}
