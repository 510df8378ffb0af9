//! What every Lambda and the node program need once: configuration from the environment, JSON logs.

mod config;
mod logs;

pub use config::{Environment, Invalid};
pub use logs::{Sink, log_json};
