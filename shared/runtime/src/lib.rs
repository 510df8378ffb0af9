//! What every Lambda and the node program need: configuration from the environment, the facts
//! of the cluster, JSON logs.

mod cluster;
mod config;
pub mod example;
mod logs;
mod metrics;

pub use cluster::Cluster;
pub use config::{Environment, Invalid};
pub use logs::{Sink, log_json, name_slot};
pub use metrics::{Metric, Unit, emit};
