//! One range of an object in one version, in memory: what a large download in parts is made of.

use std::{ops::Range, time::Duration};

use aws_sdk_s3::{
    config::{Builder, retry::RetryConfig},
    operation::get_object::GetObjectOutput,
};
use bytes::Bytes;
use tokio::time::{sleep, timeout};

use crate::{
    Error, Kind, Uploads,
    upload::{GET, attempt, deadlines, failed, name, status},
};

/// Requests for one range. The waits between them, each twice as long as the one before, are 15 s together: S3 asks for fewer
/// requests for no longer than that, and nothing of a restore that has begun is kept when it fails.
const TRIES: u32 = 6;
const FIRST_WAIT: Duration = Duration::from_millis(500);

/// One version of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectVersion {
    pub bucket: String,
    pub key: String,
    /// What `If-Match` has.
    pub etag: String,
    /// The length that it must have, bytes.
    pub bytes: u64,
}

/// Why a range was not read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unread {
    /// There is no such object (404).
    Absent,
    /// The object is another version now (412).
    Changed,
    /// The object has another length, bytes; `None` if S3 says only that it is shorter (416).
    Length(Option<u64>),
    /// The call failed, after all tries.
    Failed(Error),
}

impl Uploads {
    /// Reads `range` of `version`, which takes as much memory as the range is long.
    ///
    /// # Errors
    /// When the object is not this version, or the range did not come whole in any try.
    pub async fn range(&self, version: &ObjectVersion, range: Range<u64>) -> Result<Bytes, Unread> {
        tried(|| self.try_range(version, &range)).await
    }

    async fn try_range(&self, version: &ObjectVersion, range: &Range<u64>) -> Result<Bytes, Unread> {
        let ObjectVersion { bucket, key, etag, bytes } = version;
        let length = range.end - range.start;
        let within = attempt(length);
        // The body is not among what the SDK would try again, so all tries are the caller's.
        let once =
            Builder::new().retry_config(RetryConfig::disabled()).timeout_config(deadlines(within, within));
        let get = self.client().get_object().bucket(bucket).key(key).if_match(etag);
        let get = get.range(format!("bytes={}-{}", range.start, range.end - 1));
        let answer = match get.customize().config_override(once).send().await {
            Ok(answer) => answer,
            Err(error) => {
                return Err(match status(&error) {
                    Some(412) => Unread::Changed,
                    Some(416) => Unread::Length(None),
                    _ => match Error::of(GET, name(bucket, key), &error) {
                        absent if absent.reason.starts_with("NoSuchKey") => Unread::Absent,
                        other => Unread::Failed(other),
                    },
                });
            }
        };
        match total(&answer) {
            Some(total) if total != *bytes => return Err(Unread::Length(Some(total))),
            // All of it was sent, as by a server that knows no ranges: the first bytes would be taken for others.
            None if range.start > 0 || length != *bytes => {
                let reason = "the answer says no range".to_owned();
                return Err(Unread::Failed(failed(GET, bucket, key, reason)));
            }
            Some(_) | None => {}
        }
        let passing =
            |reason| Unread::Failed(Error { kind: Kind::Passing, ..failed(GET, bucket, key, reason) });
        match timeout(within, body(answer, length)).await {
            Ok(Ok(body)) if body.len() as u64 == length => Ok(body),
            Ok(Ok(body)) => Err(passing(format!("{} of {length} bytes of a part came", body.len()))),
            Ok(Err(reason)) => Err(passing(reason)),
            Err(_) => {
                Err(passing(format!("a part of {length} bytes did not come within {} s", within.as_secs())))
            }
        }
    }
}

/// Tries it again as long as that may help.
async fn tried<T, F: Future<Output = Result<T, Unread>>>(once: impl Fn() -> F) -> Result<T, Unread> {
    let mut wait = FIRST_WAIT;
    for _again in 1..TRIES {
        match once().await {
            Err(Unread::Failed(error)) if error.kind.passes() => sleep(wait).await,
            done => return done,
        }
        wait *= 2;
    }
    once().await
}

/// The length of the whole object: the end of `bytes 0-7/123`.
fn total(answer: &GetObjectOutput) -> Option<u64> {
    answer.content_range()?.rsplit('/').next()?.parse().ok()
}

/// In one piece, and never more than was asked for.
async fn body(mut answer: GetObjectOutput, length: u64) -> Result<Bytes, String> {
    let mut body = Vec::with_capacity(usize::try_from(length).map_err(|error| error.to_string())?);
    while let Some(bytes) = answer.body.next().await {
        let bytes = bytes.map_err(|error| error.to_string())?;
        if (body.len() + bytes.len()) as u64 > length {
            return Err(format!("more than {length} bytes of a part came"));
        }
        body.extend_from_slice(&bytes);
    }
    Ok(body.into())
}

#[cfg(test)]
mod tests;
