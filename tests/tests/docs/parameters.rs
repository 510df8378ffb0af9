//! Parameters: their tables, their defaults, and every other name of the templates.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{CODE, OWN, files, has_word, is_of_name, none, pages, prose, spans, template, text};

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
const OF_AWS: [&str; 2] = ["CannotPullContainerError", "PortAllocationErrorCount"];

fn parameters() -> BTreeSet<String> {
    let template = template("template.yml");
    template["Parameters"].as_object().unwrap().keys().cloned().collect()
}

#[test]
fn pages_name_only_parameters_and_resources_that_exist() {
    let sources = files(&["cluster"], ".yml").into_iter().chain(files(&CODE, ".rs"));
    let sources: String = sources
        .filter(|(name, _)| !name.starts_with(OWN))
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
    let (page, template) = (text("docs/parameters.md"), template("template.yml"));
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
