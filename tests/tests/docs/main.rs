//! What the pages say is so: faults have tests, runbooks name what exists, commands can be run.
//!
//! Each check is a function of text that returns complaints, so that a test can see it complain.

mod alarms;
mod aws;
mod commands;
mod faults;
mod figures;
mod links;
mod parameters;

use std::{
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

/// This test, which speaks of what is not there.
const OWN: &str = "tests/tests/docs/";
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
