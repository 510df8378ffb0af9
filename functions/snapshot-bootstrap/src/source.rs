//! What a cluster is founded from, in the words of a template.

use std::{fmt, str::FromStr};

use backups::{MANIFEST, Time};
use serde::Deserialize;

/// The longest key that S3 allows, bytes.
const LONGEST_KEY: usize = 1024;

/// What a source begins with that names a time.
const BEFORE: &str = "before:";
const LATEST: &str = "latest";

/// The property `Source`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum Source {
    /// Empty, or `none`: an empty cluster.
    Empty,
    /// `latest`, or `s3://<bucket>/latest`: the newest verified backup.
    Latest {
        /// `None` for the stack's own bucket of backups.
        bucket: Option<String>,
    },
    /// `before:2026-11-25T14:00Z`, or `s3://<bucket>/before:2026-11-25T14:00Z`: the newest verified backup that has nothing
    /// from that time on in it.
    Before {
        /// `None` for the stack's own bucket of backups.
        bucket: Option<String>,
        time: Time,
    },
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
    #[error("it must be latest, before:<time>, none, or s3://<bucket>/<folder of a backup>")]
    Form,
    #[error("the bucket in it is no name of a bucket: it must be s3://<bucket>/<folder of a backup>")]
    Bucket,
    #[error("the key in it has an empty part, . or .., or characters that keys of backups do not have")]
    Key,
    #[error("the time in it is not one of UTC, such as before:2026-11-25T14:00Z")]
    Time,
}

impl Source {
    /// The bucket that it names; `None` for the stack's own.
    pub fn bucket(&self) -> Option<&str> {
        match self {
            Self::Empty => None,
            Self::Latest { bucket } | Self::Before { bucket, .. } => bucket.as_deref(),
            Self::Exact { bucket, .. } => Some(bucket),
        }
    }

    /// `latest` or `before:<time>` in `bucket`; `None` if it is neither.
    fn chosen(word: &str, bucket: Option<&str>) -> Option<Result<Self, NotASource>> {
        let bucket = bucket.map(str::to_owned);
        if word == LATEST {
            return Some(Ok(Self::Latest { bucket }));
        }
        let time = Time::typed(word.strip_prefix(BEFORE)?.trim());
        Some(time.map(|time| Self::Before { bucket, time }).map_err(|_| NotASource::Time))
    }
}

impl FromStr for Source {
    type Err = NotASource;

    fn from_str(text: &str) -> Result<Self, NotASource> {
        let text = text.trim();
        if matches!(text, "" | "none") {
            return Ok(Self::Empty);
        }
        if let Some(chosen) = Self::chosen(text, None) {
            return chosen;
        }
        let (bucket, key) =
            text.strip_prefix("s3://").and_then(|rest| rest.split_once('/')).ok_or(NotASource::Form)?;
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b".-".contains(&byte);
        if !(3..=63).contains(&bucket.len()) || !bucket.bytes().all(plain) {
            return Err(NotASource::Bucket);
        }
        let key = key.strip_suffix('/').unwrap_or(key);
        // A folder that is called latest is meant by the name of its manifest; no key has a colon.
        if let Some(chosen) = Self::chosen(key, Some(bucket)) {
            return chosen;
        }
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
        if let Some(bucket) = self.bucket() {
            write!(f, "s3://{bucket}/")?;
        }
        match self {
            Self::Empty => f.write_str("none"),
            Self::Latest { .. } => f.write_str(LATEST),
            Self::Before { time, .. } => write!(f, "{BEFORE}{time}"),
            Self::Exact { manifest, .. } => f.write_str(manifest),
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
    }

    #[test]
    fn what_is_to_be_chosen_has_one_text_for_all_ways_to_write_it() {
        let time = "2026-11-25T14-00-00Z".parse().unwrap();
        let latest = |bucket: Option<&str>| Source::Latest { bucket: bucket.map(str::to_owned) };
        let before = |bucket: Option<&str>| Source::Before { bucket: bucket.map(str::to_owned), time };
        let table = [
            ("", Source::Empty, "none"),
            ("none", Source::Empty, "none"),
            (" latest ", latest(None), "latest"),
            ("s3://bucket/latest", latest(Some("bucket")), "s3://bucket/latest"),
            ("s3://bucket/latest/", latest(Some("bucket")), "s3://bucket/latest"),
            ("before:2026-11-25T14:00Z", before(None), "before:2026-11-25T14-00-00Z"),
            (" before: 2026-11-25T14:00:00Z", before(None), "before:2026-11-25T14-00-00Z"),
            ("before:2026-11-25T14-00-00Z", before(None), "before:2026-11-25T14-00-00Z"),
            (
                "s3://bucket/before:2026-11-25T14:00Z",
                before(Some("bucket")),
                "s3://bucket/before:2026-11-25T14-00-00Z",
            ),
        ];
        for (text, source, canonical) in table {
            assert_eq!(text.parse(), Ok(source.clone()), "{text:?}");
            assert_eq!(source.to_string(), canonical);
            assert_eq!(canonical.parse(), Ok(source), "it is read back");
        }
        let folder = "s3://bucket/latest/manifest.json".parse::<Source>().unwrap();
        assert!(matches!(folder, Source::Exact { .. }), "a folder of that name has another one too");
    }

    #[test]
    fn whatever_leads_elsewhere_is_refused() {
        let table = [
            ("Latest", NotASource::Form),
            ("newest", NotASource::Form),
            ("/backups/x", NotASource::Form),
            ("https://bucket.example/x?X-Amz-Signature=s3cret", NotASource::Form),
            ("s3://bucket", NotASource::Form),
            ("before:", NotASource::Time),
            ("before:yesterday", NotASource::Time),
            ("before:2026-11-25T14:00", NotASource::Time),
            ("before:2026-11-25T14:00+01:00", NotASource::Time),
            ("before 2026-11-25T14:00Z", NotASource::Form),
            ("s3://bucket/before:s3cret", NotASource::Time),
            ("s3://bucket/backups/before:2026-11-25T14:00Z", NotASource::Key),
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
