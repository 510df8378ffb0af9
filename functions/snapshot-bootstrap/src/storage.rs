//! What is needed from S3: the seam at which tests have a bucket in memory.

use aws::{Error, Head, Objects, Put, Stored};

/// Objects of any bucket.
pub trait Storage: Send + Sync + 'static {
    /// All keys of `bucket` that start with `prefix`, each with its length in bytes.
    fn list(
        &self,
        bucket: &str,
        prefix: &str,
    ) -> impl Future<Output = Result<Vec<(String, u64)>, Error>> + Send;
    /// Length and version of an object; `None` if absent.
    fn head(&self, bucket: &str, key: &str) -> impl Future<Output = Result<Option<Head>, Error>> + Send;
    /// An object of at most `longest` bytes; `None` if absent.
    fn get(
        &self,
        bucket: &str,
        key: &str,
        longest: usize,
    ) -> impl Future<Output = Result<Option<Stored>, Error>> + Send;
    /// Writes if the object is still the version `seen` (`None`: if it is still absent).
    fn put(
        &self,
        bucket: &str,
        key: &str,
        body: Vec<u8>,
        seen: Option<&str>,
    ) -> impl Future<Output = Result<Put, Error>> + Send;
}

impl Storage for Objects {
    async fn list(&self, bucket: &str, prefix: &str) -> Result<Vec<(String, u64)>, Error> {
        self.list(bucket, prefix).await
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
