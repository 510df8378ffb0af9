//! The loop: observe, decide, write, act; again while something is under way.

use std::time::Duration;

use serde::Serialize;
use topology::{Decision, Group, Memory, Millis, Observation, Policy, State, Verdict, View, decide};
use tracing::{error, warn};

use crate::{Listing, Stored, Switch, Trouble, Version, World, events::Voice};

/// Tasks and groups are read again after so long within one hot loop; probes go every round.
const READ_AGAIN: Duration = Duration::from_secs(5);
/// After a call that failed: doubled each time, so that a throttled account is left in peace.
const FIRST_BACK_OFF: Duration = Duration::from_millis(200);
const LONGEST_BACK_OFF: Duration = Duration::from_secs(5);

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
}

/// Runs rounds until nothing is under way or `until` is near.
///
/// # Errors
/// When the state can not be read or written, or AWS denies a call. What was not done is done by the next sweep.
pub async fn run<W: World>(world: &W, policy: &Policy, until: Millis) -> Result<Outcome, Trouble> {
    let mut invocation = Invocation {
        world,
        policy,
        known: None,
        memory: Memory::default(),
        listing: None,
        groups: None,
        voice: Voice::default(),
        switch: None,
        back_off: Duration::ZERO,
        rounds: 0,
        calls: 0,
    };
    let ended = invocation.rounds_until(until).await;
    if let Some(switch) = invocation.switch {
        switch.report();
    }
    ended
}

struct Invocation<'a, W> {
    world: &'a W,
    policy: &'a Policy,
    /// The state and its version; none before it is read, and after a write that may have got through or not.
    known: Option<(State, Version)>,
    memory: Memory,
    listing: Option<(Listing, Millis)>,
    groups: Option<(Vec<Group>, Millis)>,
    voice: Voice,
    /// A switch of this invocation that has not settled.
    switch: Option<Switch>,
    back_off: Duration,
    rounds: u32,
    calls: u32,
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
            let pause = self.policy.pause.max(self.back_off);
            let next = self.world.now().0
                + u64::try_from((pause + self.policy.round).as_millis()).unwrap_or(u64::MAX);
            if !look_again || next > until.0 {
                return outcome;
            }
            self.world.pause(pause).await;
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
        let (view, fresh) = self.look(started).await?;
        let mut decision = self.decide(&state, &view);
        if !decision.actions.is_empty() && !fresh {
            // The plan is made on what is registered now, not some seconds ago.
            self.groups = None;
            let view = View { groups: self.read_groups(started).await?, ..view };
            decision = self.decide(&state, &view);
        }
        self.voice.tell(&decision, decision.state.generation);
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
        self.known = Some((decision.state, version));
        self.memory = decision.memory;
        Ok((outcome, look_again))
    }

    /// Lists, probes and reads; whether the groups were read in this very round.
    async fn look(&mut self, started: Millis) -> Result<(View, bool), Trouble> {
        if self.listing.as_ref().is_none_or(|(_, at)| started.since(*at) >= READ_AGAIN) {
            let listing = self.world.list().await;
            for failure in &listing.failures {
                error!(event = "listing-incomplete", "{failure}");
            }
            self.listing = Some((listing, started));
        }
        let fresh = self.groups.as_ref().is_none_or(|(_, at)| started.since(*at) >= READ_AGAIN);
        let groups = self.read_groups(started).await?;
        let Some((listing, listed_at)) = &self.listing else { unreachable!("it was just read") };
        // A first look is patient; in the hot loop a late answer costs the round, and the next one is 50 ms away.
        let deadline = if self.rounds == 1 { self.policy.probe_deadline } else { self.policy.hot_deadline };
        let answers = self.world.probe(&listing.nodes, deadline).await;
        let observations = listing.nodes.iter().cloned().zip(answers);
        let observations = observations.map(|(node, answer)| Observation { node, answer }).collect();
        let view = View { listed_at: *listed_at, complete: listing.complete(), observations, groups };
        Ok((view, fresh))
    }

    async fn read_groups(&mut self, started: Millis) -> Result<Vec<Group>, Trouble> {
        match &self.groups {
            Some((groups, at)) if started.since(*at) < READ_AGAIN => Ok(groups.clone()),
            _ => {
                let groups = self.world.groups().await?;
                self.groups = Some((groups.clone(), started));
                Ok(groups)
            }
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
        if let Some(unsettled) = self.switch.replace(switch) {
            unsettled.report();
        }
    }

    /// Does what was planned; whether every call was answered well.
    async fn act(&mut self, decision: &Decision) -> Result<bool, Trouble> {
        let mut done = true;
        for action in &decision.actions {
            self.calls += 1;
            if let Err(trouble) = self.world.act(action).await {
                warn!(event = "call-failed", "{action}: {trouble}");
                if trouble.is_final() {
                    return Err(trouble);
                }
                done = false;
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
        }
    }
}
