//! What the control plane knows of a cluster and what follows from it: data in, data out.
//!
//! ```text
//! now + Policy + State + Memory + View --decide--> Decision { verdict, actions, refusals, sentence, state, memory }
//! ```
//!
//! Nothing here does I/O, reads a clock or an environment variable, or is async.

#![warn(missing_docs)]

mod action;
mod answer;
mod decide;
mod decision;
mod enough;
mod fence;
mod give_way;
mod groups;
mod memory;
mod policy;
mod readers;
mod sentence;
mod slot;
mod state;
mod time;
mod verdict;
mod view;

pub use action::Action;
pub use answer::{Answer, NotKnown};
pub use decide::decide;
pub use decision::{Decision, Next};
pub use enough::{GRACE, PATIENCE, enough};
pub use fence::Silence;
pub use give_way::give_way;
pub use memory::Memory;
pub use policy::{Mode, Policy, Rearm, Unfitting};
pub use slot::Slot;
pub use state::{Fence, Lease, Master, Past, Pause, State, UnknownVersion};
pub use time::Millis;
pub use verdict::{Refusal, Verdict};
pub use view::{Group, Kind, Node, Observation, View};
