//! One S3 object with conditional writes: the single-writer guarantee.

use aws_config::SdkConfig;

use crate::{Error, Objects, Put, Stored};

/// The state is a few kilobytes; a larger object is not ours, and is not read.
const LONGEST: usize = 1 << 20;

/// An object in a bucket. Clones share their connections.
#[derive(Clone, Debug)]
pub struct Object {
    objects: Objects,
    bucket: String,
    key: String,
}

impl Object {
    pub fn new(config: &SdkConfig, bucket: impl Into<String>, key: impl Into<String>) -> Self {
        Self { objects: Objects::new(config), bucket: bucket.into(), key: key.into() }
    }

    /// Reads it; `None` if absent.
    pub async fn get(&self) -> Result<Option<Stored>, Error> {
        self.objects.get(&self.bucket, &self.key, LONGEST).await
    }

    /// Writes it if it is still the version `seen` (`None`: if it is still absent), in one attempt. Neither
    /// [`Put::Lost`] nor an error proves that the caller's write is not the one that is there: read it.
    pub async fn put(&self, body: Vec<u8>, seen: Option<&str>) -> Result<Put, Error> {
        self.objects.put(&self.bucket, &self.key, body, seen).await
    }
}
