//! The parameters of a deployment: those of `samconfig.toml`, and others in their place.

use serde_json::Value;

/// What a table of the file begins with.
const TABLE: &str = "[local.deploy.parameters]";
const LIST: &str = "parameter_overrides";

/// The parameters of the local environment, those in `overrides` with another value. On the command line they replace those of the
/// file as a whole, so both are put together here.
pub fn merged(config: &str, overrides: &[(&str, &str)]) -> Vec<(String, String)> {
    let table = config.split(TABLE).nth(1).unwrap_or_default();
    let table = table.split("\n[").next().unwrap_or_default();
    let list = table.split(LIST).nth(1).unwrap_or_default();
    let mut pairs: Vec<(String, String)> = strings(list)
        .iter()
        .filter_map(|text| text.split_once('='))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    pairs.retain(|(name, _)| !overrides.iter().any(|(other, _)| other == name));
    pairs.extend(overrides.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
    pairs
}

/// The parameters as a file that sam reads: on its command line a value with a quotation mark or a line break is not always
/// one. YAML takes every JSON.
pub fn file(parameters: &[(String, String)]) -> String {
    let pairs = parameters.iter().map(|(name, value)| (name.clone(), Value::from(value.as_str())));
    Value::Object(pairs.collect()).to_string()
}

/// The strings of the list that follows; TOML escapes as JSON does in those with double quotes, and nothing in the others.
fn strings(list: &str) -> Vec<String> {
    let (mut found, mut rest) = (Vec::new(), list);
    while let Some(at) = rest.find(['"', '\'', '#', ']']) {
        let (mark, tail) = (rest.as_bytes()[at], &rest[at + 1..]);
        let end = match mark {
            b'"' => end_of(tail),
            b'\'' => tail.find('\''),
            b'#' => tail.find('\n'),
            _ => None,
        };
        let Some(end) = end else { break };
        match mark {
            b'"' => found.extend(serde_json::from_str(&format!("\"{}\"", &tail[..end])).ok()),
            b'\'' => found.push(tail[..end].to_owned()),
            _ => {}
        }
        rest = &tail[end + 1..];
    }
    found
}

/// Where the next quotation mark is that has no backslash before it.
fn end_of(text: &str) -> Option<usize> {
    let mut escaped = false;
    text.bytes().position(|byte| {
        let ends = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        ends
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: &str = r#"
[default.deploy.parameters]
parameter_overrides = ["Size=9"]

[local.deploy.parameters]
stack_name = "neo4j"
parameter_overrides = [
    "Size=1", 'Path=C:\new',  # "Size=2"
    "Settings=a=1\n# b \"c\"\n",
]

[other]
name = "Size=3"
"#;

    #[test]
    fn values_keep_spaces_quotation_marks_and_line_breaks() {
        let parameters = merged(CONFIG, &[("Size", "5"), ("New", "a b\nc")]);
        let expected =
            [("Path", r"C:\new"), ("Settings", "a=1\n# b \"c\"\n"), ("Size", "5"), ("New", "a b\nc")];
        let parameters: Vec<_> = parameters.iter().map(|(name, value)| (&name[..], &value[..])).collect();
        assert_eq!(parameters, expected);
        assert_eq!(merged("", &[]), []);
    }

    #[test]
    fn the_file_is_one_object() {
        assert_eq!(file(&merged("", &[("A", "1\n\"2\"")])), r#"{"A":"1\n\"2\""}"#);
    }
}
