//! What the consistency check of a copy comes to. A check that could not be made is not one that found faults.

use std::{
    fs::{self, File},
    io::{self, Read as _},
    path::{Path, PathBuf},
    time::Duration,
};

use backups::Consistency;
use tokio::time::timeout;
use tracing::{info, warn};

use super::{
    Settings, plan,
    scratch::Scratch,
    tool::{Ended, Tool, option},
};

/// Of a report so much is kept: a damaged store has a line for each fault.
const LONGEST: usize = 1 << 20;
const CUT: &[u8] = b"\n(The report is longer; the rest was not kept.)\n";

/// Checks the copy in `database`: the verdict, and the report of an inconsistent store. A check that cannot be made is no reason not
/// to keep the copy.
pub async fn check(
    settings: &Settings,
    scratch: &Scratch,
    database: &Path,
    left: Duration,
) -> (Consistency, Option<PathBuf>) {
    let (reports, conf, temporary) = (scratch.reports(), scratch.check_conf(), scratch.temporary());
    let arguments =
        ["check-consistency".into(), option("--backup=", database), option("--report-dir=", &reports)];
    let within = plan::check_within(left);
    let Settings { home, heap, .. } = settings;
    let tool = Tool { home, conf: &conf, within: scratch.dir(), temporary: &temporary, heap };
    let (code, said) = match timeout(within, tool.run(&arguments)).await {
        Ok(Ok(Ended { status, said, .. })) => (status.code(), format!("it ended with {status}: {said}")),
        Ok(Err(error)) => (None, error.to_string()),
        Err(_) => {
            let seconds = within.as_secs();
            (None, format!("it was not done within {seconds} s, half of the time that was left"))
        }
    };
    let report = report(&reports);
    let verdict = judge(code, report.is_some());
    match verdict {
        Consistency::Consistent => info!(event = "backup-consistent", "the copy is consistent"),
        Consistency::Inconsistent => warn!(
            event = "backup-inconsistent",
            "the copy is INCONSISTENT ({said}): it is kept with its report, and never counts as a backup that can be relied on"
        ),
        Consistency::Unchecked => warn!(
            event = "backup-unchecked",
            "the copy could not be checked ({said}): it is kept, and only a check or a drill makes it one that counts"
        ),
    }
    (verdict, report.filter(|_| verdict == Consistency::Inconsistent))
}

/// The verdict of a check that ended with `code`. In 3.4 `check-consistency` ends with 1 whether it found faults or failed itself
/// (`CommandFailed` in its byte code), and only faults make a report; `backup` has 3 for faults, and later versions may have it here too.
fn judge(code: Option<i32>, has_report: bool) -> Consistency {
    match (code, has_report) {
        (Some(0), _) => Consistency::Consistent,
        (Some(3), _) | (Some(1), true) => Consistency::Inconsistent,
        _ => Consistency::Unchecked,
    }
}

/// The report in `dir`, which is made with the first fault.
fn report(dir: &Path) -> Option<PathBuf> {
    let is_report = |path: &PathBuf| {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let is_named =
            name.starts_with("inconsistencies-") && path.extension().is_some_and(|end| end == "report");
        is_named && fs::metadata(path).is_ok_and(|found| found.is_file() && found.len() > 0)
    };
    fs::read_dir(dir).ok()?.flatten().map(|entry| entry.path()).find(is_report)
}

/// The report's text, cut at a length that is kept for ever.
///
/// # Errors
/// When it cannot be read.
pub fn excerpt(report: &Path) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    File::open(report)?.take(LONGEST as u64 + 1).read_to_end(&mut text)?;
    if text.len() > LONGEST {
        text.truncate(LONGEST - CUT.len());
        text.extend_from_slice(CUT);
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_check_that_was_made_says_anything_about_the_store() {
        let table = [
            (Some(0), false, Consistency::Consistent),
            // Warnings are reported too.
            (Some(0), true, Consistency::Consistent),
            (Some(1), true, Consistency::Inconsistent),
            (Some(1), false, Consistency::Unchecked),
            (Some(2), true, Consistency::Unchecked),
            (Some(3), true, Consistency::Inconsistent),
            (Some(3), false, Consistency::Inconsistent),
            (Some(137), true, Consistency::Unchecked),
            // Killed by a signal, as by the kernel when memory is short.
            (None, true, Consistency::Unchecked),
        ];
        for (code, has_report, verdict) in table {
            assert_eq!(judge(code, has_report), verdict, "{code:?} {has_report}");
        }
    }

    #[test]
    fn a_report_is_found_and_cut() {
        let dir = std::env::temp_dir().join(format!("report-{}", std::process::id()));
        let _absent = fs::remove_dir_all(&dir);
        fs::create_dir_all(&dir).unwrap();
        fs::write(dir.join("debug.log"), "x").unwrap();
        fs::write(dir.join("inconsistencies-0.report"), "").unwrap();
        assert_eq!(report(&dir), None);
        let path = dir.join("inconsistencies-2026-11-26.10.00.00.report");
        fs::write(&path, vec![b'x'; LONGEST]).unwrap();
        assert_eq!(report(&dir).as_ref(), Some(&path));
        assert_eq!(excerpt(&path).unwrap(), vec![b'x'; LONGEST]);
        fs::write(&path, vec![b'x'; 2 * LONGEST]).unwrap();
        let cut = excerpt(&path).unwrap();
        assert!(cut.len() == LONGEST && cut.ends_with(CUT));
        fs::remove_dir_all(&dir).unwrap();
    }
}
