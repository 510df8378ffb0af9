//! When the next slot of a roll may be stopped, and when waiting for this one cannot help.

use std::time::{Duration, SystemTime};

use custom_resource::Call;

use crate::{
    ClusterReady, Expected, Readiness, Sighting, Standing, Storage, World, hopeless::hopeless,
    progress::Progress, ready, ready_resource::Properties, roll::Degraded,
};

/// How often ECS itself is asked about a slot that does not come: that takes three more calls, and
/// its answers change little.
const ASK_ECS: Duration = Duration::from_secs(10);

impl<W: World, S: Storage> ClusterReady<W, S> {
    /// The next slot is stopped as soon as this one is ready, so the whole cluster must be well. This is not
    /// required when the deployment is the repair, nor in a roll-back, which is the way back to what worked.
    pub(crate) async fn slot_rejoined(
        &self,
        call: &Call,
        properties: &Properties,
        progress: &mut Progress,
        slots: &[Sighting],
    ) -> Readiness {
        let Readiness::NotYet(says) = ready(&self.slot(properties, Standing::AmongAll), slots) else {
            return Readiness::Ready;
        };
        let enough =
            if progress.has_no_master(call.now) { Standing::WaitsForPeers } else { Standing::Rejoined };
        let own = self.slot(properties, enough);
        let is_there = ready(&own, slots) == Readiness::Ready;
        if is_there && properties.roll_when_degraded == Degraded::GoesOn {
            return Readiness::Ready;
        }
        // The slot is ready, or it is ready with another task definition than the wanted one.
        if !is_there && ready(&running(&own, None), slots) != Readiness::Ready {
            return Readiness::NotYet(says);
        }
        match progress.rolls_back(&self.world, call).await {
            Ok(false) => Readiness::NotYet(says),
            Ok(true) if is_there => Readiness::Ready,
            // The slot's stack went back to its earlier settings, which may be a new revision with the same
            // content: what counts is the service's present definition.
            Ok(true) => match self.world.services(&[self.name(properties)]).await {
                Ok(said) => {
                    let asked = said.into_iter().next().map(|service| service.definition);
                    match asked.map(|definition| ready(&running(&own, Some(definition)), slots)) {
                        Some(Readiness::Ready) => Readiness::Ready,
                        _ => Readiness::NotYet(says),
                    }
                }
                Err(error) => Readiness::NotYet(format!("{says} ({error})")),
            },
            Err(error) => {
                Readiness::NotYet(format!("{says} (and {error}, so that a roll-back would not be known)"))
            }
        }
    }

    /// Why waiting cannot help, if ECS reports a reason.
    pub(crate) async fn hopeless(
        &self,
        call: &Call,
        properties: &Properties,
        slots: &[Sighting],
        progress: &mut Progress,
    ) -> Option<String> {
        if call.now.as_secs().saturating_sub(progress.asked_ecs) < ASK_ECS.as_secs() {
            return None;
        }
        progress.asked_ecs = call.now.as_secs();
        call.step("ask ECS about the services");
        let names = match properties.slot {
            Some(_) => vec![self.name(properties)],
            None => self.looked_at(properties, true).into_iter().map(|slot| slot.name.as_str()).collect(),
        };
        let since_1970 = |time: Duration| SystemTime::UNIX_EPOCH + time;
        match self.world.services(&names).await {
            Ok(said) => hopeless(&said, slots, since_1970(call.began), since_1970(call.now)),
            Err(error) => {
                tracing::warn!(event = "services-not-described", "{error}");
                None
            }
        }
    }
}

/// The same expectation of a slot that runs another definition; `None` for any.
fn running(expected: &Expected, definition: Option<String>) -> Expected {
    match expected.clone() {
        Expected::Slot { name, standing, .. } => Expected::Slot { name, standing, definition },
        whole @ (Expected::Cluster { .. } | Expected::Restored(_)) => whole,
    }
}
