//! What an archive may unpack to.

/// An entry that would be written outside the folder into which the archive is unpacked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the archive has an entry {0:?}, which is no plain path below its own folder: nothing of it is unpacked"
)]
pub struct Unsafe(String);

/// An entry's path, if it is a plain relative one: no root, no `..`, no `.`, no backslash, nothing
/// empty or unprintable. A trailing slash of a folder is left out. The unpacker must refuse links: a
/// path does not show them.
///
/// # Errors
/// For any other path. The unpacker must stop there: an archive with one such entry was not made by a backup.
pub fn entry(path: &str) -> Result<&str, Unsafe> {
    let plain = path.strip_suffix('/').unwrap_or(path);
    let segment = |segment: &str| {
        !matches!(segment, "" | "." | "..")
            && !segment.contains(['\\', ':'])
            && !segment.contains(char::is_control)
    };
    if plain.split('/').all(segment) { Ok(plain) } else { Err(Unsafe(path.to_owned())) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_paths_below_the_folder_are_unpacked() {
        for path in ["neostore", "schema/index/lucene/1/x", "profiles/neostore.cacheprof", "a..b/...", "ü"] {
            assert_eq!(entry(path), Ok(path));
        }
        assert_eq!(entry("schema/"), Ok("schema"));
        for path in [
            "",
            "/",
            "/etc/passwd",
            "..",
            "../x",
            "a/../x",
            "a/..",
            "./a",
            "a//b",
            "a\\..\\b",
            "C:x",
            "a\0",
            "a\nb",
            "//",
        ] {
            assert_eq!(entry(path), Err(Unsafe(path.into())), "{path:?}");
        }
    }
}
