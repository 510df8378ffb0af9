//! The disk of a worker: the copy, what the tool needs beside it, and the check's own files.

/// Fargate's smallest disk that can be asked for, and the largest, in GiB.
const SMALLEST: u64 = 21;
const LARGEST: u32 = 200;
const GIB: u128 = 1 << 30;

/// A store that does not fit on the largest disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooLarge {
    /// What it would need, GiB.
    pub needed: u64,
    /// What there is, GiB.
    pub most: u32,
}

/// The disk for the backup of a store of `bytes`, in GiB: 1.3 times the store, because transactions are copied
/// beside it and the check builds its own index, and 1 GiB for everything else.
///
/// # Errors
/// When that is more than Fargate has.
pub fn scratch_gib(bytes: u64) -> Result<u32, TooLarge> {
    let store = (u128::from(bytes) * 13).div_ceil(GIB * 10);
    let needed = u64::try_from(store + 1).unwrap_or(u64::MAX).max(SMALLEST);
    match u32::try_from(needed) {
        Ok(gib) if gib <= LARGEST => Ok(gib),
        _ => Err(TooLarge { needed, most: LARGEST }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_is_at_least_fargates_smallest_and_never_more_than_its_largest() {
        let gib = |gib: u64| gib << 30;
        let table = [
            (0, Ok(21)),
            (1, Ok(21)),
            (gib(15), Ok(21)),
            (gib(16), Ok(22)),
            (gib(100), Ok(131)),
            (gib(100) + 1, Ok(132)),
            (gib(153), Ok(200)),
            (gib(154), Err(TooLarge { needed: 202, most: 200 })),
            (u64::MAX, Err(TooLarge { needed: 22_333_829_941, most: 200 })),
        ];
        for (bytes, expected) in table {
            assert_eq!(scratch_gib(bytes), expected, "{bytes}");
        }
    }
}
