//! Parameters: described, documented, bounded.

use std::process::Command;

use serde_json::json;

use super::{root, template, text};

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

/// CloudFormation looks at rules before it makes anything.
#[test]
fn a_licence_that_is_not_accepted_is_refused_before_anything_is_made() {
    let main = template("template.yml");
    assert_eq!(main["Parameters"]["AcceptLicense"]["Default"], "no", "a default accepts no licence");
    let rule = &main["Rules"]["LicenseIsAccepted"];
    assert!(rule["RuleCondition"].is_null(), "it holds for every stack");
    assert_eq!(rule["Assertions"][0]["Assert"], json!({"Fn::Equals": [{"Ref": "AcceptLicense"}, "yes"]}));
    let said = rule["Assertions"][0]["AssertDescription"].as_str().unwrap();
    assert!(said.contains("AcceptLicense") && said.contains("https://neo4j.com/licensing"), "{said}");
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

/// CloudFormation checks a value before it makes anything, so that a bad one costs nothing.
#[test]
fn patterns_admit_what_is_right_and_refuse_what_is_not() {
    let table: [(&str, &[&str], &[&str]); 9] = [
        (
            "BackupBucket",
            &["", "neo4j-backups", "my.backups.2026"],
            &["s3://backups", "Backups", "ab", "-backups", "backups/neo4j"],
        ),
        (
            "BackupKmsKeyArn",
            &["", "arn:aws:kms:us-east-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"],
            &["alias/backups", "arn:aws:kms:us-east-1:123456789012:alias/backups", "1234abcd"],
        ),
        (
            "DailyBackupAt",
            &["02:00", "23:59", "00:00", "off"],
            &["2:00", "24:00", "02:60", "02:00:00", "OFF", ""],
        ),
        (
            "BackupTimeZone",
            &["UTC", "Europe/Berlin", "America/Argentina/Buenos_Aires", "Etc/GMT+5"],
            &["", "+01:00", "Europe/", "../etc", "Europe Berlin"],
        ),
        (
            "ClientCidr",
            &["10.0.0.0/16", "192.168.1.1/32", "127.0.0.0/8"],
            &["0.0.0.0/0", "999.0.0.0/99", "10.0.0.0", "10.0.0.0/33", "10.0.0/8", "::/0", ""],
        ),
        ("TransactionLogRetention", &["10%", "50%", "500M", "20G"], &["51%", "0%", "2 days", "10", ""]),
        ("Neo4jVersion", &["3.4.6", "5.26.0"], &["3.4", "3.4.6-rc", "latest", ""]),
        (
            "AdminSecretArn",
            &["", "arn:aws:secretsmanager:us-east-1:123456789012:secret:neo4j/admin-AbCd12"],
            &[
                "admin",
                "arn:aws:secretsmanager:us-east-1:123456789012:secret:admin",
                "arn:aws:iam::123456789012:role/x-AbCd12",
            ],
        ),
        (
            "Neo4jSettings",
            &["", "dbms.logs.query.enabled=true", "# a comment\n\n  a.b = 1\r\nc.d=\"x y\"\n"],
            &["a.b", "a.b=1\nc.d", "=1", "A_B=1", "1a=2"],
        ),
    ];
    let main = template("template.yml");
    for (name, right, wrong) in table {
        let pattern = main["Parameters"][name]["AllowedPattern"].as_str().unwrap();
        for value in right {
            assert!(matches(pattern, value), "{name} refuses {value:?}");
        }
        for value in wrong {
            assert!(!matches(pattern, value), "{name} admits {value:?}");
        }
    }
}

/// By Python's expressions, which read these as Java's do.
fn matches(pattern: &str, value: &str) -> bool {
    let script = "import re, sys; sys.exit(re.fullmatch(sys.argv[1], sys.argv[2]) is None)";
    let python = root().join(".local/venv-sam/bin/python");
    Command::new(python).args(["-c", script, pattern, value]).status().unwrap().success()
}
