//! Processes, by id: started with a journal, ended with their whole group, never found by name.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
    process::Stdio,
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

pub use rustix::process::Signal;
use rustix::process::{Pid, kill_process, kill_process_group};
use serde::{Deserialize, Serialize};
use tokio::process::{Child, Command};

/// A process as the journal keeps it. The start time guards against an id that the system has given to another one.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Entry {
    /// The process, which leads a group of its own.
    pub pid: i32,
    /// Its start in clock ticks since boot (field 22 of `/proc/PID/stat`).
    pub started: u64,
    /// What it is, for people.
    pub what: String,
}

/// Starts processes and remembers them on disk before anything can go wrong with this one.
#[derive(Clone, Debug)]
pub struct Processes {
    journal: Arc<Mutex<PathBuf>>,
}

impl Processes {
    /// Processes of the run whose journal is at `journal`.
    pub fn new(journal: PathBuf) -> Self {
        Self { journal: Arc::new(Mutex::new(journal)) }
    }

    /// Starts `command` as the leader of a new process group, with its output appended to `log`.
    pub fn start(&self, what: &str, mut command: Command, log: &Path) -> io::Result<Child> {
        let output = OpenOptions::new().create(true).append(true).open(log)?;
        command.process_group(0).stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
        let journal = self.journal.lock().expect("no panic while the journal is held");
        let child = command.spawn().map_err(|error| {
            let program = command.as_std().get_program().to_string_lossy().into_owned();
            io::Error::new(error.kind(), format!("{what}: {program} cannot be started: {error}"))
        })?;
        let pid = i32::try_from(child.id().unwrap_or_default()).unwrap_or_default();
        let entry = Entry { pid, started: started(pid).unwrap_or_default(), what: what.to_owned() };
        let mut file = OpenOptions::new().create(true).append(true).open(&*journal)?;
        writeln!(file, "{}", serde_json::to_string(&entry)?)?;
        Ok(child)
    }
}

/// Sends `signal` to every process of the group that `leader` leads; a group that is gone is no error.
pub fn signal_group(leader: i32, signal: Signal) {
    if let Some(pid) = Pid::from_raw(leader) {
        let _gone = kill_process_group(pid, signal);
    }
}

/// Sends `signal` to one process; one that is gone is no error.
pub fn signal(pid: i32, signal: Signal) {
    if let Some(pid) = Pid::from_raw(pid) {
        let _gone = kill_process(pid, signal);
    }
}

/// The processes whose parent is `pid`.
pub fn children(pid: i32) -> Vec<i32> {
    let list = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    list.split_whitespace().filter_map(|word| word.parse().ok()).collect()
}

/// Files below `dir` that `pid` still has open although they are deleted.
pub fn deleted_files(pid: i32, dir: &Path) -> Vec<String> {
    let open = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
    let targets = open.filter_map(|entry| fs::read_link(entry.path()).ok());
    let targets = targets.filter(|target| target.starts_with(dir)).map(|target| target.display().to_string());
    targets.filter(|target| target.ends_with(" (deleted)")).collect()
}

/// The processes below `pid`, however deep.
fn descendants(pid: i32) -> Vec<i32> {
    let mut found = children(pid);
    let mut next = 0;
    while next < found.len() {
        found.extend(children(found[next]));
        next += 1;
    }
    found
}

/// What the journal at `path` says was started; empty when there is none.
pub fn entries(path: &Path) -> Vec<Entry> {
    let text = fs::read_to_string(path).unwrap_or_default();
    text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

/// Ends every process of the journal that still runs, with its descendants and its group: SIGTERM, `grace`, SIGKILL.
/// Returns what was ended.
pub fn end_all(path: &Path, grace: Duration) -> Vec<Entry> {
    let alive: Vec<Entry> = entries(path).into_iter().filter(Entry::is_alive).collect();
    let below: Vec<(i32, u64)> = alive
        .iter()
        .flat_map(|entry| descendants(entry.pid))
        .filter_map(|pid| Some((pid, started(pid)?)))
        .collect();
    for entry in &alive {
        // A frozen process keeps SIGTERM for later; woken, it can end as it should.
        signal_group(entry.pid, Signal::CONT);
        signal_group(entry.pid, Signal::TERM);
    }
    let deadline = Instant::now() + grace;
    while Instant::now() < deadline && alive.iter().any(Entry::is_alive) {
        thread::sleep(Duration::from_millis(50));
    }
    for entry in &alive {
        signal_group(entry.pid, Signal::KILL);
    }
    for (pid, since) in below {
        if started(pid) == Some(since) {
            signal(pid, Signal::KILL);
        }
    }
    alive
}

impl Entry {
    /// Whether this very process still runs (a zombie does not).
    pub fn is_alive(&self) -> bool {
        started(self.pid) == Some(self.started)
    }
}

/// When `pid` was started, in clock ticks since boot; none for a process that is gone or a zombie.
fn started(pid: i32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in brackets may hold spaces and brackets itself, so fields count from the last bracket.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    if fields.next()? == "Z" {
        return None;
    }
    fields.nth(18)?.parse().ok()
}

/// A file that says what went wrong is only of use when people can see its end.
pub fn tail(log: &Path, lines: usize) -> String {
    let Ok(text) = File::open(log).and_then(io::read_to_string) else {
        return format!("({} cannot be read)", log.display());
    };
    let all: Vec<&str> = text.lines().collect();
    all[all.len().saturating_sub(lines)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn journal() -> PathBuf {
        let dir = std::env::temp_dir().join(format!(
            "processes-{}-{:?}",
            std::process::id(),
            thread::current().id()
        ));
        fs::create_dir_all(&dir).unwrap();
        dir.join("journal")
    }

    #[tokio::test]
    async fn ending_reaches_a_child_that_ignores_sigterm_and_its_own_child() {
        let journal = journal();
        let mut command = Command::new("sh");
        command.args(["-c", "trap '' TERM; sleep 300 & wait; wait"]);
        let log = journal.with_extension("log");
        let mut child = Processes::new(journal.clone()).start("stubborn", command, &log).unwrap();
        let pid = i32::try_from(child.id().unwrap()).unwrap();
        let deadline = Instant::now() + Duration::from_secs(10);
        while children(pid).is_empty() && Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let below = children(pid);
        assert_eq!(below.len(), 1);

        let ended = tokio::task::spawn_blocking({
            let journal = journal.clone();
            move || end_all(&journal, Duration::from_millis(200))
        });
        assert_eq!(ended.await.unwrap().len(), 1);
        assert!(!child.wait().await.unwrap().success());
        while started(below[0]).is_some() {
            assert!(Instant::now() < deadline, "the grandchild still runs");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert!(end_all(&journal, Duration::ZERO).is_empty(), "nothing is left to end");
    }

    #[test]
    fn an_id_that_the_system_gave_to_another_process_is_left_alone() {
        let me = i32::try_from(std::process::id()).unwrap();
        let entry = Entry { pid: me, started: started(me).unwrap() + 1, what: "somebody else".into() };
        assert!(!entry.is_alive());
        assert!(Entry { started: entry.started - 1, ..entry }.is_alive());
    }
}
