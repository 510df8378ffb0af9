//! What is shipped runs where it is shipped to.

use std::{fs, path::Path};

/// glibc of Amazon Linux 2023, which `provided.al2023` is made from.
const GLIBC: (u32, u32) = (2, 34);

/// The highest `GLIBC_x.y` that a binary asks for.
fn glibc(binary: &[u8]) -> Option<(u32, u32)> {
    let marker = b"GLIBC_";
    let starts = binary.windows(marker.len()).enumerate().filter(|(_, window)| window == marker);
    let versions = starts.filter_map(|(index, _)| {
        let rest = &binary[index + marker.len()..];
        let end = rest.iter().position(|byte| !byte.is_ascii_digit() && *byte != b'.')?;
        let mut parts =
            std::str::from_utf8(&rest[..end]).ok()?.split('.').map_while(|part| part.parse().ok());
        Some((parts.next()?, parts.next()?))
    });
    versions.max()
}

#[test]
fn shipped_binaries_need_no_newer_glibc_than_amazon_linux_2023_has() {
    let release = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/release");
    for name in ["master-election", "user-creation", "snapshot-bootstrap", "node"] {
        let file = release.join(name);
        let binary =
            fs::read(&file).unwrap_or_else(|error| panic!("{}: {error}: run `make release`", file.display()));
        let needed = glibc(&binary).expect("a dynamically linked binary names versions of glibc");
        assert!(needed <= GLIBC, "{name} needs glibc {}.{}, Amazon Linux 2023 has 2.34", needed.0, needed.1);
    }
}

#[test]
fn the_highest_version_is_found() {
    assert_eq!(glibc(b"x\0GLIBC_2.4\0GLIBC_2.34\0GLIBC_2.9\0"), Some((2, 34)));
    assert_eq!(glibc(b"GLIBC_PRIVATE\0"), None);
}
