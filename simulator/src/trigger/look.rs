//! What one invocation has looked at, and what was true then: it is judged by what it could have seen.

use std::collections::BTreeMap;

use backups::Folder;

use super::{
    bucket::{Bucket, Newest, Said},
    setting::STACK,
};

/// What is true of a bucket when a listing begins, or when it has ended.
#[derive(Clone, Debug, Default)]
pub struct Page {
    pub at: u64,
    pub newest: Newest,
    /// The newest verified backup of all tiers.
    pub latest: Option<Folder>,
    /// What the manifest of the run that is under way says, and whether its data is there.
    pub said: Option<(Said, bool)>,
}

/// What was true of one folder when it was listed once more.
#[derive(Clone, Copy, Debug, Default)]
pub struct Relisted {
    pub is_held: bool,
    pub has_manifest: bool,
}

#[derive(Clone, Debug, Default)]
pub struct Look {
    /// When the owner was read, and whether it was another stack.
    pub owner: Option<(u64, bool)>,
    /// The run that was under way when the state was read.
    pub current: Option<Folder>,
    /// The listing of the bucket.
    pub began: Option<Page>,
    pub ended: Option<Page>,
    /// A manifest could not be read.
    pub unread: bool,
    /// From the moment that the listing of tasks shows to the last answer of a node.
    pub nodes: (u64, u64),
    pub pause: (u64, u64),
    relisted: BTreeMap<Folder, Relisted>,
}

impl Look {
    /// The state was read. Later reads are of a plan that is made already.
    pub fn loads(&mut self, current: Option<Folder>) {
        if self.began.is_none() {
            self.current = current;
        }
    }

    pub fn owned(&mut self, now: u64, owner: Option<&str>) {
        self.owner = Some((now, owner.is_some_and(|owner| owner != STACK)));
    }

    fn page(&self, at: u64, bucket: &Bucket) -> Page {
        Page {
            at,
            newest: bucket.newest(),
            latest: bucket.verified().next().cloned(),
            said: self.current.as_ref().and_then(|folder| bucket.said(folder)),
        }
    }

    pub fn lists(&mut self, now: u64, bucket: &Bucket) {
        self.began = Some(self.page(now, bucket));
        self.unread = false;
    }

    pub fn listed(&mut self, now: u64, bucket: &Bucket) {
        self.ended = Some(self.page(now, bucket));
    }

    pub fn relists(&mut self, folder: &Folder, bucket: &Bucket) {
        let relisted =
            Relisted { is_held: bucket.is_held(folder), has_manifest: bucket.said(folder).is_some() };
        self.relisted.insert(folder.clone(), relisted);
    }

    pub fn relisted(&self, folder: &Folder) -> Option<Relisted> {
        self.relisted.get(folder).copied()
    }

    /// Whether the bucket was another stack's when its owner was read.
    pub fn is_foreign(&self) -> bool {
        self.owner.is_some_and(|(_, foreign)| foreign)
    }
}
