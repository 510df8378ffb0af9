//! The real `sam build` and `sam deploy`, with their output kept for when they fail.

use std::{
    fs, io,
    net::SocketAddr,
    process::{ExitStatus, Stdio},
    time::{Duration, Instant},
};

use tokio::process::Command;

use crate::{
    emulator::cloud_environment,
    layout::{ARCHITECTURE, Layout},
    parameters,
    processes::tail,
    stack::Stack,
    stacks,
};

/// A line of progress for whatever takes longer.
const PATIENCE: Duration = Duration::from_secs(5);

/// `sam` did not do it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It cannot be started, or its log not written.
    #[error("sam cannot be run: {0}")]
    Io(#[from] io::Error),
    /// It failed.
    #[error("`sam {verb}` failed ({status}); the end of {log}:\n{tail}\nthe stack says: {reasons}")]
    Failed {
        /// `build` or `deploy`.
        verb: String,
        /// How it ended.
        status: ExitStatus,
        /// Its whole output.
        log: String,
        /// The end of it.
        tail: String,
        /// What failed in the stack, in CloudFormation's own words; empty when no operation was begun.
        reasons: String,
    },
}

/// Builds what is shipped where it is stale, and the functions' packages from it, for this machine.
pub async fn build(layout: &Layout, cloud: SocketAddr) -> Result<(), Error> {
    let architecture = format!("Architecture={ARCHITECTURE}");
    sam(layout, cloud, &["build", "--config-env", "local", "--parameter-overrides", &architecture]).await
}

/// Deploys `stack`, with `overrides` (`Name=value`) in place of the values in `samconfig.toml`: creates it, or updates it when it is
/// there. [`stacks::last_operation`] has the end status and all events.
pub async fn deploy(
    layout: &Layout,
    cloud: SocketAddr,
    stack: &Stack,
    overrides: &[(&str, &str)],
) -> Result<(), Error> {
    let config = fs::read_to_string(layout.root.join("samconfig.toml"))?;
    let file = layout.run.join(format!("parameters-{stack}.yml"));
    let overrides = [&[("Architecture", ARCHITECTURE)][..], overrides].concat();
    fs::write(&file, parameters::file(&parameters::merged(&config, &overrides)))?;
    let file = format!("file://{}", file.display());
    let arguments =
        ["deploy", "--config-env", "local", "--stack-name", stack.name(), "--parameter-overrides", &file];
    let before = stacks::last_operation(cloud, stack.name()).await.ok();
    let mut outcome = sam(layout, cloud, &arguments).await;
    if let Err(Error::Failed { reasons, .. }) = &mut outcome
        && let Ok(last) = stacks::last_operation(cloud, stack.name()).await
        && before.is_none_or(|before| before != last)
    {
        *reasons = last.reasons();
    }
    outcome
}

async fn sam(layout: &Layout, cloud: SocketAddr, arguments: &[&str]) -> Result<(), Error> {
    let verb = arguments[0];
    let path = layout.log(&format!("sam-{verb}"));
    let log = fs::File::create(&path)?;
    let mut command = Command::new(layout.sam());
    command.args(arguments).current_dir(&layout.root).stdin(Stdio::null());
    command.stdout(log.try_clone()?).stderr(log).kill_on_drop(true);
    command.env("SAM_CLI_TELEMETRY", "0").env_remove("AWS_PROFILE").envs(cloud_environment(cloud));
    let mut child = command.spawn()?;
    let started = Instant::now();
    let status = loop {
        match tokio::time::timeout(PATIENCE, child.wait()).await {
            Ok(status) => break status?,
            Err(_) => println!("  sam {verb} runs for {} s", started.elapsed().as_secs()),
        }
    };
    if status.success() {
        return Ok(());
    }
    let (verb, tail) = (verb.to_owned(), tail(&path, 30));
    Err(Error::Failed { verb, status, log: path.display().to_string(), tail, reasons: String::new() })
}
