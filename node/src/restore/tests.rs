//! What the tests of this folder share, and a restore that is killed between any two of its steps.

use std::{
    collections::BTreeMap,
    fs,
    io::Write as _,
    path::{Path, PathBuf},
};

use aws::SdkConfig;
use backups::{Counts, Snapshot, Time};

use super::{
    Error, Progress, durable,
    engine::Restored,
    layout::Layout,
    marker::{FILE, Marker, Step},
    plan::{Plan, Refused, plan},
    restore,
    unpack::unpack,
};
use crate::{backup::archive::Archive, store::Facts};

/// A data directory of a test.
pub(super) struct Place {
    pub data: PathBuf,
}

impl Place {
    pub(super) fn new(name: &str) -> Self {
        let data = std::env::temp_dir().join(format!("restore-{}-{name}", std::process::id()));
        let _absent = fs::remove_dir_all(&data);
        fs::create_dir_all(&data).unwrap();
        Self { data }
    }

    /// What is directly in it.
    pub(super) fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.data).unwrap();
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _gone = fs::remove_dir_all(&self.data);
    }
}

pub(crate) fn snapshot() -> Snapshot {
    Snapshot {
        asked: "latest".into(),
        bucket: "b".into(),
        manifest: "backups/hourly/2026-11-25T21-15-05Z-a1/manifest.json".into(),
        manifest_format: 1,
        key: "backups/hourly/2026-11-25T21-15-05Z-a1/store.tar.zst".into(),
        etag: "\"e\"".into(),
        bytes: 1000,
        sha256: "0".repeat(64),
        neo4j: "3.4.6".parse().unwrap(),
        database: "graph.db".into(),
        counts: facts().counts,
        last_transaction: Some(2376),
        store_id: facts().store_id,
        store_bytes: Some(1 << 20),
    }
}

/// Those of [`write_store`].
pub(crate) fn facts() -> Facts {
    Facts {
        store_format: Some("v0.A.9".into()),
        store_id: Some("1543180505000--42".into()),
        last_transaction: Some(2376),
        counts: Some(Counts { nodes: 50_000, relationships: 12 }),
        unknown: None,
    }
}

/// A store as far as its facts are read, with an index and files of many lengths.
pub(super) fn write_store(dir: &Path) {
    let index = dir.join("schema/index/lucene");
    fs::create_dir_all(&index).unwrap();
    let entry = |key: [u8; 16], value: [i64; 2]| {
        [key.as_slice(), &value[0].to_be_bytes(), &value[1].to_be_bytes()].concat()
    };
    let record = |value: i64| [&[1], value.to_be_bytes().as_slice()].concat();
    let records = [1_543_180_505_000, -42, 0, 2376].map(record);
    let format = vec![1, 0, b'9', b'.', b'A', b'.', b'0', b'v', 6];
    let (mut nodes, mut relationships) = ([0; 16], [0xff; 16]);
    nodes[0] = 1;
    nodes[12..].copy_from_slice(&[0xff; 4]);
    relationships[..4].copy_from_slice(&[2, 0, 0, 0]);
    let counts = [
        [[0; 16].as_slice(), b"NeoCountStore\0\x02V"].concat(),
        entry([0; 16], [2376, 1]),
        entry(nodes, [0, 50_000]),
        entry(relationships, [0, 12]),
        entry([0; 16], [0, 2]),
    ];
    fs::write(dir.join("neostore"), [records.concat(), format].concat()).unwrap();
    fs::write(dir.join("neostore.counts.db.a"), counts.concat()).unwrap();
    for length in [0, 1, 511, 512, 513, 70_000] {
        fs::write(index.join(format!("{length}")), vec![7; length]).unwrap();
    }
    let long = format!("{}-{}", "name-of-more-than-a-hundred-letters".repeat(4), "x".repeat(90));
    fs::write(index.join(long), "long").unwrap();
}

/// Every file and folder below `dir` with its content, by its path.
pub(super) fn tree(dir: &Path) -> BTreeMap<PathBuf, Option<Vec<u8>>> {
    let mut all = BTreeMap::new();
    let mut left = vec![dir.to_owned()];
    while let Some(next) = left.pop() {
        for entry in fs::read_dir(&next).unwrap() {
            let path = entry.unwrap().path();
            let content = path.is_file().then(|| fs::read(&path).unwrap());
            if content.is_none() {
                left.push(path.clone());
            }
            all.insert(path.strip_prefix(dir).unwrap().to_owned(), content);
        }
    }
    all
}

/// What a backup makes of the store in `dir`, and how many bytes its files have.
pub(super) fn archive(dir: &Path) -> (Vec<u8>, u64) {
    let archive = Archive::list(dir).unwrap();
    let tar = archive.write(Vec::new(), |_| {}).unwrap();
    (zstd::encode_all(tar.as_slice(), 3).unwrap(), archive.bytes)
}

/// No bucket is needed for what is unpacked.
async fn again(data: &Path) -> Result<Restored, Error> {
    let config = SdkConfig::builder().build();
    restore(&config, data, "3.4.9".parse().unwrap(), &snapshot(), &Progress::new()).await
}

fn mark(layout: &Layout, step: Step) {
    Marker::new(&snapshot(), step, Time::of_epoch(0)).write(&layout.data).unwrap();
}

/// The steps as the engine takes them. Each may be the last one that was done.
const STEPS: [fn(&Layout, &[u8]); 9] = [
    |_, _| {},
    |layout, _| mark(layout, Step::Intent),
    |layout, _| assert!(layout.make().unwrap()),
    // Cut in the middle of the archive.
    |layout, archive| {
        unpack(&mut &archive[..archive.len() / 2], &layout.staging, 1 << 20).unwrap_err();
    },
    // As the next try does it.
    |layout, archive| {
        layout.clear().unwrap();
        assert!(layout.make().unwrap());
        unpack(&mut &archive[..], &layout.staging, 1 << 20).unwrap();
    },
    |layout, _| durable::tree(&layout.staging, &|_| {}).unwrap(),
    |layout, _| mark(layout, Step::Unpacked(layout.prove().unwrap().unwrap())),
    |layout, _| durable::rename(&layout.staging, &layout.store).unwrap(),
    |layout, _| mark(layout, Step::Done { facts: facts() }),
];

#[tokio::test]
async fn a_restore_that_is_killed_between_any_two_steps_goes_on_or_begins_again() {
    let made = Place::new("made");
    write_store(&made.data);
    let (archive, _) = archive(&made.data);
    for last in 0..STEPS.len() {
        let place = Place::new("killed");
        let layout = Layout::new(&place.data, &snapshot());
        STEPS[..=last].iter().for_each(|step| step(&layout, &archive));
        let planned = plan(&layout.look().unwrap(), &snapshot());
        let (is_whole, expected) = match last {
            0 => (false, Plan::Begin),
            1..=5 => (false, Plan::Again),
            6 => (false, Plan::Rename(facts())),
            7 => (true, Plan::Mark(facts())),
            _ => (true, Plan::Nothing(facts())),
        };
        assert_eq!(planned, expected, "after step {last}");
        assert_eq!(layout.store.exists(), is_whole, "half a store is never in its place: step {last}");
        if last < 6 {
            continue;
        }
        let restored = again(&place.data).await.unwrap();
        assert_eq!((restored.before, restored.bytes), (last == 8, None));
        assert_eq!(tree(&layout.store), tree(&made.data), "step {last}");
        assert_eq!(place.names(), ["databases", FILE], "step {last}");
        // What is written afterwards stays.
        fs::write(layout.store.join("neostore"), "changed").unwrap();
        assert!(again(&place.data).await.unwrap().before, "step {last}");
        assert_eq!(fs::read(layout.store.join("neostore")).unwrap(), b"changed");
    }
}

/// The worst that could be: a folder that was proven loses files to the next try, which is killed too.
#[test]
fn a_folder_that_loses_files_has_lost_its_proof_before() {
    let place = Place::new("proof");
    let layout = Layout::new(&place.data, &snapshot());
    assert!(layout.make().unwrap());
    write_store(&layout.staging);
    mark(&layout, Step::Unpacked(layout.prove().unwrap().unwrap()));
    // The facts alone would not show it.
    fs::remove_dir_all(layout.staging.join("schema")).unwrap();
    assert!(matches!(plan(&layout.look().unwrap(), &snapshot()), Plan::Rename(_)));
    // So the engine says *intent* first, and from then on the folder is nothing.
    mark(&layout, Step::Intent);
    assert_eq!(plan(&layout.look().unwrap(), &snapshot()), Plan::Again);
}

#[tokio::test]
async fn a_store_that_is_there_is_refused_by_name_and_not_touched() {
    let place = Place::new("there");
    let store = place.data.join("databases/graph.db");
    write_store(&store);
    let before = tree(&place.data);
    let refused = again(&place.data).await.unwrap_err();
    assert!(matches!(&refused, Error::Refused { reason: Refused::NotEmpty, .. }), "{refused}");
    let sentence = refused.to_string();
    assert!(
        sentence
            .starts_with("s3://b/backups/hourly/2026-11-25T21-15-05Z-a1/store.tar.zst is not restored into ")
    );
    assert!(sentence.contains("a store that is there is never overwritten"), "{sentence}");
    assert_eq!(tree(&place.data), before);
}

#[tokio::test]
async fn a_snapshot_that_does_not_fit_is_refused_before_anything_is_looked_at() {
    let config = SdkConfig::builder().build();
    for (version, database, says) in [
        ("3.5.0", "graph.db", "it is of Neo4j 3.4.6 and the cluster is 3.5.0"),
        ("3.4.6", "../../etc", "it is of the database \"../../etc\""),
    ] {
        let snapshot = Snapshot { database: database.into(), ..snapshot() };
        let version = version.parse().unwrap();
        let nowhere = Path::new("/nowhere");
        let refused = restore(&config, nowhere, version, &snapshot, &Progress::new()).await.unwrap_err();
        assert!(refused.to_string().contains(says), "{refused}");
    }
    let missing = again(Path::new("/nowhere")).await.unwrap_err().to_string();
    assert!(missing.starts_with("opening /nowhere failed (No such file"), "{missing}");
}

#[tokio::test]
async fn a_data_directory_that_is_held_is_left_alone() {
    let place = Place::new("held");
    let held = Layout::new(&place.data, &snapshot()).hold().unwrap();
    let refused = again(&place.data).await.unwrap_err();
    assert!(matches!(refused, Error::Busy(_)), "{refused}");
    drop(held);
    assert_eq!(place.names(), Vec::<String>::new());
}

#[test]
fn what_a_backup_has_made_is_unpacked_as_it_was() {
    let (made, place) = (Place::new("round-made"), Place::new("round"));
    write_store(&made.data);
    let mut large = fs::File::create(made.data.join("neostore.nodestore.db")).unwrap();
    (0..300_000_u32).for_each(|number| large.write_all(&number.to_be_bytes()).unwrap());
    let (archive, bytes) = archive(&made.data);
    assert_eq!(unpack(&mut archive.as_slice(), &place.data, bytes).unwrap(), bytes);
    assert_eq!(tree(&place.data), tree(&made.data));
}
