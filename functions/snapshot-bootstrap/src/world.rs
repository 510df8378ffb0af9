//! What `Custom::ClusterReady` needs from outside: the seam that tests put a cluster in memory behind.

use std::net::IpAddr;

use aws::Error;
use backups::Counts;

use crate::Slot;

/// The nodes.
pub trait World: Send + Sync + 'static {
    /// Lists the tasks of `services` and asks each for its role, all at once; one slot or more for each service, in order.
    ///
    /// # Errors
    /// When a service could not be listed: then a task that is missing would prove nothing.
    fn look(&self, services: &[&str]) -> impl Future<Output = Result<Vec<Slot>, Error>> + Send;
    /// Counts what is in the graph of the node at `master`.
    fn count(&self, master: IpAddr) -> impl Future<Output = Result<Counts, Uncounted>> + Send;
}

/// Why nothing was counted: a clause.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct Uncounted {
    /// Why.
    pub reason: String,
    /// It refuses the password. Three wrong ones lock the user out for five seconds, so it is not asked again sooner.
    pub unauthorized: bool,
}
