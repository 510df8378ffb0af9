//! `node restore` as a process, against a bucket of its own: killed at any moment, given anything, it never leaves half a store, and
//! never touches one that is there.

mod drill;

use std::{fs, time::Duration};

use backups::{Consistency, Counts, Snapshot};
use rustix::process::Signal;
use serde_json::json;

use crate::backup::{
    TIME, WELL, noise,
    s3::{Fault, TYPED},
    worker::{COPIES, Worker, folder, order, until},
};
use drill::{Drill, Store, entry, tree};

/// Three parts of 8 MiB, the last one short, which no compressor makes fewer.
const THREE_PARTS: usize = 20 << 20;
const SECOND: &str = "get store.tar.zst bytes=8388608-";

#[test]
fn what_node_backup_has_made_is_restored_once() {
    let worker = Worker::new("round-trip", COPIES, WELL);
    worker.store("neostore.nodestore.db", &noise((9 << 20) + 77));
    let (code, run) = worker.run(&order(TIME).write(), &[]);
    assert_eq!(code, Some(0), "{}", run.log());
    let drill = Drill::of(worker);
    let words = ["--from", "latest", "--bucket", TYPED];
    let (code, printed, said) = drill.ended(&words);
    assert_eq!(code, Some(0), "{said}");
    let start = format!(
        "s3://{TYPED}/{} is restored: 50000 nodes and 12 relationships, up to the transaction 2376, 10 MB in ",
        folder().data()
    );
    assert!(printed.starts_with(&start) && printed.lines().count() == 1, "{printed}");
    assert_eq!(tree(&drill.store()), tree(&drill.worker.home().join("store")));
    assert_eq!(drill.names(), ["databases", "restore.json"]);
    let marker = drill.marker().unwrap();
    assert_eq!(marker["step"], "done");
    assert_eq!(marker["facts"]["counts"], json!({"nodes": 50_000, "relationships": 12}));

    // Whatever becomes of it, it is not restored again, and nothing is read for it.
    fs::write(drill.store().join("neostore"), "written since").unwrap();
    let before = drill.gets().len();
    let (code, printed, said) = drill.ended(&words);
    assert_eq!(code, Some(0), "{said}");
    assert!(printed.contains(" was already restored: 50000 nodes"), "{printed}");
    assert_eq!(fs::read(drill.store().join("neostore")).unwrap(), b"written since");
    assert_eq!(drill.gets().len(), before, "no data was read: {:?}", drill.gets());
    let (code, printed, said) = drill.ended(&["--from", "before:2026-11-27T10:00:00Z", "--bucket", TYPED]);
    assert_eq!((code, printed.as_str(), said.lines().count()), (Some(1), "", 1), "{said}");
}

#[test]
fn parts_are_ranges_of_one_version_and_one_that_fails_is_asked_for_again() {
    let drill = Drill::new("parts", &Store::of(THREE_PARTS));
    drill.worker.s3.fault(SECOND, Fault::LostAnswer);
    let (code, _, said) = drill.restore();
    assert_eq!(code, Some(0), "{said}");
    let mut ranges = drill.gets();
    assert_eq!(ranges.iter().filter(|range| range.starts_with(SECOND)).count(), 2, "{ranges:?}");
    ranges.sort();
    ranges.dedup();
    assert_eq!(ranges.len(), 3, "{ranges:?}");
    drill.is_whole();
}

/// As when a task is lost, or the power: at each moment that a test can hold on to.
#[test]
fn a_restore_that_is_killed_leaves_no_half_a_store_and_the_next_one_ends_it() {
    let store = Store::of(THREE_PARTS);
    for part in ["get store.tar.zst bytes=0-", SECOND, "get store.tar.zst bytes=16777216-"] {
        let drill = Drill::new(&format!("kill-{}", part.len()), &store);
        drill.worker.s3.fault(part, Fault::Silence);
        let mut run = drill.start();
        drill.worker.until_called(part);
        // All that came before it is unpacked by now, or nearly.
        std::thread::sleep(Duration::from_millis(700));
        run.signal(Signal::KILL);
        run.until_ended();
        assert_eq!(drill.marker().unwrap()["step"], "intent");
        assert!(!drill.store().exists(), "{part}");
        assert_eq!(drill.names().len(), 3, "{:?}", drill.names());
        drill.worker.s3.heal();
        let (code, _, said) = drill.restore();
        assert_eq!(code, Some(0), "{part}: {said}");
        drill.is_whole();
    }
}

/// As soon as it is seen there, and a little later each time.
#[test]
fn a_restore_that_is_killed_when_it_is_nearly_done_is_not_begun_again() {
    let drill = Drill::new("nearly", &Store::of(1000));
    for round in 0..24_u64 {
        drill.empty();
        let mut run = drill.start();
        let wanted: &[&str] = if round % 2 == 0 { &["unpacked", "done"] } else { &["done"] };
        let is_reached =
            || drill.marker().is_some_and(|marker| wanted.contains(&marker["step"].as_str().unwrap()));
        // Without a pause: what comes next takes less than a millisecond.
        while !is_reached() {
            assert!(!run.is_over() || is_reached(), "{}", run.said());
        }
        std::thread::sleep(Duration::from_micros(150 * (round / 2)));
        run.signal(Signal::KILL);
        run.until_ended();
        if drill.store().exists() {
            drill.has_the_store();
        } else {
            assert_eq!(drill.marker().unwrap()["step"], "unpacked");
        }
        let before = drill.gets().len();
        let (code, _, said) = drill.restore();
        assert_eq!(code, Some(0), "{said}");
        drill.is_whole();
        assert_eq!(drill.gets().len(), before, "what was unpacked is not read again");
    }
}

/// At a moment of its own each time, from the start of the process to its end, again and again until one of them is done.
#[test]
fn a_restore_that_is_killed_again_and_again_is_whole_in_the_end() {
    let drill = Drill::new("again", &Store::of(THREE_PARTS));
    let mut killed = 0;
    loop {
        let mut run = drill.start();
        std::thread::sleep(Duration::from_millis(50 + 250 * killed));
        run.signal(Signal::KILL);
        let ended = run.until_ended();
        if drill.store().exists() {
            drill.has_the_store();
        }
        if ended.code() == Some(0) {
            break;
        }
        killed += 1;
    }
    assert!(killed > 1, "it was killed {killed} times");
    drill.is_whole();
}

#[test]
fn each_bad_input_is_one_sentence_and_nothing_is_left() {
    type Change = fn(&Drill, &mut Snapshot);
    let data = format!("s3://b/{}", folder().data());
    let table: [(&str, Change, &str); 16] = [
        ("absent", |d, _| d.worker.s3.remove(&folder().data()), "there is no object {} any more"),
        ("changed", |d, _| d.worker.s3.put(&folder().data(), &[0; 5000]), "{} is not the version"),
        ("truncated", |_, s| s.bytes += 1, "bytes and its manifest says"),
        (
            "denied",
            |d, _| d.worker.s3.fault("get store", Fault::Status(403)),
            "{} may not be read (AccessDenied",
        ),
        ("flipped", |d, _| d.worker.s3.fault("get store", Fault::FlippedByte), "{} cannot be unpacked"),
        (
            "sum",
            |_, s| s.sha256 = "0".repeat(64),
            "{} is not what its manifest says, so nothing was restored: its SHA-256",
        ),
        (
            "counts",
            |_, s| s.counts = Some(Counts { nodes: 50_001, relationships: 12 }),
            "the store in {} has 50000 nodes and 12 relationships and its manifest says 50001 nodes",
        ),
        (
            "id",
            |_, s| s.store_id = Some("1-2".into()),
            "has the id 1543180505000--42 and its manifest says the id 1-2",
        ),
        ("last", |_, s| s.last_transaction = Some(9), "has the last transaction 2376 and its manifest says"),
        (
            "bomb",
            |_, s| s.store_bytes = Some(100),
            "{} unpacks to more than the 100 bytes that its manifest says",
        ),
        (
            "disk",
            |_, s| s.store_bytes = Some(1 << 60),
            "free, and the unpacked store of {} needs 1152921504674 MB, so nothing was read",
        ),
        ("version", |_, s| s.neo4j = "3.5.4".parse().unwrap(), "{} is not restored: it is of Neo4j 3.5.4"),
        ("database", |_, s| s.database = "../x".into(), "it is of the database \"../x\""),
        ("empty", |d, s| d.archive(s, &[]), "{} has no store in it"),
        (
            "slip",
            |d, s| d.archive(s, &[entry("neostore", b"x"), entry("../../outside", b"x")]),
            "{} cannot be unpacked, so nothing was restored: the archive has an entry \"../../outside\"",
        ),
        (
            "link",
            |d, s| d.archive(s, &[drill::link("neostore", "/etc/passwd")]),
            "\"neostore\" that is neither a file nor a folder",
        ),
    ];
    for (name, change, sentence) in table {
        let drill = Drill::new(&format!("bad-{name}"), &Store::of(3000));
        let mut snapshot = drill.snapshot();
        change(&drill, &mut snapshot);
        let (code, printed, said) = drill.restore_of(&snapshot);
        assert_eq!((code, printed.as_str()), (Some(1), ""), "{name}: {said}");
        let last = said.lines().last().unwrap();
        assert!(last.contains(&sentence.replace("{}", &data)), "{name}: {last}");
        for secret in ["X-Amz", "s3cret", "Authorization", "127.0.0.1"] {
            assert!(!said.contains(secret), "{name}: {said}");
        }
        assert_eq!(said.lines().count(), 2, "{name}: {said}");
        let left: Vec<_> = tree(&drill.data()).into_iter().filter(|(_, content)| content.is_some()).collect();
        assert_eq!(left, [], "{name}");
        assert!(!drill.data().join("../outside").exists(), "{name}");
        // So another snapshot can be restored there.
        if matches!(name, "sum" | "slip") {
            let whole = Drill::new("after", &Store::of(3000));
            drill.worker.s3.put(&folder().data(), &whole.worker.s3.get(&folder().data()).unwrap());
            let (code, _, said) = drill.restore_of(&whole.snapshot());
            assert_eq!(code, Some(0), "{name}: {said}");
        }
    }
}

/// Whatever the length of the manifest's own figures: a store is whole, or it is not there.
#[test]
fn a_snapshot_that_does_not_say_its_size_is_restored_into_what_is_free() {
    let drill = Drill::new("unknown", &Store::of(3000));
    let unknown = Snapshot {
        store_bytes: None,
        counts: None,
        store_id: None,
        last_transaction: None,
        ..drill.snapshot()
    };
    let (code, _, said) = drill.restore_of(&unknown);
    assert_eq!(code, Some(0), "{said}");
    drill.is_whole();
}

#[test]
fn a_store_that_is_there_is_never_overwritten() {
    let drill = Drill::new("there", &Store::of(3000));
    fs::create_dir_all(drill.store()).unwrap();
    fs::write(drill.store().join("neostore"), "mine").unwrap();
    let before = tree(&drill.data());
    let (code, _, said) = drill.restore();
    assert_eq!(code, Some(1));
    assert!(said.contains("a store that is there is never overwritten: use an empty volume"), "{said}");
    assert_eq!((tree(&drill.data()), drill.gets().len()), (before, 0));

    // Nor what another snapshot has become, or is becoming.
    drill.empty();
    assert_eq!(drill.restore().0, Some(0));
    let other = Snapshot { etag: "\"another\"".into(), ..drill.snapshot() };
    for (step, says) in [
        ("done", "another snapshot was restored into it"),
        ("intent", "a restore of another snapshot was begun in it"),
    ] {
        let mut marker = drill.marker().unwrap();
        marker["step"] = json!(step);
        fs::write(drill.data().join("restore.json"), marker.to_string()).unwrap();
        let (before, asked) = (tree(&drill.data()), drill.gets().len());
        let (code, _, said) = drill.restore_of(&other);
        assert_eq!(code, Some(1));
        assert!(said.contains(says), "{said}");
        assert_eq!((tree(&drill.data()), drill.gets().len()), (before, asked));
    }
    fs::write(drill.data().join("restore.json"), "{").unwrap();
    let (code, _, said) = drill.restore();
    assert!(code == Some(1) && said.contains("restore.json in it cannot be read (EOF"), "{said}");
}

/// Five parts, whether the network or the disk is the slower one.
#[test]
fn memory_is_bounded() {
    let drill = Drill::new("memory", &Store::of(44 << 20));
    drill.worker.s3.fault("get store", Fault::Silence);
    let run = drill.start();
    until("five parts are asked for", || drill.gets().len() == 5);
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(drill.gets().len(), 5, "no more are on their way");
    drop(run);
    drill.worker.s3.heal();
    let mut run = drill.start();
    let mut most = 0;
    while !run.is_over() {
        most = most.max(run.anonymous_kib());
        std::thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(run.until_ended().code(), Some(0));
    drill.is_whole();
    let mib = most >> 10;
    assert!((16..64).contains(&mib), "{mib} MiB");
}

#[test]
fn a_restore_says_how_far_it_is() {
    let drill = Drill::new("progress", &Store::of(THREE_PARTS));
    drill.worker.s3.fault("get store.tar.zst bytes=16777216-", Fault::Silence);
    let run = drill.start();
    until("a line", || run.said().contains("restoring 79 %: "));
    let said = run.said();
    let line = said.lines().last().unwrap();
    assert!(line.starts_with("restoring 79 %: fetch and unpack: 79 % of 21 MB, "), "{said}");
    assert!(line.contains(" MB/s, ") && line.ends_with(" s left"), "{said}");
}

/// An unverified backup is restored only if an operator says so.
#[test]
fn by_hand_the_catalogue_is_believed() {
    let drill = Drill::new("catalogue", &Store::of(3000));
    let words = ["--bucket", TYPED, "--from", "backups/hourly/2026-11-27"];
    let (code, _, said) = drill.ended(&words);
    assert_eq!(code, Some(1), "there is no manifest: {said}");
    drill.manifest(|manifest| manifest.consistency = Consistency::Unchecked);
    let (_, _, said) = drill.ended(&words);
    assert!(said.contains("its consistency was never checked"), "{said}");
    let (_, _, said) = drill.ended(&["--bucket", TYPED, "--from", "latest", "--accept-unverified"]);
    assert!(said.contains("is verified, so latest is none"), "{said}");
    let (code, _, said) = drill.ended(&[&words[..], &["--accept-unverified"]].concat());
    assert_eq!(code, Some(0), "{said}");
    drill.is_whole();

    let (code, _, said) = drill.ended(&["--snapshot", "{"]);
    assert!(
        code == Some(1) && said.starts_with("--snapshot is not a snapshot as a founding record"),
        "{said}"
    );
    let (code, _, said) = drill.ended(&[]);
    assert!(code == Some(2) && said.contains("--from <FROM>"), "{said}");
}
