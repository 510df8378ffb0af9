//! What is needed of S3: the seam that tests put a bucket in memory behind.

use aws::{Error, Head, Objects, Put, Stored};

/// Objects of any bucket.
pub trait Storage: Send + Sync + 'static {
    /// All keys of `bucket` that start with `prefix`.
    fn keys(&self, bucket: &str, prefix: &str) -> impl Future<Output = Result<Vec<String>, Error>> + Send;
    /// Length and version of an object; none when there is none.
    fn head(&self, bucket: &str, key: &str) -> impl Future<Output = Result<Option<Head>, Error>> + Send;
    /// An object of at most `longest` bytes; none when there is none.
    fn get(
        &self,
        bucket: &str,
        key: &str,
        longest: usize,
    ) -> impl Future<Output = Result<Option<Stored>, Error>> + Send;
    /// Writes if the object is still the version `seen` (none: if there is still none).
    fn put(
        &self,
        bucket: &str,
        key: &str,
        body: Vec<u8>,
        seen: Option<&str>,
    ) -> impl Future<Output = Result<Put, Error>> + Send;
}

impl Storage for Objects {
    async fn keys(&self, bucket: &str, prefix: &str) -> Result<Vec<String>, Error> {
        self.keys(bucket, prefix).await
    }

    async fn head(&self, bucket: &str, key: &str) -> Result<Option<Head>, Error> {
        self.head(bucket, key).await
    }

    async fn get(&self, bucket: &str, key: &str, longest: usize) -> Result<Option<Stored>, Error> {
        self.get(bucket, key, longest).await
    }

    async fn put(&self, bucket: &str, key: &str, body: Vec<u8>, seen: Option<&str>) -> Result<Put, Error> {
        self.put(bucket, key, body, seen).await
    }
}
