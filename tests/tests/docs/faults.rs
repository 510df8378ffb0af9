//! `docs/faults.md`: every fault has a number and the tests that show it, and code speaks of no other.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use super::{CODE, OWN, files, has_word, is_of_name, none, root, spans, text};

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
            if tests.is_empty() && Path::new(name).extension().is_some_and(|ending| ending == "rs") {
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
    code.retain(|(name, _)| !name.starts_with(OWN));
    code
}

#[test]
fn every_fault_has_a_number_and_a_test_or_says_what_it_comes_with() {
    let (faults, complaints) = faults(&text("docs/faults.md"));
    none(&complaints);
    assert_eq!(faults.keys().copied().collect::<Vec<_>>(), (1..=57).collect::<Vec<_>>());
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
