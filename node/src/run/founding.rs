//! What a node begins with. While its cluster is founded from a snapshot, a blank core node restores that snapshot, once, and Neo4j
//! is started on none before it is restored on all: 3.4.6 ends itself where the others have another store.
//!
//! ```text
//! data directory --standing--> DataDirectory --+--begin (pure)--> Beginning --> restore --> wait for the others --> Neo4j
//! record: founding.json -----------------------+
//! ```
//!
//! **The record is in the way of no node that has a store.** Such a node asks for it once, for some seconds, and starts without it; one
//! that is blank waits, because it must not begin empty while the others restore, unless there is a master to copy from.

use std::time::Duration;

use aws::Objects;
use backups::{FOUNDING_KEY, Founding, LONGEST_FOUNDING, Snapshot};
use neo4j::{Dialect, phase};
use topology::Kind;
use tracing::{info, warn};

use super::{
    Error,
    guard::Guard,
    said::Said,
    turn::{self, Peer},
};
use crate::{
    Settings,
    place::Place,
    restore::{self, Progress, Standing, forget, standing},
};

/// From one look at the record, or at the others, to the next.
const LOOK: Duration = Duration::from_secs(2);
/// How long a node that has a store waits for the record: it is needed for a founding only.
const PATIENCE: Duration = Duration::from_secs(5);
/// While a node waits for others, it looks at the record again after so many looks.
const RECORD: u32 = 5;

/// What the record says.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Record {
    /// Nothing is restored: there is no record or no snapshot in it, or the cluster is sealed.
    Over,
    /// The cluster is being founded from this.
    Founding(Box<Snapshot>),
    /// It could not be read.
    Unknown(String),
}

/// What a node begins with.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Beginning {
    /// Neo4j is started on what is there, a store or nothing.
    WithWhatIsThere,
    /// The same, and what a restore has left behind is removed before.
    AfterTheFounding,
    /// Also with a store of its own, which is refused: it must not be mixed with those that are restored.
    Restore(Box<Snapshot>),
    /// The store is restored; whether the founding is over is not known, or it is not.
    Restored,
    /// It has no vote and no part in a founding: it copies from the master that comes out of it.
    WaitForTheSeal,
    WaitForTheRecord(String),
}

/// What `record` means for a node of this kind with this data directory. `has_master`: one of the others is the master now.
fn beginning(record: Record, stands: &Standing, kind: Kind, has_master: bool) -> Beginning {
    match (record, stands) {
        // Without an answer too: S3 is in the way of no restart.
        (Record::Over, Standing::Own | Standing::Blank) | (Record::Unknown(_), Standing::Own) => {
            Beginning::WithWhatIsThere
        }
        (Record::Over, Standing::Begun | Standing::Restored { .. }) => Beginning::AfterTheFounding,
        (Record::Founding(_), Standing::Own) if kind == Kind::SlaveOnly => Beginning::WithWhatIsThere,
        (Record::Founding(_), _) if kind == Kind::SlaveOnly => Beginning::WaitForTheSeal,
        // The restore itself knows whether it was of this snapshot.
        (Record::Founding(snapshot), _) => Beginning::Restore(snapshot),
        (Record::Unknown(_), Standing::Restored { .. }) => Beginning::Restored,
        // It copies from that master, whatever the record says.
        (Record::Unknown(_), Standing::Blank | Standing::Begun) if has_master => Beginning::WithWhatIsThere,
        (Record::Unknown(reason), Standing::Blank | Standing::Begun) => Beginning::WaitForTheRecord(reason),
    }
}

/// Whom a node that has restored the version `etag` waits for; `None` when Neo4j may be started.
fn awaited(own: u32, etag: &str, peers: &[Peer]) -> Option<String> {
    let others = || peers.iter().filter(|peer| peer.server_id != own);
    let has_restored = |peer: &Peer| {
        let restore = peer.status.as_ref().and_then(|status| status.restore.as_ref());
        restore.is_some_and(|restore| restore.etag == etag && restore.percent == 100)
    };
    // A cluster of this restore is there already, so there is nothing to wait for.
    if others().any(|peer| has_restored(peer) && is_master(peer)) {
        return None;
    }
    let says = others().filter(|peer| !has_restored(peer)).map(|peer| match &peer.status {
        Some(neo4j::Status { restore: Some(restore), .. }) if restore.etag == etag => {
            format!("node {} restores ({} %)", peer.server_id, restore.percent)
        }
        Some(status) => format!("node {} has not restored it, and says {}", peer.server_id, status.phase),
        None => format!("node {} does not answer", peer.server_id),
    });
    let says: Vec<String> = says.collect();
    (!says.is_empty()).then(|| says.join(", "))
}

fn is_master(peer: &Peer) -> bool {
    let says = |status: &neo4j::Status| status.phase == phase::RUNNING && status.role == "master";
    peer.status.as_ref().is_some_and(says)
}

/// Restores what there is to be restored, and waits until Neo4j may be started on it.
///
/// # Errors
/// When the snapshot is refused, or cannot be restored: the task ends with it, and the next one tries again.
pub async fn begin(settings: &Settings, place: &Place, guard: &Guard) -> Result<(), Error> {
    let Some(bucket) = &settings.state_bucket else { return Ok(()) };
    let (version, data) = (settings.cluster.version, &settings.data);
    let looking = |error| Error::io(format!("looking at {}", data.display()), error);
    let stands = standing(data, version.default_database()).map_err(looking)?;
    let sdk = aws::sdk_config().await;
    let founding = Look {
        settings,
        place,
        inventory: aws::Inventory::new(&sdk, &settings.cluster.cluster),
        objects: Objects::new(&sdk),
        bucket,
    };
    let mut said = Said::default();
    loop {
        let record = founding.record_within(&stands).await;
        let asks = matches!((&record, &stands), (Record::Unknown(_), Standing::Blank | Standing::Begun));
        let has_master = asks && founding.peers().await.is_ok_and(|peers| peers.iter().any(is_master));
        match beginning(record, &stands, place.slot.kind, has_master) {
            Beginning::WithWhatIsThere => return Ok(()),
            Beginning::AfterTheFounding => {
                info!(
                    event = "restore-forgotten",
                    "the founding is over: what a restore has left is removed"
                );
                return forget(data).map_err(|error| Error::io(format!("tidying {}", data.display()), error));
            }
            Beginning::Restore(snapshot) => {
                let progress = Progress::new();
                guard.restoring(&progress, &snapshot.etag);
                let restored = restore::restore(&sdk, data, version, &snapshot, &progress).await?;
                guard.restored(&snapshot.etag, &restored.facts);
                founding.wait_for_all(&snapshot.etag).await;
                return Ok(());
            }
            Beginning::Restored => {
                if let Standing::Restored { etag, facts } = &stands {
                    guard.restored(etag, facts);
                    founding.wait_for_all(etag).await;
                }
                return Ok(());
            }
            Beginning::WaitForTheSeal => {
                let reason = "the cluster is being founded from a snapshot, and this node copies from its master later";
                if said.is_new(reason) {
                    info!(event = "waiting-for-seal", "Neo4j is not started: {reason}");
                }
            }
            Beginning::WaitForTheRecord(reason) => {
                if said.is_new(&reason) {
                    warn!(
                        event = "founding-unread",
                        "what the cluster is founded from is not known, and no other node is the master, so Neo4j is not started: {reason}"
                    );
                }
            }
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// What a node looks at.
struct Look<'l> {
    settings: &'l Settings,
    place: &'l Place,
    inventory: aws::Inventory,
    objects: Objects,
    bucket: &'l str,
}

impl Look<'_> {
    async fn record(&self) -> Record {
        match self.objects.get(self.bucket, FOUNDING_KEY, LONGEST_FOUNDING).await {
            Ok(None) => Record::Over,
            Ok(Some(stored)) => match Founding::read(&stored.body) {
                Ok(founding) => {
                    founding.to_restore().map_or(Record::Over, |of| Record::Founding(Box::new(of.clone())))
                }
                Err(conflict) => Record::Unknown(conflict.to_string()),
            },
            Err(error) => Record::Unknown(error.to_string()),
        }
    }

    /// The same, with the patience of this node.
    async fn record_within(&self, stands: &Standing) -> Record {
        if matches!(stands, Standing::Blank | Standing::Begun) {
            return self.record().await;
        }
        let late = |_| Record::Unknown(format!("S3 has not answered within {} s", PATIENCE.as_secs()));
        let record = tokio::time::timeout(PATIENCE, self.record()).await.unwrap_or_else(late);
        if let Record::Unknown(reason) = &record {
            warn!(
                event = "founding-unread",
                "this node has a store, and does without the founding record: {reason}"
            );
        }
        record
    }

    async fn peers(&self) -> Result<Vec<Peer>, aws::Error> {
        turn::look(self.settings, self.place, &self.inventory).await
    }

    /// Until every other core node has restored the version `etag`, or the founding is over.
    async fn wait_for_all(&self, etag: &str) {
        if self.settings.cluster.dialect == Dialect::Single {
            return;
        }
        let mut said = Said::default();
        for look in 1_u32.. {
            let awaited = match self.peers().await {
                Ok(peers) => awaited(self.place.slot.server_id, etag, &peers),
                Err(error) => Some(format!("the other nodes are not known: {error}")),
            };
            let Some(reason) = awaited else { return };
            if look.is_multiple_of(RECORD) && self.record().await == Record::Over {
                info!(
                    event = "founding-over",
                    "the founding is over, so this node waits for no other one's restore"
                );
                return;
            }
            if said.is_new(&reason) {
                info!(
                    event = "waiting-for-restores",
                    "this node has restored, and Neo4j is not started: {reason}"
                );
            }
            tokio::time::sleep(LOOK).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use neo4j::Status;

    use super::*;
    use crate::restore::tests::{facts, snapshot};

    #[test]
    fn what_a_node_begins_with_is_one_table() {
        use Beginning::{
            AfterTheFounding, Restore, Restored, WaitForTheRecord, WaitForTheSeal, WithWhatIsThere,
        };
        let of = || Box::new(snapshot());
        let (over, founding) = (|| Record::Over, || Record::Founding(of()));
        let unknown = || Record::Unknown("denied".into());
        let done = || Standing::Restored { etag: "\"e\"".into(), facts: facts() };
        let (core, slave_only) = (Kind::Core, Kind::SlaveOnly);
        let table = [
            ("blank, sealed", over(), Standing::Blank, core, false, WithWhatIsThere),
            ("its own, sealed", over(), Standing::Own, core, false, WithWhatIsThere),
            ("begun, sealed", over(), Standing::Begun, core, false, AfterTheFounding),
            ("restored, sealed: asked no more", over(), done(), core, false, AfterTheFounding),
            ("blank, founded", founding(), Standing::Blank, core, false, Restore(of())),
            ("blank, founded, beside a master", founding(), Standing::Blank, core, true, Restore(of())),
            ("begun, founded", founding(), Standing::Begun, core, false, Restore(of())),
            ("restored, founded: again is nothing", founding(), done(), core, false, Restore(of())),
            ("a volume of another cluster: refused", founding(), Standing::Own, core, false, Restore(of())),
            ("blank, slave-only", founding(), Standing::Blank, slave_only, false, WaitForTheSeal),
            ("its own, slave-only", founding(), Standing::Own, slave_only, false, WithWhatIsThere),
            ("blank, unknown", unknown(), Standing::Blank, core, false, WaitForTheRecord("denied".into())),
            ("blank, unknown, beside a master", unknown(), Standing::Blank, core, true, WithWhatIsThere),
            ("begun, unknown", unknown(), Standing::Begun, core, false, WaitForTheRecord("denied".into())),
            ("its own, unknown: S3 stops no restart", unknown(), Standing::Own, core, false, WithWhatIsThere),
            ("restored, unknown: it still waits for others", unknown(), done(), core, false, Restored),
        ];
        for (case, record, stands, kind, has_master, expected) in table {
            assert_eq!(beginning(record, &stands, kind, has_master), expected, "{case}");
        }
    }

    /// `etag` of what it has restored to so many percent.
    fn peer(server_id: u32, phase: &str, role: &str, restored: Option<(&str, u64)>) -> Peer {
        let restore = restored.map(|(etag, percent)| neo4j::Restore {
            percent,
            etag: etag.into(),
            nodes: None,
            relationships: None,
        });
        let status = Status { phase: phase.into(), role: role.into(), restore, ..Status::default() };
        Peer { server_id, status: Some(status) }
    }

    #[test]
    fn neo4j_is_started_nowhere_before_every_core_node_has_restored() {
        let own = peer(1, "restored", "", Some(("e", 100)));
        let done = |server_id| peer(server_id, "restored", "", Some(("e", 100)));
        let silent = Peer { server_id: 3, status: None };
        let table = [
            (
                peer(2, "restoring", "", Some(("e", 42))),
                silent.clone(),
                Some("node 2 restores (42 %), node 3 does not answer"),
            ),
            (
                peer(2, "waiting-for-peers", "", None),
                done(3),
                Some("node 2 has not restored it, and says waiting-for-peers"),
            ),
            // It runs on a store of its own.
            (
                done(2),
                peer(3, "running", "slave", None),
                Some("node 3 has not restored it, and says running"),
            ),
            (
                done(2),
                peer(3, "starting", "", Some(("f", 100))),
                Some("node 3 has not restored it, and says starting"),
            ),
            (done(2), done(3), None),
            // The others were faster.
            (peer(2, "starting", "", Some(("e", 100))), done(3), None),
            // They were there before this one was started again, and one of them is away for good.
            (peer(2, "running", "master", Some(("e", 100))), silent, None),
        ];
        for (second, third, expected) in table {
            assert_eq!(awaited(1, "e", &[own.clone(), second, third]).as_deref(), expected);
        }
    }
}
