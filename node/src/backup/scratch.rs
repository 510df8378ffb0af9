//! Where a copy is put until it is uploaded: one directory, which is this program's own and is emptied before and after.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use tokio::time::sleep;

use super::{Error, plan};
use crate::disks::free;

/// Its name below the scratch: whatever else is there is not this program's.
const NAME: &str = "node-backup";
/// A process that was killed may still have written while its files were removed.
const TRIES: u32 = 5;
const AGAIN: Duration = Duration::from_millis(200);

/// The directory.
#[derive(Clone, Debug)]
pub struct Scratch {
    root: PathBuf,
    own: PathBuf,
}

impl Scratch {
    pub fn new(root: &Path) -> Self {
        Self { root: root.to_owned(), own: root.join(NAME) }
    }

    /// The tool's working directory.
    pub fn dir(&self) -> &Path {
        &self.own
    }

    /// Where the tool puts copies.
    pub fn copies(&self) -> PathBuf {
        self.own.join("copy")
    }

    /// The configuration of the copy, which is empty: the tool's own options say everything.
    pub fn copy_conf(&self) -> PathBuf {
        self.own.join("copy-conf")
    }

    /// The configuration of the check, which has no option for its page cache.
    pub fn check_conf(&self) -> PathBuf {
        self.own.join("check-conf")
    }

    /// Where the check puts its report.
    pub fn reports(&self) -> PathBuf {
        self.own.join("report")
    }

    /// What the tool writes for a moment.
    pub fn temporary(&self) -> PathBuf {
        self.own.join("tmp")
    }

    /// Empties it and makes its directories.
    pub async fn prepare(&self, page_cache: &str) -> Result<(), Error> {
        let made = |what: &Path, made: io::Result<()>| {
            made.map_err(|error| Error::io(format!("preparing {}", what.display()), error))
        };
        made(&self.own, self.empty().await)?;
        for dir in [self.copies(), self.copy_conf(), self.check_conf(), self.reports(), self.temporary()] {
            made(&dir, fs::create_dir_all(&dir))?;
        }
        let check = format!("dbms.memory.pagecache.size={page_cache}\n");
        for (dir, text) in [(self.copy_conf(), ""), (self.check_conf(), check.as_str())] {
            let conf = dir.join("neo4j.conf");
            made(&conf, fs::write(&conf, text))?;
        }
        Ok(())
    }

    /// Removes all of it.
    pub async fn empty(&self) -> io::Result<()> {
        let mut tries = 0;
        loop {
            tries += 1;
            match fs::remove_dir_all(&self.own) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    if tries == TRIES {
                        return Err(error);
                    }
                    sleep(AGAIN).await;
                }
                _ => return Ok(()),
            }
        }
    }

    /// Bytes that are free for a program without root's reserve.
    pub fn free(&self) -> Result<u64, Error> {
        free(&self.root)
            .map_err(|error| Error::io(format!("asking how much is free in {}", self.root.display()), error))
    }

    /// Whether a store of so many bytes fits.
    pub fn fits(&self, store: u64, free: u64) -> Result<(), Error> {
        let needed = plan::scratch_bytes(store);
        if needed <= free {
            return Ok(());
        }
        Err(Error::TooSmall { scratch: self.root.display().to_string(), free, store, needed })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_its_own_directory_is_emptied() {
        let root = std::env::temp_dir().join(format!("scratch-{}", std::process::id()));
        let _absent = fs::remove_dir_all(&root);
        let scratch = Scratch::new(&root);
        fs::create_dir_all(root.join("databases")).unwrap();
        fs::create_dir_all(scratch.copies().join("graph.db")).unwrap();
        scratch.prepare("64m").await.unwrap();
        assert_eq!(fs::read_dir(scratch.copies()).unwrap().count(), 0, "a copy of an earlier run is gone");
        let conf = fs::read_to_string(scratch.check_conf().join("neo4j.conf")).unwrap();
        assert_eq!(conf, "dbms.memory.pagecache.size=64m\n");
        assert_eq!(fs::read_to_string(scratch.copy_conf().join("neo4j.conf")).unwrap(), "");
        assert!(scratch.free().unwrap() > 0);
        scratch.empty().await.unwrap();
        scratch.empty().await.unwrap();
        assert!(root.join("databases").exists() && !scratch.dir().exists());
        fs::remove_dir_all(&root).unwrap();
        assert!(scratch.free().unwrap_err().to_string().contains("asking how much is free in"));
    }

    #[test]
    fn a_store_that_does_not_fit_is_refused_with_figures() {
        let scratch = Scratch::new(Path::new("/data"));
        assert!(scratch.fits(1_000_000_000, 1_200_000_000).is_ok());
        let error = scratch.fits(1_000_000_000, 1_100_000_000).unwrap_err().to_string();
        assert!(error.starts_with("the scratch /data has 1100 MB free"), "{error}");
        assert!(error.contains("of 1000 MB needs 1168 MB"), "{error}");
    }
}
