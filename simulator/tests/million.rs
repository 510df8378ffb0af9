//! A million rounds against everything that can go wrong.

use std::thread;

use simulator::{Report, run};

const ROUNDS: u64 = 1_000_000;

#[test]
fn a_million_rounds_break_no_invariant_and_leave_nothing_untried() {
    let half = |seed| thread::spawn(move || Report::over(seed, ROUNDS / 2));
    let mut all = Report::default();
    for playing in [half(1), half(500_000_000)] {
        match playing.join().unwrap() {
            Ok(report) => all.merge(&report),
            Err(broken) => panic!(
                "seed {} with {} faults: {}\nplay it again: cargo run -p simulator -- --seed {} --replay {}",
                broken.seed, broken.faults, broken.what, broken.seed, broken.faults
            ),
        }
    }
    println!("{}", all.table());
    assert!(all.zeros().is_empty(), "these never came up: {:?}\n{}", all.zeros(), all.table());
}

#[test]
fn a_history_is_a_function_of_its_seed() {
    let (one, other) = (run(7, 24).unwrap(), run(7, 24).unwrap());
    assert_eq!(one.checks.counts, other.checks.counts);
    assert_eq!(one.checks.rounds, other.checks.rounds);
    assert_ne!(one.checks.rounds, run(8, 24).unwrap().checks.rounds);
}
