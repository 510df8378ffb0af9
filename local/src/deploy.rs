//! The real `sam build` and `sam deploy`, with their output kept for when they fail.

use std::{
    fs, io,
    net::SocketAddr,
    process::{ExitStatus, Stdio},
    time::{Duration, Instant},
};

use tokio::process::Command;

use crate::{emulator::cloud_environment, layout::Layout, processes::tail, stacks};

/// The stack's name, as `samconfig.toml` has it for the local environment.
pub const STACK: &str = "neo4j-local";
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

/// Builds the functions' packages from what `make release` built.
pub async fn build(layout: &Layout, cloud: SocketAddr) -> Result<(), Error> {
    sam(layout, cloud, &["build", "--config-env", "local"]).await
}

/// Deploys the stack, with `overrides` (`Name=value`) in place of the values in `samconfig.toml`: creates it, or updates it when it is
/// there. [`stacks::last_operation`] of [`STACK`] has the end status and all events.
pub async fn deploy(layout: &Layout, cloud: SocketAddr, overrides: &[(&str, &str)]) -> Result<(), Error> {
    let mut arguments = vec!["deploy".to_owned(), "--config-env".into(), "local".into()];
    if !overrides.is_empty() {
        arguments.push("--parameter-overrides".into());
        arguments.extend(merged(layout, overrides)?);
    }
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let before = stacks::last_operation(cloud, STACK).await.ok();
    let mut outcome = sam(layout, cloud, &arguments).await;
    if let Err(Error::Failed { reasons, .. }) = &mut outcome
        && let Ok(last) = stacks::last_operation(cloud, STACK).await
        && before.is_none_or(|before| before != last)
    {
        *reasons = last.reasons();
    }
    outcome
}

/// On the command line overrides replace those of the file as a whole, so both are put together here.
fn merged(layout: &Layout, overrides: &[(&str, &str)]) -> io::Result<Vec<String>> {
    let config = fs::read_to_string(layout.root.join("samconfig.toml"))?;
    let local = config.split("[local.deploy.parameters]").nth(1).unwrap_or_default();
    let local = local.split("\n[").next().unwrap_or_default();
    let mut pairs: Vec<(String, String)> = local
        .split(|c: char| c.is_whitespace() || c == '"' || c == '\'')
        .filter_map(|word| word.split_once('='))
        .filter(|(name, _)| name.chars().next().is_some_and(char::is_uppercase))
        .map(|(name, value)| (name.to_owned(), value.trim_end_matches(',').to_owned()))
        .collect();
    pairs.retain(|(name, _)| !overrides.iter().any(|(other, _)| other == name));
    pairs.extend(overrides.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
    Ok(pairs.into_iter().map(|(name, value)| format!("{name}={value}")).collect())
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
