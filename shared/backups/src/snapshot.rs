//! A backup that was resolved and checked: what a cluster is founded from.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{Counts, Version};

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
}

impl Snapshot {
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
