//! Whether the data directory is the volume of this slot: before anything else is done, because a node that starts on another
//! directory copies the store from the master and looks healthy, until the instance ends and the data with it.
//!
//! The host writes `slot.json` when it makes the volume. This program never does: what it would write proves nothing.

use std::{
    fs::{self, File},
    io::Read as _,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use serde::Deserialize;
use topology::Slot;

/// In the data directory.
const FILE: &str = "slot.json";
/// Two names of at most 255 characters each are in it.
const LARGEST: u64 = 4096;

/// What a data directory says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Identity {
    stack: String,
    slot: String,
}

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Found {
    /// The device that the directory is on; the system's words if it cannot be known.
    device: Result<u64, String>,
    /// The same of a file on the file system of the container engine.
    root: Result<u64, String>,
    /// The bytes of `slot.json`, one more than allowed at most; `None` if it is absent.
    file: Result<Option<Vec<u8>>, String>,
}

/// A data directory that is refused. Neo4j is not started.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// It is absent, or cannot be looked at.
    #[error(
        "the data directory {directory} cannot be read ({reason}), so Neo4j is not started: mount the slot's volume there"
    )]
    NoDirectory {
        /// `DATA_DIR`.
        directory: PathBuf,
        /// What the system said.
        reason: String,
    },
    /// Without the other device there is no comparison, and no comparison is no proof.
    #[error(
        "{file}, which is on the file system where the container engine keeps its files, cannot be read ({reason}), so it is not known \
         whether the data directory is on another one and Neo4j is not started: let ROOT_DISK name a file on that file system"
    )]
    NoRootDisk {
        /// `ROOT_DISK`.
        file: PathBuf,
        /// What the system said.
        reason: String,
    },
    /// Docker makes a host path that is absent, as an empty directory.
    #[error(
        "the data directory {directory} is on the file system where the container engine keeps its files (the device of {root}), whose data \
         ends with the instance, so Neo4j is not started: the slot's volume is not mounted on its host; mount it, then start the task again"
    )]
    OnRootDisk {
        /// `DATA_DIR`.
        directory: PathBuf,
        /// `ROOT_DISK`.
        root: PathBuf,
    },
    /// Nothing says whose it is.
    #[error(
        "the data directory {directory} has no {FILE}, so nothing says which slot it belongs to and Neo4j is not started: only the \
         host writes that file, when it makes or mounts the slot's volume; look at the host"
    )]
    NoIdentity {
        /// `DATA_DIR`.
        directory: PathBuf,
    },
    /// It is not what a host writes.
    #[error(
        "{file} is not valid ({reason}), so nothing says which slot the data belongs to and Neo4j is not started: let the host \
         write it again, if this is the slot's volume"
    )]
    Malformed {
        /// `slot.json`.
        file: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The data of another member.
    #[error(
        "the data directory {directory} belongs to the slot {} of the stack {}, and this task is in the slot {slot} of the stack \
         {stack}, so Neo4j is not started: two members must never share a store; place the task on its own slot's host",
        found.slot.escape_debug(), found.stack.escape_debug()
    )]
    Another {
        /// `DATA_DIR`.
        directory: PathBuf,
        /// Whose it is.
        found: Identity,
        /// The task's stack.
        stack: String,
        /// The task's slot.
        slot: String,
    },
}

impl Refused {
    /// The log event.
    pub fn event(&self) -> &'static str {
        match self {
            Self::NoDirectory { .. } | Self::NoRootDisk { .. } | Self::OnRootDisk { .. } => "no-volume",
            Self::NoIdentity { .. } | Self::Malformed { .. } => "volume-without-identity",
            Self::Another { .. } => "not-this-slots-volume",
        }
    }
}

/// Reads what `directory` says of itself, and decides whether `slot` of `stack` may use it. `root` is a file on the file system
/// where the container engine keeps its files: there it makes a host path that is missing.
///
/// # Errors
/// Unless it is proven to be this slot's.
pub fn check(directory: &Path, root: &Path, stack: &str, slot: &Slot) -> Result<(), Refused> {
    decide(look(directory, root), directory, root, (stack, &slot.name))
}

fn look(directory: &Path, root: &Path) -> Found {
    let device = |path: &Path| fs::metadata(path).map(|found| found.dev()).map_err(|error| error.to_string());
    Found {
        // A path below it is followed, so that a file in its place is refused.
        device: device(&directory.join(".")),
        root: device(root),
        file: read(&directory.join(FILE)),
    }
}

/// Reads no more than is needed to know that it is too much.
fn read(file: &Path) -> Result<Option<Vec<u8>>, String> {
    match fs::metadata(file) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.to_string()),
        // To open a pipe would wait until another process writes to it.
        Ok(found) if !found.is_file() => return Err("it is not a file".into()),
        Ok(_) => {}
    }
    let mut bytes = Vec::new();
    let read = File::open(file).and_then(|file| file.take(LARGEST + 1).read_to_end(&mut bytes));
    read.map(|_| Some(bytes)).map_err(|error| error.to_string())
}

fn decide(found: Found, directory: &Path, root: &Path, (stack, slot): (&str, &str)) -> Result<(), Refused> {
    let directory = directory.to_owned();
    let file = directory.join(FILE);
    let device = match found.device {
        Ok(device) => device,
        Err(reason) => return Err(Refused::NoDirectory { directory, reason }),
    };
    // In a container every bind mount is a mount, so only its device shows whether a volume is behind it.
    match found.root {
        Err(reason) => return Err(Refused::NoRootDisk { file: root.to_owned(), reason }),
        Ok(root_device) if root_device == device => {
            return Err(Refused::OnRootDisk { directory, root: root.to_owned() });
        }
        Ok(_) => {}
    }
    let bytes = match found.file {
        Ok(None) => return Err(Refused::NoIdentity { directory }),
        Ok(Some(bytes)) => bytes,
        Err(reason) => return Err(Refused::Malformed { file, reason }),
    };
    if bytes.len() as u64 > LARGEST {
        return Err(Refused::Malformed { file, reason: format!("it has more than {LARGEST} bytes") });
    }
    match serde_json::from_slice::<Identity>(&bytes) {
        Err(error) => Err(Refused::Malformed { file, reason: error.to_string() }),
        Ok(found) if found.stack != stack || found.slot != slot => {
            Err(Refused::Another { directory, found, stack: stack.to_owned(), slot: slot.to_owned() })
        }
        Ok(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: &str = r#"{"stack":"s","slot":"s-core-1"}"#;

    fn found(text: &str) -> Found {
        Found { device: Ok(2), root: Ok(1), file: Ok(Some(text.as_bytes().to_vec())) }
    }

    fn decided(found: Found) -> Result<(), Refused> {
        decide(found, Path::new("/data"), Path::new("/etc/hosts"), ("s", "s-core-1"))
    }

    fn refused(found: Found) -> (&'static str, String) {
        let refused = decided(found).unwrap_err();
        let sentence = refused.to_string();
        assert!(sentence.contains("Neo4j is not started") && !sentence.contains('\n'), "{sentence}");
        (refused.event(), sentence)
    }

    #[test]
    fn fault_53_only_this_slots_own_directory_is_used() {
        assert_eq!(decided(found(OWN)), Ok(()));
        // A host may say more of its volume.
        assert_eq!(decided(found(r#"{"slot":"s-core-1","stack":"s","volume":"vol-1"}"#)), Ok(()));
        for (text, whose) in [
            (r#"{"stack":"s","slot":"s-core-2"}"#, "the slot s-core-2 of the stack s,"),
            (r#"{"stack":"other","slot":"s-core-1"}"#, "the slot s-core-1 of the stack other,"),
            (r#"{"stack":"s","slot":"S-core-1"}"#, "the slot S-core-1 of the stack s,"),
        ] {
            let (event, sentence) = refused(found(text));
            assert_eq!(event, "not-this-slots-volume");
            assert!(
                sentence.contains(whose) && sentence.contains("slot s-core-1 of the stack s,"),
                "{sentence}"
            );
        }
    }

    #[test]
    fn fault_53_what_no_host_wrote_is_no_proof() {
        let large = format!("{OWN}{}", " ".repeat(4096));
        for text in [
            "",
            "{}",
            "null",
            "[]",
            "\"s-core-1\"",
            "{\"stack\":\"s\"}",
            "{\"slot\":\"s-core-1\"}",
            &OWN[..20],
            r#"{"stack":["s"],"slot":"s-core-1"}"#,
            r#"{"stack":"s","slot":"s-core-2","slot":"s-core-1"}"#,
            r#"{"stack":"s","slot":"s-core-1"}{}"#,
            "\u{feff}{\"stack\":\"s\",\"slot\":\"s-core-1\"}",
            &large,
        ] {
            let (event, sentence) = refused(found(text));
            assert_eq!(event, "volume-without-identity", "{text}");
            assert!(sentence.starts_with("/data/slot.json is not valid ("), "{sentence}");
        }
        let (event, sentence) = refused(Found { file: Ok(None), ..found(OWN) });
        assert_eq!(event, "volume-without-identity");
        assert!(sentence.starts_with("the data directory /data has no slot.json"), "{sentence}");
        let (_, sentence) = refused(Found { file: Err("Permission denied".into()), ..found(OWN) });
        assert!(sentence.contains("(Permission denied)"), "{sentence}");
        let other = decided(found("{\"stack\":\"s\",\"slot\":\"a\\nb\"}")).unwrap_err();
        assert!(
            !other.to_string().contains('\n'),
            "a name of two lines is still one line of the log: {other}"
        );
    }

    /// Its `slot.json` may be one that was copied with the rest.
    #[test]
    fn fault_45_the_root_disk_is_refused_whatever_is_on_it() {
        for file in [Ok(None), Ok(Some(OWN.as_bytes().to_vec()))] {
            let (event, sentence) = refused(Found { device: Ok(1), file, ..found(OWN) });
            assert_eq!(event, "no-volume");
            assert!(sentence.contains("keeps its files (the device of /etc/hosts)"), "{sentence}");
        }
    }

    #[test]
    fn fault_45_what_cannot_be_looked_at_is_refused() {
        let (event, sentence) = refused(Found { device: Err("No such file".into()), ..found(OWN) });
        assert_eq!(event, "no-volume");
        assert!(sentence.starts_with("the data directory /data cannot be read (No such file)"), "{sentence}");
        let (event, sentence) = refused(Found { root: Err("No such file".into()), ..found(OWN) });
        assert_eq!(event, "no-volume");
        assert!(sentence.starts_with("/etc/hosts, which is on the file system"), "{sentence}");
    }

    #[test]
    fn a_look_reads_what_is_there_and_no_more_of_it_than_it_must() {
        let directory = std::env::temp_dir().join(format!("identity-{}", std::process::id()));
        fs::create_dir_all(&directory).unwrap();
        let file = directory.join(FILE);
        let looked = || look(&directory, Path::new("/proc/version"));
        assert_eq!(looked().file, Ok(None));
        assert_ne!(looked().device, looked().root);
        fs::write(&file, " ".repeat(1 << 20)).unwrap();
        assert_eq!(looked().file.unwrap().unwrap().len() as u64, LARGEST + 1);
        fs::remove_file(&file).unwrap();
        fs::create_dir(&file).unwrap();
        assert_eq!(looked().file, Err("it is not a file".into()));
        assert!(look(&file.join("absent"), &file).device.is_err());
        // A file in its place is no directory.
        assert!(look(&PathBuf::from("/proc/version"), &file).device.is_err());
        fs::remove_dir_all(&directory).unwrap();
    }
}
