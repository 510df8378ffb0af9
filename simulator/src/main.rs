//! `simulate`: many histories, or one of them again.

use std::{fmt::Write, process::ExitCode, thread};

use clap::Parser;
use simulator::{Broken, Report, run, tell, trigger};

/// The election and the backup trigger against simulated worlds; every history is a function of its seed.
#[derive(Debug, Parser)]
struct Options {
    /// Rounds of the election in all
    #[arg(long, default_value_t = 10_000_000)]
    rounds: u64,
    /// Ticks of the backup trigger in all
    #[arg(long, default_value_t = 1_000_000)]
    ticks: u64,
    /// The first seed
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The backup trigger only
    #[arg(long)]
    backups: bool,
    /// Plays one history again, with so many faults, and says what it broke; with --backups one of the backup
    /// trigger's
    #[arg(long)]
    replay: Option<usize>,
}

fn main() -> ExitCode {
    let options = Options::parse();
    let outcome = match options.replay {
        Some(faults) => replay(&options, faults),
        None if options.backups => backups(&options),
        None => elections(&options).and_then(|told| {
            println!("{told}");
            backups(&options)
        }),
    };
    match outcome {
        Ok(text) => {
            println!("{text}");
            ExitCode::SUCCESS
        }
        Err(what) => {
            eprintln!("{what}");
            ExitCode::FAILURE
        }
    }
}

fn replay(options: &Options, faults: usize) -> Result<String, String> {
    let seed = options.seed;
    let (told, broken) = if options.backups {
        (trigger::tell(seed, faults), trigger::run(seed, faults).err())
    } else {
        (tell(seed, faults), run(seed, faults).err())
    };
    told.iter().for_each(|line| println!("{line}"));
    let flag = if options.backups { "--backups " } else { "" };
    broken.map_or_else(|| Ok("this history breaks nothing".to_owned()), |broken| Err(say(&broken, flag)))
}

fn elections(options: &Options) -> Result<String, String> {
    let mut all = Report::default();
    for report in on_all_cores(options.seed, options.rounds, Report::over)? {
        all.merge(&report.map_err(|broken| say(&broken, ""))?);
    }
    unless_never(all.table(), &all.zeros())
}

fn backups(options: &Options) -> Result<String, String> {
    let mut all = trigger::Report::default();
    for report in on_all_cores(options.seed, options.ticks, trigger::Report::over)? {
        all.merge(&report.map_err(|broken| say(&broken, "--backups "))?);
    }
    unless_never(all.table(), &all.zeros())
}

fn on_all_cores<R: Send + 'static>(
    seed: u64,
    all: u64,
    play: fn(u64, u64) -> Result<R, Broken>,
) -> Result<Vec<Result<R, Broken>>, String> {
    let threads = thread::available_parallelism().map_or(1, |n| u64::try_from(n.get()).unwrap_or(1));
    let share = all / threads;
    let playing: Vec<_> = (0..threads)
        .map(|number| seed + number * 1_000_000_000)
        .map(|seed| thread::spawn(move || play(seed, share)))
        .collect();
    let joined = playing.into_iter().map(|thread| thread.join().map_err(|_| "a panic".to_owned()));
    joined.collect()
}

fn unless_never(table: String, zeros: &[String]) -> Result<String, String> {
    if zeros.is_empty() { Ok(table) } else { Err(format!("{table}never: {zeros:?}")) }
}

fn say(Broken { seed, faults, what }: &Broken, flag: &str) -> String {
    let mut text = format!("seed {seed} with {faults} faults: {what}\n");
    let _ = write!(text, "play it again: cargo run -p simulator -- {flag}--seed {seed} --replay {faults}");
    text
}
