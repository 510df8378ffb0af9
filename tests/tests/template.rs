//! What the templates say, read as text and as data: what the emulator drops or does not feel is asserted here.

use std::{fs, path::PathBuf};

use local::templates;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn text(name: &str) -> String {
    fs::read_to_string(root().join(name)).unwrap()
}

fn template(name: &str) -> Value {
    templates::read(&text(name)).unwrap()
}

const ALL: [&str; 3] = ["template.yml", "cluster/balancer.yml", "cluster/slot.yml"];

/// `(logical id, properties)` of every resource of a type.
fn of_type<'a>(template: &'a Value, kind: &str) -> Vec<(&'a str, &'a Value)> {
    let resources = template["Resources"].as_object().unwrap().iter();
    resources.filter(|(_, r)| r["Type"] == *kind).map(|(name, r)| (name.as_str(), &r["Properties"])).collect()
}

fn attribute<'a>(list: &'a Value, key: &str) -> &'a str {
    let pairs = list.as_array().unwrap();
    let pair = pairs.iter().find(|pair| pair["Key"] == *key);
    pair.unwrap_or_else(|| panic!("{key} is not set"))["Value"].as_str().unwrap()
}

#[test]
fn the_balancer_has_every_attribute_whose_default_would_break_it() {
    let balancer = template("cluster/balancer.yml");
    let [(_, nlb)] = of_type(&balancer, "AWS::ElasticLoadBalancingV2::LoadBalancer")[..] else {
        panic!("one balancer")
    };
    assert_eq!(nlb["Type"], "network");
    assert_eq!(attribute(&nlb["LoadBalancerAttributes"], "load_balancing.cross_zone.enabled"), "true");
    assert_eq!(nlb["SecurityGroups"].as_array().map(Vec::len), Some(1), "it cannot be added later");

    let groups = of_type(&balancer, "AWS::ElasticLoadBalancingV2::TargetGroup");
    assert_eq!(groups.len(), 3);
    for (name, group) in groups {
        let attributes = &group["TargetGroupAttributes"];
        for (key, value) in [
            ("deregistration_delay.timeout_seconds", "0"),
            ("deregistration_delay.connection_termination.enabled", "true"),
            ("target_health_state.unhealthy.connection_termination.enabled", "true"),
            ("preserve_client_ip.enabled", "false"),
        ] {
            assert_eq!(attribute(attributes, key), value, "{name}: {key}");
        }
        assert_eq!(group["Matcher"]["HttpCode"], "200", "{name}");
        assert_eq!(group["TargetType"], "ip", "{name}");
        assert_eq!(group["HealthCheckProtocol"], "HTTP", "{name}");
        assert_eq!(group["HealthCheckPort"], "7475", "{name}: the node program's");
        let path = serde_json::json!({"Fn::FindInMap": ["Check", "Role", {"Ref": "Serves"}]});
        assert_eq!(group["HealthCheckPath"], path, "{name}");
        let number = |key: &str| group[key].as_u64().unwrap();
        assert!((5..=300).contains(&number("HealthCheckIntervalSeconds")), "{name}");
        // The election calls a node silent no sooner than the balancer.
        assert_eq!(number("HealthCheckTimeoutSeconds"), topology::PATIENCE.as_secs(), "{name}");
        assert!(number("HealthCheckTimeoutSeconds") <= number("HealthCheckIntervalSeconds"), "{name}");
        assert!((2..=10).contains(&number("HealthyThresholdCount")), "{name}");
        assert!((2..=10).contains(&number("UnhealthyThresholdCount")), "{name}");
    }
    let checks = &balancer["Mappings"]["Check"]["Role"];
    assert_eq!(checks["write"], neo4j::ROLE_PATH);
    assert_eq!(checks["read"], neo4j::READ_PATH);

    let listeners = of_type(&balancer, "AWS::ElasticLoadBalancingV2::Listener");
    let mut ports: Vec<u64> =
        listeners.iter().map(|(_, listener)| listener["Port"].as_u64().unwrap()).collect();
    ports.sort_unstable();
    assert_eq!(ports, [7473, 7474, 7687]);
    for (name, listener) in listeners {
        assert_eq!(attribute(&listener["ListenerAttributes"], "tcp.idle_timeout.seconds"), "3600", "{name}");
        assert_eq!(listener["Protocol"], "TCP", "{name}");
    }
}

/// Loopback has no firewall, so a rule that is missing would show on AWS only.
#[test]
fn nodes_let_in_clients_checks_and_functions_and_no_others() {
    let main = template("template.yml");
    let groups = of_type(&main, "AWS::EC2::SecurityGroup");
    let (_, nodes) = groups.iter().find(|(name, _)| *name == "NodeSecurityGroup").unwrap();
    let mut open: Vec<(String, u64)> = Vec::new();
    for rule in nodes["SecurityGroupIngress"].as_array().unwrap() {
        assert!(rule["Description"].is_string(), "{rule}");
        assert_eq!(rule["FromPort"], rule["ToPort"], "{rule}");
        let from = rule["SourceSecurityGroupId"]["Fn::GetAtt"].to_string();
        let from =
            ["ReadBalancer", "Balancer", "FunctionSecurityGroup"].into_iter().find(|who| from.contains(who));
        open.push((from.unwrap().to_owned(), rule["FromPort"].as_u64().unwrap()));
    }
    open.sort();
    let expected = [
        ("Balancer", &[7473, 7474, 7475, 7687][..]),
        ("FunctionSecurityGroup", &[7474, 7475, 7687]),
        ("ReadBalancer", &[7473, 7474, 7475, 7687]),
    ];
    let expected: Vec<(String, u64)> = expected
        .iter()
        .flat_map(|(who, ports)| ports.iter().map(|port| ((*who).to_owned(), *port)))
        .collect();
    assert_eq!(open, expected);
}

#[test]
fn ecs_does_not_register_targets_itself_and_a_deployment_ends() {
    let slot = template("cluster/slot.yml");
    let [(_, service)] = of_type(&slot, "AWS::ECS::Service")[..] else { panic!("one service a slot") };
    assert!(service.get("LoadBalancers").is_none(), "master-election is the only registrar");
    assert_eq!(service["DesiredCount"], 1);
    let deployment = &service["DeploymentConfiguration"];
    assert_eq!(deployment["DeploymentCircuitBreaker"]["Enable"], true);
    assert_eq!(
        (&deployment["MinimumHealthyPercent"], &deployment["MaximumPercent"]),
        (&0.into(), &100.into())
    );
    let [(_, definition)] = of_type(&slot, "AWS::ECS::TaskDefinition")[..] else {
        panic!("one definition a slot")
    };
    assert_eq!(definition["NetworkMode"], "awsvpc");
}

/// ECS replaces the tasks of a service for another definition or network; nothing else of this service comes from a parameter.
#[test]
fn what_replaces_a_slots_task_is_told_by_its_stack() {
    let slot = template("cluster/slot.yml");
    let [(_, service)] = of_type(&slot, "AWS::ECS::Service")[..] else { panic!("one service a slot") };
    let mut changing: Vec<&str> = service.as_object().unwrap().keys().map(String::as_str).collect();
    changing.retain(|key| {
        service[key].to_string().contains("Ref\":") && !["ServiceName", "Cluster"].contains(key)
    });
    assert_eq!(changing, ["NetworkConfiguration", "TaskDefinition"]);
    let network = &service["NetworkConfiguration"]["AwsvpcConfiguration"];
    assert_eq!(network["Subnets"], json!({"Ref": "Subnets"}));
    assert_eq!(network["SecurityGroups"], json!([{"Ref": "SecurityGroup"}]));
    let outputs = &slot["Outputs"];
    assert_eq!(outputs["Definition"]["Value"], json!({"Ref": "Definition"}));
    let said = outputs["Network"]["Value"].to_string();
    assert!(said.contains("${SecurityGroup}") && said.contains("{\"Ref\":\"Subnets\"}"), "{said}");
}

#[test]
fn every_slot_has_its_own_server_id_and_every_parameter_of_the_slot() {
    let (main, slot) = (template("template.yml"), template("cluster/slot.yml"));
    let wanted = slot["Parameters"].as_object().unwrap();
    let stacks = of_type(&main, "AWS::CloudFormation::Stack");
    let slots: Vec<_> = stacks.iter().filter(|(name, _)| name.starts_with("Core")).collect();
    assert_eq!(slots.len(), 5);
    for (name, properties) in slots {
        let given = properties["Parameters"].as_object().unwrap();
        assert!(given.keys().eq(wanted.keys()), "{name} gives {:?}", given.keys());
        assert_eq!(given["ServerId"].as_str().map(|id| format!("Core{id}")).as_deref(), Some(*name));
    }
    let conditions: Vec<&str> = ["Core1", "Core2", "Core3", "Core4", "Core5"]
        .map(|name| main["Resources"][name]["Condition"].as_str().unwrap_or("always"))
        .to_vec();
    assert_eq!(conditions, ["always", "HasThree", "HasThree", "HasFive", "HasFive"]);
}

/// A roll moves the master once or twice when it goes from the highest id to the lowest, and begins with the check.
#[test]
fn slots_roll_one_after_another_in_falling_order_behind_the_check() {
    let main = template("template.yml");
    let resources = &main["Resources"];
    let after = |slot: usize| resources[format!("Core{slot}")]["Properties"]["Parameters"]["After"].clone();
    let of = |name: &str| json!({ "Ref": name });
    let either = |condition: &str, name: &str| json!({"Fn::If": [condition, of(name), of("RollCheck")]});
    assert_eq!(after(5), of("RollCheck"));
    assert_eq!(after(4), of("Core5Ready"));
    assert_eq!(after(3), either("HasFive", "Core4Ready"));
    assert_eq!(after(2), of("Core3Ready"));
    assert_eq!(after(1), either("HasThree", "Core2Ready"));
    for slot in 1..=5 {
        let stack = &resources[format!("Core{slot}")];
        // A task that cannot be placed counts for nothing with the circuit breaker.
        assert_eq!(stack["Properties"]["TimeoutInMinutes"], 20, "Core{slot}");
        let ready = &resources[format!("Core{slot}Ready")]["Properties"];
        assert_eq!(ready["Slot"], slot.to_string());
        assert_eq!(ready["RollWhenDegraded"], of("RollWhenDegraded"));
        // A wait is an Update of its resource, which comes when one of these has changed.
        for output in ["Definition", "Network"] {
            assert_eq!(
                ready[output],
                json!({"Fn::GetAtt": [format!("Core{slot}"), format!("Outputs.{output}")]})
            );
        }
    }
    for function in ["MasterElection", "UserCreation"] {
        assert_eq!(
            resources[function]["DependsOn"], "RollCheck",
            "{function} must not change before a refusal"
        );
    }
    let check = &resources["RollCheck"]["Properties"];
    assert_eq!((&check["CoreSize"], &check["RollWhenDegraded"]), (&of("CoreSize"), &of("RollWhenDegraded")));
}

/// The check is asked when any slot's task is to change, by a parameter or by the template of the slots.
#[test]
fn the_check_of_a_roll_is_given_everything_that_makes_a_slot_change() {
    let main = template("template.yml");
    let settings = main["Resources"]["RollCheck"]["Properties"]["Settings"].as_object().unwrap();
    let digest = Sha256::digest(text("cluster/slot.yml"));
    let first: Vec<String> = digest.iter().take(6).map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(settings["Template"], first.concat(), "the beginning of the SHA-256 of cluster/slot.yml");
    for slot in 1..=5 {
        let given = main["Resources"][format!("Core{slot}")]["Properties"]["Parameters"].as_object().unwrap();
        for (name, value) in given.iter().filter(|(name, _)| !["ServerId", "After"].contains(&name.as_str()))
        {
            assert_eq!(settings.get(name), Some(value), "Core{slot}: {name}");
        }
    }
}

#[test]
fn every_function_ends_its_events_soon_and_logs_for_a_limited_time() {
    let main = template("template.yml");
    let functions = of_type(&main, "AWS::Serverless::Function");
    assert!(!functions.is_empty());
    for (name, function) in functions {
        let events = &function["EventInvokeConfig"];
        if name == "MasterElection" {
            assert_eq!(
                (&events["MaximumEventAgeInSeconds"], &events["MaximumRetryAttempts"]),
                (&60.into(), &0.into())
            );
            assert!(function["Timeout"].as_u64().unwrap() < 60, "sweeps shall not overlap");
        } else {
            // CloudFormation waits for the answer: its event is tried again.
            assert_eq!(events["MaximumRetryAttempts"], 2, "{name}");
        }
        assert!(
            function["LoggingConfig"]["LogGroup"].is_object(),
            "{name}: a group of its own, with a retention"
        );
        assert!(function["Role"].is_object(), "{name}: a role that says what it may do");
    }
    for (name, group) in of_type(&main, "AWS::Logs::LogGroup") {
        assert!(!group["RetentionInDays"].is_null(), "{name}");
    }
}

/// A stranger shall be able to read why each permission is there.
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

/// What a condition puts in, or the part itself.
fn when_it_is_there(part: &Value) -> &Value {
    part.get("Fn::If").map_or(part, |choice| &choice[1])
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
    let main = template("template.yml");
    for (role, properties) in of_type(&main, "AWS::IAM::Role") {
        for policy in properties["Policies"].as_array().unwrap().iter().map(when_it_is_there) {
            let statements = policy["PolicyDocument"]["Statement"].as_array().unwrap();
            for statement in statements.iter().map(when_it_is_there) {
                let actions = match &statement["Action"] {
                    Value::Array(actions) => actions.clone(),
                    one => vec![one.clone()],
                };
                for action in actions {
                    let action = action.as_str().unwrap();
                    assert!(!action.contains('*'), "{role}: {action}");
                    if statement["Resource"] == "*" {
                        assert!(WITHOUT_RESOURCES.contains(&action), "{role}: {action} on everything");
                    }
                }
            }
        }
    }
}

/// A look lists the whole cluster, without a service; on what ListTasks returns and on a task that was asked to stop earlier
/// DescribeTasks must be allowed too. Neither reaches another cluster.
#[test]
fn whoever_looks_at_tasks_may_list_and_describe_those_of_the_stacks_own_cluster() {
    let main = template("template.yml");
    let mut lookers = Vec::new();
    for (role, properties) in of_type(&main, "AWS::IAM::Role") {
        let policies = properties["Policies"].as_array().unwrap().iter().map(when_it_is_there);
        let statements: Vec<&Value> = policies
            .flat_map(|policy| policy["PolicyDocument"]["Statement"].as_array().unwrap())
            .map(when_it_is_there)
            .collect();
        let allows = |action: &str| statements.iter().find(|statement| statement["Action"] == *action);
        assert!(!properties.to_string().contains("AddTags"), "{role}: nothing depends on a tag");
        let (Some(list), describe) = (allows("ecs:ListTasks"), allows("ecs:DescribeTasks")) else { continue };
        assert_eq!(list["Resource"], "*", "{role}: without a service there is no resource to name");
        let cluster = &list["Condition"]["ArnEquals"]["ecs:cluster"];
        assert!(
            cluster.to_string().contains("Cluster.Arn") || cluster["Fn::GetAtt"][0] == "Cluster",
            "{role}: {cluster}"
        );
        let tasks =
            &describe.unwrap_or_else(|| panic!("{role} lists tasks and may not describe them"))["Resource"];
        assert!(tasks.to_string().contains(":task/${Cluster}/*"), "{role}: {tasks}");
        lookers.push(role);
    }
    assert_eq!(lookers.len(), 4, "{lookers:?}");
}

/// `AuthEnabled` may be switched at any time: the function that answers for the stack's users stays, with the password that its nodes were
/// made with; only what wakes it by itself stops.
#[test]
fn without_authentication_the_function_answers_and_only_its_events_stop() {
    let main = template("template.yml");
    let resources = &main["Resources"];
    for kept in ["AdminSecret", "UserCreation", "UserRecords", "UserCreationRole", "UserCreationLogs"] {
        assert!(resources[kept].is_object() && resources[kept].get("Condition").is_none(), "{kept}");
    }
    let function = &resources["UserCreation"]["Properties"];
    let variables = &function["Environment"]["Variables"];
    assert_eq!(variables["AUTH_ENABLED"], serde_json::json!({"Ref": "AuthEnabled"}));
    let state = serde_json::json!({"Fn::If": ["Authenticated", "ENABLED", "DISABLED"]});
    let events = function["Events"].as_object().unwrap();
    assert_eq!(events.len(), 2);
    for (name, event) in events {
        assert_eq!(event["Properties"]["State"], state, "{name}");
    }
    let mut given = vec![variables["ADMIN_SECRET_ARN"].to_string()];
    given.push(
        resources["SnapshotBootstrap"]["Properties"]["Environment"]["Variables"]["ADMIN_SECRET_ARN"]
            .to_string(),
    );
    let slots =
        of_type(&main, "AWS::CloudFormation::Stack").into_iter().filter(|(name, _)| name.starts_with("Core"));
    given.extend(slots.map(|(_, slot)| slot["Parameters"]["AdminSecretArn"].to_string()));
    assert_eq!(given.len(), 7);
    for arn in given {
        assert!(arn.contains("AdminSecret") && !arn.contains("If"), "{arn}");
    }
}

/// Their records are forgotten last, and made possible first.
#[test]
fn every_user_depends_on_the_records_and_on_what_answers_its_delete() {
    let main = template("template.yml");
    let resources = main["Resources"].as_object().unwrap();
    let mut users = 0;
    for (name, resource) in resources {
        let needed: &[&str] = match resource["Type"].as_str().unwrap() {
            "Custom::Neo4jUser" => &["UserRecords", "UserCreationLogs", "UserCreationInvokesItself"],
            "Custom::Neo4jUserRecords" => &["UserCreationLogs", "UserCreationInvokesItself"],
            _ => continue,
        };
        users += 1;
        let before = resource["DependsOn"].as_array().unwrap();
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

/// A name ending in a wildcard would match `<stack>/admin-of-something-else` too.
#[test]
fn the_administrators_secret_is_named_by_its_own_arn() {
    let text = text("template.yml");
    assert!(!text.contains("/admin-*") && !text.contains("/admin*"), "{text}");
    let main = template("template.yml");
    let (_, role) =
        of_type(&main, "AWS::IAM::Role").into_iter().find(|(name, _)| *name == "UserCreationRole").unwrap();
    let statements = role["Policies"][0]["PolicyDocument"]["Statement"].as_array().unwrap();
    let secrets = statements.iter().find(|one| one["Action"] == "secretsmanager:GetSecretValue").unwrap();
    assert!(secrets["Resource"][0].to_string().contains("AdminSecret"), "{secrets}");
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

/// An alarm at three in the morning names the page that says what to do.
#[test]
fn every_alarm_has_a_runbook_with_the_same_four_parts() {
    let main = template("template.yml");
    let alarms = of_type(&main, "AWS::CloudWatch::Alarm");
    assert_eq!(alarms.len(), 9);
    for (name, alarm) in alarms {
        let description = alarm["AlarmDescription"].as_str().unwrap();
        let runbook = description.split("; ").nth(1).unwrap_or_else(|| panic!("{name} names no runbook"));
        let text = text(runbook);
        for part in
            ["## What happened", "## What it did", "## What it refused, and why", "## What to run next"]
        {
            assert!(text.contains(part), "{runbook} has no part {part:?}");
        }
        assert!(!alarm["TreatMissingData"].is_null(), "{name}");
    }
}

#[test]
fn every_parameter_is_described_and_documented() {
    let (main, docs) = (template("template.yml"), text("docs/parameters.md"));
    for (name, parameter) in main["Parameters"].as_object().unwrap() {
        assert!(parameter["Description"].as_str().is_some_and(|said| said.len() > 10), "{name}");
        assert!(docs.contains(&format!("`{name}`")), "{name} is not in docs/parameters.md");
    }
}

/// No time is absurd, and no product of two numbers overflows.
#[test]
fn every_number_has_both_bounds_and_its_default_is_between_them() {
    let main = template("template.yml");
    let mut numbers = 0;
    for (name, parameter) in main["Parameters"].as_object().unwrap() {
        if parameter["Type"] != "Number" {
            continue;
        }
        numbers += 1;
        let number = |key: &str| parameter[key].as_i64().unwrap_or_else(|| panic!("{name} has no {key}"));
        if let Some(allowed) = parameter["AllowedValues"].as_array() {
            assert!(allowed.contains(&parameter["Default"]), "{name}");
            continue;
        }
        let (least, most) = (number("MinValue"), number("MaxValue"));
        assert!(least < most && (least..=most).contains(&number("Default")), "{name}");
        let day = if name.ends_with("Ms") { 86_400_000 } else { 86_400 };
        if name.ends_with("Ms") || name.ends_with("Seconds") {
            assert!(most <= day, "{name}: a day at most, as the functions and the node program have it");
        }
    }
    assert!(numbers >= 14, "{numbers}");
    for name in ["HeapSize", "PageCacheSize"] {
        let pattern = main["Parameters"][name]["AllowedPattern"].as_str().unwrap();
        assert_eq!(pattern, r"^[1-9]\d{0,4}[mg]$", "{name}: digits are bounded too");
    }
}

/// A function that ended before it took an event answers nobody; one whose parameter is invalid answers, and rings no bell.
#[test]
fn the_alarm_for_what_is_not_answered_knows_every_way() {
    let main = template("template.yml");
    let filters = of_type(&main, "AWS::Logs::MetricFilter");
    let unanswered: Vec<_> = filters.iter().filter(|(name, _)| name.ends_with("Unanswered")).collect();
    assert_eq!(unanswered.len(), 2, "users and snapshots");
    for (name, filter) in unanswered {
        let pattern = filter["FilterPattern"].as_str().unwrap();
        for way in ["answer-lost", "answer-refused", "unanswerable", "panicked"] {
            assert!(pattern.contains(&format!("$.event = \"custom-resource-{way}\"")), "{name}: {way}");
        }
        assert!(pattern.contains("$.event = \"init-failed\""), "{name}");
        assert!(!pattern.contains("custom-resource-unable"), "{name}: that is answered");
    }
}

/// What the local cloud leaves out is a short list, and each entry has a reason.
#[test]
fn what_the_emulator_lacks_is_listed_with_a_reason() {
    let list = text("local/not-in-the-emulator.txt");
    for line in list.lines().filter(|line| !line.starts_with('#')) {
        let (kind, reason) = line.split_once('#').unwrap_or_else(|| panic!("{line}: no reason"));
        assert!(kind.trim().starts_with("AWS::") && reason.trim().len() > 10, "{line}");
    }
}
