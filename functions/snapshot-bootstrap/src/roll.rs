//! `Custom::RollCheck`: the conditions before the first slot of a living cluster is stopped. The slots,
//! and the functions that have the slots as parameters, depend on it in the template, so nothing has
//! changed when it refuses.

use std::time::Duration;

use aws::{Kind, Operation};
use custom_resource::{Call, Data, Failure, Outcome, Resource};
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use topology::Slot;

use crate::{
    Readiness, World,
    progress::{PAUSE, Progress},
    settled,
};

const SUFFIX: &str = "-roll";
/// How long to look: a member that was just replaced is back after some ten seconds, and
/// an election takes as long.
const LOOK_FOR: Duration = Duration::from_secs(60);

/// Refuses what a living cluster would not survive.
pub struct RollCheck<W> {
    world: W,
    core: Vec<Slot>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Properties {
    /// Number of core slots that there should be.
    core_size: String,
    /// The secret with the administrator's password, the stack's own or a given one; empty in the properties
    /// of an earlier version of the stack.
    #[serde(default)]
    admin_secret_arn: String,
    /// Whether slots are stopped while another one is away.
    #[serde(deserialize_with = "degraded")]
    roll_when_degraded: Degraded,
    /// Everything that the slots' tasks are made from: slots roll when it changes.
    #[serde(default)]
    settings: Value,
}

/// What a roll does when the cluster is not well.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Degraded {
    /// It does not begin, and it waits between slots.
    #[default]
    Waits,
    /// It goes on: the deployment may be the repair.
    GoesOn,
}

/// Reads `yes` or `no`.
pub(crate) fn degraded<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Degraded, D::Error> {
    match String::deserialize(deserializer)?.trim() {
        "yes" => Ok(Degraded::GoesOn),
        "no" | "" => Ok(Degraded::Waits),
        _ => Err(serde::de::Error::custom("it must be yes or no")),
    }
}

impl<W: World> RollCheck<W> {
    /// A check of the cluster with these slots, of which only the core's count.
    pub fn new(world: W, slots: &[Slot]) -> Self {
        let core = slots.iter().filter(|slot| slot.kind == topology::Kind::Core).cloned().collect();
        Self { world, core }
    }

    async fn check(
        &self,
        call: &Call,
        new: &Properties,
        old: Option<&Properties>,
    ) -> Result<Outcome, Failure> {
        let refused = if let Some(old) = old.filter(|old| old.core_size != new.core_size) {
            Err(resized(&old.core_size, &new.core_size))
        } else if old.is_some_and(|old| another_secret(&old.admin_secret_arn, &new.admin_secret_arn)) {
            Err(locked_out(&new.admin_secret_arn))
        } else if old.is_some_and(|old| old.settings == new.settings) {
            return Ok(done()); // no slot changes
        } else if new.roll_when_degraded == Degraded::GoesOn {
            tracing::warn!(
                event = "roll-unchecked",
                "slots are rolled without a look at the cluster: RollWhenDegraded is yes"
            );
            return Ok(done());
        } else {
            self.settled(call).await?
        };
        let refusal = match refused {
            Ok(()) => return Ok(done()),
            Err(refusal) => refusal,
        };
        // The way back to what worked is never refused; only CloudFormation knows whether this Update is one.
        let mut progress = Progress::of(call);
        match progress.rolls_back(&self.world, call).await {
            Ok(true) => {
                tracing::warn!(
                    event = "roll-back-unchecked",
                    "this is a roll-back, so that it goes on although {}",
                    refusal.why
                );
                Ok(done())
            }
            Ok(false) if refusal.is_final || call.waited() >= LOOK_FOR => Err(Failure::new(refusal.sentence)),
            Ok(false) => Ok(progress.not_yet(&refusal.why, PAUSE)),
            Err(error) if error.kind == Kind::Denied || call.waited() >= LOOK_FOR => {
                Err(Failure::new(format_args!(
                    "{}. If this was a roll-back: {error}; let the function's role ask, then continue the roll-back",
                    refusal.sentence
                )))
            }
            Err(error) => Ok(progress.not_yet(&format_args!("{} ({error})", refusal.why), PAUSE)),
        }
    }

    async fn settled(&self, call: &Call) -> Result<Result<(), Refusal>, Failure> {
        call.step("look at the core slots");
        let says = match self.world.look(&self.core.iter().collect::<Vec<_>>()).await {
            Ok(slots) => match settled(&slots) {
                Readiness::Ready => return Ok(Ok(())),
                Readiness::NotYet(says) => says,
            },
            Err(error) if error.kind == Kind::Denied => return Err(Failure::new(error)),
            Err(error) => error.to_string(),
        };
        Ok(Err(unsettled(says)))
    }
}

/// Why a deployment does not continue, unless it is a roll-back.
struct Refusal {
    /// The reason, as a clause.
    why: String,
    /// The sentence in the stack's events.
    sentence: String,
    /// Whether waiting cannot change it.
    is_final: bool,
}

fn resized(old: &str, new: &str) -> Refusal {
    Refusal {
        why: format!("CoreSize changes from {old} to {new}"),
        sentence: format!(
            "CoreSize of a living stack cannot change from {old} to {new}: its members count majorities of {old}. Nothing was \
             changed. Deploy a second stack with CoreSize {new} from a snapshot of this one, move the applications to it, and set \
             CoreSize here back to {old}"
        ),
        is_final: true,
    }
}

fn another_secret(old: &str, new: &str) -> bool {
    !old.is_empty() && old != new
}

/// Nodes whose volume has users keep their password: with another secret nothing could log in any more, and
/// every slot would still roll.
fn locked_out(new: &str) -> Refusal {
    Refusal {
        why: format!("the secret of the administrator changes to {new}"),
        sentence: format!(
            "AdminSecretArn of a living stack cannot change to {new}: its nodes have the password of the secret before. No slot was \
             stopped. Set AdminSecretArn back to what it was, and put a new password into that secret: user-creation sets it on every node"
        ),
        is_final: true,
    }
}

fn unsettled(says: String) -> Refusal {
    Refusal {
        sentence: format!(
            "no slot was stopped, because the cluster would lose its majority or its only master: {says}. Bring that back first; or, \
             if this deployment is what mends it, deploy with RollWhenDegraded=yes"
        ),
        why: says,
        is_final: false,
    }
}

fn done() -> Outcome {
    Outcome::Done(Data::new())
}

impl<W: World> Resource for RollCheck<W> {
    type Properties = Properties;
    const TYPE: &'static str = "Custom::RollCheck";

    fn validate(&self, _properties: &Properties) -> Result<(), Failure> {
        Ok(())
    }

    /// Stays the same, so that a roll-back sends an Update: CloudFormation sends none to a resource that an
    /// update has replaced, and only deletes its new id.
    fn physical_id(&self, call: &Call, _properties: &Properties) -> String {
        format!("{}{SUFFIX}", call.stack_name)
    }

    /// A new stack has no cluster yet. A stack that was created before this check existed has one.
    async fn create(&self, call: &Call, properties: &Properties) -> Result<Outcome, Failure> {
        call.step("ask CloudFormation what is done with the stack");
        match self.world.operation(&call.stack_id).await {
            Ok(Operation::Update) => self.check(call, properties, None).await,
            Ok(_) => Ok(done()),
            // A stack must not fail because of a question that a new stack does not need.
            Err(error) => {
                tracing::warn!(
                    event = "roll-unchecked",
                    "slots are made without a look at the cluster: {error}"
                );
                Ok(done())
            }
        }
    }

    async fn update(
        &self,
        call: &Call,
        properties: &Properties,
        old: Option<&Properties>,
    ) -> Result<Outcome, Failure> {
        self.check(call, properties, old).await
    }

    /// This resource made nothing.
    async fn delete(
        &self,
        _call: &Call,
        _id: &str,
        _properties: Option<&Properties>,
    ) -> Result<Outcome, Failure> {
        Ok(done())
    }

    fn owns(&self, call: &Call, physical_id: &str) -> bool {
        physical_id == format!("{}{SUFFIX}", call.stack_name)
    }

    /// A Delete is a no-op, whatever the id.
    fn needs_delete(_physical_id: &str) -> bool {
        false
    }
}
