//! Logs as one JSON object a line, each with a stable `event` that dashboards and people can search for.

use tracing_subscriber::EnvFilter;

/// Where lines go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sink {
    /// A function: Lambda adds the time.
    Lambda,
    /// A container: the time is in the line.
    Container,
}

/// Starts logging to standard output: `{"level":"INFO","event":"retarget",...}`. `RUST_LOG` raises or lowers the level,
/// `info` otherwise. A second call does nothing.
pub fn log_json(sink: Sink) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let json = tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_current_span(false)
        .with_span_list(false)
        .with_target(false)
        .with_env_filter(filter);
    // The only way to fail is to be started already, as in tests.
    let _started = match sink {
        Sink::Lambda => json.without_time().try_init(),
        Sink::Container => json.try_init(),
    };
}
