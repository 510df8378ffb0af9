//! Alarms, logs, and the events of functions.

use super::{of_type, template, text};

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
            assert!(function["Timeout"].as_u64().unwrap() < 60, "sweeps must not overlap");
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

/// An alarm at three in the morning names the page that says what to do.
#[test]
fn every_alarm_has_a_runbook_with_the_same_four_parts() {
    let (main, nested) = (template("template.yml"), template("cluster/alarms.yml"));
    let mut alarms = of_type(&main, "AWS::CloudWatch::Alarm");
    let [(late, _)] = alarms[..] else { panic!("one alarm comes after the cluster and goes before it") };
    assert_eq!(main["Resources"][late]["DependsOn"], "ClusterIsReady");
    alarms.extend(of_type(&nested, "AWS::CloudWatch::Alarm"));
    assert!(alarms.len() >= 9);
    for (name, alarm) in alarms {
        assert_eq!(
            name == late,
            alarm["TreatMissingData"] == "breaching",
            "{name}: it would ring while a stack is made"
        );
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
