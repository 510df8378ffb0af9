//! What every Lambda and the node program need once: configuration from the environment, JSON logs.

mod config;
mod logs;
mod metrics;

pub use config::{Environment, Invalid};
pub use logs::{Sink, log_json};
pub use metrics::{Metric, Unit, emit};
