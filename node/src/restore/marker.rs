//! What the data directory says of a restore: `restore.json`.

use std::{fs, io, path::Path};

use backups::{Snapshot, Time};
use serde::{Deserialize, Serialize};

use super::durable;
use crate::store::Facts;

/// In the data directory.
pub const FILE: &str = "restore.json";
/// The format that is written, and the only one that is read.
const FORMAT: u32 = 1;

/// One restore, of one object in one version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Marker {
    format: u32,
    bucket: String,
    key: String,
    /// The version of the archive.
    pub etag: String,
    /// When the step was reached.
    since: Time,
    #[serde(flatten)]
    pub step: Step,
}

/// How far it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "step", rename_all = "kebab-case")]
pub enum Step {
    /// The store is not there yet, and the staging folder may be anything.
    Intent,
    /// The folder with this proof is whole, whether it is still the staging folder or the store already.
    Unpacked(Proof),
    /// The store is there. These were its facts then.
    Done { facts: Facts },
}

/// What distinguishes one unpacked folder from any other one of its file system.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proof {
    /// A rename keeps it.
    pub inode: u64,
    /// A store that was opened since has others, most likely.
    pub facts: Facts,
}

impl Marker {
    pub fn new(snapshot: &Snapshot, step: Step, since: Time) -> Self {
        let Snapshot { bucket, key, etag, .. } = snapshot.clone();
        Self { format: FORMAT, bucket, key, etag, since, step }
    }

    /// Whether it is about this object in this version.
    pub fn is_of(&self, snapshot: &Snapshot) -> bool {
        (&self.bucket, &self.key, &self.etag) == (&snapshot.bucket, &snapshot.key, &snapshot.etag)
    }

    /// What it is about, in a sentence.
    pub fn source(&self) -> String {
        format!("s3://{}/{} in the version {}", self.bucket, self.key, self.etag)
    }

    /// Reads it from `data`; `None` if it is absent.
    ///
    /// # Errors
    /// When it cannot be read, is malformed, or of another format: as a clause.
    pub fn read(data: &Path) -> Result<Option<Self>, String> {
        let bytes = match fs::read(data.join(FILE)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            read => read.map_err(|error| error.to_string())?,
        };
        let marker: Self = serde_json::from_slice(&bytes).map_err(|error| error.to_string())?;
        if marker.format != FORMAT {
            return Err(format!("its format is {}, and this version reads format {FORMAT}", marker.format));
        }
        Ok(Some(marker))
    }

    /// Writes it into `data`: the one that was there, or this one, is there at any moment.
    pub fn write(&self, data: &Path) -> io::Result<()> {
        let text = serde_json::to_vec_pretty(self).map_err(io::Error::other)?;
        durable::write(data, FILE, &text)
    }

    /// Removes it from `data`.
    pub fn remove(data: &Path) -> io::Result<()> {
        durable::remove(data, FILE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::restore::tests::{Place, facts, snapshot};

    #[test]
    fn each_step_is_read_back() {
        let place = Place::new("marker");
        assert_eq!(Marker::read(&place.data), Ok(None));
        let proof = Proof { inode: 7, facts: facts() };
        for step in [Step::Intent, Step::Unpacked(proof), Step::Done { facts: facts() }] {
            let marker = Marker::new(&snapshot(), step, Time::of_epoch(1_795_000_000));
            marker.write(&place.data).unwrap();
            assert_eq!(Marker::read(&place.data), Ok(Some(marker)));
        }
        assert_eq!(place.names(), [FILE], "nothing is left beside it");
        Marker::remove(&place.data).unwrap();
        assert_eq!(place.names(), Vec::<String>::new());
    }

    #[test]
    fn what_is_not_a_marker_is_not_an_absent_one() {
        let place = Place::new("not-a-marker");
        let later = r#"{"format":2,"bucket":"b","key":"k","etag":"e","since":"2026-11-25T21-15-05Z","step":"intent"}"#;
        for (text, clause) in [
            ("", "EOF while parsing"),
            ("{}", "missing field `format`"),
            (later, "its format is 2, and this version reads format 1"),
            (&later.replace("intent", "half"), "unknown variant `half`"),
            (&later.replace("intent", "unpacked"), "missing field `inode`"),
        ] {
            fs::write(place.data.join(FILE), text).unwrap();
            let clause_found = Marker::read(&place.data).unwrap_err();
            assert!(clause_found.contains(clause), "{text}: {clause_found}");
        }
    }
}
