use tar::{Builder, Header};

use super::*;
use crate::restore::tests::Place;

const LIMIT: u64 = 1 << 20;

fn header(kind: EntryType, size: u64) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(0o644);
    header.set_size(size);
    header
}

/// An entry whose name is written as it is: the crate would refuse some of them.
fn raw(tar: &mut Builder<Vec<u8>>, name: &str, kind: EntryType, content: &[u8]) {
    let mut header = header(kind, content.len() as u64);
    header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
    if matches!(kind, EntryType::Symlink | EntryType::Link) {
        header.set_link_name("/etc/passwd").unwrap();
    }
    header.set_cksum();
    tar.append(&header, content).unwrap();
}

fn file(tar: &mut Builder<Vec<u8>>, name: &str) {
    raw(tar, name, EntryType::Regular, b"x");
}

fn packed(make: impl FnOnce(&mut Builder<Vec<u8>>)) -> Vec<u8> {
    let mut tar = Builder::new(Vec::new());
    make(&mut tar);
    zstd::encode_all(tar.into_inner().unwrap().as_slice(), 1).unwrap()
}

fn refused(place: &Place, archive: &[u8]) -> String {
    let into = place.data.join("into");
    let _absent = fs::remove_dir_all(&into);
    fs::create_dir(&into).unwrap();
    let refused = unpack(&mut &archive[..], &into, LIMIT).unwrap_err().to_string();
    // Nothing beside the folder, whatever the archive says.
    assert_eq!(place.names(), ["into"], "{refused}");
    refused
}

#[test]
fn nothing_is_written_outside_of_the_folder_and_only_files_and_folders_inside() {
    type Make = fn(&mut Builder<Vec<u8>>);
    let place = Place::new("slip");
    let table: [(&str, Make, &str); 17] = [
        ("above", |tar| file(tar, "../outside"), "\"../outside\", which is no plain path below"),
        ("above, deeper", |tar| file(tar, "a/../../outside"), "which is no plain path below"),
        ("absolute", |tar| file(tar, "/tmp/outside"), "which is no plain path below"),
        ("itself", |tar| file(tar, "./neostore"), "which is no plain path below"),
        ("a backslash", |tar| file(tar, "..\\outside"), "which is no plain path below"),
        ("a line", |tar| file(tar, "a\nb"), "which is no plain path below"),
        ("a folder above", |tar| raw(tar, "../", EntryType::Directory, b""), "which is no plain path below"),
        (
            "a link",
            |tar| raw(tar, "neostore", EntryType::Symlink, b""),
            "\"neostore\" that is neither a file nor",
        ),
        ("a hard link", |tar| raw(tar, "neostore", EntryType::Link, b""), "neither a file nor a folder"),
        ("a device", |tar| raw(tar, "sda", EntryType::Char, b""), "neither a file nor a folder"),
        ("a disk", |tar| raw(tar, "sda", EntryType::Block, b""), "neither a file nor a folder"),
        ("a pipe", |tar| raw(tar, "pipe", EntryType::Fifo, b""), "neither a file nor a folder"),
        ("a file as a folder", |tar| file(tar, "neostore/"), "neither a file nor a folder"),
        (
            "twice",
            |tar| {
                file(tar, "neostore");
                file(tar, "neostore");
            },
            "\"neostore\" twice",
        ),
        (
            "a folder twice",
            |tar| {
                raw(tar, "schema/", EntryType::Directory, b"");
                raw(tar, "schema", EntryType::Directory, b"");
            },
            "\"schema\" twice",
        ),
        (
            "below a file",
            |tar| {
                file(tar, "schema");
                file(tar, "schema/1");
            },
            "\"schema/1\", and its folder is not in it",
        ),
        ("without its folder", |tar| file(tar, "schema/1"), "\"schema/1\", and its folder is not in it"),
    ];
    for (case, make, says) in table {
        let refused = refused(&place, &packed(make));
        assert!(refused.contains(says), "{case}: {refused}");
        assert!(refused.contains("nothing of it"), "{case}: {refused}");
    }
}

/// A link is refused, so nothing can be written through it.
#[test]
fn a_file_below_a_link_is_not_reached() {
    let place = Place::new("through");
    let archive = packed(|tar| {
        raw(tar, "schema", EntryType::Symlink, b"");
        file(tar, "schema/1");
    });
    assert!(refused(&place, &archive).contains("neither a file nor a folder"));
    assert!(!place.data.join("into/schema").is_symlink());
}

#[test]
fn a_name_that_is_not_text_is_refused() {
    let place = Place::new("text");
    let archive = packed(|tar| {
        let mut header = header(EntryType::Regular, 0);
        header.as_old_mut().name[..2].copy_from_slice(b"a\xff");
        header.set_cksum();
        tar.append(&header, &b""[..]).unwrap();
    });
    assert!(refused(&place, &archive).contains("whose name is not text"));
}

/// Each archive is some kilobytes long, and would fill a disk or the memory.
#[test]
fn an_archive_that_unpacks_to_more_than_was_promised_is_refused() {
    let place = Place::new("bomb");
    let zeros = |bytes: usize| vec![0; bytes];
    let too_large = "the archive is larger than its store is said to be";
    let one = packed(|tar| raw(tar, "neostore", EntryType::Regular, &zeros(4 << 20)));
    let many = packed(|tar| {
        for number in 0..5 {
            raw(tar, &format!("{number}"), EntryType::Regular, &zeros(300 << 10));
        }
    });
    let name = packed(|tar| {
        raw(tar, "././@LongLink", EntryType::GNULongName, &vec![b'x'; 4 << 20]);
        file(tar, "neostore");
    });
    let attributes = packed(|tar| {
        raw(tar, "pax", EntryType::XHeader, &zeros(4 << 20));
        file(tar, "neostore");
    });
    let folder = packed(|tar| raw(tar, "schema/", EntryType::Directory, &zeros(4 << 20)));
    let mut tail = Builder::new(Vec::new());
    file(&mut tail, "neostore");
    let tail = [tail.into_inner().unwrap(), zeros(4 << 20)].concat();
    let tail = zstd::encode_all(tail.as_slice(), 1).unwrap();
    for (case, archive) in [
        ("one", one),
        ("many", many),
        ("name", name),
        ("attributes", attributes),
        ("folder", folder),
        ("tail", tail),
    ] {
        assert!(archive.len() < 10_000, "{case}: {}", archive.len());
        let refused = refused(&place, &archive);
        assert!(refused.starts_with(too_large), "{case}: {refused}");
        let written: u64 = crate::tree::bytes_below(&place.data).unwrap();
        assert!(written <= LIMIT, "{case}: {written}");
    }
}

/// A file that claims to be longer than anything is not begun.
#[test]
fn a_size_that_is_not_true_is_not_believed() {
    let place = Place::new("size");
    let archive = packed(|tar| {
        let mut header = header(EntryType::Regular, u64::MAX / 2);
        header.as_old_mut().name[..8].copy_from_slice(b"neostore");
        header.set_cksum();
        tar.get_mut().extend_from_slice(header.as_bytes());
    });
    assert!(refused(&place, &archive).starts_with("the archive is larger than"));
    assert!(!place.data.join("into/neostore").exists());
}

/// It is memory: what one frame says of its window is allocated before the first byte is unpacked.
#[test]
fn a_window_of_more_memory_than_a_backup_needs_is_refused() {
    let place = Place::new("window");
    let mut encoder = zstd::Encoder::new(Vec::new(), 1).unwrap();
    encoder.window_log(27).unwrap();
    let mut tar = Builder::new(encoder);
    tar.append_data(&mut header(EntryType::Regular, 3), "neostore", &b"abc"[..]).unwrap();
    let archive = tar.into_inner().unwrap().finish().unwrap();
    let refused = refused(&place, &archive);
    assert!(refused.contains("cannot be read") && refused.contains("memory"), "{refused}");
}

#[test]
fn an_archive_that_is_cut_or_changed_is_refused() {
    let place = Place::new("cut");
    let whole = packed(|tar| {
        raw(tar, "neostore", EntryType::Regular, &(0..=255).cycle().take(100_000).collect::<Vec<u8>>());
    });
    for length in [1, 5, whole.len() / 2, whole.len() - 1] {
        let refused = refused(&place, &whole[..length]);
        assert!(refused.starts_with("the archive cannot be read: "), "{length}: {refused}");
    }
    let behind = [whole.clone(), b"more".to_vec()].concat();
    assert!(refused(&place, &behind).starts_with("the archive cannot be read: "));
    let second = packed(|tar| file(tar, "second"));
    let refused = refused(&place, &[whole, second].concat());
    assert!(refused.contains("something is behind its end"), "a second archive is not looked for: {refused}");
}

/// GNU tar fills its records, and `zstd` may write several frames.
#[test]
fn what_other_tools_write_is_unpacked() {
    let place = Place::new("tools");
    let mut tar = Builder::new(Vec::new());
    raw(&mut tar, "schema/", EntryType::Directory, b"");
    raw(&mut tar, "schema/1", EntryType::Regular, b"index");
    let mut tar = tar.into_inner().unwrap();
    tar.resize(tar.len().next_multiple_of(10_240), 0);
    let (one, two) = tar.split_at(700);
    let frames = [one, two].map(|half| zstd::encode_all(half, 19).unwrap()).concat();
    assert_eq!(unpack(&mut frames.as_slice(), &place.data, 5).unwrap(), 5);
    assert_eq!(fs::read(place.data.join("schema/1")).unwrap(), b"index");
}
