//! Which backup an operator means: `latest`, a URI, a folder, or the beginning of a time.

use backups::{Catalogue, DATA, Entry, Folder, MANIFEST, ROOT, Time};

/// So many candidates are listed: more are a question, not an answer.
const CANDIDATES: usize = 10;
const NEAREST: usize = 3;
/// What a time that is only begun is filled up from.
const FIRST: &str = "1970-01-01T00-00-00Z";

/// Why a name is not one backup.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotOne {
    #[error(
        "{0:?} names no backup: give s3://BUCKET/backups/TIER/TIME-ID, backups/TIER/TIME-ID, the beginning of a time such as \
         2026-11-25T21, or latest"
    )]
    Form(String),
    #[error("there is no backup in s3://{0}/{ROOT}: `node backups list --bucket {0}` says what is there")]
    Empty(String),
    #[error(
        "no backup in s3://{0}/{ROOT} is verified, so latest is none: `node backups list --bucket {0}` says why"
    )]
    NoLatest(String),
    #[error("{text:?} is the beginning of {} backups: name one of them{}", candidates.len(), lines(candidates))]
    Ambiguous { text: String, candidates: Vec<String> },
    #[error("there is no backup {text:?}: the nearest to it are{}", lines(nearest))]
    Unknown { text: String, nearest: Vec<String> },
    #[error(
        "{0} has no {MANIFEST}, so it is not a backup: it is under way, or it was cut short, and then the backup trigger lets \
         it expire"
    )]
    Orphan(String),
}

fn lines(folders: &[String]) -> String {
    let shown = folders.iter().take(CANDIDATES);
    let mut text = shown.fold(String::new(), |text, folder| text + "\n  " + folder);
    if let Some(more) = folders.len().checked_sub(CANDIDATES).filter(|more| *more > 0) {
        text += &format!("\n  and {more} more");
    }
    text
}

/// The bucket of a URI; `None` if it is not one.
pub(super) fn bucket(text: &str) -> Option<&str> {
    let rest = text.trim().strip_prefix("s3://")?;
    Some(rest.split_once('/').map_or(rest, |(bucket, _)| bucket))
}

/// The one backup that `text` names in `bucket`.
pub(super) fn resolve<'c>(text: &str, bucket: &str, catalogue: &'c Catalogue) -> Result<&'c Entry, NotOne> {
    if text.trim() == "latest" {
        return catalogue.latest().chosen.ok_or_else(|| NotOne::NoLatest(bucket.to_owned()));
    }
    let wanted = wanted(text).ok_or_else(|| NotOne::Form(text.to_owned()))?;
    let matching = |folder: &Folder| begins(folder, &wanted);
    let found: Vec<&Entry> = catalogue.entries.iter().filter(|entry| matching(&entry.folder)).collect();
    // The whole name of one may be the beginning of another's.
    if let Some(exact) = found.iter().find(|entry| is(&entry.folder, &wanted)) {
        return Ok(exact);
    }
    match found.as_slice() {
        [one] => Ok(one),
        [] => Err(absent(text, &wanted, bucket, catalogue)),
        several => {
            let candidates = several.iter().map(|entry| entry.folder.to_string()).collect();
            Err(NotOne::Ambiguous { text: text.to_owned(), candidates })
        }
    }
}

/// `[TIER/]TIME...` of whatever form, in the letters of a key; `None` if nothing is left.
fn wanted(text: &str) -> Option<String> {
    let text = text.trim();
    let key = match text.strip_prefix("s3://") {
        Some(rest) => rest.split_once('/')?.1,
        None => text,
    };
    let key = key.strip_suffix(MANIFEST).or_else(|| key.strip_suffix(DATA)).unwrap_or(key);
    let name = key.strip_prefix(ROOT).unwrap_or(key).trim_end_matches('/');
    // As other tools spell a time: keys have dashes in the place of its colons.
    (!name.is_empty()).then(|| name.replace(':', "-"))
}

/// The names that a folder goes by: with its tier and without.
fn names(folder: &Folder) -> [String; 2] {
    [format!("{}/{}-{}", folder.tier, folder.time, folder.id), format!("{}-{}", folder.time, folder.id)]
}

fn begins(folder: &Folder, wanted: &str) -> bool {
    names(folder).iter().any(|name| name.starts_with(wanted))
}

fn is(folder: &Folder, wanted: &str) -> bool {
    names(folder).iter().any(|name| name == wanted)
}

fn absent(text: &str, wanted: &str, bucket: &str, catalogue: &Catalogue) -> NotOne {
    if let Some(orphan) = catalogue.orphans.iter().find(|folder| begins(folder, wanted)) {
        return NotOne::Orphan(orphan.to_string());
    }
    let mut near: Vec<&Folder> = catalogue.entries.iter().map(|entry| &entry.folder).collect();
    if near.is_empty() {
        return NotOne::Empty(bucket.to_owned());
    }
    let name = wanted.rsplit('/').next().unwrap_or(wanted);
    if let Some(time) = begun(name) {
        // Stable, so that of two that are as near the newer one stays before the other.
        near.sort_by_key(|folder| folder.time.epoch().abs_diff(time.epoch()));
    }
    let nearest = near.into_iter().take(NEAREST).map(ToString::to_string).collect();
    NotOne::Unknown { text: text.to_owned(), nearest }
}

/// The first moment of a time that is only begun: `2026-11-25T21` is nine o'clock.
fn begun(name: &str) -> Option<Time> {
    let name = name.get(..FIRST.len()).unwrap_or(name);
    format!("{name}{}", FIRST.get(name.len()..)?).parse().ok()
}

#[cfg(test)]
mod tests {
    use backups::Consistency::Consistent;

    use super::*;
    use crate::backups::example::{A1, B2, BUCKET, E5, ORPHANS, manifest, one_of_each, stock};

    fn found(text: &str) -> Result<String, String> {
        let stock = one_of_each();
        let entry = resolve(text, BUCKET, &stock.catalogue);
        entry.map(|entry| entry.folder.to_string()).map_err(|error| error.to_string())
    }

    #[test]
    fn a_backup_has_many_names() {
        for text in [
            A1,
            "s3://s-backups/backups/hourly/2026-11-25T21-15-05Z-a1",
            "s3://s-backups/backups/hourly/2026-11-25T21-15-05Z-a1/",
            "s3://s-backups/backups/hourly/2026-11-25T21-15-05Z-a1/manifest.json",
            "backups/hourly/2026-11-25T21-15-05Z-a1/store.tar.zst",
            "hourly/2026-11-25T21",
            " 2026-11-25T21 ",
            "2026-11-25T21:15",
            "2026-11-25T21:15:05Z",
            "latest",
        ] {
            assert_eq!(found(text).as_deref(), Ok(A1), "{text}");
        }
        assert_eq!(found("2026-11-25T20-15-05Z-e").as_deref(), Ok(E5));
        assert_eq!(found("manual/").as_deref(), Ok(E5), "the only one of its tier");
    }

    #[test]
    fn what_may_be_several_is_refused_with_all_of_them() {
        assert_eq!(
            found("2026-11-25T20").unwrap_err(),
            "\"2026-11-25T20\" is the beginning of 2 backups: name one of them\n  \
             backups/manual/2026-11-25T20-15-05Z-e5\n  backups/hourly/2026-11-25T20-15-05Z-d4"
        );
        let folders: Vec<String> =
            (10..22).map(|minute| format!("backups/hourly/2026-11-25T21-{minute}-00Z-a")).collect();
        let many: Vec<_> = folders.iter().map(|folder| (manifest(folder, Consistent), None)).collect();
        let refused = resolve("2026", BUCKET, &stock(&many, &[]).catalogue).unwrap_err().to_string();
        assert!(refused.contains(" of 12 backups: ") && refused.ends_with("\n  and 2 more"), "{refused}");
    }

    /// Two of one second, of which one's id begins the other's.
    #[test]
    fn a_whole_name_is_not_ambiguous() {
        let longer = format!("{A1}2");
        let both = [(manifest(A1, Consistent), None), (manifest(&longer, Consistent), None)];
        let stock = stock(&both, &[]);
        for (text, folder) in [(A1, A1), ("2026-11-25T21-15-05Z-a12", longer.as_str())] {
            assert_eq!(resolve(text, BUCKET, &stock.catalogue).unwrap().folder.to_string(), folder);
        }
        assert!(matches!(resolve("2026-11-25T21", BUCKET, &stock.catalogue), Err(NotOne::Ambiguous { .. })));
    }

    #[test]
    fn the_nearest_in_time_are_named_for_what_is_not_there() {
        assert_eq!(
            found("2026-11-25T21:20").unwrap_err(),
            format!("there is no backup \"2026-11-25T21:20\": the nearest to it are\n  {A1}\n  {B2}\n  {E5}")
        );
        assert!(
            found("backups/hourly/2026-11-20T23").unwrap_err().contains("are\n  backups/hourly/2026-11-20")
        );
        // Not a time at all: the newest ones.
        assert!(found("tuesday").unwrap_err().contains("are\n  backups/daily/2026-11-25T23"));
        assert!(found("\u{e4}\u{e4}\u{e4}\u{e4}\u{e4}\u{e4}\u{e4}\u{e4}\u{e4}\u{e4}\u{e4}").is_err());
    }

    #[test]
    fn what_is_no_backup_says_what_it_is() {
        assert!(found("backups/").unwrap_err().contains("names no backup: give s3://BUCKET/backups/"));
        assert!(found("s3://s-backups").unwrap_err().contains("names no backup"));
        assert!(found(ORPHANS[0]).unwrap_err().starts_with(&format!("{} has no manifest.json", ORPHANS[0])));
        let empty = Catalogue::default();
        assert_eq!(resolve("2026", BUCKET, &empty), Err(NotOne::Empty(BUCKET.into())));
        assert_eq!(resolve("latest", BUCKET, &empty), Err(NotOne::NoLatest(BUCKET.into())));
    }

    #[test]
    fn the_bucket_of_a_uri() {
        assert_eq!(bucket("s3://b/backups/x"), Some("b"));
        assert_eq!(bucket("s3://b"), Some("b"));
        assert_eq!(bucket("backups/x"), None);
    }
}
