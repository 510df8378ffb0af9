//! Where backups are in a bucket: `backups/<tier>/<time>-<id>/` with `store.tar.zst`, `manifest.json`, and
//! sometimes `report.txt` and `hold.json`.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::Time;

/// What all keys of backups start with.
pub const ROOT: &str = "backups/";
/// The name of a manifest in its folder.
pub const MANIFEST: &str = "manifest.json";
/// The name of the data in its folder: a tar of the store's files, compressed with zstd.
pub const DATA: &str = "store.tar.zst";
/// The name of the consistency check's report in its folder: only beside an inconsistent backup.
pub const REPORT: &str = "report.txt";
/// The name of an operator's hold in its folder: while it is there, nothing of the folder expires. What is
/// in it is for people.
pub const HOLD: &str = "hold.json";
/// Enough to distinguish any two backups of one second.
const LONGEST_ID: usize = 64;

/// Why backups of a kind are made, and so how long each is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Tier {
    /// Every hour.
    Hourly,
    /// Every day.
    Daily,
    /// At an operator's request.
    Manual,
}

impl Tier {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Hourly, Self::Daily, Self::Manual];
}

impl fmt::Display for Tier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Hourly => "hourly",
            Self::Daily => "daily",
            Self::Manual => "manual",
        })
    }
}

impl FromStr for Tier {
    type Err = ();

    fn from_str(word: &str) -> Result<Self, ()> {
        match word {
            "hourly" => Ok(Self::Hourly),
            "daily" => Ok(Self::Daily),
            "manual" => Ok(Self::Manual),
            _ => Err(()),
        }
    }
}

/// The folder of one backup, in the order of time. Text, also in JSON, is `backups/<tier>/<time>-<id>`
/// without a slash at its end.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Folder {
    /// When the backup was begun. First, because `latest` is by time over all tiers.
    pub time: Time,
    /// Why backups of this kind are made.
    pub tier: Tier,
    /// Distinguishes it from other backups of the same second: letters, digits and dashes.
    pub id: String,
}

/// Text that is not a [`Folder`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a backup's folder such as backups/hourly/2026-11-25T21-15-05Z-7f3a")]
pub struct NotAFolder(String);

impl Folder {
    /// The folder of a backup; `None` if `id` cannot be part of a key.
    pub fn new(tier: Tier, time: Time, id: impl Into<String>) -> Option<Self> {
        let id = id.into();
        let letters = id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        (letters && (1..=LONGEST_ID).contains(&id.len())).then_some(Self { time, tier, id })
    }

    /// The folder that has `key` as its manifest; `None` if `key` is not a manifest's.
    pub fn of_manifest(key: &str) -> Option<Self> {
        Self::read(key.strip_suffix(MANIFEST)?.strip_suffix('/')?)
    }

    /// The folder in which the object `key` lies, however deep; `None` if `key` is not below a backup's folder.
    pub fn of_object(key: &str) -> Option<Self> {
        let tier = key.strip_prefix(ROOT)?.find('/')? + ROOT.len() + 1;
        let end = key.get(tier..)?.find('/')? + tier;
        Self::read(&key[..end])
    }

    /// Reads `backups/<tier>/<time>-<id>`, without a slash at its end.
    pub(crate) fn read(folder: &str) -> Option<Self> {
        let (tier, name) = folder.strip_prefix(ROOT)?.split_once('/')?;
        let (time, id) = name.split_at_checked(name.find('Z')? + 1)?;
        Self::new(tier.parse().ok()?, time.parse().ok()?, id.strip_prefix('-')?)
    }

    /// The key of its manifest.
    pub fn manifest(&self) -> String {
        format!("{self}/{MANIFEST}")
    }

    /// The key of its data.
    pub fn data(&self) -> String {
        format!("{self}/{DATA}")
    }

    /// The key of the consistency check's report.
    pub fn report(&self) -> String {
        format!("{self}/{REPORT}")
    }

    /// The key of an operator's hold.
    pub fn hold(&self) -> String {
        format!("{self}/{HOLD}")
    }
}

impl fmt::Display for Folder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { time, tier, id } = self;
        write!(f, "{ROOT}{tier}/{time}-{id}")
    }
}

impl FromStr for Folder {
    type Err = NotAFolder;

    fn from_str(text: &str) -> Result<Self, NotAFolder> {
        Self::read(text).ok_or_else(|| NotAFolder(text.to_owned()))
    }
}

impl TryFrom<String> for Folder {
    type Error = NotAFolder;

    fn try_from(text: String) -> Result<Self, NotAFolder> {
        text.parse()
    }
}

impl From<Folder> for String {
    fn from(folder: Folder) -> Self {
        folder.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(text: &str) -> Folder {
        Folder::read(text).unwrap()
    }

    #[test]
    fn a_folder_is_read_back() {
        let text = "backups/hourly/2026-11-25T21-15-05Z-7f3a-2";
        assert_eq!(folder(text).to_string(), text);
        assert_eq!(folder(text).manifest(), format!("{text}/manifest.json"));
        assert_eq!(folder(text).data(), format!("{text}/store.tar.zst"));
        assert_eq!(Folder::of_manifest(&folder(text).manifest()), Some(folder(text)));
    }

    #[test]
    fn a_folder_is_text_in_json_too_and_names_its_objects() {
        let text = "backups/manual/2026-11-25T21-15-05Z-a";
        assert_eq!(serde_json::to_string(&folder(text)).unwrap(), format!("{text:?}"));
        assert_eq!(serde_json::from_str::<Folder>(&format!("{text:?}")).unwrap(), folder(text));
        let refused = serde_json::from_str::<Folder>("\"backups/manual\"").unwrap_err().to_string();
        assert_eq!(
            refused,
            "\"backups/manual\" is not a backup's folder such as backups/hourly/2026-11-25T21-15-05Z-7f3a"
        );
        assert_eq!(folder(text).report(), format!("{text}/report.txt"));
        assert_eq!(folder(text).hold(), format!("{text}/hold.json"));
        for tier in Tier::ALL {
            assert_eq!(tier.to_string().parse(), Ok(tier));
            assert_eq!(serde_json::to_string(&tier).unwrap(), format!("\"{tier}\""));
        }
    }

    #[test]
    fn an_object_is_of_the_folder_that_it_is_below() {
        let text = "backups/hourly/2026-11-25T21-15-05Z-a";
        for name in ["manifest.json", "hold.json", "deep/er", ""] {
            assert_eq!(Folder::of_object(&format!("{text}/{name}")), Some(folder(text)), "{name:?}");
        }
        for key in [
            text,
            "",
            "backups/",
            "backups//x/y",
            "backups/hourly/",
            "backups/hourly//x",
            "owner.json",
            "backups/ö/Z/x",
        ] {
            assert_eq!(Folder::of_object(key), None, "{key:?}");
        }
    }

    #[test]
    fn whatever_is_no_manifest_of_a_backup_is_none() {
        for key in [
            "backups/hourly/2026-11-25T21-15-05Z-a/store.tar.zst",
            "backups/hourly/2026-11-25T21-15-05Z-a/",
            "backups/hourly/2026-11-25T21-15-05Z-a/x/manifest.json",
            "backups/hourly/2026-11-25T21-15-05Z-a/../manifest.json",
            "backups/hourly/2026-11-25T21-15-05Z-/manifest.json",
            "backups/hourly/2026-11-25T21-15-05Z/manifest.json",
            "backups/hourly/2026-11-25T21-15-05Z-a_b/manifest.json",
            "backups/weekly/2026-11-25T21-15-05Z-a/manifest.json",
            "backups/hourly/yesterday-a/manifest.json",
            "backups/manifest.json",
            "x/backups/hourly/2026-11-25T21-15-05Z-a/manifest.json",
            "backups/hourly/ö-Z-a/manifest.json",
        ] {
            assert_eq!(Folder::of_manifest(key), None, "{key}");
        }
    }
}
