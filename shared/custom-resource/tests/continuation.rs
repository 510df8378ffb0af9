//! Work that is longer than one invocation.

mod shelf;

use std::time::Duration;

use custom_resource::{
    Handled, Invocation, OneInvocation, Protocol,
    twins::{Mailbox, Queue},
};
use serde_json::{Value, json};
use shelf::{NOW, Room, Stage, create, delete, update};
use tokio::time::Instant;

fn waits(calls: u64, pause: u64, service_timeout: u64) -> Value {
    json!({"Label": "A", "Width": "3", "Manner": "Waits", "Calls": calls.to_string(), "Pause": pause.to_string(),
        "ServiceTimeout": service_timeout.to_string()})
}

/// Delivers `event`, and everything that it hands over, to functions with a minute each,
/// and counts the invocations.
async fn deliver(stage: &Stage, event: Value) -> usize {
    let begun = Instant::now();
    let mut invocations = 0;
    let mut next = Some(event);
    while let Some(event) = next {
        invocations += 1;
        let before = Instant::now();
        let handled =
            stage.protocol.handle(&event, Invocation::at(NOW + begun.elapsed(), Duration::from_secs(60)));
        let handed_over = handled.await == Handled::HandedOver;
        assert!(before.elapsed() < Duration::from_secs(60), "an invocation outlived its deadline");
        next = stage.queue.take();
        assert_eq!(handed_over, next.is_some());
        assert_eq!(
            stage.mailbox.puts(),
            usize::from(!handed_over),
            "an answer while the work goes on, or none at its end"
        );
    }
    invocations
}

#[tokio::test(start_paused = true)]
async fn it_goes_on_in_further_invocations_with_its_progress_and_answers_once() {
    for event in [
        create(&waits(100, 5, 3600)),
        update("library/A", &waits(100, 5, 3600), &json!({})),
        delete("library/A", &waits(100, 5, 3600)),
    ] {
        let stage = Stage::new();
        let begun = Instant::now();
        let invocations = deliver(&stage, event).await;
        // 99 pauses of 5 s, about 40 s in each invocation
        assert!((11..=14).contains(&invocations), "{invocations}");
        assert_eq!(begun.elapsed(), Duration::from_secs(495));
        let answer = &stage.mailbox.answers()[0];
        assert_eq!((&answer["Status"], &answer["Data"]["Calls"]), (&json!("SUCCESS"), &json!("100")));
        assert_eq!(stage.room.calls().len(), 100);
        assert_eq!(answer["PhysicalResourceId"], "library/A");
    }
}

#[tokio::test(start_paused = true)]
async fn short_work_needs_no_further_invocation() {
    let stage = Stage::new();
    assert_eq!(deliver(&stage, create(&waits(5, 2, 3600))).await, 1);
    assert_eq!(stage.queue.calls(), 0);
}

#[tokio::test(start_paused = true)]
async fn pauses_longer_than_an_invocation_are_passed_on() {
    let stage = Stage::new();
    let begun = Instant::now();
    assert_eq!(deliver(&stage, create(&waits(2, 240, 3600))).await, 6);
    assert_eq!(begun.elapsed(), Duration::from_secs(240));
    assert_eq!(stage.room.calls().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn it_ends_before_cloudformation_gives_up_and_says_what_it_waited_for() {
    for (timeout, end) in [(600, 570), (100, 90), (7, 6)] {
        let stage = Stage::new();
        let begun = Instant::now();
        deliver(&stage, create(&waits(10_000, 4, timeout))).await;
        let seconds = begun.elapsed().as_secs();
        assert!(seconds <= end && seconds + 5 > end, "{seconds} s of {timeout} s");
        let answer = &stage.mailbox.answers()[0];
        let reason = answer["Reason"].as_str().unwrap();
        assert!(
            reason.contains("is still wet") && reason.contains(&format!("ServiceTimeout, {timeout} s")),
            "{reason}"
        );
        assert_eq!(answer["PhysicalResourceId"], "library/A", "so that the Delete finds what was made");
    }
}

#[tokio::test(start_paused = true)]
async fn a_hand_over_that_fails_is_tried_again_and_then_said() {
    let event = create(&waits(100, 5, 3600));
    let stage = Stage::with(Mailbox::new(), Queue::new().refusing("throttled").refusing("throttled"));
    assert_eq!(stage.sends(&event).await, Handled::HandedOver);
    assert_eq!((stage.queue.calls(), stage.mailbox.puts()), (3, 0));

    let never =
        (0..100).fold(Queue::new(), |queue, _| queue.refusing("not allowed to call lambda:InvokeFunction"));
    let stage = Stage::with(Mailbox::new(), never);
    let answer = stage.answer(&event).await;
    let reason = answer["Reason"].as_str().unwrap();
    assert!(reason.contains("lambda:InvokeFunction") && reason.contains("is still wet"), "{reason}");
    assert_eq!((stage.queue.calls(), &answer["PhysicalResourceId"]), (3, &json!("library/A")));

    let mailbox = Mailbox::new();
    let alone = Protocol::new(mailbox.clone(), OneInvocation).with(Room::default());
    alone.handle(&event, Invocation::at(NOW, Duration::from_secs(60))).await;
    assert_eq!(mailbox.answers()[0]["Status"], "FAILED");
}

#[tokio::test(start_paused = true)]
async fn a_continuation_that_nobody_wrote_fails() {
    let stage = Stage::new();
    for forged in [json!(null), json!(7), json!({}), json!({"Progress": 1, "Started": -1, "NotBefore": 0})] {
        let mut event = create(&waits(3, 1, 60));
        event["Continuation"] = forged;
        assert!(stage.reason(&event).await.contains("Continuation"));
    }
    assert!(stage.room.calls().is_empty());
    // Numbers that no clock shows must neither overflow nor lengthen the wait.
    for (started, not_before) in [(u64::MAX, 0), (0, u64::MAX), (u64::MAX, u64::MAX)] {
        let stage = Stage::new();
        let begun = Instant::now();
        let mut event = create(&waits(3, 1, 60));
        event["Continuation"] = json!({"Progress": 1, "Started": started, "NotBefore": not_before, "WaitingFor": "x",
            "Number": u32::MAX});
        deliver(&stage, event).await;
        assert!(begun.elapsed() <= Duration::from_secs(60));
        assert_eq!(stage.mailbox.puts(), 1);
    }
}
