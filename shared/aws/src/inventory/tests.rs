use serde_json::{Value, json};

use super::*;
use crate::fake::{Fake, Request};

fn action(request: &Request) -> &'static str {
    if request.head.contains("amazonec2containerservicev20141113.listtasks") {
        "ListTasks"
    } else {
        "DescribeTasks"
    }
}

fn body(request: &Request) -> Value {
    serde_json::from_str(&request.body).unwrap()
}

fn described(arn: &str, last: &str, desired: &str) -> Value {
    json!({"taskArn": arn, "group": "service:core-1", "taskDefinitionArn": "d:1", "lastStatus": last,
        "desiredStatus": desired, "attachments": [{"details": [{"name": "subnetId", "value": "subnet-1"},
        {"name": "privateIPv4Address", "value": "10.0.0.1"}]}]})
}

/// ECS with these tasks listed, each of `tasks` described, and these failures (ARN, reason).
async fn ecs(listed: &[&str], tasks: &[Value], failures: &[(&str, &str)]) -> Fake {
    let listed = json!({ "taskArns": listed }).to_string();
    let failures: Vec<Value> =
        failures.iter().map(|(arn, reason)| json!({"arn": arn, "reason": reason})).collect();
    let described = json!({ "tasks": tasks, "failures": failures }).to_string();
    Fake::start(move |_, request| {
        Some((200, if action(request) == "ListTasks" { listed.clone() } else { described.clone() }))
    })
    .await
}

async fn look(fake: &Fake, remembered: &[&str]) -> Result<Look, Error> {
    let remembered: Vec<String> = remembered.iter().map(|arn| (*arn).to_owned()).collect();
    Inventory::new(&fake.config, "c").look(&remembered).await
}

fn arns(look: &Look) -> Vec<&str> {
    look.tasks.iter().map(|task| task.arn.as_str()).collect()
}

fn ended(arns: &[&str]) -> BTreeSet<String> {
    arns.iter().map(|arn| (*arn).to_owned()).collect()
}

#[tokio::test]
async fn a_look_is_one_listing_and_one_description_whatever_the_size() {
    let fake =
        ecs(&["a", "b"], &[described("a", "RUNNING", "RUNNING"), described("b", "PENDING", "RUNNING")], &[])
            .await;
    let look = look(&fake, &["b"]).await.unwrap();
    let running = |arn: &str, running| Task {
        arn: arn.into(),
        service: "core-1".into(),
        definition: "d:1".into(),
        address: Some([10, 0, 0, 1].into()),
        subnet: Some("subnet-1".into()),
        running,
        stopping: false,
    };
    assert_eq!(look.tasks, [running("a", true), running("b", false)]);
    assert!(look.ended.is_empty());
    let asked = fake.asked();
    assert_eq!(asked.iter().map(action).collect::<Vec<_>>(), ["ListTasks", "DescribeTasks"]);
    assert_eq!(body(&asked[0]), json!({"cluster": "c", "desiredStatus": "RUNNING"}));
    assert_eq!(
        body(&asked[1]),
        json!({"cluster": "c", "tasks": ["a", "b"]}),
        "a remembered one is asked once"
    );
}

#[tokio::test]
async fn nothing_is_described_when_nothing_is_listed_or_remembered() {
    let fake = ecs(&[], &[], &[]).await;
    assert_eq!(look(&fake, &[]).await.unwrap(), Look::default());
    assert_eq!(fake.asked().len(), 1);
    look(&fake, &["a"]).await.unwrap();
    assert_eq!(fake.asked().len(), 3, "a remembered one is described although nothing is listed");
}

/// With a dead agent `lastStatus` stays RUNNING. On the way down it is DEACTIVATING,
/// STOPPING, DEPROVISIONING.
#[tokio::test]
async fn a_remembered_task_is_stopping_until_it_is_stopped() {
    for last in ["RUNNING", "DEACTIVATING", "STOPPING", "DEPROVISIONING"] {
        let fake = ecs(&[], &[described("a", last, "STOPPED")], &[]).await;
        let look = look(&fake, &["a"]).await.unwrap();
        assert!(look.tasks[0].stopping && look.ended.is_empty(), "{last}: {look:?}");
        assert_eq!(look.tasks[0].running, last == "RUNNING");
    }
    let fake =
        ecs(&["b"], &[described("a", "STOPPED", "STOPPED"), described("b", "STOPPED", "STOPPED")], &[]).await;
    let look = look(&fake, &["a"]).await.unwrap();
    assert_eq!((arns(&look), &look.ended), (vec![], &ended(&["a"])), "b was not remembered");
}

#[tokio::test]
async fn a_task_that_ecs_does_not_know_has_ended_only_when_it_is_not_listed_either() {
    let known = [described("b", "RUNNING", "RUNNING")];
    let fake = ecs(&["b"], &known, &[("a", "MISSING")]).await;
    let gone = look(&fake, &["a"]).await.unwrap();
    assert_eq!((arns(&gone), &gone.ended), (vec!["b"], &ended(&["a"])));
    // Listed and not remembered: too new to be described, or ended between the calls. It is
    // absent, without an error.
    let fake = ecs(&["a", "b"], &known, &[("a", "MISSING")]).await;
    let new = look(&fake, &[]).await.unwrap();
    assert_eq!((arns(&new), &new.ended), (vec!["b"], &ended(&[])));
    // The two calls contradict each other, which is no evidence of an end.
    let torn = look(&fake, &["a"]).await.unwrap();
    assert_eq!((arns(&torn), &torn.ended), (vec!["b"], &ended(&[])));
}

#[tokio::test]
async fn a_look_that_does_not_know_all_fails() {
    let fake = ecs(&["a"], &[], &[("a", "ACCESS_DENIED")]).await;
    let error = look(&fake, &[]).await.unwrap_err().to_string();
    assert_eq!(error, "ecs:DescribeTasks on cluster c failed: a ACCESS_DENIED");
    let fake = ecs(&["a"], &[], &[]).await;
    let error = look(&fake, &[]).await.unwrap_err().to_string();
    assert!(error.ends_with("the answer says nothing of a"), "{error}");
}

#[tokio::test]
async fn more_pages_are_read_when_there_are_more_and_descriptions_are_of_a_hundred() {
    let fake = Fake::start(|number, request| {
        let answer = if action(request) == "ListTasks" {
            let arns: Vec<String> = (0..100).map(|task| format!("t-{number}-{task:02}")).collect();
            json!({"taskArns": arns, "nextToken": if number == 0 { json!("more") } else { Value::Null }})
        } else {
            let asked = body(request)["tasks"].as_array().unwrap().clone();
            let tasks = asked.iter().map(|arn| described(arn.as_str().unwrap(), "RUNNING", "RUNNING"));
            json!({"tasks": tasks.collect::<Vec<_>>()})
        };
        Some((200, answer.to_string()))
    })
    .await;
    assert_eq!(look(&fake, &["other"]).await.unwrap().tasks.len(), 201);
    let asked = fake.asked();
    let actions: Vec<_> = asked.iter().map(action).collect();
    assert_eq!(actions, ["ListTasks", "ListTasks", "DescribeTasks", "DescribeTasks", "DescribeTasks"]);
    assert_eq!(body(&asked[1])["nextToken"], "more");
    let sizes = asked[2..].iter().map(|request| body(request)["tasks"].as_array().unwrap().len());
    assert_eq!(sizes.collect::<Vec<_>>(), [100, 100, 1]);

    let endless =
        Fake::start(|_, _| Some((200, json!({"taskArns": ["a"], "nextToken": "more"}).to_string()))).await;
    let error = look(&endless, &[]).await.unwrap_err();
    assert_eq!((endless.asked().len(), error.call), (PAGES, "ecs:ListTasks"), "{error}");
}

#[tokio::test]
async fn services_are_told_apart_with_one_look_and_stopping_tasks_are_not_in_them() {
    let mut other = described("b", "RUNNING", "RUNNING");
    other["group"] = "service:core-2".into();
    let mut single = described("c", "RUNNING", "RUNNING");
    single["group"] = "family:core-1".into();
    let stopping = described("d", "DEACTIVATING", "STOPPED");
    let fake =
        ecs(&["a", "b", "c", "d"], &[described("a", "RUNNING", "RUNNING"), other, single, stopping], &[])
            .await;
    let services = ["core-2", "core-1", "core-3"].map(str::to_owned);
    let tasks = Inventory::new(&fake.config, "c").tasks_of_each(&services).await.unwrap();
    let arns: Vec<Vec<&str>> =
        tasks.iter().map(|tasks| tasks.iter().map(|task| task.arn.as_str()).collect()).collect();
    assert_eq!(arns, [vec!["b"], vec!["a"], vec![]]);
    assert_eq!(fake.asked().len(), 2);

    let refused =
        Fake::start(|_, _| Some((400, json!({"__type": "AccessDeniedException"}).to_string()))).await;
    let error = Inventory::new(&refused.config, "c").tasks_of_each(&services).await.unwrap_err();
    assert_eq!((error.call, error.kind, refused.asked().len()), ("ecs:ListTasks", Kind::Denied, 1));
}

#[tokio::test]
async fn the_service_of_a_task_is_in_its_group() {
    let mut alone = described("b", "RUNNING", "RUNNING");
    alone["group"] = "family:core-1".into();
    let fake = ecs(&[], &[described("a", "RUNNING", "RUNNING"), alone], &[]).await;
    let inventory = Inventory::new(&fake.config, "c");
    assert_eq!(inventory.service_of("a").await.unwrap(), Some("core-1".into()));
    assert_eq!(inventory.service_of("b").await.unwrap(), None);
    let asked = fake.asked();
    assert_eq!(
        (action(&asked[0]), body(&asked[0])),
        ("DescribeTasks", json!({"cluster": "c", "tasks": ["a"]}))
    );
    let unknown = ecs(&[], &[], &[("a", "MISSING")]).await;
    let error = Inventory::new(&unknown.config, "c").service_of("a").await.unwrap_err().to_string();
    assert_eq!(error, "ecs:DescribeTasks on cluster c failed: a is not known");
}

/// The address of a RUNNING task does not change, and one that is asked to stop leaves the listing.
#[tokio::test]
async fn tasks_that_are_known_to_run_and_still_listed_are_not_described_again() {
    let listed = std::sync::Mutex::new(vec!["a", "b"]);
    let listed = std::sync::Arc::new(listed);
    let now = listed.clone();
    let fake = Fake::start(move |_, request| {
        let answer = if action(request) == "ListTasks" {
            json!({ "taskArns": *now.lock().unwrap() })
        } else {
            let asked = body(request)["tasks"].as_array().unwrap().clone();
            let tasks = asked.iter().map(|arn| match arn.as_str().unwrap() {
                "b" => described("b", "PENDING", "RUNNING"),
                arn => described(
                    arn,
                    "RUNNING",
                    if now.lock().unwrap().contains(&arn) { "RUNNING" } else { "STOPPED" },
                ),
            });
            json!({ "tasks": tasks.collect::<Vec<_>>() })
        };
        Some((200, answer.to_string()))
    })
    .await;
    let inventory = Inventory::new(&fake.config, "c");
    let described = async |remembered: &[String]| {
        let before = fake.asked().len();
        let look = inventory.look(remembered).await.unwrap();
        (fake.asked().len() - before == 2, look)
    };
    assert!(described(&[]).await.0, "the first look");
    assert!(described(&[]).await.0, "b was not RUNNING");
    *listed.lock().unwrap() = vec!["a"];
    let (asked, look) = described(&["a".to_owned()]).await;
    assert_eq!((asked, arns(&look)), (false, vec!["a"]), "a is RUNNING and listed");
    *listed.lock().unwrap() = vec![];
    let (asked, look) = described(&["a".to_owned()]).await;
    assert!(asked && look.tasks[0].stopping, "a left the listing, so it is looked at: {look:?}");
}
