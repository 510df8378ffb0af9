//! Whether a backup may be restored into a cluster.

use crate::{Consistency, Folder, MANIFEST, Manifest, Version};

/// What a backup is restored into.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The version of Neo4j that the cluster runs.
    pub version: Version,
    /// The database that it serves, such as `graph.db`.
    pub database: String,
    /// Whether an operator accepts a store that was found inconsistent, or was never checked.
    pub accepts_unverified: bool,
}

impl Target {
    /// A cluster of `version` that serves the default database of that version.
    pub fn of(version: Version) -> Self {
        Self { version, database: version.default_database().to_owned(), accepts_unverified: false }
    }

    /// The same, if an operator `accepts` what is not verified.
    #[must_use]
    pub fn accepting_unverified(self, accepts: bool) -> Self {
        Self { accepts_unverified: accepts, ..self }
    }
}

/// Why a backup is not restored. Each is a clause of a sentence that names the manifest's URI.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Its store has another format than the cluster's version.
    #[error(
        "it is of Neo4j {snapshot} and the cluster is {target}: a snapshot is restored within one minor version, and a store \
         upgrade is not attempted; restore it into a cluster of {snapshot} and upgrade that one"
    )]
    Version {
        /// The version that wrote the backup.
        snapshot: Version,
        /// The version that the cluster runs.
        target: Version,
    },
    /// Its data is zero bytes long.
    #[error("its data has zero bytes, so there is nothing to restore")]
    Empty,
    /// The consistency check found faults.
    #[error(
        "its consistency check found the store inconsistent: choose another backup, or name this one by its URI with \
         AcceptUnverified set to true"
    )]
    Inconsistent,
    /// The consistency check did not run, or failed itself.
    #[error(
        "its consistency was never checked, so nothing says that it can be read: choose another backup, or name this one by its URI \
         with AcceptUnverified set to true"
    )]
    Unchecked,
    /// Its data would be outside its own folder.
    #[error(
        "its data's key {key:?} is not {folder}/<a file's name>: a manifest may only name what lies beside it"
    )]
    Key {
        /// The key of the data, as the manifest has it.
        key: String,
        /// The folder of the manifest.
        folder: String,
    },
    /// It is in the folder of another backup.
    #[error(
        "it says that it was created at {created}, and its folder is {folder}: it was put beside data that is not its own"
    )]
    Misplaced {
        /// When the backup was begun, as the manifest has it.
        created: String,
        /// The folder in which the manifest is.
        folder: String,
    },
    /// It is of another database.
    #[error("it is of the database {snapshot:?} and the cluster serves {target:?}")]
    Database {
        /// The database of the backup.
        snapshot: String,
        /// The database that the cluster serves.
        target: String,
    },
    /// Its checksum is malformed.
    #[error("its sha256 {0:?} is not 64 small hexadecimal digits, so its data could not be proven")]
    Checksum(String),
}

/// Checks everything that a manifest alone can prove. `key` is the key that it was read from.
///
/// # Errors
/// The first reason not to restore it. Faults of the manifest itself come first, so that a forged
/// manifest is reported as such.
pub fn check(manifest: &Manifest, key: &str, target: &Target) -> Result<(), Refused> {
    sound(manifest, key)?;
    match manifest.consistency {
        Consistency::Inconsistent if !target.accepts_unverified => return Err(Refused::Inconsistent),
        Consistency::Unchecked if !target.accepts_unverified => return Err(Refused::Unchecked),
        _ => {}
    }
    is_of(manifest.neo4j, &manifest.database, target)
}

/// Whether a store of `neo4j` with the database `database` can be served by `target`.
pub(crate) fn is_of(neo4j: Version, database: &str, target: &Target) -> Result<(), Refused> {
    if !neo4j.restores_into(target.version) {
        return Err(Refused::Version { snapshot: neo4j, target: target.version });
    }
    if database != target.database {
        let (snapshot, target) = (database.to_owned(), target.database.clone());
        return Err(Refused::Database { snapshot, target });
    }
    Ok(())
}

/// Whether what the manifest says of itself can be relied on, whatever it is restored into and whatever the
/// check of its store found.
pub(crate) fn sound(manifest: &Manifest, key: &str) -> Result<(), Refused> {
    let folder = key.strip_suffix(MANIFEST).and_then(|folder| folder.strip_suffix('/')).unwrap_or_default();
    if !is_beside(&manifest.data.key, folder) {
        return Err(Refused::Key { key: manifest.data.key.clone(), folder: folder.to_owned() });
    }
    if Folder::read(folder).is_some_and(|read| read.time != manifest.created) {
        return Err(Refused::Misplaced { created: manifest.created.to_string(), folder: folder.to_owned() });
    }
    is_checksum(&manifest.data.sha256)?;
    if manifest.data.bytes == 0 {
        return Err(Refused::Empty);
    }
    Ok(())
}

/// Whether it can be compared with what is read.
pub(crate) fn is_checksum(sha256: &str) -> Result<(), Refused> {
    if sha256.len() == 64 && sha256.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
        return Ok(());
    }
    Err(Refused::Checksum(sha256.chars().take(80).collect()))
}

/// Whether `key` is a file's plain name directly in `folder`.
fn is_beside(key: &str, folder: &str) -> bool {
    let name = key.strip_prefix(folder).and_then(|rest| rest.strip_prefix('/')).unwrap_or_default();
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    !folder.is_empty()
        && !name.is_empty()
        && !name.starts_with('.')
        && name != MANIFEST
        && name.bytes().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Data, manifest::tests::manifest};

    const KEY: &str = "backups/hourly/2026-11-25T21-15-05Z-a1/manifest.json";

    fn target(version: &str) -> Target {
        Target::of(version.parse().unwrap())
    }

    #[test]
    fn a_whole_one_of_the_same_minor_version_is_accepted() {
        assert_eq!(check(&manifest(), KEY, &target("3.4.6")), Ok(()));
        assert_eq!(check(&manifest(), KEY, &target("3.4.9")), Ok(()));
    }

    /// And nothing else is accepted with it.
    #[test]
    fn an_unverified_one_is_accepted_only_if_an_operator_says_so() {
        for consistency in [Consistency::Unchecked, Consistency::Inconsistent] {
            let manifest = Manifest { consistency, ..manifest() };
            let accepting = |version| target(version).accepting_unverified(true);
            assert!(check(&manifest, KEY, &target("3.4.6")).is_err());
            assert_eq!(check(&manifest, KEY, &accepting("3.4.6")), Ok(()));
            assert!(matches!(check(&manifest, KEY, &accepting("3.5.0")), Err(Refused::Version { .. })));
            let refused = check(&manifest, "golden/manifest.json", &accepting("3.4.6"));
            assert!(matches!(refused, Err(Refused::Key { .. })));
        }
    }

    #[test]
    fn a_copy_elsewhere_is_accepted_when_its_data_is_beside_it() {
        let data = Data { key: "golden/store.tar.zst".into(), ..manifest().data };
        assert_eq!(check(&Manifest { data, ..manifest() }, "golden/manifest.json", &target("3.4.6")), Ok(()));
    }

    #[test]
    fn each_reason_to_refuse_is_a_clause() {
        type Change = fn(&mut Manifest);
        let table: [(Change, &str, &str); 9] = [
            (
                |_| {},
                "5.26.0",
                "it is of Neo4j 3.4.6 and the cluster is 5.26.0: a snapshot is restored within one minor",
            ),
            (|_| {}, "3.5.0", "it is of Neo4j 3.4.6 and the cluster is 3.5.0"),
            (|m| m.data.bytes = 0, "3.4.6", "its data has zero bytes"),
            (
                |m| m.consistency = Consistency::Inconsistent,
                "3.4.6",
                "its consistency check found the store inconsistent",
            ),
            (|m| m.consistency = Consistency::Unchecked, "3.4.6", "its consistency was never checked"),
            (
                |m| m.created = Time::of_epoch(0),
                "3.4.6",
                "it says that it was created at 1970-01-01T00-00-00Z",
            ),
            (
                |m| m.database = "movies.db".into(),
                "3.4.6",
                "it is of the database \"movies.db\" and the cluster serves",
            ),
            (|m| m.data.sha256 = "ABCD".repeat(16), "3.4.6", "its sha256"),
            (|m| m.data.sha256.truncate(63), "3.4.6", "its sha256"),
        ];
        for (change, version, clause) in table {
            let mut manifest = manifest();
            change(&mut manifest);
            let refused = check(&manifest, KEY, &target(version)).unwrap_err().to_string();
            assert!(refused.starts_with(clause), "{refused}");
        }
    }

    #[test]
    fn data_outside_of_the_folder_is_refused() {
        for key in [
            "",
            "store.tar.zst",
            "backups/hourly/2026-11-25T21-15-05Z-a1",
            "backups/hourly/2026-11-25T21-15-05Z-a1/",
            "backups/hourly/2026-11-25T21-15-05Z-a1/manifest.json",
            "backups/hourly/2026-11-25T21-15-05Z-a1/../x",
            "backups/hourly/2026-11-25T21-15-05Z-a1/..",
            "backups/hourly/2026-11-25T21-15-05Z-a1/sub/x",
            "backups/hourly/2026-11-25T21-15-05Z-a1//x",
            "backups/hourly/2026-11-25T21-15-05Z-a1/..\\x",
            "backups/hourly/2026-11-25T21-15-05Z-a12/store.tar.zst",
            "backups/daily/2026-11-25T21-15-05Z-a1/store.tar.zst",
            "/backups/hourly/2026-11-25T21-15-05Z-a1/store.tar.zst",
            "/etc/passwd",
        ] {
            let manifest = Manifest { data: Data { key: key.into(), ..manifest().data }, ..manifest() };
            let refused = check(&manifest, KEY, &target("3.4.6")).unwrap_err();
            assert!(matches!(refused, Refused::Key { .. }), "{key:?}: {refused}");
        }
        let data = Data { key: "/x".into(), ..manifest().data };
        let refused = check(&Manifest { data, ..manifest() }, "manifest.json", &target("3.4.6"));
        assert!(matches!(refused, Err(Refused::Key { .. })), "the root of a bucket is not a backup's folder");
    }

    use crate::Time;
}
