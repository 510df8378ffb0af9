//! The manifest of a backup: what it is of, what its data must be, and what was proven about it.

use serde::{Deserialize, Serialize};

use crate::{Refused, Time, Version};

/// The format that is written, and the only one that is read. An additional field does not change the format;
/// a field that a reader must understand does.
pub const FORMAT: u32 = 1;
/// The longest manifest, bytes. A manifest has some hundred; a longer object is not one, and is not read.
pub const LONGEST: usize = 64 << 10;

/// One backup. Unknown fields are ignored, so that a newer writer of the same format can add some.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// The format of this manifest: [`FORMAT`].
    pub format: u32,
    /// The Neo4j that wrote the store.
    pub neo4j: Version,
    /// How it was clustered: `HA`, `CLUSTER`, ...
    pub dialect: String,
    /// The store's own format, such as `vE.H.4`; `None` if the tool does not report it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub store_format: Option<String>,
    /// The database, such as `graph.db`.
    pub database: String,
    /// When the backup was begun: the same time as in its folder's name.
    pub created: Time,
    /// The slot it was taken from.
    pub source: String,
    /// The last transaction in it; `None` if the tool does not report it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_transaction: Option<u64>,
    /// What is in it; `None` if exactly this data was not counted. Counts of the living source are
    /// not counts of the backup.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counts: Option<Counts>,
    /// The object with the data, in the same folder.
    pub data: Data,
    /// What the consistency check found in exactly this data.
    pub consistency: Consistency,
    /// What made it, with its version.
    pub tool: String,
    /// The store's identity, `<creation time>-<random number>`, both in decimal as Neo4j has them: two
    /// backups of one cluster have one id, whatever slot they are from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub store_id: Option<String>,
    /// Bytes of the unpacked store: the disk that a restore needs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub store_bytes: Option<u64>,
    /// When its data had been read back: everything but this manifest was done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished: Option<Time>,
    /// The role of the source when it was chosen, such as `slave`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_role: Option<String>,
    /// The master when the source was chosen. What it had and the backup lacks is lost by a restore.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub master: Option<Seen>,
    /// How long each phase took.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seconds: Option<Seconds>,
}

/// How far a node was at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// Its last transaction.
    pub last_transaction: u64,
    /// When it reported that.
    pub at: Time,
}

/// How long the phases of a backup took, in whole seconds, rounded down. They follow one another in this
/// order, and none overlaps the next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seconds {
    /// The copy from the source.
    pub copy: u64,
    /// The consistency check.
    pub check: u64,
    /// The upload.
    pub stream: u64,
    /// The comparison of what was uploaded.
    pub read_back: u64,
}

/// How much is in a graph.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Nodes.
    pub nodes: u64,
    /// Relationships.
    pub relationships: u64,
}

/// The data of a backup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Data {
    /// Its whole key in the bucket of the manifest, which must be in the manifest's own folder.
    pub key: String,
    /// Its length in bytes.
    pub bytes: u64,
    /// SHA-256 of it, 64 small hexadecimal digits. The restoring node compares it while reading.
    pub sha256: String,
}

/// What the consistency check found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Consistency {
    /// The store is consistent.
    Consistent,
    /// The store is inconsistent.
    Inconsistent,
    /// It was not checked, or the check itself failed.
    Unchecked,
}

/// Bytes that are not a manifest of ours.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// Longer than a manifest can be.
    #[error("it is longer than {LONGEST} bytes, so it is no manifest")]
    TooLong,
    /// Not JSON, or a field is missing or wrong.
    #[error("it is not a manifest: {0}")]
    Malformed(String),
    /// Of a format that this version does not know.
    #[error(
        "its format is {0}, and this version reads format {FORMAT}: restore it with the version that wrote it, or a later one"
    )]
    Format(u64),
    /// It can be read, and what it says of itself is wrong. Only [`Catalogue::of`](crate::Catalogue::of)
    /// finds this, because it knows the folder.
    #[error("{0}")]
    Faulty(Refused),
    /// It is listed and was not read: the request failed, or the object has gone since. It may be sound.
    #[error("it was listed and could not be read just now, so nothing is known of it: look again")]
    NotRead,
}

/// Read first: a later format may have other fields throughout.
#[derive(Deserialize)]
struct Envelope {
    format: u64,
}

impl Manifest {
    /// Reads a manifest.
    ///
    /// # Errors
    /// When it is too long, not JSON, of another format, or a field is missing or malformed: the
    /// sentence names the field.
    pub fn read(bytes: &[u8]) -> Result<Self, Unreadable> {
        if bytes.len() > LONGEST {
            return Err(Unreadable::TooLong);
        }
        let malformed = |error: serde_json::Error| Unreadable::Malformed(error.to_string());
        match serde_json::from_slice::<Envelope>(bytes).map_err(malformed)?.format {
            format if format == u64::from(FORMAT) => serde_json::from_slice(bytes).map_err(malformed),
            other => Err(Unreadable::Format(other)),
        }
    }

    /// When the copy from the source had ended: no later transaction is in the backup. That is the end of
    /// the whole backup less the phases that follow the copy. A manifest without these figures has
    /// only [`created`](Self::created), which the copy followed.
    pub fn copied(&self) -> Time {
        let Some(finished) = self.finished else { return self.created };
        let Seconds { check, stream, read_back, .. } = self.seconds.unwrap_or_default();
        let after = check.saturating_add(stream).saturating_add(read_back);
        Time::of_epoch(finished.epoch().saturating_sub(after)).max(self.created)
    }

    /// The bytes to be written.
    pub fn write(&self) -> Vec<u8> {
        serde_json::to_vec_pretty(self)
            .expect("a manifest has neither maps nor numbers that JSON cannot have")
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use serde_json::{Value, json};

    pub(crate) fn manifest() -> Manifest {
        Manifest {
            format: FORMAT,
            neo4j: "3.4.6".parse().unwrap(),
            dialect: "HA".into(),
            store_format: Some("vE.H.4".into()),
            database: "graph.db".into(),
            created: "2026-11-25T21-15-05Z".parse().unwrap(),
            source: "neo4j-core-3".into(),
            last_transaction: Some(1042),
            counts: Some(Counts { nodes: 50_000, relationships: 12 }),
            data: Data {
                key: "backups/hourly/2026-11-25T21-15-05Z-a1/store.tar.zst".into(),
                bytes: 123,
                sha256: "0123456789abcdef".repeat(4),
            },
            consistency: Consistency::Consistent,
            tool: "neo4j-admin backup 3.4.6".into(),
            store_id: Some("1764105305123-8271".into()),
            store_bytes: Some(1_000),
            finished: Some("2026-11-25T21-16-05Z".parse().unwrap()),
            source_role: Some("slave".into()),
            master: Some(Seen { last_transaction: 1050, at: "2026-11-25T21-15-04Z".parse().unwrap() }),
            seconds: Some(Seconds { copy: 10, check: 20, stream: 8, read_back: 2 }),
        }
    }

    fn changed(change: impl FnOnce(&mut Value)) -> Result<Manifest, Unreadable> {
        let mut json = json!(manifest());
        change(&mut json);
        Manifest::read(json.to_string().as_bytes())
    }

    #[test]
    fn a_manifest_is_read_back_and_bears_fields_it_does_not_know() {
        assert_eq!(Manifest::read(&manifest().write()), Ok(manifest()));
        let with_more = changed(|json| {
            json["compressed-with"] = json!("zstd 19");
            json["data"]["parts"] = json!([1, 2]);
        });
        assert_eq!(with_more, Ok(manifest()));
    }

    #[test]
    fn what_may_be_unknown_is_none() {
        let without = changed(|json| {
            for field in OPTIONAL {
                assert!(json.as_object_mut().unwrap().remove(field).is_some(), "{field}");
            }
        });
        assert_eq!(without, Ok(bare()));
        let written = String::from_utf8(bare().write()).unwrap();
        assert!(!OPTIONAL.iter().any(|field| written.contains(&format!("{field:?}"))), "{written}");
    }

    const OPTIONAL: [&str; 9] = [
        "store_format",
        "last_transaction",
        "counts",
        "store_id",
        "store_bytes",
        "finished",
        "source_role",
        "master",
        "seconds",
    ];

    /// One as the first version of this format had it, without anything that may be unknown.
    fn bare() -> Manifest {
        Manifest {
            store_format: None,
            last_transaction: None,
            counts: None,
            store_id: None,
            store_bytes: None,
            finished: None,
            source_role: None,
            master: None,
            seconds: None,
            ..manifest()
        }
    }

    #[test]
    fn what_was_added_is_spelled_so() {
        let json = json!(manifest());
        assert_eq!(json["store_id"], "1764105305123-8271");
        assert_eq!(json["store_bytes"], 1000);
        assert_eq!(json["finished"], "2026-11-25T21-16-05Z");
        assert_eq!(json["source_role"], "slave");
        assert_eq!(json["master"], json!({"last_transaction": 1050, "at": "2026-11-25T21-15-04Z"}));
        assert_eq!(json["seconds"], json!({"copy": 10, "check": 20, "stream": 8, "read_back": 2}));
    }

    #[test]
    fn the_copy_ended_before_the_phases_that_follow_it() {
        let copied = |manifest: Manifest| manifest.copied().to_string();
        assert_eq!(copied(manifest()), "2026-11-25T21-15-35Z");
        assert_eq!(
            copied(Manifest { seconds: None, ..manifest() }),
            "2026-11-25T21-16-05Z",
            "the end of all is late enough"
        );
        assert_eq!(copied(bare()), "2026-11-25T21-15-05Z");
        let seconds = Some(Seconds { check: u64::MAX, stream: u64::MAX, ..Seconds::default() });
        assert_eq!(copied(Manifest { seconds, ..manifest() }), "2026-11-25T21-15-05Z", "not before it began");
    }

    #[test]
    fn a_format_of_another_time_is_refused_before_its_fields_are_looked_at() {
        let later = Manifest::read(br#"{"format": 2, "everything": "else"}"#).unwrap_err();
        assert_eq!(
            later.to_string(),
            "its format is 2, and this version reads format 1: restore it with the version that wrote it, or a later one"
        );
        assert_eq!(changed(|json| json["format"] = json!(0)), Err(Unreadable::Format(0)));
    }

    #[test]
    fn malformed_ones_are_refused_with_the_field() {
        type Change = fn(&mut Value);
        let sentence = |change: Change| changed(change).unwrap_err().to_string();
        let table: [(Change, &str); 8] = [
            (|json| drop(json.as_object_mut().unwrap().remove("data")), "missing field `data`"),
            (|json| drop(json["data"].as_object_mut().unwrap().remove("sha256")), "missing field `sha256`"),
            (|json| drop(json.as_object_mut().unwrap().remove("format")), "missing field `format`"),
            (|json| json["neo4j"] = json!("3.4"), "\"3.4\" is not a version of Neo4j such as 3.4.6"),
            (|json| json["created"] = json!("yesterday"), "\"yesterday\" is not a time"),
            (|json| json["consistency"] = json!("probably"), "unknown variant `probably`"),
            (|json| json["data"]["bytes"] = json!(-1), "invalid value: integer `-1`"),
            (|json| *json = json!([]), "invalid length 0"),
        ];
        for (change, part) in table {
            let sentence = sentence(change);
            assert!(sentence.starts_with("it is not a manifest: ") && sentence.contains(part), "{sentence}");
        }
        for bytes in [&b""[..], b"<Error>", b"\xff\xfe", &manifest().write()[..100]] {
            assert!(matches!(Manifest::read(bytes), Err(Unreadable::Malformed(_))));
        }
        assert_eq!(Manifest::read(&vec![b' '; LONGEST + 1]), Err(Unreadable::TooLong));
        assert!(Manifest::read(&vec![b'['; LONGEST]).is_err(), "nested as deep as it is long");
    }
}
