//! Resource types that the emulator lacks are left out of what is deployed locally: from a fixed list, said aloud.

use serde_json::{Map, Value, json};
use serde_yaml_ng::Value as Yaml;

/// The fixed list, one type a line, `#` before the reason.
const LIST: &str = include_str!("../not-in-the-emulator.txt");

/// A template as the emulator gets it.
#[derive(Debug)]
pub struct Local {
    /// The template in JSON.
    pub template: Value,
    /// `Logical (Type)` of what was left out.
    pub dropped: Vec<String>,
}

/// Why a template cannot be deployed locally.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Not YAML or JSON.
    #[error("the template is not readable: {0}")]
    Unreadable(#[from] serde_yaml_ng::Error),
    /// Something that stays needs something that was left out.
    #[error("{used_by} refers to {dropped}, which the emulator lacks: it cannot be left out")]
    StillNeeded {
        /// The logical id that was left out.
        dropped: String,
        /// Where it is referred to: a resource or an output.
        used_by: String,
    },
}

/// The types of the fixed list.
pub fn not_in_the_emulator() -> impl Iterator<Item = &'static str> {
    LIST.lines().map(|line| line.split('#').next().unwrap_or_default().trim()).filter(|line| !line.is_empty())
}

/// A template in JSON, its short tags (`!Ref`) in the long form.
///
/// # Errors
/// When it is neither YAML nor JSON.
pub fn read(text: &str) -> Result<Value, Error> {
    Ok(json(serde_yaml_ng::from_str(text)?))
}

/// Leaves the listed types out of `text` (YAML with CloudFormation's tags, or JSON).
///
/// # Errors
/// When it cannot be read, or when a resource that stays refers to one that would be left out.
pub fn without_listed_types(text: &str) -> Result<Local, Error> {
    let mut template = read(text)?;
    let mut dropped = Vec::new();
    let mut gone = Vec::new();
    if let Some(resources) = template.get_mut("Resources").and_then(Value::as_object_mut) {
        resources.retain(|logical, resource| {
            let kind = resource["Type"].as_str().unwrap_or_default();
            let stays = !not_in_the_emulator().any(|listed| listed == kind);
            if !stays {
                dropped.push(format!("{logical} ({kind})"));
                gone.push(logical.clone());
            }
            stays
        });
        for resource in resources.values_mut() {
            forget_dependencies(resource, &gone);
        }
    }
    for section in ["Resources", "Outputs"] {
        for (name, part) in template.get(section).and_then(Value::as_object).into_iter().flatten() {
            if let Some(needed) = gone.iter().find(|logical| refers_to(part, logical)) {
                return Err(Error::StillNeeded {
                    dropped: needed.clone(),
                    used_by: format!("{section}.{name}"),
                });
            }
        }
    }
    Ok(Local { template, dropped })
}

/// `(logical id, TemplateURL)` of every nested stack.
pub fn nested(template: &Value) -> Vec<(String, String)> {
    let resources = template.get("Resources").and_then(Value::as_object).into_iter().flatten();
    resources
        .filter(|(_, resource)| resource["Type"] == "AWS::CloudFormation::Stack")
        .filter_map(|(logical, resource)| {
            Some((logical.clone(), resource["Properties"]["TemplateURL"].as_str()?.to_owned()))
        })
        .collect()
}

/// `bucket/key` of a template's URL, path style or virtual-hosted.
pub fn bucket_and_key(url: &str) -> Option<String> {
    let (_, rest) = url.split_once("://")?;
    let (host, path) = rest.split('?').next()?.split_once('/')?;
    match host.split_once(".s3") {
        Some((bucket, _)) if !bucket.is_empty() => Some(format!("{bucket}/{path}")),
        _ => Some(path.to_owned()),
    }
}

fn forget_dependencies(resource: &mut Value, gone: &[String]) {
    let is_gone = |name: &Value| name.as_str().is_some_and(|name| gone.iter().any(|logical| logical == name));
    match resource.get_mut("DependsOn") {
        Some(Value::Array(names)) => names.retain(|name| !is_gone(name)),
        Some(name) if is_gone(name) => *name = json!([]),
        _ => {}
    }
}

fn refers_to(part: &Value, logical: &str) -> bool {
    match part {
        Value::Object(map) => map.iter().any(|(key, value)| match (key.as_str(), value) {
            ("Ref", Value::String(name)) => name == logical,
            ("Fn::GetAtt", Value::Array(path)) => path.first().is_some_and(|name| name == logical),
            ("Fn::GetAtt", Value::String(path)) => path.split('.').next() == Some(logical),
            ("Fn::Sub", Value::String(text)) => mentions(text, logical),
            _ => refers_to(value, logical),
        }),
        Value::Array(items) => items.iter().any(|item| match item {
            // `Fn::Sub` with variables: the text is the list's first item.
            Value::String(text) => mentions(text, logical),
            _ => refers_to(item, logical),
        }),
        _ => false,
    }
}

fn mentions(text: &str, logical: &str) -> bool {
    text.contains(&format!("${{{logical}}}")) || text.contains(&format!("${{{logical}."))
}

/// YAML's short tags become the long form: `!Ref X` is `{"Ref": "X"}`.
fn json(yaml: Yaml) -> Value {
    match yaml {
        Yaml::Null => Value::Null,
        Yaml::Bool(value) => value.into(),
        Yaml::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(whole), _) => whole.into(),
            (None, fraction) => fraction.into(),
        },
        Yaml::String(text) => text.into(),
        Yaml::Sequence(items) => items.into_iter().map(json).collect(),
        Yaml::Mapping(map) => {
            let pairs = map.into_iter().map(|(key, value)| (plain(&key), json(value)));
            Value::Object(pairs.collect::<Map<_, _>>())
        }
        Yaml::Tagged(tagged) => {
            let tag = tagged.tag.to_string();
            let tag = tag.trim_start_matches('!');
            let value = match (tag, json(tagged.value)) {
                ("GetAtt", Value::String(path)) => path.splitn(2, '.').map(Value::from).collect(),
                (_, value) => value,
            };
            let name = if matches!(tag, "Ref" | "Condition") { tag.to_owned() } else { format!("Fn::{tag}") };
            Value::Object(Map::from_iter([(name, value)]))
        }
    }
}

fn plain(key: &Yaml) -> String {
    match key {
        Yaml::String(text) => text.clone(),
        other => serde_yaml_ng::to_string(other).unwrap_or_default().trim().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LISTED: &str = "AWS::EC2::SecurityGroupIngress";

    #[test]
    fn a_listed_type_goes_with_what_depends_on_it_and_short_tags_become_long() {
        let text = format!(
            "Resources:\n  Rule: {{Type: '{LISTED}'}}\n  Bucket:\n    Type: AWS::S3::Bucket\n    DependsOn: [Rule, Other]\n    \
             Properties: {{BucketName: !Sub '${{AWS::StackName}}-x', A: !GetAtt Other.Arn, C: !If [Yes, !Ref N, 1]}}\n"
        );
        let local = without_listed_types(&text).unwrap();
        assert_eq!(local.dropped, [format!("Rule ({LISTED})")]);
        let bucket = &local.template["Resources"]["Bucket"];
        assert_eq!(bucket["DependsOn"], json!(["Other"]));
        assert_eq!(bucket["Properties"]["A"], json!({"Fn::GetAtt": ["Other", "Arn"]}));
        assert_eq!(bucket["Properties"]["C"], json!({"Fn::If": ["Yes", {"Ref": "N"}, 1]}));
    }

    #[test]
    fn what_is_still_needed_cannot_be_left_out() {
        for reference in ["!Ref Rule", "!GetAtt Rule.Id", "!Sub 'x-${Rule}'", "!Sub ['${Rule.Id}', {}]"] {
            let text =
                format!("Resources:\n  Rule: {{Type: '{LISTED}'}}\nOutputs:\n  Id: {{Value: {reference}}}\n");
            let error = without_listed_types(&text).unwrap_err().to_string();
            assert!(error.contains("Outputs.Id refers to Rule"), "{reference}: {error}");
        }
    }

    #[test]
    fn an_unlisted_type_stays_so_that_the_emulator_refuses_it() {
        let local = without_listed_types("Resources: {New: {Type: 'AWS::New::Thing'}}").unwrap();
        assert!(local.dropped.is_empty());
        assert_eq!(local.template["Resources"]["New"]["Type"], "AWS::New::Thing");
    }

    #[test]
    fn both_styles_of_url_name_the_same_object() {
        for url in [
            "http://127.0.0.1:4566/bucket/a/b.template",
            "https://bucket.s3.us-east-1.amazonaws.com/a/b.template",
        ] {
            assert_eq!(bucket_and_key(url).as_deref(), Some("bucket/a/b.template"), "{url}");
        }
        assert_eq!(bucket_and_key("./relative.yml"), None);
    }
}
