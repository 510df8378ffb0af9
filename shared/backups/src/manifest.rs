//! The manifest of a backup: what it is of, what its data must be, and what was proven about it.

use serde::{Deserialize, Serialize};

use crate::{Time, Version};

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
            for field in ["store_format", "last_transaction", "counts"] {
                json.as_object_mut().unwrap().remove(field);
            }
        });
        let expected = Manifest { store_format: None, last_transaction: None, counts: None, ..manifest() };
        assert_eq!(without, Ok(expected));
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
