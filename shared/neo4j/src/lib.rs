//! The wire to Neo4j: who is the master, and who may log in.
//!
//! ```text
//! nodes --probe_all: all at once, one deadline each--> status + body --dialect table--> topology::Answer
//!
//! Instance --3.x: procedures over HTTP, logins over Bolt 1----> Account, or why not (Denied)
//!          `-4.4 and later: neo4rs on `system` (feature `bolt`)-'
//! ```

mod account;
mod bolt_1;
mod credentials;
mod denied;
mod dialect;
mod instance;
mod members;
mod packstream;
mod probe;
mod transactions;
mod users_3;
#[cfg(feature = "bolt")]
mod users_4;
mod wire;

pub use account::{Account, Change, NotAName, NotARole, Role, UserName};
pub use credentials::{ADMINISTRATOR, Credentials, carried_by_http};
pub use denied::Denied;
pub use dialect::{Administration, Dialect, NotADialect, Release, classify};
pub use instance::Instance;
pub use members::{Status, Unauthorized, alive_members, members, status};
pub use probe::{probe, probe_all};
pub use transactions::{Rows, commit};
pub use wire::get;
