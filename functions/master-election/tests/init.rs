//! The real binary stops at init with one sentence that names the parameter.

use std::process::{Command, Output};

fn start(changed: &[(&str, &str)]) -> Output {
    let good = [
        // Nothing listens there: a poll would be an error of its own.
        ("AWS_LAMBDA_RUNTIME_API", "127.0.0.1:1"),
        ("WRITE_GROUPS", "7687=arn:a,7474=arn:b"),
        ("STATE_BUCKET", "b"),
        ("HEARTBEAT_TIMEOUT_MS", "2000"),
    ];
    let environment = runtime::example::LAMBDA
        .into_iter()
        .chain(runtime::example::CLUSTER)
        .chain(good)
        .chain(changed.iter().copied());
    Command::new(env!("CARGO_BIN_EXE_master-election")).env_clear().envs(environment).output().unwrap()
}

#[test]
fn a_bad_parameter_is_one_line_and_a_failed_init() {
    let table = [
        ("DIALECT", "ORACLE", "DIALECT is \\\"ORACLE\\\""),
        ("FENCE_AFTER_SECONDS", "20", "FENCE_AFTER_SECONDS (20) is too long"),
        ("WRITE_GROUPS", "", "WRITE_GROUPS is not set"),
    ];
    for (name, value, sentence) in table {
        let output = start(&[(name, value)]);
        let log = String::from_utf8(output.stdout).unwrap();
        assert!(!output.status.success(), "{name}={value} was accepted");
        assert_eq!(log.lines().count(), 1, "{log}");
        assert!(log.contains("\"event\":\"init-failed\"") && log.contains(sentence), "{log}");
    }
}
