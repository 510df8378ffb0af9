//! How long writes stood still.

use std::time::{Duration, Instant};

use crate::client::Write;

/// The longest time without an acknowledged write, from the last one before `since` on; none without one before and one
/// after.
pub fn longest_gap(writes: &[Write], since: Instant) -> Option<Duration> {
    let mut acknowledged: Vec<Instant> = writes.iter().filter_map(|write| write.acknowledged).collect();
    acknowledged.sort_unstable();
    let after = acknowledged.partition_point(|at| *at <= since);
    let from = acknowledged.get(after.checked_sub(1)?..)?;
    from.windows(2).map(|pair| pair[1].duration_since(pair[0])).max()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stall_may_begin_before_the_fault_and_ends_with_any_write() {
        let start = Instant::now();
        let at = |ms: u64| start + Duration::from_millis(ms);
        let write = |(number, acknowledged): (usize, Option<u64>)| Write {
            number: number as u64,
            sent: start,
            acknowledged: acknowledged.map(at),
            refused: None,
        };
        let acknowledged = [Some(0), Some(900), Some(1000), None, Some(1100), Some(5100), Some(5200)];
        let writes: Vec<Write> = acknowledged.into_iter().enumerate().map(write).collect();
        assert_eq!(longest_gap(&writes, at(1050)), Some(Duration::from_millis(4000)));
        assert_eq!(
            longest_gap(&writes, at(5150)),
            Some(Duration::from_millis(100)),
            "what was before is not counted"
        );
        assert_eq!(longest_gap(&writes, at(5300)), None, "nothing was acknowledged since");
    }
}
