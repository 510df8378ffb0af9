//! No name that a second stack in the same account and Region would take too.

use std::process::Command;

use serde_json::{Value, json};

use super::{ALL, root, template};

/// What CloudFormation is given: SAM's own translator adds resources, and names.
fn translated(file: &str) -> Value {
    let python = root().join(".local/venv-sam/bin/python");
    let mut translate = Command::new(&python);
    translate.current_dir(root()).args(["tests/translate.py", file]).env("AWS_DEFAULT_REGION", "us-east-1");
    let output =
        translate.output().unwrap_or_else(|error| panic!("{}: {error}: run `make setup`", python.display()));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// `Logical.Property` of every physical name in `template` that is not made of the stack's.
fn colliding(template: &Value) -> Vec<String> {
    // These refer to a resource that another one makes, or have more than a name to identify them.
    const NO_IDENTITY: [(&str, &str); 4] = [
        ("AWS::CloudWatch::Alarm", "MetricName"),
        ("AWS::Lambda::EventInvokeConfig", "FunctionName"),
        ("AWS::Lambda::Permission", "FunctionName"),
        ("AWS::Logs::MetricFilter", "LogGroupName"),
    ];
    let mut found = Vec::new();
    for (logical, resource) in template["Resources"].as_object().unwrap() {
        for (property, value) in resource["Properties"].as_object().into_iter().flatten() {
            let kind = resource["Type"].as_str().unwrap();
            let is_name = property.ends_with("Name") || property == "Family";
            let of_the_stack =
                ["AWS::StackName", "${Stack}"].iter().any(|own| value.to_string().contains(own));
            // A slot's name is given to it by the template above.
            let given = *value == json!({"Ref": "Name"}) && template["Parameters"].get("Name").is_some();
            if is_name && !of_the_stack && !given && !NO_IDENTITY.contains(&(kind, property)) {
                found.push(format!("{logical}.{property}"));
            }
        }
    }
    found
}

#[test]
fn no_physical_name_would_collide_with_a_second_stack() {
    let main = translated("template.yml");
    let kinds =
        |kind: &str| main["Resources"].as_object().unwrap().values().filter(|r| r["Type"] == *kind).count();
    assert_eq!((kinds("AWS::Scheduler::Schedule"), kinds("AWS::Events::Rule")), (3, 4), "SAM has made them");
    assert_eq!(colliding(&main), [""; 0]);
    for file in ALL.iter().filter(|file| **file != "template.yml") {
        assert_eq!(colliding(&template(file)), [""; 0], "{file}");
    }
    for slot in 1..=5 {
        let name = &main["Resources"][format!("Core{slot}")]["Properties"]["Parameters"]["Name"];
        assert!(name.to_string().contains("${AWS::StackName}"), "{name}");
    }
}

/// SAM names a schedule after its function and event unless `OmitName` is set.
#[test]
fn a_name_that_would_collide_is_found() {
    let schedule = |properties: Value| json!({"Resources": {"Sweep": {"Type": "AWS::Scheduler::Schedule", "Properties": properties}}});
    assert_eq!(colliding(&schedule(json!({"Name": "MasterElectionSweep"}))), ["Sweep.Name"]);
    assert!(colliding(&schedule(json!({}))).is_empty());
    assert!(colliding(&schedule(json!({"Name": {"Fn::Sub": "${AWS::StackName}-sweep"}}))).is_empty());
}
