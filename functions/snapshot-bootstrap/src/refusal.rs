//! Why a source is not restored from: sentences that name the URI.

use aws::{Error, Kind};
use backups::{ROOT, Refused, Time, Unreadable};

/// Why nothing was resolved. Each is a whole sentence.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The bucket has no backup with a manifest.
    #[error(
        "there is no backup with a manifest below s3://{0}/{ROOT}, so {1} is nothing: leave Snapshot empty for an empty cluster"
    )]
    NoBackup(String, String),
    /// It has some, and none that may be chosen.
    #[error(
        "no backup below s3://{bucket}/{ROOT} is verified, so {asked} is nothing: {skipped}; name one of them by its URI, with \
         AcceptUnverified set to true, or leave Snapshot empty for an empty cluster"
    )]
    NoneVerified { bucket: String, asked: String, skipped: String },
    /// A typing error, most likely: the newest backup would be restored.
    #[error("{asked} is in the future, because it is {now} now; {newest}")]
    Future {
        asked: String,
        now: Time,
        /// What there is, as a clause.
        newest: String,
    },
    /// Everything that is verified has later changes in it.
    #[error(
        "no verified backup below s3://{bucket}/{ROOT} fits {asked}: the oldest one is {oldest}, whose data is of {data}{skipped}; \
         name a later time, or a backup by its URI"
    )]
    NoneBefore {
        bucket: String,
        asked: String,
        oldest: String,
        /// When its copy had ended.
        data: Time,
        /// What else there is, as a clause.
        skipped: String,
    },
    /// The function's role may read one bucket, and so may the nodes.
    #[error(
        "{uri} is in another bucket than this stack's own, which is {own}, and neither this function nor the nodes may read it: \
         copy the backup's folder to s3://{own}/{ROOT} and name that one"
    )]
    Elsewhere { uri: String, own: String },
    #[error("there is no object {uri}: {what}")]
    Missing {
        uri: String,
        /// The consequence, as a clause.
        what: &'static str,
    },
    /// S3 answered 403.
    #[error(
        "{uri} may not be read: allow s3:GetObject on it to this function's role (and kms:Decrypt when it is encrypted with a key of \
         your own), and look whether it is there, because without s3:ListBucket a missing object is forbidden too"
    )]
    Forbidden { uri: String },
    #[error(
        "{uri} has {found} bytes and its manifest says {expected}: it is truncated or was replaced; choose another backup"
    )]
    Length {
        uri: String,
        /// Bytes, as S3 reports them.
        found: u64,
        /// Bytes, as the manifest has them.
        expected: u64,
    },
    #[error("{0} has zero bytes: there is nothing to restore; choose another backup")]
    Empty(String),
    /// The stack would wait for its nodes in vain.
    #[error(
        "{uri} unpacks to {} GB, which takes longer than an hour at 50 MB/s, and the stack waits for its nodes for an hour: restore it by \
         hand (docs/backups.md), or found the cluster from a smaller one",
        bytes / 1_000_000_000
    )]
    TooLong {
        uri: String,
        /// Bytes of the unpacked store.
        bytes: u64,
    },
    #[error("{uri} cannot be used: {reason}")]
    Manifest { uri: String, reason: Unreadable },
    /// The manifest does not fit the cluster, or contradicts itself.
    #[error("{uri} is refused: {reason}")]
    Unfit { uri: String, reason: Refused },
    #[error("{0}; nothing was recorded")]
    Call(Error),
}

impl Refusal {
    pub(crate) fn failed(uri: String, error: Error) -> Self {
        if error.kind == Kind::Denied { Self::Forbidden { uri } } else { Self::Call(error) }
    }
}
