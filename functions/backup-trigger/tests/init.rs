//! The real binary stops at init with one sentence that names the parameter.

use std::process::{Command, Output};

fn start(changed: &[(&str, &str)]) -> Output {
    let good = [
        // Nothing listens there: a poll would be an error of its own.
        ("AWS_LAMBDA_RUNTIME_API", "127.0.0.1:1"),
        ("STATE_BUCKET", "state"),
        ("BACKUP_BUCKET", "backups"),
        ("BACKUP_TASK", "arn:task"),
        ("BACKUP_SECURITY_GROUP", "sg-1"),
        ("STACK_ID", "arn:stack"),
        ("DAILY_BACKUP_AT", "02:00"),
    ];
    let environment = runtime::example::LAMBDA
        .into_iter()
        .chain(runtime::example::CLUSTER)
        .chain(good)
        .chain(changed.iter().copied());
    Command::new(env!("CARGO_BIN_EXE_backup-trigger")).env_clear().envs(environment).output().unwrap()
}

#[test]
fn a_bad_parameter_is_one_line_and_a_failed_init() {
    let table = [
        ("DIALECT", "ORACLE", "DIALECT is \\\"ORACLE\\\""),
        ("DAILY_BACKUP_AT", "26:00", "DAILY_BACKUP_AT is \\\"26:00\\\": it must be an hour and a minute"),
        ("BACKUP_TIME_ZONE", "Mars/Base", "BACKUP_TIME_ZONE is \\\"Mars/Base\\\": it is not a time zone"),
        ("BACKUP_BUCKET", "", "BACKUP_BUCKET is not set"),
    ];
    for (name, value, sentence) in table {
        let output = start(&[(name, value)]);
        let log = String::from_utf8(output.stdout).unwrap();
        assert!(!output.status.success(), "{name}={value} was accepted");
        assert_eq!(log.lines().count(), 1, "{log}");
        assert!(log.contains("\"event\":\"init-failed\"") && log.contains(sentence), "{log}");
    }
}
