//! Sizes and times of one backup, as functions of what is known at its start.

use std::time::Duration;

const MIB: u64 = 1 << 20;
/// S3's own least is 5 MiB for every part but the last one.
const LEAST_PART: u64 = 8 * MIB;
/// S3 takes 10,000 parts. A tar of files that do not compress is longer than they are, by far less than a tenth.
const PARTS: u64 = 9_000;
/// Two parts on their way, and one that is being filled.
pub const PARTS_IN_MEMORY: usize = 3;
/// Everything else of this program while it streams: the compressor's threads have most of it.
const REST: u64 = 40 * MIB;

/// The length of every part but the last one. It cannot be changed on the way, so the length of the files decides.
pub fn part_bytes(store: u64) -> u64 {
    store.div_ceil(PARTS).max(LEAST_PART).next_multiple_of(MIB)
}

/// What the program takes at most while it streams.
pub fn memory_ceiling(part: u64) -> u64 {
    part * PARTS_IN_MEMORY as u64 + REST
}

/// What the scratch must have free for a copy of a store of so many bytes: it grows while it is copied, and the transactions of
/// that time are beside it.
pub fn scratch_bytes(store: u64) -> u64 {
    store + store / 10 + 64 * MIB
}

/// How long the consistency check may take of the time that is left. The other half is for the upload, which is of more worth: an
/// unchecked backup can be checked later.
pub fn check_within(left: Duration) -> Duration {
    left / 2
}

/// How long the tool waits for the source, which may first write all its pages to disk. Twenty minutes are the tool's own default.
pub fn tool_timeout(left: Duration) -> Duration {
    left.min(Duration::from_secs(20 * 60)).max(Duration::from_secs(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIB: u64 = 1 << 30;

    #[test]
    fn parts_are_of_whole_mebibytes_and_never_too_many() {
        let table = [
            (0, 8),
            (1, 8),
            (70 * GIB, 8),
            (71 * GIB, 9),
            (100 * GIB, 12),
            (1024 * GIB, 117),
            (5 * 1024 * GIB, 583),
        ];
        for (store, mib) in table {
            let part = part_bytes(store);
            assert_eq!(part, mib * MIB, "{store}");
            // With a tenth more than the files have, S3's 10,000 parts are enough.
            assert!((store + store / 10).div_ceil(part) <= 10_000, "{store}");
        }
    }

    #[test]
    fn memory_is_64_mib_up_to_70_gib_and_follows_the_parts_above() {
        assert_eq!(memory_ceiling(part_bytes(70 * GIB)), 64 * MIB);
        assert_eq!(memory_ceiling(part_bytes(1024 * GIB)), (3 * 117 + 40) * MIB);
    }

    #[test]
    fn the_scratch_has_a_tenth_of_reserve_and_the_check_half_of_the_time() {
        assert_eq!(scratch_bytes(0), 64 * MIB);
        assert_eq!(scratch_bytes(10 * GIB), 11 * GIB + 64 * MIB);
        assert_eq!(check_within(Duration::from_secs(90)), Duration::from_secs(45));
        assert_eq!(tool_timeout(Duration::from_secs(7200)), Duration::from_secs(1200));
        assert_eq!(tool_timeout(Duration::from_secs(90)), Duration::from_secs(90));
    }
}
