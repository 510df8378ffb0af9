//! Settings of `neo4j.conf` that users choose: as variables of the task, as lines of the stack's parameter `Neo4jSettings`, and as a
//! file that they mount.
//! Values may be secrets, so no sentence repeats one.

use std::{
    collections::BTreeMap,
    fmt,
    fs::File,
    io::{self, Read as _},
    path::Path,
};

use runtime::Environment;

use crate::conf::{NotASetting, is_one_line};

/// The variable that holds the parameter.
const LINES: &str = "NEO4J_SETTINGS";
/// The parameter, which is what users know.
const PARAMETER: &str = "Neo4jSettings";
const PREFIX: &str = "NEO4J_";
/// In the directory that users mount.
const FILE: &str = "neo4j.conf";
/// Longer than any that is written by hand.
const LARGEST: u64 = 256 << 10;

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
    /// In this line of the `neo4j.conf` that users mount.
    File(usize),
}

impl Override {
    /// Where it was given, in words.
    pub fn given(&self) -> String {
        match self.source {
            Source::Variable => format!("the variable {}", variable(&self.name)),
            line => given(line),
        }
    }
}

fn given(source: Source) -> String {
    match source {
        Source::Variable => "a variable".to_owned(),
        Source::Line(line) => format!("line {line} of {PARAMETER}"),
        Source::File(line) => format!("line {line} of the mounted {FILE}"),
    }
}

impl fmt::Display for Override {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.source {
            // Its name may be what is not one line.
            Source::Variable => write!(out, "{}", variable(&self.name).escape_debug()),
            Source::Line(_) | Source::File(_) => write!(out, "{}, {},", self.name, self.given()),
        }
    }
}

/// Reads all, sorted by name, each name once and each value one line. `mounted` is the directory that users may mount.
///
/// # Errors
/// The first that is invalid.
pub fn read(environment: &Environment, mounted: &Path) -> Result<Vec<Override>, NotASetting> {
    let mut all: BTreeMap<String, Override> = BTreeMap::new();
    // As it was given, so that its lines are counted from its first.
    let parameter = environment.raw(LINES).unwrap_or_default();
    let file = file(&mounted.join(FILE)).map_err(|error| NotASetting::Unreadable(error.to_string()))?;
    let given = variables(environment).map(Ok).chain(lines(parameter, Source::Line));
    for setting in given.chain(lines(&file, Source::File)) {
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

/// The text of the file; empty without one.
fn file(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    match File::open(path) {
        Ok(open) => open.take(LARGEST + 1).read_to_string(&mut text)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
        Err(error) => return Err(error),
    };
    // Cut, it would lose settings, or half of a value.
    if text.len() as u64 > LARGEST { Err(io::Error::other("it is larger than 256 KiB")) } else { Ok(text) }
}

/// One `name=value` a line; empty lines and comments are skipped.
fn lines(text: &str, source: fn(usize) -> Source) -> impl Iterator<Item = Result<Override, NotASetting>> {
    let is_name =
        |name: &str| name.starts_with(|first: char| first.is_ascii_lowercase()) && is_one_line(name, "");
    (1..).zip(text.split('\n')).filter_map(move |(line, text)| {
        let text = text.trim();
        if text.is_empty() || text.starts_with('#') {
            return None;
        }
        let Some((name, value)) = text.split_once('=') else {
            return Some(Err(NotASetting::NoEquals(given(source(line)))));
        };
        let name = name.trim_end();
        if !is_name(name) {
            return Some(Err(NotASetting::NotAName(given(source(line)))));
        }
        let (name, value) = (name.to_owned(), value.trim_start().to_owned());
        Some(Ok(Override { name, value, source: source(line) }))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&'static str, &'static str)]) -> Result<Vec<(String, String)>, String> {
        let environment: Environment = variables.iter().copied().collect();
        let read = super::read(&environment, Path::new("/nowhere")).map_err(|error| error.to_string())?;
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
    fn the_mounted_file_is_read_as_the_parameter_is() {
        let mounted = std::env::temp_dir().join(format!("mounted-{}", std::process::id()));
        std::fs::create_dir_all(&mounted).unwrap();
        let read = |text: &str, parameter: &'static str| {
            std::fs::write(mounted.join(FILE), text).unwrap();
            let environment: Environment = [(LINES, parameter)].into_iter().collect();
            super::read(&environment, &mounted).map_err(|error| error.to_string())
        };
        let settings = read("# of the image\na.b=1\n", "").unwrap();
        assert_eq!(settings[0].given(), "line 2 of the mounted neo4j.conf");
        assert_eq!(
            read("a.b=1\nsecret", "").unwrap_err(),
            "line 2 of the mounted neo4j.conf has no `=`: a line must be `name=value`, empty, or a comment that begins with #"
        );
        let twice = read("a.b=1", "a.b=2").unwrap_err();
        assert!(twice.starts_with("a.b, line 1 of Neo4jSettings, and a.b, line 1 of the mounted"), "{twice}");
        std::fs::remove_dir_all(mounted).unwrap();
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
