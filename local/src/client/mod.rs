//! Clients of the database, as an application would write them: on purpose not the product's own, so that a fault of that one shows.

pub mod bolt;
mod query;
mod secrets;
mod users;
mod writer;

pub use query::{Error, counts, cypher};
pub use secrets::User;
pub use users::Users;
pub use writer::{Write, Writer, forget, lost, outage, stored};
