//! CloudFormation's custom resources on Lambda's queue, as AWS documents both: one case per sentence that is followed.
//!
//! Pages are of docs.aws.amazon.com: `cfn/...` of CloudFormation's user guide, `lambda/...` of Lambda's developer guide. What they
//! do not say is marked as such.

use std::time::{Duration, SystemTime};

use crate::account::{Account, PATIENCE};
use local::gateway::{
    Twice,
    deliveries::{Events, When},
    queue::Ended,
};
use serde_json::{Value, json};

const STACK: &str = "s";
const FUNCTION: &str = "provider";

fn with(account: &Account, properties: &Value) -> Value {
    json!({"F": account.function(FUNCTION, &json!({})), "Thing": Account::custom(properties)})
}

/// `cfn/crpg-ref-requests`: the fields of each request; an Update and a Delete name the resource, an Update its old properties.
/// `cfn/crpg-ref-responses`: the answer is a PUT to a presigned S3 URL, without a content type.
#[tokio::test]
async fn each_request_is_one_asynchronous_event() {
    let account = Account::start("requests").await;
    account.create(STACK, with(&account, &json!({"Value": "1"}))).await.must_be("CREATE_COMPLETE").unwrap();
    account.update(STACK, with(&account, &json!({"Value": "2"}))).await.must_be("UPDATE_COMPLETE").unwrap();
    account.delete(STACK).await;
    assert_eq!(account.requests(), ["Create -", "Update one", "Delete one"]);
    assert_eq!(account.answers(), [200, 200, 200]);
    let events = account.gateway.deliveries.remembered(FUNCTION);
    let kinds: Vec<_> = events.iter().map(|event| event["RequestType"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["Create", "Update", "Delete"], "the queue has delivered them");
    assert_eq!(events[1]["ResourceProperties"]["Value"], "2");
    assert_eq!(events[1]["OldResourceProperties"]["Value"], "1");
    assert_eq!(events[0]["ResourceType"], "Custom::Thing");
}

/// S3's user guide, presigned URLs: what was signed must be sent; CloudFormation signs an empty content type.
#[tokio::test]
async fn an_answer_with_a_content_type_is_refused() {
    let account = Account::start("content-type").await;
    let mut resources = with(&account, &json!({"ServiceTimeout": 2, "Silent": ["Delete"]}));
    resources["F"]["Properties"]["Environment"]["Variables"]["CONTENT_TYPE"] = "application/json".into();
    let ended = account.create(STACK, resources).await;
    assert!(ended.reasons().contains("did not receive a response"), "{ended:?}");
    assert_eq!(account.answers()[0], 403);
}

/// `lambda/invocation-async-error-handling`: a throttled event is returned to the queue, and tried again after a second.
#[tokio::test]
async fn a_request_to_a_throttled_function_waits_in_the_queue() {
    let account = Account::start("throttled").await;
    let function = account.function(FUNCTION, &json!({"ReservedConcurrentExecutions": 1}));
    account.create(STACK, json!({"F": function})).await.must_be("CREATE_COMPLETE").unwrap();
    assert_eq!(account.invoke(FUNCTION, &json!({"Sleep": 3})).await.0, 202);
    account.until("it is busy", PATIENCE, |account| account.invocations().len() == 1).await;
    let resources = json!({"F": function, "Thing": Account::custom(&json!({}))});
    account.update(STACK, resources).await.must_be("UPDATE_COMPLETE").unwrap();
    let begun: Vec<f64> = account.invocations().iter().map(|one| one["at"].as_f64().unwrap()).collect();
    assert!(
        begun.len() == 2 && begun[1] - begun[0] >= 3.0,
        "tried while it was busy, and not lost: {begun:?}"
    );
}

/// `lambda/invocation-async-error-handling`: "it's possible for it to receive the same event from Lambda multiple times because the
/// queue itself is eventually consistent". A presigned URL takes what is sent
/// to it until it expires; to CloudFormation the first answer counts.
#[tokio::test]
async fn events_are_delivered_twice_side_by_side_or_late() {
    let account = Account::start("twice").await;
    // Longer than what each of them takes on a machine that has other things to do.
    let late = Duration::from_secs(15);
    account
        .gateway
        .deliveries
        .twice(Some(Twice { events: Events::CustomResources, when: When::Alternately(late) }));
    account.create(STACK, with(&account, &json!({"Wait": "5"}))).await.must_be("CREATE_COMPLETE").unwrap();
    account.until("both have answered", PATIENCE, |account| account.answers().len() == 2).await;
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    account.update(STACK, with(&account, &json!({}))).await.must_be("UPDATE_COMPLETE").unwrap();
    assert_eq!(
        account.requests(),
        ["Create -", "Create -", "Update one"],
        "the stack does not wait for the second"
    );
    account.until("the late one has answered", PATIENCE, |account| account.answers().len() == 4).await;
    assert_eq!(account.answers(), [200; 4], "the URL takes every answer");

    let seen = account.invocations();
    let begun: Vec<f64> = seen.iter().map(|one| one["at"].as_f64().unwrap()).collect();
    assert_ne!(seen[0]["pid"], seen[1]["pid"], "two processes at the same time");
    assert!(begun[1] < account.answered_at()[0], "side by side: {begun:?}");
    assert!(begun[3] >= (now + late).as_secs_f64(), "late: {begun:?}, from {now:?}");
    for pair in seen.chunks(2) {
        assert_eq!(pair[0]["event"], pair[1]["event"], "the same event, with the same RequestId");
    }
    // Only what is asked for: other events of the function come once.
    account.invoke(FUNCTION, &json!({})).await;
    account.gateway.deliveries.twice(None);
    account.delete(STACK).await;
    let rest: Vec<String> = account.requests().split_off(4);
    assert_eq!(rest, ["Delete one"], "it is off");
    assert_eq!(account.invocations().len(), 6);
}

/// The same page; every asynchronous event, when a test asks for that.
#[tokio::test]
async fn every_event_is_delivered_twice_when_asked_for() {
    let account = Account::start("all").await;
    account.create(STACK, json!({"F": account.function(FUNCTION, &json!({}))})).await;
    account.gateway.deliveries.twice(Some(Twice { events: Events::All, when: When::AtOnce }));
    account.invoke(FUNCTION, &json!({"n": 1})).await;
    account.until("it comes twice", PATIENCE, |account| account.invocations().len() == 2).await;
}

/// The same page again: the duplicate may be of any age. A test asks for the event of an operation that is over.
#[tokio::test]
async fn an_earlier_event_is_delivered_again_and_its_answer_has_no_effect() {
    let account = Account::start("again").await;
    account.create(STACK, with(&account, &json!({"Value": "1"}))).await.must_be("CREATE_COMPLETE").unwrap();
    account.update(STACK, with(&account, &json!({"Value": "2"}))).await.must_be("UPDATE_COMPLETE").unwrap();
    let deliveries = &account.gateway.deliveries;
    let again =
        deliveries.again(|function, event| function == FUNCTION && event["RequestType"] == "Create").await;
    assert_eq!(again, Some(Ended::Well));
    let seen = account.invocations();
    assert_eq!(seen[2]["event"], seen[0]["event"]);
    assert_eq!(account.answers(), [200, 200, 200]);
    assert_eq!(deliveries.again(|_, event| event["RequestType"] == "Delete").await, None);
    let last = local::stacks::last_operation(account.at, STACK).await.unwrap();
    assert_eq!(last.status, "UPDATE_COMPLETE");
}

/// `cfn/crpg-ref-requesttypes-delete` and stack failure options: what a failed operation made is rolled back. The request after a failed
/// Create is a Delete with the id of the answer, although the Create failed.
#[tokio::test]
async fn a_failed_create_is_followed_by_its_delete() {
    let account = Account::start("failed-create").await;
    let properties = json!({"Fails": ["Create"], "PhysicalId": "made"});
    let ended =
        account.create(STACK, with(&account, &properties)).await.must_be("ROLLBACK_COMPLETE").unwrap();
    assert!(ended.reasons().contains("Create shall fail"), "{ended:?}");
    assert_eq!(account.requests(), ["Create -", "Delete made"]);
    account.delete(STACK).await;
    assert_eq!(account.requests().len(), 2, "the roll-back has deleted it already");
}

/// The same when an update adds the resource, after the resources that were updated went back; and of one that gave no answer the id
/// is one that CloudFormation made up.
#[tokio::test]
async fn a_create_without_an_answer_is_followed_by_a_delete_with_an_invented_id() {
    let account = Account::start("silent-create").await;
    account.create(STACK, with(&account, &json!({"Value": "1"}))).await.must_be("CREATE_COMPLETE").unwrap();
    let mut resources = with(&account, &json!({"Value": "2"}));
    resources["Other"] = Account::custom(&json!({"Silent": ["Create"], "ServiceTimeout": 1}));
    resources["Other"]["DependsOn"] = "Thing".into();
    let ended = account.update(STACK, resources).await.must_be("UPDATE_ROLLBACK_COMPLETE").unwrap();
    assert!(ended.reasons().contains("Other: CloudFormation did not receive a response"), "{ended:?}");
    let requests = account.requests();
    assert_eq!(requests[..4], ["Create -", "Update one", "Create -", "Update one"]);
    assert!(requests[4].starts_with("Delete s-Other-"), "{requests:?}");
    assert_eq!(requests.len(), 5);
}

/// `cfn/crpg-ref-requesttypes-update`: a failed Update is followed by one back, whose old properties are those that failed.
#[tokio::test]
async fn a_failed_update_is_followed_by_the_update_back() {
    let account = Account::start("failed-update").await;
    account.create(STACK, with(&account, &json!({"Value": "1"}))).await.must_be("CREATE_COMPLETE").unwrap();
    let ended = account.update(STACK, with(&account, &json!({"Value": "2", "Fails": ["Update"]}))).await;
    ended.must_be("UPDATE_ROLLBACK_COMPLETE").unwrap();
    assert_eq!(account.requests(), ["Create -", "Update one", "Update one"]);
    let back = &account.invocations()[2]["event"];
    assert_eq!(
        (&back["ResourceProperties"]["Value"], &back["OldResourceProperties"]["Value"]),
        (&json!("1"), &json!("2"))
    );
}

/// `cfn/crpg-ref-requesttypes-update`: a new physical id replaces the resource, and a Delete of the old one follows at the end. When
/// the operation rolls back instead, the old one was never touched: the new one is deleted, and no Update comes.
#[tokio::test]
async fn a_replaced_resource_is_rolled_back_by_a_delete_of_the_new_one_only() {
    let account = Account::start("replaced").await;
    let first = json!({"PhysicalId": "old"});
    account.create(STACK, with(&account, &first)).await.must_be("CREATE_COMPLETE").unwrap();
    let mut resources = with(&account, &json!({"PhysicalId": "new"}));
    resources["Other"] = Account::custom(&json!({"Fails": ["Create"], "PhysicalId": "other"}));
    resources["Other"]["DependsOn"] = "Thing".into();
    account.update(STACK, resources).await.must_be("UPDATE_ROLLBACK_COMPLETE").unwrap();
    assert_eq!(account.requests(), ["Create -", "Update old", "Create -", "Delete other", "Delete new"]);
    account
        .update(STACK, with(&account, &json!({"PhysicalId": "newer"})))
        .await
        .must_be("UPDATE_COMPLETE")
        .unwrap();
    assert_eq!(account.requests()[5..], ["Update old", "Delete old"], "without a failure the old one goes");
}

/// `lambda/lambda-runtime-environment`: a sandbox can end at any time; `lambda/invocation-async-error-handling`: the event is delivered
/// again after a minute, although its answer was taken.
#[tokio::test]
async fn a_function_is_killed_after_its_answer_and_gets_the_event_again() {
    let account = Account::start("killed").await;
    account.gateway.deliveries.kill_after_answer(FUNCTION);
    account.create(STACK, with(&account, &json!({}))).await.must_be("CREATE_COMPLETE").unwrap();
    let pid = account.invocations()[0]["pid"].as_i64().unwrap();
    account
        .until("its process is gone", PATIENCE, |_| !std::fs::exists(format!("/proc/{pid}")).unwrap())
        .await;
    let minute = Duration::from_secs(60);
    account.until("it comes again", minute + PATIENCE, |account| account.answers().len() == 1).await;
    let seen = account.invocations();
    assert_eq!(seen[0]["event"], seen[1]["event"]);
    assert!(seen[1]["at"].as_f64().unwrap() - seen[0]["at"].as_f64().unwrap() >= minute.as_secs_f64());
    account.delete(STACK).await;
    assert_eq!(account.requests(), ["Create -", "Create -", "Delete one"], "once was asked for");
}

/// `lambda/invocation-async` and `eb/using-eventbridge-scheduler`: a schedule puts its input into the function's queue too.
#[tokio::test]
async fn a_schedule_invokes_its_function_through_the_queue() {
    let account = Account::start("schedule").await;
    let schedule = json!({"Type": "AWS::Scheduler::Schedule", "Properties": {
        "Name": "sweep", "ScheduleExpression": "rate(1 minute)", "FlexibleTimeWindow": {"Mode": "OFF"},
        "Target": {"Arn": {"Fn::GetAtt": ["F", "Arn"]}, "RoleArn": "arn:aws:iam::000000000000:role/r", "Input": "{\"sweep\": true}"}}});
    let resources = json!({"F": account.function(FUNCTION, &json!({})), "Sweep": schedule});
    account.create(STACK, resources).await.must_be("CREATE_COMPLETE").unwrap();
    account.until("it is swept", PATIENCE + PATIENCE, |account| account.invocations().len() == 1).await;
    assert_eq!(account.gateway.deliveries.remembered(FUNCTION), [json!({"sweep": true})]);
    assert!(!account.gateway.calls.counts().contains_key("lambda.POST"), "it is no call of the product's");
}

/// `lambda/API_Invoke`: FunctionName is a name, a partial ARN or an ARN, with a qualifier or without; 202 says that the event is queued;
/// 404 of a function that is not there, 400 of what is no JSON, 413 of more than a megabyte.
#[tokio::test]
async fn a_function_is_named_in_many_ways() {
    let account = Account::start("named").await;
    account.create(STACK, json!({"F": account.function(FUNCTION, &json!({}))})).await;
    let full = "arn:aws:lambda:us-east-1:000000000000:function:provider";
    let (encoded, version) = (full.replace(':', "%3A"), format!("{full}:$LATEST"));
    let names = [
        FUNCTION,
        "provider:$LATEST",
        "000000000000:function:provider",
        "000000000000:function:provider:$LATEST",
        full,
        &version,
        &encoded,
    ];
    for name in names {
        for query in ["", "?Qualifier=$LATEST"] {
            let path = format!("{name}/invocations{query}");
            assert_eq!(account.invoke_at(&path, "{}").await, (202, String::new()), "{path}");
        }
    }
    account.until("all have come", PATIENCE, |account| account.invocations().len() == 2 * names.len()).await;
    let (status, answer) = account.invoke("nobody", &json!({})).await;
    assert!(status == 404 && answer.contains("Function not found"), "{status} {answer}");
    assert_eq!(account.invoke("provider:7", &json!({})).await.0, 404, "no such version");
    assert_eq!(account.invoke_at("provider:1/invocations?Qualifier=2", "{}").await.0, 400, "which one?");
    assert_eq!(account.invoke_at("provider/invocations", "{").await.0, 400);
    let large = format!("\"{}\"", "x".repeat(1 << 20));
    assert_eq!(account.invoke_at("provider/invocations", &large).await.0, 413);
}
