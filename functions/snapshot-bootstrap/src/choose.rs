//! Which backup of a bucket `latest` and `before:<time>` are. Manifests are read from the newest on, and no further than
//! necessary.

use std::collections::BTreeMap;

use backups::{
    Catalogue, Entry, Folder, LONGEST, Latest, Listed, Manifest, ROOT, Standing, Time, Unreadable,
};

use crate::{Refusal, Storage};

/// So many of what was skipped are named in a sentence: more are for `node backups list`.
const NAMED: usize = 5;

/// The backup that is meant, and what was passed over for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Choice {
    pub folder: Folder,
    /// Each newer one that is not verified, with its reason.
    pub skipped: Vec<String>,
}

/// The newest verified backup in `bucket`, or the newest one that has nothing from `before` on in it. `asked` is what it is
/// called in sentences.
///
/// # Errors
/// When there is none, or it is not known: a manifest that could not be read just now may be the newest one.
pub(crate) async fn choose<S: Storage>(
    storage: &S,
    bucket: &str,
    asked: &str,
    before: Option<Time>,
    now: Time,
) -> Result<Choice, Refusal> {
    let mut shelf = Shelf::list(storage, bucket).await?;
    if before.is_some_and(|time| time > now) {
        let newest = match shelf.newest(None).await? {
            Some(choice) => format!("the newest verified backup is {}, which latest names", choice.folder),
            None => "no verified backup is there at all".to_owned(),
        };
        return Err(Refusal::Future { asked: asked.to_owned(), now, newest });
    }
    match shelf.newest(before).await? {
        Some(choice) => Ok(choice),
        None => Err(shelf.none(asked, before).await?),
    }
}

/// What is in a bucket, as far as it was read.
struct Shelf<'s, S> {
    storage: &'s S,
    bucket: &'s str,
    listing: Vec<Listed>,
    manifests: BTreeMap<String, Result<Manifest, Unreadable>>,
}

impl<'s, S: Storage> Shelf<'s, S> {
    async fn list(storage: &'s S, bucket: &'s str) -> Result<Self, Refusal> {
        let listed = storage.list(bucket, ROOT).await;
        let listed = listed.map_err(|error| Refusal::failed(format!("s3://{bucket}/{ROOT}"), error))?;
        let listing = listed.into_iter().map(|(key, bytes)| Listed { key, bytes }).collect();
        Ok(Self { storage, bucket, listing, manifests: BTreeMap::new() })
    }

    /// Those with a manifest, oldest first.
    fn folders(&self) -> Vec<Folder> {
        let mut folders: Vec<Folder> =
            self.listing.iter().filter_map(|listed| Folder::of_manifest(&listed.key)).collect();
        folders.sort();
        folders
    }

    /// Reads the manifest of `folder`, once.
    async fn read(&mut self, folder: &Folder) -> Result<(), Refusal> {
        let key = folder.manifest();
        if self.manifests.contains_key(&key) {
            return Ok(());
        }
        let listed = self.listing.iter().find(|listed| listed.key == key);
        let manifest = if listed.is_some_and(|listed| listed.bytes > LONGEST as u64) {
            Err(Unreadable::TooLong)
        } else {
            let stored = self.storage.get(self.bucket, &key, LONGEST).await;
            let failed = |error| Refusal::failed(format!("s3://{}/{key}", self.bucket), error);
            // One that has gone since the listing is not a backup any more.
            stored.map_err(failed)?.map_or(Err(Unreadable::NotRead), |stored| Manifest::read(&stored.body))
        };
        self.manifests.insert(key, manifest);
        Ok(())
    }

    /// The newest verified one of all, or of those that have nothing from `before` on in them.
    async fn newest(&mut self, before: Option<Time>) -> Result<Option<Choice>, Refusal> {
        for folder in self.folders().iter().rev() {
            // What was begun later has later changes in it.
            if before.is_some_and(|time| folder.time >= time) {
                continue;
            }
            self.read(folder).await?;
            let catalogue = self.catalogue();
            let latest = before.map_or_else(|| catalogue.latest(), |time| catalogue.before(time));
            if let Some(chosen) = latest.chosen {
                return Ok(Some(Choice { folder: chosen.folder.clone(), skipped: reasons(&latest) }));
            }
        }
        Ok(None)
    }

    /// Why there is none: what there is instead.
    async fn none(&mut self, asked: &str, before: Option<Time>) -> Result<Refusal, Refusal> {
        let (bucket, asked) = (self.bucket.to_owned(), asked.to_owned());
        let folders = self.folders();
        if folders.is_empty() {
            return Ok(Refusal::NoBackup(bucket, asked));
        }
        // All of them, from the oldest on, until one is verified: it is too new.
        for folder in &folders {
            self.read(folder).await?;
            let catalogue = self.catalogue();
            let verified =
                catalogue.entries.iter().find(|entry| entry.folder == *folder && entry.is_verified());
            if let (Some(time), Some(Ok(manifest))) = (before, verified.map(|entry| &entry.manifest)) {
                let skipped = reasons(&catalogue.before(time));
                let skipped =
                    if skipped.is_empty() { String::new() } else { format!(" ({})", named(&skipped)) };
                let (oldest, data) = (folder.to_string(), manifest.copied());
                return Ok(Refusal::NoneBefore { bucket, asked, oldest, data, skipped });
            }
        }
        let skipped = named(&reasons(&self.catalogue().latest()));
        Ok(Refusal::NoneVerified { bucket, asked, skipped })
    }

    fn catalogue(&self) -> Catalogue {
        Catalogue::of(&self.listing, &self.manifests)
    }
}

fn reasons(latest: &Latest<'_>) -> Vec<String> {
    latest.skipped.iter().map(|entry| reason(entry)).collect()
}

/// A clause about one that is not verified.
fn reason(entry: &Entry) -> String {
    let folder = &entry.folder;
    match (entry.verdict(), &entry.manifest) {
        (_, Err(unreadable)) => format!("the manifest of {folder} cannot be relied on: {unreadable}"),
        (Standing::Missing, _) => {
            format!("the data of {folder} is gone, or of another length than its manifest says")
        }
        (verdict, _) => format!("{folder} is {verdict}"),
    }
}

/// Some of them, and how many more there are.
fn named(reasons: &[String]) -> String {
    let shown = reasons.iter().take(NAMED).map(String::as_str).collect::<Vec<_>>().join("; ");
    match reasons.len().saturating_sub(NAMED) {
        0 => shown,
        more => format!("{shown}; and {more} more"),
    }
}
