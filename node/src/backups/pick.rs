//! The backup that an operator means as one object in one version, checked: what `node restore` restores.

use backups::{Catalogue, Entry, Refused as Unfit, Snapshot, Standing, Target, Time, Unreadable, check};
use runtime::Environment;

use super::{
    Error,
    bucket::{self, Bucket, manifest},
    name,
};
use crate::clock::now;

/// What a time begins with.
const BEFORE: &str = "before:";

/// Why a backup is not restored. Each is a whole sentence.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    #[error("{0:?} is not a time of UTC such as before:2026-11-25T14:00Z")]
    NotATime(String),
    #[error(
        "before:{time} is in the future, because it is {now} now: give a time that has passed, or latest"
    )]
    Future { time: Time, now: Time },
    #[error(
        "no verified backup in s3://{bucket} was copied before {time}: `node backups list --bucket {bucket}` says what there is"
    )]
    NoneBefore { bucket: String, time: Time },
    #[error("{uri} cannot be relied on: {reason}")]
    Unreadable { uri: String, reason: Unreadable },
    #[error("{uri} is not restored: {reason}")]
    Unfit { uri: String, reason: Unfit },
    #[error("the data of {0} is gone, or of another length than its manifest says: choose another backup")]
    NoData(String),
}

/// The one that `text` names, in the bucket that is meant.
///
/// # Errors
/// When it is not one, does not fit `target`, or the bucket cannot be read.
pub(crate) async fn snapshot(
    environment: &Environment,
    option: Option<&str>,
    text: &str,
    target: &Target,
) -> Result<Snapshot, Error> {
    let bucket = Bucket::new(aws::sdk_config().await, bucket::named(option, Some(text), environment)?);
    let stock = bucket.stock().await?;
    let entry = match text.trim().strip_prefix(BEFORE) {
        Some(time) => before(time, now(), &bucket.name, &stock.catalogue)?,
        None => name::resolve(text, &bucket.name, &stock.catalogue)?,
    };
    let uri = manifest(&bucket.name, &entry.folder.to_string());
    let found = usable(entry, &uri, target)?;
    let head = bucket.head(&found.data.key).await?;
    let head = head.filter(|head| head.bytes == found.data.bytes).ok_or(Refused::NoData(uri))?;
    Ok(Snapshot::of(text.trim().to_owned(), &bucket.name, entry.folder.manifest(), found, head.etag))
}

/// The newest verified one that has nothing from that time on in it.
fn before<'c>(text: &str, now: Time, bucket: &str, catalogue: &'c Catalogue) -> Result<&'c Entry, Refused> {
    let time = Time::typed(text.trim()).map_err(|_| Refused::NotATime(format!("{BEFORE}{text}")))?;
    if time > now {
        return Err(Refused::Future { time, now });
    }
    catalogue.before(time).chosen.ok_or_else(|| Refused::NoneBefore { bucket: bucket.to_owned(), time })
}

/// Its manifest, if it can be restored into `target`.
fn usable(entry: &Entry, uri: &str, target: &Target) -> Result<backups::Manifest, Refused> {
    let manifest = entry.manifest.clone();
    let manifest = manifest.map_err(|reason| Refused::Unreadable { uri: uri.to_owned(), reason })?;
    let fits = check(&manifest, &entry.folder.manifest(), target);
    fits.map_err(|reason| Refused::Unfit { uri: uri.to_owned(), reason })?;
    if entry.verdict() == Standing::Missing {
        return Err(Refused::NoData(uri.to_owned()));
    }
    Ok(manifest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backups::example::{BUCKET, one_of_each};

    const NOW: &str = "2026-11-26T00-00-00Z";

    fn found(text: &str) -> Result<String, String> {
        let stock = one_of_each();
        let entry = before(text, NOW.parse().unwrap(), BUCKET, &stock.catalogue);
        entry.map(|entry| entry.folder.to_string()).map_err(|refused| refused.to_string())
    }

    #[test]
    fn a_time_names_the_newest_verified_backup_before_it() {
        let latest = one_of_each().catalogue.latest().chosen.unwrap().folder.to_string();
        assert_eq!(found("2026-11-25T23:59Z").as_deref(), Ok(latest.as_str()));
        assert_ne!(found("2026-11-25T21:00Z").as_deref(), Ok(latest.as_str()));
        assert!(
            found("2026-11-26T00:00:01Z")
                .unwrap_err()
                .starts_with("before:2026-11-26T00-00-01Z is in the future")
        );
        assert!(found("1999-01-01T00:00Z").unwrap_err().starts_with("no verified backup in s3://"));
        assert_eq!(
            found("noon").unwrap_err(),
            "\"before:noon\" is not a time of UTC such as before:2026-11-25T14:00Z"
        );
    }

    #[test]
    fn each_backup_is_restored_only_if_it_can_be() {
        let stock = one_of_each();
        let target = Target::of("3.4.6".parse().unwrap());
        for entry in &stock.catalogue.entries {
            let strict = usable(entry, "u", &target);
            let lenient = usable(entry, "u", &target.clone().accepting_unverified(true));
            let expected = match entry.verdict() {
                Standing::Verified => (true, true),
                Standing::Unchecked | Standing::Inconsistent => (false, true),
                Standing::Missing | Standing::Unreadable => (false, false),
            };
            assert_eq!((strict.is_ok(), lenient.is_ok()), expected, "{}: {strict:?}", entry.folder);
        }
    }
}
