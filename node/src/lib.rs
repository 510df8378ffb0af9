//! The program beside each Neo4j, by what it is asked to do.
//!
//! ```text
//! environment --> settings ------------+
//! agent, ECS  --> place: address, slot +--> conf: neo4j.conf, a pure function
//! ECS         --> addresses -----------+      |-> run:   writes it, and is PID 1 beside Neo4j
//!                                             `-> print: shows it, and where each line comes from
//! ```

mod addresses;
mod conf;
mod metadata;
mod overrides;
mod place;
mod print;
mod run;
mod settings;
mod verb;

pub use conf::{Conf, NotASetting, Origin, Volume, conf};
pub use settings::{Error, Replication, Settings, check};
pub use verb::main;
