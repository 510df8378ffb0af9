//! The bucket: the only place of these verbs where S3 is called.

use std::collections::BTreeMap;

use aws::{Head, Kind, Objects, Put, SdkConfig, Uploads};
use backups::{Catalogue, Folder, LONGEST, Listed, MANIFEST, Manifest, ROOT, Unreadable};
use runtime::Environment;
use tokio::{task::JoinSet, time::sleep};

use super::{Error, hold::Hold, name};

/// So many objects are read at once: S3 answers each in some 20 ms, and a bucket has some hundred.
const AT_ONCE: usize = 16;
/// A hold is a sentence.
const LONGEST_HOLD: usize = 64 << 10;
/// A write that meets another one (409) is tried so often, so far apart.
const TRIES: u32 = 5;
const APART: std::time::Duration = std::time::Duration::from_millis(200);

/// One bucket of backups.
#[derive(Debug)]
pub(super) struct Bucket {
    pub name: String,
    objects: Objects,
    config: SdkConfig,
}

/// What is in it.
#[derive(Debug, Default)]
pub(super) struct Stock {
    pub catalogue: Catalogue,
    /// What operators wrote into the holds of the catalogue.
    pub holds: BTreeMap<Folder, Hold>,
}

impl Stock {
    /// The length of everything in a folder without a manifest.
    pub(super) fn bytes(&self, orphan: &Folder) -> u64 {
        self.catalogue.objects(orphan).iter().map(|object| object.bytes).sum()
    }
}

/// What became of a hold.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Written {
    Held,
    /// There was one before.
    Already(Hold),
}

/// The bucket that is meant: that of a URI, or else the option's, or else the variable's.
///
/// # Errors
/// When none is named, the URI's is not the option's, or it is not the name of a bucket.
pub(super) fn named(
    option: Option<&str>,
    backup: Option<&str>,
    environment: &Environment,
) -> Result<String, Error> {
    let of_uri = backup.and_then(name::bucket);
    // As the console and other tools show it.
    let option = option.map(|name| name.trim().trim_start_matches("s3://").trim_end_matches('/'));
    if let (Some(uri), Some(option)) = (of_uri, option)
        && uri != option
    {
        return Err(Error::TwoBuckets { uri: uri.to_owned(), option: option.to_owned() });
    }
    let variable = environment.text("BACKUP_BUCKET");
    let name = of_uri.or(option).or(variable).ok_or(Error::NoBucket)?;
    // It becomes part of commands to type.
    let letters = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_".contains(&byte));
    if letters && (3..=63).contains(&name.len()) {
        Ok(name.to_owned())
    } else {
        Err(Error::NotABucket(name.to_owned()))
    }
}

impl Bucket {
    pub(super) fn new(config: SdkConfig, name: String) -> Self {
        Self { name, objects: Objects::new(&config), config }
    }

    /// Everything that is there.
    ///
    /// # Errors
    /// When the listing fails, or what it names may not be read.
    pub(super) async fn stock(&self) -> Result<Stock, Error> {
        let listed =
            self.objects.list(&self.name, ROOT).await.map_err(|error| Error::of(error, &self.name))?;
        let listing: Vec<Listed> = listed.into_iter().map(|(key, bytes)| Listed { key, bytes }).collect();
        let manifests = self.manifests(&listing).await?;
        let catalogue = Catalogue::of(&listing, &manifests);
        let held: Vec<&Folder> =
            catalogue.entries.iter().filter(|entry| entry.held).map(|entry| &entry.folder).collect();
        let read = self.read(held.iter().map(|folder| (folder.hold(), LONGEST_HOLD)).collect()).await?;
        let words = |folder: &Folder| match read.get(&folder.hold()) {
            Some(Some(Ok(body))) => Hold::read(body),
            // It was listed, so it is a hold, whatever it says.
            _ => Hold::default(),
        };
        let holds = held.into_iter().map(|folder| (folder.clone(), words(folder))).collect();
        Ok(Stock { catalogue, holds })
    }

    async fn manifests(
        &self,
        listing: &[Listed],
    ) -> Result<BTreeMap<String, Result<Manifest, Unreadable>>, Error> {
        let is_manifest = |listed: &&Listed| {
            Folder::of_manifest(&listed.key).is_some_and(|folder| listed.key == folder.manifest())
        };
        let (short, long): (Vec<&Listed>, Vec<&Listed>) = listing
            .iter()
            .filter(is_manifest)
            .partition(|listed| usize::try_from(listed.bytes).is_ok_and(|bytes| bytes <= LONGEST));
        let read = self.read(short.iter().map(|listed| (listed.key.clone(), LONGEST)).collect()).await?;
        let judged = read.into_iter().map(|(key, body)| {
            let manifest = match body {
                Some(Ok(body)) => Manifest::read(&body),
                // A passing failure costs one line, not the table. What has gone since the listing is said likewise.
                Some(Err(_)) | None => Err(Unreadable::NotRead),
            };
            (key, manifest)
        });
        let long = long.iter().map(|listed| (listed.key.clone(), Err(Unreadable::TooLong)));
        Ok(judged.chain(long).collect())
    }

    /// Small objects with the longest that each may be; `None` if absent.
    ///
    /// # Errors
    /// When one may not be read: what is denied is not a passing failure, and it is the same for all.
    async fn read(
        &self,
        keys: Vec<(String, usize)>,
    ) -> Result<BTreeMap<String, Option<Result<Vec<u8>, aws::Error>>>, Error> {
        let mut bodies = BTreeMap::new();
        for keys in keys.chunks(AT_ONCE) {
            let mut reads = JoinSet::new();
            for (key, longest) in keys.iter().cloned() {
                let (objects, bucket) = (self.objects.clone(), self.name.clone());
                reads.spawn(async move {
                    let read = objects.get(&bucket, &key, longest).await.transpose();
                    (key, read.map(|read| read.map(|stored| stored.body)))
                });
            }
            for (key, read) in reads.join_all().await {
                match read {
                    Some(Err(error)) if error.kind == Kind::Denied => {
                        return Err(Error::of(error, &self.name));
                    }
                    read => drop(bodies.insert(key, read)),
                }
            }
        }
        Ok(bodies)
    }

    /// Writes a hold if there is none.
    ///
    /// # Errors
    /// When it is not known whether it was written.
    pub(super) async fn hold(&self, folder: &Folder, hold: &Hold) -> Result<Written, Error> {
        let key = folder.hold();
        for _try in 0..TRIES {
            let put = self.objects.put(&self.name, &key, hold.write(), None).await;
            match put.map_err(|error| Error::of(error, &self.name))? {
                Put::Written(_) => return Ok(Written::Held),
                Put::Busy => sleep(APART).await,
                Put::Lost => {
                    let there = self.objects.get(&self.name, &key, LONGEST_HOLD).await;
                    let there = there.map_err(|error| Error::of(error, &self.name))?;
                    let there = there.map_or_else(Hold::default, |stored| Hold::read(&stored.body));
                    // The own one, by a request whose answer was lost below.
                    return Ok(if there == *hold { Written::Held } else { Written::Already(there) });
                }
            }
        }
        Err(Error::Busy(format!("s3://{}/{key}", self.name)))
    }

    /// Length and version of an object; `None` if absent.
    pub(super) async fn head(&self, key: &str) -> Result<Option<Head>, Error> {
        self.objects.head(&self.name, key).await.map_err(|error| Error::of(error, &self.name))
    }

    /// For the length of a whole backup.
    pub(super) fn uploads(&self) -> Uploads {
        Uploads::new(&self.config)
    }
}

/// Where the manifest of a folder is, as a URI.
pub(super) fn manifest(bucket: &str, folder: &str) -> String {
    format!("s3://{bucket}/{folder}/{MANIFEST}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(option: Option<&str>, backup: Option<&str>, variable: Option<&str>) -> Result<String, String> {
        let environment = variable.map(|name| ("BACKUP_BUCKET", name)).into_iter().collect();
        named(option, backup, &environment).map_err(|error| error.to_string())
    }

    #[test]
    fn the_bucket_of_a_uri_is_before_the_option_and_the_option_before_the_variable() {
        let uri = Some("s3://of-uri/backups/hourly/x");
        assert_eq!(name(None, uri, Some("of-stack")).as_deref(), Ok("of-uri"));
        assert_eq!(name(Some("of-uri"), uri, None).as_deref(), Ok("of-uri"));
        assert_eq!(name(Some("s3://of-option/"), Some("2026"), Some("of-stack")).as_deref(), Ok("of-option"));
        assert_eq!(name(None, Some("latest"), Some("of-stack")).as_deref(), Ok("of-stack"));
    }

    #[test]
    fn what_names_no_bucket_or_two_is_refused() {
        assert!(name(None, None, None).unwrap_err().starts_with("no bucket is named: give --bucket NAME"));
        let two = name(Some("other"), Some("s3://of-uri/backups/x"), None).unwrap_err();
        assert_eq!(two, "the backup is in the bucket of-uri and --bucket says other: leave one of them out");
        for wrong in ["ab", "a/b/c", "a b c", "a;b;c", &"x".repeat(64)] {
            let refused = name(Some(wrong), None, None).unwrap_err();
            assert!(refused.contains("is not the name of a bucket"), "{refused}");
        }
    }
}
