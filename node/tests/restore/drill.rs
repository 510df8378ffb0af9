//! A bucket with one backup that this test has packed, and a data directory to restore it into.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::{Child, ExitStatus},
    time::{Duration, Instant},
};

use backups::{Consistency, Counts, Data, MANIFEST_FORMAT, Manifest, Snapshot, Version};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use tar::{Builder, EntryType, Header};

use crate::{
    backup::{
        WELL, noise,
        s3::BUCKET,
        worker::{COPIES, Worker, counts, folder, neostore},
    },
    task::PATIENCE,
};

/// One entry of an archive: its header, and what follows it.
pub type Packed = (Header, Vec<u8>);

/// The files of a store.
pub struct Store(Vec<(String, Vec<u8>)>);

impl Store {
    /// One whose facts are known, with so many bytes that do not compress.
    pub fn of(bytes: usize) -> Self {
        let block = noise(bytes.min(3 << 20));
        let large = block.iter().copied().cycle().take(bytes).collect();
        let files = [
            ("neostore", neostore(2376)),
            ("neostore.counts.db.a", counts(2376)),
            ("neostore.nodestore.db", large),
            ("schema/1", b"index".to_vec()),
        ];
        Self(files.map(|(name, content)| (name.to_owned(), content)).to_vec())
    }

    fn bytes(&self) -> u64 {
        self.0.iter().map(|(_, content)| content.len() as u64).sum()
    }

    fn pack(&self) -> Vec<u8> {
        let files = self.0.iter().flat_map(|(name, content)| {
            let folder = name.split_once('/').map(|(folder, _)| directory(&format!("{folder}/")));
            folder.into_iter().chain([entry(name, content)])
        });
        pack(&files.collect::<Vec<_>>())
    }
}

pub struct Drill {
    pub worker: Worker,
    store: Store,
    home: PathBuf,
}

impl Drill {
    /// With a backup of `store` in the bucket, without a manifest: its snapshot is given as JSON.
    pub fn new(name: &str, store: &Store) -> Self {
        let worker = Worker::new(&format!("restore-{name}"), COPIES, WELL);
        worker.s3.put(&folder().data(), &store.pack());
        let store = Store(store.0.clone());
        Self { store, ..Self::of(worker) }
    }

    /// With the bucket of a worker.
    pub fn of(worker: Worker) -> Self {
        let home = worker.scratch().join("volume");
        fs::create_dir_all(home.join("data")).unwrap();
        Self { worker, store: Store(Vec::new()), home }
    }

    pub fn data(&self) -> PathBuf {
        self.home.join("data")
    }

    /// The place of the store.
    pub fn store(&self) -> PathBuf {
        self.data().join("databases/graph.db")
    }

    /// What is directly in the data directory.
    pub fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.data()).unwrap();
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    /// An empty volume again.
    pub fn empty(&self) {
        fs::remove_dir_all(self.data()).unwrap();
        fs::create_dir(self.data()).unwrap();
    }

    /// What the data directory says; `None` if it says nothing.
    pub fn marker(&self) -> Option<Value> {
        Some(serde_json::from_slice(&fs::read(self.data().join("restore.json")).ok()?).unwrap())
    }

    pub fn snapshot(&self) -> Snapshot {
        let key = folder().manifest();
        let etag = self.worker.s3.etag(&folder().data());
        Snapshot::of("latest".into(), BUCKET, key, self.described(), etag)
    }

    /// Writes the manifest, changed.
    pub fn manifest(&self, change: impl FnOnce(&mut Manifest)) {
        let mut manifest = self.described();
        change(&mut manifest);
        self.worker.s3.put(&folder().manifest(), &manifest.write());
    }

    fn described(&self) -> Manifest {
        let packed = self.worker.s3.get(&folder().data()).unwrap();
        Manifest {
            format: MANIFEST_FORMAT,
            neo4j: version(),
            dialect: "HA".into(),
            store_format: None,
            database: "graph.db".into(),
            created: folder().time,
            source: "core-3".into(),
            last_transaction: Some(2376),
            counts: Some(Counts { nodes: 50_000, relationships: 12 }),
            data: Data { key: folder().data(), bytes: packed.len() as u64, sha256: sha256(&packed) },
            consistency: Consistency::Consistent,
            tool: "a test".into(),
            store_id: Some("1543180505000--42".into()),
            store_bytes: Some(self.store.bytes()),
            finished: None,
            source_role: None,
            master: None,
            seconds: None,
        }
    }

    /// Puts another archive there, which `snapshot` is then of.
    pub fn archive(&self, snapshot: &mut Snapshot, entries: &[Packed]) {
        let packed = pack(entries);
        self.worker.s3.put(&folder().data(), &packed);
        (snapshot.bytes, snapshot.sha256) = (packed.len() as u64, sha256(&packed));
        snapshot.etag = self.worker.s3.etag(&folder().data());
    }

    /// The calls that have read data.
    pub fn gets(&self) -> Vec<String> {
        self.worker
            .s3
            .calls()
            .into_iter()
            .filter(|call| call.starts_with("get store.tar.zst bytes"))
            .collect()
    }

    /// Starts `node restore` of the snapshot.
    pub fn start(&self) -> Run {
        let said = self.home.join("said");
        let snapshot = serde_json::to_string(&self.snapshot()).unwrap();
        let mut command = self.command(&["--snapshot", &snapshot]);
        let output = fs::File::create(&said).unwrap();
        Run { child: command.stderr(output).stdout(std::process::Stdio::null()).spawn().unwrap(), said }
    }

    fn command(&self, words: &[&str]) -> std::process::Command {
        let data = self.data().display().to_string();
        let words = [&["restore"], words].concat();
        self.worker.command(&words, &[("DATA_DIR", &data), ("AWS_SECRET_ACCESS_KEY", "s3cret")])
    }

    /// Runs `node restore` with these words to its end: its code, what it prints, and what it says.
    pub fn ended(&self, words: &[&str]) -> (Option<i32>, String, String) {
        let output = self.command(words).output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (output.status.code(), text(output.stdout), text(output.stderr))
    }

    pub fn restore(&self) -> (Option<i32>, String, String) {
        self.restore_of(&self.snapshot())
    }

    pub fn restore_of(&self, snapshot: &Snapshot) -> (Option<i32>, String, String) {
        self.ended(&["--snapshot", &serde_json::to_string(snapshot).unwrap()])
    }

    /// All of the store is there, as it was packed.
    pub fn has_the_store(&self) {
        let expected =
            self.store.0.iter().map(|(name, content)| (PathBuf::from(name), Some(content.clone())));
        let expected = expected.chain([(PathBuf::from("schema"), None)]).collect::<BTreeMap<_, _>>();
        assert!(tree(&self.store()) == expected, "{:?}", tree(&self.store()).keys());
    }

    /// And nothing is left of how it came there.
    pub fn is_whole(&self) {
        self.has_the_store();
        assert_eq!(self.names(), ["databases", "restore.json"]);
        assert_eq!(self.marker().unwrap()["step"], "done");
    }
}

/// A restore that was started.
pub struct Run {
    child: Child,
    said: PathBuf,
}

impl Run {
    pub fn said(&self) -> String {
        fs::read_to_string(&self.said).unwrap_or_default()
    }

    /// To a process that may have ended already.
    pub fn signal(&self, signal: Signal) {
        let _over = kill_process(Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap(), signal);
    }

    pub fn is_over(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// Memory that is not mapped from files; 0 of a process that is over.
    pub fn anonymous_kib(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"));
        line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or_default()
    }

    pub fn until_ended(&mut self) -> ExitStatus {
        let deadline = Instant::now() + 3 * PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < deadline, "it still runs:\n{}", self.said());
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        let _gone = (self.child.kill(), self.child.wait());
    }
}

fn version() -> Version {
    "3.4.6".parse().unwrap()
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().fold(String::new(), |digits, byte| digits + &format!("{byte:02x}"))
}

fn header(name: &str, kind: EntryType, size: u64) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(0o644);
    header.set_size(size);
    // As it is: the crate would refuse some of them.
    header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
    header.set_cksum();
    header
}

/// A file.
pub fn entry(name: &str, content: &[u8]) -> Packed {
    (header(name, EntryType::Regular, content.len() as u64), content.to_vec())
}

fn directory(name: &str) -> Packed {
    (header(name, EntryType::Directory, 0), Vec::new())
}

/// A symbolic link.
pub fn link(name: &str, to: &str) -> Packed {
    let mut header = header(name, EntryType::Symlink, 0);
    header.set_link_name(to).unwrap();
    header.set_cksum();
    (header, Vec::new())
}

/// As a backup is packed, with a small window: what is repeated behind it does not compress.
fn pack(entries: &[Packed]) -> Vec<u8> {
    let mut encoder = zstd::Encoder::new(Vec::new(), 1).unwrap();
    encoder.window_log(19).unwrap();
    encoder.include_checksum(true).unwrap();
    let mut tar = Builder::new(encoder);
    for (header, content) in entries {
        tar.append(header, content.as_slice()).unwrap();
    }
    tar.into_inner().unwrap().finish().unwrap()
}

/// Every file and folder below `dir` with its content, by its path.
pub fn tree(dir: &Path) -> BTreeMap<PathBuf, Option<Vec<u8>>> {
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
