//! One test for each fault that a custom resource must survive, by its number in the table of faults.

mod shelf;

use std::time::Duration;

use custom_resource::{
    Handled, Invocation,
    twins::{Mailbox, Queue},
};
use serde_json::{Value, json};
use shelf::{NOW, STACK, Stage, create, delete, shelf, update};
use tokio::time::Instant;

fn with(mut properties: Value, name: &str, value: Value) -> Value {
    properties[name] = value;
    properties
}

#[tokio::test(start_paused = true)]
async fn f01_malformed_properties_fail_at_once_and_name_the_field() {
    let stage = Stage::new();
    let begun = std::time::Instant::now();
    let table = [
        (json!({"Width": "3"}), "ResourceProperties.Label: missing"),
        (with(shelf("A"), "Width", json!("wide")), "ResourceProperties.Width: not a whole number"),
        (with(shelf("A"), "Width", json!("256")), "ResourceProperties.Width: a number that is not u8"),
        (with(shelf("A"), "Fragile", json!("maybe")), "ResourceProperties.Fragile: neither true nor false"),
        (with(shelf("A"), "Width", json!("0")), "Width: a shelf is at least 1 wide"),
        (json!(null), "ResourceProperties: null where"),
    ];
    for (properties, expected) in table {
        let answer = stage.answer(&create(&properties)).await;
        assert_eq!(answer["Status"], "FAILED");
        assert!(answer["Reason"].as_str().unwrap().starts_with(expected), "{answer}");
        assert_eq!(answer["PhysicalResourceId"], "Shelf-not-created");
    }
    let mut without = create(&json!({}));
    without.as_object_mut().unwrap().remove("ResourceProperties");
    assert_eq!(stage.reason(&without).await, "ResourceProperties: missing");
    assert!(stage.room.calls().is_empty());
    assert!(begun.elapsed() < Duration::from_secs(1));
}

#[tokio::test(start_paused = true)]
async fn f02_unknown_kinds_of_requests_and_resources_fail() {
    let stage = Stage::new();
    let mut event = create(&shelf("A"));
    event["RequestType"] = json!("Upgrade");
    assert!(stage.reason(&event).await.starts_with(r#"RequestType is "Upgrade""#));
    event["RequestType"] = json!(null);
    assert!(stage.reason(&event).await.contains("no RequestType"));
    let mut event = create(&shelf("A"));
    event["ResourceType"] = json!("Custom::Table");
    let answer = stage.answer(&event).await;
    let reason = answer["Reason"].as_str().unwrap();
    assert!(reason.contains(r#""Custom::Table""#) && reason.contains("Custom::Shelf"), "{reason}");
    // The Delete that follows must not keep the stack from rolling back.
    event["RequestType"] = json!("Delete");
    event["PhysicalResourceId"] = answer["PhysicalResourceId"].clone();
    assert_eq!(stage.answer(&event).await["Status"], "SUCCESS");
    for name in ["StackId", "RequestId", "LogicalResourceId", "PhysicalResourceId"] {
        let mut event = delete("library/A", &shelf("A"));
        event.as_object_mut().unwrap().remove(name);
        assert!(stage.reason(&event).await.contains(name));
    }
    assert!(stage.room.calls().is_empty());
}

#[tokio::test(start_paused = true)]
async fn f03_a_panic_is_a_failure_with_a_stable_id() {
    let stage = Stage::new();
    for (manner, id) in [("Panics", "library/A"), ("PanicsInValidation", "Shelf-not-created")] {
        let properties = with(shelf("A"), "Manner", json!(manner));
        let answer = stage.answer(&create(&properties)).await;
        assert_eq!(answer["Status"], "FAILED");
        assert!(answer["Reason"].as_str().unwrap().starts_with("an internal fault at step"), "{answer}");
        assert_eq!(answer["PhysicalResourceId"], id);
    }
    let reason =
        stage.reason(&update("library/A", &with(shelf("A"), "Manner", json!("Panics")), &json!({}))).await;
    assert!(reason.contains(r#"at step "screw it to the wall" of the update"#), "{reason}");
}

#[tokio::test(start_paused = true)]
async fn f04_the_answer_comes_before_the_function_is_ended() {
    let stage = Stage::new();
    let begun = Instant::now();
    let event = create(&with(shelf("A"), "Manner", json!("Hangs")));
    for seconds in [2, 3, 30, 900] {
        let remaining = Duration::from_secs(seconds);
        let before = Instant::now();
        stage.protocol.handle(&event, Invocation::at(NOW, remaining)).await;
        assert!(before.elapsed() < remaining, "of {seconds} s it took {:?}", before.elapsed());
    }
    let answers = stage.mailbox.answers();
    assert_eq!(answers.len(), 4);
    let reason = answers[0]["Reason"].as_str().unwrap();
    assert!(reason.starts_with(r#"timed out at step "screw it to the wall" after 1 s"#), "{reason}");
    assert!(answers.iter().all(|answer| answer["PhysicalResourceId"] == "library/A"));
    // Even an invocation without any time tries to answer.
    let handled = stage.protocol.handle(&event, Invocation::at(NOW, Duration::ZERO)).await;
    assert!(matches!(handled, Handled::Answered { success: false, .. }), "{handled:?}");
    assert!(begun.elapsed() < Duration::from_secs(935));
}

#[tokio::test(start_paused = true)]
async fn f04_the_services_timeout_counts_too() {
    let stage = Stage::new();
    let properties = with(with(shelf("A"), "Manner", json!("Hangs")), "ServiceTimeout", json!("20"));
    let begun = Instant::now();
    let reason = stage.reason(&create(&properties)).await;
    assert!(reason.contains("after 18 s") && reason.contains("ServiceTimeout, 20 s"), "{reason}");
    assert!(begun.elapsed() < Duration::from_secs(20));
}

#[tokio::test(start_paused = true)]
async fn f05_what_may_be_retried_is_retried_with_the_same_body_inside_the_deadline() {
    use custom_resource::Broken::{Connection, TimedOut};
    let troubles = [Ok(500), Err(TimedOut), Ok(503), Err(Connection("reset".into())), Ok(429)];
    let mailbox = troubles.into_iter().fold(Mailbox::new(), Mailbox::then);
    let stage = Stage::with(mailbox, Queue::new());
    let handled = stage.sends(&create(&shelf("A"))).await;
    assert_eq!(handled, Handled::Answered { success: true, physical_id: "library/A".into() });
    assert_eq!((stage.mailbox.puts(), stage.mailbox.answers().len()), (6, 1));
    assert_eq!(stage.room.calls().len(), 1, "the work is not repeated for the answer's sake");

    let for_ever = (0..10_000).fold(Mailbox::new(), |mailbox, _| mailbox.then(Ok(500)));
    let stage = Stage::with(for_ever, Queue::new());
    for seconds in [2, 60, 900] {
        let before = (Instant::now(), stage.mailbox.puts());
        let remaining = Duration::from_secs(seconds);
        let handled = stage.protocol.handle(&create(&shelf("A")), Invocation::at(NOW, remaining)).await;
        assert_eq!(handled, Handled::Undelivered);
        assert!(before.0.elapsed() < remaining);
        let puts = stage.mailbox.puts() - before.1;
        assert!((2..20).contains(&puts), "{puts} tries in {seconds} s");
    }
}

#[tokio::test(start_paused = true)]
async fn f05_a_refusal_is_not_retried() {
    for status in [301, 307, 400, 403, 404, 412] {
        let stage = Stage::with(Mailbox::new().then(Ok(status)), Queue::new());
        assert_eq!(stage.sends(&create(&shelf("A"))).await, Handled::Refused(status));
        assert_eq!(stage.mailbox.puts(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn f06_no_answer_is_longer_than_cloudformation_takes() {
    let stage = Stage::new();
    let large = |manner: &str| with(with(shelf("A"), "Manner", json!(manner)), "Size", json!("20000"));
    let reason = stage.reason(&create(&large("Fails"))).await;
    assert!(
        reason.starts_with("no wall") && reason.ends_with("here") && reason.contains(" ... "),
        "{reason}"
    );
    // Half an attribute would be a wrong one.
    let reason = stage.reason(&create(&large("Works"))).await;
    assert!(reason.contains("Filler (20000 bytes)"), "{reason}");
    assert!(stage.mailbox.bodies().iter().all(|body| body.len() <= 4096));
}

#[tokio::test(start_paused = true)]
async fn f07_the_same_event_twice_has_the_same_effect_and_the_same_answer() {
    let stage = Stage::new();
    let events = [
        create(&shelf("A")),
        update("library/A", &with(shelf("A"), "Width", json!("4")), &shelf("A")),
        update("library/A", &shelf("B"), &shelf("A")),
        delete("library/A", &shelf("A")),
    ];
    for event in &events {
        let first = (stage.answer(event).await, stage.room.shelves());
        let second = (stage.answer(event).await, stage.room.shelves());
        assert_eq!(first, second);
        assert_eq!(first.0["Status"], "SUCCESS");
    }
    assert_eq!(stage.room.shelves(), ["library/B"]);
}

#[tokio::test(start_paused = true)]
async fn f08_an_update_that_changes_nothing_calls_nothing() {
    let stage = Stage::new();
    let moved = with(shelf("A"), "ServiceToken", json!("arn:aws:lambda:y"));
    let answer = stage.answer(&update("library/A", &moved, &shelf("A"))).await;
    assert_eq!((&answer["Status"], &answer["PhysicalResourceId"]), (&json!("SUCCESS"), &json!("library/A")));
    assert!(stage.room.calls().is_empty());
    stage.answer(&update("library/A", &with(shelf("A"), "Width", json!("4")), &shelf("A"))).await;
    assert_eq!(stage.room.calls(), ["update library/A from 3"]);
}

#[tokio::test(start_paused = true)]
async fn f09_a_rename_makes_the_new_one_and_leaves_the_old_one_to_the_delete() {
    let stage = Stage::new();
    stage.answer(&create(&shelf("A"))).await;
    let answer = stage.answer(&update("library/A", &shelf("B"), &shelf("A"))).await;
    assert_eq!(answer["PhysicalResourceId"], "library/B");
    assert_eq!(stage.room.shelves(), ["library/A", "library/B"]);
    stage.answer(&delete("library/A", &shelf("A"))).await;
    assert_eq!(stage.room.shelves(), ["library/B"]);
}

#[tokio::test(start_paused = true)]
async fn f10_an_update_that_fails_echoes_the_old_id() {
    let stage = Stage::new();
    for manner in ["Fails", "Refuses", "Panics", "Hangs"] {
        for label in ["A", "B"] {
            let new = with(shelf(label), "Manner", json!(manner));
            let answer = stage.answer(&update("library/A", &new, &shelf("A"))).await;
            assert_eq!(answer["Status"], "FAILED", "{manner}");
            assert_eq!(answer["PhysicalResourceId"], "library/A", "{manner} of {label}");
        }
    }
    // The rename worked, but its attributes do not fit.
    let new = with(shelf("B"), "Size", json!("9000"));
    let answer = stage.answer(&update("library/A", &new, &shelf("A"))).await;
    assert_eq!((&answer["Status"], &answer["PhysicalResourceId"]), (&json!("FAILED"), &json!("library/A")));
    let answer = stage.answer(&update("library/A", &json!({}), &shelf("A"))).await;
    assert_eq!((&answer["Status"], &answer["PhysicalResourceId"]), (&json!("FAILED"), &json!("library/A")));
}

#[tokio::test(start_paused = true)]
async fn f11_a_delete_after_a_create_that_failed_removes_what_it_made_and_nothing_else() {
    let stage = Stage::new();
    // Something was made: the Delete has its id.
    let failing = with(shelf("A"), "Manner", json!("Fails"));
    let id = stage.answer(&create(&failing)).await["PhysicalResourceId"].as_str().unwrap().to_owned();
    assert_eq!(stage.room.shelves(), ["library/A"]);
    assert_eq!(stage.answer(&delete(&id, &failing)).await["Status"], "SUCCESS");
    assert!(stage.room.shelves().is_empty());
    assert_eq!(stage.answer(&delete(&id, &failing)).await["Status"], "SUCCESS", "a repeated Delete");

    // Nothing was made: the shelf of that name belongs to another resource.
    stage.answer(&create(&shelf("A"))).await;
    for properties in
        [with(shelf("A"), "Manner", json!("Refuses")), with(shelf("A"), "Width", json!("0")), json!({})]
    {
        let id = stage.answer(&create(&properties)).await["PhysicalResourceId"].as_str().unwrap().to_owned();
        assert_eq!(stage.answer(&delete(&id, &properties)).await["Status"], "SUCCESS");
        assert_eq!(stage.room.shelves(), ["library/A"]);
    }
    // An id that CloudFormation invented.
    let invented = "library-Shelf-1ABCDEFGHIJKL";
    let answer = stage.answer(&delete(invented, &shelf("A"))).await;
    assert_eq!((&answer["Status"], &answer["PhysicalResourceId"]), (&json!("SUCCESS"), &json!(invented)));
    assert_eq!(stage.room.shelves(), ["library/A"]);
    // Malformed properties do not keep a Delete from working.
    assert_eq!(stage.answer(&delete("library/A", &json!({"Label": []}))).await["Status"], "SUCCESS");
    assert!(stage.room.shelves().is_empty());
}

#[tokio::test(start_paused = true)]
async fn f13_the_protocol_adds_no_wait_to_a_delete() {
    let stage = Stage::new();
    let begun = Instant::now();
    for id in ["library/A", "somebody-elses", "Shelf-not-created"] {
        assert_eq!(stage.answer(&delete(id, &shelf("A"))).await["Status"], "SUCCESS");
    }
    assert_eq!(begun.elapsed(), Duration::ZERO);
    assert_eq!(stage.room.calls(), ["delete library/A"]);
}

#[tokio::test(start_paused = true)]
async fn every_answer_echoes_its_request() {
    let stage = Stage::new();
    let answer = stage.answer(&create(&shelf("A"))).await;
    let expected = json!({"Status": "SUCCESS", "PhysicalResourceId": "library/A", "StackId": STACK, "RequestId": "r-1",
        "LogicalResourceId": "Shelf", "Data": {"Label": "A", "Filler": ""}});
    assert_eq!(answer, expected);
}

#[tokio::test(start_paused = true)]
async fn without_a_url_nothing_is_done() {
    let stage = Stage::new();
    for url in
        [json!(null), json!(7), json!(""), json!("ftp://host/x"), json!("/x"), json!(["https://host/x"])]
    {
        let mut event = create(&shelf("A"));
        event["ResponseURL"] = url;
        assert_eq!(stage.sends(&event).await, Handled::NoResponseUrl);
    }
    for event in [json!(null), json!([1]), json!("text"), json!({})] {
        assert_eq!(stage.sends(&event).await, Handled::NoResponseUrl);
    }
    assert_eq!((stage.mailbox.puts(), stage.room.calls().len()), (0, 0));
}

#[test]
fn requests_are_told_from_other_events() {
    let mut event = create(&shelf("A"));
    assert!(custom_resource::is_request(&event));
    event.as_object_mut().unwrap().remove("RequestType");
    assert!(custom_resource::is_request(&event), "it wants an answer that says what is missing");
    for event in [json!({}), json!(null), json!({"source": "aws.events", "detail-type": "Scheduled Event"})] {
        assert!(!custom_resource::is_request(&event));
    }
}
