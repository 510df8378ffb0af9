//! `Custom::SnapshotBootstrap`: records what the cluster is founded from.

use backups::{Conflict, Founding, Snapshot, Target, Version};
use custom_resource::{Call, Data, Failure, Outcome, Resource};
use serde::{Deserialize, Deserializer};

use crate::{
    Record, Source, Storage, Untold,
    record::{TRIES, now},
    resolve,
};

const SUFFIX: &str = "-snapshot";

/// Whether the nodes of this version restore a snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nodes {
    /// They begin empty whatever the founding record says, so a snapshot must not be recorded.
    BeginEmpty,
    /// They restore the snapshot that the founding record names.
    Restore,
}

/// Resolves `Source` to one object and records it, once. It never deletes or overwrites anything.
pub struct SnapshotBootstrap<S> {
    storage: S,
    record: Record<S>,
    backups: String,
    version: Version,
    nodes: Nodes,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Properties {
    /// What the cluster is founded from.
    source: Source,
    /// The version of Neo4j into which it is restored; the function's own if left out or empty.
    #[serde(default, deserialize_with = "version")]
    expected_version: Option<Version>,
}

fn version<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Version>, D::Error> {
    match String::deserialize(deserializer)?.trim() {
        "" => Ok(None),
        text => text.parse().map(Some).map_err(serde::de::Error::custom),
    }
}

impl<S: Storage> SnapshotBootstrap<S> {
    /// Looks for backups in the bucket `backups`, for a cluster of `version`.
    pub fn new(storage: S, record: Record<S>, backups: String, version: Version, nodes: Nodes) -> Self {
        Self { storage, record, backups, version, nodes }
    }

    /// Reads the record, resolves, decides and writes, and does all of it again after a lost write race. An
    /// Update finds a record, because an earlier deployment has made one.
    async fn found(&self, call: &Call, wanted: &Properties, is_update: bool) -> Result<Outcome, Failure> {
        for attempt in 0..TRIES {
            call.step("read the founding record");
            let (seen, version) = self.record.load_version().await.map_err(Failure::new)?;
            let snapshot = match remembered(seen.as_ref(), &wanted.source) {
                Some(snapshot) => Some(snapshot.clone()),
                None => self.resolve(call, wanted).await?,
            };
            if let (None, Some(snapshot), true) = (&seen, &snapshot, is_update) {
                return Err(Failure::new(Conflict::Lost { wanted: snapshot.to_string() }));
            }
            let change = Founding::intend(seen.as_ref(), snapshot.clone(), now()).map_err(Failure::new)?;
            call.step("write the founding record");
            if self.record.write(&change, &version, attempt).await.map_err(Failure::new)? {
                return Ok(Outcome::Done(data(snapshot.as_ref())));
            }
        }
        Err(Failure::new(Untold::Contended(self.record.to_string())))
    }

    async fn resolve(&self, call: &Call, wanted: &Properties) -> Result<Option<Snapshot>, Failure> {
        call.step("look at the snapshot");
        let target = Target::of(wanted.expected_version.unwrap_or(self.version));
        resolve(&self.storage, &wanted.source, &self.backups, &target).await.map_err(Failure::new)
    }
}

/// What the same request was resolved to before. `latest` on a later day is another backup, and the cluster's
/// is the one that it was founded from.
fn remembered<'f>(seen: Option<&'f Founding>, source: &Source) -> Option<&'f Snapshot> {
    seen?.snapshot.as_ref().filter(|snapshot| snapshot.asked == source.to_string())
}

/// Every attribute is always present, because a template that reads a missing one fails;
/// an empty one is not known.
fn data(snapshot: Option<&Snapshot>) -> Data {
    let text = |of: &dyn Fn(&Snapshot) -> String| snapshot.map(of).unwrap_or_default();
    let count = |of: &dyn Fn(&backups::Counts) -> u64| {
        snapshot
            .and_then(|snapshot| snapshot.counts.as_ref())
            .map(|counts| of(counts).to_string())
            .unwrap_or_default()
    };
    Data::new()
        .with("Bucket", text(&|snapshot| snapshot.bucket.clone()))
        .with("Key", text(&|snapshot| snapshot.key.clone()))
        .with("ETag", text(&|snapshot| snapshot.etag.clone()))
        .with("ManifestKey", text(&|snapshot| snapshot.manifest.clone()))
        .with("Version", text(&|snapshot| snapshot.neo4j.to_string()))
        .with("Nodes", count(&|counts| counts.nodes))
        .with("Relationships", count(&|counts| counts.relationships))
}

impl<S: Storage> Resource for SnapshotBootstrap<S> {
    type Properties = Properties;
    const TYPE: &'static str = "Custom::SnapshotBootstrap";

    /// At once and before anything is looked up: an hour later only an empty cluster would be there.
    fn validate(&self, properties: &Properties) -> Result<(), Failure> {
        match (self.nodes, &properties.source) {
            (Nodes::Restore, _) | (_, Source::Empty) => Ok(()),
            (Nodes::BeginEmpty, source) => Err(Failure::new(format_args!(
                "Source is {source}, and nodes do not restore backups yet, so that the cluster would begin empty; nothing was \
                 recorded. Set it to none (the template's Snapshot to empty)"
            ))),
        }
    }

    /// One for each stack, whatever its source: another source is never a replacement, because then the
    /// Delete of the old one would look like a deletion of data.
    fn physical_id(&self, call: &Call, _properties: &Properties) -> String {
        format!("{}{SUFFIX}", call.stack_name)
    }

    async fn create(&self, call: &Call, properties: &Properties) -> Result<Outcome, Failure> {
        self.found(call, properties, false).await
    }

    async fn update(
        &self,
        call: &Call,
        properties: &Properties,
        _old: Option<&Properties>,
    ) -> Result<Outcome, Failure> {
        self.found(call, properties, true).await
    }

    /// The record stays: existing data was founded from it, and the bucket is kept.
    async fn delete(
        &self,
        _call: &Call,
        _id: &str,
        _properties: Option<&Properties>,
    ) -> Result<Outcome, Failure> {
        Ok(Outcome::Done(Data::new()))
    }

    fn owns(&self, call: &Call, physical_id: &str) -> bool {
        physical_id == format!("{}{SUFFIX}", call.stack_name)
    }

    /// A Delete is a no-op, whatever the id.
    fn needs_delete(_physical_id: &str) -> bool {
        false
    }
}
