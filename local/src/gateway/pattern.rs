//! EventBridge's event patterns, as far as the templates of this project use them. Pure.

use serde_json::Value;

/// A part of a pattern that is not followed here.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the pattern has {0}, which the local cloud does not follow: only exact values, prefix and exists are"
)]
pub struct NotFollowed(String);

/// Whether `event` matches `pattern`: every field that the pattern names is there with one of the values listed for it,
/// however deep; fields that it does not name do not matter.
///
/// # Errors
/// When the pattern asks for something that is not followed here, so that no rule is silently deaf.
pub fn matches(pattern: &Value, event: &Value) -> Result<bool, NotFollowed> {
    let fields = pattern.as_object().ok_or_else(|| NotFollowed(pattern.to_string()))?;
    // All fields are looked at, so that what is not followed is found whatever the event says.
    let mut all = true;
    for (name, inner) in fields {
        let value = event.get(name);
        all &= match inner {
            Value::Object(_) => matches(inner, value.unwrap_or(&Value::Null))?,
            Value::Array(listed) => {
                let mut any = false;
                for one in listed {
                    any |= value_matches(one, value)?;
                }
                any
            }
            other => return Err(NotFollowed(format!("{name:?}: {other}"))),
        };
    }
    Ok(all)
}

/// One listed value, or one content filter. Of a list in the event any element may be the one that matches.
fn value_matches(listed: &Value, value: Option<&Value>) -> Result<bool, NotFollowed> {
    let any = |test: &dyn Fn(&Value) -> bool| match value {
        Some(Value::Array(elements)) => elements.iter().any(test),
        Some(single) => test(single),
        None => false,
    };
    let Value::Object(filter) = listed else { return Ok(any(&|value| value == listed)) };
    match (filter.len(), filter.iter().next()) {
        (1, Some((name, Value::String(start)))) if name == "prefix" => {
            Ok(any(&|value| value.as_str().is_some_and(|text| text.starts_with(start.as_str()))))
        }
        (1, Some((name, Value::Bool(there)))) if name == "exists" => Ok(value.is_some() == *there),
        _ => Err(NotFollowed(listed.to_string())),
    }
}
