//! `neo4j.conf` as it is written, against golden files: `UPDATE_GOLDEN=1 cargo test -p node` writes them again.

use std::{env, fs, net::IpAddr, path::Path};

use node::{Disks, Error, Settings, Volume, conf};
use runtime::Environment;

fn settings(changed: &[(&'static str, &'static str)]) -> Settings {
    read(changed).unwrap()
}

fn read(changed: &[(&'static str, &'static str)]) -> Result<Settings, Error> {
    let stack = [
        ("SLAVE_ONLY_SERVICES", "slave-1"),
        ("ADMIN_SECRET_ARN", "arn:secret"),
        ("ECS_CONTAINER_METADATA_URI_V4", "http://agent/v4/x"),
        ("NEO4J_dbms_memory_heap_max__size", "2g"),
        runtime::example::LICENSE,
    ];
    let environment: Environment =
        runtime::example::CLUSTER.into_iter().chain(stack).chain(changed.iter().copied()).collect();
    Ok(Settings { processors: 2, ..Settings::read(&environment)? })
}

/// The configuration of the second core slot, whose volume is filled.
fn text(settings: &Settings) -> String {
    text_of("core-2", settings, Volume::Filled)
}

fn text_of(slot: &str, settings: &Settings, volume: Volume) -> String {
    text_with(slot, settings, Disks { volume, ..FILLED })
}

fn text_with(slot: &str, settings: &Settings, disks: Disks) -> String {
    let slot = settings.cluster.slot(slot).unwrap();
    conf(settings, slot, hosts()[1], &hosts(), disks).unwrap().to_string()
}

/// A volume of 100 GiB with a store.
const FILLED: Disks = Disks { volume: Volume::Filled, bytes: 100 << 30, certificates: false };

fn refused(settings: &Settings) -> String {
    let slot = settings.cluster.slot("core-2").unwrap();
    conf(settings, slot, hosts()[1], &hosts(), FILLED).unwrap_err().to_string()
}

fn hosts() -> Vec<IpAddr> {
    [1, 2, 3].map(|last| IpAddr::from([10, 0, 0, last])).to_vec()
}

fn assert_golden(name: &str, text: &str) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    if env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(&file, text).unwrap();
    }
    assert_eq!(text, fs::read_to_string(&file).unwrap(), "{name}");
}

#[test]
fn high_availability_with_push() {
    assert_golden("ha-push.conf", &text(&settings(&[])));
}

/// Votes, copies and serves reads; the cluster is formed without it.
#[test]
fn a_slave_only_slot_is_never_master_and_never_founds_a_cluster() {
    assert_golden("ha-slave-only.conf", &text_of("slave-1", &settings(&[]), Volume::Filled));
}

#[test]
fn high_availability_with_pull() {
    let text = text(&settings(&[("REPLICATION", "pull")]));
    assert!(text.contains("ha.tx_push_factor=0\n") && text.contains("ha.pull_interval=100ms\n"), "{text}");
}

#[test]
fn a_blank_volume_is_filled_without_the_backup_server() {
    let text = |volume| text_of("core-2", &settings(&[]), volume);
    assert!(text(Volume::Blank).contains("dbms.backup.enabled=false\n"));
    assert!(text(Volume::Filled).contains("dbms.backup.enabled=true\n"));
}

#[test]
fn transaction_logs_have_a_part_of_the_volume() {
    let lines = |kept| text(&settings(&[("TRANSACTION_LOG_RETENTION", kept)]));
    assert!(lines("25%").contains("dbms.tx_log.rotation.retention_policy=25600M size\n"));
    assert!(lines("5G").contains("dbms.tx_log.rotation.retention_policy=5120M size\n"));
}

#[test]
fn slow_queries_are_logged_without_their_parameters_when_a_threshold_is_set() {
    let lines = text(&settings(&[("SLOW_QUERY_MS", "2500")]));
    assert!(
        lines.contains("dbms.logs.query.enabled=true\n") && lines.contains("threshold=2500ms\n"),
        "{lines}"
    );
    assert!(lines.contains("dbms.logs.query.parameter_logging_enabled=false\n"));
    assert!(!text(&settings(&[("SLOW_QUERY_MS", "0")])).contains("dbms.logs.query.enabled"));
}

#[test]
fn certificates_that_are_mounted_are_used() {
    let lines = text_with("core-2", &settings(&[]), Disks { certificates: true, ..FILLED });
    assert!(lines.contains("dbms.directories.certificates=/ssl\n"), "{lines}");
}

#[test]
fn causal_clustering() {
    assert_golden("cluster.conf", &text(&settings(&[("DIALECT", "CLUSTER")])));
}

#[test]
fn a_single_node_has_nothing_of_a_cluster() {
    let single = settings(&[("DIALECT", "SINGLE"), ("CORE_SERVICES", "core-1"), ("SLAVE_ONLY_SERVICES", "")]);
    assert_golden("single.conf", &text_of("core-1", &single, Volume::Filled));
}

#[test]
fn timings_are_the_parameters() {
    let timings = [
        ("HEARTBEAT_INTERVAL_MS", "500"),
        ("HEARTBEAT_TIMEOUT_MS", "2000"),
        ("SLAVE_READ_TIMEOUT_SECONDS", "3"),
    ];
    let text = text(&settings(&timings));
    for line in ["ha.heartbeat_interval=500ms", "ha.heartbeat_timeout=2000ms", "ha.slave_read_timeout=3000ms"]
    {
        assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
    }
}

/// The three ways to a setting: this program's default, a variable of the task, a line of the stack's parameter.
#[test]
fn settings_of_users_are_in_the_file() {
    let lines = "# slow queries\ndbms.logs.query.enabled=true\ndbms.logs.query.threshold = 2s\n\n\
                 dbms.threads.worker_count=64\ndbms.jvm.additional=-Da=b -Dc=d\n";
    assert_golden("settings.conf", &text(&settings(&[("NEO4J_SETTINGS", lines)])));
}

#[test]
fn what_is_a_default_can_be_set_and_what_forms_the_cluster_cannot() {
    let set = settings(&[
        ("NEO4J_dbms_threads_worker__count", "64"),
        ("NEO4J_SETTINGS", "dbms.logs.query.enabled=true"),
    ]);
    let text = text(&set);
    assert!(
        text.contains("dbms.threads.worker_count=64\n") && text.contains("dbms.logs.query.enabled=true\n")
    );
    for owned in [
        "NEO4J_ha_server__id",
        "NEO4J_ha_slave__only",
        "NEO4J_ha_allow__init__cluster",
        "NEO4J_ha_initial__hosts",
        "NEO4J_dbms_mode",
        "NEO4J_dbms_directories_data",
    ] {
        let error = refused(&settings(&[(owned, "7")]));
        assert!(error.contains("cannot be set by a NEO4J_ variable or in Neo4jSettings"), "{owned}: {error}");
    }
    for line in ["ha.server_id=7", "a=1\n dbms.mode = SINGLE", "dbms.directories.data=/"] {
        let error = refused(&settings(&[("NEO4J_SETTINGS", line)]));
        assert!(error.contains("cannot be set by a NEO4J_ variable or in Neo4jSettings"), "{line}: {error}");
    }
}

/// Neo4j reads properties of Java: what is not one line of them would add a line, or swallow the one below.
#[test]
fn a_variable_that_is_not_one_line_is_refused_by_name() {
    let refused = |name: &'static str, value: &'static str| {
        let sentence = read(&[(name, value)]).unwrap_err().to_string();
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
        let sentence = refused("NEO4J_dbms_memory_heap_initial__size", value);
        assert!(
            sentence.starts_with("NEO4J_dbms_memory_heap_initial__size has a line break"),
            "{value:?}: {sentence}"
        );
    }
    // A name is a part of the line too, and so are the directories.
    assert!(refused("NEO4J_dbms\nmode", "1").starts_with("NEO4J_dbms\\nmode has"));
    for directory in ["DATA_DIR", "LOGS_DIR"] {
        let sentence = self::refused(&settings(&[(directory, "/data\nevil=1")]));
        assert!(sentence.starts_with("dbms.directories.") && !sentence.contains("evil"), "{sentence}");
    }
    let jvm = "-Dfile.encoding=UTF-8 -Dx=\"a b\"\t#1 = c:\\d";
    for name in ["NEO4J_dbms_jvm_additional", "NEO4J_SETTINGS"] {
        let value =
            if name == "NEO4J_SETTINGS" { format!("dbms.jvm.additional={jvm}") } else { jvm.to_owned() };
        let text = text(&settings(&[(name, value.leak())]));
        assert!(text.contains(&format!("dbms.jvm.additional={jvm}\n")), "anything else may be set");
    }
}
