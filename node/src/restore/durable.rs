//! Changes of a file system that are on the disk when the call returns.

use std::{
    fs::{self, File},
    io::{self, Write as _},
    path::Path,
};

/// Writes the entries of a folder to the disk: which files it has, not what is in them.
pub fn folder(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

/// Writes `dir/name`, which has its old content or the new one at any moment.
pub fn write(dir: &Path, name: &str, content: &[u8]) -> io::Result<()> {
    let new = dir.join(format!("{name}.new"));
    let mut file = File::create(&new)?;
    file.write_all(content)?;
    file.sync_all()?;
    fs::rename(&new, dir.join(name))?;
    folder(dir)
}

/// Removes the file `dir/name`, if it is there.
pub fn remove(dir: &Path, name: &str) -> io::Result<()> {
    match fs::remove_file(dir.join(name)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => folder(dir),
    }
}

/// Renames a folder. Nothing is replaced but an empty folder: the system refuses any other one.
pub fn rename(from: &Path, to: &Path) -> io::Result<()> {
    fs::rename(from, to)?;
    parent(to)?;
    parent(from)
}

/// Writes all files and folders below `dir` to the disk, and says how many bytes each file has.
pub fn tree(dir: &Path, written: &impl Fn(u64)) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            tree(&entry.path(), written)?;
        } else {
            let file = File::open(entry.path())?;
            file.sync_all()?;
            written(file.metadata()?.len());
        }
    }
    folder(dir)
}

/// Writes to the disk that `path` is in its folder.
pub fn parent(path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), folder)
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;
    use crate::restore::tests::Place;

    #[test]
    fn a_folder_replaces_an_empty_one_and_no_other() {
        let place = Place::new("rename");
        let (from, to) = (place.data.join("from"), place.data.join("to"));
        fs::create_dir(&from).unwrap();
        fs::write(from.join("new"), "new").unwrap();
        fs::create_dir(&to).unwrap();
        fs::write(to.join("old"), "old").unwrap();
        assert!(rename(&from, &to).is_err());
        assert_eq!((from.join("new").exists(), to.join("old").exists()), (true, true));
        fs::remove_file(to.join("old")).unwrap();
        rename(&from, &to).unwrap();
        assert_eq!((from.exists(), to.join("new").exists()), (false, true));
    }

    #[test]
    fn all_files_of_a_tree_are_written() {
        let place = Place::new("tree");
        fs::create_dir_all(place.data.join("a/b")).unwrap();
        fs::write(place.data.join("a/b/c"), [0; 30]).unwrap();
        fs::write(place.data.join("d"), [0; 12]).unwrap();
        let bytes = Cell::new(0);
        tree(&place.data, &|written| bytes.set(bytes.get() + written)).unwrap();
        assert_eq!(bytes.get(), 42);
    }

    #[test]
    fn a_file_that_a_killed_write_left_is_written_over() {
        let place = Place::new("write");
        fs::write(place.data.join("x.new"), "half of a longer text").unwrap();
        write(&place.data, "x", b"whole").unwrap();
        assert_eq!(
            (place.names(), fs::read_to_string(place.data.join("x")).unwrap()),
            (vec!["x".into()], "whole".into())
        );
        remove(&place.data, "x").unwrap();
        remove(&place.data, "x").unwrap();
        assert_eq!(place.names(), Vec::<String>::new());
    }
}
