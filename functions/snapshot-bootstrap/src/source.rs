//! What a cluster is founded from, in the words of a template.

use std::{fmt, str::FromStr};

use backups::MANIFEST;
use serde::Deserialize;

/// The longest key that S3 allows, bytes.
const LONGEST_KEY: usize = 1024;

/// The property `Source`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum Source {
    /// Empty, or `none`: an empty cluster.
    Empty,
    /// `latest`: the newest backup in the bucket of backups.
    Latest,
    /// `s3://<bucket>/<folder>` of a backup, or `s3://<bucket>/<folder>/manifest.json`.
    Exact {
        bucket: String,
        /// The key of the manifest.
        manifest: String,
    },
}

/// Text that names no source. No message repeats it: an operator may have put a presigned URL there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotASource {
    #[error("it must be latest, none, or s3://<bucket>/<folder of a backup>")]
    Form,
    #[error("the bucket in it is no name of a bucket: it must be s3://<bucket>/<folder of a backup>")]
    Bucket,
    #[error("the key in it has an empty part, . or .., or characters that keys of backups do not have")]
    Key,
}

impl FromStr for Source {
    type Err = NotASource;

    fn from_str(text: &str) -> Result<Self, NotASource> {
        match text.trim() {
            "" | "none" => Ok(Self::Empty),
            "latest" => Ok(Self::Latest),
            uri => {
                let (bucket, key) = uri
                    .strip_prefix("s3://")
                    .and_then(|rest| rest.split_once('/'))
                    .ok_or(NotASource::Form)?;
                let plain =
                    |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b".-".contains(&byte);
                if !(3..=63).contains(&bucket.len()) || !bucket.bytes().all(plain) {
                    return Err(NotASource::Bucket);
                }
                let key = key.strip_suffix('/').unwrap_or(key);
                if !key.split('/').all(is_part) {
                    return Err(NotASource::Key);
                }
                let is_manifest = key.rsplit('/').next() == Some(MANIFEST);
                let manifest = if is_manifest { key.to_owned() } else { format!("{key}/{MANIFEST}") };
                if manifest.len() > LONGEST_KEY {
                    return Err(NotASource::Key);
                }
                Ok(Self::Exact { bucket: bucket.to_owned(), manifest })
            }
        }
    }
}

fn is_part(part: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"!_.*'()=+@,-".contains(&byte);
    !matches!(part, "" | "." | "..") && part.bytes().all(plain)
}

impl TryFrom<String> for Source {
    type Error = NotASource;

    fn try_from(text: String) -> Result<Self, NotASource> {
        text.parse()
    }
}

/// One text for all ways to write the same source: the founding record compares it.
impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("none"),
            Self::Latest => f.write_str("latest"),
            Self::Exact { bucket, manifest } => write!(f, "s3://{bucket}/{manifest}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_and_its_folder_are_the_same_source() {
        let exact =
            Source::Exact { bucket: "my.bucket-1".into(), manifest: "backups/daily/x/manifest.json".into() };
        for text in [
            "s3://my.bucket-1/backups/daily/x",
            "s3://my.bucket-1/backups/daily/x/",
            " s3://my.bucket-1/backups/daily/x/manifest.json\n",
        ] {
            assert_eq!(text.parse(), Ok(exact.clone()));
        }
        assert_eq!(exact.to_string(), "s3://my.bucket-1/backups/daily/x/manifest.json");
        for (text, source) in [("", Source::Empty), ("none", Source::Empty), (" latest ", Source::Latest)] {
            assert_eq!(text.parse(), Ok(source));
        }
    }

    #[test]
    fn whatever_leads_elsewhere_is_refused() {
        let table = [
            ("Latest", NotASource::Form),
            ("newest", NotASource::Form),
            ("/backups/x", NotASource::Form),
            ("https://bucket.example/x?X-Amz-Signature=s3cret", NotASource::Form),
            ("s3://bucket", NotASource::Form),
            ("s3:///key", NotASource::Bucket),
            ("s3://UP/key", NotASource::Bucket),
            ("s3://user:password@bucket/key", NotASource::Bucket),
            ("s3://bucket/", NotASource::Key),
            ("s3://bucket//x", NotASource::Key),
            ("s3://bucket/a/../b", NotASource::Key),
            ("s3://bucket/..", NotASource::Key),
            ("s3://bucket/a\\b", NotASource::Key),
            ("s3://bucket/a?versionId=1", NotASource::Key),
            ("s3://bucket/a\nb", NotASource::Key),
            ("s3://bucket/\u{fc}", NotASource::Key),
        ];
        for (text, expected) in table {
            assert_eq!(text.parse::<Source>(), Err(expected), "{text:?}");
            assert!(!expected.to_string().contains("s3cret"));
        }
        assert_eq!(format!("s3://bucket/{}", "k".repeat(1024)).parse::<Source>(), Err(NotASource::Key));
    }
}
