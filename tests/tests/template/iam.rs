//! What each part may do, and that it may still do it while it is deleted.

use serde_json::{Value, json};

use super::{ALL, actions, of_type, statements, template, text};

/// Each permission says why it is there, for a reader who does not know the code.
#[test]
fn every_iam_statement_has_a_comment_that_says_what_it_allows() {
    let mut statements = 0;
    for name in ALL {
        let text = text(name);
        let lines: Vec<&str> = text.lines().map(str::trim).collect();
        for (index, line) in lines.iter().enumerate() {
            let Some(effect) = line.strip_prefix("- Effect: ") else { continue };
            statements += 1;
            let word = if effect == "Deny" { "Denies" } else { "Allows" };
            let above = lines[..index].iter().rev().take_while(|line| line.starts_with('#'));
            assert!(
                above.into_iter().any(|comment| comment.starts_with(&format!("# {word}"))),
                "{name}:{}: no comment says what it {}",
                index + 1,
                word.to_lowercase()
            );
        }
    }
    assert!(statements >= 10, "{statements} statements were found");
}

/// "*" is for actions that know no resources; everything else names them.
#[test]
fn only_actions_without_resources_are_allowed_on_all() {
    const WITHOUT_RESOURCES: [&str; 9] = [
        "ecr:GetAuthorizationToken",
        "ecs:ListTasks",
        "elasticloadbalancing:DescribeTargetHealth",
        "ec2:CreateNetworkInterface",
        "ec2:DescribeNetworkInterfaces",
        "ec2:DescribeSubnets",
        "ec2:DeleteNetworkInterface",
        "ec2:AssignPrivateIpAddresses",
        "ec2:UnassignPrivateIpAddresses",
    ];
    let statements = statements();
    assert!(statements.len() > 20, "{}", statements.len());
    for (at, statement) in statements.iter().filter(|(_, statement)| statement["Effect"] == "Allow") {
        for action in actions(statement) {
            assert!(!action.contains('*'), "{at}: {action}");
            if statement["Resource"] == "*" {
                assert!(WITHOUT_RESOURCES.contains(&action.as_str()), "{at}: {action} on everything");
            }
        }
    }
}

/// A look lists the whole cluster, without a service; on what ListTasks returns and on a task that was asked to stop earlier
/// DescribeTasks must be allowed too. Neither reaches another cluster.
#[test]
fn what_looks_at_tasks_may_list_and_describe_those_of_the_stacks_own_cluster() {
    let statements = statements();
    let allowing = |action: &str| -> Vec<&(String, Value)> {
        statements.iter().filter(|(_, statement)| actions(statement).contains(&action.to_owned())).collect()
    };
    let ([(at, list)], [(beside, describe)]) =
        (&allowing("ecs:ListTasks")[..], &allowing("ecs:DescribeTasks")[..])
    else {
        panic!("one statement each")
    };
    assert_eq!(at, beside);
    assert_eq!(list["Resource"], "*", "without a service there is no resource to name");
    assert_eq!(list["Condition"]["ArnEquals"]["ecs:cluster"], json!({"Ref": "ClusterArn"}));
    assert!(describe["Resource"].to_string().contains(":task/${Cluster}/*"), "{describe}");
    assert!(!json!(statements).to_string().contains("AddTags"), "nothing depends on a tag");
    let roles = template("cluster/roles.yml");
    for (role, properties) in of_type(&roles, "AWS::IAM::Role") {
        let managed = properties["ManagedPolicyArns"].as_array().unwrap();
        assert!(managed.contains(&json!({"Ref": "FindsNodes"})), "{role}");
    }
    let given = &template("template.yml")["Resources"]["Task"]["Properties"]["Parameters"];
    assert_eq!(given["FindsNodesPolicyArn"], json!({"Fn::GetAtt": ["Roles", "Outputs.FindsNodes"]}));
}

/// Lambda removes the interfaces of a function in a VPC with its role's permissions, after the function is gone; until then their
/// security group cannot be deleted. So the group goes first, and no role loses a permission before it goes itself.
#[test]
fn functions_in_the_vpc_can_be_deleted() {
    let (main, roles) = (template("template.yml"), template("cluster/roles.yml"));
    assert_eq!(main["Resources"]["FunctionSecurityGroup"]["DependsOn"], "Roles");
    let functions = of_type(&main, "AWS::Serverless::Function");
    assert!(functions.len() >= 4);
    for (name, function) in &functions {
        assert_eq!(function["Role"], json!({"Fn::GetAtt": ["Roles", format!("Outputs.{name}")]}));
        let role = &roles["Resources"][*name]["Properties"];
        assert!(
            role["ManagedPolicyArns"].as_array().unwrap().contains(&json!({"Ref": "FunctionsInVpc"})),
            "{name}"
        );
    }
    let denied = &roles["Resources"]["FunctionsInVpc"]["Properties"]["PolicyDocument"]["Statement"][1];
    assert_eq!(denied["Effect"], "Deny");
    let who = denied["Condition"]["ArnEquals"]["lambda:SourceFunctionArn"].as_array().unwrap();
    let own = |function: &Value| {
        function["FunctionName"]["Fn::Sub"].as_str().unwrap().replace("AWS::StackName", "Stack")
    };
    assert_eq!(who.len(), functions.len(), "every function: {who:?}");
    for (name, function) in &functions {
        let ends = format!(":function:{}\"}}", own(function));
        assert!(
            who.iter().any(|arn| arn.to_string().ends_with(&ends)),
            "{name} may change interfaces: {who:?}"
        );
    }
    for file in ALL {
        let nested = template(file);
        assert!(
            of_type(&nested, "AWS::IAM::Policy").is_empty(),
            "{file}: it would be taken off its role first"
        );
        for (name, policy) in of_type(&nested, "AWS::IAM::ManagedPolicy") {
            assert!(policy.get("Roles").is_none(), "{file}: {name} would be taken off its roles first");
        }
    }
}

/// A name ending in a wildcard would match `<stack>/admin-of-something-else` too.
#[test]
fn the_administrators_secret_is_named_by_its_own_arn() {
    let text = text("cluster/roles.yml");
    assert!(!text.contains("/admin-*") && !text.contains("/admin*"), "{text}");
    let roles = template("cluster/roles.yml");
    let statements =
        roles["Resources"]["UserCreation"]["Properties"]["Policies"][0]["PolicyDocument"]["Statement"]
            .as_array()
            .unwrap();
    let secrets = statements.iter().find(|one| one["Action"] == "secretsmanager:GetSecretValue").unwrap();
    let own = |made: &str, secret: &str| json!({"Fn::If": [made, {"Ref": secret}, {"Ref": "AWS::NoValue"}]});
    let named = secrets["Resource"].as_array().unwrap();
    assert_eq!(named[0], json!({"Ref": "AdminSecretArn"}));
    assert_eq!(named[1..3], [own("HasReader", "ReaderSecretArn"), own("HasWriter", "WriterSecretArn")]);
    assert!(named[3].to_string().ends_with(":secret:${Stack}/users/*\"}"), "{secrets}");
    // A user of a password that the function may not read cannot be made.
    let given = &template("template.yml")["Resources"]["Roles"]["Properties"]["Parameters"];
    for user in ["Reader", "Writer"] {
        let made = format!("Has{user}User");
        let secret = json!({"Fn::If": [made, {"Ref": format!("{user}Secret")}, ""]});
        assert_eq!(given[format!("{user}SecretArn")], secret);
    }
    let paths = ["users", "users/*", "requests", "requests/*"];
    let read =
        statements.iter().find(|one| one["Action"].to_string().contains("GetParametersByPath")).unwrap();
    let write = statements.iter().find(|one| one["Action"].to_string().contains("PutParameter")).unwrap();
    for path in paths {
        let named = |statement: &Value| statement["Resource"].to_string().contains(&format!("}}/{path}\""));
        assert!(named(read), "{path}: {read}");
        assert_eq!(named(write), path.ends_with('*'), "{path}: {write}");
    }
}
