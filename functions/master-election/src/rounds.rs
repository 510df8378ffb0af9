//! The loop: observe, decide, write, act; again while something is under way.

use std::time::Duration;

use serde::Serialize;
use topology::{Decision, Memory, Next, Policy, Refusal, State, Verdict, decide, give_way};
use tracing::warn;

use crate::{
    Switch, Tally, Trouble, World,
    act::Released,
    invocation::{Invocation, Invoked},
    look::Eyes,
};

/// The wait after a call that failed; doubled each time, so that a throttled account can recover.
const FIRST_BACK_OFF: Duration = Duration::from_millis(200);
const LONGEST_BACK_OFF: Duration = Duration::from_secs(5);
/// The longest such wait while the silence of a node is listened to: a round adds no more to a silence than
/// it can have listened, and a group that fails must not keep a frozen node from being fenced.
const BACK_OFF_WHILE_SILENT: Duration = Duration::from_millis(900);
/// How often an invocation that waits for the lease looks whether it is free.
const WHILE_LEASED: Duration = Duration::from_secs(1);
/// A round that is not over this long after the invocation's time is given up: what is
/// left is for the metrics.
const OVERTIME: Duration = Duration::from_secs(2);

/// The answer of an invocation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Outcome {
    pub verdict: Verdict,
    pub sentence: String,
    /// Number of rounds; zero when it gave way at once.
    pub rounds: u32,
    /// Number of calls on target groups and tasks, failed ones among them.
    pub calls: u32,
    pub generation: u64,
    /// In the last round a concurrent invocation wrote the state, and this one's plan was dropped.
    pub lost_race: bool,
}

#[derive(Debug)]
pub struct Ended {
    /// An error when the state could not be read or written in the last round, when AWS denied a call in any
    /// round, or when the time was over in the middle of a round. The next sweep does what was not done.
    pub outcome: Result<Outcome, Trouble>,
    /// The metrics, whatever the outcome; `None` without a round, because nothing was
    /// seen that could be counted.
    pub tally: Option<Tally>,
}

/// Runs rounds until nothing is under way or the time is over.
pub async fn run<W: World>(world: &W, policy: &Policy, invoked: Invoked<'_>) -> Ended {
    let mut invocation = Invocation::new(world, policy, invoked);
    let (mut outcome, mut looked_after, mut kept) = (invocation.rounds().await, false, false);
    // A bell that found the lease held has ended, and counts on this invocation: only a round that begins
    // after the lease was given back sees its news. A round that writes takes the lease again, and so must be
    // followed by another one.
    loop {
        match invocation.release().await {
            Released::GaveBack => {}
            // Once more, because the lease may have been given back all the same; only once, because with S3
            // down it would go on for ever.
            Released::Kept if !std::mem::replace(&mut kept, true) => {}
            Released::Kept | Released::HadNone => break,
        }
        if world.now() >= invoked.until {
            break;
        }
        if invocation.unfinished && std::mem::replace(&mut looked_after, true) {
            break; // the rest would be planned and written again, for ever
        }
        invocation.forget_what_was_seen();
        outcome = invocation.rounds().await;
    }
    if let Some(switch) = invocation.switch {
        switch.report();
    }
    let outcome = match invocation.denied {
        Some(denied) => Err(denied),
        None => outcome,
    };
    let gave_way = outcome.is_ok() && invocation.rounds == 0;
    let tally = Tally { calls: invocation.calls, ..invocation.tally };
    Ended { outcome, tally: (!gave_way).then_some(tally) }
}

/// What a sweep would find and do now, which is neither written nor executed. A node that is late is asked
/// once more, with Bolt beside it, so that the answer shows what follows from a silence.
///
/// # Errors
/// When the state cannot be read.
pub async fn explain<W: World>(world: &W, policy: &Policy) -> Result<Decision, Trouble> {
    let (state, _) = world.load().await?;
    let (mut eyes, mut memory) = (Eyes::new(true), Memory::of("explain"));
    loop {
        let looked = eyes.look(world, policy, &state, &memory).await;
        let decision = decide(world.now(), policy, &state, &memory, &looked.view);
        if decision.memory.unanswered.is_subset(&memory.unanswered) {
            return Ok(decision);
        }
        memory = decision.memory;
    }
}

impl<W: World> Invocation<'_, W> {
    async fn rounds(&mut self) -> Result<Outcome, Trouble> {
        loop {
            let left = self.until.after(OVERTIME).since(self.world.now());
            let world = self.world;
            let round = tokio::select! {
                biased;
                round = self.round() => round,
                () = world.sleep(left) => Err(Trouble::OutOfTime),
            };
            let (outcome, look_again) = match round {
                Ok((outcome, look_again)) => (Ok(outcome), look_again),
                Err(trouble) => {
                    warn!(event = "round-failed", "{trouble}");
                    self.known = None;
                    self.eyes.forget_groups();
                    self.slow_down();
                    let again = !trouble.is_final();
                    (Err(trouble), again)
                }
            };
            let wait = if self.leased { WHILE_LEASED } else { self.policy.pause };
            let silent = !self.memory.silent.is_empty();
            let back_off = if silent { self.back_off.min(BACK_OFF_WHILE_SILENT) } else { self.back_off };
            let pause = wait.max(back_off);
            if !look_again || self.world.now().after(pause) > self.until {
                self.unfinished |= look_again || outcome.is_err();
                return outcome;
            }
            self.world.sleep(pause).await;
        }
    }

    fn slow_down(&mut self) {
        self.back_off = (self.back_off * 2).clamp(FIRST_BACK_OFF, LONGEST_BACK_OFF);
    }

    /// One round: what it found, and whether to look again.
    async fn round(&mut self) -> Result<(Outcome, bool), Trouble> {
        let (state, version) = match self.known.take() {
            Some(known) => known,
            None => self.world.load().await?,
        };
        if let Some(decision) = self.gives_way(&state) {
            self.voice.tell(&decision, state.generation);
            self.world.decided(&decision);
            return Ok((self.outcome(&decision), false));
        }
        self.rounds += 1;
        let mut looked = self.eyes.look(self.world, self.policy, &state, &self.memory).await;
        let mut decision = self.decide(&state, &looked.view);
        // A cluster that has changed needs the groups after all; and a plan must start from what is
        // registered now, not some seconds ago.
        let changed = decision.verdict != Verdict::Steady
            || decision.writes(&state)
            || decision.next == Next::LookAgain;
        if (looked.skipped && changed) || (!looked.fresh && !decision.actions.is_empty()) {
            looked = self.eyes.read_again(self.world, looked).await;
            decision = self.decide(&state, &looked.view);
        }
        // What was seen stays in the memory, even if the rest of the round fails.
        self.memory = decision.memory.clone();
        self.voice.tell(&decision, decision.state.generation);
        self.tally.round(&decision);
        self.world.decided(&decision);
        let version = if decision.writes(&state) {
            let Some(version) = self.write(&decision.state, &version).await? else {
                let mut outcome = self.outcome(&decision);
                outcome.lost_race = true;
                // The newer state may be a pause, or of an invocation that has ended:
                // this one goes on with it.
                return Ok((outcome, true));
            };
            version
        } else {
            version
        };
        self.note_switch(&state, &decision);
        let groups_read = looked.skipped || (looked.view.read && looked.view.readers_read);
        let done = self.act(&decision).await && groups_read;
        let repeated = self.last_plan.is_repeated_by(&decision.actions);
        if done && !repeated {
            self.back_off = Duration::ZERO;
        } else {
            self.slow_down();
        }
        self.settle(&decision, done);
        let outcome = self.outcome(&decision);
        let look_again = self.goes_on(&decision, done, looked.denied.is_some());
        self.unfinished = !look_again && (decision.next == Next::LookAgain || !decision.actions.is_empty());
        if let Some(denied) = looked.denied {
            self.denied = Some(denied.into());
        }
        self.leased = decision.refusals.iter().any(|refusal| matches!(refusal, Refusal::Leased { .. }));
        // Another invocation holds the lease and writes the state, so our copy is
        // stale: reload it next round.
        self.known = if self.leased { None } else { Some((decision.state, version)) };
        Ok((outcome, look_again))
    }

    fn gives_way(&self, state: &State) -> Option<Decision> {
        give_way(self.world.now(), state, &self.memory).filter(|_| self.rung)
    }

    /// Whether to look again. A call that failed is retried, a denied one is not: with a known master and
    /// nothing else to do the invocation ends.
    fn goes_on(&self, decision: &Decision, done: bool, unreadable: bool) -> bool {
        let refused = !decision.actions.is_empty() && decision.actions.iter().all(|act| self.is_refused(act));
        if decision.verdict == Verdict::Steady && (refused || unreadable) {
            return decision.actions.iter().any(|act| !self.is_refused(act));
        }
        decision.next == Next::LookAgain || !done
    }

    fn decide(&self, state: &State, view: &topology::View) -> Decision {
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
        }
    }
}
