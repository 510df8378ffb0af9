//! Who reaches whom, and what a balancer of AWS does by default that would break the cluster.

use serde_json::json;

use super::{attribute, of_type, template, when_it_is_there};

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
fn nodes_let_in_clients_checks_functions_and_backups_and_no_others() {
    let network = template("cluster/network.yml");
    let [(_, nodes)] = of_type(&network, "AWS::EC2::SecurityGroup")[..] else { panic!("one group") };
    let mut open: Vec<(String, u64)> = Vec::new();
    for rule in nodes["SecurityGroupIngress"].as_array().unwrap() {
        let condition = rule.get("Fn::If").map(|choice| choice[0].as_str().unwrap());
        let rule = when_it_is_there(rule);
        assert!(rule["Description"].is_string(), "{rule}");
        assert_eq!(rule["FromPort"], rule["ToPort"], "{rule}");
        let from = rule["SourceSecurityGroupId"]["Ref"].as_str().unwrap();
        // A single node has no balancer of readers, and a Neo4j that is not 3.x no backups.
        let expected = match from {
            "Readers" => Some("HasReaders"),
            "Backups" => Some("HasBackups"),
            _ => None,
        };
        assert_eq!(condition, expected, "{rule}");
        open.push((from.to_owned(), rule["FromPort"].as_u64().unwrap()));
    }
    open.sort();
    let expected = [
        // It has no password in 3.4.
        ("Backups", &[neo4j::ports::BACKUP][..]),
        ("Functions", &[7474, 7475, 7687]),
        ("Readers", &[7473, 7474, 7475, 7687]),
        ("Writers", &[7473, 7474, 7475, 7687]),
    ];
    let expected: Vec<(String, u64)> = expected
        .iter()
        .flat_map(|(who, ports)| ports.iter().map(|port| ((*who).to_owned(), u64::from(*port))))
        .collect();
    assert_eq!(open, expected);
    let given = &template("template.yml")["Resources"]["Network"]["Properties"]["Parameters"];
    let of = |balancer: &str| json!({"Fn::GetAtt": [balancer, "Outputs.SecurityGroupId"]});
    assert_eq!(given["Writers"], of("Balancer"));
    assert_eq!(given["Readers"], json!({"Fn::If": ["HasReaders", of("ReadBalancer"), ""]}));
    assert_eq!(given["Functions"], json!({"Fn::GetAtt": ["FunctionSecurityGroup", "GroupId"]}));
    let worker = json!({"Fn::GetAtt": ["Backups", "Outputs.SecurityGroup"]});
    assert_eq!(given["Backups"], json!({"Fn::If": ["HasBackups", worker, ""]}));
}
