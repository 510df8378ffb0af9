//! Logs of the nodes: which containers bring them, and the saved queries for what an operator looks for.

use super::{of_type, template};

/// Lines of a 3.4.6 that copied its store, found a branch, and failed to fill an index.
const LINES: [(&str, &str); 3] = [
    ("StoreCopiesQuery", "INFO [o.n.k.h.c.SwitchToSlaveBranchThenCopy] Copying store from master"),
    (
        "BranchedStoresQuery",
        "ERROR [o.n.k.h.c.SwitchToSlaveBranchThenCopy] The store is inconsistent. Will treat it as branched and fetch a new one from the master",
    ),
    (
        "FailedIndexesQuery",
        "ERROR [o.n.k.i.a.i.MultipleIndexPopulator] Failed to populate index: [:L(p) [provider: {key=lucene+native, version=2.0}]]",
    ),
];

#[test]
fn a_saved_query_finds_what_neo4j_writes() {
    let alarms = template("cluster/alarms.yml");
    let queries = of_type(&alarms, "AWS::Logs::QueryDefinition");
    assert_eq!(queries.len(), LINES.len() + 1, "and the slow queries");
    for (name, query) in queries {
        let text = query["QueryString"].as_str().unwrap();
        let Some((_, line)) = LINES.iter().find(|(known, _)| *known == name) else {
            assert!(text.contains("/query-log/"), "{name}: {text}");
            continue;
        };
        let searched = text.split("@message like /").nth(1).unwrap().split('/').next().unwrap();
        assert!(searched.split('|').any(|words| line.contains(words)), "{name}: {searched}");
        assert!(text.contains("@logStream like \"/debug-log/\""), "{name}: {text}");
    }
}

#[test]
fn each_log_file_has_a_container_that_the_node_does_not_depend_on() {
    let task = template("cluster/task.yml");
    let containers =
        task["Resources"]["Definition"]["Properties"]["ContainerDefinitions"].as_array().unwrap();
    let streams: Vec<&str> = containers.iter().map(|container| container["Name"].as_str().unwrap()).collect();
    assert_eq!(streams, ["neo4j", "debug-log", "query-log"], "a stream has the name of its container");
    for container in containers {
        let name = &container["Name"];
        let options = &container["LogConfiguration"]["Options"];
        assert_eq!(options["mode"], "non-blocking", "{name}: a stalled CloudWatch must not stall it");
        assert!(container["DependsOn"].is_null(), "{name}");
        if *name == "neo4j" {
            continue;
        }
        assert_eq!(container["Essential"], false, "{name}: the node goes on without it");
        assert_eq!(container["RestartPolicy"]["Enabled"], true, "{name}");
        assert_eq!(container["MountPoints"][0]["ReadOnly"], true, "{name} writes nothing");
        assert_eq!(container["StopTimeout"], containers[0]["StopTimeout"], "{name}: lines of a slow stop");
    }
}
