//! One tar of a copy, the same bytes for the same files: sorted, without owners and times, and nothing in it that a restore refuses.

use std::{
    fs::{self, File},
    io::{self, Read, Write},
    path::{Path, PathBuf},
};

use tar::{Builder, EntryType, Header};

use super::Error;

/// Of a file so much is read at once.
const CHUNK: usize = 256 << 10;
/// What a tar is made of.
const BLOCK: u64 = 512;

/// What goes into the tar, in its order.
#[derive(Debug)]
pub struct Archive {
    entries: Vec<Entry>,
    /// The length of all files, which a restore needs on its disk.
    pub bytes: u64,
    /// Names that were left out, each with its reason.
    pub left_out: Vec<(String, &'static str)>,
}

#[derive(Debug)]
struct Entry {
    /// Relative to the database's directory.
    name: String,
    path: PathBuf,
    /// `None` of a directory.
    bytes: Option<u64>,
}

impl Archive {
    /// Lists the files below `database`.
    ///
    /// # Errors
    /// When one of them is no file or directory, or has a name that a restore would refuse.
    pub fn list(database: &Path) -> Result<Self, Error> {
        let mut archive = Self { entries: Vec::new(), bytes: 0, left_out: Vec::new() };
        let mut left = vec![(database.to_owned(), String::new())];
        while let Some((dir, prefix)) = left.pop() {
            let failed = |error| Error::io(format!("listing {}", dir.display()), error);
            for entry in fs::read_dir(&dir).map_err(failed)? {
                let entry = entry.map_err(failed)?;
                let path = entry.path();
                let Ok(name) = entry.file_name().into_string() else {
                    return Err(Error::NotText { path: path.display().to_string() });
                };
                if let Some(why) = left_out(&name).filter(|_| prefix.is_empty()) {
                    archive.left_out.push((name, why));
                    continue;
                }
                let name = format!("{prefix}{name}");
                backups::entry(&name).map_err(|why| Error::NotAName { path: name.clone(), why })?;
                // Of the entry itself: a link is not followed.
                let found = entry.metadata().map_err(failed)?;
                let bytes = found.is_file().then_some(found.len());
                if found.is_dir() {
                    left.push((path.clone(), format!("{name}/")));
                } else if bytes.is_none() {
                    return Err(Error::NotAFile(path.display().to_string()));
                }
                archive.bytes += bytes.unwrap_or_default();
                archive.entries.push(Entry { name, path, bytes });
            }
        }
        // A directory's name is the beginning of what is in it, so it comes first.
        archive.entries.sort_by(|a, b| a.name.cmp(&b.name));
        archive.left_out.sort();
        Ok(archive)
    }

    /// How many files and directories it has.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Writes the tar, and reports the bytes of files as they are read.
    ///
    /// # Errors
    /// When a file cannot be read to the length it had, or `out` takes no more.
    pub fn write<W: Write>(&self, out: W, read: impl Fn(u64)) -> io::Result<W> {
        let mut tar = Builder::new(out);
        let mut chunk = vec![0; CHUNK];
        for Entry { name, path, bytes } in &self.entries {
            let mut header = Header::new_gnu();
            header.set_uid(0);
            header.set_gid(0);
            header.set_mtime(0);
            let Some(bytes) = *bytes else {
                header.set_entry_type(EntryType::Directory);
                header.set_mode(0o755);
                header.set_size(0);
                tar.append_data(&mut header, format!("{name}/"), io::empty())?;
                continue;
            };
            header.set_mode(0o644);
            header.set_size(bytes);
            // The header alone: the data follows in larger pieces than the crate copies.
            tar.append_data(&mut header, name, io::empty())?;
            let named = |error: io::Error| io::Error::new(error.kind(), format!("{name}: {error}"));
            let mut file = File::open(path).map_err(named)?.take(bytes);
            let mut left = bytes;
            while left > 0 {
                let length = file.read(&mut chunk).map_err(named)?;
                if length == 0 {
                    let reason = format!("{name} is shorter by {left} bytes than it was when it was listed");
                    return Err(io::Error::new(io::ErrorKind::UnexpectedEof, reason));
                }
                tar.get_mut().write_all(&chunk[..length])?;
                left -= length as u64;
                read(length as u64);
            }
            let padding = bytes.next_multiple_of(BLOCK) - bytes;
            io::copy(&mut io::repeat(0).take(padding), tar.get_mut())?;
        }
        tar.into_inner()
    }
}

/// Why a name directly in the database's directory is not part of the store.
fn left_out(name: &str) -> Option<&'static str> {
    match name {
        name if name == "debug.log" || name.starts_with("debug.log.") => {
            Some("the tool's log of this copy, which says nothing about the store")
        }
        name if name.contains(".err.") || name.contains(".temp.") => {
            Some("what the tool keeps of a copy that failed")
        }
        "store_lock" | "backup_lock" => {
            Some("the lock of a process that has ended, which each Neo4j makes anew")
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{cell::Cell, os::unix::fs::symlink};

    fn copy(name: &str) -> PathBuf {
        let dir = std::env::temp_dir().join(format!("archive-{name}-{}", std::process::id()));
        let _absent = fs::remove_dir_all(&dir);
        fs::create_dir_all(dir.join("schema/index/lucene")).unwrap();
        for (name, length) in
            [("neostore", 600), ("neostore.counts.db.a", 512), ("empty", 0), ("schema/index/lucene/1", 3)]
        {
            fs::write(dir.join(name), vec![b'x'; length]).unwrap();
        }
        dir
    }

    fn tar(archive: &Archive) -> Vec<u8> {
        archive.write(Vec::new(), |_| {}).unwrap()
    }

    #[test]
    fn it_has_all_files_in_order_and_neither_owners_nor_times() {
        let dir = copy("all");
        let long = format!("{}/{}", "d".repeat(90), "f".repeat(90));
        fs::create_dir(dir.join("d".repeat(90))).unwrap();
        fs::write(dir.join(&long), "long").unwrap();
        let archive = Archive::list(&dir).unwrap();
        assert_eq!((archive.bytes, archive.len()), (1119, 9));
        let read = Cell::new(0);
        let bytes = archive.write(Vec::new(), |length| read.set(read.get() + length)).unwrap();
        assert_eq!(read.get(), 1119);
        let mut unpacked = tar::Archive::new(bytes.as_slice());
        let entries = unpacked.entries().unwrap().map(|entry| {
            let mut entry = entry.unwrap();
            let name = String::from_utf8(entry.path_bytes().into_owned()).unwrap();
            backups::entry(&name).unwrap();
            let header = entry.header();
            let of = (header.mtime().unwrap(), header.uid().unwrap(), header.gid().unwrap());
            assert_eq!(of, (0, 0, 0), "{name}");
            let mut content = Vec::new();
            entry.read_to_end(&mut content).unwrap();
            (name, content.len())
        });
        let entries: Vec<_> = entries.collect();
        let expected: Vec<(String, usize)> = [
            (&*format!("{}/", "d".repeat(90)), 0),
            (&long, 4),
            ("empty", 0),
            ("neostore", 600),
            ("neostore.counts.db.a", 512),
            ("schema/", 0),
            ("schema/index/", 0),
            ("schema/index/lucene/", 0),
            ("schema/index/lucene/1", 3),
        ]
        .into_iter()
        .map(|(name, length)| (name.to_owned(), length))
        .collect();
        assert_eq!(entries, expected);
        fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn the_same_files_are_the_same_bytes() {
        let (one, two) = (copy("one"), copy("two"));
        assert_eq!(tar(&Archive::list(&one).unwrap()), tar(&Archive::list(&two).unwrap()));
        [one, two].iter().for_each(|dir| fs::remove_dir_all(dir).unwrap());
    }

    #[test]
    fn what_the_tool_leaves_behind_is_left_out_with_a_reason() {
        let dir = copy("left");
        let names = ["debug.log", "debug.log.1543180505000", "graph.db.err.0", "store_lock"];
        for name in names {
            fs::write(dir.join(name), "x").unwrap();
        }
        // Only where the tool puts them: an index may have a file of any name.
        fs::write(dir.join("schema/store_lock"), "x").unwrap();
        let archive = Archive::list(&dir).unwrap();
        assert_eq!(archive.left_out.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), names);
        assert!(archive.entries.iter().any(|entry| entry.name == "schema/store_lock"));
        fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn links_and_names_that_cannot_be_restored_are_refused() {
        type Make = fn(&Path);
        let table: [(&str, Make, &str); 4] = [
            (
                "link",
                |dir| symlink("/etc/passwd", dir.join("neostore.link")).unwrap(),
                "is neither a file nor",
            ),
            (
                "dir",
                |dir| symlink("/etc", dir.join("schema/etc")).unwrap(),
                "is neither a file nor a directory",
            ),
            (
                "name",
                |dir| fs::write(dir.join("a\\b"), "x").unwrap(),
                "cannot be restored (the archive has an",
            ),
            (
                "text",
                |dir| {
                    use std::os::unix::ffi::OsStrExt as _;
                    fs::write(dir.join(std::ffi::OsStr::from_bytes(b"a\xff")), "x").unwrap();
                },
                "is not a name of plain text",
            ),
        ];
        for (name, make, sentence) in table {
            let dir = copy(name);
            make(&dir);
            let error = Archive::list(&dir).unwrap_err().to_string();
            assert!(error.contains(sentence) && error.contains("nothing was uploaded"), "{error}");
            fs::remove_dir_all(&dir).unwrap();
        }
    }

    #[test]
    fn a_file_that_shrinks_is_not_padded() {
        let dir = copy("shrinks");
        let archive = Archive::list(&dir).unwrap();
        fs::write(dir.join("neostore"), "x").unwrap();
        let error = archive.write(Vec::new(), |_| {}).unwrap_err().to_string();
        assert_eq!(error, "neostore is shorter by 599 bytes than it was when it was listed");
        fs::remove_dir_all(&dir).unwrap();
    }
}
