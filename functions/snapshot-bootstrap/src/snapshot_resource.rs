//! `Custom::SnapshotBootstrap`: records what the cluster is founded from.

use backups::{Conflict, Founding, Snapshot, Target, Version};
use custom_resource::{Call, Data, Failure, Outcome, Resource};
use serde::{Deserialize, Deserializer};

use crate::{
    Record, Resolved, Source, Storage, Untold,
    record::{TRIES, now},
    resolve,
};

const SUFFIX: &str = "-snapshot";

/// Resolves `Source` to one object and records it, once. It never deletes or overwrites anything.
pub struct SnapshotBootstrap<S> {
    storage: S,
    record: Record<S>,
    backups: String,
    version: Version,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Properties {
    /// What the cluster is founded from.
    source: Source,
    /// The version of Neo4j into which it is restored; the function's own if left out or empty.
    #[serde(default, deserialize_with = "version")]
    expected_version: Option<Version>,
    /// The bucket in which backups are looked for; the function's own if left out or empty.
    #[serde(default)]
    backup_bucket: String,
    /// `true`: a backup that is not verified may be restored, if `Source` is its URI.
    #[serde(default, deserialize_with = "flag")]
    accept_unverified: bool,
}

fn flag<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    match String::deserialize(deserializer)?.trim() {
        "true" => Ok(true),
        "" | "false" => Ok(false),
        _ => Err(serde::de::Error::custom("it must be true or false")),
    }
}

fn version<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Version>, D::Error> {
    match String::deserialize(deserializer)?.trim() {
        "" => Ok(None),
        text => text.parse().map(Some).map_err(serde::de::Error::custom),
    }
}

impl<S: Storage> SnapshotBootstrap<S> {
    /// Looks for backups in the bucket `backups`, for a cluster of `version`.
    pub fn new(storage: S, record: Record<S>, backups: String, version: Version) -> Self {
        Self { storage, record, backups, version }
    }

    /// Reads the record, resolves, decides and writes, and does all of it again after a lost write race. An
    /// Update finds a record, because an earlier deployment has made one.
    async fn found(&self, call: &Call, wanted: &Properties, is_update: bool) -> Result<Outcome, Failure> {
        for attempt in 0..TRIES {
            call.step("read the founding record");
            let (seen, version) = self.record.load_version().await.map_err(Failure::new)?;
            let snapshot = match (remembered(seen.as_ref(), &wanted.source), &seen) {
                (Some(snapshot), _) => Some(snapshot.clone()),
                // Whatever is there: it may be gone, or may not be read any more, and is not restored in any case.
                (None, Some(sealed)) if sealed.is_sealed() && wanted.source != Source::Empty => {
                    return Err(Failure::new(sealed.refuses(wanted.source.to_string())));
                }
                (None, _) => self.resolve(call, wanted).await?,
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
        let target = target.accepting_unverified(wanted.accept_unverified);
        let backups = match wanted.backup_bucket.trim() {
            "" => self.backups.as_str(),
            named => named,
        };
        let resolved = resolve(&self.storage, &wanted.source, backups, &target, now()).await;
        let Some(Resolved { snapshot, skipped }) = resolved.map_err(Failure::new)? else { return Ok(None) };
        for why in skipped {
            tracing::warn!(
                event = "backup-skipped",
                "{} is {snapshot}, although a newer one is there: {why}",
                wanted.source
            );
        }
        Ok(Some(snapshot))
    }
}

/// What the same request was resolved to before. `latest` on a later day is another backup, and the cluster's
/// is the one that it was founded from.
fn remembered<'f>(seen: Option<&'f Founding>, source: &Source) -> Option<&'f Snapshot> {
    let is_its_uri = |snapshot: &Snapshot| match source {
        Source::Exact { bucket, manifest } => (bucket, manifest) == (&snapshot.bucket, &snapshot.manifest),
        _ => false,
    };
    seen?.snapshot.as_ref().filter(|snapshot| snapshot.asked == source.to_string() || is_its_uri(snapshot))
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
        match &properties.source {
            // Otherwise an operator would expect an unverified one, and get another.
            source @ (Source::Latest { .. } | Source::Before { .. }) if properties.accept_unverified => {
                Err(Failure::new(format_args!(
                    "AcceptUnverified is true and Snapshot is {source}, which is verified in any case; nothing was recorded. Name the \
                     backup by its URI, or set AcceptUnverified to false"
                )))
            }
            _ => Ok(()),
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
