//! Thin adapters from AWS's SDKs to what the functions and the node program need. No decision is made here.

#[cfg(feature = "events")]
mod bell;
mod client;
mod error;
mod inventory;
#[cfg(feature = "state")]
mod object;
#[cfg(feature = "balancer")]
mod target_groups;

pub use aws_config::SdkConfig;
#[cfg(feature = "events")]
pub use bell::Bell;
pub use client::sdk_config;
pub use error::{Error, Kind};
pub use inventory::{Inventory, Task};
#[cfg(feature = "state")]
pub use object::{Object, Put, Stored};
#[cfg(feature = "balancer")]
pub use target_groups::TargetGroups;
