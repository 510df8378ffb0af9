//! `node backups`: the backups of a stack, for operators. It reads the bucket, and writes nothing but holds.
//!
//! ```text
//! bucket: listing, manifests, holds --> Catalogue --> facts: Backup, one for each --> list, show, expire: text or JSON
//!                                          `-- name: which one is meant -----------> verify: reads its data
//!                                                                                    hold:   writes hold.json
//! ```

mod bucket;
#[cfg(test)]
mod example;
mod expire;
mod facts;
mod figures;
mod hold;
mod list;
mod name;
mod pick;
mod policy;
mod show;
mod verify;

use aws::Kind;
use backups::{Entry, Tier, Time};
use clap::{Args, Subcommand};
use runtime::{Environment, Invalid};
use serde::Serialize;

use bucket::{Bucket, Stock, Written};
use facts::Backup;
use hold::Hold;
pub(crate) use pick::snapshot;
use policy::Policy;

use crate::clock::now;

/// What is asked about backups.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Lists all backups: age, size, source, recovery point, verdict, why each is kept, and which one `latest` is
    List {
        /// Only backups of this tier: hourly, daily or manual
        #[arg(long, value_parser = tier)]
        tier: Option<Tier>,
        #[command(flatten)]
        from: From,
    },
    /// Shows everything about one backup, and the three lines that restore it by hand
    Show {
        #[command(flatten)]
        one: One,
    },
    /// Reads all data of one backup, and compares its length and SHA-256 with the manifest
    Verify {
        #[command(flatten)]
        one: One,
    },
    /// Says which backups expire and why; changes nothing
    Expire {
        /// Needed, because the backup trigger alone lets backups expire
        #[arg(long)]
        dry_run: bool,
        #[command(flatten)]
        from: From,
    },
    /// Keeps one backup whatever its age, until an administrator releases it
    Hold {
        #[command(flatten)]
        one: One,
        /// Why it is kept
        #[arg(long, required_unless_present = "release", conflicts_with = "release")]
        reason: Option<String>,
        /// Whom to ask before it is released
        #[arg(long, conflicts_with = "release")]
        owner: Option<String>,
        /// Says how an administrator releases it
        #[arg(long)]
        release: bool,
    },
}

/// Where backups are, and for whom they are printed.
#[derive(Debug, Args)]
pub(crate) struct From {
    /// The bucket of backups; without it BACKUP_BUCKET says which
    #[arg(long)]
    bucket: Option<String>,
    /// Prints JSON for programs
    #[arg(long)]
    json: bool,
}

/// Which backup.
#[derive(Debug, Args)]
pub(crate) struct One {
    /// Which one: s3://BUCKET/backups/TIER/TIME-ID, backups/TIER/TIME-ID, the beginning of a time, or latest
    backup: String,
    #[command(flatten)]
    from: From,
}

/// Why it cannot be said or done.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(
        "no bucket is named: give --bucket NAME, or set BACKUP_BUCKET; `aws cloudformation describe-stacks --stack-name STACK` \
         prints it as BackupBucketName"
    )]
    NoBucket,
    #[error("{0:?} is not the name of a bucket: give the name alone, without s3:// and without a folder")]
    NotABucket(String),
    #[error("the backup is in the bucket {uri} and --bucket says {option}: leave one of them out")]
    TwoBuckets { uri: String, option: String },
    #[error(
        "there is no bucket {0}, or not in this region: `aws s3 ls` lists those that there are, and AWS_REGION says the region"
    )]
    AbsentBucket(String),
    #[error(
        "{} on {} is denied ({}): listing takes s3:ListBucket on the bucket, reading s3:GetObject and a hold s3:PutObject below \
         backups/ (and the bucket's KMS key, if it has one); run it with a role that may",
        .0.call, .0.what, .0.reason
    )]
    Denied(aws::Error),
    #[error(
        "AWS was not asked, because no credentials were found: `aws sts get-caller-identity` says whom this shell acts for \
         ({0})"
    )]
    NoCredentials(String),
    #[error("{0}; run it again{hint}", hint = if .0.kind.passes() { " in a moment" } else { " when that is changed" })]
    Aws(aws::Error),
    #[error("{0} is written by others at this moment, and nothing was written: run it again")]
    Busy(String),
    #[error(
        "`node backups expire` without --dry-run lets nothing expire: the backup trigger does it at each tick, and this program \
         may not; `node backups expire --dry-run` says what the next tick does"
    )]
    NotHere,
    #[error(transparent)]
    Invalid(#[from] Invalid),
    #[error(transparent)]
    Name(#[from] name::NotOne),
    #[error(transparent)]
    Verify(#[from] verify::Fault),
    #[error(transparent)]
    Hold(#[from] hold::Refused),
    #[error(transparent)]
    Pick(#[from] pick::Refused),
}

impl Error {
    fn of(error: aws::Error, bucket: &str) -> Self {
        match error.kind {
            Kind::Denied => Self::Denied(error),
            // The SDK's own words, before any call: an answer of S3 begins with a code.
            Kind::Passing if error.reason.contains("credential") => Self::NoCredentials(error.reason),
            _ if error.reason.starts_with("NoSuchBucket") => Self::AbsentBucket(bucket.to_owned()),
            _ => Self::Aws(error),
        }
    }
}

/// The text for the terminal.
///
/// # Errors
/// When the bucket is not named or cannot be read, the backup is not one, or what was asked for is refused.
pub(crate) async fn run(environment: &Environment, verb: &Verb) -> Result<String, Error> {
    let (from, backup) = match verb {
        Verb::Expire { dry_run: false, .. } => return Err(Error::NotHere),
        Verb::List { from, .. } | Verb::Expire { from, .. } => (from, None),
        Verb::Show { one } | Verb::Verify { one } | Verb::Hold { one, .. } => {
            (&one.from, Some(one.backup.as_str()))
        }
    };
    let name = bucket::named(from.bucket.as_deref(), backup, environment)?;
    let asked = Asked { policy: Policy::read(environment)?, now: now(), json: from.json };
    // Before anything is called, so that a hold that is refused costs no time.
    let hold = hold_of(verb, asked.now)?;
    let bucket = Bucket::new(aws::sdk_config().await, name);
    let stock = bucket.stock().await?;
    let Asked { policy, now, json } = &asked;
    match verb {
        Verb::List { tier, .. } => Ok(list::render(&stock, &bucket.name, policy, *now, *tier, *json)),
        Verb::Expire { .. } => Ok(expire::render(&stock, &bucket.name, policy, *now, *json)),
        Verb::Show { one } => {
            let (_, backup) = asked.find(&one.backup, &bucket, &stock)?;
            Ok(show::render(&backup, &bucket.name, *now, *json))
        }
        Verb::Verify { one } => {
            let (entry, backup) = asked.find(&one.backup, &bucket, &stock)?;
            let uploads = bucket.uploads();
            Ok(Box::pin(verify::run(&uploads, &bucket.name, entry, &backup, *json)).await?)
        }
        Verb::Hold { one, .. } => {
            let (entry, backup) = asked.find(&one.backup, &bucket, &stock)?;
            let Some(hold) = hold else { return Err(hold::release(&backup, &bucket.name).into()) };
            match bucket.hold(&entry.folder, &hold).await? {
                Written::Held => Ok(hold::render(&backup, &bucket.name, &hold, *json)),
                Written::Already(there) => {
                    let (folder, hold) = (backup.folder.clone(), there.to_string());
                    Err(hold::Refused::Already { folder, hold }.into())
                }
            }
        }
    }
}

/// What is the same for all verbs.
struct Asked {
    policy: Policy,
    now: Time,
    json: bool,
}

impl Asked {
    fn find<'s>(&self, text: &str, bucket: &Bucket, stock: &'s Stock) -> Result<(&'s Entry, Backup), Error> {
        let entry = name::resolve(text, &bucket.name, &stock.catalogue)?;
        let folder = entry.folder.to_string();
        let all = facts::all(&stock.catalogue, &stock.holds, &self.policy, self.now);
        let backup = all.into_iter().find(|backup| backup.folder == folder);
        Ok((entry, backup.expect("each entry of a catalogue has its facts")))
    }
}

/// What is to be written; `None` when nothing is.
fn hold_of(verb: &Verb, now: Time) -> Result<Option<Hold>, hold::Refused> {
    let Verb::Hold { reason: Some(reason), owner, .. } = verb else { return Ok(None) };
    let reason = Some(hold::text("the reason", reason)?);
    let owner = owner.as_deref().map(|owner| hold::text("the owner", owner)).transpose()?;
    Ok(Some(Hold { reason, owner, since: Some(now) }))
}

fn tier(word: &str) -> Result<Tier, String> {
    word.parse().map_err(|()| "a tier is hourly, daily or manual".to_owned())
}

/// JSON for programs, on lines for people.
fn json(document: &impl Serialize) -> String {
    serde_json::to_string_pretty(document).expect("a document has no maps with other keys than text") + "\n"
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(subcommand)]
        verb: Verb,
    }

    fn verb(words: &str) -> Result<Verb, String> {
        let line = Line::try_parse_from(["backups"].into_iter().chain(words.split_whitespace()));
        line.map(|line| line.verb).map_err(|error| error.to_string())
    }

    async fn refused(words: &str, variables: &[(&str, &str)]) -> String {
        let environment = variables.iter().copied().collect();
        run(&environment, &verb(words).unwrap()).await.unwrap_err().to_string()
    }

    #[test]
    fn the_command_line_is_as_it_is_documented() {
        for words in [
            "list",
            "list --tier manual --bucket b --json",
            "show latest",
            "verify s3://b/backups/hourly/x --json",
            "expire",
            "expire --dry-run --bucket b",
            "hold 2026 --reason audit",
            "hold 2026 --reason audit --owner ann --json",
            "hold 2026 --release",
        ] {
            assert!(verb(words).is_ok(), "{words}: {:?}", verb(words));
        }
        for (words, part) in [
            ("list --tier weekly", "a tier is hourly, daily or manual"),
            ("show", "<BACKUP>"),
            ("hold 2026", "--reason <REASON>"),
            ("hold 2026 --release --reason x", "cannot be used with"),
            ("hold 2026 --release --owner x", "cannot be used with"),
        ] {
            let said = verb(words).unwrap_err();
            assert!(said.contains(part), "{words}: {said}");
        }
    }

    /// Before anything is called: these tests have no cloud.
    #[tokio::test]
    async fn what_needs_no_bucket_to_be_refused_is_refused_first() {
        let expire = refused("expire --bucket b-b", &[]).await;
        assert!(
            expire.contains("the backup trigger does it at each tick") && expire.contains("--dry-run"),
            "{expire}"
        );
        assert!(refused("list", &[]).await.starts_with("no bucket is named"));
        let number = refused("list --bucket b-b", &[("KEEP_DAILY", "-1")]).await;
        assert_eq!(number, "KEEP_DAILY is \"-1\": invalid digit found in string");
        let long = refused(&format!("hold latest --bucket b-b --reason {}", "x".repeat(501)), &[]).await;
        assert!(long.starts_with("a hold is a sentence: the reason has 501 characters"), "{long}");
    }

    #[test]
    fn what_s3_refuses_says_what_to_do() {
        let error = |reason: &str, kind| {
            let what = "s3://b/backups/".to_owned();
            let error = aws::Error { call: "s3:ListBucket", what, reason: reason.to_owned(), kind };
            Error::of(error, "b").to_string()
        };
        let denied = error("AccessDenied: Access Denied", Kind::Denied);
        assert!(
            denied.starts_with(
                "s3:ListBucket on s3://b/backups/ is denied (AccessDenied: Access Denied): listing takes"
            ),
            "{denied}"
        );
        assert!(
            error("NoSuchBucket: m", Kind::Other).starts_with("there is no bucket b, or not in this region")
        );
        assert!(error("SlowDown: m", Kind::Throttled).ends_with("SlowDown: m; run it again in a moment"));
    }
}
