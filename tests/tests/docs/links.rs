//! Links of pages to files.

use std::path::Path;

use super::{none, pages, prose, root, spans, text};

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

/// What ends so between backticks, and has a slash, is a file of this repository.
const ENDINGS: [&str; 6] = [".rs", ".yml", ".md", ".py", ".toml", ".txt"];

/// Files that are named and do not exist, neither below the root nor beside the page.
fn dead_paths(page: &str, text: &str, exists: impl Fn(&Path) -> bool) -> Vec<String> {
    let folder = Path::new(page).parent().unwrap_or(Path::new(""));
    let is_path = |span: &&str| {
        span.contains('/') && !span.contains([' ', '<']) && ENDINGS.iter().any(|end| span.ends_with(end))
    };
    let there = |path: &str| exists(Path::new(path)) || exists(&folder.join(path));
    let dead = prose(text).flat_map(spans).filter(is_path).filter(|path| !there(path));
    dead.map(|path| format!("{page}: {path} does not exist")).collect()
}

#[test]
fn every_file_that_is_named_exists() {
    let pages = pages();
    let dead = |(page, text): &(String, String)| dead_paths(page, text, |file| root().join(file).exists());
    none(&pages.iter().flat_map(dead).collect::<Vec<_>>());
}

#[test]
fn a_dead_link_is_complained_of() {
    let text = "[a](users.md), [b](../README.md#x), [c](https://example.com), [d](#here), [e](gone.md)\n```\n[f](x.md)\n```\n";
    let exists = |file: &Path| ["docs/users.md", "docs/../README.md"].contains(&file.to_str().unwrap());
    assert_eq!(dead_links("docs/page.md", text, exists), ["docs/page.md: gone.md does not exist"]);

    let text = "`src/a.rs`, `local/b.py`, `old/c.yml`, `.local/run/hosts`, `a/b c.rs`, `/tmp/x.txt`\n";
    let exists = |file: &Path| ["local/src/a.rs", "local/b.py"].contains(&file.to_str().unwrap());
    assert_eq!(
        dead_paths("local/README.md", text, exists),
        ["local/README.md: old/c.yml does not exist", "local/README.md: /tmp/x.txt does not exist"]
    );
}
