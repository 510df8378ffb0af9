//! `local`: the local cloud, for people and for tests.

use std::process::ExitCode;

use clap::Parser;
use local::cli::Command;

fn main() -> ExitCode {
    Command::parse().run()
}
