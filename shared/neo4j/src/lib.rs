//! The wire to Neo4j: which node is the master, and which users may log in.
//!
//! ```text
//! node programs --probe_all: all at once, one patience each--> role (or Bolt's hello) --> topology::Answer
//! one Neo4j itself --probe: HTTP, ask_bolt: Bolt 1--> status and body, or rows --dialect table--> topology::Answer
//!
//! Instance --3.x: procedures over HTTP, logins over Bolt 1----> Account, or why not (Denied)
//!          `-4.4 and later: neo4rs on `system` (feature `bolt`)-'
//! ```

mod account;
mod bolt_1;
mod bolt_role;
mod credentials;
mod denied;
mod dialect;
mod hello;
mod instance;
mod members;
mod packstream;
pub mod phase;
pub mod ports;
mod probe;
mod role;
mod transactions;
mod users_3;
#[cfg(feature = "bolt")]
mod users_4;
mod wire;

pub use account::{Account, Change, NotAName, NotARole, Role, UserName};
pub use bolt_role::ask_bolt;
pub use credentials::{ADMINISTRATOR, Credentials, carried_by_http};
pub use denied::Denied;
pub use dialect::{Administration, Dialect, NotADialect, Release, classify};
pub use hello::{Hello, hello};
pub use instance::Instance;
pub use members::{
    Members, Restore, STATUS_BUDGET, STATUS_PATIENCE, Status, Unauthorized, alive_members, members, status,
};
pub use probe::{Question, probe, probe_all};
pub use role::{LONGEST_ROLE, READ_PATH, ROLE_BUDGET, ROLE_PATH, read_response, role, role_response};
pub use transactions::{Rows, commit};
pub use wire::get;
