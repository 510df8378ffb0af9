//! What `Custom::ClusterReady` needs from its environment: the seam at which tests have a cluster in memory.

use std::{net::IpAddr, sync::Arc};

use aws::{Error, Operation, Service};
use backups::Counts;

use topology::Slot;

use crate::Sighting;

/// ECS, CloudFormation and the nodes.
pub trait World: Send + Sync + 'static {
    /// Lists the tasks of `slots` and asks each for its role, all at once; one or more
    /// sightings of each slot, in order.
    ///
    /// # Errors
    /// When a service could not be listed: then a missing task would prove nothing.
    fn look(&self, slots: &[&Slot]) -> impl Future<Output = Result<Vec<Sighting>, Error>> + Send;
    /// What ECS itself reports about `services`: its events, and tasks that ended by themselves.
    fn services(&self, services: &[&str]) -> impl Future<Output = Result<Vec<Service>, Error>> + Send;
    /// What CloudFormation is doing with the stack `id`.
    fn operation(&self, id: &str) -> impl Future<Output = Result<Operation, Error>> + Send;
    /// Counts nodes and relationships in the graph of the node at `master`.
    fn count(&self, master: IpAddr) -> impl Future<Output = Result<Counts, Uncounted>> + Send;
}

/// Why nothing was counted, as a clause.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct Uncounted {
    pub reason: String,
    /// Whether the password was refused. Three wrong ones lock the user out for five seconds, so
    /// the next try must be later.
    pub unauthorized: bool,
}

impl<W: World> World for Arc<W> {
    async fn look(&self, slots: &[&Slot]) -> Result<Vec<Sighting>, Error> {
        (**self).look(slots).await
    }

    async fn services(&self, services: &[&str]) -> Result<Vec<Service>, Error> {
        (**self).services(services).await
    }

    async fn operation(&self, id: &str) -> Result<Operation, Error> {
        (**self).operation(id).await
    }

    async fn count(&self, master: IpAddr) -> Result<Counts, Uncounted> {
        (**self).count(master).await
    }
}
