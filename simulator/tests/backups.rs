//! Months of ticks of the backup trigger against everything that can go wrong.

use std::thread;

use simulator::trigger::{Report, run};

const TICKS: u64 = 75_000;

#[test]
fn months_of_ticks_break_no_invariant_and_leave_nothing_untried() {
    let half = |seed| thread::spawn(move || Report::over(seed, TICKS / 2));
    let mut all = Report::default();
    for playing in [half(1), half(500_000_000)] {
        match playing.join().unwrap() {
            Ok(report) => all.merge(&report),
            Err(broken) => panic!(
                "seed {} with {} faults: {}\nplay it again: cargo run -p simulator -- --backups --seed {} --replay {}",
                broken.seed, broken.faults, broken.what, broken.seed, broken.faults
            ),
        }
    }
    println!("{}", all.table());
    assert!(all.zeros().is_empty(), "these never came up: {:?}\n{}", all.zeros(), all.table());
}

#[test]
fn a_history_is_a_function_of_its_seed() {
    let (one, other) = (run(7, 4).unwrap(), run(7, 4).unwrap());
    assert_eq!(one.checks.counts, other.checks.counts);
    assert_eq!(one.checks.ticks, other.checks.ticks);
    assert_ne!(one.checks.counts, run(8, 4).unwrap().checks.counts);
}
