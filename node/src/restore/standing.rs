//! What a data directory says by itself, before it is known what its cluster is founded from.

use std::{fs, io, path::Path};

use super::{
    layout::clear,
    marker::{Marker, Step},
};
use crate::store::Facts;

/// What a data directory has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// No store, and none that was begun: the record says what the node begins with.
    Blank,
    /// A restore was begun and not ended, or its marker cannot be read: the record says whether it goes on.
    Begun,
    /// A store that a restore has put there.
    Restored {
        /// Of the archive.
        etag: String,
        /// The store's, when it was restored.
        facts: Facts,
    },
    /// A store of its own.
    Own,
}

/// Looks at `data`, whose store is in `databases/<database>`.
///
/// # Errors
/// When it cannot be looked at.
pub fn standing(data: &Path, database: &str) -> io::Result<Standing> {
    let empty = is_empty(&data.join("databases").join(database))?;
    Ok(match Marker::read(data) {
        Ok(Some(Marker { step: Step::Done { facts }, etag, .. })) if !empty => {
            Standing::Restored { etag, facts }
        }
        // Done, and its store is gone: the marker is for the restore, which refuses to begin again by itself.
        Ok(None | Some(Marker { step: Step::Done { .. }, .. })) if empty => Standing::Blank,
        Ok(None) => Standing::Own,
        Ok(Some(_)) | Err(_) => Standing::Begun,
    })
}

/// Forgets a restore, ended or not, because the founding is over: what was unpacked goes, and a store that is in its place, which is
/// whole then, stays as the node's own.
///
/// # Errors
/// When it cannot be removed.
pub fn forget(data: &Path) -> io::Result<()> {
    // The marker first: without one a staging folder proves nothing.
    Marker::remove(data)?;
    clear(data)
}

/// Whatever is there, a file or a link too, is not to be replaced.
fn is_empty(store: &Path) -> io::Result<bool> {
    match fs::symlink_metadata(store) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(true),
        found => Ok(found?.is_dir() && fs::read_dir(store)?.next().is_none()),
    }
}

#[cfg(test)]
mod tests {
    use backups::Time;

    use super::*;
    use crate::restore::{
        marker::FILE,
        tests::{Place, facts, snapshot, write_store},
    };

    #[test]
    fn a_store_without_a_marker_is_a_nodes_own_and_an_empty_folder_is_none() {
        let place = Place::new("standing");
        let stands = || standing(&place.data, "graph.db").unwrap();
        assert_eq!(stands(), Standing::Blank);
        fs::create_dir_all(place.data.join("databases/graph.db")).unwrap();
        assert_eq!(stands(), Standing::Blank);
        write_store(&place.data.join("databases/graph.db"));
        assert_eq!(stands(), Standing::Own);
        let restored = Standing::Restored { etag: snapshot().etag, facts: facts() };
        for (step, expected) in [(Step::Intent, Standing::Begun), (Step::Done { facts: facts() }, restored)] {
            Marker::new(&snapshot(), step, Time::of_epoch(0)).write(&place.data).unwrap();
            assert_eq!(stands(), expected);
        }
        fs::remove_dir_all(place.data.join("databases/graph.db")).unwrap();
        assert_eq!(stands(), Standing::Blank, "a marker is no store");
        fs::write(place.data.join(FILE), "{}").unwrap();
        assert_eq!(stands(), Standing::Begun, "the restore refuses it, if there is one");
    }

    #[test]
    fn a_restore_that_the_seal_has_overtaken_is_forgotten() {
        let place = Place::new("forgotten");
        Marker::new(&snapshot(), Step::Intent, Time::of_epoch(0)).write(&place.data).unwrap();
        let staging = place.data.join("restore-0123456789abcdef");
        fs::create_dir_all(&staging).unwrap();
        write_store(&staging);
        forget(&place.data).unwrap();
        assert_eq!(place.names(), Vec::<String>::new());
        assert_eq!(standing(&place.data, "graph.db").unwrap(), Standing::Blank);
        forget(&place.data).unwrap();
    }
}
