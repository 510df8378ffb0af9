//! One S3 object with conditional writes: the single-writer guarantee.

use std::env;

use aws_config::SdkConfig;
use aws_sdk_s3::{Client, error::ProvideErrorMetadata, primitives::ByteStream};

use crate::{Error, Kind};

/// The state is some hundred bytes; whatever is larger is not ours, and is not read.
const LONGEST: i64 = 1 << 20;

/// An object in a bucket. Clones share their connections.
#[derive(Clone, Debug)]
pub struct Object {
    client: Client,
    bucket: String,
    key: String,
}

/// An object's content and its version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// The content.
    pub body: Vec<u8>,
    /// The ETag, for the next conditional write.
    pub etag: String,
}

/// How a conditional write ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Put {
    /// It is written; this is its ETag.
    Written(String),
    /// Somebody else wrote since it was read; nothing was changed.
    Lost,
}

impl Object {
    /// The object `key` of `bucket`.
    pub fn new(config: &SdkConfig, bucket: impl Into<String>, key: impl Into<String>) -> Self {
        // An emulator's endpoint has no name per bucket.
        let path_style = env::var_os("AWS_ENDPOINT_URL").is_some();
        let config = aws_sdk_s3::config::Builder::from(config).force_path_style(path_style).build();
        Self { client: Client::from_conf(config), bucket: bucket.into(), key: key.into() }
    }

    /// Reads it; none when there is none.
    pub async fn get(&self) -> Result<Option<Stored>, Error> {
        let answer = match self.client.get_object().bucket(&self.bucket).key(&self.key).send().await {
            Ok(answer) => answer,
            Err(error) if error.code() == Some("NoSuchKey") => return Ok(None),
            Err(error) => return Err(Error::of("s3:GetObject", self.name(), &error)),
        };
        let failed =
            |reason: String| Error { call: "s3:GetObject", what: self.name(), reason, kind: Kind::Other };
        if answer.content_length().is_some_and(|length| length > LONGEST) {
            return Err(failed(format!("it is larger than {LONGEST} bytes, so it is not the state")));
        }
        let etag = answer.e_tag().unwrap_or_default().to_owned();
        let body = answer.body.collect().await.map_err(|error| failed(error.to_string()))?;
        Ok(Some(Stored { body: body.to_vec(), etag }))
    }

    /// Writes it if it is still the version `seen` (none: if there is still none).
    pub async fn put(&self, body: Vec<u8>, seen: Option<&str>) -> Result<Put, Error> {
        let put = self.client.put_object().bucket(&self.bucket).key(&self.key).body(ByteStream::from(body));
        let put = match seen {
            Some(etag) => put.if_match(etag),
            None => put.if_none_match("*"),
        };
        match put.content_type("application/json").send().await {
            Ok(answer) => Ok(Put::Written(answer.e_tag().unwrap_or_default().to_owned())),
            // 412 when another version is there, 409 when another conditional write is under way, 404 when it was
            // deleted meanwhile.
            Err(error)
                if matches!(error.raw_response().map(|raw| raw.status().as_u16()), Some(404 | 409 | 412)) =>
            {
                Ok(Put::Lost)
            }
            Err(error) => Err(Error::of("s3:PutObject", self.name(), &error)),
        }
    }

    fn name(&self) -> String {
        format!("s3://{}/{}", self.bucket, self.key)
    }
}
