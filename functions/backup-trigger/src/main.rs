//! The backup-trigger Lambda.

use std::process::ExitCode;

use runtime::{Environment, Sink, log_json};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    log_json(Sink::Lambda);
    match backup_trigger::serve(&Environment::of_process()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(event = "init-failed", "{error}");
            ExitCode::FAILURE
        }
    }
}
