//! What a tick sees: the owner of the bucket, the task of its run, the catalogue, the nodes.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, PoisonError},
};

use backups::{Catalogue, Folder, LONGEST, Listed, Manifest, ROOT, Unreadable};
use tracing::warn;

use crate::{Owner, Policy, Started, Trouble, View, World, runs::Runs};

/// The most manifests that are kept in memory, some ten megabytes. A bucket with more is read by its newest.
const MOST: usize = 5_000;

/// What a warm process remembers: manifests never change. Ticks share it.
#[derive(Debug, Default)]
pub struct Memory {
    manifests: Mutex<BTreeMap<String, Result<Manifest, Unreadable>>>,
}

/// One look.
pub(crate) struct Looked {
    pub catalogue: Catalogue,
    pub view: View,
}

/// Looks at everything. The task comes before the bucket: a worker writes its manifest and then ends, so a
/// task that had ended before the listing will never write one.
pub(crate) async fn look<W: World>(
    world: &W,
    policy: &Policy,
    memory: &Memory,
    runs: &Runs,
    owner: Option<String>,
) -> Result<Looked, Trouble> {
    let owner = owner.filter(|owner| *owner != policy.stack_id).map_or(Owner::Ours, Owner::Another);
    let (mut task, mut started) = (None, Started::NotKnown);
    if let Some(run) = &runs.current {
        let found = match &run.task {
            Some(arn) => world.task(arn).await.map(|end| task = Some(end)),
            None => world.started(run).await.map(|arn| started = arn.map_or(Started::Nothing, Started::Task)),
        };
        if let Err(error) = found {
            warn!(event = "task-unknown", "{error}");
        }
    }
    let catalogue = catalogue(world, memory).await?;
    let (nodes, pause) = tokio::join!(world.nodes(), world.pause());
    let view = View {
        id: world.id()?,
        owner,
        task,
        started,
        nodes: nodes.map_err(|error| error.to_string()),
        pause: pause.map_err(|trouble| trouble.to_string()),
    };
    Ok(Looked { catalogue, view })
}

/// The owner of the bucket, which this stack becomes if there is none.
pub(crate) async fn own<W: World>(world: &W, policy: &Policy) -> Result<String, Trouble> {
    if let Some(owner) = world.owner().await? {
        return Ok(owner);
    }
    world.claim(&policy.stack_id).await?;
    // Two stacks may claim at once: the object says which one was first.
    world.owner().await?.ok_or(Trouble::Unclaimed)
}

/// Lists the bucket and reads the manifests that are not known.
pub(crate) async fn catalogue<W: World>(world: &W, memory: &Memory) -> Result<Catalogue, Trouble> {
    let listing = world.list(ROOT).await?;
    let listed = newest_manifests(&listing);
    let known: BTreeSet<String> = {
        let mut manifests = memory.manifests();
        manifests.retain(|key, _| listed.contains_key(key));
        manifests.keys().cloned().collect()
    };
    let unknown = listed.into_iter().filter(|(key, _)| !known.contains(key));
    // What is too long is not a manifest, and is not read.
    let (long, unread): (Vec<_>, Vec<_>) = unknown.partition(|(_, bytes)| *bytes > LONGEST as u64);
    let keys: Vec<String> = unread.into_iter().map(|(key, _)| key).collect();
    let read = world.manifests(&keys).await;
    let mut manifests = memory.manifests();
    manifests.extend(long.into_iter().map(|(key, _)| (key, Err(Unreadable::TooLong))));
    for (key, read) in keys.into_iter().zip(read) {
        match read {
            Ok(Some(bytes)) => drop(manifests.insert(key, Manifest::read(&bytes))),
            // Gone since the listing: the next one does not have it.
            Ok(None) => {}
            Err(error) => warn!(event = "manifest-unread", key, "{error}"),
        }
    }
    Ok(Catalogue::of(&listing, &manifests))
}

/// The manifests of the newest backups, each with its length.
fn newest_manifests(listing: &[Listed]) -> BTreeMap<String, u64> {
    let folder = |listed: &Listed| Folder::of_manifest(&listed.key);
    let mut found: Vec<(Folder, &Listed)> =
        listing.iter().filter_map(|listed| Some((folder(listed)?, listed))).collect();
    if found.len() > MOST {
        warn!(
            event = "catalogue-cut",
            "{} backups are listed, and the newest {MOST} are looked at: nothing older is tagged",
            found.len()
        );
    }
    found.sort_by(|a, b| b.0.cmp(&a.0));
    found.into_iter().take(MOST).map(|(_, listed)| (listed.key.clone(), listed.bytes)).collect()
}

impl Memory {
    fn manifests(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Result<Manifest, Unreadable>>> {
        self.manifests.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
