//! One tick: look, decide, write, act.

use serde::Serialize;
use tracing::info;

use crate::{
    Decision, Memory, Policy, Tally, Trouble, World,
    act::Tick,
    decide::decide,
    look::{look, own},
    runs::Runs,
};

/// The answer of a tick.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Outcome {
    pub sentence: String,
    /// The name of the refusal, if something is due and not begun.
    pub refusal: Option<String>,
    /// The folder of the run that is under way.
    pub run: Option<String>,
    /// A concurrent tick wrote the state first, and this one's plan was dropped.
    pub lost_race: bool,
}

/// What an invocation comes to.
#[derive(Debug)]
pub struct Ended {
    /// An error when something could not be read or written. The next tick does what was not done.
    pub outcome: Result<Outcome, Trouble>,
    /// The metrics; `None` when the catalogue is not known.
    pub tally: Option<Tally>,
}

/// Looks, decides, writes the state if it changed, and acts.
pub async fn tick<W: World>(world: &W, policy: &Policy, memory: &Memory) -> Ended {
    let mut tick = Tick { world, tally: None };
    let outcome = tick.run(policy, memory).await;
    Ended { outcome, tally: tick.tally }
}

/// What a tick would do now. Nothing is written, claimed or done.
///
/// # Errors
/// When something cannot be read.
pub async fn explain<W: World>(world: &W, policy: &Policy, memory: &Memory) -> Result<Decision, Trouble> {
    let (runs, _) = world.load().await?;
    let runs = runs.unwrap_or_else(|| Runs::new(world.now()));
    let looked = look(world, policy, memory, &runs, world.owner().await?).await?;
    Ok(decide(world.now(), policy, &runs, &looked.catalogue, &looked.view))
}

impl<W: World> Tick<'_, W> {
    async fn run(&mut self, policy: &Policy, memory: &Memory) -> Result<Outcome, Trouble> {
        let (found, version) = self.world.load().await?;
        let is_first = found.is_none();
        let runs = found.unwrap_or_else(|| Runs::new(self.world.now()));
        let owner = own(self.world, policy).await?;
        let looked = look(self.world, policy, memory, &runs, Some(owner)).await?;
        let decision = decide(self.world.now(), policy, &runs, &looked.catalogue, &looked.view);
        self.world.decided(&decision);
        let mut outcome = Outcome {
            sentence: decision.sentence.clone(),
            refusal: decision.refusal.as_ref().map(|refusal| refusal.name().to_owned()),
            run: decision.runs.current.as_ref().map(|run| run.order.folder.to_string()),
            lost_race: false,
        };
        let mut known = (decision.runs.clone(), version);
        if is_first || decision.runs != runs {
            let Some(version) = self.write(&decision.runs, &known.1).await? else {
                // What ended is counted and logged by the tick that wrote it.
                self.tally = Some(Tally::of(decision.tally.freshness));
                outcome.lost_race = true;
                return Ok(outcome);
            };
            known.1 = version;
        }
        self.tally = Some(decision.tally);
        info!(event = "tick", "{}", decision.sentence);
        decision.news.iter().for_each(|news| news.log());
        let known = self.act(&decision.actions, known).await?;
        outcome.run = known.current.map(|run| run.order.folder.to_string());
        Ok(outcome)
    }
}
