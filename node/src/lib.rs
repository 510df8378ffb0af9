//! The program beside each Neo4j, by what it is asked to do.
//!
//! ```text
//! environment --> settings ------------+
//! agent, ECS  --> place: address, slot +--> conf: neo4j.conf, a pure function
//! ECS         --> addresses -----------+      |-> run:   writes it, and is PID 1 beside Neo4j
//!                                             `-> print: shows it, and where each line comes from
//! run's status port -------------------------------------> health: one sentence
//! Neo4j's log files -------------------------------------> follow: their lines
//!
//! in tasks of their own:    ORDER --> backup:  one copy of a slave's store, checked, to the bucket of backups
//! on an operator's machine: bucket --> backups: which there are, and what they are worth
//! into a data directory:    bucket --> restore: one snapshot, once; what both read of a store's files is in store
//! ```

mod addresses;
mod backup;
mod backups;
mod clock;
mod conf;
mod disks;
mod follow;
mod health;
mod metadata;
mod overrides;
mod place;
mod print;
mod progress;
mod restore;
mod retention;
mod run;
mod settings;
mod store;
mod tree;
mod verb;

pub use backup::Settings as BackupSettings;
pub use conf::{Conf, NotASetting, Origin, conf};
pub use disks::{Disks, Volume};
pub use settings::{Error, Replication, Settings, check};
pub use verb::main;
