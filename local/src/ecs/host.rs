//! The instance of a slot, taken away and given back.

use std::{collections::BTreeSet, time::SystemTime};

use tracing::info;

use super::Ecs;

impl Ecs {
    /// Takes the instance of `service` away, and with it all that could take its place: the slot's task ends with it, and no new one
    /// is placed until [`Ecs::give_host`].
    pub fn take_host(&self, service: &str) {
        info!(service, "a slot has no host");
        self.running().without_host.insert(service.to_owned());
        self.terminate_instance(service);
    }

    /// Gives the slot an instance again. It gets the slot's volume.
    pub fn give_host(&self, service: &str) {
        if self.running().without_host.remove(service) {
            info!(service, "a slot has a host again");
        }
    }

    /// The services whose slot has no instance.
    pub fn without_host(&self) -> BTreeSet<String> {
        self.running().without_host.clone()
    }

    /// Whether the task of `service` can be placed; ECS tells of it if not.
    pub(super) fn can_be_placed(&self, service: &str) -> bool {
        let mut running = self.running();
        let placed = !running.without_host.contains(service);
        if !placed {
            running.told.has_no_host(service, SystemTime::now());
        }
        placed
    }
}
