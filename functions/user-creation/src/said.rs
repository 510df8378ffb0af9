//! The answer to a request, remembered for as long as Lambda may deliver the request again.

use std::{collections::BTreeMap, str::FromStr};

use custom_resource::{Data, Failure, Outcome};
use serde::{Deserialize, Serialize};

/// Lambda drops an asynchronous event after 900 s (`MaximumEventAgeInSeconds` in template.yml), and an
/// invocation ends after as many. An hour is twice that.
const REMEMBERED_SECONDS: u64 = 3600;
/// The longest reason, in bytes. An answer has 4096 bytes and ids beside the reason, a parameter has 4096 and
/// braces beside it; quotes and backslashes take two bytes in JSON.
const LONGEST_REASON: usize = 1900;
/// The longest id, characters. A UUID of CloudFormation has 36.
const LONGEST_ID: usize = 100;
/// Replaces what was cut out of the middle: the beginning of a reason says what failed, its end what to do.
const CUT: &str = " ... ";

/// The id of a request, safe as the last part of a parameter's name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RequestId(String);

/// A text that is not such an id: CloudFormation sends UUIDs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it must be 1 to {LONGEST_ID} letters, digits or dashes")]
pub struct NotAnId;

impl RequestId {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for RequestId {
    type Err = NotAnId;

    fn from_str(text: &str) -> Result<Self, NotAnId> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        if text.is_empty() || text.len() > LONGEST_ID || !text.bytes().all(allowed) {
            return Err(NotAnId);
        }
        Ok(Self(text.to_owned()))
    }
}

/// The conclusion of a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "status")]
pub enum Answer {
    #[serde(rename = "SUCCESS")]
    Success {
        /// The attributes of the resource.
        data: BTreeMap<String, String>,
    },
    /// It failed for good.
    #[serde(rename = "FAILED")]
    Failure {
        /// One sentence, which becomes the Reason.
        reason: String,
        /// Whether the Delete that follows a failed Create has nothing to remove.
        nothing_made: bool,
    },
}

/// A conclusion, and when it was reached.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Said {
    /// Seconds since 1970.
    pub at: u64,
    #[serde(flatten)]
    pub answer: Answer,
}

impl Answer {
    /// A success without attributes.
    pub(crate) fn done() -> Self {
        Self::Success { data: BTreeMap::new() }
    }

    /// A failure after something may have been made. The reason is cut here, so that a second
    /// answer equals the first one.
    pub(crate) fn failed(reason: &impl ToString) -> Self {
        Self::Failure { reason: cut(&reason.to_string()), nothing_made: false }
    }

    /// The conclusion in the protocol's types.
    pub(crate) fn into_outcome(self) -> Result<Outcome, Failure> {
        match self {
            Self::Success { data } => {
                let data = data.into_iter().fold(Data::new(), |all, (name, value)| all.with(name, value));
                Ok(Outcome::Done(data))
            }
            Self::Failure { reason, nothing_made: true } => Err(Failure::new(reason).nothing_made()),
            Self::Failure { reason, nothing_made: false } => Err(Failure::new(reason)),
        }
    }
}

impl Said {
    /// The parameter's value.
    pub fn to_json(&self) -> String {
        // Texts and numbers cannot fail.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Reads a parameter; `None` if no version of this function wrote it.
    pub fn read(value: &str) -> Option<Self> {
        serde_json::from_str(value).ok()
    }
}

/// The remembered requests (name, value) that no delivery can repeat any more; a malformed one
/// answers no delivery either.
pub fn expired(remembered: &[(String, String)], now: u64) -> Vec<&str> {
    let is_over =
        |value: &str| Said::read(value).is_none_or(|said| now.saturating_sub(said.at) > REMEMBERED_SECONDS);
    remembered.iter().filter(|(_, value)| is_over(value)).map(|(name, _)| name.as_str()).collect()
}

fn cut(reason: &str) -> String {
    if reason.len() <= LONGEST_REASON {
        return reason.to_owned();
    }
    let half = (LONGEST_REASON - CUT.len()) / 2;
    let (head, tail) = (reason.floor_char_boundary(half), reason.ceil_char_boundary(reason.len() - half));
    format!("{}{CUT}{}", &reason[..head], &reason[tail..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_requests_are_ids_and_nothing_else() {
        for good in ["5a8d3bd6-9f60-4f1a-8f4b-0d4d0f3f0a11", "user-create", "A", &"x".repeat(100)] {
            assert_eq!(good.parse::<RequestId>().as_ref().map(RequestId::as_str), Ok(good));
        }
        for bad in ["", "a b", "a/b", "..", "a.b", "ü", "a\n", "$r", &"x".repeat(101)] {
            assert_eq!(bad.parse::<RequestId>(), Err(NotAnId), "{bad:?}");
        }
    }

    #[test]
    fn a_conclusion_is_read_as_it_was_written() {
        let data = BTreeMap::from([("Nodes".to_owned(), "3".to_owned())]);
        let failure = |nothing_made| Answer::Failure { reason: "no \"node\"".into(), nothing_made };
        for answer in [Answer::Success { data }, failure(true), failure(false)] {
            let said = Said { at: 7, answer };
            assert_eq!(Said::read(&said.to_json()), Some(said));
        }
        assert_eq!(Said::read("{}"), None);
    }

    #[test]
    fn every_conclusion_fits_into_a_parameter_and_keeps_both_ends_of_its_reason() {
        for filler in ["x", "\"", "ü", "🦀"] {
            let long = Answer::failed(&format!("the head {} the tail", filler.repeat(5000)));
            let Answer::Failure { reason, .. } = &long else { panic!("{long:?}") };
            assert!(reason.starts_with("the head") && reason.ends_with("the tail"), "{reason}");
            let value = Said { at: u64::MAX, answer: long }.to_json();
            assert!((1900..4096).contains(&value.len()), "{} bytes with {filler}", value.len());
        }
        assert_eq!(cut("short"), "short");
    }

    #[test]
    fn a_request_is_remembered_for_as_long_as_it_can_be_delivered() {
        let said = |at| Said { at, answer: Answer::done() }.to_json();
        let remembered =
            [("old", said(999)), ("young", said(1000)), ("later", said(9999)), ("broken", "{}".into())]
                .map(|(name, value)| (name.to_owned(), value));
        assert_eq!(expired(&remembered, 4600), ["old", "broken"]);
        assert_eq!(expired(&remembered, 0), ["broken"], "a clock that was set back forgets nothing");
    }
}
