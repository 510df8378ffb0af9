//! From a source to exactly one object in one version, checked. Nothing is written.

use aws::{Error, Kind};
use backups::{
    LONGEST, MANIFEST_FORMAT, Manifest, ROOT, Refused, Snapshot, Target, Unreadable, check, latest,
};

use crate::{Source, Storage};

/// Why a source is not restored from: a sentence that names the URI.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// `latest` was requested and the bucket has no backup with a manifest.
    #[error(
        "there is no backup with a manifest below s3://{0}/{ROOT}, so latest is nothing: set Source to none for an empty cluster"
    )]
    NoBackup(String),
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
    #[error("{uri} cannot be used: {reason}")]
    Manifest { uri: String, reason: Unreadable },
    /// The manifest does not fit the cluster, or contradicts itself.
    #[error("{uri} is refused: {reason}")]
    Unfit { uri: String, reason: Refused },
    #[error("{0}; nothing was recorded")]
    Call(Error),
}

/// Resolves `source`; `None` for an empty cluster. `latest` looks in `backups`; the result must fit `target`.
pub async fn resolve<S: Storage>(
    storage: &S,
    source: &Source,
    backups: &str,
    target: &Target,
) -> Result<Option<Snapshot>, Refusal> {
    let (bucket, key) = match source {
        Source::Empty => return Ok(None),
        Source::Exact { bucket, .. } if bucket != backups => {
            return Err(Refusal::Elsewhere { uri: source.to_string(), own: backups.to_owned() });
        }
        Source::Exact { bucket, manifest } => (bucket.as_str(), manifest.clone()),
        Source::Latest => {
            let keys = storage.keys(backups, ROOT).await;
            let keys = keys.map_err(|error| failed(format!("s3://{backups}/{ROOT}"), error))?;
            let newest = latest(keys.iter().map(String::as_str));
            (backups, newest.ok_or_else(|| Refusal::NoBackup(backups.to_owned()))?.manifest())
        }
    };
    let manifest = manifest(storage, bucket, &key).await?;
    let unfit = |reason| Refusal::Unfit { uri: uri(bucket, &key), reason };
    check(&manifest, &key, target).map_err(unfit)?;
    let etag = data(storage, bucket, &manifest.data).await?;
    Ok(Some(Snapshot {
        asked: source.to_string(),
        bucket: bucket.to_owned(),
        manifest: key,
        manifest_format: MANIFEST_FORMAT,
        key: manifest.data.key,
        etag,
        bytes: manifest.data.bytes,
        sha256: manifest.data.sha256,
        neo4j: manifest.neo4j,
        database: manifest.database,
        counts: manifest.counts,
    }))
}

async fn manifest<S: Storage>(storage: &S, bucket: &str, key: &str) -> Result<Manifest, Refusal> {
    let uri = uri(bucket, key);
    let stored = storage.get(bucket, key, LONGEST).await.map_err(|error| failed(uri.clone(), error))?;
    let what = "a backup is a folder with a manifest.json; data without one is not a backup, because the manifest is written last";
    let stored = stored.ok_or_else(|| Refusal::Missing { uri: uri.clone(), what })?;
    Manifest::read(&stored.body).map_err(|reason| Refusal::Manifest { uri, reason })
}

/// The ETag of the data, if it is as long as its manifest says. The restoring node compares its checksum.
async fn data<S: Storage>(storage: &S, bucket: &str, expected: &backups::Data) -> Result<String, Refusal> {
    let uri = uri(bucket, &expected.key);
    let head = storage.head(bucket, &expected.key).await.map_err(|error| failed(uri.clone(), error))?;
    let what = "its manifest is there and the data is gone; choose another backup";
    let head = head.ok_or_else(|| Refusal::Missing { uri: uri.clone(), what })?;
    match head.bytes {
        0 => Err(Refusal::Empty(uri)),
        found if found != expected.bytes => Err(Refusal::Length { uri, found, expected: expected.bytes }),
        _ => Ok(head.etag),
    }
}

fn failed(uri: String, error: Error) -> Refusal {
    if error.kind == Kind::Denied { Refusal::Forbidden { uri } } else { Refusal::Call(error) }
}

fn uri(bucket: &str, key: &str) -> String {
    format!("s3://{bucket}/{key}")
}
