//! Links of pages to files.

use std::path::Path;

use super::{none, pages, prose, root, text};

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
