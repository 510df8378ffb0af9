//! The repository's files, as the tests about them read them.

use std::{
    fs,
    path::{Path, PathBuf},
};

use local::templates;
use serde_json::Value;

/// The folder that has everything.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace").to_owned()
}

/// The text of a file, named from the root.
pub fn text(name: &str) -> String {
    read(&root().join(name))
}

/// The text of a file.
pub fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// A template as data, with its short forms written out.
pub fn template(name: &str) -> Value {
    templates::read(&text(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// `(name from the root, text)` of every file below these folders whose name ends so, in order.
pub fn files(folders: &[&str], ending: &str) -> Vec<(String, String)> {
    fn walk(folder: &Path, ending: &str, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
            let path = entry.expect("an entry").path();
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
    let named = |path: PathBuf| {
        let name = path.strip_prefix(&root).expect("below the root").to_string_lossy().into_owned();
        (name, read(&path))
    };
    found.into_iter().map(named).collect()
}

/// The template and all that are nested in it, by name.
pub fn templates() -> Vec<(String, Value)> {
    let mut names: Vec<String> = files(&["cluster"], ".yml").into_iter().map(|(name, _)| name).collect();
    names.push("template.yml".to_owned());
    names.into_iter().map(|name| (name.clone(), template(&name))).collect()
}

/// `(logical id, properties)` of every resource of a type.
pub fn of_type<'a>(template: &'a Value, kind: &str) -> Vec<(&'a str, &'a Value)> {
    let resources = template["Resources"].as_object().expect("a template has resources").iter();
    resources.filter(|(_, r)| r["Type"] == *kind).map(|(name, r)| (name.as_str(), &r["Properties"])).collect()
}
