//! What a node finds on its disks at its start.

use std::{fs, io, path::Path};

use tracing::warn;

use crate::Settings;

/// What a node finds on its disks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Disks {
    pub volume: Volume,
    /// Size of the file system of the data, which transaction logs may have a part of.
    pub bytes: u64,
    /// Whether there is anything in the directory of certificates that users mount.
    pub certificates: bool,
}

/// What is on the slot's volume.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Volume {
    /// No store: a slave copies one from the master, in place of the one it makes at its start.
    Blank,
    /// A store.
    Filled,
}

impl Disks {
    /// Looks at them.
    pub fn look(settings: &Settings) -> Self {
        let store = settings.data.join("databases/graph.db/neostore");
        let volume = if store.exists() { Volume::Filled } else { Volume::Blank };
        let bytes = match rustix::fs::statvfs(&settings.data) {
            Ok(found) => found.f_blocks.saturating_mul(found.f_frsize),
            // The least that is kept of the logs does not need it.
            Err(error) => {
                let data = settings.data.display();
                warn!(event = "volume-size", "the size of {data} is not known: {error}");
                0
            }
        };
        let mut found = fs::read_dir(&settings.ssl).into_iter().flatten();
        Self { volume, bytes, certificates: found.next().is_some() }
    }

    /// An empty volume, before anything is known of it.
    pub const UNKNOWN: Self = Self { volume: Volume::Blank, bytes: 0, certificates: false };
}

/// Bytes that are free in `dir` for a program without root's reserve.
///
/// # Errors
/// When `dir` cannot be looked at.
pub fn free(dir: &Path) -> io::Result<u64> {
    let found = rustix::fs::statvfs(dir)?;
    Ok(found.f_bavail.saturating_mul(found.f_frsize))
}
