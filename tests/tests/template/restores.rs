//! Restores: what the roles may read of backups, and in which order a founding is waited for. The local cloud enforces no policy.

use serde_json::{Value, json};

use super::template;

/// The statements of the policy, each with the condition that it is there under.
fn statements() -> Vec<(Option<String>, Value)> {
    let roles = template("cluster/roles.yml");
    let document = &roles["Resources"]["Restores"]["Properties"]["PolicyDocument"]["Statement"];
    let of = |statement: &Value| match statement.get("Fn::If") {
        None => (None, statement.clone()),
        Some(choice) => {
            assert_eq!(choice[2], json!({"Ref": "AWS::NoValue"}), "nothing otherwise: {choice}");
            (choice[0].as_str().map(str::to_owned), choice[1].clone())
        }
    };
    document.as_array().unwrap().iter().map(of).collect()
}

fn statement(action: &str, condition: Option<&str>) -> Value {
    let all = statements();
    let found = all.iter().find(|(when, one)| when.as_deref() == condition && one["Action"] == action);
    found.unwrap_or_else(|| panic!("no {action} under {condition:?}: {all:?}")).1.clone()
}

/// A policy with an empty resource, or with a part of an ARN, is refused by IAM, and with it the stack.
#[test]
fn exactly_one_bucket_of_backups_may_be_read_and_only_if_there_is_a_snapshot() {
    let roles = template("cluster/roles.yml");
    let founded_from_one = json!({"Fn::And": [{"Condition": "HasSnapshot"},
        {"Fn::Or": [{"Condition": "NamesItsBucket"}, {"Condition": "HasBackups"}]}]});
    assert_eq!(roles["Conditions"]["ReadsSnapshots"], founded_from_one);
    let named = json!({"Fn::Select": [2, {"Fn::Split": ["/", {"Fn::Sub": "${Snapshot}//-"}]}]});
    for (action, below) in [("s3:GetObject", "/backups/*"), ("s3:ListBucket", "")] {
        let statement = statement(action, Some("ReadsSnapshots"));
        let choice = &statement["Resource"]["Fn::If"];
        assert_eq!(choice[0], "NamesItsBucket", "{statement}");
        let other = json!({"Fn::Sub": [format!("arn:${{AWS::Partition}}:s3:::${{Bucket}}{below}"), {"Bucket": named}]});
        assert_eq!(choice[1], other, "{action}");
        let own = if below.is_empty() {
            json!({"Ref": "BackupBucketArn"})
        } else {
            json!({"Fn::Sub": format!("${{BackupBucketArn}}{below}")})
        };
        assert_eq!(choice[2], own, "{action}");
    }
    let listing = statement("s3:ListBucket", Some("ReadsSnapshots"));
    assert_eq!(listing["Condition"], json!({"StringLikeIfExists": {"s3:prefix": "backups/*"}}));
    let key = statement("kms:Decrypt", Some("HasSnapshotKey"));
    assert_eq!(key["Resource"], json!({"Ref": "SnapshotKmsKeyArn"}));
}

#[test]
fn nodes_and_the_function_may_read_the_record_and_only_the_function_writes_it() {
    let record = json!({"Fn::Sub": "${BucketArn}/cluster/founding.json"});
    assert_eq!(statement("s3:GetObject", None)["Resource"], record);
    assert_eq!(
        statement("s3:ListBucket", None)["Resource"],
        json!({"Ref": "BucketArn"}),
        "a missing one is not denied"
    );
    let (roles, task) = (template("cluster/roles.yml"), template("cluster/task.yml"));
    let attached = |role: &Value| role["Properties"]["ManagedPolicyArns"].as_array().unwrap().clone();
    assert!(attached(&task["Resources"]["NodeRole"]).contains(&json!({"Ref": "RestoresPolicyArn"})));
    assert!(attached(&roles["Resources"]["SnapshotBootstrap"]).contains(&json!({"Ref": "Restores"})));
    let writers: Vec<&String> = roles["Resources"]
        .as_object()
        .unwrap()
        .iter()
        .filter(|(_, role)| role["Properties"]["Policies"].to_string().contains("cluster/founding.json"))
        .map(|(name, _)| name)
        .collect();
    assert_eq!(writers, ["SnapshotBootstrap"]);
}

/// The gate has a time of its own, after the slots and before the cluster.
#[test]
fn a_cluster_is_ready_after_it_was_restored_and_that_after_its_slots() {
    let resources = &template("template.yml")["Resources"];
    assert_eq!(resources["Restored"]["Condition"], "HasSnapshot");
    let slots = resources["Restored"]["Properties"]["Slots"].as_array().unwrap();
    assert_eq!(slots[0], json!({"Ref": "Core1Ready"}), "the last one that is made");
    let awaited = resources["ClusterIsReady"]["Properties"]["Slots"].as_array().unwrap();
    assert!(
        awaited.contains(&json!({"Fn::If": ["HasSnapshot", {"Ref": "Restored"}, {"Ref": "AWS::NoValue"}]}))
    );
    assert_eq!(resources["Restored"]["Properties"]["ServiceTimeout"], 3600);
}
