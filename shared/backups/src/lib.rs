//! What a backup is, which there are, which of them goes, and what a cluster was founded from. Pure: no SDK,
//! clock, environment or async.
//!
//! ```text
//! Order --the worker--> data, then Manifest
//! listing + manifests --Catalogue::of--> Catalogue --Retention::expired(now)--> keys to be tagged
//! Catalogue --latest, before(time)--> Entry --check(target)--> Snapshot
//! Snapshot + Founding + now --Founding::intend, Founding::seal--> Change, to be written on condition
//! ```
//!
//! **The manifest is the commit.** A backup is a folder with data and a `manifest.json`, which is written
//! last and only if it is absent; data without a manifest does not exist.
//!
//! **Only a verified backup counts**: one that was found consistent and whose data is there in its length. It
//! alone is the latest, makes the backups fresh, and lets an older one go. The newest one never goes.
//!
//! **A backup goes manifest first.** Its data goes once the manifest is no longer listed, so that at no
//! moment a manifest promises data that was deleted by its own rules.

#![warn(missing_docs)]

mod archive;
mod catalogue;
mod check;
mod founding;
mod freshness;
mod key;
mod manifest;
mod order;
mod retention;
mod snapshot;
mod time;
#[cfg(test)]
mod twin;
mod version;

pub use archive::{Unsafe, entry};
pub use catalogue::{Catalogue, Entry, Latest, Listed, Standing};
pub use check::{Refused, Target, check};
pub use founding::{
    Change, Conflict, FORMAT as FOUNDING_FORMAT, Founding, KEY as FOUNDING_KEY, LONGEST as LONGEST_FOUNDING,
    Phase,
};
pub use freshness::Freshness;
pub use key::{DATA, Folder, HOLD, MANIFEST, NotAFolder, REPORT, ROOT, Tier};
pub use manifest::{
    Consistency, Counts, Data, FORMAT as MANIFEST_FORMAT, LONGEST, Manifest, Seconds, Seen, Unreadable,
};
pub use order::{FORMAT as ORDER_FORMAT, From, NotAnOrder, Order};
pub use retention::{Fate, Keep, Retention, Why};
pub use snapshot::Snapshot;
pub use time::{NotATime, Time};
pub use version::{NotAVersion, Version};
