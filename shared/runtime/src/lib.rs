//! What every Lambda and the node program need: configuration from the environment, the facts
//! of the cluster, JSON logs.

mod cluster;
mod config;
mod logs;
mod metrics;

pub use cluster::{BOLT_PORT, Cluster, HTTP_PORT, STATUS_PORT};
pub use config::{Environment, Invalid};
pub use logs::{Sink, log_json, name_slot};
pub use metrics::{Metric, Unit, emit};
