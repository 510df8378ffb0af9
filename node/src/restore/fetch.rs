//! The data of a snapshot in ranges: several at once, delivered in their order, of one version of the object.

use std::{collections::VecDeque, sync::Arc};

use aws::{ObjectVersion, Unread, Uploads};
use tokio::{
    sync::{Semaphore, mpsc, oneshot},
    task::JoinSet,
};

use super::stream::Part;

/// The length of a part. S3 gives one stream some 50 to 100 MB/s, so a part comes in a fraction of a second.
pub const PART: u64 = 8 << 20;
/// Parts in memory: one that is unpacked, one that waits for it, and three on their way, 40 MiB together. The rest of the program
/// and the decompressor's window take less than 24 MiB.
pub const PARTS_IN_MEMORY: usize = 5;

/// Sends all parts of `version`, in order. It ends well too when the other end of `parts` is gone, which says itself why.
pub async fn fetch(
    uploads: &Uploads,
    version: &ObjectVersion,
    parts: mpsc::Sender<Part>,
) -> Result<(), Unread> {
    let places = Arc::new(Semaphore::new(PARTS_IN_MEMORY));
    // All that is on its way ends with this set.
    let mut reading = JoinSet::new();
    let (mut next, mut queue) = (0, VecDeque::new());
    loop {
        tokio::select! {
            biased;
            Ok(place) = Arc::clone(&places).acquire_owned(), if next < version.bytes => {
                let range = next..version.bytes.min(next + PART);
                next = range.end;
                let (done, read) = oneshot::channel();
                queue.push_back(read);
                let (uploads, version) = (uploads.clone(), version.clone());
                reading.spawn(async move {
                    let read = uploads.range(&version, range).await;
                    let _gone = done.send(read.map(|body| Part { body, place }));
                });
            }
            read = first(&mut queue), if !queue.is_empty() => {
                queue.pop_front();
                let part = read.ok_or_else(|| Unread::Failed(panicked(version)))??;
                if parts.send(part).await.is_err() {
                    return Ok(());
                }
                while reading.try_join_next().is_some() {}
            }
            else => return Ok(()),
        }
    }
}

/// The oldest one that is not delivered yet.
async fn first<T>(queue: &mut VecDeque<oneshot::Receiver<T>>) -> Option<T> {
    match queue.front_mut() {
        Some(read) => read.await.ok(),
        None => None,
    }
}

fn panicked(version: &ObjectVersion) -> aws::Error {
    let what = format!("s3://{}/{}", version.bucket, version.key);
    let reason = "the program failed while it read a part".to_owned();
    aws::Error { call: "s3:GetObject", what, reason, kind: aws::Kind::Other }
}
