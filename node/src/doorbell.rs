//! Rings EventBridge when the own role changes, so that master-election looks now and not at its next sweep. A bell that
//! is lost costs the time until that sweep, nothing else.

use std::time::Duration;

use tokio::sync::mpsc;
use tracing::{debug, warn};

use crate::{Settings, watch::Bell};

/// Bells of a flapping node wait here; more are dropped, because one look is enough for all of them.
const WAITING: usize = 8;
/// Between two bells of one node.
const APART: Duration = Duration::from_millis(100);

/// A doorbell; clones ring the same one.
#[derive(Clone, Debug)]
pub struct Doorbell(Option<mpsc::Sender<Bell>>);

impl Doorbell {
    /// Rings the event bus that `settings` name; silent without one.
    pub async fn new(settings: &Settings) -> Self {
        let Some(bus) = settings.event_bus.clone() else { return Self(None) };
        let bell = aws::Bell::new(&aws::sdk_config().await, bus, settings.stack.clone());
        let slot =
            settings.core_services.get(settings.server_id.saturating_sub(1)).cloned().unwrap_or_default();
        let (sender, mut bells) = mpsc::channel::<Bell>(WAITING);
        tokio::spawn(async move {
            while let Some(rung) = bells.recv().await {
                match bell.ring(rung.name(), &slot).await {
                    Ok(()) => debug!(bell = rung.name(), "rung"),
                    Err(error) => warn!(event = "doorbell-failed", "{error}; the next sweep looks anyway"),
                }
                tokio::time::sleep(APART).await;
            }
        });
        Self(Some(sender))
    }

    /// Rings, without waiting for anybody.
    pub fn ring(&self, bell: Bell) {
        if let Some(sender) = &self.0 {
            let _one_look_is_enough_for_all = sender.try_send(bell);
        }
    }
}
