//! How many bytes the files below a directory have, while they may come, grow and go.

use std::{fs, io, iter, path::Path};

/// The length of all regular files below `dir`; links are not followed. A file that goes meanwhile counts as nothing.
///
/// # Errors
/// When `dir` itself cannot be read.
pub fn bytes_below(dir: &Path) -> io::Result<u64> {
    let (mut total, mut left) = (0, Vec::new());
    let mut next = Some(fs::read_dir(dir)?);
    while let Some(entries) = next {
        for entry in entries.flatten() {
            // Of the entry itself, not of what a link points to.
            match entry.metadata() {
                Ok(found) if found.is_dir() => left.push(entry.path()),
                Ok(found) if found.is_file() => total += found.len(),
                _ => {}
            }
        }
        next = iter::from_fn(|| left.pop()).find_map(|below| fs::read_dir(below).ok());
    }
    Ok(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_count_wherever_they_are_and_links_do_not() {
        let dir = std::env::temp_dir().join(format!("tree-{}", std::process::id()));
        let _absent = fs::remove_dir_all(&dir);
        fs::create_dir_all(dir.join("schema/index")).unwrap();
        fs::write(dir.join("neostore"), [0; 9]).unwrap();
        fs::write(dir.join("schema/index/1"), [0; 1000]).unwrap();
        std::os::unix::fs::symlink("/", dir.join("all")).unwrap();
        std::os::unix::fs::symlink(dir.join("neostore"), dir.join("again")).unwrap();
        assert_eq!(bytes_below(&dir).unwrap(), 1009);
        fs::remove_dir_all(&dir).unwrap();
        assert!(bytes_below(&dir).is_err());
    }
}
