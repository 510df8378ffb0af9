//! What the pages say is so: faults have tests, runbooks name what exists, commands can be run.
//!
//! Each check is a function of text that returns complaints, so that a test can see it complain.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use local::templates;
use serde_json::Value;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn text(name: &str) -> String {
    let file = root().join(name);
    fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

/// `(name below the root, text)` of every file below these folders whose name ends so, in order.
fn files(folders: &[&str], ending: &str) -> Vec<(String, String)> {
    fn walk(folder: &Path, ending: &str, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, ending, found);
            } else if path.to_string_lossy().ends_with(ending) {
                found.push(path);
            }
        }
    }
    let (root, mut found) = (root(), Vec::new());
    folders.iter().for_each(|folder| walk(&root.join(folder), ending, &mut found));
    found.sort();
    let named =
        |path: PathBuf| (path.strip_prefix(&root).unwrap().to_string_lossy().into_owned(), read(&path));
    found.into_iter().map(named).collect()
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Where Rust is.
const CODE: [&str; 6] = ["functions", "local", "node", "shared", "simulator", "tests"];

/// The pages about what is now. The changelog tells of what was, too.
fn pages() -> Vec<(String, String)> {
    let mut pages = files(&["docs"], ".md");
    for name in ["README.md", "ARCHITECTURE.md", "SECURITY.md", "local/README.md"] {
        pages.push((name.to_owned(), text(name)));
    }
    pages
}

fn all_templates() -> Vec<(String, Value)> {
    let mut files = files(&["cluster"], ".yml");
    files.push(("template.yml".to_owned(), text("template.yml")));
    files.into_iter().map(|(name, text)| (name, templates::read(&text).unwrap())).collect()
}

fn none(complaints: &[String]) {
    assert!(complaints.is_empty(), "\n{}", complaints.join("\n"));
}

fn is_of_name(character: char) -> bool {
    character.is_ascii_alphanumeric() || character == '_'
}

/// Whether `word` stands in `text` by itself, and not in a longer word.
fn has_word(text: &str, word: &str) -> bool {
    text.match_indices(word).any(|(at, _)| {
        let (before, after) = (&text[..at], &text[at + word.len()..]);
        !before.ends_with(is_of_name) && !after.starts_with(is_of_name)
    })
}

/// What stands between backticks on a line.
fn spans(line: &str) -> impl Iterator<Item = &str> {
    line.split('`').skip(1).step_by(2)
}

/// Lines of a page without its code blocks.
fn prose(page: &str) -> impl Iterator<Item = &str> {
    let mut code = false;
    page.lines().filter(move |line| {
        let fence = line.trim_start().starts_with("```");
        code ^= fence;
        !code && !fence
    })
}

/// Lines of a page's code blocks.
fn code(page: &str) -> impl Iterator<Item = &str> {
    let mut code = false;
    page.lines().filter(move |line| {
        let fence = line.trim_start().starts_with("```");
        code ^= fence;
        code && !fence
    })
}

// Faults.

/// A fault of the page: the files that show it, each with the tests that are named.
#[derive(Debug, Default)]
struct Fault {
    shown: Vec<(String, Vec<String>)>,
    /// What is said instead of tests.
    later: bool,
}

/// The faults of the page by number, and what is wrong with the page.
fn faults(page: &str) -> (BTreeMap<u32, Fault>, Vec<String>) {
    let (mut faults, mut complaints) = (BTreeMap::<u32, Fault>::new(), Vec::new());
    let mut current = None;
    for line in page.lines() {
        if let Some(heading) = line.strip_prefix("### ") {
            let number = heading.split_once(". ").and_then(|(number, _)| number.parse().ok());
            let Some(number) = number else {
                complaints.push(format!("{heading:?} is no number and sentence"));
                continue;
            };
            if faults.insert(number, Fault::default()).is_some() {
                complaints.push(format!("fault {number} is there twice"));
            }
            current = Some(number);
        } else if line.starts_with("## ") {
            current = None;
        } else if let Some(fault) = current.and_then(|number| faults.get_mut(&number)) {
            if line.starts_with("* `") {
                let mut names = spans(line).map(str::to_owned);
                fault.shown.extend(names.next().map(|file| (file, names.collect())));
            }
            fault.later |= line.contains("comes with ") || line.contains("come with ");
        }
    }
    for (number, fault) in &faults {
        if fault.shown.is_empty() && !fault.later {
            complaints.push(format!("fault {number} has no test and says nothing of one"));
        }
    }
    (faults, complaints)
}

/// Tests that are not in the file that is named for them. `None` is a file that does not exist.
fn missing_tests(faults: &BTreeMap<u32, Fault>, file: impl Fn(&str) -> Option<String>) -> Vec<String> {
    let mut complaints = Vec::new();
    for (number, fault) in faults {
        for (name, tests) in &fault.shown {
            let Some(text) = file(name) else {
                complaints.push(format!("fault {number}: there is no file {name}"));
                continue;
            };
            if tests.is_empty() && name.ends_with(".rs") {
                complaints.push(format!("fault {number}: {name} without the name of a test"));
            }
            for test in tests {
                if !has_word(&text, &format!("fn {test}")) && !text.contains(&format!("\"{test}\"")) {
                    complaints.push(format!("fault {number}: {name} has no test {test}"));
                }
            }
        }
    }
    complaints
}

/// The numbers of faults that a text speaks of: "fault 29", "Faults 11 and 13", `fault_7_9_14_...`, `f05_...`.
fn mentioned(text: &str) -> BTreeSet<u32> {
    let mut numbers = BTreeSet::new();
    let lower = text.to_lowercase();
    for (at, word) in lower.match_indices("fault") {
        // "default 3" is none.
        if lower[..at].ends_with(char::is_alphabetic) {
            continue;
        }
        let mut rest = lower[at + word.len()..].trim_start_matches('s');
        // The first separator, then numbers for as long as they go on.
        while let Some(after) =
            [" and ", ", ", " ", "_"].iter().find_map(|between| rest.strip_prefix(between))
        {
            let end = after.find(|character: char| !character.is_ascii_digit()).unwrap_or(after.len());
            let Ok(number) = after[..end].parse() else { break };
            numbers.insert(number);
            rest = &after[end..];
        }
    }
    for (at, word) in text.match_indices("fn f") {
        let digits = &text[at + word.len()..];
        if digits.len() > 3 && digits.as_bytes()[2] == b'_' {
            numbers.extend(digits[..2].parse::<u32>().ok());
        }
    }
    numbers
}

/// Names of tests that begin with the numbers of faults.
fn named_after_faults(text: &str) -> BTreeSet<&str> {
    let starts = text.match_indices("fault_").filter(|(at, _)| !text[..*at].ends_with(is_of_name));
    let names = starts.map(|(at, _)| {
        let rest = &text[at..];
        &rest[..rest.find(|character| !is_of_name(character)).unwrap_or(rest.len())]
    });
    names.filter(|name| name["fault_".len()..].starts_with(|first: char| first.is_ascii_digit())).collect()
}

/// Numbers in code that the page does not have, and tests with numbers in their names that are not listed there.
fn not_on_the_page(faults: &BTreeMap<u32, Fault>, code: &[(String, String)]) -> Vec<String> {
    let mut complaints = Vec::new();
    for (file, text) in code {
        for number in mentioned(text) {
            if !faults.contains_key(&number) {
                complaints.push(format!("{file} speaks of fault {number}, which the page does not have"));
            }
        }
        for test in named_after_faults(text) {
            for number in mentioned(test) {
                let listed = faults.get(&number).is_some_and(|fault| {
                    fault
                        .shown
                        .iter()
                        .any(|(shown, tests)| shown == file && tests.iter().any(|one| one == test))
                });
                if !listed {
                    complaints.push(format!("fault {number} does not list {test} of {file}"));
                }
            }
        }
    }
    complaints
}

/// Code and scenarios, without this file, whose tests speak of faults that are none.
fn code_with_faults() -> Vec<(String, String)> {
    let mut code = files(&CODE, ".rs");
    code.extend(files(&["shared/topology/tests/scenarios"], "rounds.txt"));
    code.retain(|(name, _)| name != "tests/tests/docs.rs");
    code
}

#[test]
fn every_fault_has_a_number_and_a_test_or_says_what_it_comes_with() {
    let (faults, complaints) = faults(&text("docs/faults.md"));
    none(&complaints);
    assert_eq!(faults.keys().copied().collect::<Vec<_>>(), (1..=55).collect::<Vec<_>>());
    none(&missing_tests(&faults, |name| fs::read_to_string(root().join(name)).ok()));
}

#[test]
fn every_fault_that_code_speaks_of_is_on_the_page() {
    let (faults, _) = faults(&text("docs/faults.md"));
    let code = code_with_faults();
    let references = code.iter().flat_map(|(_, text)| mentioned(text)).count();
    assert!(references > 50, "{references} references were found: are they written in another way now?");
    none(&not_on_the_page(&faults, &code));
}

#[test]
fn a_page_of_faults_that_is_wrong_is_complained_of() {
    let page = "# Faults\n\n### 1. Bad\n\nIt fails.\n\n* `a.rs`: `there`, `gone`\n* `b.rs`: `there`\n* `c.rs`\n\n\
        ### 2. Worse\n\nIt fails too.\n\n### 1. Bad again\n\nThis comes with time.\n\n### Third\n";
    let (found, complaints) = faults(page);
    assert_eq!(
        complaints,
        [
            "fault 1 is there twice",
            "\"Third\" is no number and sentence",
            "fault 2 has no test and says nothing of one"
        ]
    );
    assert_eq!(found.len(), 2);

    let (found, complaints) =
        faults("### 1. Bad\n\n* `a.rs`: `there`, `gone`\n* `b.rs`: `there`\n* `c.rs`\n");
    assert!(complaints.is_empty());
    let file = |name: &str| (name != "b.rs").then(|| "fn there() {}\nfn gone_too() {}\n".to_owned());
    assert_eq!(
        missing_tests(&found, file),
        [
            "fault 1: a.rs has no test gone",
            "fault 1: there is no file b.rs",
            "fault 1: c.rs without the name of a test"
        ]
    );
    let code = [("a.rs".to_owned(), "// Fault 7.\nfn fault_1_8_it_holds() {}".to_owned())];
    assert_eq!(
        not_on_the_page(&found, &code),
        [
            "a.rs speaks of fault 7, which the page does not have",
            "a.rs speaks of fault 8, which the page does not have",
            "fault 1 does not list fault_1_8_it_holds of a.rs",
            "fault 8 does not list fault_1_8_it_holds of a.rs"
        ]
    );
}

#[test]
fn numbers_of_faults_are_found_however_they_are_written() {
    let numbers = |text: &str| mentioned(text).into_iter().collect::<Vec<_>>();
    assert_eq!(numbers("/// Fault 25."), [25]);
    assert_eq!(numbers("(faults 21 and 22)"), [21, 22]);
    assert_eq!(numbers("Faults 11, 12 and 13: a Delete"), [11, 12, 13]);
    assert_eq!(numbers("fn fault_7_9_14_a_user()"), [7, 9, 14]);
    assert_eq!(numbers("fault_29_line_0_survivors"), [29]);
    assert_eq!(numbers("fn f05_a_refusal()"), [5]);
    assert_eq!(numbers("two faults, and a default 3"), Vec::<u32>::new());
    assert_eq!(numbers("a fault of 3 nodes, fn format"), Vec::<u32>::new());
}

// Events, alarms and metrics.

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

/// Resources of a type in all templates: template, logical id, properties.
fn resources<'a>(templates: &'a [(String, Value)], kind: &str) -> Vec<(&'a str, &'a Value)> {
    let all = templates.iter().flat_map(|(_, template)| template["Resources"].as_object().unwrap());
    all.filter(|(_, resource)| resource["Type"] == *kind)
        .map(|(name, resource)| (name.as_str(), &resource["Properties"]))
        .collect()
}

/// A name that has the stack's in it, without that: `${AWS::StackName}-no-master`, also as `Fn::Sub`, or of a nested stack's parameter.
fn without_stack(name: &Value) -> String {
    let text = name.as_str().or_else(|| name["Fn::Sub"].as_str()).unwrap_or_default();
    let text = text.replace("${AWS::StackName}", "").replace("${Stack}", "");
    text.trim_matches('-').to_owned()
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

/// Words with dashes that belong to tools or to AWS, or stand for any of their kind.
const NOT_OURS: [&str; 2] = ["aws-sam-cli-managed-default", "core-1"];

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

// Commands, parameters and links.

/// `make` targets and commands of the local cloud that are named and do not exist.
fn unknown_commands(pages: &[(String, String)], makefile: &str, commands: &BTreeSet<String>) -> Vec<String> {
    let is_target = |name: &str| makefile.lines().any(|line| line.starts_with(&format!("{name}:")));
    let mut complaints = Vec::new();
    for (page, text) in pages {
        // In a block the bare word may stand in a drawing.
        let blocks = code(text).filter(|line| !line.trim_start().starts_with("local"));
        for line in prose(text).flat_map(spans).chain(blocks) {
            let line = line.split('#').next().unwrap_or_default();
            for command in line.split("&&").map(str::trim) {
                let mut words = command.split_whitespace();
                match words.next() {
                    Some("make") => {
                        let targets =
                            words.take_while(|word| *word != "...").filter(|word| !word.contains('='));
                        complaints.extend(
                            targets
                                .filter(|target| !target.starts_with('-') && !is_target(target))
                                .map(|target| format!("{page}: there is no `make {target}`")),
                        );
                    }
                    Some("local" | "target/debug/local") => {
                        // Alone it is the folder, or the crate.
                        let Some(name) = words.next() else { continue };
                        if !commands.contains(name) {
                            complaints.push(format!("{page}: the local cloud has no command {name}"));
                        }
                    }
                    _ => {}
                }
            }
        }
    }
    complaints
}

/// The variants of the local cloud's commands, as they are typed.
fn commands(cli: &str) -> BTreeSet<String> {
    let variants = cli.split("pub enum Command {").nth(1).and_then(|rest| rest.split("\n}").next());
    let lines = variants.unwrap_or_default().lines().filter_map(|line| line.strip_prefix("    "));
    let names = lines.filter(|line| line.starts_with(|first: char| first.is_ascii_uppercase()));
    names.map(|name| kebab(name.split(|one| !is_of_name(one)).next().unwrap_or_default())).collect()
}

fn kebab(name: &str) -> String {
    let mut text = String::new();
    for one in name.chars() {
        if one.is_ascii_uppercase() && !text.is_empty() {
            text.push('-');
        }
        text.push(one.to_ascii_lowercase());
    }
    text
}

#[test]
fn pages_name_only_commands_that_exist() {
    let mut pages = pages();
    pages.push(("CHANGELOG.md".to_owned(), text("CHANGELOG.md")));
    let commands = commands(&text("local/src/cli.rs"));
    assert!(commands.contains("kill-agent") && commands.contains("status"), "{commands:?}");
    none(&unknown_commands(&pages, &text("Makefile"), &commands));
}

#[test]
fn a_command_of_yesterday_is_complained_of() {
    let page = "`make test` and `make old DIALECT=HA`, `local status`, `local dance core-1`, `local`\n\
        ```sh\nmake setup older && sam build   # make oldest\n```\n";
    let makefile = "test: setup\nsetup:\n\t@true\n";
    let commands =
        commands("pub enum Command {\n    /// Shows\n    Status,\n    KillAgent(Slot),\n}\nOther,\n");
    assert_eq!(commands.iter().collect::<Vec<_>>(), ["kill-agent", "status"]);
    assert_eq!(
        unknown_commands(&[("page".to_owned(), page.to_owned())], makefile, &commands),
        [
            "page: there is no `make old`",
            "page: the local cloud has no command dance",
            "page: there is no `make older`"
        ]
    );
}

/// Words such as `StopTimeoutSeconds` that neither a template nor a program has. `Some` of what ends as a parameter does must be one.
fn unknown_words(pages: &[(String, String)], parameters: &BTreeSet<String>, sources: &str) -> Vec<String> {
    let mut complaints = Vec::new();
    for (page, text) in pages {
        for span in prose(text).flat_map(spans) {
            for word in span.split(|character: char| !is_of_name(character)) {
                let capitals = word.chars().filter(char::is_ascii_uppercase).count();
                let small = word.chars().any(|one| one.is_ascii_lowercase());
                if capitals < 2 || !small || !word.starts_with(|first: char| first.is_ascii_uppercase()) {
                    continue;
                }
                let is_time = ["Seconds", "Ms", "MiB", "Days"].iter().any(|ending| word.ends_with(ending));
                if is_time && !parameters.contains(word) && !NOT_PARAMETERS.contains(&word) {
                    complaints.push(format!("{page}: the template has no parameter {word}"));
                } else if !is_time && !has_word(sources, word) && !OF_AWS.contains(&word) {
                    complaints.push(format!("{page}: neither a template nor a program has {word}"));
                }
            }
        }
    }
    complaints
}

/// What ends as a parameter does, and is a property of AWS's.
const NOT_PARAMETERS: [&str; 0] = [];
/// Names of AWS that no file here has.
const OF_AWS: [&str; 1] = ["PortAllocationErrorCount"];

fn parameters() -> BTreeSet<String> {
    let template = templates::read(&text("template.yml")).unwrap();
    template["Parameters"].as_object().unwrap().keys().cloned().collect()
}

#[test]
fn pages_name_only_parameters_and_resources_that_exist() {
    let sources = files(&["cluster"], ".yml").into_iter().chain(files(&CODE, ".rs"));
    let sources: String = sources
        .filter(|(name, _)| name != "tests/tests/docs.rs")
        .map(|(_, text)| text)
        .chain([text("template.yml"), text("samconfig.toml")])
        .collect();
    none(&unknown_words(&pages(), &parameters(), &sources));
}

/// The first column of the tables of parameters.
fn rows(page: &str) -> Vec<String> {
    let rows = page.lines().filter_map(|line| line.strip_prefix("| `")?.split(" |").next());
    rows.flat_map(|cell| spans(&format!("`{cell}")).map(str::to_owned).collect::<Vec<_>>()).collect()
}

#[test]
fn the_tables_of_parameters_have_the_templates_and_their_defaults() {
    let (page, template) = (text("docs/parameters.md"), templates::read(&text("template.yml")).unwrap());
    let parameters = parameters();
    let rows = rows(&page);
    let unknown: Vec<_> = rows.iter().filter(|row| !parameters.contains(*row)).collect();
    assert!(unknown.is_empty(), "no parameters: {unknown:?}");
    let missing: Vec<_> = parameters.iter().filter(|name| !rows.contains(name)).collect();
    assert!(missing.is_empty(), "without a row: {missing:?}");
    none(&wrong_defaults(&page, &template));
}

/// Rows of the first table whose second column is not what the template has.
fn wrong_defaults(page: &str, template: &Value) -> Vec<String> {
    let table = page.split("\n## ").next().unwrap_or_default();
    let mut complaints = Vec::new();
    for line in table.lines().filter(|line| line.starts_with("| `")) {
        let mut cells = line.split('|').skip(1);
        let names: Vec<&str> = cells.next().map(spans).into_iter().flatten().collect();
        let said = cells.next().unwrap_or_default().trim().replace('`', "");
        let default = |name: &&str| {
            let default = &template["Parameters"][*name]["Default"];
            default.as_str().map_or_else(|| default.to_string(), str::to_owned)
        };
        let defaults: Vec<String> = names.iter().map(default).collect();
        let expected = match defaults.join(", ").as_str() {
            // Without a default, or with an empty one.
            text if text.split(", ").all(|one| one == "null") => String::new(),
            text if text.split(", ").all(str::is_empty) => "(none)".to_owned(),
            text => text.to_owned(),
        };
        if said != expected {
            complaints
                .push(format!("{}: the page says {said:?}, the template {expected:?}", names.join(", ")));
        }
    }
    complaints
}

#[test]
fn a_parameter_of_yesterday_is_complained_of() {
    let page = "`StopTimeoutSeconds`, `RoundMs`, `Core1Ready`, `Core9Ready`, `HA`, `OldSeconds=3`\n```sh\nGoneMs=1\n```\n";
    let parameters = BTreeSet::from(["StopTimeoutSeconds".to_owned()]);
    assert_eq!(
        unknown_words(&[("page".to_owned(), page.to_owned())], &parameters, "Core1Ready: RoundMs"),
        [
            "page: the template has no parameter RoundMs",
            "page: neither a template nor a program has Core9Ready",
            "page: the template has no parameter OldSeconds"
        ]
    );
    let page = "| Parameter | Default |\n|---|---|\n| `A`, `B` | 1, x | why `C` |\n| `D` | | why |\n| `E` | (none) | why |\n\
        | `F` | 3 | why |\n\n## More\n\n| `F` | 5 | why |\n";
    assert_eq!(rows(page), ["A", "B", "D", "E", "F", "F"]);
    let template = serde_json::json!({"Parameters": {"A": {"Default": 1}, "B": {"Default": "x"}, "D": {}, "E": {"Default": ""},
        "F": {"Default": "4"}}});
    assert_eq!(wrong_defaults(page, &template), ["F: the page says \"3\", the template \"4\""]);
}

/// Links to files that do not exist.
fn dead_links(page: &str, text: &str, exists: impl Fn(&Path) -> bool) -> Vec<String> {
    let folder = Path::new(page).parent().unwrap_or(Path::new(""));
    let targets =
        prose(text).flat_map(|line| line.split("](").skip(1).filter_map(|rest| rest.split(')').next()));
    let files = targets
        .filter(|target| !target.contains("://"))
        .map(|target| target.split('#').next().unwrap_or(target));
    files
        .filter(|file| !file.is_empty() && !exists(&folder.join(file)))
        .map(|file| format!("{page}: {file} does not exist"))
        .collect()
}

#[test]
fn every_link_to_a_file_leads_somewhere() {
    let mut pages = pages();
    pages.push(("CHANGELOG.md".to_owned(), text("CHANGELOG.md")));
    let dead: Vec<String> = pages
        .iter()
        .flat_map(|(page, text)| dead_links(page, text, |file| root().join(file).exists()))
        .collect();
    none(&dead);
}

#[test]
fn a_dead_link_is_complained_of() {
    let text = "[a](users.md), [b](../README.md#x), [c](https://example.com), [d](#here), [e](gone.md)\n```\n[f](x.md)\n```\n";
    let exists = |file: &Path| ["docs/users.md", "docs/../README.md"].contains(&file.to_str().unwrap());
    assert_eq!(dead_links("docs/page.md", text, exists), ["docs/page.md: gone.md does not exist"]);
}

// docs/aws.md.

/// What every program calls, by the roles of the templates: the services of the allowed actions, in the names of endpoints.
fn called(role: &str, templates: &[(String, Value)]) -> BTreeSet<String> {
    fn actions(policy: &Value, into: &mut BTreeSet<String>) {
        for statement in policy["Statement"].as_array().into_iter().flatten() {
            if statement["Effect"] == "Allow" {
                let one = statement["Action"].as_str().into_iter();
                let many = statement["Action"].as_array().into_iter().flatten().filter_map(Value::as_str);
                into.extend(
                    one.chain(many)
                        .filter_map(|action| action.split_once(':'))
                        .map(|(service, _)| service.to_owned()),
                );
            }
        }
    }
    let mut services = BTreeSet::new();
    for (name, properties) in resources(templates, "AWS::IAM::Role") {
        if name != role {
            continue;
        }
        for policy in properties["Policies"].as_array().into_iter().flatten() {
            actions(&policy["PolicyDocument"], &mut services);
        }
        let given = properties["ManagedPolicyArns"].to_string();
        for (shared, policy) in resources(templates, "AWS::IAM::ManagedPolicy") {
            if given.contains(shared) {
                actions(&policy["PolicyDocument"], &mut services);
            }
        }
    }
    // Lambda logs by itself and makes the interfaces of its functions; S3 has a gateway.
    services.retain(|service| !["logs", "ec2", "s3"].contains(&service.as_str()));
    services
}

/// The second column of the row that begins so, as a set.
fn endpoints(page: &str, who: &str) -> BTreeSet<String> {
    let row = page.lines().find(|line| line.starts_with(&format!("| {who} |")));
    let cell = row.and_then(|row| row.split('|').nth(2)).unwrap_or_default();
    cell.split(',').map(|one| one.trim().to_owned()).filter(|one| !one.is_empty()).collect()
}

#[test]
fn the_endpoints_of_every_program_are_those_that_its_role_may_call() {
    let (page, templates) = (text("docs/aws.md"), all_templates());
    for (role, who) in [
        ("MasterElectionRole", "`master-election`"),
        ("UserCreationRole", "`user-creation`"),
        ("SnapshotBootstrapRole", "`snapshot-bootstrap`"),
        ("NodeRole", "nodes"),
    ] {
        let called = called(role, &templates);
        assert!(called.contains("ecs"), "{role}: {called:?}");
        assert_eq!(endpoints(&page, who), called, "{who}");
    }
}

/// A function's name ends at 64 characters.
fn longest_stack_name(templates: &[(String, Value)]) -> usize {
    let functions = resources(templates, "AWS::Serverless::Function");
    let added = functions.iter().map(|(_, function)| without_stack(&function["FunctionName"]).len() + 1);
    64 - added.max().unwrap()
}

#[test]
fn the_longest_name_of_a_stack_is_what_the_functions_leave_of_theirs() {
    let longest = longest_stack_name(&all_templates());
    let said = format!("At most {longest} characters");
    assert!(text("docs/aws.md").contains(&said), "docs/aws.md does not say {said:?}");
}

#[test]
fn what_a_page_about_aws_leaves_out_is_seen() {
    let template = serde_json::json!({"Resources": {
        "R": {"Type": "AWS::IAM::Role", "Properties": {
            "ManagedPolicyArns": [{"Ref": "SharedPolicyArn"}],
            "Policies": [{"PolicyDocument": {"Statement": [
                {"Effect": "Allow", "Action": ["ssm:GetParameter", "s3:GetObject"]},
                {"Effect": "Allow", "Action": "events:PutEvents"},
                {"Effect": "Deny", "Action": "sqs:SendMessage"}]}}]}},
        "Shared": {"Type": "AWS::IAM::ManagedPolicy", "Properties": {"PolicyDocument": {"Statement": [
            {"Effect": "Allow", "Action": "ecs:ListTasks"}]}}},
        "Other": {"Type": "AWS::IAM::ManagedPolicy", "Properties": {"PolicyDocument": {"Statement": [
            {"Effect": "Allow", "Action": "kms:Decrypt"}]}}},
        "F": {"Type": "AWS::Serverless::Function", "Properties": {"FunctionName": {"Fn::Sub": "${AWS::StackName}-four"}}},
        "G": {"Type": "AWS::Serverless::Function", "Properties": {"FunctionName": {"Fn::Sub": "${AWS::StackName}-sixsix"}}},
    }});
    let templates = [("template.yml".to_owned(), template)];
    assert_eq!(called("R", &templates).into_iter().collect::<Vec<_>>(), ["ecs", "events", "ssm"]);
    assert_eq!(
        endpoints("| nodes | ecs, events | |\n", "nodes").into_iter().collect::<Vec<_>>(),
        ["ecs", "events"]
    );
    assert!(endpoints("| nodes | ecs | |\n", "hosts").is_empty());
    assert_eq!(longest_stack_name(&templates), 64 - "-sixsix".len());
}
