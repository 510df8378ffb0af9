//! The answer's body: what CloudFormation must find in it, in no more than 4096 bytes.

use serde::Serialize;

use crate::{Data, Failure};

/// CloudFormation's limit for the whole body, bytes.
const LONGEST_BODY: usize = 4096;
/// CloudFormation's limit for a physical id, bytes.
const LONGEST_ID: usize = 1024;
/// The limit of an echoed id in JSON, bytes, where a control character takes six. The longest ARN of a
/// stack has some 300 bytes, a logical id 255; CloudFormation did not send a longer one, so it is cut to
/// leave room for the others.
pub(crate) const LONGEST_ECHO: usize = 512;
const LONGEST_ID_IN_JSON: usize = 1536;
/// Replaces what was cut out of the middle: the beginning of a sentence says what failed, its end what to do.
const CUT: &str = " ... ";

/// What an answer repeats of its request.
#[allow(clippy::struct_field_names, reason = "CloudFormation's own names")]
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Echo {
    pub(crate) stack_id: String,
    pub(crate) request_id: String,
    pub(crate) logical_id: String,
}

/// One answer.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) physical_id: String,
    pub(crate) result: Result<Data, Failure>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Body<'a> {
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    physical_resource_id: String,
    stack_id: String,
    request_id: String,
    logical_resource_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    no_echo: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<&'a std::collections::BTreeMap<String, String>>,
}

impl Answer {
    /// Attributes that do not fit make it a FAILED with the id `failure`: half a value would be a wrong one.
    pub(crate) fn fitting(self, echo: &Echo, failure: String) -> Self {
        let Ok(data) = &self.result else { return self };
        let excess = self.body_of(echo, None).len().saturating_sub(LONGEST_BODY);
        if excess == 0 {
            return self;
        }
        let mut sizes: Vec<(&str, usize)> =
            data.values.iter().map(|(name, value)| (name.as_str(), value.len())).collect();
        sizes.sort_by_key(|(_, size)| std::cmp::Reverse(*size));
        let longest: Vec<String> =
            sizes.iter().take(3).map(|(name, size)| format!("{name} ({size} bytes)")).collect();
        let sentence = format!(
            "the attributes are {excess} bytes too long for CloudFormation's {LONGEST_BODY}; the longest are {}",
            longest.join(", ")
        );
        Self { physical_id: failure, result: Err(Failure::new(sentence)) }
    }

    /// The body, valid and short enough whatever the answer holds.
    pub(crate) fn body(&self, echo: &Echo) -> Vec<u8> {
        let Err(failure) = &self.result else { return self.body_of(echo, None) };
        let reason = match failure.to_string() {
            empty if empty.trim().is_empty() => "failed, and no reason was given".to_owned(),
            reason => reason,
        };
        let room = LONGEST_BODY - self.body_of(echo, Some(String::new())).len();
        self.body_of(echo, Some(cut(&reason, room)))
    }

    fn body_of(&self, echo: &Echo, reason: Option<String>) -> Vec<u8> {
        let data = self.result.as_ref().ok().filter(|data| !data.values.is_empty());
        let body = Body {
            status: if self.result.is_ok() { "SUCCESS" } else { "FAILED" },
            reason,
            physical_resource_id: cut(&self.physical_id, LONGEST_ID_IN_JSON),
            stack_id: cut(&echo.stack_id, LONGEST_ECHO),
            request_id: cut(&echo.request_id, LONGEST_ECHO),
            logical_resource_id: cut(&echo.logical_id, LONGEST_ECHO),
            no_echo: data.filter(|data| data.no_echo).map(|_| true),
            data: data.map(|data| &data.values),
        };
        serde_json::to_vec(&body).expect("strings are always JSON")
    }
}

/// Whether CloudFormation accepts `id` as a physical id.
pub(crate) fn usable(id: &str) -> bool {
    !id.trim().is_empty() && id.len() <= LONGEST_ID && in_json(id) <= LONGEST_ID_IN_JSON
}

/// `text`, or its head and tail, in no more than `room` bytes of JSON.
pub(crate) fn cut(text: &str, room: usize) -> String {
    if in_json(text) <= room {
        return text.to_owned();
    }
    let half = room.saturating_sub(CUT.len()) / 2;
    let fits = |characters: &mut dyn Iterator<Item = char>| {
        let mut left = half;
        let mut bytes = 0;
        for character in characters {
            let Some(rest) = left.checked_sub(escaped(character)) else { break };
            left = rest;
            bytes += character.len_utf8();
        }
        bytes
    };
    let head = fits(&mut text.chars());
    let tail = text.len() - fits(&mut text.chars().rev());
    format!("{}{CUT}{}", &text[..head], &text[tail..])
}

fn in_json(text: &str) -> usize {
    text.chars().map(escaped).sum()
}

/// Bytes of a character inside a JSON string, as serde_json writes it.
fn escaped(character: char) -> usize {
    match character {
        '"' | '\\' | '\n' | '\r' | '\t' | '\u{8}' | '\u{c}' => 2,
        '\0'..='\u{1f}' => 6,
        other => other.len_utf8(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn echo() -> Echo {
        Echo { stack_id: "arn".into(), request_id: "r".into(), logical_id: "Shelf".into() }
    }

    fn failed(reason: &str) -> Value {
        let answer = Answer { physical_id: "id".into(), result: Err(Failure::new(reason)) };
        let body = answer.body(&echo());
        assert!(body.len() <= LONGEST_BODY, "{} bytes", body.len());
        serde_json::from_slice(&body).unwrap()
    }

    #[test]
    fn what_is_counted_is_what_serde_json_writes() {
        for character in ('\0'..='\u{ff}').chain(['\u{2028}', 'ß', '€', '🦀', '\u{10ffff}']) {
            let written = serde_json::to_string(&character.to_string()).unwrap().len() - 2;
            assert_eq!(escaped(character), written, "{character:?}");
        }
    }

    #[test]
    fn a_long_reason_keeps_head_and_tail_and_fills_the_room() {
        for filler in ["x", "ß", "🦀", "\"", "\u{1}", "a🦀\n"] {
            let body = failed(&format!("the head {} the tail", filler.repeat(9000)));
            let reason = body["Reason"].as_str().unwrap();
            assert!(reason.starts_with("the head") && reason.ends_with("the tail"), "{filler:?}");
            assert!(reason.contains(CUT));
            let length = serde_json::to_vec(&body).unwrap().len();
            assert!((LONGEST_BODY - 16..=LONGEST_BODY).contains(&length), "{length} bytes with {filler:?}");
        }
        assert_eq!(failed("short")["Reason"], "short");
        assert_ne!(failed(" ")["Reason"], " ");
    }

    #[test]
    fn no_ids_leave_a_reason_without_room() {
        for character in ["x", "\u{1}", "🦀"] {
            let long = character.repeat(100_000);
            let echo = Echo { stack_id: long.clone(), request_id: long.clone(), logical_id: long.clone() };
            let answer = Answer { physical_id: long.clone(), result: Err(Failure::new(&long)) };
            let body = answer.body(&echo);
            assert!(body.len() <= LONGEST_BODY);
            let body: Value = serde_json::from_slice(&body).unwrap();
            assert!(in_json(body["Reason"].as_str().unwrap()) > 800);
            assert!(body["PhysicalResourceId"].as_str().unwrap().len() <= LONGEST_ID_IN_JSON);
        }
    }

    #[test]
    fn attributes_that_do_not_fit_are_a_failure_that_names_them() {
        let data = Data::new().with("Small", "1").with("Large", "x".repeat(5000));
        let answer = Answer { physical_id: "id".into(), result: Ok(data) }.fitting(&echo(), "old".into());
        assert_eq!(answer.physical_id, "old");
        let reason = answer.result.clone().unwrap_err().to_string();
        assert!(reason.contains("Large (5000 bytes)"), "{reason}");
        assert!(answer.body(&echo()).len() <= LONGEST_BODY);
        let small = Answer { physical_id: "id".into(), result: Ok(Data::new().with("Key", 3).no_echo()) };
        let body: Value =
            serde_json::from_slice(&small.fitting(&echo(), "old".into()).body(&echo())).unwrap();
        let expected = json!({"Status": "SUCCESS", "PhysicalResourceId": "id", "StackId": "arn", "RequestId": "r",
            "LogicalResourceId": "Shelf", "NoEcho": true, "Data": {"Key": "3"}});
        assert_eq!(body, expected);
    }

    #[test]
    fn physical_ids_have_limits() {
        assert!(usable("graph/alice") && usable(&"x".repeat(1024)));
        assert!(!usable("") && !usable("  ") && !usable(&"x".repeat(1025)) && !usable(&"\u{1}".repeat(1000)));
    }
}
