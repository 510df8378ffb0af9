//! Settings of `neo4j.conf` that users choose: as variables of the task, and as lines of the stack's parameter `Neo4jSettings`.
//! Values may be secrets, so no sentence repeats one.

use std::{collections::BTreeMap, fmt};

use runtime::Environment;

use crate::conf::{NotASetting, is_one_line};

/// The variable that holds the parameter.
const LINES: &str = "NEO4J_SETTINGS";
/// The parameter, which is what users know.
const PARAMETER: &str = "Neo4jSettings";
const PREFIX: &str = "NEO4J_";

/// One setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Override {
    /// As in `neo4j.conf`.
    pub name: String,
    /// As in `neo4j.conf`.
    pub value: String,
    /// Where it was given.
    pub source: Source,
}

/// Where a setting was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// By a variable: `NEO4J_dbms_memory_heap_max__size` is `dbms.memory.heap.max_size`.
    Variable,
    /// In this line of `Neo4jSettings`, from 1.
    Line(usize),
}

impl Override {
    /// Where it was given, in words.
    pub fn given(&self) -> String {
        match self.source {
            Source::Variable => format!("the variable {}", variable(&self.name)),
            Source::Line(line) => format!("line {line} of {PARAMETER}"),
        }
    }
}

impl fmt::Display for Override {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.source {
            // Its name may be what is not one line.
            Source::Variable => write!(out, "{}", variable(&self.name).escape_debug()),
            Source::Line(line) => write!(out, "{}, line {line} of {PARAMETER},", self.name),
        }
    }
}

/// Reads both, sorted by name, each name once and each value one line.
///
/// # Errors
/// The first that is invalid.
pub fn read(environment: &Environment) -> Result<Vec<Override>, NotASetting> {
    let mut all: BTreeMap<String, Override> = BTreeMap::new();
    // As it was given, so that its lines are counted from its first.
    let parameter = environment.raw(LINES).unwrap_or_default();
    for setting in variables(environment).map(Ok).chain(lines(parameter)) {
        let setting = setting?;
        if !is_one_line(&setting.name, &setting.value) {
            return Err(NotASetting::NotOneLine(setting.to_string()));
        }
        if let Some(first) = all.insert(setting.name.clone(), setting.clone()) {
            return Err(NotASetting::Twice { first: first.to_string(), second: setting.to_string() });
        }
    }
    Ok(all.into_values().collect())
}

/// As the official image has it: one underscore is a dot, two are an underscore.
fn variables(environment: &Environment) -> impl Iterator<Item = Override> {
    let all = environment.with_prefix(PREFIX).into_iter();
    all.filter_map(|(name, value)| {
        let name = name.strip_prefix(PREFIX)?;
        // NEO4J_HOME and others in capitals are the image's own variables; settings are in small letters.
        let is_setting = name.starts_with(|first: char| first.is_ascii_lowercase());
        let name = name.replace("__", "\0").replace('_', ".").replace('\0', "_");
        is_setting.then(|| Override { name, value: value.to_owned(), source: Source::Variable })
    })
}

/// The variable that sets `name`.
fn variable(name: &str) -> String {
    format!("{PREFIX}{}", name.replace('_', "__").replace('.', "_"))
}

/// One `name=value` a line; empty lines and comments are skipped.
fn lines(text: &str) -> impl Iterator<Item = Result<Override, NotASetting>> {
    let is_name =
        |name: &str| name.starts_with(|first: char| first.is_ascii_lowercase()) && is_one_line(name, "");
    (1..).zip(text.split('\n')).filter_map(move |(line, text)| {
        let text = text.trim();
        if text.is_empty() || text.starts_with('#') {
            return None;
        }
        let Some((name, value)) = text.split_once('=') else { return Some(Err(NotASetting::NoEquals(line))) };
        let name = name.trim_end();
        if !is_name(name) {
            return Some(Err(NotASetting::NotAName(line)));
        }
        let (name, value) = (name.to_owned(), value.trim_start().to_owned());
        Some(Ok(Override { name, value, source: Source::Line(line) }))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&'static str, &'static str)]) -> Result<Vec<(String, String)>, String> {
        let environment: Environment = variables.iter().copied().collect();
        let read = super::read(&environment).map_err(|error| error.to_string())?;
        Ok(read.into_iter().map(|setting| (setting.name, setting.value)).collect())
    }

    fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn variables_are_named_as_the_official_image_names_them() {
        let read =
            read(&[("NEO4J_dbms_memory_heap_max__size", "1g"), ("NEO4J_HOME", "/opt"), ("NEO4J_AUTH", "x")]);
        assert_eq!(read.unwrap(), pairs(&[("dbms.memory.heap.max_size", "1g")]));
    }

    #[test]
    fn the_parameter_has_one_setting_a_line_beside_the_variables() {
        let text = "# slow queries\ndbms.logs.query.enabled=true\r\n\n  dbms.logs.query.threshold = 2s \n\
                    dbms.jvm.additional=-Da=b -Dc=\"d e\"\t#1";
        let read = read(&[("NEO4J_SETTINGS", text), ("NEO4J_dbms_memory_heap_max__size", "1g")]).unwrap();
        let expected = [
            ("dbms.jvm.additional", "-Da=b -Dc=\"d e\"\t#1"),
            ("dbms.logs.query.enabled", "true"),
            ("dbms.logs.query.threshold", "2s"),
            ("dbms.memory.heap.max_size", "1g"),
        ];
        assert_eq!(read, pairs(&expected));
        assert_eq!(super::tests::read(&[("NEO4J_SETTINGS", "")]).unwrap(), []);
    }

    #[test]
    fn what_is_invalid_is_named_by_its_line_and_never_by_its_value() {
        let table = [
            ("a.b=1\nevil", "line 2 of Neo4jSettings has no `=`"),
            ("\n#\n=evil", "line 3 of Neo4jSettings does not begin with the name of a setting"),
            ("dbms evil=1", "line 1 of Neo4jSettings does not begin with the name of a setting"),
            ("DBMS_evil=1", "line 1 of Neo4jSettings does not begin with the name of a setting"),
            ("évil=1", "line 1 of Neo4jSettings does not begin with the name of a setting"),
            ("a.b=evil\\", "a.b, line 1 of Neo4jSettings, has a line break or another control character"),
            ("a.b=1\ra.c=evil", "a.b, line 1 of Neo4jSettings, has a line break"),
            ("a.b=ev\u{0}il", "a.b, line 1 of Neo4jSettings, has a line break"),
            ("a.b=evil\na.c=1\na.b=evil", "a.b, line 1 of Neo4jSettings, and a.b, line 3 of Neo4jSettings,"),
        ];
        for (text, sentence) in table {
            let said = read(&[("NEO4J_SETTINGS", text)]).unwrap_err();
            assert!(
                said.starts_with(sentence) && !said.contains("evil") && !said.contains('\n'),
                "{text}: {said}"
            );
        }
        let both = [("NEO4J_a_b", "evil"), ("NEO4J_SETTINGS", "a.b=evil")];
        let said = read(&both).unwrap_err();
        assert!(said.starts_with("NEO4J_a_b and a.b, line 1 of Neo4jSettings,"), "{said}");
        assert!(!said.contains("evil"), "{said}");
    }
}
