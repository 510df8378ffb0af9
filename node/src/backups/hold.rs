//! `node backups hold`: a backup that an operator keeps, whatever its age. While its folder has a `hold.json`, nothing of it expires.

use std::fmt;

use backups::{HOLD, Time};
use serde::{Deserialize, Serialize};

use super::{facts::Backup, figures::plain, json};

/// Characters of a reason, or of an owner.
const LONGEST: usize = 500;

/// What is in a `hold.json`: for people, so nothing of it must be there.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Hold {
    /// Why the backup is held; null if the object does not say.
    pub reason: Option<String>,
    /// Whom to ask before it is released; null if the object does not say.
    pub owner: Option<String>,
    /// Since when; null if the object does not say.
    pub since: Option<Time>,
}

impl Hold {
    /// Whatever is in it, the object is a hold.
    pub(super) fn read(bytes: &[u8]) -> Self {
        serde_json::from_slice(bytes).unwrap_or_default()
    }

    pub(super) fn write(&self) -> Vec<u8> {
        serde_json::to_vec_pretty(self).expect("a hold has neither maps nor numbers that JSON cannot have")
    }
}

impl fmt::Display for Hold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let reason = self.reason.as_deref().map_or_else(|| "without a reason".to_owned(), plain);
        write!(f, "{reason}")?;
        if let Some(owner) = &self.owner {
            write!(f, ", by {}", plain(owner))?;
        }
        match self.since {
            Some(since) => write!(f, ", since {since}"),
            None => Ok(()),
        }
    }
}

/// The JSON of `hold`. A later version may add fields, as long as `format` is 1.
#[derive(Debug, Serialize)]
struct Held<'h> {
    /// 1.
    format: u32,
    /// The bucket.
    bucket: &'h str,
    /// `backups/<tier>/<time>-<id>`.
    folder: &'h str,
    /// What was written.
    hold: &'h Hold,
    /// Whether the backup was to expire before: then its objects may be tagged for deletion until the next tick.
    may_be_tagged: bool,
}

/// What was done. `backup` is as it was before the hold.
pub(super) fn render(backup: &Backup, bucket: &str, hold: &Hold, as_json: bool) -> String {
    let folder = &backup.folder;
    if as_json {
        return json(&Held { format: 1, bucket, folder, hold, may_be_tagged: !backup.kept });
    }
    let mut text = format!(
        "{folder} is held ({hold}): nothing of it expires until s3://{bucket}/{folder}/{HOLD} is deleted\n"
    );
    if !backup.kept {
        text += &format!(
            "it was to expire, so the backup trigger may have tagged it for deletion already: its next tick takes the tag off \
             again, within a quarter of an hour, and an administrator does so at once:\n  {}\n  {}\n",
            untag(bucket, &format!("{folder}/{}", backups::MANIFEST)),
            untag(bucket, backup.data_key.as_deref().unwrap_or(&format!("{folder}/{}", backups::DATA))),
        );
    }
    text
}

fn untag(bucket: &str, key: &str) -> String {
    format!("aws s3api delete-object-tagging --bucket {bucket} --key {key}")
}

/// Why a hold is not written or released.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    #[error("{0} is empty: write what a stranger understands in a year")]
    Empty(&'static str),
    #[error("a hold is a sentence: {0} has {1} characters, and at most {LONGEST} are kept")]
    TooLong(&'static str, usize),
    #[error(
        "{folder} is held already ({hold}), and a hold is never overwritten: {folder} is safe, and nothing was changed"
    )]
    Already { folder: String, hold: String },
    #[error("{0} is not held, so there is nothing to release: `node backups list` says why it is kept")]
    NotHeld(String),
    /// The roles of the stack may delete nothing, whatever the policy of a given bucket says.
    #[error(
        "{folder} is still held ({hold}): no role of the stack may delete, so this program deletes nothing; an administrator \
         releases it with\n  aws s3api delete-object --bucket {bucket} --key {folder}/{HOLD}"
    )]
    Release { bucket: String, folder: String, hold: String },
}

/// A text of the command line that goes into a hold.
pub(super) fn text(name: &'static str, text: &str) -> Result<String, Refused> {
    let (text, length) = (text.trim(), text.trim().chars().count());
    match length {
        0 => Err(Refused::Empty(name)),
        1..=LONGEST => Ok(text.to_owned()),
        _ => Err(Refused::TooLong(name, length)),
    }
}

/// Why a hold is not released here, whatever it is.
pub(super) fn release(backup: &Backup, bucket: &str) -> Refused {
    let folder = backup.folder.clone();
    match &backup.hold {
        Some(hold) => Refused::Release { bucket: bucket.to_owned(), folder, hold: hold.to_string() },
        None => Refused::NotHeld(folder),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backups::example::{A1, BUCKET, E5, F6, backup, hold};

    #[test]
    fn a_hold_is_read_back_and_whatever_else_is_there_is_a_hold_too() {
        assert_eq!(Hold::read(&hold().write()), hold());
        for bytes in [&b""[..], b"[]", b"\xff", br#"{"since": "yesterday"}"#] {
            assert_eq!(Hold::read(bytes), Hold::default());
        }
        assert_eq!(Hold::default().to_string(), "without a reason");
        let partly = Hold::read(br#"{"reason": "x\u001b[2J", "ticket": 7}"#);
        assert_eq!(partly.to_string(), "x\\u{1b}[2J");
    }

    #[test]
    fn a_hold_on_one_that_is_kept_is_one_line() {
        assert_eq!(
            render(&backup(A1), BUCKET, &hold(), false),
            format!(
                "{A1} is held (the audit, by ann, since 2026-11-25T21-00-00Z): nothing of it expires until \
                 s3://{BUCKET}/{A1}/hold.json is deleted\n"
            )
        );
    }

    /// The trigger may have tagged it at an earlier tick, and the lifecycle does not look at holds.
    #[test]
    fn a_hold_on_one_that_was_to_expire_says_that_its_tags_must_go() {
        let text = render(&backup(F6), BUCKET, &hold(), false);
        for key in ["manifest.json", "store.tar.zst"] {
            let line = format!("\n  aws s3api delete-object-tagging --bucket {BUCKET} --key {F6}/{key}\n");
            assert!(text.contains(&line), "{text}");
        }
        for (folder, tagged) in [(A1, false), (F6, true)] {
            let json: serde_json::Value =
                serde_json::from_str(&render(&backup(folder), BUCKET, &hold(), true)).unwrap();
            let expected = serde_json::json!({"format": 1, "bucket": BUCKET, "folder": folder, "may_be_tagged": tagged,
                "hold": {"reason": "the audit", "owner": "ann", "since": "2026-11-25T21-00-00Z"}});
            assert_eq!(json, expected);
        }
    }

    #[test]
    fn a_release_is_the_command_of_an_administrator() {
        assert_eq!(
            release(&backup(E5), BUCKET).to_string(),
            format!(
                "{E5} is still held (the audit, by ann, since 2026-11-25T21-00-00Z): no role of the stack may delete, so this \
                 program deletes nothing; an administrator releases it with\n  aws s3api delete-object --bucket {BUCKET} --key \
                 {E5}/hold.json"
            )
        );
        assert_eq!(release(&backup(A1), BUCKET), Refused::NotHeld(A1.into()));
    }

    #[test]
    fn a_reason_is_a_sentence() {
        assert_eq!(text("the reason", "  the audit\n").unwrap(), "the audit");
        assert_eq!(text("the reason", " "), Err(Refused::Empty("the reason")));
        assert_eq!(text("the owner", &"x".repeat(501)), Err(Refused::TooLong("the owner", 501)));
    }
}
