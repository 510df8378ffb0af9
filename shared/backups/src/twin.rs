//! A bucket in memory, for tests: what is written into it, and what becomes of it from tick to tick.

use std::collections::{BTreeMap, BTreeSet};

use crate::{Catalogue, Consistency, Data, Folder, Listed, Manifest, Retention, Time, Unreadable, manifest};

/// How long the lifecycle leaves a tagged object.
const LIFECYCLE: u64 = 24 * 3600;

#[derive(Clone, Debug, Default)]
pub(crate) struct Bucket {
    pub(crate) objects: BTreeMap<String, u64>,
    pub(crate) manifests: BTreeMap<String, Result<Manifest, Unreadable>>,
    /// The tagged objects, and since when each is tagged.
    tagged: BTreeMap<String, Time>,
}

pub(crate) fn time(text: &str) -> Time {
    text.parse().unwrap()
}

pub(crate) fn folder(text: &str) -> Folder {
    text.parse().unwrap()
}

pub(crate) fn manifest_of(folder: &Folder, consistency: Consistency) -> Manifest {
    let data = Data { key: folder.data(), bytes: 100, sha256: "0123456789abcdef".repeat(4) };
    Manifest { created: folder.time, data, consistency, finished: None, ..manifest::tests::manifest() }
}

impl Bucket {
    /// Writes a whole backup.
    pub(crate) fn put(&mut self, folder: &Folder, consistency: Consistency) -> &mut Self {
        self.object(&folder.data(), 100).commit(folder, Ok(manifest_of(folder, consistency)))
    }

    /// Writes a manifest that is read as `read`.
    pub(crate) fn commit(&mut self, folder: &Folder, read: Result<Manifest, Unreadable>) -> &mut Self {
        self.manifests.insert(folder.manifest(), read);
        self.object(&folder.manifest(), 900)
    }

    pub(crate) fn object(&mut self, key: &str, bytes: u64) -> &mut Self {
        self.objects.insert(key.to_owned(), bytes);
        self
    }

    pub(crate) fn catalogue(&self) -> Catalogue {
        let listed = |(key, bytes): (&String, &u64)| Listed { key: key.clone(), bytes: *bytes };
        Catalogue::of(&self.objects.iter().map(listed).collect::<Vec<_>>(), &self.manifests)
    }

    /// One tick: tags what expires and nothing else, then the lifecycle deletes what was tagged long enough.
    /// Returns what is tagged.
    pub(crate) fn tick(&mut self, now: Time, retention: &Retention) -> BTreeSet<String> {
        let expired: BTreeSet<String> = retention.expired(now, &self.catalogue()).into_iter().collect();
        self.tagged.retain(|key, _| expired.contains(key));
        for key in &expired {
            assert!(self.objects.contains_key(key), "{key} is not there");
            self.tagged.entry(key.clone()).or_insert(now);
        }
        let gone = |since: &Time| now.since(*since).as_secs() >= LIFECYCLE;
        self.objects.retain(|key, _| !self.tagged.get(key).is_some_and(gone));
        expired
    }
}
