//! The wire to Neo4j: who is the master.
//!
//! ```text
//! nodes --probe_all: all at once, one deadline each--> status + body --dialect table--> topology::Answer
//! ```

mod dialect;
mod members;
mod probe;
mod wire;

pub use dialect::{Dialect, NotADialect, Release, classify};
pub use members::{Status, alive_members, members};
pub use probe::{probe, probe_all};
pub use wire::get;
