//! The backup trigger against a simulated world: the real tick, a clock with hours, days and their jumps, and
//! everything that can go wrong, chosen by a seed.
//!
//! ```text
//! seed --> faults --> nodes (roles, lags, rolls), workers (end, fail, vanish, hang), bucket, weather
//!                        |  looks                    calls
//!                        v                             v
//!      invocations: backup_trigger::tick  -->  state object, RunTask, StopTask, tags
//!                                                      |
//!                                  check: what must never happen; bounds: by when
//! ```
//!
//! An invocation is judged by what was true as long as it looked ([`look`]): what changes between a look and a
//! call, no rule can see.

mod bounds;
mod bucket;
mod check;
mod ecs;
mod faults;
mod history;
mod look;
mod member;
mod nodes;
mod report;
mod schedule;
mod setting;
mod sim;
mod weather;
mod world;
#[cfg(test)]
mod wrong;

pub use faults::Fault;
pub use history::{History, run, shrink, tell};
pub use report::Report;
