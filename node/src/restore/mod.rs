//! The restore of one snapshot into a data directory, once.
//!
//! ```text
//! marker + store + staging --look--> Found --plan (pure)--> Plan
//! bucket --fetch: ranges of one version, in order--> stream: SHA-256 --> zstd --> unpack: tar --> staging --> rename --> store
//! ```
//!
//! **What is on the disk at any moment says what is to be done.** A restore takes these steps, each of which is on the disk before
//! the next one begins:
//!
//! 1. the marker says *intent*, with the snapshot's bucket, key and ETag;
//! 2. the files are unpacked into the staging folder, compared with the snapshot, and written to the disk;
//! 3. the marker says *unpacked*, with the proof of the staging folder: its inode, and the facts that were read from its files;
//! 4. the staging folder is renamed to be the store;
//! 5. the marker says *done*.
//!
//! **A store is this restore's, and whole, if and only if the marker says *unpacked* and the store's folder has the proof.** A rename
//! keeps the inode, so a folder with that inode in the store's place is the one that was proven before step 3, and it was whole
//! then: nothing writes into it afterwards, because Neo4j starts only after *done*. Any other store beside an intent was put there
//! by something else, and is refused. Before step 3 the store's place is empty, so a restore that was killed there is begun again;
//! the marker says *intent* before the first file of an earlier try is removed, so that no folder that lost files has a proof.
//!
//! **A store that is there is never overwritten.** The rename replaces nothing but an empty folder.

mod bounded;
mod by_hand;
mod durable;
mod engine;
mod error;
mod fetch;
mod layout;
mod marker;
mod phase;
mod plan;
mod standing;
mod stream;
#[cfg(test)]
pub(crate) mod tests;
mod unpack;

pub(crate) use by_hand::{Verb, run};
pub(crate) use engine::restore;
pub(crate) use error::Error;
pub(crate) use phase::Progress;
pub(crate) use standing::{Standing, forget, standing};
