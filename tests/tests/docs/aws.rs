//! `docs/aws.md`: what the templates decide of it.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{all_templates, resources, text, without_stack};

/// What every program calls, by the roles of the templates: the services of the allowed actions, in the names of endpoints.
fn called(role: &str, templates: &[(String, Value)]) -> BTreeSet<String> {
    fn actions(policy: &Value, into: &mut BTreeSet<String>) {
        for statement in policy["Statement"].as_array().into_iter().flatten() {
            if statement["Effect"] == "Allow" {
                let one = statement["Action"].as_str().into_iter();
                let many = statement["Action"].as_array().into_iter().flatten().filter_map(Value::as_str);
                into.extend(
                    one.chain(many)
                        .filter_map(|action| action.split_once(':'))
                        .map(|(service, _)| service.to_owned()),
                );
            }
        }
    }
    let mut services = BTreeSet::new();
    for (name, properties) in resources(templates, "AWS::IAM::Role") {
        if name.trim_end_matches("Role") != role {
            continue;
        }
        for policy in properties["Policies"].as_array().into_iter().flatten() {
            actions(&policy["PolicyDocument"], &mut services);
        }
        let given = properties["ManagedPolicyArns"].to_string();
        for (shared, policy) in resources(templates, "AWS::IAM::ManagedPolicy") {
            if given.contains(shared) {
                actions(&policy["PolicyDocument"], &mut services);
            }
        }
    }
    // Lambda logs by itself and makes the interfaces of its functions; S3 has a gateway, and calls KMS; a role is passed with another call.
    services.retain(|service| !["logs", "ec2", "s3", "kms", "iam"].contains(&service.as_str()));
    services
}

/// The second column of the row that begins so, as a set.
fn endpoints(page: &str, who: &str) -> BTreeSet<String> {
    let row = page.lines().find(|line| line.starts_with(&format!("| {who} |")));
    let cell = row.and_then(|row| row.split('|').nth(2)).unwrap_or_default();
    cell.split(',').map(|one| one.trim().to_owned()).filter(|one| !one.is_empty()).collect()
}

#[test]
fn the_endpoints_of_every_program_are_those_that_its_role_may_call() {
    let (page, templates) = (text("docs/aws.md"), all_templates());
    for (role, who) in [
        ("MasterElection", "`master-election`"),
        ("UserCreation", "`user-creation`"),
        ("SnapshotBootstrap", "`snapshot-bootstrap`"),
        ("BackupTrigger", "`backup-trigger`"),
        ("Node", "nodes"),
    ] {
        let called = called(role, &templates);
        assert!(called.contains("ecs"), "{role}: {called:?}");
        assert_eq!(endpoints(&page, who), called, "{who}");
    }
}

/// A function's name ends at 64 characters.
fn longest_stack_name(templates: &[(String, Value)]) -> usize {
    let functions = resources(templates, "AWS::Serverless::Function");
    let added = functions.iter().map(|(_, function)| without_stack(&function["FunctionName"]).len() + 1);
    64 - added.max().unwrap()
}

#[test]
fn the_longest_name_of_a_stack_is_what_the_functions_leave_of_theirs() {
    let longest = longest_stack_name(&all_templates());
    let said = format!("At most {longest} characters");
    assert!(text("docs/aws.md").contains(&said), "docs/aws.md does not say {said:?}");
}

#[test]
fn what_a_page_about_aws_leaves_out_is_seen() {
    let template = serde_json::json!({"Resources": {
        "R": {"Type": "AWS::IAM::Role", "Properties": {
            "ManagedPolicyArns": [{"Ref": "SharedPolicyArn"}],
            "Policies": [{"PolicyDocument": {"Statement": [
                {"Effect": "Allow", "Action": ["ssm:GetParameter", "s3:GetObject"]},
                {"Effect": "Allow", "Action": "events:PutEvents"},
                {"Effect": "Deny", "Action": "sqs:SendMessage"}]}}]}},
        "Shared": {"Type": "AWS::IAM::ManagedPolicy", "Properties": {"PolicyDocument": {"Statement": [
            {"Effect": "Allow", "Action": "ecs:ListTasks"}]}}},
        "Other": {"Type": "AWS::IAM::ManagedPolicy", "Properties": {"PolicyDocument": {"Statement": [
            {"Effect": "Allow", "Action": "kms:Decrypt"}]}}},
        "F": {"Type": "AWS::Serverless::Function", "Properties": {"FunctionName": {"Fn::Sub": "${AWS::StackName}-four"}}},
        "G": {"Type": "AWS::Serverless::Function", "Properties": {"FunctionName": {"Fn::Sub": "${AWS::StackName}-sixsix"}}},
    }});
    let templates = [("template.yml".to_owned(), template)];
    assert_eq!(called("R", &templates).into_iter().collect::<Vec<_>>(), ["ecs", "events", "ssm"]);
    assert_eq!(
        endpoints("| nodes | ecs, events | |\n", "nodes").into_iter().collect::<Vec<_>>(),
        ["ecs", "events"]
    );
    assert!(endpoints("| nodes | ecs | |\n", "hosts").is_empty());
    assert_eq!(longest_stack_name(&templates), 64 - "-sixsix".len());
}
