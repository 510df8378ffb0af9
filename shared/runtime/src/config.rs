//! Parameters from environment variables, with one sentence for each invalid one.

use std::{
    collections::{BTreeSet, HashMap},
    env,
    fmt::Display,
    str::FromStr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

/// The longest time that a parameter may set. So no multiple of one overflows or leaves the range of a clock.
const LONGEST: Duration = Duration::from_secs(24 * 3600);

/// An invalid parameter; the message names it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    /// The variable is needed, and it is not set or empty.
    #[error("{0} is not set: the template sets it, so deploy the template again")]
    Missing(&'static str),
    #[error("{name} is {value:?}: {reason}")]
    Value { name: &'static str, value: String, reason: String },
}

/// The variables of a process, or of a test. It remembers which names were read, so that a test can compare
/// them with those that the template sets.
#[derive(Clone, Debug, Default)]
pub struct Environment {
    variables: HashMap<String, String>,
    /// Clones share it: a name that any of them reads counts as read.
    asked: Arc<Mutex<BTreeSet<String>>>,
}

impl<K: Into<String>, V: Into<String>> FromIterator<(K, V)> for Environment {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(pairs: I) -> Self {
        let variables = pairs.into_iter().map(|(name, value)| (name.into(), value.into())).collect();
        Self { variables, asked: Arc::default() }
    }
}

impl Environment {
    /// The variables of this process; those that are not text are left out.
    pub fn of_process() -> Self {
        env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect()
    }

    /// All names that were read, set or not; a prefix is `PREFIX_*`.
    pub fn asked(&self) -> BTreeSet<String> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn remember(&self, name: impl Into<String>) {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).insert(name.into());
    }

    /// All variables whose name starts with `prefix`, sorted.
    pub fn with_prefix(&self, prefix: &str) -> Vec<(&str, &str)> {
        self.remember(format!("{prefix}*"));
        let mut found: Vec<(&str, &str)> = self
            .variables
            .iter()
            .filter(|(name, _)| name.starts_with(prefix))
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        found.sort_unstable();
        found
    }

    /// The text of `name` as it was set, with the blanks and line breaks around it; `None` if it is not set.
    pub fn raw(&self, name: &'static str) -> Option<&str> {
        self.remember(name);
        self.variables.get(name).map(String::as_str)
    }

    /// The text of `name`; `None` if it is not set, or empty.
    pub fn text(&self, name: &'static str) -> Option<&str> {
        self.raw(name).map(str::trim).filter(|value| !value.is_empty())
    }

    /// The text of `name`, which must be set.
    pub fn need(&self, name: &'static str) -> Result<&str, Invalid> {
        self.text(name).ok_or(Invalid::Missing(name))
    }

    /// The value of `name`, which must be set.
    pub fn parse<T: FromStr<Err: Display>>(&self, name: &'static str) -> Result<T, Invalid> {
        parse(name, self.need(name)?)
    }

    /// The value of `name`, or `default` when it is not set.
    pub fn parse_or<T: FromStr<Err: Display>>(&self, name: &'static str, default: T) -> Result<T, Invalid> {
        self.text(name).map_or(Ok(default), |text| parse(name, text))
    }

    /// Milliseconds in `name`, which must be set; at most a day.
    pub fn millis(&self, name: &'static str) -> Result<Duration, Invalid> {
        self.parse(name).map(Duration::from_millis).and_then(|time| self.bounded(name, time))
    }

    /// Milliseconds in `name`, or `default` of them; at most a day.
    pub fn millis_or(&self, name: &'static str, default: u64) -> Result<Duration, Invalid> {
        self.parse_or(name, default).map(Duration::from_millis).and_then(|time| self.bounded(name, time))
    }

    /// Seconds in `name`, or `default` of them; at most a day.
    pub fn seconds_or(&self, name: &'static str, default: u64) -> Result<Duration, Invalid> {
        self.parse_or(name, default).map(Duration::from_secs).and_then(|time| self.bounded(name, time))
    }

    fn bounded(&self, name: &'static str, time: Duration) -> Result<Duration, Invalid> {
        if time <= LONGEST {
            return Ok(time);
        }
        let value = self.text(name).unwrap_or_default().to_owned();
        Err(Invalid::Value { name, value, reason: "no time here may be longer than a day".to_owned() })
    }

    /// The words of a comma-separated list, which must not be empty.
    pub fn need_list(&self, name: &'static str) -> Result<Vec<String>, Invalid> {
        Some(self.list(name)).filter(|words| !words.is_empty()).ok_or(Invalid::Missing(name))
    }

    /// The words of a comma-separated list; empty when it is not set.
    pub fn list(&self, name: &'static str) -> Vec<String> {
        let words = self.text(name).unwrap_or_default().split(',').map(str::trim);
        words.filter(|word| !word.is_empty()).map(str::to_owned).collect()
    }
}

fn parse<T: FromStr<Err: Display>>(name: &'static str, text: &str) -> Result<T, Invalid> {
    text.parse().map_err(|error: T::Err| Invalid::Value {
        name,
        value: text.to_owned(),
        reason: error.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_complaint_names_the_variable() {
        let environment: Environment = [("N", "x"), ("EMPTY", " "), ("L", " a, ,b ")].into_iter().collect();
        let error = environment.parse::<u32>("N").unwrap_err().to_string();
        assert_eq!(error, "N is \"x\": invalid digit found in string");
        assert_eq!(environment.need("EMPTY"), Err(Invalid::Missing("EMPTY")));
        assert_eq!(environment.list("L"), ["a", "b"]);
        assert!(environment.list("NONE").is_empty());
        assert_eq!(environment.need_list("L"), Ok(vec!["a".to_owned(), "b".to_owned()]));
        assert_eq!(environment.need_list("EMPTY"), Err(Invalid::Missing("EMPTY")));
        assert_eq!(environment.millis_or("NONE", 7), Ok(Duration::from_millis(7)));
        assert_eq!(environment.with_prefix("E"), [("EMPTY", " ")]);
    }

    #[test]
    fn every_name_that_was_asked_for_is_remembered() {
        let environment: Environment = [("SET", "1"), ("UNREAD", "1")].into_iter().collect();
        let _values = (environment.text("SET"), environment.need("MISSING"), environment.list("L"));
        let _more =
            (environment.clone().parse_or("N", 1), environment.millis("MS"), environment.with_prefix("P_"));
        let asked = environment.asked();
        assert_eq!(
            asked.iter().map(String::as_str).collect::<Vec<_>>(),
            ["L", "MISSING", "MS", "N", "P_*", "SET"]
        );
    }

    #[test]
    fn no_time_is_longer_than_a_day() {
        let environment: Environment =
            [("DAY", "86400"), ("MORE", "86401"), ("ABSURD", "18446744073709551615")].into_iter().collect();
        assert_eq!(environment.seconds_or("DAY", 1), Ok(LONGEST));
        assert_eq!(environment.millis("DAY"), Ok(Duration::from_millis(86400)));
        for (name, value) in [("MORE", "86401"), ("ABSURD", "18446744073709551615")] {
            let sentence = format!("{name} is \"{value}\": no time here may be longer than a day");
            assert_eq!(environment.seconds_or(name, 1).unwrap_err().to_string(), sentence);
        }
        for error in [environment.millis("ABSURD"), environment.millis_or("ABSURD", 1)] {
            assert!(error.unwrap_err().to_string().starts_with("ABSURD is "));
        }
        assert_eq!(environment.millis("NONE"), Err(Invalid::Missing("NONE")));
    }
}
