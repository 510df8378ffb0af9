//! Events, alarms and metrics: what pages, filters and alarms name is said by a program.

use std::{collections::BTreeSet, fs, path::Path};

use serde_json::Value;

use super::{all_templates, files, none, pages, prose, resources, root, spans, without_stack};

/// Every name that a line of a log has as its event, what nodes ring included.
fn events(code: &[(String, String)]) -> BTreeSet<String> {
    let mut events = BTreeSet::new();
    for (name, text) in code {
        // What a test expects is no proof that it is said.
        let said = text.split("#[cfg(test)]").next().unwrap_or_default();
        for (at, word) in said.match_indices("event = \"") {
            events.extend(said[at + word.len()..].split('"').next().map(str::to_owned));
        }
        // The failures that end the node program, and its bells, have their names in a function.
        for function in ["pub fn event(&self)", "pub fn name(self)", "pub fn name(&self)"] {
            if name.starts_with("node/") || name == "shared/aws/src/bell.rs" {
                let bodies = said.split(function).skip(1).filter_map(|rest| rest.split("\n    }\n").next());
                events.extend(bodies.flat_map(|body| body.split('"').skip(1).step_by(2).map(str::to_owned)));
            }
        }
    }
    events
}

/// Folders of code whose files run on AWS.
const SHIPPED: [&str; 3] = ["functions", "node", "shared"];

fn shipped() -> Vec<(String, String)> {
    let mut code = files(&SHIPPED, ".rs");
    code.retain(|(name, _)| !name.contains("/tests/") && !name.ends_with("/tests.rs"));
    code
}

/// Names of alarms, without the stack's.
fn alarms(templates: &[(String, Value)]) -> BTreeSet<String> {
    let alarms = resources(templates, "AWS::CloudWatch::Alarm");
    alarms.into_iter().map(|(_, alarm)| without_stack(&alarm["AlarmName"])).collect()
}

/// What is written with dashes between backticks, and what a filter of a log asks for, and is not known.
fn unknown_names(
    pages: &[(String, String)],
    events: &BTreeSet<String>,
    known: &BTreeSet<String>,
) -> Vec<String> {
    let is_dashed = |span: &str| {
        span.contains('-')
            && span.starts_with(|first: char| first.is_ascii_lowercase())
            && !span.ends_with('-')
            && span.chars().all(|one| one.is_ascii_lowercase() || one.is_ascii_digit() || one == '-')
    };
    let mut complaints = Vec::new();
    for (page, text) in pages {
        for span in prose(text).flat_map(spans).filter(|span| is_dashed(span)) {
            if !events.contains(span) && !known.contains(span) {
                complaints
                    .push(format!("{page}: {span} is no event, no alarm and nothing else of this project"));
            }
        }
        for (at, word) in text.match_indices("$.event = \"") {
            let asked = text[at + word.len()..].split('"').next().unwrap_or_default();
            let found = match asked.strip_suffix('*') {
                Some(beginning) => events.iter().any(|event| event.starts_with(beginning)),
                None => events.contains(asked),
            };
            if !found {
                complaints.push(format!("{page}: no line has the event {asked}"));
            }
        }
    }
    complaints
}

/// Names with dashes that are neither events nor alarms.
fn other_names(templates: &[(String, Value)]) -> BTreeSet<String> {
    let mut known = alarms(templates);
    // Functions and crates, by their folders.
    for folder in ["functions", "shared", "."] {
        let entries = fs::read_dir(root().join(folder)).unwrap().map(|entry| entry.unwrap().path());
        let folders = entries.filter(|path| path.is_dir());
        known.extend(folders.map(|path| path.file_name().unwrap().to_string_lossy().into_owned()));
    }
    // Words of tools and of AWS.
    known.extend(NOT_OURS.map(str::to_owned));
    known
}

/// Words with dashes that belong to tools, to AWS or to the seed, are containers or a tag, or stand for any of their kind.
const NOT_OURS: [&str; 9] = [
    "aws-sam-cli-managed-default",
    "core-1",
    "cypher-shell",
    "debug-log",
    "dump-config",
    "neo4j-admin",
    "neo4j-backup-expired",
    "neo4j-local",
    "query-log",
];

#[test]
fn pages_name_only_events_alarms_and_functions_that_exist() {
    let (templates, events) = (all_templates(), events(&shipped()));
    assert!(events.len() > 60, "{events:?}: are they written in another way now?");
    for one in ["retarget", "became-master", "neo4j-died", "custom-resource-unable"] {
        assert!(events.contains(one), "{one}");
    }
    none(&unknown_names(&pages(), &events, &other_names(&templates)));
}

#[test]
fn a_page_that_names_an_event_of_yesterday_is_complained_of() {
    let code = [
        ("functions/x/src/a.rs".to_owned(), "warn!(event = \"node-not-compared\", \"x\");".to_owned()),
        (
            "node/src/b.rs".to_owned(),
            "pub fn event(&self) -> &str {\n \"neo4j-died\"\n    }\n\"no-event\"".to_owned(),
        ),
        ("node/src/c.rs".to_owned(), "#[cfg(test)]\nevent = \"only-in-a-test\"".to_owned()),
    ];
    let events = events(&code);
    assert_eq!(events.iter().collect::<Vec<_>>(), ["neo4j-died", "node-not-compared"]);
    let page = "`node-not-compared`, `no-master`, `admin-out-of-order`, `neo4j-died`\n\
        ```sh\n--filter-pattern '{ $.event = \"node-*\" || $.event = \"old\" || $.event = \"old-*\" }'\n```\n";
    let known = BTreeSet::from(["no-master".to_owned()]);
    assert_eq!(
        unknown_names(&[("page".to_owned(), page.to_owned())], &events, &known),
        [
            "page: admin-out-of-order is no event, no alarm and nothing else of this project",
            "page: no line has the event old",
            "page: no line has the event old-*"
        ]
    );
}

/// A page of a runbook is an alarm's, and an alarm has a page that is called as it is.
#[test]
fn every_runbook_is_an_alarms_and_every_alarm_has_one() {
    let pages = files(&["docs/runbooks"], ".md");
    let stem = |name: &str| Path::new(name).file_stem().unwrap().to_string_lossy().into_owned();
    let pages: BTreeSet<String> = pages.iter().map(|(name, _)| stem(name)).collect();
    assert_eq!(pages, alarms(&all_templates()));
}

/// What the filters of logs ask for, and what alarms read, is said by a program.
fn silent_alarms(
    templates: &[(String, Value)],
    events: &BTreeSet<String>,
    code: &[(String, String)],
) -> Vec<String> {
    let mut complaints = Vec::new();
    let mut metrics = BTreeSet::new();
    for (name, filter) in resources(templates, "AWS::Logs::MetricFilter") {
        let pattern = filter["FilterPattern"].as_str().unwrap_or_default();
        for asked in pattern.split("$.event = \"").skip(1).filter_map(|rest| rest.split('"').next()) {
            if !events.contains(asked) {
                complaints.push(format!("{name} waits for the event {asked}, which no program says"));
            }
        }
        for made in filter["MetricTransformations"].as_array().into_iter().flatten() {
            metrics.insert(without_stack(&made["MetricName"]));
        }
    }
    for (name, alarm) in resources(templates, "AWS::CloudWatch::Alarm") {
        let metric = without_stack(&alarm["MetricName"]);
        let printed = || code.iter().any(|(_, text)| text.contains(&format!("\"{metric}\"")));
        if alarm["Namespace"] == "Neo4jControlPlane" && !metrics.contains(&metric) && !printed() {
            complaints
                .push(format!("{name} reads the metric {metric}, which no filter and no program makes"));
        }
    }
    complaints
}

#[test]
fn every_alarm_reads_a_metric_that_is_made() {
    let code = shipped();
    none(&silent_alarms(&all_templates(), &events(&code), &code));
}

#[test]
fn an_alarm_that_can_never_ring_is_complained_of() {
    let template = serde_json::json!({"Resources": {
        "Filter": {"Type": "AWS::Logs::MetricFilter", "Properties": {
            "FilterPattern": "{ $.event = \"said\" || $.event = \"unsaid\" }",
            "MetricTransformations": [{"MetricName": {"Fn::Sub": "Filtered-${AWS::StackName}"}}]}},
        "A": {"Type": "AWS::CloudWatch::Alarm", "Properties": {"AlarmName": {"Fn::Sub": "${AWS::StackName}-a"},
            "Namespace": "Neo4jControlPlane", "MetricName": {"Fn::Sub": "Filtered-${Stack}"}}},
        "B": {"Type": "AWS::CloudWatch::Alarm", "Properties": {"AlarmName": {"Fn::Sub": "${Stack}-b-c"},
            "Namespace": "Neo4jControlPlane", "MetricName": "Printed"}},
        "C": {"Type": "AWS::CloudWatch::Alarm", "Properties": {"AlarmName": "c",
            "Namespace": "Neo4jControlPlane", "MetricName": "Forgotten"}},
    }});
    let templates = [("template.yml".to_owned(), template)];
    assert_eq!(alarms(&templates).iter().collect::<Vec<_>>(), ["a", "b-c", "c"]);
    let code = [("a.rs".to_owned(), "flag(\"Printed\", true)".to_owned())];
    assert_eq!(
        silent_alarms(&templates, &BTreeSet::from(["said".to_owned()]), &code),
        [
            "Filter waits for the event unsaid, which no program says",
            "C reads the metric Forgotten, which no filter and no program makes"
        ]
    );
}
