//! `node logs FILE`: a log file of Neo4j on standard output, line by line, across its rotations, and from its beginning: a follower
//! that is started again prints lines twice rather than none. The task has a container with this verb for each such file, so that the
//! log driver gives each a stream of its own, and a log that is not collected holds up neither Neo4j nor the node program.

use std::{
    fs::{File, TryLockError},
    io::{self, Read, Seek, SeekFrom, Write},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    time::Duration,
};

use runtime::Environment;
use tokio::{
    signal::unix::{SignalKind, signal},
    time::sleep,
};

/// From one look at the file to the next.
const LOOK: Duration = Duration::from_millis(500);
/// A line is at most this long, which is what CloudWatch takes as one event; a longer one is cut into several.
const LONGEST: usize = 256 << 10;
const CHUNK: usize = 64 << 10;
/// Held by `node run`, so that the last lines of a stop are followed too.
pub(crate) const LOCK: &str = "node.lock";

/// Why a file is not followed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{0:?} is not the name of a file in the directory of the logs, such as debug.log")]
    NotAName(String),
    #[error("{what}: {error}")]
    Io { what: String, error: io::Error },
}

/// Follows until it is asked to stop and `node run` has ended.
///
/// # Errors
/// When it is not the name of a file, or standard output is closed.
pub async fn run(environment: &Environment, name: &str) -> Result<(), Error> {
    let is_name = Path::new(name).file_name().is_some_and(|own| own == name);
    if !is_name {
        return Err(Error::NotAName(name.to_owned()));
    }
    let logs = PathBuf::from(environment.text("LOGS_DIR").unwrap_or("/logs"));
    let failed = |what: &str| {
        let what = what.to_owned();
        move |error| Error::Io { what, error }
    };
    let mut stop = signal(SignalKind::terminate()).map_err(failed("listening to signals"))?;
    let mut following = Following::new(logs.join(name));
    let mut asked = false;
    loop {
        // Before the look, so that what was written before the end is read by it.
        let over = asked && !is_held(&logs.join(LOCK));
        following.read(&mut io::stdout().lock()).map_err(failed("following the log"))?;
        if over {
            return Ok(());
        }
        tokio::select! {
            _ = stop.recv(), if !asked => asked = true,
            () = sleep(LOOK) => {}
        }
    }
}

/// Whether `node run` still runs. Where there is no such file it has not begun, or has nothing to say.
fn is_held(lock: &Path) -> bool {
    File::open(lock).is_ok_and(|file| matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)))
}

/// A file that another program writes, and renames when it is large.
struct Following {
    path: PathBuf,
    file: Option<File>,
    /// Another file had its name at the last look.
    renamed: bool,
    /// What has no line break yet.
    rest: Vec<u8>,
}

impl Following {
    fn new(path: PathBuf) -> Self {
        Self { path, file: None, renamed: false, rest: Vec::new() }
    }

    /// Writes every complete line that is there, of the file and of those that took its place.
    fn read(&mut self, out: &mut impl Write) -> io::Result<()> {
        loop {
            let mut file = match self.file.take() {
                Some(file) => file,
                // It appears when Neo4j starts.
                None => match File::open(&self.path) {
                    Ok(file) => file,
                    Err(error) if error.kind() == io::ErrorKind::NotFound => return out.flush(),
                    Err(error) => return Err(error),
                },
            };
            // Looked at before the end is read, so that all that was written until then is read.
            let replaced = is_replaced(&file, &self.path);
            if file.metadata()?.len() < file.stream_position()? {
                file.seek(SeekFrom::Start(0))?;
                self.rest.clear();
            }
            let mut chunk = vec![0; CHUNK];
            loop {
                let read = file.read(&mut chunk)?;
                if read == 0 {
                    break;
                }
                self.rest.extend_from_slice(&chunk[..read]);
                self.write_lines(out)?;
            }
            // One that was just renamed may get a last line of a thread that has it open.
            if !replaced || !std::mem::replace(&mut self.renamed, true) {
                self.renamed = replaced;
                self.file = Some(file);
                return out.flush();
            }
            self.renamed = false;
            if !self.rest.is_empty() {
                self.rest.push(b'\n');
                self.write_lines(out)?;
            }
        }
    }

    fn write_lines(&mut self, out: &mut impl Write) -> io::Result<()> {
        while let Some(end) = self.rest.iter().take(LONGEST).position(|byte| *byte == b'\n') {
            out.write_all(&self.rest[..=end])?;
            self.rest.drain(..=end);
        }
        if self.rest.len() >= LONGEST {
            out.write_all(&self.rest[..LONGEST])?;
            out.write_all(b"\n")?;
            self.rest.drain(..LONGEST);
            return self.write_lines(out);
        }
        Ok(())
    }
}

/// Whether another file has the name now.
fn is_replaced(file: &File, path: &Path) -> bool {
    match (file.metadata(), path.metadata()) {
        (Ok(open), Ok(there)) => open.ino() != there.ino(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    struct Log {
        dir: PathBuf,
        following: Following,
    }

    impl Log {
        fn new(name: &str) -> Self {
            let dir = std::env::temp_dir().join(format!("follow-{name}-{}", std::process::id()));
            fs::create_dir_all(&dir).unwrap();
            Self { following: Following::new(dir.join("debug.log")), dir }
        }

        fn append(&self, text: &str) {
            let path = self.dir.join("debug.log");
            File::options().create(true).append(true).open(path).unwrap().write_all(text.as_bytes()).unwrap();
        }

        fn read(&mut self) -> String {
            let mut out = Vec::new();
            self.following.read(&mut out).unwrap();
            String::from_utf8(out).unwrap()
        }
    }

    impl Drop for Log {
        fn drop(&mut self) {
            let _gone = fs::remove_dir_all(&self.dir);
        }
    }

    #[test]
    fn lines_are_written_when_they_are_complete() {
        let mut log = Log::new("lines");
        assert_eq!(log.read(), "", "there is no file yet");
        log.append("one\ntw");
        assert_eq!(log.read(), "one\n");
        log.append("o\n");
        assert_eq!(log.read(), "two\n");
        assert_eq!(log.read(), "");
    }

    #[test]
    fn no_line_is_lost_or_doubled_when_the_file_is_renamed_or_cut() {
        let mut log = Log::new("renamed");
        log.append("one\n");
        assert_eq!(log.read(), "one\n");
        log.append("two\nthree");
        fs::rename(log.dir.join("debug.log"), log.dir.join("debug.log.1")).unwrap();
        assert_eq!(log.read(), "two\n", "the new one is not there yet");
        log.append("four\n");
        assert_eq!(log.read(), "", "a line may still come");
        let mut renamed = File::options().append(true).open(log.dir.join("debug.log.1")).unwrap();
        renamed.write_all(b"!\n").unwrap();
        assert_eq!(log.read(), "three!\nfour\n");
        fs::write(log.dir.join("debug.log"), "5\n").unwrap();
        assert_eq!(log.read(), "5\n");
    }

    #[test]
    fn a_line_without_an_end_is_cut_at_what_cloudwatch_takes() {
        let mut log = Log::new("long");
        log.append(&"x".repeat(2 * LONGEST + 3));
        let lines = log.read();
        assert_eq!(lines.lines().map(str::len).collect::<Vec<_>>(), [LONGEST, LONGEST]);
        log.append("\n");
        assert_eq!(log.read(), "xxx\n");
    }
}
