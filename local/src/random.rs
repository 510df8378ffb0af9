//! Names that must not meet.

use std::{
    collections::hash_map::RandomState,
    hash::{BuildHasher, Hasher},
};

/// Random as the keys of the standard hasher are: enough for names, and for nothing that is secret.
pub(crate) fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}

/// A random identifier in the form of a UUID.
pub(crate) fn uuid() -> String {
    let (high, low) = (random(), random());
    format!(
        "{:08x}-{:04x}-4{:03x}-{:04x}-{:012x}",
        high >> 32,
        high >> 16 & 0xffff,
        high & 0xfff,
        low >> 48 & 0x3fff | 0x8000,
        low & 0xffff_ffff_ffff
    )
}
