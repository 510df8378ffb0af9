//! The node program: PID 1 beside Neo4j.

use std::process::ExitCode;

use runtime::{Environment, Sink, log_json};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    log_json(Sink::Container);
    match node::run(&Environment::of_process()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(event = error.event(), "{error}");
            ExitCode::FAILURE
        }
    }
}
