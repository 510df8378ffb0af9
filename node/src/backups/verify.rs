//! `node backups verify`: whether the data is still what was read back when the backup was made.

use std::time::Duration;

use aws::{Download, Uploads};
use backups::Entry;
use bytes::Bytes;
use serde::Serialize;
use sha2::{Digest, Sha256};
use tokio::time::{Instant, MissedTickBehavior, interval_at};

use super::{
    facts::{Backup, Verdict},
    figures::{number, size, span},
    json,
};

/// Often enough to see that it goes on, and seldom enough to be read.
const PROGRESS: Duration = Duration::from_secs(5);

/// Why the data is not proven.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    #[error(
        "the data of {folder} cannot be proven, and nothing of it was read: {verdict}; `node backups list` names another backup"
    )]
    Nothing { folder: String, verdict: String },
    #[error(
        "the data of {folder} is not proven: reading {uri} broke off after {done} of {of} bytes: {error}; run it again"
    )]
    Broken { folder: String, uri: String, done: String, of: String, error: Box<aws::Error> },
    #[error(
        "the data of {folder} is NOT what its manifest says: {uri} has {difference}: do not restore it; `node backups list` \
         names another backup, and an earlier version of the object may be the right one: \
         `aws s3api list-object-versions --bucket {bucket} --prefix {folder}/`"
    )]
    Differs { bucket: String, folder: String, uri: String, difference: String },
}

/// What was read.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Read {
    bytes: u64,
    /// 64 small hexadecimal digits.
    sha256: String,
    took: Duration,
}

/// The JSON of `verify`, which is printed for data that is proven: data that is not is a sentence on standard error, and a failure. A
/// later version may add fields, as long as `format` is 1.
#[derive(Debug, Serialize)]
struct Proof<'p> {
    /// 1.
    format: u32,
    /// The bucket.
    bucket: &'p str,
    /// `backups/<tier>/<time>-<id>`.
    folder: &'p str,
    /// The key of the data that was read.
    data_key: &'p str,
    /// Its length, as read and as the manifest has it, bytes.
    bytes: u64,
    /// Its SHA-256, as read and as the manifest has it.
    sha256: &'p str,
    /// How long it took to read.
    seconds: u64,
    /// What the backup is worth: data that is whole may be that of an inconsistent store.
    verdict: Verdict,
}

/// Data that comes in parts, however long it is.
trait Parts {
    /// The next part; `None` after the last one. It may be dropped and called again.
    async fn next(&mut self) -> Option<Result<Bytes, aws::Error>>;
}

impl Parts for Download {
    async fn next(&mut self) -> Option<Result<Bytes, aws::Error>> {
        self.next().await
    }
}

/// Reads all data of `entry`, with progress on standard error.
///
/// # Errors
/// When it is not what the manifest says, or could not be read.
pub(super) async fn run(
    uploads: &Uploads,
    bucket: &str,
    entry: &Entry,
    backup: &Backup,
    as_json: bool,
) -> Result<String, Fault> {
    let folder = backup.folder.clone();
    let data = match (&entry.manifest, backup.verdict) {
        (Ok(manifest), Verdict::Verified | Verdict::Unchecked | Verdict::Inconsistent) => &manifest.data,
        // Also when the listing says that its data is of another length: that costs no transfer.
        (_, _) => return Err(Fault::Nothing { folder, verdict: backup.verdict() }),
    };
    let uri = format!("s3://{bucket}/{}", data.key);
    eprintln!("reading {} of {uri}", size(data.bytes));
    let mut done = 0;
    let read = async {
        let mut parts = uploads.read(bucket, &data.key).await?;
        stream(&mut parts, &mut done, data.bytes, PROGRESS, |line| eprintln!("{line}")).await
    };
    let read = match read.await {
        Ok(read) => read,
        Err(error) => {
            let (done, of) = (number(done), number(data.bytes));
            return Err(Fault::Broken { folder, uri, done, of, error: Box::new(error) });
        }
    };
    if let Some(difference) = difference(&read, data) {
        return Err(Fault::Differs { bucket: bucket.to_owned(), folder, uri, difference });
    }
    Ok(render(&read, bucket, backup, &data.key, as_json))
}

/// Reads to the end. `done` says how far it came, whatever becomes of it.
async fn stream(
    parts: &mut impl Parts,
    done: &mut u64,
    total: u64,
    every: Duration,
    mut say: impl FnMut(&str),
) -> Result<Read, aws::Error> {
    let began = Instant::now();
    let mut hash = Sha256::new();
    let mut tick = interval_at(began + every, every);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            // First, so that a reader that is faster than this machine still says how far it is.
            biased;
            _ = tick.tick() => say(&progress(*done, total, began.elapsed())),
            part = parts.next() => match part {
                Some(part) => {
                    let part = part?;
                    hash.update(&part);
                    *done += part.len() as u64;
                }
                None => break,
            },
        }
    }
    let sha256 = hash.finalize().iter().fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"));
    Ok(Read { bytes: *done, sha256, took: began.elapsed() })
}

/// How far it is, how fast it goes, and how long it will take.
fn progress(done: u64, total: u64, took: Duration) -> String {
    let percent = u128::from(done) * 100 / u128::from(total.max(1));
    let left = match u128::from(total.saturating_sub(done)) * took.as_millis() / u128::from(done.max(1)) {
        _ if done == 0 => "nothing came yet".to_owned(),
        millis => format!("{} left", span(Duration::from_millis(u64::try_from(millis).unwrap_or(u64::MAX)))),
    };
    format!("{percent} % of {}, {}, {left}", size(total), speed(done, took))
}

/// Megabytes of 10^6 bytes in a second, as networks are sold.
fn speed(bytes: u64, took: Duration) -> String {
    let tenths = u128::from(bytes) / took.as_millis().max(1) / 100;
    format!("{}.{} MB/s", tenths / 10, tenths % 10)
}

/// What of the data is not as the manifest says; `None` if all of it is.
fn difference(read: &Read, data: &backups::Data) -> Option<String> {
    if read.bytes != data.bytes {
        let (read, said) = (number(read.bytes), number(data.bytes));
        return Some(format!("{read} bytes, and the manifest says {said}"));
    }
    (read.sha256 != data.sha256)
        .then(|| format!("the SHA-256 {}, and the manifest says {}", read.sha256, data.sha256))
}

fn render(read: &Read, bucket: &str, backup: &Backup, data_key: &str, as_json: bool) -> String {
    let Read { bytes, sha256, took } = read;
    let (folder, verdict) = (backup.folder.as_str(), backup.verdict);
    if as_json {
        let (bytes, seconds) = (*bytes, took.as_secs());
        return json(&Proof { format: 1, bucket, folder, data_key, bytes, sha256, seconds, verdict });
    }
    let worth = match verdict {
        Verdict::Verified => "verified".to_owned(),
        _ => format!("still not verified ({})", backup.verdict()),
    };
    format!(
        "the data of {folder} is what its manifest says: {} bytes with the SHA-256 {sha256}, read in {} ({}); the backup is {worth}\n",
        number(*bytes),
        span(*took),
        speed(*bytes, *took)
    )
}

#[cfg(test)]
mod tests {
    use std::{collections::VecDeque, sync::Arc};

    use backups::Data;
    use tokio::sync::Notify;

    use super::*;
    use crate::backups::example::{A1, BUCKET, E5, backup};

    /// SHA-256 of `abcdef`.
    const SHA256: &str = "bef57ec7f53a6d40beb640a780a639c83bc29ac8a9816f1fc6c5c6dcd93c4721";

    /// A part comes only when progress was said once more.
    struct Slow {
        parts: VecDeque<Result<&'static str, aws::Error>>,
        said: Arc<Notify>,
    }

    impl Parts for Slow {
        async fn next(&mut self) -> Option<Result<Bytes, aws::Error>> {
            self.said.notified().await;
            Some(self.parts.pop_front()?.map(Bytes::from))
        }
    }

    fn broken() -> aws::Error {
        let (call, what) = ("s3:GetObject", "s3://b/k".to_owned());
        aws::Error { call, what, reason: "it ended early".into(), kind: aws::Kind::Passing }
    }

    async fn streamed(
        parts: Vec<Result<&'static str, aws::Error>>,
    ) -> (Result<Read, aws::Error>, u64, Vec<String>) {
        let said = Arc::new(Notify::new());
        let mut slow = Slow { parts: parts.into(), said: Arc::clone(&said) };
        let (mut done, mut lines) = (0, Vec::new());
        let say = |line: &str| {
            lines.push(line.split_once(',').unwrap().0.to_owned());
            said.notify_one();
        };
        let read = stream(&mut slow, &mut done, 6, Duration::from_millis(1), say).await;
        // A slow machine may say one of them twice.
        lines.dedup();
        (read, done, lines)
    }

    /// Also while nothing comes at all.
    #[tokio::test]
    async fn progress_is_said_by_the_clock_and_all_is_hashed() {
        let (read, done, said) = streamed(vec![Ok("ab"), Ok("cd"), Ok("ef")]).await;
        let read = read.unwrap();
        assert_eq!((read.bytes, read.sha256.as_str(), done), (6, SHA256, 6));
        assert_eq!(said, ["0 % of 6 B", "33 % of 6 B", "66 % of 6 B", "100 % of 6 B"]);
    }

    #[tokio::test]
    async fn what_breaks_off_says_how_far_it_came() {
        let (read, done, _) = streamed(vec![Ok("ab"), Err(broken())]).await;
        assert_eq!((read, done), (Err(broken()), 2));
    }

    #[test]
    fn progress_has_percent_speed_and_the_time_that_is_left() {
        let progress = |done, total| progress(done, total, Duration::from_secs(10));
        assert_eq!(progress(0, 5 << 30), "0 % of 5.0 GiB, 0.0 MB/s, nothing came yet");
        assert_eq!(progress(1 << 30, 5 << 30), "20 % of 5.0 GiB, 107.3 MB/s, 40 s left");
        assert_eq!(progress(0, 0), "0 % of 0 B, 0.0 MB/s, nothing came yet");
    }

    fn read(bytes: u64) -> Read {
        Read { bytes, sha256: SHA256.into(), took: Duration::from_secs(2) }
    }

    #[test]
    fn length_and_checksum_are_both_compared() {
        let data = |bytes, sha256: &str| Data { key: "k".into(), bytes, sha256: sha256.into() };
        assert_eq!(difference(&read(6), &data(6, SHA256)), None);
        assert_eq!(
            difference(&read(6), &data(7000, SHA256)).unwrap(),
            "6 bytes, and the manifest says 7,000"
        );
        assert_eq!(
            difference(&read(6), &data(6, "00")).unwrap(),
            format!("the SHA-256 {SHA256}, and the manifest says 00")
        );
    }

    #[test]
    fn whole_data_is_not_called_a_verified_backup() {
        let text = |folder: &str| render(&read(6), BUCKET, &backup(folder), "k", false);
        assert_eq!(
            text(A1),
            format!(
                "the data of {A1} is what its manifest says: 6 bytes with the SHA-256 {SHA256}, read in 2 s (0.0 MB/s); the backup \
                 is verified\n"
            )
        );
        let inconsistent = text(E5);
        assert!(
            inconsistent.contains("; the backup is still not verified (inconsistent: "),
            "{inconsistent}"
        );
        let json: serde_json::Value =
            serde_json::from_str(&render(&read(6), BUCKET, &backup(E5), "k", true)).unwrap();
        assert_eq!(
            json,
            serde_json::json!({"format": 1, "bucket": BUCKET, "folder": E5, "data_key": "k", "bytes": 6, "sha256": SHA256,
                "seconds": 2, "verdict": "inconsistent"})
        );
    }
}
