//! Which backups there are, and what each is worth.

use std::{collections::BTreeMap, fmt};

use crate::{Consistency, Folder, Manifest, Tier, Time, Unreadable, check::sound};

/// An object of the bucket, as a listing has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Its whole key.
    pub key: String,
    /// Its length in bytes.
    pub bytes: u64,
}

/// All backups of a bucket.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Catalogue {
    /// Those with a manifest, newest first, of all tiers.
    pub entries: Vec<Entry>,
    /// Folders with objects and without a manifest, newest first: a run that is under way or failed, or a
    /// backup whose manifest has expired.
    pub orphans: Vec<Folder>,
    objects: BTreeMap<Folder, Vec<Listed>>,
}

/// One backup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Where it is.
    pub folder: Folder,
    /// Its manifest, or why there is none that can be relied on.
    pub manifest: Result<Manifest, Unreadable>,
    /// The length of its data as it was listed, bytes; `None` if it was not listed.
    pub data: Option<u64>,
    /// Whether an operator holds it.
    pub held: bool,
}

/// What a backup is worth. Each has one word as its text, for tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Standing {
    /// Found consistent, and its data is there in its length: it can be restored.
    Verified,
    /// Its consistency was not checked, or the check itself failed.
    Unchecked,
    /// Its store was found inconsistent.
    Inconsistent,
    /// Its data is gone, or of another length than its manifest says.
    Missing,
    /// Its manifest cannot be read or relied on.
    Unreadable,
}

/// The newest verified backup, and what was passed over for it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Latest<'c> {
    /// The newest verified one; `None` if no backup is verified.
    pub chosen: Option<&'c Entry>,
    /// Newer ones that are not verified, newest first. Operators must hear of them.
    pub skipped: Vec<&'c Entry>,
}

impl Catalogue {
    /// Reads a listing of everything below [`ROOT`](crate::ROOT). `manifests` has what was read, by the
    /// manifest's key. A manifest that is listed and could not be fetched is left out there: its entry is
    /// then [`Unreadable::NotRead`]. One that is not listed is ignored: the listing says what exists. So are
    /// keys that are not in a backup's folder.
    pub fn of(listing: &[Listed], manifests: &BTreeMap<String, Result<Manifest, Unreadable>>) -> Self {
        let mut folders = BTreeMap::<Folder, Vec<Listed>>::new();
        for listed in listing {
            if let Some(folder) = Folder::of_object(&listed.key) {
                folders.entry(folder).or_default().push(listed.clone());
            }
        }
        let mut catalogue = Self::default();
        // newest first
        for (folder, objects) in folders.into_iter().rev() {
            let key = folder.manifest();
            if objects.iter().any(|object| object.key == key) {
                let manifest = manifests.get(&key).cloned().unwrap_or(Err(Unreadable::NotRead));
                catalogue.entries.push(Entry::of(folder, manifest, &objects));
            } else {
                catalogue.orphans.push(folder.clone());
                catalogue.objects.insert(folder, objects);
            }
        }
        catalogue
    }

    /// The objects of a folder without a manifest; empty for any other.
    pub fn objects(&self, orphan: &Folder) -> &[Listed] {
        self.objects.get(orphan).map_or(&[], |objects| objects)
    }

    /// The newest verified backup of all tiers.
    pub fn latest(&self) -> Latest<'_> {
        Latest::among(self.entries.iter(), |_| true)
    }

    /// The newest verified backup that has nothing from `time` on in it: its copy had ended before
    /// ([`Manifest::copied`]). Only unverified ones that were begun before `time` are in `skipped`. A caller
    /// that must refuse a time in the future compares it with its clock first.
    pub fn before(&self, time: Time) -> Latest<'_> {
        let begun = self.entries.iter().filter(move |entry| entry.folder.time < time);
        Latest::among(begun, |manifest| manifest.copied() < time)
    }

    /// The newest verified backup of any of these tiers.
    pub fn newest_verified(&self, tiers: &[Tier]) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.is_verified() && tiers.contains(&entry.folder.tier))
    }
}

impl Entry {
    fn of(folder: Folder, manifest: Result<Manifest, Unreadable>, objects: &[Listed]) -> Self {
        let manifest = manifest.and_then(|manifest| match sound(&manifest, &folder.manifest()) {
            Ok(()) => Ok(manifest),
            Err(fault) => Err(Unreadable::Faulty(fault)),
        });
        let bytes = |key: &str| objects.iter().find(|object| object.key == key).map(|object| object.bytes);
        let data = match &manifest {
            Ok(manifest) => bytes(&manifest.data.key),
            Err(_) => bytes(&folder.data()),
        };
        let held = bytes(&folder.hold()).is_some();
        Self { folder, manifest, data, held }
    }

    /// What it is worth.
    pub fn verdict(&self) -> Standing {
        match &self.manifest {
            Err(_) => Standing::Unreadable,
            // Without its data it does not matter what was once found in it.
            Ok(manifest) if self.data != Some(manifest.data.bytes) => Standing::Missing,
            Ok(manifest) => match manifest.consistency {
                Consistency::Consistent => Standing::Verified,
                Consistency::Unchecked => Standing::Unchecked,
                Consistency::Inconsistent => Standing::Inconsistent,
            },
        }
    }

    /// Whether it can be restored, as far as a listing and a manifest say.
    pub fn is_verified(&self) -> bool {
        self.verdict() == Standing::Verified
    }
}

impl<'c> Latest<'c> {
    /// `entries` newest first.
    fn among(entries: impl Iterator<Item = &'c Entry>, fits: impl Fn(&Manifest) -> bool) -> Self {
        let mut latest = Self::default();
        for entry in entries {
            if !entry.is_verified() {
                latest.skipped.push(entry);
            } else if entry.manifest.as_ref().is_ok_and(&fits) {
                latest.chosen = Some(entry);
                break;
            }
        }
        latest
    }
}

impl fmt::Display for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Verified => "verified",
            Self::Unchecked => "unchecked",
            Self::Inconsistent => "inconsistent",
            Self::Missing => "missing",
            Self::Unreadable => "unreadable",
        })
    }
}

#[cfg(test)]
mod tests;
