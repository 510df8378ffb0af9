//! The command line.

use std::{io::Write as _, process::ExitCode};

use clap::Parser;
use runtime::{Environment, Sink, log_json};

use crate::{print, run};

/// The program beside each Neo4j of a cluster on ECS. All it has to know is in the task's environment.
#[derive(Debug, Parser)]
#[command(name = "node")]
enum Verb {
    /// Configures Neo4j, waits for the other nodes, and runs Neo4j until it ends: what the container starts
    Run,
    /// Prints the neo4j.conf that `run` would write now, and what each line follows from; changes nothing
    Conf,
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
        // An operator reads it: no log, and errors as they are.
        Verb::Conf => match print::run(&environment).await {
            // A pager that was closed early is no reason to panic.
            Ok(text) => match std::io::stdout().write_all(text.as_bytes()) {
                Ok(()) => ExitCode::SUCCESS,
                Err(_) => ExitCode::FAILURE,
            },
            Err(error) => {
                eprintln!("{error}");
                ExitCode::FAILURE
            }
        },
    }
}
