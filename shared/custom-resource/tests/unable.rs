//! A function that cannot work answers all the same.

mod shelf;

use std::time::Duration;

use custom_resource::{
    Call, Data, Failure, Handled, Invocation, OneInvocation, Outcome, Protocol, Resource, Unable,
    twins::{Mailbox, Queue},
};
use serde::de::IgnoredAny;
use serde_json::{Value, json};
use shelf::{NOW, Room, Stage, create, delete, shelf, update};
use tokio::time::Instant;

const REASON: &str = "SHELVES is \"many\": invalid digit found in string";

/// A type whose Delete never does anything.
struct Inspection;

impl Resource for Inspection {
    type Properties = IgnoredAny;
    const TYPE: &'static str = "Custom::Inspection";

    fn validate(&self, _: &IgnoredAny) -> Result<(), Failure> {
        Ok(())
    }
    fn physical_id(&self, call: &Call, _: &IgnoredAny) -> String {
        call.stack_name.clone()
    }
    async fn create(&self, _: &Call, _: &IgnoredAny) -> Result<Outcome, Failure> {
        Ok(Outcome::Done(Data::new()))
    }
    async fn update(&self, _: &Call, _: &IgnoredAny, _: Option<&IgnoredAny>) -> Result<Outcome, Failure> {
        Ok(Outcome::Done(Data::new()))
    }
    async fn delete(&self, _: &Call, _: &str, _: Option<&IgnoredAny>) -> Result<Outcome, Failure> {
        Ok(Outcome::Done(Data::new()))
    }
    fn owns(&self, _: &Call, _: &str) -> bool {
        true
    }
    fn needs_delete(_: &str) -> bool {
        false
    }
}

struct Broken {
    mailbox: Mailbox,
    protocol: Protocol<Mailbox, OneInvocation>,
}

impl Broken {
    fn new() -> Self {
        let (mailbox, unable) = (Mailbox::new(), Unable::because(REASON));
        let protocol = Protocol::new(mailbox.clone(), OneInvocation);
        Self { mailbox, protocol: protocol.without::<Room>(&unable).without::<Inspection>(&unable) }
    }

    /// Status, id and Reason of the one answer, which comes at once.
    async fn answer(&self, event: &Value) -> (String, String, String) {
        let (before, begun) = (self.mailbox.puts(), Instant::now());
        self.protocol.handle(event, Invocation::at(NOW, Duration::from_secs(60))).await;
        assert_eq!(self.mailbox.puts(), before + 1, "not exactly one answer to {event}");
        assert_eq!(begun.elapsed(), Duration::ZERO);
        let answer = self.mailbox.answers().pop().unwrap();
        let text = |name: &str| answer[name].as_str().unwrap_or_default().to_owned();
        (text("Status"), text("PhysicalResourceId"), text("Reason"))
    }
}

fn inspection(mut event: Value) -> Value {
    event["ResourceType"] = json!("Custom::Inspection");
    event
}

#[tokio::test(start_paused = true)]
async fn create_and_update_fail_with_the_reason_and_the_delete_of_what_was_not_made_succeeds() {
    let broken = Broken::new();
    for event in [create(&shelf("A")), create(&json!(null)), inspection(create(&json!({})))] {
        let (status, id, reason) = broken.answer(&event).await;
        assert_eq!((status.as_str(), id.as_str()), ("FAILED", "Shelf-not-created"));
        assert!(reason.starts_with(REASON) && reason.contains("nothing was done"), "{reason}");
        let mut roll_back = delete(&id, &event["ResourceProperties"]);
        roll_back["ResourceType"] = event["ResourceType"].clone();
        assert_eq!(broken.answer(&roll_back).await.0, "SUCCESS");
    }
    for event in [
        update("library/A", &shelf("B"), &shelf("A")),
        inspection(update("library/A", &json!({}), &json!({}))),
    ] {
        let (status, id, reason) = broken.answer(&event).await;
        assert_eq!((status.as_str(), id.as_str()), ("FAILED", "library/A"), "the old one stays in force");
        assert!(reason.starts_with(REASON) && reason.contains("nothing was done"), "{reason}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_delete_of_what_may_exist_fails_and_one_that_has_nothing_to_do_succeeds() {
    let broken = Broken::new();
    // The type has no way to distinguish such an id from its own.
    let (status, id, reason) = broken.answer(&delete("library/A", &shelf("A"))).await;
    assert_eq!((status.as_str(), id.as_str()), ("FAILED", "library/A"));
    assert!(reason.starts_with(REASON), "{reason}");
    for part in ["library/A may exist", "delete again", "retain"] {
        assert!(reason.contains(part), "{part:?} is missing in: {reason}");
    }
    let (status, id, _) = broken.answer(&inspection(delete("library", &json!({})))).await;
    assert_eq!((status.as_str(), id.as_str()), ("SUCCESS", "library"));
}

#[tokio::test(start_paused = true)]
async fn a_type_that_is_not_served_is_still_named() {
    let broken = Broken::new();
    let mut event = create(&shelf("A"));
    event["ResourceType"] = json!("Custom::Table");
    let (status, _, reason) = broken.answer(&event).await;
    assert_eq!(status, "FAILED");
    assert!(
        reason.contains("Custom::Table") && reason.contains("Custom::Shelf, Custom::Inspection"),
        "{reason}"
    );
}

/// The environment may change between two invocations of one request. The Delete must find
/// what the first one made.
#[tokio::test(start_paused = true)]
async fn a_continuation_is_answered_with_the_id_of_what_was_begun() {
    let waits = json!({"Label": "A", "Width": "3", "Manner": "Waits", "Calls": "100", "Pause": "5"});
    for (event, id) in [
        (create(&waits), "library/A"),
        (update("library/B", &waits, &shelf("B")), "library/B"),
        (delete("library/A", &waits), "library/A"),
    ] {
        let stage = Stage::with(Mailbox::new(), Queue::new());
        assert_eq!(stage.sends(&event).await, Handled::HandedOver);
        let continuation = stage.queue.take().unwrap();
        let broken = Broken::new();
        let (status, said, reason) = broken.answer(&continuation).await;
        assert_eq!((status.as_str(), said.as_str()), ("FAILED", id), "{reason}");
        assert!(reason.starts_with(REASON) && !reason.contains("nothing was done"), "{reason}");
        // The same when the resource cannot be planned any more for another reason:
        // its width is too small now.
        let mut refused = continuation;
        refused["ResourceProperties"]["Width"] = json!("0");
        if refused["RequestType"] == "Create" {
            assert_eq!(stage.answer(&refused).await["PhysicalResourceId"], id);
        }
    }
    // A continuation of an earlier version names no id.
    let mut old = create(&waits);
    old["Continuation"] =
        json!({"Progress": 1, "Started": 0, "NotBefore": 0, "WaitingFor": "x", "Number": 2});
    assert_eq!(Broken::new().answer(&old).await.1, "Shelf-not-created");
}
