//! Secrets, users and the bucket: what is kept, and who depends on what.

use serde_json::{Value, json};

use super::{ALL, of_type, template};

/// What a deletion keeps: the data's passwords, as the data, its backups, and what the control plane remembers of it.
#[test]
fn secrets_and_buckets_are_kept_and_have_no_name_that_a_kept_one_would_take() {
    let main = template("template.yml");
    // "RetainExceptOnCreate" leaves none behind after a first deployment that fails. The bucket is not empty by then and cannot be
    // deleted; and the administrator's password may be on a volume.
    let kept = [
        ("cluster/state.yml", "StateBucket", "Retain"),
        ("cluster/state.yml", "StateBucketPolicy", "Retain"),
        ("cluster/backups.yml", "Bucket", "Retain"),
        ("cluster/backups.yml", "BucketPolicy", "Retain"),
        ("template.yml", "AdminSecret", "Retain"),
        ("template.yml", "ReaderSecret", "RetainExceptOnCreate"),
        ("template.yml", "WriterSecret", "RetainExceptOnCreate"),
    ];
    for (file, name, policy) in kept {
        let resource = &template(file)["Resources"][name];
        assert_eq!(resource["DeletionPolicy"], policy, "{name}");
        assert_eq!(resource["UpdateReplacePolicy"], "Retain", "{name}");
    }
    for file in ALL {
        for (name, bucket) in of_type(&template(file), "AWS::S3::Bucket") {
            assert!(bucket.get("BucketName").is_none(), "{file}: {name}");
            assert!(kept.iter().any(|(there, kept, _)| (*there, *kept) == (file, name)), "{file}: {name}");
        }
    }
    let secrets = of_type(&main, "AWS::SecretsManager::Secret");
    assert_eq!(secrets.len(), 3);
    assert!(secrets.iter().all(|(_, secret)| secret.get("Name").is_none()));
    let given = &main["Resources"]["Task"]["Properties"]["Parameters"]["AdminSecretArn"];
    let either = json!({"Fn::If": ["MakesAdminSecret", {"Ref": "AdminSecret"}, {"Ref": "AdminSecretArn"}]});
    assert_eq!(*given, either);
}

#[test]
fn the_bucket_is_versioned_ends_what_is_old_and_takes_tls_only() {
    let state = template("cluster/state.yml");
    let bucket = &state["Resources"]["StateBucket"]["Properties"];
    assert_eq!(bucket["VersioningConfiguration"]["Status"], "Enabled");
    let rules = bucket["LifecycleConfiguration"]["Rules"].as_array().unwrap();
    assert!(rules.iter().all(|rule| rule["Status"] == "Enabled"));
    assert!(rules.iter().any(|rule| rule["NoncurrentVersionExpiration"]["NoncurrentDays"] == 30));
    assert!(rules.iter().any(|rule| rule["AbortIncompleteMultipartUpload"]["DaysAfterInitiation"] == 7));
    let policy = &state["Resources"]["StateBucketPolicy"]["Properties"]["PolicyDocument"]["Statement"][0];
    assert_eq!((&policy["Effect"], &policy["Principal"]), (&"Deny".into(), &"*".into()));
    assert_eq!(policy["Condition"], json!({"Bool": {"aws:SecureTransport": "false"}}));
    assert_eq!(policy["Resource"].as_array().unwrap().len(), 2, "the bucket and what is in it");
}

/// `AuthEnabled` may be switched at any time: the function that answers for the stack's users stays, with the password that its nodes were
/// made with; only what wakes it by itself stops.
#[test]
fn without_authentication_the_function_answers_and_only_its_events_stop() {
    let main = template("template.yml");
    let resources = &main["Resources"];
    for kept in ["UserCreation", "UserRecords", "Logs"] {
        assert!(resources[kept].is_object() && resources[kept].get("Condition").is_none(), "{kept}");
    }
    assert_eq!(resources["AdminSecret"]["Condition"], "MakesAdminSecret", "whatever AuthEnabled is");
    let function = &resources["UserCreation"]["Properties"];
    let variables = &function["Environment"]["Variables"];
    assert_eq!(variables["AUTH_ENABLED"], serde_json::json!({"Ref": "AuthEnabled"}));
    let state = serde_json::json!({"Fn::If": ["Authenticated", "ENABLED", "DISABLED"]});
    let events = function["Events"].as_object().unwrap();
    assert_eq!(events.len(), 2);
    for (name, event) in events {
        assert_eq!(event["Properties"]["State"], state, "{name}");
    }
    let secret = json!({"Fn::GetAtt": ["Task", "Outputs.AdminSecretArn"]});
    assert_eq!(variables["ADMIN_SECRET_ARN"], secret);
    let other = &resources["SnapshotBootstrap"]["Properties"]["Environment"]["Variables"];
    assert_eq!(other["ADMIN_SECRET_ARN"], secret);
}

/// Their records are forgotten last, and made possible first.
#[test]
fn every_user_depends_on_the_records_and_on_what_answers_its_delete() {
    let main = template("template.yml");
    let resources = main["Resources"].as_object().unwrap();
    let mut users = 0;
    for (name, resource) in resources {
        let needed: &[&str] = match resource["Type"].as_str().unwrap() {
            "Custom::Neo4jUser" => &["UserRecords", "Logs"],
            "Custom::Neo4jUserRecords" => &["Logs"],
            _ => continue,
        };
        users += 1;
        let before = match &resource["DependsOn"] {
            Value::Array(names) => names.clone(),
            one => vec![one.clone()],
        };
        assert!(needed.iter().all(|needed| before.contains(&(*needed).into())), "{name}: {before:?}");
        assert!(resource["Properties"]["ServiceTimeout"].as_u64().unwrap() >= 300, "{name}");
    }
    assert_eq!(users, 3);
}

/// After ServiceTimeout CloudFormation has given up on a request: carried out later, it would change users that no stack describes so.
#[test]
fn no_request_for_a_user_is_delivered_after_cloudformation_gave_up_on_it() {
    let main = template("template.yml");
    let oldest =
        &main["Resources"]["UserCreation"]["Properties"]["EventInvokeConfig"]["MaximumEventAgeInSeconds"];
    let oldest = oldest.as_u64().unwrap();
    let users = of_type(&main, "Custom::Neo4jUser");
    assert!(!users.is_empty());
    for (name, user) in users {
        let waited = user["ServiceTimeout"].as_u64().unwrap();
        assert!(oldest <= waited, "{name}: {oldest} s old, {waited} s waited for");
    }
}
