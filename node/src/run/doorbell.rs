//! Rings EventBridge when the own role changes, so that master-election looks now and not at its next sweep. A bell that
//! is lost costs the time until that sweep, nothing else. A branched store is the exception: its bell is rung until it is
//! accepted, and again while there is one.

use std::{sync::Arc, time::Duration};

use tokio::sync::mpsc;
use topology::Slot;
use tracing::{debug, warn};

use super::watch::Bell;
use crate::Settings;

/// Bells of a flapping node wait here; more are dropped, because one look is enough for all of them.
const WAITING: usize = 8;
/// Between two bells of one node.
const APART: Duration = Duration::from_millis(100);
/// The `detail-type` of a branched store. It is no role, so it is no [`Bell`].
const BRANCHED: &str = "branched-store";

/// A doorbell; clones ring the same one.
#[derive(Clone, Debug)]
pub struct Doorbell(Option<Rope>);

#[derive(Clone, Debug)]
struct Rope {
    roles: mpsc::Sender<Bell>,
    bell: Arc<aws::Bell>,
    slot: String,
}

impl Doorbell {
    /// Rings the event bus that `settings` name, for `slot`; silent without one.
    pub async fn new(settings: &Settings, slot: &Slot) -> Self {
        let Some(bus) = settings.event_bus.clone() else { return Self(None) };
        let bell = aws::Bell::new(&aws::sdk_config().await, bus, settings.cluster.stack.clone());
        let (roles, mut bells) = mpsc::channel::<Bell>(WAITING);
        let rope = Rope { roles, bell: Arc::new(bell), slot: slot.name.clone() };
        let (bell, slot) = (Arc::clone(&rope.bell), rope.slot.clone());
        tokio::spawn(async move {
            while let Some(rung) = bells.recv().await {
                match bell.ring(rung.name(), &slot).await {
                    Ok(()) => debug!(bell = rung.name(), "rung"),
                    Err(error) => warn!(event = "doorbell-failed", "{error}; the next sweep looks anyway"),
                }
                tokio::time::sleep(APART).await;
            }
        });
        Self(Some(rope))
    }

    /// Rings, without waiting for anybody.
    pub fn ring(&self, bell: Bell) {
        if let Some(rope) = &self.0 {
            let _one_look_is_enough_for_all = rope.roles.try_send(bell);
        }
    }

    /// Rings for a branched store; whether it was heard, or there is no bus to hear it.
    pub async fn branched(&self) -> bool {
        let Some(rope) = &self.0 else { return true };
        match rope.bell.ring(BRANCHED, &rope.slot).await {
            Ok(()) => true,
            Err(error) => {
                warn!(event = "doorbell-failed", "{error}; the bell for the branched store is rung again");
                false
            }
        }
    }
}
