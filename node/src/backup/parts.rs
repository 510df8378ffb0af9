//! The end of the compressor: parts of one length in memory, of which there are never more than three.
//!
//! ```text
//! thread: tar --> zstd, with threads of its own --> Parts: fills one --channel--> two on their way to S3
//! ```

use std::{
    fmt::Write as _,
    io::{self, Write},
    num::NonZero,
    sync::Arc,
    thread,
};

use bytes::Bytes;
use sha2::{Digest as _, Sha256};
use tokio::{
    runtime::Handle,
    sync::{OwnedSemaphorePermit, Semaphore, mpsc},
};
use zstd::zstd_safe::CParameter;

use super::{archive::Archive, plan::PARTS_IN_MEMORY};

/// zstd's own default, and what the measured times are of.
const LEVEL: i32 = 3;
/// More would take more memory than a part, and the network is slower than four.
const MOST_THREADS: usize = 4;
/// What a thread compresses at a time. zstd would take 8 MiB, of which each thread has several.
const JOB: u32 = 1 << 20;

/// A part that is full, or the last one.
pub struct Part {
    pub body: Bytes,
    /// Its place in memory, given back when the part has been sent.
    pub place: OwnedSemaphorePermit,
}

/// What all parts come to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sum {
    pub bytes: u64,
    /// 64 small hexadecimal digits.
    pub sha256: String,
}

/// Compresses the archive into parts of `length` bytes. It blocks, and ends with an error when the other end of `parts` is gone.
pub fn compress(
    archive: &Archive,
    length: usize,
    parts: mpsc::Sender<Part>,
    read: impl Fn(u64),
) -> io::Result<Sum> {
    let threads = thread::available_parallelism().map_or(1, NonZero::get).min(MOST_THREADS);
    let mut encoder = zstd::Encoder::new(Parts::new(length, parts), LEVEL)?;
    encoder.multithread(u32::try_from(threads).unwrap_or(1))?;
    encoder.set_parameter(CParameter::JobSize(JOB))?;
    // Of the unpacked bytes, so that `zstd -t` alone finds a fault.
    encoder.include_checksum(true)?;
    archive.write(encoder, read)?.finish()?.finish()
}

struct Parts {
    length: usize,
    filling: Option<(Vec<u8>, OwnedSemaphorePermit)>,
    places: Arc<Semaphore>,
    full: mpsc::Sender<Part>,
    hash: Sha256,
    bytes: u64,
}

impl Parts {
    fn new(length: usize, full: mpsc::Sender<Part>) -> Self {
        let places = Arc::new(Semaphore::new(PARTS_IN_MEMORY));
        Self { length, filling: None, places, full, hash: Sha256::new(), bytes: 0 }
    }

    /// Sends the part, full or not.
    fn send(&mut self) -> io::Result<()> {
        let Some((body, place)) = self.filling.take() else { return Ok(()) };
        self.full.blocking_send(Part { body: body.into(), place }).map_err(|_| ended())
    }

    /// Sends the last part.
    fn finish(mut self) -> io::Result<Sum> {
        self.send()?;
        let sha256 = hex(&self.hash.finalize());
        Ok(Sum { bytes: self.bytes, sha256 })
    }
}

impl Write for Parts {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let (body, _) = match &mut self.filling {
            Some(filling) => filling,
            none => {
                let place = Handle::current().block_on(Arc::clone(&self.places).acquire_owned());
                none.insert((Vec::with_capacity(self.length), place.map_err(|_| ended())?))
            }
        };
        let taken = bytes.len().min(self.length - body.len());
        body.extend_from_slice(&bytes[..taken]);
        self.hash.update(&bytes[..taken]);
        self.bytes += taken as u64;
        if body.len() == self.length {
            self.send()?;
        }
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Small hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut digits, byte| {
        let _infallible = write!(digits, "{byte:02x}");
        digits
    })
}

/// The upload has failed, and says why.
fn ended() -> io::Error {
    io::Error::new(io::ErrorKind::BrokenPipe, "the upload has ended")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    /// The parts, and what the writer says at its end.
    async fn written(length: usize, given: Vec<Vec<u8>>) -> (Vec<Bytes>, Sum) {
        let (full, mut parts) = mpsc::channel(1);
        let writer = tokio::task::spawn_blocking(move || {
            let mut out = Parts::new(length, full);
            given.iter().for_each(|bytes| out.write_all(bytes).unwrap());
            out.finish().unwrap()
        });
        let mut taken = Vec::new();
        while let Some(Part { body, .. }) = parts.recv().await {
            taken.push(body);
        }
        (taken, writer.await.unwrap())
    }

    #[tokio::test]
    async fn every_part_but_the_last_has_the_same_length() {
        let (parts, sum) = written(4, vec![b"0".to_vec(), b"12345678".to_vec(), b"9".to_vec()]).await;
        assert_eq!(parts, ["0123", "4567", "89"]);
        // sha256sum of 0123456789
        let sha256 = "84d89877f0d4041efb6bf91a16f0248f2fd573e6af05c19f96bedb9f882f7882".to_owned();
        assert_eq!(sum, Sum { bytes: 10, sha256 });
        let (parts, sum) = written(5, vec![b"0123456789".to_vec()]).await;
        assert_eq!((parts, sum.bytes), (vec!["01234".into(), "56789".into()], 10));
    }

    #[tokio::test]
    async fn a_fourth_part_is_not_begun_before_one_was_sent() {
        let (full, mut parts) = mpsc::channel(PARTS_IN_MEMORY);
        let writer = tokio::task::spawn_blocking(move || {
            let mut out = Parts::new(1, full);
            let written = out.write_all(b"0123");
            (written, out.finish())
        });
        let mut held = Vec::new();
        for _ in 0..PARTS_IN_MEMORY {
            held.push(parts.recv().await.unwrap());
        }
        let none = tokio::time::timeout(Duration::from_millis(100), parts.recv()).await;
        assert!(none.is_err() && !writer.is_finished());
        held.remove(0);
        assert_eq!(parts.recv().await.map(|part| part.body), Some("3".into()));
        drop((held, parts));
        assert!(writer.await.unwrap().0.is_ok());
    }

    #[tokio::test]
    async fn a_writer_whose_upload_has_ended_ends_too() {
        let (full, parts) = mpsc::channel(1);
        drop(parts);
        let writer = tokio::task::spawn_blocking(move || Parts::new(2, full).write_all(b"0123"));
        assert_eq!(writer.await.unwrap().unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    }
}
