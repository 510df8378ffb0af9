//! A resource to test the protocol with: shelves in a room. What it does is a property of its request.

#![allow(dead_code, reason = "each test binary uses a part of it")]

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
    time::Duration,
};

use custom_resource::{
    Call, Data, Failure, Handled, Invocation, Outcome, Protocol, Resource,
    twins::{Mailbox, Queue},
};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::{Value, json};

pub const URL: &str = "https://bucket.s3.example/arn%3Aaws%3Astack?X-Amz-Signature=c0ffee";
pub const STACK: &str = "arn:aws:cloudformation:eu-west-1:123456789012:stack/library/51af3dc0";
/// The clock of every first invocation.
pub const NOW: Duration = Duration::from_secs(1_800_000_000);

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize)]
pub enum Manner {
    #[default]
    Works,
    Fails,
    Refuses,
    Panics,
    PanicsInValidation,
    Hangs,
    Waits,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Shelf {
    pub label: String,
    pub width: u8,
    #[serde(default)]
    pub fragile: bool,
    pub password: Option<SecretString>,
    #[serde(default)]
    pub manner: Manner,
    /// Length of a failure's sentence, or of an attribute, in bytes.
    #[serde(default)]
    pub size: u16,
    /// Number of calls, and seconds between them, of a shelf that `Waits`.
    #[serde(default)]
    pub calls: u64,
    #[serde(default)]
    pub pause: u64,
}

/// Where the shelves are.
#[derive(Clone, Default)]
pub struct Room {
    pub shelves: Arc<Mutex<BTreeSet<String>>>,
    /// `create library/A`, in order.
    pub calls: Arc<Mutex<Vec<String>>>,
}

impl Room {
    pub fn calls(&self) -> Vec<String> {
        self.calls.lock().unwrap().clone()
    }

    pub fn shelves(&self) -> Vec<String> {
        self.shelves.lock().unwrap().iter().cloned().collect()
    }

    fn log(&self, verb: &str, id: &str) {
        self.calls.lock().unwrap().push(format!("{verb} {id}"));
    }

    async fn behave(&self, call: &Call, wanted: &Shelf) -> Result<Outcome, Failure> {
        call.step("screw it to the wall");
        tracing::debug!(?wanted, "as told");
        let filler = || "ß".repeat(usize::from(wanted.size / 2));
        match wanted.manner {
            Manner::Works => {
                Ok(Outcome::Done(Data::new().with("Label", &wanted.label).with("Filler", filler())))
            }
            Manner::Fails => {
                let password = wanted.password.as_ref();
                Err(Failure::new(format_args!("no wall for {password:?} {} here", filler())))
            }
            Manner::Refuses => Err(Failure::new("there is a shelf of that name").nothing_made()),
            Manner::Panics | Manner::PanicsInValidation => {
                panic!("{:?}", wanted.password.as_ref().map(|password| password.expose_secret().to_owned()))
            }
            Manner::Hangs => std::future::pending().await,
            Manner::Waits => {
                let done = call.progress.as_ref().and_then(Value::as_u64).unwrap_or_default() + 1;
                if done >= wanted.calls {
                    return Ok(Outcome::Done(Data::new().with("Calls", done)));
                }
                let after = Duration::from_secs(wanted.pause);
                Ok(Outcome::Unfinished {
                    progress: json!(done),
                    after,
                    waiting_for: format!("board {done} is still wet"),
                })
            }
        }
    }
}

impl Resource for Room {
    type Properties = Shelf;
    const TYPE: &'static str = "Custom::Shelf";

    fn validate(&self, wanted: &Shelf) -> Result<(), Failure> {
        assert!(wanted.manner != Manner::PanicsInValidation, "{:?}", wanted.password);
        if wanted.width == 0 { Err(Failure::new("Width: a shelf is at least 1 wide")) } else { Ok(()) }
    }

    fn physical_id(&self, call: &Call, wanted: &Shelf) -> String {
        format!("{}/{}", call.stack_name, wanted.label)
    }

    async fn create(&self, call: &Call, wanted: &Shelf) -> Result<Outcome, Failure> {
        let id = self.physical_id(call, wanted);
        self.log("create", &id);
        if wanted.manner != Manner::Refuses {
            self.shelves.lock().unwrap().insert(id);
        }
        self.behave(call, wanted).await
    }

    async fn update(&self, call: &Call, wanted: &Shelf, old: Option<&Shelf>) -> Result<Outcome, Failure> {
        let from = old.map_or("?".to_owned(), |old| old.width.to_string());
        self.log("update", &format!("{} from {from}", self.physical_id(call, wanted)));
        self.behave(call, wanted).await
    }

    async fn delete(
        &self,
        call: &Call,
        physical_id: &str,
        wanted: Option<&Shelf>,
    ) -> Result<Outcome, Failure> {
        self.log("delete", physical_id);
        self.shelves.lock().unwrap().remove(physical_id);
        match wanted {
            Some(wanted) if wanted.manner == Manner::Hangs || wanted.manner == Manner::Waits => {
                self.behave(call, wanted).await
            }
            _ => Ok(Outcome::Done(Data::new())),
        }
    }

    fn owns(&self, call: &Call, physical_id: &str) -> bool {
        physical_id.split_once('/').is_some_and(|(stack, _)| stack == call.stack_name)
    }
}

/// A function with its post and its queue.
pub struct Stage {
    pub room: Room,
    pub mailbox: Mailbox,
    pub queue: Queue,
    pub protocol: Protocol<Mailbox, Queue>,
}

impl Stage {
    pub fn new() -> Self {
        Self::with(Mailbox::new(), Queue::new())
    }

    pub fn with(mailbox: Mailbox, queue: Queue) -> Self {
        let room = Room::default();
        let protocol = Protocol::new(mailbox.clone(), queue.clone()).with(room.clone());
        Self { room, mailbox, queue, protocol }
    }

    /// Handles `event` in a function with a minute.
    pub async fn sends(&self, event: &Value) -> Handled {
        self.protocol.handle(event, Invocation::at(NOW, Duration::from_secs(60))).await
    }

    /// The one answer to `event`.
    pub async fn answer(&self, event: &Value) -> Value {
        let before = self.mailbox.answers().len();
        self.sends(event).await;
        let answers = self.mailbox.answers();
        assert_eq!(answers.len(), before + 1, "not exactly one answer");
        answers.last().unwrap().clone()
    }

    /// The sentence of the one answer, which is FAILED.
    pub async fn reason(&self, event: &Value) -> String {
        let answer = self.answer(event).await;
        assert_eq!(answer["Status"], "FAILED", "{answer}");
        answer["Reason"].as_str().unwrap().to_owned()
    }
}

pub fn create(properties: &Value) -> Value {
    json!({
        "RequestType": "Create", "ResponseURL": URL, "StackId": STACK, "RequestId": "r-1",
        "ResourceType": "Custom::Shelf", "LogicalResourceId": "Shelf", "ResourceProperties": properties,
    })
}

pub fn update(physical_id: &str, new: &Value, old: &Value) -> Value {
    let mut event = create(new);
    event["RequestType"] = json!("Update");
    event["PhysicalResourceId"] = json!(physical_id);
    event["OldResourceProperties"] = old.clone();
    event
}

pub fn delete(physical_id: &str, properties: &Value) -> Value {
    let mut event = create(properties);
    event["RequestType"] = json!("Delete");
    event["PhysicalResourceId"] = json!(physical_id);
    event
}

pub fn shelf(label: &str) -> Value {
    json!({"ServiceToken": "arn:aws:lambda:x", "Label": label, "Width": "3"})
}
