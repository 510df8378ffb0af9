//! The local cloud: the same template, deployed on one machine, on real Neo4j processes.
//!
//! ```text
//! sam, functions, nodes --> gateway --> ministack (CloudFormation, Lambda, S3, schedules, logs)
//!                              |-> ecs: RUNNING tasks are node processes, stopped as ECS stops them
//!                              `-> elb: listeners are TCP proxies with real health checks
//! ```
//!
//! The functions, the template, the node program and Neo4j are the real ones; only the cloud's own API is local.
//! What is overlaid follows AWS's documentation, and `tests/` has one case per sentence it claims to follow.

pub mod address;
pub mod arguments;
pub mod backups;
pub mod bench;
pub mod callers;
pub mod cli;
pub mod client;
pub mod cloud;
pub mod control;
pub mod demo;
pub mod deploy;
pub mod ecs;
pub mod elb;
pub mod emulator;
mod form;
pub mod gateway;
pub mod http;
pub mod layout;
pub mod login;
pub mod network;
pub mod observe;
mod parameters;
pub mod processes;
mod random;
pub mod report;
pub mod runtime_api;
pub mod stack;
pub mod stacks;
pub mod templates;
pub mod watch;
