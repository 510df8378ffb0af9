//! What the policy of a bucket denies, as far as the templates of this project deny anything. Pure.
//!
//! IAM's guide, `reference_policies_evaluation-logic`: "An explicit deny in any of these policies overrides the allow". So only denials
//! are looked at: what a role is allowed is not known here.

use serde_json::Value;

/// A call of S3, as policies see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Act {
    /// Such as `s3:PutObject`.
    pub action: &'static str,
    /// Such as `arn:aws:s3:::bucket/key`.
    pub resource: String,
    /// It has the header `If-None-Match`.
    pub if_none_match: bool,
    /// It has the header `If-Match`.
    pub if_match: bool,
    /// Whether it creates an object, if it is of an operation that can: `UploadPart` creates none.
    pub creates: Option<bool>,
}

/// A statement that is not followed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the local cloud does not follow {0} in a bucket's policy: only denials to all, with the operators Null and Bool, are"
)]
pub struct NotFollowed(String);

/// Whether `policy` denies `act`.
///
/// # Errors
/// When no statement that is followed does, and one that concerns the action and the resource is not followed.
pub fn denies(policy: &Value, act: &Act) -> Result<bool, NotFollowed> {
    let mut not_followed = None;
    for statement in each(&policy["Statement"]).filter(|statement| statement["Effect"] == "Deny") {
        match concerns(statement, act) {
            Ok(true) => return Ok(true),
            Ok(false) => {}
            Err(error) => not_followed = Some(error),
        }
    }
    not_followed.map_or(Ok(false), Err)
}

/// Whether a denial is of this call.
fn concerns(statement: &Value, act: &Act) -> Result<bool, NotFollowed> {
    for element in ["NotAction", "NotResource", "NotPrincipal"] {
        if !statement[element].is_null() {
            return Err(NotFollowed(element.to_owned()));
        }
    }
    let matches = |element: &str, text: &str| {
        each(&statement[element]).filter_map(Value::as_str).any(|pattern| like(pattern, text))
    };
    // `reference_policies_elements_action`: actions are not case-sensitive.
    let action = each(&statement["Action"])
        .filter_map(Value::as_str)
        .any(|pattern| like(&pattern.to_lowercase(), &act.action.to_lowercase()));
    if !action || !matches("Resource", &act.resource) {
        return Ok(false);
    }
    // All conditions must hold, so that one that does not hold settles it even beside one that is not followed.
    let mut unknown = None;
    for (operator, keys) in statement["Condition"].as_object().into_iter().flatten() {
        for (key, wanted) in keys.as_object().into_iter().flatten() {
            match holds(operator, key, wanted, act) {
                Some(true) => {}
                Some(false) => return Ok(false),
                None => unknown = Some(NotFollowed(format!("{operator} of {key}"))),
            }
        }
    }
    let principal = &statement["Principal"];
    if principal != "*" && principal["AWS"] != "*" {
        unknown = Some(NotFollowed(format!("Principal {principal}")));
    }
    unknown.map_or(Ok(true), Err)
}

/// Whether a condition holds; `None` if it is not known here. `reference_policies_elements_condition_operators`: `Null` is true when the key
/// is absent; `Bool` of a key that is absent does not match.
fn holds(operator: &str, key: &str, wanted: &Value, act: &Act) -> Option<bool> {
    let value = match key.to_lowercase().as_str() {
        "s3:if-none-match" => act.if_none_match.then_some(true),
        "s3:if-match" => act.if_match.then_some(true),
        "s3:objectcreationoperation" => act.creates,
        // Everything here is plain HTTP on loopback, which stands for TLS.
        "aws:securetransport" => Some(true),
        _ => return None,
    };
    let wanted = each(wanted).map(|one| one.as_bool().or_else(|| one.as_str()?.to_lowercase().parse().ok()));
    let wanted: Vec<bool> = wanted.collect::<Option<_>>()?;
    match operator {
        "Null" => Some(wanted.contains(&value.is_none())),
        "Bool" => Some(value.is_some_and(|value| wanted.contains(&value))),
        _ => None,
    }
}

/// An element that may be a list, or one alone.
fn each(value: &Value) -> impl Iterator<Item = &Value> {
    let (list, one) = match value {
        Value::Array(list) => (list.as_slice(), None),
        Value::Null => (&[][..], None),
        one => (&[][..], Some(one)),
    };
    list.iter().chain(one)
}

/// `reference_policies_elements_resource`: `*` is any number of characters, `?` is one.
fn like(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) = (pattern.chars().collect(), text.chars().collect());
    // Where the last star was, and how far the text was then.
    let (mut at, mut read, mut star) = (0, 0, None);
    while read < text.len() {
        match pattern.get(at) {
            Some('*') => {
                star = Some((at, read));
                at += 1;
            }
            Some(&one) if one == '?' || one == text[read] => (at, read) = (at + 1, read + 1),
            _ => match star {
                Some((place, from)) => {
                    star = Some((place, from + 1));
                    (at, read) = (place + 1, from + 1);
                }
                None => return false,
            },
        }
    }
    pattern[at..].iter().all(|rest| *rest == '*')
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn put(key: &str, if_none_match: bool, creates: bool) -> Act {
        let resource = format!("arn:aws:s3:::b/{key}");
        Act { action: "s3:PutObject", resource, if_none_match, if_match: false, creates: Some(creates) }
    }

    fn deny(further: &Value) -> Value {
        let mut statement = json!({"Effect": "Deny", "Principal": "*", "Action": "s3:PutObject",
            "Resource": "arn:aws:s3:::b/backups/*"});
        statement.as_object_mut().unwrap().extend(further.as_object().unwrap().clone());
        json!({ "Statement": [statement] })
    }

    #[test]
    fn a_denial_is_of_the_calls_that_it_names_and_of_no_other() {
        let all = deny(&json!({}));
        assert_eq!(denies(&all, &put("backups/hourly/x", true, true)), Ok(true));
        assert_eq!(denies(&all, &put("owner.json", true, true)), Ok(false));
        let act = Act { action: "s3:PutObjectTagging", ..put("backups/x", false, true) };
        assert_eq!(denies(&all, &act), Ok(false));
        let wild = deny(
            &json!({"Action": ["s3:Get*", "S3:putobject*"], "Resource": ["arn:aws:s3:::b", "arn:aws:s3:::b/?ackups/*"]}),
        );
        assert_eq!(denies(&wild, &act), Ok(true));
        let allow =
            json!({"Statement": {"Effect": "Allow", "Principal": "*", "Action": "*", "Resource": "*"}});
        assert_eq!(denies(&allow, &act), Ok(false));
        assert_eq!(denies(&json!({}), &act), Ok(false));
    }

    #[test]
    fn all_conditions_must_hold() {
        for (written, alone) in [("true", "false"), ("True", "FALSE")] {
            let policy = deny(&json!({"Condition": {
                "Null": {"s3:if-none-match": written}, "Bool": {"s3:ObjectCreationOperation": written}}}));
            assert_eq!(denies(&policy, &put("backups/x", false, true)), Ok(true));
            assert_eq!(denies(&policy, &put("backups/x", true, true)), Ok(false));
            assert_eq!(denies(&policy, &put("backups/x", false, false)), Ok(false), "a part");
            let tls = deny(&json!({"Condition": {"Bool": {"aws:SecureTransport": alone}}}));
            assert_eq!(denies(&tls, &put("backups/x", false, true)), Ok(false));
        }
    }

    #[test]
    fn what_is_not_followed_is_an_error_only_where_it_matters() {
        let act = put("backups/x", false, true);
        let by_role = json!({"ArnNotLike": {"aws:PrincipalArn": "arn:aws:iam::0:role/r"}});
        for further in [
            json!({"Principal": {"AWS": "arn:aws:iam::0:role/r"}}),
            json!({ "Condition": by_role }),
            json!({"NotResource": "x"}),
            json!({"Condition": {"StringEquals": {"s3:if-none-match": "true"}}}),
        ] {
            assert!(denies(&deny(&further), &act).is_err(), "{further}");
        }
        let elsewhere = deny(&json!({"Condition": by_role, "Resource": "arn:aws:s3:::b/other/*"}));
        assert_eq!(denies(&elsewhere, &act), Ok(false));
        let mut both = deny(&json!({ "Condition": by_role }));
        both["Statement"].as_array_mut().unwrap().push(deny(&json!({}))["Statement"][0].take());
        assert_eq!(denies(&both, &act), Ok(true), "another statement denies it");
    }

    #[test]
    fn stars_and_question_marks() {
        for (pattern, text, expected) in [
            ("*", "", true),
            ("a*c", "abbc", true),
            ("a*c", "abcd", false),
            ("a*b*c", "aXbYbZc", true),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("abc", "abcd", false),
            ("backups/*", "backups/", true),
        ] {
            assert_eq!(like(pattern, text), expected, "{pattern} {text}");
        }
    }
}
