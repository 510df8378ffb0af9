//! Alarms, logs, and the events of functions.

use serde_json::{Value, json};

use super::{ALL, of_type, template, text};

/// The functions that a schedule invokes and CloudFormation does not, and the seconds of their schedules.
const TICKED: [(&str, u64); 2] = [("MasterElection", 60), ("BackupTrigger", 900)];

#[test]
fn every_function_ends_its_events_soon_and_logs_for_a_limited_time() {
    let (main, logs) = (template("template.yml"), template("cluster/logs.yml"));
    let functions = of_type(&main, "AWS::Serverless::Function");
    assert!(functions.len() >= 4);
    for (name, function) in functions {
        let events = &function["EventInvokeConfig"];
        if let Some((_, every)) = TICKED.iter().find(|(ticked, _)| *ticked == name) {
            // The next tick sees more than an old event.
            assert_eq!(
                (&events["MaximumEventAgeInSeconds"], &events["MaximumRetryAttempts"]),
                (&60.into(), &0.into()),
                "{name}"
            );
            assert!(function["Timeout"].as_u64().unwrap() < *every, "{name}: ticks must not overlap");
        } else {
            // CloudFormation waits for the answer: its event is tried again.
            assert_eq!(events["MaximumRetryAttempts"], 2, "{name}");
        }
        let group = json!({"Fn::GetAtt": ["Logs", format!("Outputs.{name}")]});
        assert_eq!(function["LoggingConfig"]["LogGroup"], group, "{name}: a group of its own");
        let resource = logs["Outputs"][name]["Value"]["Ref"].as_str().unwrap();
        let named = logs["Resources"][resource]["Properties"]["LogGroupName"]["Fn::Sub"].as_str().unwrap();
        let own = function["FunctionName"]["Fn::Sub"].as_str().unwrap();
        assert_eq!(named.replace("/aws/lambda/${Stack}", ""), own.replace("${AWS::StackName}", ""), "{name}");
        assert!(function["Role"].is_object(), "{name}: a role that says what it may do");
    }
    let mut groups = 0;
    for file in ALL {
        for (name, group) in of_type(&template(file), "AWS::Logs::LogGroup") {
            groups += 1;
            assert!(!group["RetentionInDays"].is_null(), "{file}: {name}");
        }
    }
    assert_eq!(groups, 5, "the functions' and the nodes'");
}

/// An alarm at three in the morning names the page that says what to do.
#[test]
fn every_alarm_has_a_runbook_with_the_same_four_parts() {
    let main = template("template.yml");
    assert!(of_type(&main, "AWS::CloudWatch::Alarm").is_empty(), "they are in two stacks");
    assert_eq!(
        main["Resources"]["LateAlarms"]["DependsOn"], "ClusterIsReady",
        "after the cluster, and gone before it"
    );
    let mut alarms = 0;
    for (file, missing) in [("cluster/alarms.yml", "notBreaching"), ("cluster/late-alarms.yml", "breaching")]
    {
        for (name, alarm) in of_type(&template(file), "AWS::CloudWatch::Alarm") {
            alarms += 1;
            // One that rings without data would ring while a stack is made.
            assert_eq!(alarm["TreatMissingData"], missing, "{file}: {name}");
            let description = alarm["AlarmDescription"].as_str().unwrap();
            let runbook = description.split("; ").nth(1).unwrap_or_else(|| panic!("{name} names no runbook"));
            let text = text(runbook);
            for part in
                ["## What happened", "## What it did", "## What it refused, and why", "## What to run next"]
            {
                assert!(text.contains(part), "{runbook} has no part {part:?}");
            }
        }
    }
    assert!(alarms >= 14, "{alarms}");
}

/// The age is that of the newest verified backup, whatever made it, and grows from the first tick on if there never was one. Silence of
/// the function that measures it rings too.
#[test]
fn a_backup_that_is_too_old_rings_and_so_does_one_that_was_never_made() {
    let late = template("cluster/late-alarms.yml");
    let table = [
        ("BackupStaleAlarm", "HasHourly", "HourlyBackupAge", 3 * 3600, 3600),
        ("DailyBackupStaleAlarm", "HasDaily", "DailyBackupAge", 26 * 3600, 24 * 3600),
    ];
    for (name, condition, metric, oldest, schedule) in table {
        let alarm = &late["Resources"][name];
        assert_eq!(alarm["Condition"], condition, "{name}: only with its schedule");
        let alarm = &alarm["Properties"];
        assert_eq!((&alarm["MetricName"], &alarm["Threshold"]), (&metric.into(), &oldest.into()), "{name}");
        assert!(oldest > schedule, "{name}: a backup that is on time is not too old");
        assert_eq!(alarm["ComparisonOperator"], "GreaterThanThreshold", "{name}");
        assert_eq!(alarm["TreatMissingData"], "breaching", "{name}");
        // Two ticks in each period: one of them may be lost or late.
        assert_eq!(alarm["Period"], 1800, "{name}");
        // It ends with the first tick after a backup.
        assert_eq!(alarm["Statistic"], "Minimum", "{name}");
    }
    let main = template("template.yml");
    let tick = &main["Resources"]["BackupTrigger"]["Properties"]["Events"]["Tick"]["Properties"];
    assert_eq!(tick["ScheduleExpression"], "rate(15 minutes)");
    let given = &main["Resources"]["LateAlarms"]["Properties"]["Parameters"];
    let or = |what: &str, otherwise: &str| json!({"Fn::If": ["HasBackups", {"Ref": what}, otherwise]});
    assert_eq!(given["HourlyBackups"], or("HourlyBackups", "false"));
    assert_eq!(given["DailyBackupAt"], or("DailyBackupAt", "off"));
}

/// A program's own metric has these two dimensions, and an alarm without them would read nothing for ever.
#[test]
fn every_alarm_of_backups_reads_the_metric_of_its_function() {
    let dimensions: Value = json!([
        {"Name": "Stack", "Value": {"Ref": "Stack"}},
        {"Name": "Function", "Value": "backup-trigger"}
    ]);
    let mut found = 0;
    for file in ["cluster/alarms.yml", "cluster/late-alarms.yml"] {
        for (name, alarm) in of_type(&template(file), "AWS::CloudWatch::Alarm") {
            if name.contains("Backup") {
                found += 1;
                assert_eq!(alarm["Dimensions"], dimensions, "{name}");
                assert_eq!(alarm["Namespace"], "Neo4jControlPlane", "{name}");
            }
        }
    }
    assert_eq!(found, 5, "stale twice, failed, inconsistent, stuck");
}

/// A function that ended before it took an event sends no answer; one whose parameter is invalid answers, and rings no bell.
#[test]
fn the_alarm_for_what_is_not_answered_knows_every_way() {
    let nested = template("cluster/alarms.yml");
    let filters = of_type(&nested, "AWS::Logs::MetricFilter");
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
