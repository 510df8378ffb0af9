//! `deploy`: the real `sam deploy`, again and again on a running cloud, and what the stack says when it fails.

use std::{fs, os::unix::fs::symlink};

use crate::account::{Account, PATIENCE};
use local::{deploy, stack::Stack, stacks};

const CONFIGURATION: &str = r#"
version = 0.1
[local.deploy.parameters]
stack_name = "of-the-file"
capabilities = "CAPABILITY_IAM"
region = "us-east-1"
s3_bucket = "code"
confirm_changeset = false
fail_on_empty_changeset = false
parameter_overrides = ["Value=1", "Fails=none", "Settings=a=1"]
"#;

const TEMPLATE: &str = r"
Transform: AWS::Serverless-2016-10-31
Parameters:
  Value: {Type: String}
  Fails: {Type: String}
  Settings: {Type: String}
Resources:
  F:
    Type: AWS::Lambda::Function
    Properties:
      FunctionName: provider
      Runtime: provided.al2023
      Handler: bootstrap
      Role: arn:aws:iam::000000000000:role/r
      Code: {S3Bucket: code, S3Key: code.zip}
      Environment: {Variables: {JOURNAL: JOURNAL_HERE}}
  Thing:
    Type: Custom::Thing
    Properties: {ServiceToken: !GetAtt F.Arn, ServiceTimeout: 60, Value: !Ref Value, Fails: [!Ref Fails], Settings: !Ref Settings}
";

/// One `name=value` a line, with all that a shell or a list of words would take apart.
const SETTINGS: &str = "dbms.tx_log.rotation.retention_policy=100M size\n# \"a\" 'b' c\nbolt=a, b=c\n";

#[tokio::test]
async fn a_stack_is_created_updated_and_rolled_back_and_says_why() {
    let mut account = Account::start("deploying").await;
    let root = account.layout.run.join("root");
    fs::create_dir(&root).unwrap();
    symlink(account.layout.root.join(".local"), root.join(".local")).unwrap();
    let journal = account.journal().display().to_string();
    fs::write(root.join("template.yml"), TEMPLATE.replace("JOURNAL_HERE", &journal)).unwrap();
    fs::write(root.join("samconfig.toml"), CONFIGURATION).unwrap();
    account.layout.root = root;
    let stack = Stack::new("of-the-caller");
    let deployed = async |overrides: &[(&str, &str)]| {
        let outcome = deploy::deploy(&account.layout, account.at, &stack, overrides).await;
        (outcome, stacks::ended(account.at, stack.name(), PATIENCE).await.unwrap())
    };

    let (outcome, ended) = deployed(&[]).await;
    outcome.unwrap();
    assert_eq!(ended.status, "CREATE_COMPLETE");
    let (outcome, ended) = deployed(&[("Value", "2"), ("Settings", SETTINGS)]).await;
    outcome.unwrap();
    assert_eq!((ended.status.as_str(), ended.reasons().as_str()), ("UPDATE_COMPLETE", ""));

    // The same failure twice: the second one has reasons of its own.
    for _again in 0..2 {
        let (outcome, ended) = deployed(&[("Value", "3"), ("Fails", "Update")]).await;
        assert_eq!(ended.status, "UPDATE_ROLLBACK_COMPLETE");
        assert!(
            ended.reasons().starts_with("Thing: ") && ended.reasons().contains("Update shall fail"),
            "{ended:?}"
        );
        let error = outcome.unwrap_err().to_string();
        assert!(error.contains(&ended.reasons()), "{error}");
    }
    let told = |property: &str| -> Vec<_> {
        let invocations = account.invocations();
        invocations.iter().map(|one| one["event"]["ResourceProperties"][property].clone()).collect()
    };
    assert_eq!(told("Value"), ["1", "2", "3", "2", "3", "2"]);
    assert_eq!(told("Settings"), ["a=1", SETTINGS, "a=1", SETTINGS, "a=1", SETTINGS]);
    assert_eq!(stacks::roots(account.at).await.unwrap(), [stack.name()]);
}
