//! A backup that was resolved and checked: what a cluster is founded from.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{Counts, Manifest, Refused, Target, Version, check};

/// Exactly one object in one version. Nodes read it with `If-Match`, so that they restore what was checked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// What was requested: `latest`, or a URI. The same request is not resolved again.
    pub asked: String,
    /// The bucket of both objects.
    pub bucket: String,
    /// Key of the manifest.
    pub manifest: String,
    /// Format of the manifest.
    pub manifest_format: u32,
    /// Key of the data.
    pub key: String,
    /// ETag of the data.
    pub etag: String,
    /// Length of the data, bytes.
    pub bytes: u64,
    /// SHA-256 of the data, 64 small hexadecimal digits.
    pub sha256: String,
    /// The Neo4j that wrote the store.
    pub neo4j: Version,
    /// The database, such as `graph.db`.
    pub database: String,
    /// What is in it, if it was counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counts: Option<Counts>,
    /// The last transaction in it, if the manifest has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_transaction: Option<u64>,
    /// The store's identity, if the manifest has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub store_id: Option<String>,
    /// Bytes of the unpacked store, if the manifest has them: no restore unpacks more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub store_bytes: Option<u64>,
}

impl Snapshot {
    /// The backup of `manifest`, which was read from `key` in `bucket`, with the ETag that its data has now.
    pub fn of(asked: String, bucket: &str, key: String, manifest: Manifest, etag: String) -> Self {
        Self {
            asked,
            bucket: bucket.to_owned(),
            manifest: key,
            manifest_format: manifest.format,
            key: manifest.data.key,
            etag,
            bytes: manifest.data.bytes,
            sha256: manifest.data.sha256,
            neo4j: manifest.neo4j,
            database: manifest.database,
            counts: manifest.counts,
            last_transaction: manifest.last_transaction,
            store_id: manifest.store_id,
            store_bytes: manifest.store_bytes,
        }
    }

    /// Checks once more what [`check()`](crate::check()) has found: the node that restores may be of another version than the
    /// function that recorded this, and what names a folder on its disk is believed from no file.
    ///
    /// # Errors
    /// The first reason not to restore it.
    pub fn fits(&self, target: &Target) -> Result<(), Refused> {
        check::is_checksum(&self.sha256)?;
        if self.bytes == 0 {
            return Err(Refused::Empty);
        }
        check::is_of(self.neo4j, &self.database, target)
    }

    /// Whether both are the same object in the same version, whatever was requested.
    pub fn is(&self, other: &Self) -> bool {
        (&self.bucket, &self.key, &self.etag) == (&other.bucket, &other.key, &other.etag)
    }
}

impl fmt::Display for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "s3://{}/{}", self.bucket, self.key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::tests::manifest;

    fn snapshot() -> Snapshot {
        Snapshot::of("latest".into(), "b", "backups/x/manifest.json".into(), manifest(), "\"e\"".into())
    }

    #[test]
    fn it_has_what_its_manifest_says() {
        let snapshot = snapshot();
        assert_eq!((snapshot.manifest_format, snapshot.bytes), (1, 123));
        assert_eq!((snapshot.last_transaction, snapshot.store_bytes), (Some(1042), Some(1_000)));
        assert_eq!(snapshot.store_id.as_deref(), Some("1764105305123-8271"));
        assert_eq!(snapshot.to_string(), "s3://b/backups/hourly/2026-11-25T21-15-05Z-a1/store.tar.zst");
    }

    /// As an earlier version of the function has recorded it.
    #[test]
    fn a_record_without_what_was_added_is_read() {
        let mut json = serde_json::json!(snapshot());
        for field in ["last_transaction", "store_id", "store_bytes"] {
            assert!(json.as_object_mut().unwrap().remove(field).is_some(), "{field}");
        }
        let read: Snapshot = serde_json::from_value(json).unwrap();
        assert_eq!((read.last_transaction, read.store_id.as_deref(), read.store_bytes), (None, None, None));
        assert!(read.is(&snapshot()));
    }

    #[test]
    fn what_does_not_fit_is_a_clause() {
        type Change = fn(&mut Snapshot);
        let target = Target::of("3.4.9".parse().unwrap());
        assert_eq!(snapshot().fits(&target), Ok(()));
        let table: [(Change, &str); 5] = [
            (|s| s.neo4j = "3.5.1".parse().unwrap(), "it is of Neo4j 3.5.1 and the cluster is 3.4.9"),
            (
                |s| s.database = "../graph.db".into(),
                "it is of the database \"../graph.db\" and the cluster serves",
            ),
            (|s| s.database = String::new(), "it is of the database \"\""),
            (|s| s.bytes = 0, "its data has zero bytes"),
            (|s| s.sha256 = "x".repeat(64), "its sha256"),
        ];
        for (change, clause) in table {
            let mut snapshot = snapshot();
            change(&mut snapshot);
            let refused = snapshot.fits(&target).unwrap_err().to_string();
            assert!(refused.starts_with(clause), "{refused}");
        }
    }
}
