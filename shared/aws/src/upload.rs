//! Large objects: written in parts, on condition that they are absent, and read as they come. Deadlines follow the number of bytes,
//! because a transfer that goes on must not be cut.

use std::{env, time::Duration};

use aws_config::SdkConfig;
use aws_sdk_s3::{
    Client,
    config::{
        Builder, ResponseChecksumValidation, http::HttpResponse, retry::RetryConfig, timeout::TimeoutConfig,
    },
    error::{ProvideErrorMetadata, SdkError},
    primitives::ByteStream,
    types::{ChecksumAlgorithm, CompletedMultipartUpload, CompletedPart},
};
use bytes::Bytes;
use tokio::time::{Instant, timeout_at};

use crate::{Error, Kind, Put};

/// An attempt gets this, and a second for each MiB of it: 1 MiB/s is slower than any network that could make a backup in time.
const AT_LEAST: Duration = Duration::from_secs(30);
const MIB: u64 = 1 << 20;
/// Attempts of a part, and of a read that was cut.
const TRIES: u32 = 4;
/// S3 copies nothing when an upload is completed, and may still take minutes for thousands of parts.
const COMPLETION: Duration = Duration::from_secs(300);

/// Uploads and downloads of any bucket. Clones share their connections.
#[derive(Clone, Debug)]
pub struct Uploads {
    client: Client,
}

/// An upload that was begun. No object is there before it is completed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upload {
    pub bucket: String,
    pub key: String,
    id: String,
}

/// A part that S3 has taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// From 1 on.
    pub number: i32,
    etag: String,
    crc32: Option<String>,
}

impl Uploads {
    pub fn new(config: &SdkConfig) -> Self {
        // An emulator's endpoint has no host name per bucket.
        let path_style = env::var_os("AWS_ENDPOINT_URL").is_some();
        let config = Builder::from(config)
            .force_path_style(path_style)
            // The caller compares its own SHA-256 of all bytes; a second checksum would only hide which byte was which.
            .response_checksum_validation(ResponseChecksumValidation::WhenRequired);
        Self { client: Client::from_conf(config.build()) }
    }

    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    /// Begins the upload of an object of this content type. It costs storage until it is completed or aborted.
    ///
    /// # Errors
    /// When the call failed; an upload may have been begun all the same, which a rule of the bucket must remove.
    pub async fn begin(&self, bucket: &str, key: &str, content_type: &str) -> Result<Upload, Error> {
        const CALL: &str = "s3:PutObject (begin an upload)";
        let begun = self.client.create_multipart_upload().bucket(bucket).key(key).content_type(content_type);
        let begun = begun.checksum_algorithm(ChecksumAlgorithm::Crc32).send().await;
        let begun = begun.map_err(|error| Error::of(CALL, name(bucket, key), &error))?;
        match begun.upload_id {
            Some(id) => Ok(Upload { bucket: bucket.to_owned(), key: key.to_owned(), id }),
            None => Err(failed(CALL, bucket, key, "the answer names no upload".into())),
        }
    }

    /// Uploads one part, with the SDK's retries: its bytes are in memory, and the same part sent twice is one part.
    pub async fn part(&self, upload: &Upload, number: i32, body: Bytes) -> Result<Part, Error> {
        let attempt = attempt(body.len() as u64);
        let Upload { bucket, key, id } = upload;
        let part = self.client.upload_part().bucket(bucket).key(key).upload_id(id).part_number(number);
        let part = part.checksum_algorithm(ChecksumAlgorithm::Crc32).body(ByteStream::from(body));
        let tries = Builder::new()
            .retry_config(RetryConfig::standard().with_max_attempts(TRIES))
            .timeout_config(deadlines(attempt, attempt * (TRIES + 1)));
        // The CRC32 is signed and says what the bytes must be; another hash of all of them takes a processor from the compressor.
        let part = part.customize().disable_payload_signing().config_override(tries).send().await;
        let part = part.map_err(|error| Error::of("s3:PutObject (a part)", name(bucket, key), &error))?;
        let (etag, crc32) = (part.e_tag.unwrap_or_default(), part.checksum_crc32);
        Ok(Part { number, etag, crc32 })
    }

    /// Makes the object of its parts if no object is there, in one attempt: a second one after a lost answer would report a
    /// completed upload as an unknown one.
    ///
    /// # Errors
    /// When it is not known whether the object was made: read it.
    pub async fn complete(&self, upload: &Upload, parts: &[Part]) -> Result<Put, Error> {
        let completed = |part: &Part| {
            let completed = CompletedPart::builder().part_number(part.number).e_tag(&part.etag);
            completed.set_checksum_crc32(part.crc32.clone()).build()
        };
        let mut parts: Vec<CompletedPart> = parts.iter().map(completed).collect();
        parts.sort_by_key(CompletedPart::part_number);
        let parts = CompletedMultipartUpload::builder().set_parts(Some(parts)).build();
        let Upload { bucket, key, id } = upload;
        let call = self.client.complete_multipart_upload().bucket(bucket).key(key).upload_id(id);
        let call = call.multipart_upload(parts).if_none_match("*");
        let once = Builder::new()
            .retry_config(RetryConfig::disabled())
            .timeout_config(deadlines(COMPLETION, COMPLETION));
        match call.customize().config_override(once).send().await {
            Ok(answer) => Ok(Put::Written(answer.e_tag.unwrap_or_default())),
            Err(error) => match (status(&error), error.code()) {
                (Some(412), _) | (_, Some("PreconditionFailed")) => Ok(Put::Lost),
                (Some(409), _) | (_, Some("ConditionalRequestConflict")) => Ok(Put::Busy),
                (status, _) => {
                    let failed = Error::of("s3:PutObject (complete an upload)", name(bucket, key), &error);
                    // S3 says 200 before it has made the object; what it says in the body then may be tried again.
                    let kind = if status == Some(200) { Kind::Passing } else { failed.kind };
                    Err(Error { kind, ..failed })
                }
            },
        }
    }

    /// Ends an upload and gives back its storage. One that S3 does not know is ended.
    pub async fn abort(&self, upload: &Upload) -> Result<(), Error> {
        let Upload { bucket, key, id } = upload;
        let aborted = self.client.abort_multipart_upload().bucket(bucket).key(key).upload_id(id);
        match aborted.send().await {
            Ok(_) => Ok(()),
            Err(error) if error.code() == Some("NoSuchUpload") => Ok(()),
            Err(error) => Err(Error::of("s3:AbortMultipartUpload", name(bucket, key), &error)),
        }
    }

    /// Writes a text for operators if no object is there, in one attempt.
    ///
    /// # Errors
    /// When it is not known whether it was written: read it.
    pub async fn text(&self, bucket: &str, key: &str, text: Bytes) -> Result<Put, Error> {
        let attempt = attempt(text.len() as u64);
        let put = self.client.put_object().bucket(bucket).key(key).content_type("text/plain; charset=utf-8");
        let put = put.if_none_match("*").body(ByteStream::from(text));
        let once =
            Builder::new().retry_config(RetryConfig::disabled()).timeout_config(deadlines(attempt, attempt));
        match put.customize().config_override(once).send().await {
            Ok(answer) => Ok(Put::Written(answer.e_tag.unwrap_or_default())),
            Err(error) => match status(&error) {
                Some(412) => Ok(Put::Lost),
                Some(409) => Ok(Put::Busy),
                _ => Err(Error::of("s3:PutObject", name(bucket, key), &error)),
            },
        }
    }

    /// Begins to read an object, however long it is.
    ///
    /// # Errors
    /// When it is absent (`NoSuchKey`), or the call failed.
    pub async fn read(&self, bucket: &str, key: &str) -> Result<Download, Error> {
        let answer = self.client.get_object().bucket(bucket).key(key).send().await;
        let answer = answer.map_err(|error| Error::of(GET, name(bucket, key), &error))?;
        let bytes = answer.content_length.and_then(|bytes| u64::try_from(bytes).ok());
        let Some(bytes) = bytes else {
            return Err(failed(GET, bucket, key, "the answer has no length".into()));
        };
        Ok(Download {
            client: self.client.clone(),
            bucket: bucket.to_owned(),
            key: key.to_owned(),
            etag: answer.e_tag,
            bytes,
            read: 0,
            deadline: Instant::now() + attempt(bytes),
            body: Some(answer.body),
            cuts: 0,
        })
    }
}

pub(crate) const GET: &str = "s3:GetObject";

/// An object that is being read. A read that is cut goes on where it was, in the same version of the object.
#[derive(Debug)]
pub struct Download {
    client: Client,
    bucket: String,
    key: String,
    etag: Option<String>,
    bytes: u64,
    read: u64,
    deadline: Instant,
    /// `None` while the read is cut.
    body: Option<ByteStream>,
    /// Since bytes came last.
    cuts: u32,
}

impl Download {
    /// The length of the whole object.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The next bytes; `None` after the last ones. The call may be dropped and made again: no byte is lost.
    pub async fn next(&mut self) -> Option<Result<Bytes, Error>> {
        loop {
            let cut = match &mut self.body {
                Some(body) => match timeout_at(self.deadline, body.next()).await {
                    Ok(Some(Ok(bytes))) => {
                        self.read += bytes.len() as u64;
                        self.cuts = 0;
                        return Some(Ok(bytes));
                    }
                    Ok(None) if self.read >= self.bytes => return None,
                    Ok(None) => self.failed("it ended before its last byte".into()),
                    Ok(Some(Err(error))) => self.failed(error.to_string()),
                    Err(_) => return Some(Err(self.late())),
                },
                None => match timeout_at(self.deadline, self.rest()).await {
                    Ok(Ok(body)) => {
                        self.body = Some(body);
                        continue;
                    }
                    Ok(Err(error)) if error.kind.passes() => error,
                    Ok(Err(error)) => return Some(Err(error)),
                    Err(_) => return Some(Err(self.late())),
                },
            };
            self.body = None;
            self.cuts += 1;
            if self.cuts >= TRIES {
                return Some(Err(cut));
            }
        }
    }

    /// With the SDK's own retries before it is counted as one cut more.
    async fn rest(&self) -> Result<ByteStream, Error> {
        let rest = self.client.get_object().bucket(&self.bucket).key(&self.key);
        let rest = rest.range(format!("bytes={}-", self.read)).set_if_match(self.etag.clone()).send().await;
        let rest = rest.map_err(|error| Error::of(GET, name(&self.bucket, &self.key), &error))?;
        // A server that ignores the range would give the first bytes twice.
        let length = rest.content_length.and_then(|bytes| u64::try_from(bytes).ok());
        if length != Some(self.bytes - self.read) {
            return Err(failed(GET, &self.bucket, &self.key, "the rest of it has another length".into()));
        }
        Ok(rest.body)
    }

    fn late(&self) -> Error {
        let seconds = attempt(self.bytes).as_secs();
        self.failed(format!("{} of {} bytes came within {seconds} s", self.read, self.bytes))
    }

    /// The next try may succeed.
    fn failed(&self, reason: String) -> Error {
        Error { kind: Kind::Passing, ..failed(GET, &self.bucket, &self.key, reason) }
    }
}

pub(crate) fn attempt(bytes: u64) -> Duration {
    AT_LEAST + Duration::from_secs(bytes.div_ceil(MIB))
}

pub(crate) fn deadlines(attempt: Duration, operation: Duration) -> TimeoutConfig {
    TimeoutConfig::builder().operation_attempt_timeout(attempt).operation_timeout(operation).build()
}

pub(crate) fn name(bucket: &str, key: &str) -> String {
    format!("s3://{bucket}/{key}")
}

pub(crate) fn failed(call: &'static str, bucket: &str, key: &str, reason: String) -> Error {
    Error { call, what: name(bucket, key), reason, kind: Kind::Other }
}

pub(crate) fn status<E>(error: &SdkError<E, HttpResponse>) -> Option<u16> {
    error.raw_response().map(|raw| raw.status().as_u16())
}

#[cfg(test)]
mod tests;
