//! `neo4j.conf` as it is written, against golden files: `UPDATE_GOLDEN=1 cargo test -p node` writes them anew.

use std::{env, fs, net::IpAddr, path::Path};

use node::{Settings, Volume, conf};
use runtime::Environment;

fn settings(changed: &[(&'static str, &'static str)]) -> Settings {
    let stack = [
        ("DIALECT", "HA"),
        ("CLUSTER", "c"),
        ("CORE_SERVICES", "core-1,core-2,core-3"),
        ("SERVER_ID", "2"),
        ("ADMIN_SECRET_ARN", "arn:secret"),
        ("ECS_CONTAINER_METADATA_URI_V4", "http://agent/v4/x"),
        ("NEO4J_dbms_memory_heap_max__size", "2g"),
    ];
    let environment: Environment = stack.into_iter().chain(changed.iter().copied()).collect();
    Settings { processors: 2, ..Settings::read(&environment).unwrap() }
}

fn hosts() -> Vec<IpAddr> {
    [1, 2, 3].map(|last| IpAddr::from([10, 0, 0, last])).to_vec()
}

fn assert_golden(name: &str, settings: &Settings) {
    let text = conf(settings, hosts()[1], &hosts(), Volume::Filled).unwrap().to_string();
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    if env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(&file, &text).unwrap();
    }
    assert_eq!(text, fs::read_to_string(&file).unwrap(), "{name}");
}

#[test]
fn high_availability_with_push() {
    assert_golden("ha-push.conf", &settings(&[]));
}

#[test]
fn high_availability_with_pull() {
    let text = conf(&settings(&[("REPLICATION", "pull")]), hosts()[1], &hosts(), Volume::Filled)
        .unwrap()
        .to_string();
    assert!(text.contains("ha.tx_push_factor=0\n") && text.contains("ha.pull_interval=100ms\n"), "{text}");
}

#[test]
fn a_blank_volume_is_filled_without_the_backup_server() {
    let text = |volume| conf(&settings(&[]), hosts()[1], &hosts(), volume).unwrap().to_string();
    assert!(text(Volume::Blank).contains("dbms.backup.enabled=false\n"));
    assert!(text(Volume::Filled).contains("dbms.backup.enabled=true\n"));
}

#[test]
fn causal_clustering() {
    assert_golden("cluster.conf", &settings(&[("DIALECT", "CLUSTER")]));
}

#[test]
fn a_single_node_has_nothing_of_a_cluster() {
    assert_golden("single.conf", &settings(&[("DIALECT", "SINGLE")]));
}

#[test]
fn timings_are_the_parameters() {
    let timings = [
        ("HEARTBEAT_INTERVAL_MS", "500"),
        ("HEARTBEAT_TIMEOUT_MS", "2000"),
        ("SLAVE_READ_TIMEOUT_SECONDS", "3"),
    ];
    let text = conf(&settings(&timings), hosts()[1], &hosts(), Volume::Filled).unwrap().to_string();
    for line in ["ha.heartbeat_interval=500ms", "ha.heartbeat_timeout=2000ms", "ha.slave_read_timeout=3000ms"]
    {
        assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
    }
}

#[test]
fn what_is_a_default_can_be_set_and_what_forms_the_cluster_cannot() {
    let set =
        settings(&[("NEO4J_dbms_threads_worker__count", "64"), ("NEO4J_dbms_logs_query_enabled", "true")]);
    let text = conf(&set, hosts()[1], &hosts(), Volume::Filled).unwrap().to_string();
    assert!(
        text.contains("dbms.threads.worker_count=64\n") && text.contains("dbms.logs.query.enabled=true\n")
    );
    for owned in
        ["NEO4J_ha_server__id", "NEO4J_ha_initial__hosts", "NEO4J_dbms_mode", "NEO4J_dbms_directories_data"]
    {
        let error =
            conf(&settings(&[(owned, "7")]), hosts()[1], &hosts(), Volume::Filled).unwrap_err().to_string();
        assert!(error.contains("cannot be set by a NEO4J_ variable"), "{owned}: {error}");
    }
}

/// Neo4j reads properties of Java: what is not one line of them would add a line, or swallow the one below.
#[test]
fn a_variable_that_is_not_one_line_is_refused_by_name() {
    let refused = |name: &'static str, value: &'static str| {
        let error = conf(&settings(&[(name, value)]), hosts()[1], &hosts(), Volume::Filled).unwrap_err();
        let sentence = error.to_string();
        assert!(!sentence.contains('\n') && !sentence.contains("evil"), "{sentence}");
        sentence
    };
    for value in [
        "1g\ndbms.mode=SINGLE",
        "1g\r\ndbms.security.auth_enabled=false",
        "1g\rha.server_id=9",
        "evil\0",
        "evil\u{b}",
        "evil\u{85}",
        "evil\\",
        "\n",
    ] {
        let sentence = refused("NEO4J_dbms_memory_heap_max__size", value);
        assert!(
            sentence.starts_with("NEO4J_dbms_memory_heap_max__size has a line break"),
            "{value:?}: {sentence}"
        );
    }
    // A name is a part of the line too, and so are the directories.
    assert!(refused("NEO4J_dbms\nmode", "1").starts_with("NEO4J_dbms\\nmode has"));
    for directory in ["DATA_DIR", "LOG_DIR"] {
        assert!(refused(directory, "/data\nevil=1").starts_with("dbms.directories."), "{directory}");
    }
    let jvm = "-Dfile.encoding=UTF-8 -Dx=\"a b\"\t#1 = c:\\d";
    let text = conf(&settings(&[("NEO4J_dbms_jvm_additional", jvm)]), hosts()[1], &hosts(), Volume::Filled);
    assert!(
        text.unwrap().to_string().contains(&format!("dbms.jvm.additional={jvm}\n")),
        "anything else may be set"
    );
}
