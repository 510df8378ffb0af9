//! Settings, slots, and the order in which they roll.

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::{of_type, template, text};

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
    assert_eq!(service["AvailabilityZoneRebalancing"], "DISABLED", "the slot's volume stays in its zone");
    let own_host =
        json!([{"Type": "memberOf", "Expression": {"Fn::Sub": "attribute:neo4j.slot == ${Name}"}}]);
    assert_eq!(service["PlacementConstraints"], own_host);
}

/// What the emulator and loopback do not feel.
#[test]
fn the_one_task_definition_has_what_only_aws_would_show() {
    let task = template("cluster/task.yml");
    let [(_, definition)] = of_type(&task, "AWS::ECS::TaskDefinition")[..] else {
        panic!("one definition for all core slots")
    };
    assert_eq!(definition["NetworkMode"], "awsvpc");
    let processor = json!({"Fn::If": ["IsArm", "ARM64", "X86_64"]});
    assert_eq!(definition["RuntimePlatform"]["CpuArchitecture"], processor);
    // Logs have no path on the host: they are on its own disk, and end with the task.
    let volumes = json!([{"Name": "data", "Host": {"SourcePath": "/var/lib/neo4j"}}, {"Name": "logs"}]);
    assert_eq!(definition["Volumes"], volumes);
    let container = &definition["ContainerDefinitions"][0];
    let logs = &container["LogConfiguration"]["Options"];
    assert_eq!((&logs["mode"], &logs["max-buffer-size"]), (&"non-blocking".into(), &"25m".into()));
    let variables = container["Environment"].as_array().unwrap();
    let region = json!({"Name": "AWS_REGION", "Value": {"Ref": "AWS::Region"}});
    assert!(variables.contains(&region), "older agents do not set it");
    let named = variables.iter().find(|variable| variable["Name"] == "CORE_SERVICES").unwrap();
    assert_eq!(
        named["Value"], task["Outputs"]["CoreServices"]["Value"],
        "nodes and functions are told the same"
    );
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

/// What a nested stack asks for, and nothing else, is what it is given.
#[test]
fn every_nested_stack_is_given_all_its_parameters() {
    let main = template("template.yml");
    let mut nested = 0;
    for (name, properties) in of_type(&main, "AWS::CloudFormation::Stack") {
        nested += 1;
        let asked = template(properties["TemplateURL"].as_str().unwrap());
        let names = |of: &Value| -> Vec<String> {
            of.as_object().map(|map| map.keys().cloned().collect()).unwrap_or_default()
        };
        let (mut given, mut wanted) = (names(&properties["Parameters"]), names(&asked["Parameters"]));
        given.sort();
        wanted.sort();
        assert_eq!(given, wanted, "{name}");
    }
    assert_eq!(
        nested, 15,
        "five slots, two balancers, task, network, roles, alarms twice, state, logs, backups"
    );
}

/// A slot's server id is the place of its service among the core services.
#[test]
fn every_slot_is_named_after_the_stack_and_its_number() {
    let main = template("template.yml");
    for slot in 1..=5 {
        let given = &main["Resources"][format!("Core{slot}")]["Properties"]["Parameters"];
        assert_eq!(given["Name"], json!({"Fn::Sub": format!("${{AWS::StackName}}-core-{slot}")}));
        assert_eq!(given["Definition"], json!({"Fn::GetAtt": ["Task", "Outputs.Definition"]}));
    }
    let conditions: Vec<&str> = ["Core1", "Core2", "Core3", "Core4", "Core5"]
        .map(|name| main["Resources"][name]["Condition"].as_str().unwrap_or("always"))
        .to_vec();
    assert_eq!(conditions, ["always", "HasThree", "HasThree", "HasFive", "HasFive"]);
    let services = template("cluster/task.yml")["Outputs"]["CoreServices"]["Value"].to_string();
    assert!(
        services.contains("${Stack}-core-1,${Stack}-core-2,${Stack}-core-3,${Stack}-core-4,${Stack}-core-5")
    );
}

/// A setting is a parameter, its hand-over, and its use: none is missing, and none is said twice.
#[test]
fn a_setting_of_the_nodes_is_three_edits() {
    let (main, task) = (template("template.yml"), template("cluster/task.yml"));
    let handed_over = main["Resources"]["Task"]["Properties"]["Parameters"].as_object().unwrap();
    let parts = task["Resources"].to_string() + &task["Conditions"].to_string();
    for (name, value) in handed_over {
        let used = [format!("{{\"Ref\":\"{name}\"}}"), format!("${{{name}}}")];
        assert!(used.iter().any(|how| parts.contains(how)), "{name} is not used in cluster/task.yml");
        if main["Parameters"].get(name).is_none() || name == "AdminSecretArn" {
            continue;
        }
        assert_eq!(*value, json!({ "Ref": name }));
        let slots = (1..=5).map(|slot| main["Resources"][format!("Core{slot}")].to_string());
        let own: Vec<String> =
            slots.filter(|slot| slot.contains(&format!("{{\"Ref\":\"{name}\"}}"))).collect();
        assert!(own.is_empty(), "{name} reaches the slots by the task definition alone");
    }
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
    for function in ["MasterElection", "UserCreation", "BackupTrigger"] {
        assert_eq!(
            resources[function]["DependsOn"], "RollCheck",
            "{function} must not change before a refusal"
        );
    }
    let check = &resources["RollCheck"]["Properties"];
    assert_eq!((&check["CoreSize"], &check["RollWhenDegraded"]), (&of("CoreSize"), &of("RollWhenDegraded")));
}

/// The check is asked when any slot's task or service is to change, by a parameter or by the template of the slots.
#[test]
fn the_check_of_a_roll_is_given_everything_that_makes_a_slot_change() {
    let main = template("template.yml");
    let settings = main["Resources"]["RollCheck"]["Properties"]["Settings"].as_object().unwrap();
    let digest = Sha256::digest(text("cluster/slot.yml"));
    let first: Vec<String> = digest.iter().take(6).map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(settings["Template"], first.concat(), "the beginning of the SHA-256 of cluster/slot.yml");
    for slot in 1..=5 {
        let given = main["Resources"][format!("Core{slot}")]["Properties"]["Parameters"].as_object().unwrap();
        for (name, value) in given.iter().filter(|(name, _)| !["Name", "After"].contains(&name.as_str())) {
            assert_eq!(settings.get(name), Some(value), "Core{slot}: {name}");
        }
    }
}
