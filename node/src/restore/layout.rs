//! Where a restore puts things in a data directory, and what is there.

use std::{
    fs::{self, File, TryLockError},
    io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use backups::Snapshot;
use sha2::{Digest as _, Sha256};

use super::{
    durable,
    marker::{Marker, Proof},
    plan::{Found, Seen},
};
use crate::{backup::hex, store::Facts};

/// What the name of a staging folder begins with.
const STAGING: &str = "restore-";
/// So many digits of a hash follow.
const DIGITS: usize = 16;

/// The places of one restore.
#[derive(Clone, Debug)]
pub struct Layout {
    /// The data directory.
    pub data: PathBuf,
    /// `databases`, which Neo4j has there.
    pub databases: PathBuf,
    /// The store.
    pub store: PathBuf,
    /// Where the snapshot is unpacked: on the same file system as the store, so that one rename makes it the store.
    pub staging: PathBuf,
}

impl Layout {
    /// `snapshot` must fit: its database is part of a path.
    pub fn new(data: &Path, snapshot: &Snapshot) -> Self {
        let Snapshot { bucket, key, etag, database, .. } = snapshot;
        let hash = hex(&Sha256::digest(format!("{bucket}\n{key}\n{etag}")));
        let databases = data.join("databases");
        Self {
            data: data.to_owned(),
            store: databases.join(database),
            databases,
            staging: data.join(format!("{STAGING}{}", &hash[..DIGITS])),
        }
    }

    /// Holds the data directory for as long as the result lives; `None` if another program holds it.
    pub fn hold(&self) -> io::Result<Option<File>> {
        let data = File::open(&self.data)?;
        match data.try_lock() {
            Ok(()) => Ok(Some(data)),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    /// What is there.
    pub fn look(&self) -> io::Result<Found> {
        let marker = Marker::read(&self.data);
        Ok(Found { marker, store: seen(&self.store)?, staging: seen(&self.staging)? })
    }

    /// Removes what restores have left that were killed.
    pub fn clear(&self) -> io::Result<()> {
        clear(&self.data)
    }

    /// Makes the folders. `false` if a rename from one into the other cannot work.
    pub fn make(&self) -> io::Result<bool> {
        fs::create_dir_all(&self.databases)?;
        fs::create_dir(&self.staging)?;
        durable::folder(&self.data)?;
        Ok(fs::metadata(&self.databases)?.dev() == fs::metadata(&self.staging)?.dev())
    }

    /// The proof of the staging folder, if there is a store in it.
    pub fn prove(&self) -> io::Result<Option<Proof>> {
        match seen(&self.staging)? {
            Seen::Store(proof) => Ok(Some(proof)),
            Seen::Nothing | Seen::Other => Ok(None),
        }
    }
}

/// Removes the staging folders of a data directory: nothing else has such a name.
pub fn clear(data: &Path) -> io::Result<()> {
    for entry in fs::read_dir(data)? {
        let entry = entry?;
        if entry.file_name().to_str().is_some_and(is_staging) {
            let path = entry.path();
            if entry.file_type()?.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) }?;
        }
    }
    durable::folder(data)
}

fn is_staging(name: &str) -> bool {
    let digits = name.strip_prefix(STAGING).unwrap_or_default();
    digits.len() == DIGITS && digits.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'))
}

/// Of the place itself: a link in it is not followed.
fn seen(place: &Path) -> io::Result<Seen> {
    let found = match fs::symlink_metadata(place) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Seen::Nothing),
        found => found?,
    };
    if !found.is_dir() {
        return Ok(Seen::Other);
    }
    if fs::read_dir(place)?.next().is_none() {
        return Ok(Seen::Nothing);
    }
    // Whatever cannot be read as a store is something else, and that is never touched.
    let facts = Facts::read(place);
    Ok(facts.map_or(Seen::Other, |facts| Seen::Store(Proof { inode: found.ino(), facts })))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::restore::tests::{Place, facts, snapshot, write_store};

    #[test]
    fn each_version_of_an_object_has_a_staging_folder_of_its_own() {
        let layout =
            |etag: &str| Layout::new(Path::new("/data"), &Snapshot { etag: etag.into(), ..snapshot() });
        let (one, two) = (layout("\"e\""), layout("\"f\""));
        assert_eq!((&one.store, &one.staging), (&two.store, &layout("\"e\"").staging));
        assert_ne!(one.staging, two.staging);
        assert_eq!(one.store, Path::new("/data/databases/graph.db"));
        assert!(is_staging(one.staging.file_name().unwrap().to_str().unwrap()), "{one:?}");
        for name in [
            "restore.json",
            "restore-",
            "restore-0123456789ABCDEF",
            "restore-0123456789abcdef.old",
            "databases",
        ] {
            assert!(!is_staging(name), "{name}");
        }
    }

    #[test]
    fn a_place_is_looked_at_as_it_is() {
        let place = Place::new("look");
        let at = place.data.join("x");
        assert_eq!(seen(&at).unwrap(), Seen::Nothing);
        fs::create_dir(&at).unwrap();
        assert_eq!(seen(&at).unwrap(), Seen::Nothing, "an empty folder, as an image may have");
        fs::write(at.join("file"), "x").unwrap();
        assert_eq!(seen(&at).unwrap(), Seen::Other);
        write_store(&at);
        let inode = fs::metadata(&at).unwrap().ino();
        assert_eq!(seen(&at).unwrap(), Seen::Store(Proof { inode, facts: facts() }));
        let link = place.data.join("link");
        std::os::unix::fs::symlink(&at, &link).unwrap();
        assert_eq!(seen(&link).unwrap(), Seen::Other);
        fs::rename(&at, place.data.join("y")).unwrap();
        assert_eq!(
            seen(&place.data.join("y")).unwrap(),
            Seen::Store(Proof { inode, facts: facts() }),
            "a rename keeps it"
        );
        assert_eq!(seen(&link).unwrap(), Seen::Other, "a link to nothing too");
    }

    #[test]
    fn only_staging_folders_are_cleared() {
        let place = Place::new("clear");
        let layout = Layout::new(&place.data, &snapshot());
        assert!(layout.make().unwrap());
        write_store(&layout.staging);
        let earlier = place.data.join("restore-0123456789abcdef");
        fs::create_dir_all(earlier.join("schema")).unwrap();
        for name in ["restore.json", "slot.json"] {
            fs::write(place.data.join(name), "{}").unwrap();
        }
        layout.clear().unwrap();
        layout.clear().unwrap();
        assert_eq!(place.names(), ["databases", "restore.json", "slot.json"]);
    }

    #[test]
    fn a_data_directory_is_held_once() {
        let place = Place::new("hold");
        let layout = Layout::new(&place.data, &snapshot());
        let held = layout.hold().unwrap();
        assert!(held.is_some() && layout.hold().unwrap().is_none());
        drop(held);
        assert!(layout.hold().unwrap().is_some());
    }
}
