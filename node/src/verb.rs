//! The command line.

use std::{
    ffi::OsString,
    io::Write as _,
    os::unix::process::CommandExt as _,
    process::{Command, ExitCode},
};

use clap::Parser;
use runtime::{Environment, Sink, log_json};

use crate::{backup, backups, follow, health, print, restore, run};

/// The program beside each Neo4j of a cluster on ECS. All it has to know is in the task's environment.
#[derive(Debug, Parser)]
#[command(name = "node")]
enum Verb {
    /// Configures Neo4j, waits for the other nodes, and runs Neo4j until it ends: what the container starts
    Run,
    /// Prints the neo4j.conf that `run` would write now, and what each line follows from; changes nothing
    Conf,
    /// Says in one sentence whether this node is well; ends with a failure if it is not
    Health,
    /// Prints a log file of Neo4j, such as debug.log, as it grows: what the containers beside Neo4j's do
    Logs { file: String },
    /// Makes one backup, as ORDER says: what the task that backup-trigger starts does
    Backup {
        /// Makes none, and proves that role, bucket, port, scratch and tool are there
        #[arg(long)]
        check: bool,
    },
    /// Lists, shows, verifies and holds backups
    #[command(subcommand)]
    Backups(backups::Verb),
    /// Restores one backup into the data directory, for a drill or by hand; refuses one that has a store
    Restore(restore::Verb),
    /// Any other program of the image, such as neo4j-admin or cypher-shell, in place of this one
    #[command(external_subcommand)]
    Program(Vec<OsString>),
}

/// Does what the command line asks for.
pub async fn main() -> ExitCode {
    let environment = Environment::of_process();
    match Verb::parse() {
        Verb::Run => {
            log_json(Sink::Container);
            match run::run(&environment).await {
                Ok(()) => ExitCode::SUCCESS,
                Err(error) => {
                    tracing::error!(event = error.event(), "{error}");
                    ExitCode::FAILURE
                }
            }
        }
        Verb::Backup { check: false } => {
            log_json(Sink::Container);
            match Box::pin(backup::run(&environment)).await {
                Ok(()) => ExitCode::SUCCESS,
                Err(error) => {
                    tracing::error!(event = "backup-failed", "{error}");
                    ExitCode::FAILURE
                }
            }
        }
        // An operator reads these: no log, and errors as they are.
        Verb::Conf => print(print::run(&environment).await),
        Verb::Health => print(health::run(&environment).await.map(|sentence| sentence + "\n")),
        Verb::Logs { file } => print(follow::run(&environment, &file).await.map(|()| String::new())),
        Verb::Backup { check: true } => print(Box::pin(backup::check(&environment)).await),
        Verb::Backups(verb) => print(Box::pin(backups::run(&environment, &verb)).await),
        Verb::Restore(verb) => print(Box::pin(restore::run(&environment, &verb)).await),
        Verb::Program(words) => become_program(&words),
    }
}

fn print<E: std::fmt::Display>(text: Result<String, E>) -> ExitCode {
    match text {
        // A pager that was closed early is no reason to panic.
        Ok(text) => match std::io::stdout().write_all(text.as_bytes()) {
            Ok(()) => ExitCode::SUCCESS,
            Err(_) => ExitCode::FAILURE,
        },
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// It returns only when there is no such program, with what a shell returns then.
fn become_program(words: &[OsString]) -> ExitCode {
    let Some((program, arguments)) = words.split_first() else { return ExitCode::FAILURE };
    let error = Command::new(program).args(arguments).exec();
    let program = program.display();
    eprintln!(
        "{program} is not a verb of this program (`node help` lists them), and as a program it cannot be started: {error}"
    );
    ExitCode::from(127)
}
