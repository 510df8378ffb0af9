//! From the bytes of an archive to files: plain files and folders, below one folder, no more than was promised.

use std::{
    fs::{self, File},
    io::{self, Read, Write as _},
    path::Path,
};

use backups::Unsafe;
use tar::EntryType;

use super::bounded::{Allowance, Bounded};

/// Between two files: a header, and before it a long name, which tar spells in an entry of its own.
const BETWEEN_FILES: u64 = 16 << 10;
/// Behind the last file: tar writes its blocks in records of ten thousand bytes, and some tools in larger ones.
const BEHIND: u64 = 1 << 20;
/// A store has some hundred files, and each index some more.
const MOST_ENTRIES: u64 = 100_000;
/// The window of the decompressor, 8 MiB: `zstd -19` needs no more, and it is memory.
const WINDOW_LOG: u32 = 23;
/// So much of a file is written at once.
const CHUNK: usize = 256 << 10;

/// Why an archive is not unpacked. Each is a clause about the archive.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    #[error(transparent)]
    Unsafe(#[from] Unsafe),
    #[error("the archive has an entry whose name is not text: nothing of it is used")]
    NotText,
    #[error("the archive has an entry {0:?} that is neither a file nor a folder: nothing of it is used")]
    Kind(String),
    #[error("the archive has an entry {0:?} twice: nothing of it is used")]
    Twice(String),
    #[error("the archive has an entry {0:?}, and its folder is not in it: nothing of it is used")]
    NoFolder(String),
    #[error("the archive has more than {MOST_ENTRIES} entries: nothing of it is used")]
    TooMany,
    #[error("the archive is larger than its store is said to be: nothing of it is used")]
    TooLarge,
    #[error("the archive cannot be read: {0}")]
    Archive(io::Error),
    /// Not the archive's fault.
    #[error("{path} cannot be written: {error}")]
    Disk { path: String, error: io::Error },
}

/// Unpacks the archive into the folder `into`, which is empty, and returns the bytes of all files. `limit` is what they may have at
/// most. It reads `archive` to its end, so that all of it was seen.
pub fn unpack(archive: &mut impl Read, into: &Path, limit: u64) -> Result<u64, Fault> {
    let mut decoder = zstd::Decoder::new(archive).map_err(Fault::Archive)?;
    decoder.window_log_max(WINDOW_LOG).map_err(Fault::Archive)?;
    let allowance = Allowance::default();
    match entries(Bounded::new(decoder, allowance.clone()), &allowance, into, limit) {
        Err(Fault::Archive(_)) if allowance.is_exceeded() => Err(Fault::TooLarge),
        unpacked => unpacked,
    }
}

fn entries(tar: impl Read, allowance: &Allowance, into: &Path, limit: u64) -> Result<u64, Fault> {
    let mut tar = tar::Archive::new(tar);
    let (mut bytes, mut entries) = (0_u64, 0);
    let mut files = tar.entries().map_err(Fault::Archive)?;
    loop {
        allowance.set(BETWEEN_FILES);
        let Some(entry) = files.next() else { break };
        let mut entry = entry.map_err(Fault::Archive)?;
        entries += 1;
        if entries > MOST_ENTRIES {
            return Err(Fault::TooMany);
        }
        let name = String::from_utf8(entry.path_bytes().into_owned()).map_err(|_| Fault::NotText)?;
        let plain = backups::entry(&name)?;
        let path = into.join(plain);
        match entry.header().entry_type() {
            EntryType::Directory => fs::create_dir(&path).map_err(|error| made(&name, &path, error))?,
            // A file whose name ends with a slash is a folder to some tools.
            EntryType::Regular if plain == name => {
                let size = entry.size();
                bytes = bytes.saturating_add(size);
                // Before the first byte of it is written.
                if bytes > limit {
                    return Err(Fault::TooLarge);
                }
                allowance.set(size);
                write(&mut entry, size, &name, &path)?;
            }
            _ => return Err(Fault::Kind(name)),
        }
    }
    allowance.set(BEHIND);
    behind(&mut tar.into_inner())?;
    Ok(bytes)
}

/// Writes one file, which must be new.
fn write(entry: &mut impl Read, size: u64, name: &str, path: &Path) -> Result<(), Fault> {
    let disk = |error| Fault::Disk { path: path.display().to_string(), error };
    let mut file = File::create_new(path).map_err(|error| made(name, path, error))?;
    let mut chunk = vec![0; CHUNK.min(usize::try_from(size).unwrap_or(CHUNK).max(1))];
    let mut left = size;
    while left > 0 {
        let length = entry.read(&mut chunk).map_err(Fault::Archive)?;
        if length == 0 {
            return Err(Fault::Archive(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                format!("{name} ends {left} bytes early"),
            )));
        }
        file.write_all(&chunk[..length]).map_err(disk)?;
        left -= length as u64;
    }
    Ok(())
}

/// Everything behind the last file is zero.
fn behind(rest: &mut impl Read) -> Result<(), Fault> {
    let mut chunk = vec![0; CHUNK];
    loop {
        match rest.read(&mut chunk).map_err(Fault::Archive)? {
            0 => return Ok(()),
            length if chunk[..length].iter().all(|byte| *byte == 0) => {}
            _ => return Err(Fault::Archive(io::Error::other("something is behind its end"))),
        }
    }
}

/// Why a new file or folder was not made.
fn made(name: &str, path: &Path, error: io::Error) -> Fault {
    match error.kind() {
        io::ErrorKind::AlreadyExists => Fault::Twice(name.to_owned()),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Fault::NoFolder(name.to_owned()),
        _ => Fault::Disk { path: path.display().to_string(), error },
    }
}

#[cfg(test)]
mod tests;
