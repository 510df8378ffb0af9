use super::*;
use crate::{
    Consistency::{Consistent, Inconsistent, Unchecked},
    Refused, Seconds,
    twin::{Bucket, folder, manifest_of, time},
};

const A: &str = "backups/hourly/2026-11-25T10-00-00Z-a";
const B: &str = "backups/daily/2026-11-25T11-00-00Z-b";
const C: &str = "backups/hourly/2026-11-25T12-00-00Z-c";
const D: &str = "backups/manual/2026-11-25T13-00-00Z-d";

fn names<'e>(entries: impl IntoIterator<Item = &'e Entry>) -> Vec<String> {
    entries.into_iter().map(|entry| entry.folder.to_string()).collect()
}

/// The verdict of one backup after a change to its manifest.
fn verdict(change: impl FnOnce(&mut Manifest)) -> Entry {
    let mut manifest = manifest_of(&folder(A), Consistent);
    change(&mut manifest);
    let mut bucket = Bucket::default();
    bucket.put(&folder(A), Consistent).commit(&folder(A), Ok(manifest));
    bucket.catalogue().entries.remove(0)
}

#[test]
fn backups_are_newest_first_over_all_tiers_and_folders_without_a_manifest_are_none() {
    let mut bucket = Bucket::default();
    bucket.put(&folder(C), Unchecked).put(&folder(A), Consistent).put(&folder(B), Consistent);
    bucket.object(&format!("{D}/store.tar.zst"), 7).object(&format!("{D}/deep/er"), 3);
    // None of these is in a backup's folder.
    for key in
        ["owner.json", "backups/", "backups/hourly/", "backups/hourly/x", "backups/hourly/x/manifest.json"]
    {
        bucket.object(key, 1);
    }
    let catalogue = bucket.catalogue();
    assert_eq!(names(&catalogue.entries), [C, B, A]);
    assert_eq!(catalogue.orphans, [folder(D)]);
    let objects = catalogue.objects(&folder(D));
    assert_eq!(objects.iter().map(|object| object.bytes).sum::<u64>(), 10);
    assert!(catalogue.objects(&folder(A)).is_empty(), "it has a manifest");

    let mut listing: Vec<Listed> =
        bucket.objects.iter().map(|(key, bytes)| Listed { key: key.clone(), bytes: *bytes }).collect();
    listing.reverse();
    let reversed = Catalogue::of(&listing, &bucket.manifests);
    assert_eq!(reversed.entries, catalogue.entries, "the order of a listing does not matter");
    assert_eq!(
        Catalogue::of(&[], &bucket.manifests),
        Catalogue::default(),
        "what is not listed does not exist"
    );
}

#[test]
fn only_what_was_found_consistent_and_is_there_in_its_length_is_verified() {
    assert_eq!(verdict(|_| {}).verdict(), Standing::Verified);
    assert_eq!(verdict(|manifest| manifest.consistency = Unchecked).verdict(), Standing::Unchecked);
    assert_eq!(verdict(|manifest| manifest.consistency = Inconsistent).verdict(), Standing::Inconsistent);
    assert_eq!(verdict(|manifest| manifest.data.bytes = 99).verdict(), Standing::Missing);
    let gone = |manifest: &mut Manifest| {
        manifest.consistency = Inconsistent;
        manifest.data.key = format!("{A}/other.tar.zst");
    };
    assert_eq!((verdict(gone).verdict(), verdict(gone).data), (Standing::Missing, None));
}

#[test]
fn a_manifest_that_lies_about_its_folder_is_not_relied_on() {
    type Change = fn(&mut Manifest);
    let table: [(Change, &str); 4] = [
        (|manifest| manifest.data.key = format!("{B}/store.tar.zst"), "its data's key \"backups/daily/"),
        (
            |manifest| manifest.created = Time::of_epoch(0),
            "it says that it was created at 1970-01-01T00-00-00Z",
        ),
        (|manifest| manifest.data.sha256.clear(), "its sha256 \"\" is not 64"),
        (|manifest| manifest.data.bytes = 0, "its data has zero bytes"),
    ];
    for (change, clause) in table {
        let entry = verdict(change);
        assert_eq!((entry.verdict(), entry.data), (Standing::Unreadable, Some(100)));
        let fault = entry.manifest.unwrap_err();
        assert!(matches!(fault, Unreadable::Faulty(_)) && fault.to_string().starts_with(clause), "{fault}");
    }
    // What depends on the target is not the catalogue's to judge.
    assert_eq!(verdict(|manifest| manifest.database = "movies.db".into()).verdict(), Standing::Verified);
}

/// What the catalogue calls verified is what a restore accepts.
#[test]
fn verified_is_what_a_restore_accepts() {
    type Change = fn(&mut Manifest);
    let changes: [Change; 5] = [
        |_| {},
        |manifest| manifest.consistency = Unchecked,
        |manifest| manifest.consistency = Inconsistent,
        |manifest| manifest.created = Time::of_epoch(1),
        |manifest| manifest.data.sha256.clear(),
    ];
    let target = crate::Target::of("3.4.6".parse().unwrap());
    for change in changes {
        let mut manifest = manifest_of(&folder(A), Consistent);
        change(&mut manifest);
        let accepted: Result<(), Refused> = crate::check(&manifest, &folder(A).manifest(), &target);
        assert_eq!(verdict(change).is_verified(), accepted.is_ok(), "{accepted:?}");
    }
}

#[test]
fn a_listed_manifest_that_was_not_read_is_not_taken_for_a_bad_one() {
    let mut bucket = Bucket::default();
    bucket.put(&folder(A), Consistent).put(&folder(B), Consistent);
    bucket.manifests.remove(&folder(B).manifest());
    bucket.object(&folder(B).hold(), 1);
    let catalogue = bucket.catalogue();
    let unread = &catalogue.entries[0];
    assert_eq!((&unread.manifest, unread.data, unread.held), (&Err(Unreadable::NotRead), Some(100), true));
    assert_eq!(unread.verdict(), Standing::Unreadable);
    assert!(!catalogue.entries[1].held, "the hold is another's");
}

#[test]
fn the_latest_is_verified_and_names_what_it_skips() {
    let mut bucket = Bucket::default();
    bucket.put(&folder(A), Consistent).put(&folder(B), Consistent).put(&folder(C), Unchecked);
    bucket.put(&folder(D), Consistent);
    let found = |bucket: &Bucket| {
        let catalogue = bucket.catalogue();
        let latest = catalogue.latest();
        (latest.chosen.map(|entry| entry.folder.to_string()), names(latest.skipped))
    };
    assert_eq!(found(&bucket), (Some(D.into()), vec![]));
    bucket.objects.remove(&folder(D).data());
    assert_eq!(found(&bucket), (Some(B.into()), vec![D.into(), C.into()]), "older ones are not skipped");
    bucket.objects.retain(|key, _| !key.ends_with("store.tar.zst"));
    assert_eq!(found(&bucket), (None, [D, C, B, A].map(String::from).to_vec()));
    assert_eq!(found(&Bucket::default()), (None, vec![]));
}

#[test]
fn before_a_moment_is_what_was_copied_before_it() {
    let mut bucket = Bucket::default();
    bucket.put(&folder(A), Consistent).put(&folder(B), Unchecked).put(&folder(D), Consistent);
    // Begun at 12, copied until 12-10, finished at 12-30.
    let finished = Some(time("2026-11-25T12-30-00Z"));
    let seconds = Some(Seconds { copy: 540, check: 900, stream: 240, read_back: 60 });
    let manifest = Manifest { finished, seconds, ..manifest_of(&folder(C), Consistent) };
    bucket.put(&folder(C), Consistent).commit(&folder(C), Ok(manifest));
    let catalogue = bucket.catalogue();
    let found = |text: &str| {
        let latest = catalogue.before(time(text));
        (latest.chosen.map(|entry| entry.folder.to_string()), names(latest.skipped))
    };
    assert_eq!(found("2026-11-25T12-10-01Z"), (Some(C.into()), vec![]));
    let older = (Some(A.into()), vec![B.into()]);
    assert_eq!(found("2026-11-25T12-10-00Z"), older, "a change of that second may be in it");
    assert_eq!(found("2026-11-25T11-00-01Z"), older);
    assert_eq!(found("2026-11-25T11-00-00Z"), (Some(A.into()), vec![]), "what was not begun is not skipped");
    assert_eq!(found("2026-11-25T10-00-00Z"), (None, vec![]), "before the first");
    assert_eq!(found("2027-01-01T00-00-00Z"), (Some(D.into()), vec![]));
}

#[test]
fn the_newest_verified_one_of_some_tiers() {
    use Tier::{Daily, Hourly, Manual};
    let mut bucket = Bucket::default();
    bucket.put(&folder(A), Consistent).put(&folder(B), Consistent).put(&folder(C), Unchecked);
    let catalogue = bucket.catalogue();
    let newest = |tiers: &[Tier]| catalogue.newest_verified(tiers).map(|entry| entry.folder.to_string());
    assert_eq!(newest(&[Hourly]).as_deref(), Some(A));
    assert_eq!(newest(&[Hourly, Daily]).as_deref(), Some(B));
    assert_eq!(newest(&Tier::ALL).as_deref(), Some(B));
    assert_eq!((newest(&[Manual]), newest(&[])), (None, None));
}

#[test]
fn a_verdict_is_a_word() {
    use Standing::{Inconsistent, Missing, Unchecked, Unreadable, Verified};
    let words = [Verified, Unchecked, Inconsistent, Missing, Unreadable].map(|standing| standing.to_string());
    assert_eq!(words, ["verified", "unchecked", "inconsistent", "missing", "unreadable"]);
}
