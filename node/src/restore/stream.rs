//! The parts of an object as one reader, which hashes what it gives.

use std::io::{self, Read};

use bytes::Bytes;
use sha2::{Digest as _, Sha256};
use tokio::sync::{OwnedSemaphorePermit, mpsc};

use super::phase::Phase;
use crate::{backup::hex, progress::Meter};

/// One part, in its turn.
pub struct Part {
    pub body: Bytes,
    /// Its place in memory, given back when the part was read.
    pub place: OwnedSemaphorePermit,
}

/// The reader. It blocks.
pub struct Stream {
    parts: mpsc::Receiver<Part>,
    now: Option<Part>,
    /// Bytes that are still to come.
    left: u64,
    hash: Sha256,
    meter: Meter<Phase>,
}

impl Stream {
    /// Of an object of so many bytes.
    pub fn new(parts: mpsc::Receiver<Part>, bytes: u64, meter: Meter<Phase>) -> Self {
        Self { parts, now: None, left: bytes, hash: Sha256::new(), meter }
    }

    /// The SHA-256 of what was read, as 64 small hexadecimal digits; `None` unless that was everything.
    pub fn sha256(self) -> Option<String> {
        (self.left == 0).then(|| hex(&self.hash.finalize()))
    }
}

impl Read for Stream {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.left == 0 || into.is_empty() {
            return Ok(0);
        }
        let part = match &mut self.now {
            Some(part) => part,
            // The download says itself why it has ended.
            none => none.insert(self.parts.blocking_recv().ok_or_else(ended)?),
        };
        let bytes = part.body.split_to(part.body.len().min(into.len()));
        into[..bytes.len()].copy_from_slice(&bytes);
        self.hash.update(&bytes);
        if part.body.is_empty()
            && let Some(Part { place, .. }) = self.now.take()
        {
            drop(place);
        }
        self.left = self.left.saturating_sub(bytes.len() as u64);
        self.meter.add(bytes.len() as u64);
        Ok(bytes.len())
    }
}

fn ended() -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, "the download has ended before the last byte")
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::sync::Semaphore;

    use super::*;

    /// What is read of these parts of an object of so many bytes, in pieces of three.
    async fn read(parts: &[&'static str], bytes: u64) -> (io::Result<String>, Option<String>, usize) {
        let places = Arc::new(Semaphore::new(parts.len()));
        let (send, receive) = mpsc::channel(parts.len());
        for body in parts {
            let place = Arc::clone(&places).acquire_owned().await.unwrap();
            send.send(Part { body: Bytes::from_static(body.as_bytes()), place }).await.ok().unwrap();
        }
        drop(send);
        let mut stream = Stream::new(receive, bytes, Meter::new(Phase::Fetch));
        let (read, stream) = tokio::task::spawn_blocking(move || {
            let (mut text, mut piece) = (String::new(), [0; 3]);
            let read = loop {
                match stream.read(&mut piece) {
                    Ok(0) => break Ok(text),
                    Ok(length) => text += std::str::from_utf8(&piece[..length]).unwrap(),
                    Err(error) => break Err(error),
                }
            };
            (read, stream)
        })
        .await
        .unwrap();
        (read, stream.sha256(), places.available_permits())
    }

    #[tokio::test]
    async fn parts_are_one_stream_and_their_places_are_given_back() {
        let (text, sha256, places) = read(&["01234", "567", "89"], 10).await;
        assert_eq!((text.unwrap().as_str(), places), ("0123456789", 3));
        // sha256sum of 0123456789
        assert_eq!(
            sha256.as_deref(),
            Some("84d89877f0d4041efb6bf91a16f0248f2fd573e6af05c19f96bedb9f882f7882")
        );
    }

    #[tokio::test]
    async fn a_download_that_ends_early_is_an_error_and_no_end() {
        let (text, sha256, _) = read(&["01234"], 10).await;
        assert_eq!((text.unwrap_err().kind(), sha256), (io::ErrorKind::UnexpectedEof, None));
    }
}
