//! A backup that was resolved, looked at and found fit: what a cluster is founded from.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{Counts, Version};

/// Exactly one object in one version. Nodes read it with `If-Match`, so that what they restore is what was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// What was asked for: `latest`, or a URI. The same words are not resolved again.
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
    /// Length of the data.
    pub bytes: u64,
    /// SHA-256 of the data.
    pub sha256: String,
    /// The Neo4j that wrote the store.
    pub neo4j: Version,
    /// The database.
    pub database: String,
    /// What is in it, when it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counts: Option<Counts>,
}

impl Snapshot {
    /// Whether both are the same object in the same version, however they were asked for.
    pub fn is(&self, other: &Self) -> bool {
        (&self.bucket, &self.key, &self.etag) == (&other.bucket, &other.key, &other.etag)
    }
}

impl fmt::Display for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "s3://{}/{}", self.bucket, self.key)
    }
}
