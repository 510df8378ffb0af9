//! `node backup` from its order to its manifest, and everything that can come between: a run that ends before its manifest has made
//! no backup.

pub mod s3;
pub mod worker;

use std::{fs, io::Read as _, time::Duration};

use rustix::process::Signal;
use serde_json::json;
use sha2::{Digest as _, Sha256};

use s3::Fault;
use worker::{COPIES, HANGS, Run, Worker, folder, is_over, order, order_of, until};

pub const WELL: &str = "exit 0";
/// More than enough for everything here.
pub const TIME: u64 = 120;

/// Bytes that no compressor makes shorter.
pub fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[0]
    };
    (0..length).map(|_| next()).collect()
}

fn has_failed(worker: &Worker, (code, run): &(Option<i32>, Run), sentence: &str) {
    let (event, said) = run.last();
    assert_eq!((*code, event.as_str()), (Some(1), "backup-failed"), "{}", run.log());
    assert!(said.contains(sentence), "{sentence:?} is not in {said:?}");
    assert!(!said.contains('\n'), "{said}");
    assert_eq!(worker.manifest(), None, "{}", run.log());
    assert_eq!(worker.s3.open(), 0, "an upload is left:\n{}", run.log());
    assert_eq!(fs::read_dir(worker.scratch()).unwrap().count(), 0, "the scratch is not empty");
}

#[test]
fn a_backup_is_copied_checked_sent_in_parts_read_back_and_committed() {
    let worker = Worker::new("well", COPIES, WELL);
    let large = noise((8 << 20) + 1000);
    worker.store("neostore.nodestore.db", &large);
    let (code, run) = worker.run(&order_of(1 << 20, TIME).write(), &[]);
    assert_eq!(code, Some(0), "{}", run.log());
    assert_eq!(run.last().0, "backup-made");

    let manifest = worker.manifest().unwrap();
    let data = worker.s3.get(&folder().data()).unwrap();
    let sha256 =
        Sha256::digest(&data).iter().fold(String::new(), |digits, byte| digits + &format!("{byte:02x}"));
    for (field, expected) in [
        ("format", json!(1)),
        ("neo4j", json!("3.4.6")),
        ("dialect", json!("HA")),
        ("store_format", json!("v0.A.9")),
        ("database", json!("graph.db")),
        ("created", json!("2026-11-27T10-00-00Z")),
        ("source", json!("core-3")),
        ("source_role", json!("slave")),
        ("last_transaction", json!(2376)),
        ("counts", json!({"nodes": 50_000, "relationships": 12})),
        ("store_id", json!("1543180505000--42")),
        ("store_bytes", json!(large.len() + 45 + 160 + 5)),
        ("master", json!({"last_transaction": 2400, "at": "2026-11-27T10-00-00Z"})),
        ("consistency", json!("consistent")),
        ("tool", json!("neo4j-admin backup 3.4.6")),
        ("data", json!({"key": folder().data(), "bytes": data.len(), "sha256": sha256})),
    ] {
        assert_eq!(manifest[field], expected, "{field}");
    }
    assert!(manifest["seconds"]["copy"].is_u64() && manifest["finished"].is_string(), "{manifest}");
    backups::check(
        &serde_json::from_value(manifest).unwrap(),
        &folder().manifest(),
        &backups::Target::of("3.4.6".parse().unwrap()),
    )
    .unwrap();

    // As an operator unpacks it, with nothing of ours.
    let tar = zstd::decode_all(data.as_slice()).unwrap();
    let mut tar = tar::Archive::new(tar.as_slice());
    let files = tar.entries().unwrap().map(|entry| {
        let mut entry = entry.unwrap();
        let mut content = Vec::new();
        entry.read_to_end(&mut content).unwrap();
        (entry.path().unwrap().display().to_string(), content)
    });
    let files: Vec<(String, Vec<u8>)> = files.collect();
    let names: Vec<&str> = files.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(
        names,
        ["neostore", "neostore.counts.db.a", "neostore.nodestore.db", "schema/", "schema/1"],
        "in order, without the tool's own log"
    );
    assert_eq!((&files[2].1, files[4].1.as_slice()), (&large, &b"index"[..]));

    let calls = worker.s3.calls();
    let at =
        |call: &str| calls.iter().position(|called| called == call).unwrap_or_else(|| panic!("{calls:?}"));
    assert!(at("part 2") < at("complete") && at("complete") < at("get store.tar.zst"), "{calls:?}");
    assert!(at("get store.tar.zst") < at("put manifest.json"), "{calls:?}");
    assert_eq!(at("put manifest.json"), calls.len() - 1, "the manifest is last: {calls:?}");
    assert_eq!((worker.s3.open(), fs::read_dir(worker.scratch()).unwrap().count()), (0, 0));
}

#[test]
fn the_tool_is_given_what_it_needs_and_nothing_of_the_cloud() {
    let worker = Worker::new("tool", COPIES, WELL);
    let (code, run) = worker.run(&order(TIME).write(), &[("SECRET", "s")]);
    assert_eq!(code, Some(0), "{}", run.log());
    let scratch = worker.scratch().join("node-backup").display().to_string();
    let calls = worker.noted("calls");
    let (copy, check) = calls.split_once('\n').unwrap();
    let timeout = copy.split_once("--timeout=").unwrap().1;
    assert!(timeout.trim_end_matches('s').parse::<u64>().is_ok_and(|seconds| seconds <= TIME), "{copy}");
    assert_eq!(
        copy.split_once(" --timeout=").unwrap().0,
        format!(
            "backup --from=127.0.0.1:6362 --backup-dir={scratch}/copy --name=graph.db --protocol=common --fallback-to-full=true \
             --check-consistency=false --pagecache=8m"
        )
    );
    assert_eq!(
        check.trim_end(),
        format!("check-consistency --backup={scratch}/copy/graph.db --report-dir={scratch}/report")
    );
    assert_eq!(worker.noted("conf-of-backup"), "");
    assert_eq!(worker.noted("conf-of-check-consistency"), "dbms.memory.pagecache.size=8m\n");
    let environment = worker.noted("environment");
    for variable in [
        "HEAP_SIZE=64m\n".to_owned(),
        // Nothing is written outside of the scratch.
        format!("TMPDIR={scratch}/tmp\n"),
        format!("JAVA_TOOL_OPTIONS=-Djava.io.tmpdir={scratch}/tmp\n"),
    ] {
        assert!(environment.contains(&variable), "{variable} is not in {environment}");
    }
    for name in ["AWS_", "ORDER", "SECRET", "BACKUP_BUCKET"] {
        assert!(!environment.contains(name), "{name} is in {environment}");
    }

    let worker = Worker::new("catchup", COPIES, WELL);
    let (code, run) = worker.run(&order(TIME).write(), &[("DIALECT", "CLUSTER")]);
    assert_eq!(code, Some(0), "{}", run.log());
    assert!(worker.noted("calls").contains("--protocol=catchup"));
}

#[test]
fn a_tool_that_fails_is_quoted_and_nothing_is_sent() {
    let fails = "echo started; echo 'command failed: Connection refused' >&2; exit 1";
    let worker = Worker::new("fails", fails, WELL);
    let ended = worker.run(&order(TIME).write(), &[]);
    let sentence = "`neo4j-admin backup` of core-3 at 127.0.0.1:6362 failed (exit status: 1): command failed: Connection refused;";
    has_failed(&worker, &ended, sentence);
    assert_eq!(worker.s3.calls(), ["list"]);
    let worker = Worker::new("nothing", "exit 0", WELL);
    has_failed(&worker, &worker.run(&order(TIME).write(), &[]), "reported success and left no store in");
}

#[test]
fn an_edition_without_online_backup_says_so() {
    let sentence = "has no online backup, which is a part of Neo4j Enterprise";
    let unknown = "echo 'Picked up JAVA_TOOL_OPTIONS: -Dx=y' >&2; echo 'unrecognized command: backup' >&2; echo 'usage: neo4j-admin <command>' >&2; exit 1";
    let worker = Worker::new("unknown", unknown, WELL);
    has_failed(&worker, &worker.run(&order(TIME).write(), &[]), sentence);
    let worker = Worker::new("community", COPIES, WELL);
    fs::remove_file(worker.home().join("lib/neo4j-backup-3.4.6.jar")).unwrap();
    has_failed(&worker, &worker.run(&order(TIME).write(), &[]), sentence);
    assert_eq!(worker.noted("calls"), "", "it was not asked");
}

#[test]
fn fault_34_the_manifest_says_what_the_check_found_and_a_failed_check_is_not_one() {
    let reports = r#"echo ERROR > "$reports/inconsistencies-2026-11-27.10.00.00.report"; exit 1"#;
    let table = [
        ("inconsistent", reports, "inconsistent", "backup-inconsistent", true),
        ("three", "exit 3", "inconsistent", "backup-inconsistent", false),
        (
            "unchecked",
            "echo 'java.lang.OutOfMemoryError' >&2; exit 1",
            "unchecked",
            "OutOfMemoryError",
            false,
        ),
        ("killed", "kill -9 $$", "unchecked", "backup-unchecked", false),
    ];
    for (name, check, verdict, logged, has_report) in table {
        let worker = Worker::new(name, COPIES, check);
        let (code, run) = worker.run(&order(TIME).write(), &[]);
        assert_eq!((code, run.last().0.as_str()), (Some(0), "backup-made"), "{}", run.log());
        assert_eq!(worker.manifest().unwrap()["consistency"], verdict);
        assert!(run.log().contains(logged), "{}", run.log());
        let report = worker.s3.get(&folder().report());
        assert_eq!(report.as_deref(), has_report.then_some(&b"ERROR\n"[..]), "{name}");
    }
}

#[test]
fn a_check_that_takes_too_long_is_given_up_and_the_copy_is_kept() {
    let worker = Worker::new("slow-check", COPIES, HANGS);
    let (code, run) = worker.run(&order(20).write(), &[]);
    assert_eq!(code, Some(0), "{}", run.log());
    assert_eq!(worker.manifest().unwrap()["consistency"], "unchecked");
    assert!(run.log().contains("half of the time that was left"), "{}", run.log());
    let is_progress =
        |line: &str| line.contains(r#""event":"backup-progress""#) && line.contains(r#""phase":"check""#);
    assert!(run.log().lines().any(is_progress), "{}", run.log());
    until("its processes are over", || worker.until_hanging().into_iter().all(is_over));
}

/// Of a store of up to 70 GiB: two parts that S3 does not take, one that is filled, and the compressor with all its threads. What is
/// mapped from files, the program's own code, comes on top: it is as long as the binary at most.
#[test]
fn memory_is_bounded_while_parts_wait() {
    let worker = Worker::new("memory", COPIES, WELL);
    worker.store("neostore.nodestore.db", &noise(40 << 20));
    worker.s3.fault("part", Fault::Silence);
    let run = worker.start(&order(TIME).write(), &[]);
    worker.until_called("part 2");
    std::thread::sleep(Duration::from_secs(3));
    let mib = run.anonymous_kib() >> 10;
    assert!((24..52).contains(&mib), "{mib} MiB");
    assert_eq!(worker.s3.calls().iter().filter(|call| call.starts_with("part")).count(), 2);
}

#[test]
fn fault_35_a_part_that_cannot_be_sent_aborts_the_upload() {
    let worker = Worker::new("part", COPIES, WELL);
    worker.s3.fault("part", Fault::Status(500));
    has_failed(
        &worker,
        &worker.run(&order(TIME).write(), &[]),
        "s3:PutObject (a part) on s3://b/backups/hourly/",
    );
    assert_eq!(worker.s3.keys(), Vec::<String>::new());
    assert!(worker.s3.calls().iter().any(|call| call == "abort"), "{:?}", worker.s3.calls());
}

#[test]
fn fault_35_a_flipped_byte_is_found_before_the_manifest() {
    let worker = Worker::new("flipped", COPIES, WELL);
    worker.s3.fault("get store", Fault::FlippedByte);
    let sentence =
        "s3://b/backups/hourly/2026-11-27T10-00-00Z-t1/store.tar.zst is not what was sent: its SHA-256 is";
    has_failed(&worker, &worker.run(&order(TIME).write(), &[]), sentence);
}

#[test]
fn what_is_there_is_never_replaced() {
    let worker = Worker::new("there", COPIES, WELL);
    worker.s3.put(&folder().data(), b"old");
    has_failed(
        &worker,
        &worker.run(&order(TIME).write(), &[]),
        "is there already, so this order was begun before",
    );
    assert_eq!(worker.noted("calls"), "", "the source was not asked for anything");

    for (name, call, key) in
        [("data", "complete", folder().data()), ("manifest", "put manifest", folder().manifest())]
    {
        let worker = Worker::new(name, COPIES, WELL);
        worker.s3.fault(call, Fault::TakenBefore(b"{}".to_vec()));
        let (code, run) = worker.run(&order(TIME).write(), &[]);
        let (event, said) = run.last();
        assert_eq!((code, event.as_str()), (Some(1), "backup-failed"), "{}", run.log());
        assert!(
            said.contains(&format!("s3://b/{key} was written by others while this backup was made")),
            "{said}"
        );
        assert_eq!((worker.s3.get(&key).unwrap(), worker.s3.open()), (b"{}".to_vec(), 0));
    }
}

#[test]
fn an_answer_that_was_lost_is_not_a_failure() {
    let worker = Worker::new("lost", COPIES, WELL);
    worker.s3.fault("complete", Fault::LostAnswer);
    worker.s3.fault("put manifest", Fault::LostAnswer);
    let (code, run) = worker.run(&order(TIME).write(), &[]);
    assert_eq!(code, Some(0), "{}", run.log());
    let calls = worker.s3.calls();
    let count = |call: &str| calls.iter().filter(|called| called.starts_with(call)).count();
    assert_eq!((count("complete"), count("put manifest"), worker.s3.open()), (1, 1, 0), "{calls:?}");
}

#[test]
fn sigterm_ends_the_tool_and_the_upload() {
    let worker = Worker::new("term-copy", HANGS, WELL);
    let mut run = worker.start(&order(TIME).write(), &[]);
    let processes = worker.until_hanging();
    run.signal(Signal::TERM);
    let code = run.until_ended().code();
    has_failed(
        &worker,
        &(code, run),
        "the task was asked to stop in the phase copy: no manifest was written",
    );
    until("its processes are over", || processes.iter().copied().all(is_over));

    let worker = Worker::new("term-part", COPIES, WELL);
    worker.s3.fault("part", Fault::Silence);
    let mut run = worker.start(&order(TIME).write(), &[]);
    worker.until_called("part");
    run.signal(Signal::TERM);
    let code = run.until_ended().code();
    has_failed(&worker, &(code, run), "the task was asked to stop in the phase stream");
    assert!(worker.s3.calls().iter().any(|call| call == "abort"), "{:?}", worker.s3.calls());
}

#[test]
fn the_deadline_ends_whatever_goes_on() {
    let worker = Worker::new("late", HANGS, WELL);
    let ended = worker.run(&order(3).write(), &[]);
    has_failed(&worker, &ended, "the backup was not done at its deadline");
    assert!(ended.1.last().1.contains("in the phase copy since"), "{}", ended.1.log());
    until("its processes are over", || worker.until_hanging().into_iter().all(is_over));

    let worker = Worker::new("late-get", COPIES, WELL);
    worker.s3.fault("get store", Fault::Silence);
    has_failed(&worker, &worker.run(&order(6).write(), &[]), "in the phase read-back since");
}

/// As when a task is lost: nothing is aborted and nothing emptied, and still there is no backup.
#[test]
fn a_worker_that_is_killed_at_any_phase_has_made_no_backup() {
    type Reached = fn(&Worker);
    let hangs: Reached = |worker| drop(worker.until_hanging());
    let table: [(&str, &str, &str, Reached); 7] = [
        ("copy", HANGS, WELL, hangs),
        ("check", COPIES, HANGS, hangs),
        ("begin", COPIES, WELL, |worker| worker.until_called("begin")),
        ("part", COPIES, WELL, |worker| worker.until_called("part")),
        ("complete", COPIES, WELL, |worker| worker.until_called("complete")),
        ("get store", COPIES, WELL, |worker| worker.until_called("get store")),
        ("put manifest", COPIES, WELL, |worker| worker.until_called("put manifest")),
    ];
    for (phase, copy, check, reached) in table {
        let worker = Worker::new(&format!("kill-{}", phase.replace(' ', "-")), copy, check);
        worker.s3.fault(phase, Fault::Silence);
        let mut run = worker.start(&order(TIME).write(), &[]);
        reached(&worker);
        run.signal(Signal::KILL);
        assert_eq!(run.until_ended().code(), None);
        std::thread::sleep(Duration::from_millis(50));
        assert_eq!(worker.manifest(), None, "{phase}:\n{}", run.log());
    }
}

#[test]
fn a_scratch_that_is_too_small_is_refused_before_the_copy() {
    let worker = Worker::new("small", COPIES, WELL);
    let ended = worker.run(&order_of(1 << 50, TIME).write(), &[]);
    has_failed(
        &worker,
        &ended,
        "and a copy of a store of 1125899907 MB needs 1238489965 MB, so no backup was begun",
    );
    assert_eq!(worker.noted("calls"), "");
}

#[test]
fn an_order_that_cannot_be_done_is_one_sentence() {
    let with = |change: fn(&mut serde_json::Value)| {
        let mut order = json!(order(TIME));
        change(&mut order);
        order.to_string()
    };
    let table = [
        (String::new(), "there is no ORDER, so no backup was begun"),
        ("{".to_owned(), "the order cannot be read (EOF while parsing"),
        (with(|order| order["format"] = json!(2)), "the order is of format 2"),
        (with(|order| drop(order.as_object_mut().unwrap().remove("source"))), "missing field `source`"),
        (with(|order| order["folder"] = json!("backups/hourly/../x")), "is not a backup's folder"),
        (with(|order| order["source"]["address"] = json!("core-3; rm -rf /")), "invalid socket address"),
        (order(0).write(), "has passed, so no backup was begun"),
    ];
    for (order, sentence) in table {
        let worker = Worker::new("order", COPIES, WELL);
        has_failed(&worker, &worker.run(&order, &[]), sentence);
        assert_eq!((worker.s3.calls().len(), worker.noted("calls").as_str()), (0, ""), "{order}");
    }
    let worker = Worker::new("bucket", COPIES, WELL);
    let ended = worker.run(&order(TIME).write(), &[("BACKUP_BUCKET", "")]);
    has_failed(&worker, &ended, "BACKUP_BUCKET is not set");
}

fn checked(worker: &Worker, order: &str) -> (Option<i32>, String, String) {
    let output = worker.command(&["backup", "--check"], &[("ORDER", order)]).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[test]
fn a_check_proves_everything_and_leaves_nothing() {
    let worker = Worker::new("proof", COPIES, WELL);
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut open = order(TIME);
    open.source.address = listener.local_addr().unwrap();
    let (code, lines, said) = checked(&worker, &open.write());
    assert_eq!((code, said.as_str(), lines.lines().count()), (Some(0), "", 4), "{lines}");
    for line in [
        "role and bucket: s3://b/backups/ is listed, and an upload was begun and aborted there; no object is left\n".to_owned(),
        format!("port: core-3 at {} takes connections\n", open.source.address),
        format!("scratch: {} can be written and has ", worker.scratch().display()),
        format!("tool: {} has online backup\n", worker.home().join("bin/neo4j-admin").display()),
    ] {
        assert!(lines.contains(&line), "{line:?} is not in {lines}");
    }
    assert_eq!((worker.s3.keys().len(), worker.s3.open(), worker.noted("calls").as_str()), (0, 0, ""));
    assert_eq!(fs::read_dir(worker.scratch()).unwrap().count(), 0);

    drop(listener);
    let (code, printed, lines) = checked(&worker, &open.write());
    assert_eq!((code, printed.as_str(), lines.lines().count()), (Some(1), "", 4), "{lines}");
    assert!(lines.contains("port: FAILED: core-3 at 127.0.0.1:"), "{lines}");
    assert!(lines.contains("takes no connection (Connection refused"), "{lines}");

    let (code, lines, _) = checked(&worker, "");
    assert_eq!(code, Some(0), "{lines}");
    assert!(
        lines.contains("port: not tried, because there is no ORDER, which names the source\n"),
        "{lines}"
    );

    worker.s3.fault("part", Fault::Status(403));
    let (code, _, lines) = checked(&worker, "{");
    assert_eq!((code, worker.s3.open()), (Some(1), 0), "an upload is left: {lines}");
    assert!(
        lines.contains("role and bucket: FAILED: s3:PutObject (a part) on s3://b/backups/manual/"),
        "{lines}"
    );
    assert!(lines.contains("port: FAILED: the order cannot be read"), "{lines}");
}
