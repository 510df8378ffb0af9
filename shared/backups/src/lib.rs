//! What a backup is, and what a cluster was founded from. Pure: no SDK, clock, environment or async.
//!
//! ```text
//! keys of a bucket --latest--> manifest's key --Manifest::read--> Manifest --check(target)--> Snapshot
//! Snapshot + Founding + now --Founding::intend, Founding::seal--> Change, to be written on condition
//! ```
//!
//! **The manifest is the commit.** A backup is a folder with data and a `manifest.json`, which is written
//! last and only if it is absent; data without a manifest does not exist.

#![warn(missing_docs)]

mod archive;
mod check;
mod founding;
mod key;
mod manifest;
mod snapshot;
mod time;
mod version;

pub use archive::{Unsafe, entry};
pub use check::{Refused, Target, check};
pub use founding::{Change, Conflict, FORMAT as FOUNDING_FORMAT, Founding, Phase};
pub use key::{DATA, Folder, MANIFEST, ROOT, Tier, latest};
pub use manifest::{Consistency, Counts, Data, FORMAT as MANIFEST_FORMAT, LONGEST, Manifest, Unreadable};
pub use snapshot::Snapshot;
pub use time::{NotATime, Time};
pub use version::{NotAVersion, Version};
