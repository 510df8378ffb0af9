//! Names and deletion policies as CloudFormation documents them: one case per sentence that the local cloud claims to follow.
//!
//! Pages are of docs.aws.amazon.com: `cfn/...` of CloudFormation's template reference and user guide, `sam/...` of SAM's guide,
//! `s3/...` of S3's user guide.

use crate::account::{Account, PATIENCE};
use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use local::{callers, http as wire, stacks};
use serde_json::{Value, json};

const SCHEDULE: &str = "AWS::Scheduler::Schedule";
const SECRET: &str = "AWS::SecretsManager::Secret";
const BUCKET: &str = "AWS::S3::Bucket";

/// A resource of each type that the templates name, with this name.
fn named(name: &str) -> Vec<Value> {
    let metric = json!({"AlarmName": name, "Namespace": "N", "MetricName": "M", "Statistic": "Sum", "Period": 60,
        "EvaluationPeriods": 1, "ComparisonOperator": "GreaterThanThreshold", "Threshold": 1});
    [
        (SCHEDULE, schedule(&json!({"Name": name}))),
        ("AWS::Events::Rule", json!({"Name": name, "EventPattern": {"source": ["x"]}})),
        ("AWS::Logs::LogGroup", json!({"LogGroupName": name})),
        ("AWS::ECS::Cluster", json!({"ClusterName": name})),
        ("AWS::ECS::Service", json!({"ServiceName": name, "Cluster": "c", "DesiredCount": 0})),
        ("AWS::CloudWatch::Alarm", metric),
        ("AWS::SSM::Parameter", json!({"Name": name, "Type": "String", "Value": "v"})),
        (SECRET, json!({"Name": name, "SecretString": "s"})),
    ]
    .map(|(kind, properties)| json!({"Type": kind, "Properties": properties}))
    .to_vec()
}

fn schedule(further: &Value) -> Value {
    let mut properties = json!({"ScheduleExpression": "rate(1 hour)", "FlexibleTimeWindow": {"Mode": "OFF"},
        "Target": {"Arn": "arn:aws:lambda:us-east-1:000000000000:function:f", "RoleArn": "arn:aws:iam::000000000000:role/r"}});
    properties.as_object_mut().unwrap().extend(further.as_object().unwrap().clone());
    properties
}

/// `cfn/aws-properties-name`: "Resource names must be unique across all your active stacks."
#[tokio::test]
async fn a_name_belongs_to_one_stack() {
    let account = Account::start("taken").await;
    let mut resources = named("taken");
    resources.push(account.function("taken", &json!({})));
    for (number, resource) in resources.into_iter().enumerate() {
        let (first, second) = (format!("first-{number}"), format!("second-{number}"));
        let with = json!({ "R": resource });
        account.create(&first, with.clone()).await.must_be("CREATE_COMPLETE").unwrap();
        let refused = account.create(&second, with.clone()).await.must_be("ROLLBACK_COMPLETE").unwrap();
        let reason = format!(
            "R: taken already exists in stack arn:aws:cloudformation:us-east-1:000000000000:stack/{first}/"
        );
        assert!(refused.reasons().starts_with(&reason), "{}: {}", resource["Type"], refused.reasons());
        account.delete(&second).await;
        account.update(&first, json!({"R": resource, "Other": {"Type": "AWS::SNS::Topic"}})).await;
        account.delete(&first).await;
        account.create(&second, with).await.must_be("CREATE_COMPLETE").unwrap();
        account.delete(&second).await;
    }
}

/// The same page: "If you don't specify a name, CloudFormation generates a unique physical ID to name the resource."
/// `sam/sam-property-function-schedulev2`: a schedule is named after function and event, in every stack alike, unless `OmitName` is true.
#[tokio::test]
async fn a_schedule_of_two_stacks_has_no_name_of_its_own() {
    let account = Account::start("omitted").await;
    let template = |omit: bool| {
        let schedule = json!({"Type": "ScheduleV2", "Properties": {"ScheduleExpression": "rate(1 hour)", "OmitName": omit}});
        json!({"Transform": "AWS::Serverless-2016-10-31", "Resources": {"F": {"Type": "AWS::Serverless::Function", "Properties": {
            "Runtime": "provided.al2023", "Handler": "bootstrap", "CodeUri": {"Bucket": "code", "Key": "code.zip"},
            "Role": "arn:aws:iam::000000000000:role/r", "Events": {"Sweep": schedule}}}}})
    };
    let create = async |stack: &str, omit: bool| {
        stacks::create(account.at, stack, &template(omit), PATIENCE).await.unwrap()
    };
    let schedules = async || {
        let callers = callers::all(account.gateway.emulator).await.unwrap();
        let mut all: Vec<_> = callers.into_iter().map(|caller| (caller.function, caller.name)).collect();
        all.sort();
        all
    };
    create("one", false).await.must_be("CREATE_COMPLETE").unwrap();
    let refused = create("two", false).await.must_be("ROLLBACK_COMPLETE").unwrap();
    assert!(refused.reasons().contains("FSweep already exists in stack"), "{}", refused.reasons());
    account.delete("one").await;
    account.delete("two").await;

    for stack in ["one", "two"] {
        create(stack, true).await.must_be("CREATE_COMPLETE").unwrap();
    }
    let both = schedules().await;
    assert_eq!(both.len(), 2, "{both:?}");
    for ((function, name), stack) in both.iter().zip(["one-", "two-"]) {
        assert!(function.starts_with(stack) && name.starts_with(stack), "{both:?}");
    }
    account.delete("one").await;
    assert_eq!(schedules().await, both[1..], "the other one's stays");
    create("one", true).await.must_be("CREATE_COMPLETE").unwrap();
    assert!(!schedules().await.contains(&both[0]), "a name is never generated twice");
}

/// `cfn/aws-attribute-deletionpolicy`: `RetainExceptOnCreate` retains, except that what a Create made is deleted when that Create is
/// rolled back. `Retain` retains then too. `cfn/aws-resource-secretsmanager-secret`: Ref returns the ARN.
#[tokio::test]
async fn what_is_retained_stays_except_when_its_create_is_rolled_back() {
    let account = Account::start("retained").await;
    let kept = |policy: &str| json!({"Type": SECRET, "DeletionPolicy": policy, "Properties": {"SecretString": policy}});
    let both = json!({"Kept": kept("RetainExceptOnCreate"), "Held": kept("Retain")});
    let mut failing = both.clone();
    failing["F"] = account.function("provider", &json!({}));
    failing["Thing"] = Account::custom(&json!({"Fails": ["Create"]}));
    failing["Thing"]["DependsOn"] = json!(["Kept", "Held"]);
    account.create("s", failing).await.must_be("ROLLBACK_COMPLETE").unwrap();
    assert_eq!(values(&account).await, ["Retain"]);
    account.delete("s").await;

    account.create("s", both.clone()).await.must_be("CREATE_COMPLETE").unwrap();
    let first = stacks::resource(account.at, "s", "Kept").await.unwrap();
    assert!(first.starts_with("arn:aws:secretsmanager:us-east-1:000000000000:secret:s-Kept-"), "{first}");
    account.delete("s").await;
    assert_eq!(values(&account).await, ["Retain", "Retain", "RetainExceptOnCreate"]);
    // The stack of the same name has another secret: what is kept is not in its way, and is not written over.
    account.create("s", both).await.must_be("CREATE_COMPLETE").unwrap();
    assert_ne!(stacks::resource(account.at, "s", "Kept").await.unwrap(), first);
    assert_eq!(values(&account).await.len(), 5);
}

/// `cfn/aws-resource-secretsmanager-secret`: a secret that CloudFormation deletes is gone at once, without a recovery window, and so its
/// name is free. One that is kept has its name.
#[tokio::test]
async fn the_name_of_a_deleted_secret_is_free_and_that_of_a_kept_one_is_not() {
    let account = Account::start("deleted").await;
    let mut secret = json!({"Type": SECRET, "Properties": {"Name": "n", "SecretString": "1"}});
    account.create("s", json!({ "S": secret })).await.must_be("CREATE_COMPLETE").unwrap();
    secret["Properties"]["SecretString"] = "2".into();
    account.update("s", json!({ "S": secret })).await.must_be("UPDATE_COMPLETE").unwrap();
    assert_eq!(values(&account).await, ["2"]);
    account.delete("s").await;
    assert!(values(&account).await.is_empty());
    secret["DeletionPolicy"] = "Retain".into();
    account.create("s", json!({ "S": secret })).await.must_be("CREATE_COMPLETE").unwrap();
    account.delete("s").await;
    let refused = account.create("s", json!({ "S": secret })).await.must_be("ROLLBACK_COMPLETE").unwrap();
    assert!(refused.reasons().contains("with identifier 'n' already exists"), "{}", refused.reasons());
}

/// `cfn/using-cfn-nested-stacks`: a nested stack is rolled back with its parent, keeps what it is to keep when it is deleted, and is
/// described with its `ParentId` and `RootId` (`API/API_Stack`).
#[tokio::test]
async fn a_nested_stack_leaves_what_it_is_to_leave() {
    let account = Account::start("nested").await;
    let upload = async |key: &str, resources: Value| {
        let template = json!({ "Resources": resources }).to_string();
        account.gateway.emulator.put_object(&format!("code/{key}"), template.into()).await.unwrap();
        json!({"Type": "AWS::CloudFormation::Stack", "Properties": {"TemplateURL": format!("http://{}/code/{key}", account.at)}})
    };
    let bucket = |policy: &str| json!({"Type": BUCKET, "DeletionPolicy": policy});
    let taken =
        json!({"Type": "AWS::Logs::LogGroup", "DependsOn": "B", "Properties": {"LogGroupName": "taken"}});
    let good =
        upload("good.json", json!({"B": bucket("RetainExceptOnCreate"), "T": {"Type": "AWS::SNS::Topic"}}))
            .await;
    let bad = upload("bad.json", json!({"B": bucket("RetainExceptOnCreate"), "L": taken})).await;
    account
        .create(
            "other",
            json!({"L": {"Type": "AWS::Logs::LogGroup", "Properties": {"LogGroupName": "taken"}}}),
        )
        .await;
    let before = buckets(&account).await;

    let refused = account.create("s", json!({ "Nested": bad })).await.must_be("ROLLBACK_COMPLETE").unwrap();
    assert!(refused.reasons().contains("taken already exists in stack"), "{}", refused.reasons());
    assert_eq!(buckets(&account).await, before, "what it had made is gone");
    account.delete("s").await;

    account.create("s", json!({ "Nested": good })).await.must_be("CREATE_COMPLETE").unwrap();
    assert_eq!(stacks::roots(account.at).await.unwrap(), ["other", "s"], "a nested stack is not a root");
    let all = stacks::resources(account.at, "s").await.unwrap();
    let bucket = all.iter().find(|resource| resource.kind == BUCKET).unwrap().physical_id.clone();
    assert!(bucket.starts_with("s-nested-"), "{all:?}");
    account.delete("s").await;
    assert!(buckets(&account).await.contains(&bucket), "it is kept");
}

/// The same page: what an update of a nested stack leaves alone is what it was, with all its attributes.
#[tokio::test]
async fn an_update_of_a_nested_stack_knows_what_it_leaves_alone() {
    let account = Account::start("nested-update").await;
    let policy = json!({"Version": "2012-10-17", "Statement": []});
    let nested = json!({"Parameters": {"V": {"Type": "String"}}, "Outputs": {"Arn": {"Value": {"Fn::GetAtt": ["R", "Arn"]}}},
        "Resources": {"R": {"Type": "AWS::IAM::Role", "Properties": {"AssumeRolePolicyDocument": policy}},
            "P": {"Type": "AWS::SSM::Parameter", "Properties": {"Type": "String", "Value": {"Ref": "V"}}}}});
    account.gateway.emulator.put_object("code/role.json", nested.to_string().into()).await.unwrap();
    let with = |value: &str| {
        let url = format!("http://{}/code/role.json", account.at);
        let properties = json!({"TemplateURL": url, "Parameters": {"V": value}});
        json!({"N": {"Type": "AWS::CloudFormation::Stack", "Properties": properties}})
    };
    account.create("s", with("1")).await.must_be("CREATE_COMPLETE").unwrap();
    account.update("s", with("2")).await.must_be("UPDATE_COMPLETE").unwrap();
}

/// `cfn/aws-resource-s3-bucket`: "You can only delete empty buckets. Deletion fails for buckets that have contents."
#[tokio::test]
async fn a_bucket_that_is_not_empty_fails_the_deletion_of_its_stack() {
    let account = Account::start("full").await;
    account.create("s", json!({"B": {"Type": BUCKET}})).await.must_be("CREATE_COMPLETE").unwrap();
    let bucket = stacks::resource(account.at, "s", "B").await.unwrap();
    account
        .gateway
        .emulator
        .put_object(&format!("{bucket}/state.json"), Bytes::from_static(b"1"))
        .await
        .unwrap();
    let failed = stacks::delete(account.at, "s", PATIENCE).await.unwrap_err();
    assert!(failed.contains("DELETE_FAILED") && failed.contains("not empty"), "{failed}");
    assert!(buckets(&account).await.contains(&bucket));
    account.create("empty", json!({"B": {"Type": BUCKET}})).await.must_be("CREATE_COMPLETE").unwrap();
    account.delete("empty").await;
}

/// `lambda/monitoring-cloudwatchlogs-loggroups`: a function needs `logs:CreateLogGroup` to make its log group, and those of the templates
/// do not have it: what is said after the group was deleted makes none.
#[tokio::test]
async fn a_function_does_not_make_the_log_group_that_its_template_names() {
    let account = Account::start("logs").await;
    let function = account.function("says", &json!({"LoggingConfig": {"LogGroup": "/own"}}));
    let group = json!({"Type": "AWS::Logs::LogGroup", "Properties": {"LogGroupName": "/own"}});
    let said = async || {
        account.gateway.emulator.invoke("says", &json!({})).await.unwrap();
        let (_, groups) = account.json("logs", "Logs_20140328.DescribeLogGroups", &json!({})).await;
        let (_, events) =
            account.json("logs", "Logs_20140328.FilterLogEvents", &json!({"logGroupName": "/own"})).await;
        (groups["logGroups"].as_array().unwrap().len(), events["events"].as_array().map_or(0, Vec::len))
    };
    account.create("s", json!({"F": function, "L": group})).await.must_be("CREATE_COMPLETE").unwrap();
    let (groups, events) = said().await;
    assert!(groups == 1 && events > 0, "{groups} groups, {events} events");
    account.update("s", json!({ "F": function })).await.must_be("UPDATE_COMPLETE").unwrap();
    assert_eq!(said().await, (0, 0));
}

/// `s3/conditional-writes`: in a bucket with versions too, `If-None-Match: *` and `If-Match: ETag` answer 412 when they must.
#[tokio::test]
async fn conditional_writes_hold_in_a_bucket_with_versions() {
    let account = Account::start("versions").await;
    let versioned = json!({"Type": BUCKET, "Properties": {"VersioningConfiguration": {"Status": "Enabled"}}});
    account.create("s", json!({ "B": versioned })).await.must_be("CREATE_COMPLETE").unwrap();
    let bucket = stacks::resource(account.at, "s", "B").await.unwrap();
    let put = async |header: &str, value: &str, text: &'static str| {
        let request = Request::put(format!("/{bucket}/state.json")).header("host", account.at.to_string());
        let scope = "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0";
        let request = request.header("authorization", scope).header(header, value);
        let request = request.body(Full::new(Bytes::from_static(text.as_bytes()))).unwrap();
        wire::send(account.at, request, PATIENCE).await.unwrap().0
    };
    assert_eq!(put("if-none-match", "*", "one").await, 200);
    assert_eq!(put("if-none-match", "*", "two").await, 412);
    let (one, two) = ("f97c5d29941bfb1b2fdab0874906ab82", "b8a9f715dbb64fd5c56e7783c6820a61");
    assert_eq!(put("if-match", &format!("\"{two}\""), "two").await, 412);
    assert_eq!(put("if-match", &format!("\"{one}\""), "two").await, 200);
    assert_eq!(put("if-match", &format!("\"{one}\""), "three").await, 412, "the earlier version is no match");
    let now = account.gateway.emulator.get_object(&format!("{bucket}/state.json")).await.unwrap();
    assert_eq!(&now[..], b"two");
}

/// What the secrets of the account say, sorted.
async fn values(account: &Account) -> Vec<String> {
    let call = async |action: &str, body: Value| {
        account.json("secretsmanager", &format!("secretsmanager.{action}"), &body).await.1
    };
    let mut values = Vec::new();
    for secret in call("ListSecrets", json!({})).await["SecretList"].as_array().unwrap() {
        let value = call("GetSecretValue", json!({"SecretId": secret["ARN"]})).await;
        values.push(value["SecretString"].as_str().unwrap_or_default().to_owned());
    }
    values.sort();
    values
}

async fn buckets(account: &Account) -> Vec<String> {
    let list = account.gateway.emulator.get_object("").await.unwrap();
    let text = String::from_utf8_lossy(&list).into_owned();
    let names = text.split("<Name>").skip(1).filter_map(|rest| rest.split("</Name>").next());
    names.map(str::to_owned).collect()
}
