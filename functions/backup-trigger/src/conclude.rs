//! How a run ended, as its folder and its task show it.

use std::time::Duration;

use aws::TaskEnd;
use backups::{Catalogue, Standing, Time, Unreadable};

use crate::{
    decide::entry_of,
    runs::{Ended, How, Run, Runs},
};

/// How long ECS may not know a task that it has just started: its calls do not all see the same moment.
pub(crate) const TOO_NEW: Duration = Duration::from_secs(300);

/// What is known of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    UnderWay,
    Ended(How),
}

/// How `run` ended. The manifest decides, whatever became of the task: it is the commit.
pub(crate) fn verdict(now: Time, run: &Run, catalogue: &Catalogue, task: Option<&TaskEnd>) -> Verdict {
    let failed = |reason: String| Verdict::Ended(How::Failed(reason));
    if let Some(entry) = entry_of(catalogue, &run.order.folder) {
        return match (entry.verdict(), &entry.manifest) {
            (Standing::Verified, _) => Verdict::Ended(How::Verified),
            (Standing::Unchecked, _) => Verdict::Ended(How::Unchecked),
            (Standing::Inconsistent, _) => Verdict::Ended(How::Inconsistent),
            (Standing::Missing, _) => {
                failed("its manifest is there, and its data is gone or of another length".to_owned())
            }
            // S3 did not give it to this tick: the next one reads it.
            (Standing::Unreadable, Err(Unreadable::NotRead)) => Verdict::UnderWay,
            (Standing::Unreadable, Err(reason)) => failed(format!("its manifest cannot be used: {reason}")),
            (Standing::Unreadable, Ok(_)) => failed("its manifest cannot be used".to_owned()),
        };
    }
    let is_new = run.launched.is_none_or(|at| now.since(at) < TOO_NEW);
    match (&run.task, task) {
        (Some(arn), Some(end @ TaskEnd::Stopped { .. })) => {
            let id = arn.rsplit('/').next().unwrap_or_default();
            failed(format!(
                "{end}; it wrote no manifest, and its log says why (the stream that ends in backup/{id})"
            ))
        }
        (Some(arn), Some(TaskEnd::Unknown)) if !is_new => {
            failed(format!("ECS does not know its task {arn} any more, and it wrote no manifest"))
        }
        _ => Verdict::UnderWay,
    }
}

/// What a second opinion says, as a sentence; `None` if `ended` is not one, or has no verdict.
pub(crate) fn second_opinion(ended: &Ended, runs: &Runs, catalogue: &Catalogue) -> Option<String> {
    let doubted = ended.confirms.as_ref()?;
    let first = runs.ended.iter().find(|first| first.folder == *doubted)?;
    let (here, there) = (&ended.slot, &first.slot);
    match ended.how {
        How::Verified => Some(format!(
            "the copy {doubted} or the store of {there} is damaged and the cluster is not, because the backup from {here} is \
             consistent: let {there} copy its store again"
        )),
        How::Inconsistent => {
            let sound = catalogue.latest().chosen.map(|entry| entry.folder.to_string());
            let sound = sound.unwrap_or_else(|| "none".to_owned());
            Some(format!(
                "the cluster's own store is damaged, because the backups from {there} and {here} are both inconsistent: the last \
                 verified backup is {sound}"
            ))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use backups::{Consistency, Listed, Tier};

    use super::*;
    use crate::{
        example::{catalogue, entry},
        runs::tests::run,
    };

    #[test]
    fn the_manifest_decides_and_without_one_the_task() {
        let of = |consistency| {
            let mut made = entry(Tier::Hourly, 1000, consistency);
            made.folder = run(Tier::Hourly, "core-3", 1000).order.folder;
            made
        };
        let mut missing = of(Consistency::Consistent);
        missing.data = None;
        let mut unread = of(Consistency::Consistent);
        unread.manifest = Err(Unreadable::NotRead);
        let mut broken = of(Consistency::Consistent);
        broken.manifest = Err(Unreadable::Format(9));
        let stopped =
            |code| Some(TaskEnd::Stopped { reason: "Essential container exited".into(), exit_code: code });
        let ended = |how: How| Some(how);
        let failed = |part: &str| Some(How::Failed(part.into()));
        let table = [
            (Some(of(Consistency::Consistent)), Some(TaskEnd::Running), ended(How::Verified)),
            (Some(of(Consistency::Consistent)), stopped(Some(1)), ended(How::Verified)),
            (Some(of(Consistency::Unchecked)), None, ended(How::Unchecked)),
            (Some(of(Consistency::Inconsistent)), stopped(Some(0)), ended(How::Inconsistent)),
            (Some(missing), stopped(Some(0)), failed("its data is gone or of another length")),
            (Some(broken), stopped(Some(0)), failed("its manifest cannot be used: its format is 9")),
            (Some(unread), stopped(Some(0)), None),
            (
                None,
                stopped(Some(137)),
                failed("its task stopped with exit code 137: Essential container exited; it wrote"),
            ),
            (None, stopped(None), failed("the stream that ends in backup/t1")),
            (None, Some(TaskEnd::Unknown), failed("ECS does not know its task cluster/t1 any more")),
            (None, Some(TaskEnd::Running), None),
            (None, None, None),
        ];
        for (found, task, expected) in table {
            let mut run = run(Tier::Hourly, "core-3", 1000);
            (run.task, run.launched) = (Some("cluster/t1".into()), Some(Time::of_epoch(1000)));
            let catalogue = catalogue(found.into_iter().collect());
            let told = verdict(Time::of_epoch(1300), &run, &catalogue, task.as_ref());
            match (&told, &expected) {
                (Verdict::Ended(How::Failed(reason)), Some(How::Failed(part))) => {
                    assert!(reason.contains(part.as_str()), "{reason}");
                }
                (Verdict::Ended(how), Some(expected)) => assert_eq!(how, expected),
                (told, expected) => {
                    assert_eq!((told, expected), (&Verdict::UnderWay, &None), "{task:?}");
                }
            }
            // A moment after its start ECS may not know it yet.
            if task == Some(TaskEnd::Unknown) {
                let early = verdict(Time::of_epoch(1299), &run, &catalogue, task.as_ref());
                assert_eq!(early, Verdict::UnderWay);
            }
        }
    }

    /// Data without a manifest does not exist.
    #[test]
    fn a_half_written_upload_is_no_backup() {
        let mut run = run(Tier::Hourly, "core-3", 1000);
        run.task = Some("t".into());
        let listing = [Listed { key: run.order.folder.data(), bytes: 9 }];
        let catalogue = Catalogue::of(&listing, &std::collections::BTreeMap::new());
        let stopped = TaskEnd::Stopped { reason: "killed".into(), exit_code: Some(137) };
        let told = verdict(Time::of_epoch(1100), &run, &catalogue, Some(&stopped));
        assert!(matches!(told, Verdict::Ended(How::Failed(_))), "{told:?}");
    }
}
