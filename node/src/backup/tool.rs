//! `bin/neo4j-admin` as a child with a process group of its own, so that nothing of it is left when this program gives up.

use std::{
    ffi::{OsStr, OsString},
    fs,
    path::Path,
    process::{ExitStatus, Stdio},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _},
    process::Command,
    time::timeout,
};

use super::{Error, tail::Tail};

/// After its end the output is there; a process that it has left behind may hold it open, and is not waited for.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// What every JVM takes, whatever script starts it. Each says so on standard error first.
pub const JAVA_OPTIONS: &str = "JAVA_TOOL_OPTIONS";

/// The tool of one Neo4j.
pub struct Tool<'a> {
    pub home: &'a Path,
    /// The directory with its `neo4j.conf`, which is not a node's.
    pub conf: &'a Path,
    /// Its working directory.
    pub within: &'a Path,
    /// What it writes for a moment: the root of its container may be read-only.
    pub temporary: &'a Path,
    /// The heap of its JVM.
    pub heap: &'a str,
}

/// How a run of it ended.
#[derive(Debug)]
pub struct Ended {
    pub status: ExitStatus,
    /// The first line of what it said on standard error.
    pub first: String,
    /// The last ones.
    pub said: String,
}

impl Tool<'_> {
    /// Runs it to its end. When this is dropped the whole process group is killed.
    ///
    /// # Errors
    /// When it cannot be started.
    pub async fn run(&self, arguments: &[OsString]) -> Result<Ended, Error> {
        let program = self.home.join("bin/neo4j-admin");
        let mut command = Command::new(&program);
        command.args(arguments).current_dir(self.within).env_clear().kill_on_drop(true).process_group(0);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        // The task's own variables stay here: the tool needs neither the cloud's credentials nor the order.
        for name in ["PATH", "HOME", "JAVA_HOME", "LANG", "TZ"] {
            if let Some(value) = std::env::var_os(name) {
                command.env(name, value);
            }
        }
        command.env("NEO4J_HOME", self.home).env("NEO4J_CONF", self.conf).env("HEAP_SIZE", self.heap);
        command.env("TMPDIR", self.temporary);
        command.env(JAVA_OPTIONS, option("-Djava.io.tmpdir=", self.temporary));
        let failed = |what: &str, error| Error::io(format!("{what} {}", program.display()), error);
        let mut child = command.spawn().map_err(|error| failed("starting", error))?;
        let group = Group::of(child.id());
        let (out, err) = (Mutex::new(Tail::default()), Mutex::new(Tail::default()));
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        let reading = async { tokio::join!(read(stdout, &out), read(stderr, &err)) };
        tokio::pin!(reading);
        let mut is_read = false;
        let status = loop {
            tokio::select! {
                ended = child.wait() => break ended.map_err(|error| failed("waiting for", error))?,
                _ = &mut reading, if !is_read => is_read = true,
            }
        };
        drop(group);
        if !is_read {
            let _held_open = timeout(LAST_WORDS, &mut reading).await;
        }
        let tail = |tail: &Mutex<Tail>| {
            let mut tail = tail.lock().unwrap_or_else(PoisonError::into_inner);
            tail.end_line();
            (tail.first().to_owned(), tail.said())
        };
        let ((_, out), (first, err)) = (tail(&out), tail(&err));
        let said = err.or(out).unwrap_or_else(|| "it said nothing".to_owned());
        Ok(Ended { status, first, said })
    }
}

/// `--name=value`, whatever the value is.
pub fn option(name: &str, value: impl AsRef<OsStr>) -> OsString {
    let mut option = OsString::from(name);
    option.push(value);
    option
}

async fn read(stream: Option<impl AsyncRead + Unpin>, tail: &Mutex<Tail>) {
    let Some(mut stream) = stream else { return };
    let mut bytes = [0; 4096];
    while let Ok(length @ 1..) = stream.read(&mut bytes).await {
        tail.lock().unwrap_or_else(PoisonError::into_inner).push(&bytes[..length]);
    }
}

/// Whether the tool has `backup` at all: an edition without online backup has not its jar. Jars of another layout prove nothing.
pub fn has_online_backup(home: &Path) -> bool {
    let Ok(jars) = fs::read_dir(home.join("lib")) else { return true };
    let names: Vec<String> =
        jars.flatten().filter_map(|jar| jar.file_name().to_str().map(str::to_owned)).collect();
    let any = |prefix: &str| names.iter().any(|name| name.starts_with(prefix));
    any("neo4j-backup") || !any("neo4j-command-line")
}

/// A process group, killed when it is dropped.
struct Group(Option<Pid>);

impl Group {
    /// The group that the process `leader` was made the leader of.
    fn of(leader: Option<u32>) -> Self {
        Self(leader.and_then(|pid| i32::try_from(pid).ok()).and_then(Pid::from_raw))
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            let _ended_already = kill_process_group(group, Signal::KILL);
        }
    }
}
