//! Addresses for everything the local cloud runs, so that two runs never meet.

use std::{
    net::Ipv4Addr,
    sync::{
        Arc,
        atomic::{AtomicU16, Ordering},
    },
};

use crate::random::random;

/// Hands out distinct addresses of one block of 253, each at most once: an address is never given to a second
/// task, because a client that still holds the old one must not reach another task by accident.
#[derive(Clone, Debug)]
pub struct AddressPool {
    block: [u8; 3],
    next: Arc<AtomicU16>,
}

impl AddressPool {
    /// A block of loopback chosen at random from `127.16.0.0` to `127.239.255.0`: low ones are used by people, high ones by tools.
    pub fn random() -> Self {
        let bits = random().to_le_bytes();
        Self::of([127, 16 + bits[0] % 224, bits[1]])
    }

    /// The block `a.b.c.0/24`.
    pub fn of(block: [u8; 3]) -> Self {
        Self { block, next: Arc::new(AtomicU16::new(1)) }
    }

    /// The next address.
    ///
    /// # Panics
    /// After 253 addresses: a run that starts so many tasks is caught in a restart loop.
    pub fn next(&self) -> Ipv4Addr {
        let last = self.next.fetch_add(1, Ordering::Relaxed);
        let last =
            u8::try_from(last).ok().filter(|last| *last < 254).expect("more than 253 addresses in one run");
        let [a, b, c] = self.block;
        Ipv4Addr::new(a, b, c, last)
    }
}

#[cfg(test)]
mod tests {
    use super::AddressPool;

    #[test]
    fn addresses_are_distinct_loopback_and_of_one_block() {
        let pool = AddressPool::random();
        let (first, second) = (pool.next(), pool.next());
        assert_ne!(first, second);
        assert!(first.is_loopback() && second.is_loopback());
        assert_eq!(first.octets()[..3], second.octets()[..3]);
    }

    #[test]
    #[should_panic(expected = "more than 253 addresses")]
    fn a_block_that_is_used_up_says_so() {
        let pool = AddressPool::random();
        for _ in 0..254 {
            pool.next();
        }
    }
}
