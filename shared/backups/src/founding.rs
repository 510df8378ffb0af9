//! What a cluster was founded from, and whether that is over: one object,
//! `cluster/founding.json`, written conditionally.
//!
//! Restoring is a property of the cluster, once. Nodes restore only while this object says `founding` and
//! names a snapshot; without it, and once it is sealed, a blank node copies from the master.

use serde::{Deserialize, Serialize};

use crate::{Snapshot, Time};

/// The format that is written, and the only one that is read.
pub const FORMAT: u32 = 1;

/// Where the record is in the bucket of the control plane's records.
pub const KEY: &str = "cluster/founding.json";

/// The longest record, bytes. A record has about a kilobyte.
pub const LONGEST: usize = 64 << 10;

/// The founding of a cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Founding {
    /// The format of this record: [`FORMAT`].
    pub format: u32,
    /// Whether nodes may still restore.
    pub phase: Phase,
    /// When the phase began.
    pub since: Time,
    /// What blank nodes restore while the cluster is founded; `None` for a cluster that begins empty.
    pub snapshot: Option<Snapshot>,
}

/// How far a founding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// Nodes that are blank may restore.
    Founding,
    /// The cluster was seen whole: nothing is restored any more.
    Sealed,
}

/// What to do with the object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// The object says so already.
    Nothing,
    /// Write this record, on the condition that the object is still what was read.
    Write(Box<Founding>),
}

/// Why an intent is not recorded. Each message is a whole sentence.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Conflict {
    /// The cluster is sealed, so it may hold data.
    #[error(
        "this cluster was founded {origin} and is sealed since {since}: it is never overwritten, and nothing was changed; \
         to go back to {wanted}, deploy a second stack with it as Snapshot and switch the DNS name, then set Snapshot here back"
    )]
    Sealed {
        /// What it was founded from: `from s3://...` or `empty`.
        origin: String,
        /// When it was sealed.
        since: Time,
        /// What was requested now.
        wanted: String,
    },
    /// The cluster is being founded from something else: nodes may be restoring that at this moment.
    #[error(
        "this cluster is being founded {origin} since {since} and nodes may have begun, so {wanted} was not recorded: a cluster \
         is founded from one origin; delete this stack, or deploy a second one, with the Snapshot that you want"
    )]
    UnderWay {
        /// What it is founded from.
        origin: String,
        /// When that was recorded.
        since: Time,
        /// What was requested now.
        wanted: String,
    },
    /// An earlier deployment recorded something, and the object is gone.
    #[error(
        "the record of what this cluster was founded from is gone, so that it may hold data that is not known of: {wanted} was \
         not recorded; put the record back from the bucket's versions, or deploy a second stack"
    )]
    Lost {
        /// What was requested now.
        wanted: String,
    },
    /// A newer version wrote it.
    #[error(
        "the founding record is of format {0}, and this version reads format {FORMAT}: deploy the version that wrote it"
    )]
    Format(u64),
    /// The object is malformed.
    #[error(
        "the founding record cannot be read ({0}): nothing is founded or restored until a person has looked at it"
    )]
    Malformed(String),
}

/// Read first: another format may have other fields.
#[derive(Deserialize)]
struct Envelope {
    format: u64,
}

impl Founding {
    /// Reads the object.
    ///
    /// # Errors
    /// When it is of another format, or malformed: neither may be taken for an absent record.
    pub fn read(bytes: &[u8]) -> Result<Self, Conflict> {
        let malformed = |error: serde_json::Error| Conflict::Malformed(error.to_string());
        match serde_json::from_slice::<Envelope>(bytes).map_err(malformed)?.format {
            format if format == u64::from(FORMAT) => serde_json::from_slice(bytes).map_err(malformed),
            other => Err(Conflict::Format(other)),
        }
    }

    /// The bytes to be written.
    pub fn write(&self) -> Vec<u8> {
        serde_json::to_vec_pretty(self)
            .expect("a founding has neither maps nor numbers that JSON cannot have")
    }

    /// Whether it is over.
    pub fn is_sealed(&self) -> bool {
        self.phase == Phase::Sealed
    }

    /// The snapshot that a blank node restores; `None` if it must not restore anything.
    pub fn to_restore(&self) -> Option<&Snapshot> {
        self.snapshot.as_ref().filter(|_| !self.is_sealed())
    }

    /// Records that the cluster is founded from `snapshot` (`None`: empty). The first record stands, because
    /// nodes may act on it at any moment: the same intent again changes nothing, and neither does an intent
    /// to restore nothing into a sealed cluster.
    ///
    /// # Errors
    /// When something else is recorded; a sealed cluster accepts the same snapshot, or none.
    pub fn intend(seen: Option<&Self>, snapshot: Option<Snapshot>, now: Time) -> Result<Change, Conflict> {
        let Some(seen) = seen else {
            let phase = Phase::Founding;
            return Ok(Change::Write(Box::new(Self { format: FORMAT, phase, since: now, snapshot })));
        };
        let wanted = || snapshot.as_ref().map_or_else(|| "an empty cluster".to_owned(), ToString::to_string);
        let (origin, since) = (seen.origin(), seen.since);
        match (seen.phase, &seen.snapshot, &snapshot) {
            (_, Some(old), Some(new)) if old.is(new) => Ok(Change::Nothing),
            (_, None, None) | (Phase::Sealed, _, None) => Ok(Change::Nothing),
            (Phase::Sealed, ..) => Err(Conflict::Sealed { origin, since, wanted: wanted() }),
            (Phase::Founding, ..) => Err(Conflict::UnderWay { origin, since, wanted: wanted() }),
        }
    }

    /// Records that the cluster was seen whole. A cluster without a record is sealed too: it lives, so
    /// nothing may be restored into it.
    pub fn seal(seen: Option<&Self>, now: Time) -> Change {
        let phase = Phase::Sealed;
        match seen {
            Some(seen) if seen.is_sealed() => Change::Nothing,
            seen => {
                let snapshot = seen.and_then(|seen| seen.snapshot.clone());
                Change::Write(Box::new(Self { format: FORMAT, phase, since: now, snapshot }))
            }
        }
    }

    /// Why a sealed cluster is not founded from `wanted`.
    pub fn refuses(&self, wanted: String) -> Conflict {
        Conflict::Sealed { origin: self.origin(), since: self.since, wanted }
    }

    fn origin(&self) -> String {
        self.snapshot.as_ref().map_or_else(|| "empty".to_owned(), |snapshot| format!("from {snapshot}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Phase::{Founding as Begun, Sealed};

    const NOW: u64 = 1_700_000_000;

    fn snapshot(key: &str, etag: &str) -> Snapshot {
        Snapshot {
            asked: "latest".into(),
            bucket: "b".into(),
            manifest: format!("{key}/manifest.json"),
            manifest_format: 1,
            key: format!("{key}/store.tar.zst"),
            etag: etag.into(),
            bytes: 1,
            sha256: "0".repeat(64),
            neo4j: "3.4.6".parse().unwrap(),
            database: "graph.db".into(),
            counts: None,
            last_transaction: None,
            store_id: None,
            store_bytes: None,
        }
    }

    fn founding(phase: Phase, snapshot: Option<Snapshot>) -> Founding {
        Founding { format: FORMAT, phase, since: Time::of_epoch(0), snapshot }
    }

    #[test]
    fn the_first_intent_stands() {
        let (a, b, changed) = (snapshot("a", "1"), snapshot("b", "1"), snapshot("a", "2"));
        let asked_by_uri = Snapshot { asked: "s3://b/a".into(), ..a.clone() };
        let of = |phase, snapshot: &Snapshot| Some(founding(phase, Some(snapshot.clone())));
        let empty = |phase| Some(founding(phase, None));
        let table: [(&str, Option<Founding>, Option<&Snapshot>, &str); 14] = [
            ("nothing recorded", None, Some(&a), "write"),
            ("nothing recorded, empty", None, None, "write"),
            ("the same event twice", of(Begun, &a), Some(&a), "nothing"),
            ("the same object by another name", of(Begun, &a), Some(&asked_by_uri), "nothing"),
            ("empty twice", empty(Begun), None, "nothing"),
            (
                "another one while nodes restore",
                of(Begun, &a),
                Some(&b),
                "this cluster is being founded from s3://b/a/",
            ),
            ("another version of it", of(Begun, &a), Some(&changed), "this cluster is being founded"),
            ("none while nodes restore", of(Begun, &a), None, "this cluster is being founded"),
            ("one while empty nodes start", empty(Begun), Some(&a), "this cluster is being founded empty"),
            ("sealed, the same", of(Sealed, &a), Some(&a), "nothing"),
            (
                "sealed, another",
                of(Sealed, &a),
                Some(&b),
                "this cluster was founded from s3://b/a/store.tar.zst and is sealed",
            ),
            ("sealed, another version", of(Sealed, &a), Some(&changed), "this cluster was founded"),
            ("sealed empty, one", empty(Sealed), Some(&a), "this cluster was founded empty and is sealed"),
            ("sealed, the parameter was taken out", of(Sealed, &a), None, "nothing"),
        ];
        for (case, seen, wanted, expected) in table {
            match Founding::intend(seen.as_ref(), wanted.cloned(), Time::of_epoch(NOW)) {
                Ok(Change::Write(written)) => {
                    assert_eq!(expected, "write", "{case}");
                    assert_eq!(written.to_restore(), wanted, "{case}");
                }
                Ok(Change::Nothing) => assert_eq!(expected, "nothing", "{case}"),
                Err(conflict) => assert!(conflict.to_string().starts_with(expected), "{case}: {conflict}"),
            }
        }
    }

    #[test]
    fn the_refusal_says_what_to_do() {
        let sealed = founding(Sealed, Some(snapshot("a", "1")));
        let refused =
            Founding::intend(Some(&sealed), Some(snapshot("b", "1")), Time::of_epoch(NOW)).unwrap_err();
        assert_eq!(
            refused.to_string(),
            "this cluster was founded from s3://b/a/store.tar.zst and is sealed since 1970-01-01T00-00-00Z: it is never \
             overwritten, and nothing was changed; to go back to s3://b/b/store.tar.zst, deploy a second stack with it as \
             Snapshot and switch the DNS name, then set Snapshot here back"
        );
    }

    #[test]
    fn a_seal_is_for_good_and_ends_all_restoring() {
        let now = Time::of_epoch(NOW);
        for seen in [None, Some(founding(Begun, None)), Some(founding(Begun, Some(snapshot("a", "1"))))] {
            let Change::Write(sealed) = Founding::seal(seen.as_ref(), now) else { panic!("{seen:?}") };
            assert_eq!((sealed.phase, sealed.since), (Sealed, now));
            assert_eq!(sealed.snapshot, seen.and_then(|seen| seen.snapshot));
            assert_eq!(sealed.to_restore(), None);
            assert_eq!(Founding::seal(Some(&sealed), now), Change::Nothing);
        }
    }

    #[test]
    fn a_record_that_cannot_be_read_is_no_blank_page() {
        let founding = founding(Begun, Some(snapshot("a", "1")));
        assert_eq!(Founding::read(&founding.write()), Ok(founding));
        assert_eq!(Founding::read(br#"{"format":9}"#), Err(Conflict::Format(9)));
        for bytes in [
            &b""[..],
            b"{}",
            br#"{"format":1}"#,
            br#"{"format":1,"phase":"over","since":"x","snapshot":null}"#,
        ] {
            assert!(matches!(Founding::read(bytes), Err(Conflict::Malformed(_))), "{bytes:?}");
        }
    }
}
