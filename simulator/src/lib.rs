//! The election against a simulated world: the real `decide` and the real executor, a virtual clock, and
//! everything that can go wrong, chosen by a seed. The backup trigger has a world of its own, in [`trigger`].
//!
//! ```text
//! seed --> faults --> cluster (who is master, who is frozen, who is cut off)
//!                        |  probes                    calls
//!                        v                              v
//!      invocations: master_election::run  -->  cloud (balancer, tasks, state object)
//!                                                       |
//!                                                  invariants: what must never happen
//! ```
//!
//! A run is a function of its seed: the same seed is the same history. Time advances
//! only when all futures wait.

mod bounds;
mod calls;
mod chance;
mod check;
mod cloud;
mod cluster;
mod counts;
mod faults;
mod history;
mod member;
mod probe;
mod report;
mod rest;
mod schedule;
mod setting;
mod tasks;
pub mod trigger;
mod truth;
mod world;
#[cfg(test)]
mod wrong;

pub use chance::Chance;
pub use faults::Fault;
pub use history::{Broken, History, run, shrink, tell};
pub use report::Report;
