//! Thin adapters from AWS's SDKs to what the functions and the node program need. No decision is made here.

#[cfg(feature = "events")]
mod bell;
mod client;
mod error;
#[cfg(test)]
mod fake;
mod inventory;
#[cfg(feature = "invoke")]
mod invoke;
#[cfg(feature = "state")]
mod object;
#[cfg(feature = "state")]
mod objects;
#[cfg(feature = "parameters")]
mod parameters;
#[cfg(feature = "backups")]
mod range;
#[cfg(feature = "backups")]
mod run;
#[cfg(feature = "secrets")]
mod secrets;
mod services;
#[cfg(feature = "stacks")]
mod stacks;
#[cfg(feature = "balancer")]
mod target_groups;
#[cfg(feature = "backups")]
mod upload;

pub use aws_config::SdkConfig;
#[cfg(feature = "events")]
pub use bell::Bell;
pub use client::sdk_config;
pub use error::{Error, Kind};
pub use inventory::{Inventory, Look, Task};
#[cfg(feature = "invoke")]
pub use invoke::Invoke;
#[cfg(feature = "state")]
pub use object::Object;
#[cfg(feature = "state")]
pub use objects::{Head, Objects, Put, Stored};
#[cfg(feature = "parameters")]
pub use parameters::Parameters;
#[cfg(feature = "backups")]
pub use range::{ObjectVersion, Unread};
#[cfg(feature = "backups")]
pub use run::{Launch, Runner, TaskEnd};
#[cfg(feature = "secrets")]
pub use secrets::{NoPassword, Secret, Secrets, Stage};
pub use services::{Ended, Service, Services};
#[cfg(feature = "stacks")]
pub use stacks::{Operation, Stacks};
#[cfg(feature = "balancer")]
pub use target_groups::TargetGroups;
#[cfg(feature = "backups")]
pub use upload::{Download, Part, Upload, Uploads};
