//! The bucket as it is: objects, what their manifests say, tags, and the lifecycle that deletes by them.

use std::collections::BTreeMap;

use backups::{Consistency, Data, Folder, Listed, MANIFEST, Manifest, ROOT, Tier, Time};

use crate::Chance;

/// The lifecycle looks once a day, and the objects that are tagged here are older than its day.
const LIFECYCLE: (u64, u64) = (600_000, 86_400_000);

/// What is true of a manifest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Said {
    Consistent,
    Unchecked,
    Inconsistent,
    /// Of a format that only another version of the programs reads.
    Newer,
    /// No manifest.
    Garbage,
}

impl Said {
    pub const ALL: [Self; 5] =
        [Self::Consistent, Self::Unchecked, Self::Inconsistent, Self::Newer, Self::Garbage];
}

#[derive(Clone, Debug)]
pub struct Object {
    pub bytes: u64,
    /// Empty for all but manifests.
    pub body: Vec<u8>,
    /// When the lifecycle deletes it, because it is tagged.
    pub deletes: Option<u64>,
}

/// What is true of one manifest, with the keys of its folder, which are looked up more often than made.
#[derive(Clone, Debug)]
struct Truth {
    said: Said,
    /// The length of the data that it promises.
    bytes: u64,
    manifest: String,
    data: String,
}

#[derive(Clone, Debug, Default)]
pub struct Bucket {
    pub objects: BTreeMap<String, Object>,
    /// What is true of each manifest that is there.
    said: BTreeMap<Folder, Truth>,
    /// The stack in the owner object.
    pub owner: Option<String>,
    /// Parts of uploads that were never completed: no listing has them.
    pub parts: u64,
    /// When an administrator last deleted data that its manifest promises.
    pub lost_data: Option<u64>,
}

/// The newest verified backups: of the schedule's tiers, of the daily one, and of all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Newest {
    pub hourly: Option<Time>,
    pub daily: Option<Time>,
}

impl Bucket {
    pub fn put(&mut self, key: String, bytes: u64) {
        self.objects.entry(key).or_insert(Object { bytes, body: Vec::new(), deletes: None });
    }

    /// The worker for `folder` commits: the manifest says what it found, and how long the data is.
    pub fn commit(&mut self, folder: &Folder, said: Said, bytes: u64, source: &str, finished: Time) {
        let consistency = match said {
            Said::Unchecked => Consistency::Unchecked,
            Said::Inconsistent => Consistency::Inconsistent,
            _ => Consistency::Consistent,
        };
        let Ok(neo4j) = "3.4.6".parse() else { return };
        let manifest = Manifest {
            format: if said == Said::Newer { 2 } else { 1 },
            neo4j,
            dialect: "HA".to_owned(),
            store_format: None,
            database: "graph.db".to_owned(),
            created: folder.time,
            source: source.to_owned(),
            last_transaction: None,
            counts: None,
            data: Data { key: folder.data(), bytes, sha256: "0123456789abcdef".repeat(4) },
            consistency,
            tool: "simulator".to_owned(),
            store_id: None,
            store_bytes: None,
            finished: Some(finished),
            source_role: None,
            master: None,
            seconds: None,
        };
        let body = if said == Said::Garbage { b"<Error>".to_vec() } else { manifest.write() };
        let object = Object { bytes: body.len() as u64, body, deletes: None };
        self.objects.entry(folder.manifest()).or_insert(object);
        let truth = Truth { said, bytes, manifest: folder.manifest(), data: folder.data() };
        self.said.insert(folder.clone(), truth);
        if said == Said::Inconsistent {
            self.put(folder.report(), 100);
        }
    }

    /// What the manifest of `folder` says; `None` without one. The flag: whether its data is there.
    pub fn said(&self, folder: &Folder) -> Option<(Said, bool)> {
        self.look(self.said.get(folder)?)
    }

    fn look(&self, truth: &Truth) -> Option<(Said, bool)> {
        self.objects.get(&truth.manifest)?;
        let there = self.objects.get(&truth.data).is_some_and(|data| data.bytes == truth.bytes);
        Some((truth.said, there))
    }

    pub fn is_held(&self, folder: &Folder) -> bool {
        self.objects.contains_key(&folder.hold())
    }

    /// All backups with a manifest, newest first.
    pub fn backups(&self) -> impl Iterator<Item = (&Folder, Said, bool)> {
        let all = self.said.iter().rev();
        all.filter_map(|(folder, truth)| self.look(truth).map(|(said, there)| (folder, said, there)))
    }

    /// The verified ones, newest first.
    pub fn verified(&self) -> impl Iterator<Item = &Folder> {
        self.backups()
            .filter(|(_, said, there)| *said == Said::Consistent && *there)
            .map(|(folder, ..)| folder)
    }

    pub fn newest(&self) -> Newest {
        let hourly = self.verified().find(|folder| folder.tier != Tier::Manual);
        let daily = self.verified().find(|folder| folder.tier == Tier::Daily);
        Newest { hourly: hourly.map(|folder| folder.time), daily: daily.map(|folder| folder.time) }
    }

    /// A page of a listing: the keys after `after`, up to `until`.
    pub fn page(&self, prefix: &str, after: Option<&str>, until: Option<&str>) -> Vec<Listed> {
        let keys = self.objects.range(prefix.to_owned()..).take_while(|(key, _)| key.starts_with(prefix));
        let in_page =
            |key: &str| after.is_none_or(|after| key > after) && until.is_none_or(|until| key <= until);
        keys.filter(|(key, _)| in_page(key))
            .map(|(key, object)| Listed { key: key.clone(), bytes: object.bytes })
            .collect()
    }

    pub fn tag(&mut self, key: &str, now: u64, chance: &mut Chance) -> bool {
        let Some(object) = self.objects.get_mut(key) else { return false };
        object.deletes.get_or_insert(now + chance.between(LIFECYCLE.0, LIFECYCLE.1));
        true
    }

    pub fn untag(&mut self, key: &str) {
        if let Some(object) = self.objects.get_mut(key) {
            object.deletes = None;
        }
    }

    /// The lifecycle deletes what was tagged long enough. Returns the keys.
    pub fn step(&mut self, now: u64) -> Vec<String> {
        let gone = |object: &Object| object.deletes.is_some_and(|at| at <= now);
        let keys: Vec<String> =
            self.objects.iter().filter(|(_, object)| gone(object)).map(|(key, _)| key.clone()).collect();
        for key in &keys {
            self.objects.remove(key);
            Folder::of_manifest(key).map(|folder| self.said.remove(&folder));
        }
        keys
    }

    /// What must go, by the words of the promise: an unheld backup that is beyond its tier's days and beyond
    /// the number of verified ones that are kept, and data that waited for its manifest longer than a deadline.
    pub fn must_go(
        &self,
        epoch: u64,
        retention: &backups::Retention,
        current: Option<&Folder>,
    ) -> Vec<String> {
        let mut keys = Vec::new();
        let mut newer: Vec<Tier> = Vec::new();
        for (folder, said, there) in self.backups() {
            let keep = retention.keep(folder.tier);
            let old = keep.days.is_some_and(|days| epoch >= folder.time.epoch() + days * 86_400);
            let is_verified = said == Said::Consistent && there;
            let in_tier = newer.iter().filter(|tier| **tier == folder.tier).count();
            let counts = is_verified && in_tier < keep.newest.max(1);
            if old && !counts && !self.is_held(folder) && said != Said::Newer {
                keys.push(folder.manifest());
            }
            if is_verified {
                newer.push(folder.tier);
            }
        }
        for (key, _) in self.objects.range(ROOT.to_owned()..) {
            let Some(folder) = Folder::of_object(key) else { continue };
            let waited = epoch.saturating_sub(folder.time.epoch()) > retention.deadline.as_secs();
            let has_manifest = key.ends_with(MANIFEST) || self.objects.contains_key(&folder.manifest());
            if waited && !has_manifest && !self.is_held(&folder) && current != Some(&folder) {
                keys.push(key.clone());
            }
        }
        keys
    }
}
