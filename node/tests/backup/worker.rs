//! The real `node backup` as a process, with a stand-in for neo4j-admin that a test writes, and a bucket of its own. (The real
//! neo4j-admin is in the end-to-end tests.)

use std::{
    fs,
    net::SocketAddr,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use backups::{Folder, From, ORDER_FORMAT, Order, Seen, Time};
use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use serde_json::Value;

use super::s3::{BUCKET, S3};
use crate::task::PATIENCE;

/// What the stand-in does for `backup`: it copies the store, and leaves its log behind as the real one does.
pub const COPIES: &str =
    r#"mkdir -p "$to/$name"; cp -r "$NEO4J_HOME/store/." "$to/$name/"; echo log > "$to/$name/debug.log""#;
/// For any phase: it says its process id, and goes on for longer than a test.
pub const HANGS: &str = r#"sleep 120 & echo $$ $! > "$NEO4J_HOME/pids"; wait"#;

pub struct Worker {
    dir: PathBuf,
    pub s3: S3,
    at: SocketAddr,
    _runtime: tokio::runtime::Runtime,
}

impl Worker {
    /// With a stand-in that runs `copy` and `check`, and a store whose facts are known.
    pub fn new(name: &str, copy: &str, check: &str) -> Self {
        let dir = std::env::temp_dir().join(format!("backup-{}-{name}", std::process::id()));
        let _absent = fs::remove_dir_all(&dir);
        for below in ["home/bin", "home/lib", "home/store/schema", "scratch"] {
            fs::create_dir_all(dir.join(below)).unwrap();
        }
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let s3 = S3::default();
        let at = runtime.block_on(s3.serve());
        let worker = Self { dir, s3, at, _runtime: runtime };
        let script = format!(
            r#"#!/bin/sh
echo "$@" >> "$NEO4J_HOME/calls"
env > "$NEO4J_HOME/environment"
cat "$NEO4J_CONF/neo4j.conf" > "$NEO4J_HOME/conf-of-$1"
for option in "$@"; do
    case $option in
        --backup-dir=*) to=${{option#*=}};;
        --name=*) name=${{option#*=}};;
        --report-dir=*) reports=${{option#*=}};;
    esac
done
case $1 in
    backup) {copy};;
    check-consistency) {check};;
esac
"#
        );
        let program = worker.home().join("bin/neo4j-admin");
        fs::write(&program, script).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        for jar in ["neo4j-command-line-3.4.6.jar", "neo4j-backup-3.4.6.jar"] {
            fs::write(worker.home().join("lib").join(jar), "").unwrap();
        }
        worker.store("neostore", &neostore(2376));
        worker.store("neostore.counts.db.a", &counts(2376));
        worker.store("schema/1", b"index");
        worker
    }

    pub fn home(&self) -> PathBuf {
        self.dir.join("home")
    }

    pub fn scratch(&self) -> PathBuf {
        self.dir.join("scratch")
    }

    /// A file of the source's store.
    pub fn store(&self, name: &str, bytes: &[u8]) {
        fs::write(self.home().join("store").join(name), bytes).unwrap();
    }

    /// What the stand-in has noted.
    pub fn noted(&self, name: &str) -> String {
        fs::read_to_string(self.home().join(name)).unwrap_or_default()
    }

    pub fn command(&self, words: &[&str], changed: &[(&str, &str)]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_node"));
        command.args(words).env_clear().envs(runtime::example::CLUSTER).envs([
            ("PATH", "/usr/bin:/bin"),
            ("BACKUP_BUCKET", BUCKET),
            ("BACKUP_HEAP", "64m"),
            ("BACKUP_PAGE_CACHE", "8m"),
            ("AWS_REGION", "us-east-1"),
            ("AWS_ACCESS_KEY_ID", "test"),
            ("AWS_SECRET_ACCESS_KEY", "test"),
            // Where no node program listens.
            ("STATUS_PORT", "9"),
            runtime::example::LICENSE,
        ]);
        command.env("AWS_ENDPOINT_URL", format!("http://{}", self.at));
        command.env("NEO4J_HOME", self.home()).env("SCRATCH", self.scratch());
        command.envs(changed.iter().copied()).stdin(Stdio::null());
        command
    }

    /// Starts a run of `order`.
    pub fn start(&self, order: &str, changed: &[(&str, &str)]) -> Run {
        let log = self.dir.join("log");
        let output = fs::File::create(&log).unwrap();
        let mut command = self.command(&["backup"], changed);
        Run { child: command.env("ORDER", order).stdout(output).spawn().unwrap(), log }
    }

    /// Runs `order` to its end.
    pub fn run(&self, order: &str, changed: &[(&str, &str)]) -> (Option<i32>, Run) {
        let mut run = self.start(order, changed);
        (run.until_ended().code(), run)
    }

    pub fn manifest(&self) -> Option<Value> {
        Some(serde_json::from_slice(&self.s3.get(&folder().manifest())?).unwrap())
    }

    /// Waits for what the stand-in notes when it hangs: its own process and the one it waits for.
    pub fn until_hanging(&self) -> Vec<Pid> {
        until("the stand-in hangs", || self.noted("pids").trim().contains(' '));
        let pid = |word: &str| Pid::from_raw(word.parse().unwrap()).unwrap();
        self.noted("pids").split_whitespace().map(pid).collect()
    }

    pub fn until_called(&self, call: &str) {
        until(call, || self.s3.calls().iter().any(|called| called.starts_with(call)));
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // What a worker that was killed leaves running: it ends with its container elsewhere.
        if let Some(leader) = self.noted("pids").split_whitespace().next() {
            let leader = leader.parse().ok().and_then(Pid::from_raw);
            let _gone = leader.map(|group| kill_process_group(group, Signal::KILL));
        }
        let _gone = fs::remove_dir_all(&self.dir);
    }
}

/// One run of the worker.
pub struct Run {
    child: Child,
    log: PathBuf,
}

impl Run {
    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// The last line of the log: its event and its sentence.
    pub fn last(&self) -> (String, String) {
        let log = self.log();
        let line: Value = serde_json::from_str(log.lines().last().unwrap_or("{}")).unwrap();
        let text = |name: &str| line[name].as_str().unwrap_or_default().to_owned();
        (text("event"), text("message"))
    }

    /// Memory that is not mapped from files.
    pub fn anonymous_kib(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
        line.split_whitespace().next().unwrap().parse().unwrap()
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap(), signal).unwrap();
    }

    pub fn until_ended(&mut self) -> ExitStatus {
        let deadline = Instant::now() + 3 * PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < deadline, "it still runs:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        let _gone = (self.child.kill(), self.child.wait());
    }
}

pub fn until(what: &str, wanted: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !wanted() {
        assert!(Instant::now() < deadline, "{what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Gone, or waiting for its parent to notice.
pub fn is_over(process: Pid) -> bool {
    let stat = fs::read_to_string(Path::new("/proc").join(process.as_raw_nonzero().to_string()).join("stat"));
    stat.map_or(true, |stat| stat.rsplit(')').next().unwrap().trim_start().starts_with(['Z', 'X']))
}

pub fn folder() -> Folder {
    "backups/hourly/2026-11-27T10-00-00Z-t1".parse().unwrap()
}

/// An order that is to be done in so many seconds.
pub fn order(seconds: u64) -> Order {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    Order {
        format: ORDER_FORMAT,
        folder: folder(),
        source: From {
            slot: "core-3".into(),
            address: "127.0.0.1:6362".parse().unwrap(),
            role: "slave".into(),
            store_bytes: None,
        },
        master: Some(Seen { last_transaction: 2400, at: folder().time }),
        deadline: Time::of_epoch(now + seconds),
    }
}

/// The same, whose source has a store of so many bytes.
pub fn order_of(store_bytes: u64, seconds: u64) -> Order {
    let mut order = order(seconds);
    order.source.store_bytes = Some(store_bytes);
    order
}

/// Created at 1543180505000, random number -42, standard format.
pub fn neostore(last_transaction: i64) -> Vec<u8> {
    let record = |value: i64| [&[1], value.to_be_bytes().as_slice()].concat();
    let format = [1, 0, b'9', b'.', b'A', b'.', b'0', b'v', 6];
    let records = [1_543_180_505_000, -42, 0, last_transaction].map(record);
    [records.concat(), format.to_vec()].concat()
}

/// 50,000 nodes and 12 relationships.
pub fn counts(transaction: i64) -> Vec<u8> {
    let entry = |key: [u8; 16], value: [i64; 2]| {
        [key.as_slice(), &value[0].to_be_bytes(), &value[1].to_be_bytes()].concat()
    };
    let mut nodes = [0; 16];
    nodes[0] = 1;
    nodes[12..].copy_from_slice(&[0xff; 4]);
    let mut relationships = [0xff; 16];
    relationships[..4].copy_from_slice(&[2, 0, 0, 0]);
    [
        [[0; 16].as_slice(), b"NeoCountStore\0\x02V"].concat(),
        entry([0; 16], [transaction, 1]),
        entry(nodes, [0, 50_000]),
        entry(relationships, [0, 12]),
        entry([0; 16], [0, 2]),
    ]
    .concat()
}
