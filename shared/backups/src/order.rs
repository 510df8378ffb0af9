//! What a worker is ordered to do: one backup, from one source, into one folder, until a deadline.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use crate::{Folder, Seen, Time};

/// The format that is written, and the only one that is read.
pub const FORMAT: u32 = 1;

/// One backup to be made. The trigger writes it, and the worker has it as JSON in its environment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// The format of this order: [`FORMAT`].
    pub format: u32,
    /// Where the backup goes. Its time is when the run was begun.
    pub folder: Folder,
    /// Where it is taken from.
    pub source: From,
    /// The master when the source was chosen; `None` if none was seen. It goes into the manifest as it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub master: Option<Seen>,
    /// When the run counts as failed: after that no manifest may be written.
    pub deadline: Time,
}

/// The source of a backup, as it was when it was chosen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct From {
    /// The slot, such as `neo4j-core-3`.
    pub slot: String,
    /// Its backup server, `<address>:6362`.
    pub address: SocketAddr,
    /// Its role, such as `slave`.
    pub role: String,
    /// How large its store is, bytes, as its status told; `None` if it did not. The worker cannot ask: nothing but the backup server
    /// admits it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub store_bytes: Option<u64>,
}

/// Text that is not an order of ours. Each message is a whole sentence.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAnOrder {
    /// Not JSON, or a field is missing or wrong.
    #[error(
        "the order cannot be read ({0}), so no backup was begun: backup-trigger writes it, in the variable ORDER"
    )]
    Malformed(String),
    /// Of a format that this version does not know.
    #[error(
        "the order is of format {0}, and this version reads format {FORMAT}, so no backup was begun: the function \
         backup-trigger and the image of the backup task must be of one version"
    )]
    Format(u64),
}

/// Read first: another format may have other fields.
#[derive(Deserialize)]
struct Envelope {
    format: u64,
}

impl Order {
    /// Reads an order.
    ///
    /// # Errors
    /// When it is not JSON, of another format, or a field is missing or malformed: the sentence names it.
    pub fn read(text: &str) -> Result<Self, NotAnOrder> {
        let malformed = |error: serde_json::Error| NotAnOrder::Malformed(error.to_string());
        match serde_json::from_str::<Envelope>(text).map_err(malformed)?.format {
            format if format == u64::from(FORMAT) => serde_json::from_str(text).map_err(malformed),
            other => Err(NotAnOrder::Format(other)),
        }
    }

    /// The text to be handed to the worker: JSON in one line.
    pub fn write(&self) -> String {
        serde_json::to_string(self).expect("an order has neither maps nor numbers that JSON cannot have")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn order() -> Order {
        Order {
            format: FORMAT,
            folder: "backups/manual/2026-11-25T21-15-05Z-a1".parse().unwrap(),
            source: From {
                slot: "neo4j-core-3".into(),
                address: "10.0.1.7:6362".parse().unwrap(),
                role: "slave".into(),
                store_bytes: Some(52_428_800),
            },
            master: Some(Seen { last_transaction: 1050, at: "2026-11-25T21-15-04Z".parse().unwrap() }),
            deadline: "2026-11-25T23-15-05Z".parse().unwrap(),
        }
    }

    /// What two programs of different versions exchange.
    #[test]
    fn its_text_is_known() {
        let text = r#"{"format":1,"folder":"backups/manual/2026-11-25T21-15-05Z-a1",
            "source":{"slot":"neo4j-core-3","address":"10.0.1.7:6362","role":"slave","store_bytes":52428800},
            "master":{"last_transaction":1050,"at":"2026-11-25T21-15-04Z"},"deadline":"2026-11-25T23-15-05Z"}"#;
        assert_eq!(Order::read(text), Ok(order()));
        let known: Value = serde_json::from_str(text).unwrap();
        assert_eq!(serde_json::from_str::<Value>(&order().write()).unwrap(), known);
        assert!(!order().write().contains('\n'));
    }

    #[test]
    fn it_is_read_back_and_bears_fields_it_does_not_know() {
        let address = "[fd00::7]:6362".parse().unwrap();
        let source = From { address, store_bytes: None, ..order().source };
        let without = Order { master: None, source, ..order() };
        assert_eq!(Order::read(&without.write()), Ok(without.clone()));
        assert!(!without.write().contains("master") && !without.write().contains("store_bytes"));
        let mut more = json!(order());
        more["page_cache"] = json!("64m");
        assert_eq!(Order::read(&more.to_string()), Ok(order()));
    }

    #[test]
    fn another_format_is_refused_by_name() {
        let refused = Order::read(r#"{"format":2,"everything":"else"}"#).unwrap_err();
        assert_eq!(
            refused.to_string(),
            "the order is of format 2, and this version reads format 1, so no backup was begun: the function backup-trigger \
             and the image of the backup task must be of one version"
        );
    }

    #[test]
    fn malformed_ones_are_refused_with_the_field() {
        type Change = fn(&mut Value);
        let table: [(Change, &str); 6] = [
            (
                |json| json["folder"] = json!("backups/manual/x"),
                "\"backups/manual/x\" is not a backup's folder such as",
            ),
            (
                |json| json["folder"] = json!(format!("{}/", order().folder)),
                "is not a backup's folder such as",
            ),
            (|json| json["source"]["address"] = json!("core-3:6362"), "invalid socket address syntax"),
            (|json| json["deadline"] = json!("soon"), "\"soon\" is not a time such as"),
            (|json| drop(json["source"].as_object_mut().unwrap().remove("role")), "missing field `role`"),
            (|json| drop(json.as_object_mut().unwrap().remove("format")), "missing field `format`"),
        ];
        for (change, part) in table {
            let mut json = json!(order());
            change(&mut json);
            let refused = Order::read(&json.to_string()).unwrap_err().to_string();
            assert!(refused.starts_with("the order cannot be read (") && refused.contains(part), "{refused}");
        }
        for text in ["", "{}", "null", "backup"] {
            assert!(matches!(Order::read(text), Err(NotAnOrder::Malformed(_))), "{text:?}");
        }
    }
}
