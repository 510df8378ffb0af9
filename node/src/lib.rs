//! The program beside each Neo4j, by what it is asked to do.
//!
//! ```text
//! environment --> settings ------------+
//! agent, ECS  --> place: address, slot +--> conf: neo4j.conf, a pure function
//! ECS         --> addresses -----------+      |-> run:   writes it, and is PID 1 beside Neo4j
//!                                             `-> print: shows it, and where each line comes from
//! run's status port -------------------------------------> health: one sentence
//! Neo4j's log files -------------------------------------> follow: their lines
//! ```

mod addresses;
mod conf;
mod disks;
mod follow;
mod health;
mod metadata;
mod overrides;
mod place;
mod print;
mod retention;
mod run;
mod settings;
mod verb;

pub use conf::{Conf, NotASetting, Origin, conf};
pub use disks::{Disks, Volume};
pub use settings::{Error, Replication, Settings, check};
pub use verb::main;
