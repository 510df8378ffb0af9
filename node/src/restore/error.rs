//! Why nothing was restored. Each is one sentence that names the object, and says what to do.

use std::io;

use aws::Kind;

use super::{plan, unpack::Fault};
use crate::progress::mb;

/// Why a restore ended without a store. Whatever it is, no store was touched.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{uri} is not restored: {reason}; nothing was changed")]
    Unfit { uri: String, reason: backups::Refused },
    #[error("{uri} is not restored into {data}: {reason}; nothing was changed")]
    Refused { uri: String, data: String, reason: plan::Refused },
    #[error(
        "another program is restoring into {0} at this moment, so nothing was begun: two containers have this data directory"
    )]
    Busy(String),
    #[error(
        "{data} has {free} free, and the unpacked store of {uri} needs {needed}, so nothing was read: use a larger volume",
        free = mb(*free), needed = mb(*needed)
    )]
    TooSmall { uri: String, data: String, free: u64, needed: u64 },
    #[error(
        "{databases} is on another file system than {data}, so no store can be moved there in one step and nothing was read: mount the \
         volume at {data} alone"
    )]
    TwoDisks { data: String, databases: String },
    #[error(
        "there is no object {0} any more, so nothing was restored: it was deleted after it was chosen; choose another backup"
    )]
    Absent(String),
    #[error(
        "{uri} is not the version {etag} any more, so nothing was restored: it was replaced after it was chosen, and what was checked is \
         gone; choose another backup"
    )]
    Changed { uri: String, etag: String },
    #[error(
        "{uri} has {found} and its manifest says {expected} bytes, so nothing was restored: it is truncated; choose another backup",
        found = found.map_or("fewer bytes".to_owned(), |bytes| format!("{bytes} bytes"))
    )]
    Length { uri: String, found: Option<u64>, expected: u64 },
    #[error(
        "{uri} may not be read ({reason}), so nothing was restored: allow s3:GetObject on it, and kms:Decrypt if it has a key of its own, \
         to this task's role, and look whether it is still there"
    )]
    Denied { uri: String, reason: String },
    #[error("{0}; nothing was restored, and the next start begins again")]
    Aws(aws::Error),
    #[error(
        "{uri} is not what its manifest says, so nothing was restored: its SHA-256 is {found} and must be {expected}; `node backups \
         verify` reads it again; choose another backup"
    )]
    Damaged { uri: String, found: String, expected: String },
    #[error(
        "{uri} cannot be unpacked, so nothing was restored: {reason}; `node backups verify` says whether it is what was uploaded; choose \
         another backup"
    )]
    Archive { uri: String, reason: Fault },
    #[error(
        "{uri} unpacks to more than the {limit} bytes that {whose}, so nothing was restored: it was not made by a backup, or is damaged; \
         choose another backup",
        whose = if *promised { "its manifest says" } else { "are free for it" }
    )]
    TooLarge {
        uri: String,
        limit: u64,
        /// Whether the manifest has said how much it is.
        promised: bool,
    },
    #[error(
        "{uri} has no store in it, so nothing was restored: its archive lacks a neostore; choose another backup"
    )]
    NotAStore { uri: String },
    #[error(
        "the store in {uri} has {found} and its manifest says {expected}, so nothing was restored: the data is another backup's; choose \
         another backup"
    )]
    Differs { uri: String, found: String, expected: String },
    #[error("{what} failed ({error}), so nothing was restored, and the next start begins again")]
    Io { what: String, error: io::Error },
    /// All of it is unpacked and proven; the next try goes on there.
    #[error(
        "{what} failed ({error}): the store of {uri} is unpacked, and the next start puts it in its place"
    )]
    Late { uri: String, what: &'static str, error: io::Error },
}

impl Error {
    pub fn io(what: impl Into<String>, error: io::Error) -> Self {
        Self::Io { what: what.into(), error }
    }

    /// A part of `version` was not read.
    pub fn unread(unread: aws::Unread, uri: String, version: &aws::ObjectVersion) -> Self {
        match unread {
            aws::Unread::Absent => Self::Absent(uri),
            aws::Unread::Changed => Self::Changed { uri, etag: version.etag.clone() },
            aws::Unread::Length(found) => Self::Length { uri, found, expected: version.bytes },
            aws::Unread::Failed(error) if error.kind == Kind::Denied => {
                Self::Denied { uri, reason: error.reason }
            }
            aws::Unread::Failed(error) => Self::Aws(error),
        }
    }

    /// The archive was not unpacked.
    pub fn fault(fault: Fault, uri: String, limit: u64, promised: bool) -> Self {
        match fault {
            Fault::TooLarge => Self::TooLarge { uri, limit, promised },
            Fault::Disk { path, error } => Self::Io { what: format!("writing {path}"), error },
            reason => Self::Archive { uri, reason },
        }
    }
}
