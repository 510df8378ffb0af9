//! From a source to exactly one object in one version, checked. Nothing is written.

use backups::{LONGEST, Manifest, Snapshot, Target, Time, check};

use crate::{Refusal, Source, Storage, choose::choose};

/// What is restored within the hour for which the template waits (`Restored`), at 50 MB/s, bytes.
const MOST: u64 = 3600 * 50_000_000;

/// What a source is now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolved {
    pub snapshot: Snapshot,
    /// Newer backups that were passed over, each with its reason. Operators must hear of them.
    pub skipped: Vec<String>,
}

/// Resolves `source` at `now`; `None` for an empty cluster. `backups` is the bucket in which backups are looked for; the result
/// must fit `target`, of which an unverified backup needs its own URI.
pub async fn resolve<S: Storage>(
    storage: &S,
    source: &Source,
    backups: &str,
    target: &Target,
    now: Time,
) -> Result<Option<Resolved>, Refusal> {
    let asked = source.to_string();
    let bucket = source.bucket().unwrap_or(backups);
    if bucket != backups {
        return Err(Refusal::Elsewhere { uri: asked, own: backups.to_owned() });
    }
    let (key, skipped) = match source {
        Source::Empty => return Ok(None),
        Source::Exact { manifest, .. } => (manifest.clone(), Vec::new()),
        Source::Latest { .. } | Source::Before { .. } => {
            let before = if let Source::Before { time, .. } = source { Some(*time) } else { None };
            let choice = choose(storage, bucket, &asked, before, now).await?;
            (choice.folder.manifest(), choice.skipped)
        }
    };
    let manifest = manifest(storage, bucket, &key).await?;
    let unfit = |reason| Refusal::Unfit { uri: uri(bucket, &key), reason };
    check(&manifest, &key, target).map_err(unfit)?;
    let bytes = manifest.store_bytes.unwrap_or(manifest.data.bytes);
    if bytes > MOST {
        return Err(Refusal::TooLong { uri: uri(bucket, &key), bytes });
    }
    let etag = data(storage, bucket, &manifest.data).await?;
    Ok(Some(Resolved { snapshot: Snapshot::of(asked, bucket, key, manifest, etag), skipped }))
}

async fn manifest<S: Storage>(storage: &S, bucket: &str, key: &str) -> Result<Manifest, Refusal> {
    let uri = uri(bucket, key);
    let stored = storage.get(bucket, key, LONGEST).await;
    let stored = stored.map_err(|error| Refusal::failed(uri.clone(), error))?;
    let what = "a backup is a folder with a manifest.json; data without one is not a backup, because the manifest is written last";
    let stored = stored.ok_or_else(|| Refusal::Missing { uri: uri.clone(), what })?;
    Manifest::read(&stored.body).map_err(|reason| Refusal::Manifest { uri, reason })
}

/// The ETag of the data, if it is as long as its manifest says. The restoring node compares its checksum.
async fn data<S: Storage>(storage: &S, bucket: &str, expected: &backups::Data) -> Result<String, Refusal> {
    let uri = uri(bucket, &expected.key);
    let head = storage.head(bucket, &expected.key).await;
    let head = head.map_err(|error| Refusal::failed(uri.clone(), error))?;
    let what = "its manifest is there and the data is gone; choose another backup";
    let head = head.ok_or_else(|| Refusal::Missing { uri: uri.clone(), what })?;
    match head.bytes {
        0 => Err(Refusal::Empty(uri)),
        found if found != expected.bytes => Err(Refusal::Length { uri, found, expected: expected.bytes }),
        _ => Ok(head.etag),
    }
}

fn uri(bucket: &str, key: &str) -> String {
    format!("s3://{bucket}/{key}")
}
