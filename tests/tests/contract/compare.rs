//! What a program is given against what it asks for: data in, complaints out.

use std::collections::{BTreeMap, BTreeSet};

/// One program in one deployment.
pub struct Case {
    /// The parameters of the deployment, for the complaint.
    pub of: String,
    /// The variables that the template sets.
    pub set: BTreeMap<String, String>,
    /// The names that the program asked for; one that ends with `*` is a prefix.
    pub asked: BTreeSet<String>,
    /// Why the program does not start with them.
    pub refused: Option<String>,
}

/// A variable that one side alone knows, and why.
pub type Exception = (&'static str, &'static str);

/// Everything about `program` that does not fit, one sentence each.
pub fn compare(program: &str, cases: &[Case], exceptions: &[Exception]) -> Vec<String> {
    let mut refused: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for case in cases {
        let Some(why) = &case.refused else { continue };
        refused.entry(why).or_default().push(&case.of);
    }
    if !refused.is_empty() {
        let says = refused.iter().map(|(why, of)| match of.len() {
            1 => format!("{program} does not start with {}: {why}", of[0]),
            all => format!("{program} does not start with {} and {} more: {why}", of[0], all - 1),
        });
        // It stopped at the first variable that it refused: what it would have asked for after that is not known.
        return says.collect();
    }
    let mut complaints = Vec::new();
    // With some parameters a variable is set, or asked for, that is not with others.
    let set: BTreeSet<&str> = cases.iter().flat_map(|case| case.set.keys()).map(String::as_str).collect();
    let asked: BTreeSet<&str> = cases.iter().flat_map(|case| &case.asked).map(String::as_str).collect();
    let is_read = |name: &str| asked.iter().any(|asked| reads(asked, name));
    let is_exempt = |name: &str| exceptions.iter().any(|(exempt, _)| *exempt == name);
    let unread = set.iter().filter(|name| !is_read(name) && !is_exempt(name));
    complaints.extend(unread.map(|name| format!("{name} is set for {program}, which does not read it")));
    let unset = asked.iter().filter(|name| !name.ends_with('*') && !set.contains(*name) && !is_exempt(name));
    complaints.extend(unset.map(|name| format!("{name} is read by {program}, and never set")));
    let both = exceptions.iter().filter(|(name, _)| set.contains(name) == is_read(name));
    complaints.extend(both.map(|(name, _)| format!("{name} is no exception of {program} (any more)")));
    complaints
}

/// Whether asking for `asked` reads the variable `name`. The settings of Neo4j are read by their prefix; they are in small letters,
/// unlike the node program's own variables with that prefix.
fn reads(asked: &str, name: &str) -> bool {
    match asked.strip_suffix('*') {
        Some(prefix) => name
            .strip_prefix(prefix)
            .is_some_and(|rest| rest.starts_with(|first: char| first.is_ascii_lowercase())),
        None => asked == name,
    }
}
