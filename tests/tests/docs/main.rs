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

use end_to_end::repository::{files, of_type, root, template, templates as all_templates, text};
use serde_json::Value;

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

/// `(logical id, properties)` of every resource of a type in all templates.
fn resources<'a>(templates: &'a [(String, Value)], kind: &str) -> Vec<(&'a str, &'a Value)> {
    templates.iter().flat_map(|(_, template)| of_type(template, kind)).collect()
}

/// A name that has the stack's in it, without that: `${AWS::StackName}-no-master`, also as `Fn::Sub`, or of a nested stack's parameter.
fn without_stack(name: &Value) -> String {
    let text = name.as_str().or_else(|| name["Fn::Sub"].as_str()).unwrap_or_default();
    let text = text.replace("${AWS::StackName}", "").replace("${Stack}", "");
    text.trim_matches('-').to_owned()
}
