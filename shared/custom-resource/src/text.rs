//! Numbers and booleans that arrive as strings.
//!
//! CloudFormation sends every scalar as a string. Plain fields (`u32`, `bool`, `Option<u32>`) need nothing:
//! the properties' own deserializer reads `"3"` as a number where a number is expected. Two cases need a
//! `#[serde(deserialize_with = "custom_resource::text::number")]`: below `#[serde(flatten)]` and in untagged
//! enums serde asks what is there instead of saying what it expects; and a template's parameter cannot be
//! absent, so that nothing arrives as `""`.

use std::{fmt, marker::PhantomData, str::FromStr};

use serde::{
    Deserializer,
    de::{Error, Visitor},
};

/// A number, or a string that holds one.
pub fn number<'de, D: Deserializer<'de>, T: FromStr>(deserializer: D) -> Result<T, D::Error> {
    deserializer
        .deserialize_any(Scalar { wanted: "a number that fits", optional: false, of: PhantomData })?
        .ok_or_else(|| D::Error::custom("a number is missing"))
}

/// A number, a string that holds one, or nothing: an empty string is nothing, because a template's parameters
/// cannot be absent. Put `#[serde(default)]` beside it.
pub fn optional_number<'de, D: Deserializer<'de>, T: FromStr>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    deserializer.deserialize_any(Scalar { wanted: "a number that fits", optional: true, of: PhantomData })
}

/// A boolean, or a string that holds one: `true` or `false` in any case.
pub fn boolean<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    optional_boolean(deserializer)?.ok_or_else(|| D::Error::custom("true or false is missing"))
}

/// A boolean, a string that holds one, or nothing: an empty string is nothing. Put
/// `#[serde(default)]` beside it.
pub fn optional_boolean<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<bool>, D::Error> {
    deserializer.deserialize_any(Scalar { wanted: "true or false", optional: true, of: PhantomData })
}

/// Authors of templates write `TRUE` and `True`.
pub(crate) fn truth(text: &str) -> Option<bool> {
    match text.trim() {
        yes if yes.eq_ignore_ascii_case("true") => Some(true),
        no if no.eq_ignore_ascii_case("false") => Some(false),
        _ => None,
    }
}

/// Reads a scalar by way of text, whatever type it arrived as.
struct Scalar<T> {
    wanted: &'static str,
    optional: bool,
    of: PhantomData<T>,
}

impl<T: FromStr> Scalar<T> {
    fn read<E: Error>(&self, text: &str) -> Result<Option<T>, E> {
        let text = text.trim();
        if text.is_empty() && self.optional {
            return Ok(None);
        }
        // A boolean's FromStr knows lower case only; in a number this changes no letters but those
        // of `e`, `inf` and `nan`.
        text.to_ascii_lowercase()
            .parse()
            .map(Some)
            .map_err(|_| E::custom(format_args!("not {}", self.wanted)))
    }
}

impl<'de, T: FromStr> Visitor<'de> for Scalar<T> {
    type Value = Option<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.wanted)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Option<T>, E> {
        self.read(text)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Option<T>, E> {
        self.read(if value { "true" } else { "false" })
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Option<T>, E> {
        self.read(&value.to_string())
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Option<T>, E> {
        self.read(&value.to_string())
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Option<T>, E> {
        self.read(&value.to_string())
    }

    fn visit_unit<E: Error>(self) -> Result<Option<T>, E> {
        self.read("")
    }

    fn visit_none<E: Error>(self) -> Result<Option<T>, E> {
        self.read("")
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Option<T>, D::Error> {
        deserializer.deserialize_any(self)
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;
    use serde_json::{Value, json};

    use super::*;

    #[derive(Debug, PartialEq, Deserialize)]
    struct Inner {
        #[serde(deserialize_with = "number")]
        n: i16,
        #[serde(deserialize_with = "boolean")]
        b: bool,
        #[serde(default, deserialize_with = "optional_number")]
        on: Option<u8>,
        #[serde(default, deserialize_with = "optional_boolean")]
        ob: Option<bool>,
    }

    #[derive(Debug, PartialEq, Deserialize)]
    struct Outer {
        #[serde(flatten)]
        inner: Inner,
    }

    fn read(value: &Value) -> Result<Inner, String> {
        let event = json!({ "ResourceProperties": value });
        let outer = crate::properties::read::<Outer>(&event, "ResourceProperties").map(|outer| outer.inner);
        let plain = crate::properties::read::<Inner>(&event, "ResourceProperties");
        assert_eq!(outer.as_ref().ok(), plain.as_ref().ok(), "flattened or not, it is the same");
        plain.map_err(|error| error.to_string())
    }

    #[test]
    fn scalars_are_read_whatever_they_came_as() {
        let table = [
            (json!({"n": "-3", "b": "True"}), Inner { n: -3, b: true, on: None, ob: None }),
            (json!({"n": 3, "b": false, "on": "", "ob": ""}), Inner { n: 3, b: false, on: None, ob: None }),
            (
                json!({"n": " 3 ", "b": "FALSE", "on": "7", "ob": "true"}),
                Inner { n: 3, b: false, on: Some(7), ob: Some(true) },
            ),
            (
                json!({"n": -3, "b": true, "on": 7, "ob": null}),
                Inner { n: -3, b: true, on: Some(7), ob: None },
            ),
        ];
        for (value, expected) in table {
            assert_eq!(read(&value), Ok(expected));
        }
    }

    #[test]
    fn what_is_none_is_named_without_its_value() {
        let table = [
            (json!({"n": "hunter2", "b": "true"}), "ResourceProperties.n: not a number that fits"),
            (json!({"n": "", "b": "true"}), "ResourceProperties.n: not a number that fits"),
            (json!({"n": "40000", "b": "true"}), "ResourceProperties.n: not a number that fits"),
            (
                json!({"n": [], "b": "true"}),
                "ResourceProperties.n: a list where a number that fits is expected",
            ),
            (json!({"n": "1", "b": "hunter2"}), "ResourceProperties.b: not true or false"),
            (json!({"n": "1", "b": ""}), "ResourceProperties.b: true or false is missing"),
            (json!({"n": "1", "b": "true", "on": "-1"}), "ResourceProperties.on: not a number that fits"),
            (json!({"b": "true"}), "ResourceProperties.n: missing"),
        ];
        for (value, expected) in table {
            assert_eq!(read(&value), Err(expected.to_owned()));
        }
    }
}
