//! What is shipped runs where it is shipped to, and is what the sources say today.

use std::{collections::BTreeSet, fs, path::Path};

use local::layout::{Layout, NODE};

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

/// The machine of a 64-bit ELF file for Linux, as the template's `Architecture` names it.
fn machine(binary: &[u8]) -> Option<&'static str> {
    let is_elf = binary.starts_with(b"\x7fELF\x02");
    // e_machine, little endian on both.
    match binary.get(18..20)? {
        _ if !is_elf => None,
        [62, 0] => Some("x86_64"),
        [183, 0] => Some("arm64"),
        _ => None,
    }
}

/// A function's name in the template: `user-creation` is `UserCreation`.
fn logical_id(name: &str) -> String {
    name.split('-').map(|word| word[..1].to_uppercase() + &word[1..]).collect()
}

/// The architecture that `sam build` took from the template and all overrides, in its own record of what it built.
fn architectures(build: &Path) -> BTreeSet<String> {
    let record = build.parent().unwrap().join("build.toml");
    let record = read(&record, "make package");
    let record = String::from_utf8(record).unwrap();
    record
        .lines()
        .filter_map(|line| line.strip_prefix("architecture = "))
        .map(|value| value.trim_matches('"').to_owned())
        .collect()
}

fn read(file: &Path, how: &str) -> Vec<u8> {
    fs::read(file).unwrap_or_else(|error| panic!("{}: {error}: run `{how}`", file.display()))
}

#[test]
fn what_sam_ships_is_what_was_compiled_for_the_machine_and_the_c_library_it_runs_on() {
    let layout = Layout::find("artifact").unwrap();
    let expected = architectures(&layout.built());
    assert_eq!(expected.len(), 1, "one architecture for all: {expected:?}");
    let shipped = layout.shipped().unwrap();
    assert!(shipped.iter().any(|name| name == NODE), "{shipped:?}");
    for name in &shipped {
        let binary = read(&layout.binary(name), "make release");
        let machine = machine(&binary).expect("an ELF file for x86_64 or arm64");
        assert!(expected.contains(machine), "{name} is for {machine}, the template says {expected:?}");
        let needed = glibc(&binary).expect("a dynamically linked binary names versions of glibc");
        assert!(needed <= GLIBC, "{name} needs glibc {}.{}, Amazon Linux 2023 has 2.34", needed.0, needed.1);
        if name != NODE {
            let sent = read(&layout.built().join(logical_id(name)).join("bootstrap"), "make package");
            assert!(
                sent == binary,
                "{name}: `sam build` packed another file than `make release` compiled: stale"
            );
        }
    }
    // No function is built in another way, past the checks above.
    let packed = fs::read_dir(layout.built()).unwrap().map(|entry| entry.unwrap());
    let packed: BTreeSet<String> = packed
        .filter(|entry| entry.path().join("bootstrap").exists())
        .map(|entry| entry.file_name().into_string().unwrap())
        .collect();
    let functions = shipped.iter().filter(|name| *name != NODE).map(|name| logical_id(name));
    assert_eq!(packed, functions.collect(), "functions that sam packed, and those that are shipped");
}

#[test]
fn the_highest_version_is_found() {
    assert_eq!(glibc(b"x\0GLIBC_2.4\0GLIBC_2.34\0GLIBC_2.9\0"), Some((2, 34)));
    assert_eq!(glibc(b"GLIBC_PRIVATE\0"), None);
}

#[test]
fn the_machine_is_read_from_the_header() {
    let header = |machine: u8| [&b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x03\0"[..], &[machine, 0]].concat();
    assert_eq!(machine(&header(62)), Some("x86_64"));
    assert_eq!(machine(&header(183)), Some("arm64"));
    assert_eq!(machine(&header(3)), None, "32 bits");
    assert_eq!(machine(b"#!/bin/sh\nexec something else\n"), None);
    assert_eq!(machine(b""), None);
}
