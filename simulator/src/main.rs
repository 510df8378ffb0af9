//! `simulate`: many histories, or one of them again.

use std::{process::ExitCode, thread};

use clap::Parser;
use simulator::{Broken, Report, run, tell};

/// The election against simulated worlds; every history is a function of its seed.
#[derive(Debug, Parser)]
struct Options {
    /// Rounds in all
    #[arg(long, default_value_t = 10_000_000)]
    rounds: u64,
    /// The first seed
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Plays one history again, with so many faults, and says what it broke
    #[arg(long)]
    replay: Option<usize>,
}

fn main() -> ExitCode {
    let options = Options::parse();
    let outcome = match options.replay {
        Some(faults) => {
            tell(options.seed, faults).iter().for_each(|line| println!("{line}"));
            run(options.seed, faults).map(|_| "this history breaks nothing".to_owned())
        }
        None => simulate(&options).and_then(|report| match report.zeros() {
            none if none.is_empty() => Ok(report.table()),
            zeros => Err(Broken {
                seed: options.seed,
                faults: 0,
                what: format!("{}never: {zeros:?}", report.table()),
            }),
        }),
    };
    match outcome {
        Ok(text) => {
            println!("{text}");
            ExitCode::SUCCESS
        }
        Err(broken) => {
            eprintln!("seed {} with {} faults: {}", broken.seed, broken.faults, broken.what);
            ExitCode::FAILURE
        }
    }
}

fn simulate(options: &Options) -> Result<Report, Broken> {
    let threads = thread::available_parallelism().map_or(1, |n| u64::try_from(n.get()).unwrap_or(1));
    let share = options.rounds / threads;
    let playing: Vec<_> = (0..threads)
        .map(|number| options.seed + number * 1_000_000_000)
        .map(|seed| thread::spawn(move || Report::over(seed, share)))
        .collect();
    let mut all = Report::default();
    for thread in playing {
        let report =
            thread.join().map_err(|_| Broken { seed: options.seed, faults: 0, what: "a panic".into() })??;
        all.merge(&report);
    }
    Ok(all)
}
