//! Reads `ResourceProperties` into a type: strings where the type expects numbers, and
//! errors that name the property.
//!
//! serde_json's own errors repeat the value (`invalid type: string "hunter2"`), and everyone who can see the
//! stack can see the Reason of an answer. These errors name the place and the kind, never the value.

use std::fmt;

use serde::{
    Deserializer,
    de::{
        DeserializeOwned, DeserializeSeed, Error, Expected, IntoDeserializer, MapAccess, SeqAccess,
        Unexpected, Visitor,
        value::{BorrowedStrDeserializer, MapAccessDeserializer},
    },
    forward_to_deserialize_any,
};
use serde_json::{Map, Value};

use crate::text::truth;

/// CloudFormation's own properties, besides the author's.
const RESERVED: [&str; 2] = ["ServiceToken", "ServiceTimeout"];
/// The longest name in a sentence, characters. Names come from templates, which may hold anything.
const LONGEST_NAME: usize = 100;

/// Reads the properties at `name` of the event (`ResourceProperties` or `OldResourceProperties`).
pub(crate) fn read<T: DeserializeOwned>(event: &Value, name: &'static str) -> Result<T, Malformed> {
    let Some(properties) = event.get(name) else {
        return Err(Malformed { path: name.to_owned(), what: "missing".to_owned() });
    };
    let result = match properties {
        Value::Object(map) => T::deserialize(Top(map)),
        other => T::deserialize(Property(other)),
    };
    result.map_err(|malformed| malformed.below(name))
}

/// Whether an Update changes no property of the author's.
pub(crate) fn unchanged(event: &Value) -> bool {
    let mine = |name| {
        let map = event.get(name)?.as_object()?;
        Some(map.iter().filter(|(key, _)| !RESERVED.contains(&key.as_str())).collect::<Vec<_>>())
    };
    mine("ResourceProperties").is_some_and(|new| mine("OldResourceProperties").is_some_and(|old| old == new))
}

/// `ResourceProperties.Owner.Ages[1]: not a whole number`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Malformed {
    path: String,
    what: String,
}

impl Malformed {
    fn saying(what: impl fmt::Display) -> Self {
        Self { path: String::new(), what: what.to_string() }
    }

    fn below(mut self, name: &str) -> Self {
        let name: String = name.chars().take(LONGEST_NAME).collect();
        let dot = if self.path.is_empty() || self.path.starts_with('[') { "" } else { "." };
        self.path = format!("{name}{dot}{}", self.path);
        self
    }
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.what)
    }
}

impl std::error::Error for Malformed {}

impl Error for Malformed {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::saying(message)
    }

    fn invalid_type(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::saying(format_args!("{} where {expected} is expected", kind(&found)))
    }

    fn invalid_value(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::saying(format_args!("{} that is not {expected}", kind(&found)))
    }

    fn unknown_variant(_found: &str, known: &'static [&'static str]) -> Self {
        Self::saying(format_args!("none of {}", known.join(", ")))
    }

    fn unknown_field(field: &str, known: &'static [&'static str]) -> Self {
        Self::saying(format_args!("not a property; these are: {}", known.join(", "))).below(field)
    }

    fn missing_field(field: &'static str) -> Self {
        Self::saying("missing").below(field)
    }
}

fn kind(found: &Unexpected<'_>) -> &'static str {
    match found {
        Unexpected::Bool(_) => "a boolean",
        Unexpected::Unsigned(_) | Unexpected::Signed(_) | Unexpected::Float(_) => "a number",
        Unexpected::Char(_) | Unexpected::Str(_) => "a string",
        Unexpected::Unit | Unexpected::Option => "null",
        Unexpected::Seq => "a list",
        Unexpected::Map => "an object",
        _ => "something else",
    }
}

/// The properties themselves, without the reserved ones.
struct Top<'de>(&'de Map<String, Value>);

impl<'de> Deserializer<'de> for Top<'de> {
    type Error = Malformed;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Malformed> {
        visitor.visit_map(Fields { left: self.0.iter(), reserved: &RESERVED, value: None })
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

struct Property<'de>(&'de Value);

/// Numbers of all sizes: the visitor checks the range.
macro_rules! whole_numbers {
    ($($method:ident)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Malformed> {
            let Value::String(text) = self.0 else { return self.deserialize_any(visitor) };
            let text = text.trim();
            match (text.parse::<u64>(), text.parse::<i64>()) {
                (Ok(number), _) => visitor.visit_u64(number),
                (_, Ok(number)) => visitor.visit_i64(number),
                _ => Err(Malformed::saying("not a whole number")),
            }
        }
    )*};
}

macro_rules! texts {
    ($($method:ident)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Malformed> {
            match self.0 {
                Value::Number(number) => visitor.visit_string(number.to_string()),
                Value::Bool(truth) => visitor.visit_string(truth.to_string()),
                _ => self.deserialize_any(visitor),
            }
        }
    )*};
}

impl<'de> Deserializer<'de> for Property<'de> {
    type Error = Malformed;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Malformed> {
        match self.0 {
            Value::Null => visitor.visit_unit(),
            Value::Bool(truth) => visitor.visit_bool(*truth),
            Value::Number(number) => match (number.as_u64(), number.as_i64(), number.as_f64()) {
                (Some(number), _, _) => visitor.visit_u64(number),
                (_, Some(number), _) => visitor.visit_i64(number),
                (_, _, number) => visitor.visit_f64(number.unwrap_or(f64::NAN)),
            },
            Value::String(text) => visitor.visit_borrowed_str(text),
            Value::Array(items) => visitor.visit_seq(Items(items.iter().enumerate())),
            Value::Object(map) => visitor.visit_map(Fields { left: map.iter(), reserved: &[], value: None }),
        }
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Malformed> {
        let Value::String(text) = self.0 else { return self.deserialize_any(visitor) };
        let truth = truth(text).ok_or_else(|| Malformed::saying("neither true nor false"))?;
        visitor.visit_bool(truth)
    }

    whole_numbers! {
        deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64 deserialize_u8 deserialize_u16 deserialize_u32
        deserialize_u64
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Malformed> {
        let Value::String(text) = self.0 else { return self.deserialize_any(visitor) };
        visitor.visit_f64(text.trim().parse().map_err(|_| Malformed::saying("not a number"))?)
    }

    fn deserialize_f32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Malformed> {
        self.deserialize_f64(visitor)
    }

    texts! { deserialize_char deserialize_str deserialize_string }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Malformed> {
        if self.0.is_null() { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Malformed> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Malformed> {
        match self.0 {
            Value::String(text) => visitor.visit_enum(text.as_str().into_deserializer()),
            Value::Object(map) => {
                let fields = Fields { left: map.iter(), reserved: &[], value: None };
                visitor.visit_enum(MapAccessDeserializer::new(fields))
            }
            _ => self.deserialize_any(visitor),
        }
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Malformed> {
        visitor.visit_unit() // the value is not looked at: it may be nested deeply
    }

    forward_to_deserialize_any! {
        i128 u128 bytes byte_buf unit unit_struct seq tuple tuple_struct map struct identifier
    }
}

struct Fields<'de> {
    left: serde_json::map::Iter<'de>,
    reserved: &'static [&'static str],
    value: Option<(&'de str, &'de Value)>,
}

impl<'de> MapAccess<'de> for Fields<'de> {
    type Error = Malformed;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Malformed> {
        let reserved = self.reserved;
        let Some((key, value)) = self.left.find(|(key, _)| !reserved.contains(&key.as_str())) else {
            return Ok(None);
        };
        self.value = Some((key, value));
        seed.deserialize(BorrowedStrDeserializer::new(key)).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Malformed> {
        let (key, value) = self.value.take().ok_or_else(|| Malformed::saying("a value without a name"))?;
        seed.deserialize(Property(value)).map_err(|malformed| malformed.below(key))
    }
}

struct Items<'de>(std::iter::Enumerate<std::slice::Iter<'de, Value>>);

impl<'de> SeqAccess<'de> for Items<'de> {
    type Error = Malformed;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Malformed> {
        let Some((index, value)) = self.0.next() else { return Ok(None) };
        seed.deserialize(Property(value))
            .map(Some)
            .map_err(|malformed| malformed.below(&format!("[{index}]")))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde::Deserialize;
    use serde_json::json;

    use super::*;

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(rename_all = "lowercase")]
    enum Colour {
        Red,
        Rgb(u8, u8, u8),
    }

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Board {
        width: f64,
        screws: Option<u8>,
        #[serde(default)]
        tags: Vec<String>,
    }

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(rename_all = "PascalCase", deny_unknown_fields)]
    struct Shelf {
        label: String,
        fragile: bool,
        offset: i16,
        colour: Colour,
        #[serde(default)]
        boards: Vec<Board>,
        #[serde(default)]
        notes: BTreeMap<String, String>,
        anything: Option<Value>,
    }

    fn shelf(properties: &Value) -> Result<Shelf, String> {
        read(&json!({"ResourceProperties": properties}), "ResourceProperties")
            .map_err(|error| error.to_string())
    }

    #[test]
    fn strings_are_read_as_what_the_type_wants() {
        let properties = json!({
            "ServiceToken": "arn", "ServiceTimeout": "60", "Label": 7, "Fragile": "True", "Offset": "-3",
            "Colour": {"rgb": ["1", 2, "3"]}, "Notes": {"a": true}, "Anything": {"deep": ["1"]},
            "Boards": [{"Width": "1.5", "Screws": "4"}, {"Width": 2, "Tags": [1]}],
        });
        let expected = Shelf {
            label: "7".into(),
            fragile: true,
            offset: -3,
            colour: Colour::Rgb(1, 2, 3),
            boards: vec![
                Board { width: 1.5, screws: Some(4), tags: vec![] },
                Board { width: 2.0, screws: None, tags: vec!["1".into()] },
            ],
            notes: BTreeMap::from([("a".into(), "true".into())]),
            anything: Some(json!({"deep": ["1"]})),
        };
        assert_eq!(shelf(&properties), Ok(expected));
    }

    #[test]
    fn errors_name_the_property_and_never_the_value() {
        let good = json!({"Label": "a", "Fragile": "false", "Offset": "0", "Colour": "red"});
        assert!(shelf(&good).is_ok());
        let table = [
            ("Label", json!(["hunter2"]), "ResourceProperties.Label: a list where a string is expected"),
            ("Label", json!(null), "ResourceProperties.Label: null where a string is expected"),
            ("Fragile", json!("hunter2"), "ResourceProperties.Fragile: neither true nor false"),
            ("Fragile", json!(2), "ResourceProperties.Fragile: a number where a boolean is expected"),
            ("Offset", json!("hunter2"), "ResourceProperties.Offset: not a whole number"),
            ("Offset", json!("1.5"), "ResourceProperties.Offset: not a whole number"),
            ("Offset", json!("40000"), "ResourceProperties.Offset: a number that is not i16"),
            ("Colour", json!("hunter2"), "ResourceProperties.Colour: none of red, rgb"),
            ("Boards", json!([{"Width": 1}, {}]), "ResourceProperties.Boards[1].Width: missing"),
            ("Boards", json!([{"Width": "hunter2"}]), "ResourceProperties.Boards[0].Width: not a number"),
            (
                "Boards",
                json!([{"Width": 1, "Screws": "256"}]),
                "ResourceProperties.Boards[0].Screws: a number that is not u8",
            ),
        ];
        for (name, value, expected) in table {
            let mut properties = good.clone();
            properties[name] = value;
            assert_eq!(shelf(&properties), Err(expected.to_owned()));
        }
        let unknown = "ResourceProperties.Lable: not a property; these are: Label, Fragile, Offset, Colour, Boards, Notes, \
                       Anything";
        let mut misspelt = good.clone();
        misspelt["Lable"] = json!("hunter2");
        assert_eq!(shelf(&misspelt), Err(unknown.to_owned()));
        let mut missing = good;
        missing.as_object_mut().unwrap().remove("Label");
        assert_eq!(shelf(&missing), Err("ResourceProperties.Label: missing".to_owned()));
        assert!(shelf(&json!("hunter2")).unwrap_err().starts_with("ResourceProperties: a string where"));
        let nothing = read::<Shelf>(&json!({}), "ResourceProperties").unwrap_err();
        assert_eq!(nothing.to_string(), "ResourceProperties: missing");
    }

    #[test]
    fn cloudformations_own_properties_are_no_change() {
        let event = |new: Value, old: Value| json!({"ResourceProperties": new, "OldResourceProperties": old});
        assert!(unchanged(&event(
            json!({"A": "1", "ServiceTimeout": "9"}),
            json!({"A": "1", "ServiceToken": "x"})
        )));
        assert!(!unchanged(&event(json!({"A": "1"}), json!({"A": "2"}))));
        assert!(!unchanged(&event(json!({"A": "1"}), json!({"A": "1", "B": "1"}))));
        assert!(!unchanged(&event(json!({}), json!(null))));
        assert!(!unchanged(&json!({"ResourceProperties": {}})));
    }
}
