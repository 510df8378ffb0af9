//! Executes what a tick decided: the conditional write, then the calls of the plan. There are no choices left
//! here.

use std::time::Duration;

use backups::Folder;
use tracing::{error, info, warn};

use crate::{
    Action, Stored, Tally, Trouble, Version, World,
    news::News,
    runs::{How, Run, Runs},
};

/// The wait after a 409: another conditional write is under way, which takes some ten milliseconds.
const BUSY: Duration = Duration::from_millis(100);
const TRIES: u32 = 5;

/// One tick.
pub(crate) struct Tick<'t, W> {
    pub world: &'t W,
    pub tally: Option<Tally>,
}

impl<W: World> Tick<'_, W> {
    /// Writes the state conditionally. Returns its new version, or `None` when a concurrent write was faster.
    pub(crate) async fn write(&self, runs: &Runs, seen: &Version) -> Result<Option<Version>, Trouble> {
        for _try in 0..TRIES {
            let failure = match self.world.store(runs, seen).await {
                Ok(Stored::Written(version)) => return Ok(Some(version)),
                Ok(Stored::Busy) => {
                    self.world.sleep(BUSY).await;
                    continue;
                }
                Ok(Stored::Lost) => None,
                Err(trouble) => Some(trouble),
            };
            // The write may have succeeded although its answer was lost: only the object shows it. A run has an id
            // of its own, so the same state is the same plan. Without a new run it may be that of another tick of the
            // same second: then what ended is logged twice, and the other calls are idempotent.
            let (found, version) = self.world.load().await?;
            if found.as_ref() == Some(runs) {
                return Ok(Some(version));
            }
            return match failure {
                Some(trouble) if version == *seen => Err(trouble),
                _ => {
                    warn!(event = "lost-race", "a concurrent tick wrote the state; this plan is dropped");
                    Ok(None)
                }
            };
        }
        Err(Trouble::Contended)
    }

    /// Executes the plan, and records what came of it. Returns the state as it is then.
    pub(crate) async fn act(
        &mut self,
        actions: &[Action],
        mut known: (Runs, Version),
    ) -> Result<Runs, Trouble> {
        let (mut tagged, mut untagged, mut denied) = (Vec::new(), Vec::new(), false);
        for action in actions {
            match action {
                Action::Launch { run, conclusive } => known = self.launch(run, *conclusive, known).await?,
                Action::StopTask { task, reason } => {
                    if let Err(error) = self.world.stop(task, reason).await {
                        // The next tick asks for it again.
                        error!(event = "stop-failed", task, "{error}");
                    }
                }
                Action::Tag { .. } if denied => {}
                Action::Tag { key } => match self.expire(key).await {
                    Ok(true) => tagged.push(key.clone()),
                    Ok(false) => {}
                    Err(error) => {
                        warn!(event = "tag-failed", key, "{error}");
                        denied = error.kind == aws::Kind::Denied;
                    }
                },
                Action::Untag { key } => match self.world.untag(key).await {
                    Ok(()) => {
                        info!(event = "backup-kept", key, "{key} is tagged as expired no more");
                        untagged.push(key.clone());
                    }
                    // The next tick tries again: S3 looks at the tags once a day.
                    Err(error) => warn!(event = "untag-failed", key, "{error}"),
                },
            }
        }
        if !(tagged.is_empty() && untagged.is_empty()) {
            let remember = |runs: &mut Runs| {
                let before = runs.clone();
                runs.tagged.extend(tagged.iter().cloned());
                runs.tagged.retain(|key| !untagged.contains(key));
                runs.unsure.retain(|key| !tagged.contains(key) && !untagged.contains(key));
                *runs != before
            };
            known = self.amend(known, remember).await?;
        }
        Ok(known.0)
    }

    /// Starts a worker and records its ARN. Whatever happens in between, the next tick calls again with the
    /// same token, and the same task is found.
    async fn launch(
        &mut self,
        run: &Run,
        conclusive: bool,
        known: (Runs, Version),
    ) -> Result<(Runs, Version), Trouble> {
        let folder = &run.order.folder;
        let is_this = |found: &Option<Run>| {
            found.as_ref().is_some_and(|found| found.order.folder == *folder && found.task.is_none())
        };
        match self.world.launch(run).await {
            Ok(arn) => {
                let now = self.world.now();
                let record = |runs: &mut Runs| {
                    let is_this = is_this(&runs.current);
                    if let Some(run) = runs.current.as_mut().filter(|_| is_this) {
                        (run.task, run.launched) = (Some(arn.clone()), Some(now));
                    }
                    is_this
                };
                let known = self.amend(known, record).await?;
                let is_known = known.0.current.as_ref().is_some_and(|run| run.order.folder == *folder);
                if !is_known {
                    // A concurrent tick was refused a worker and has recorded the failure: this one must not
                    // run beside the next.
                    let reason = format!("the run {folder} is over");
                    self.world.stop(&arn, &reason).await?;
                }
                Ok(known)
            }
            // Whether there is a task is not known: an earlier call may have started it.
            Err(error) if error.kind.passes() || !conclusive => {
                warn!(
                    event = "launch-unanswered",
                    folder = folder.to_string(),
                    "{error}; the next tick asks again"
                );
                Ok(known)
            }
            Err(error) => {
                let (now, mut ended) = (self.world.now(), None);
                let record = |runs: &mut Runs| {
                    if !is_this(&runs.current) {
                        return false;
                    }
                    ended = runs.end(now, How::Failed(format!("no worker was started: {error}")));
                    ended.is_some()
                };
                let known = self.amend(known, record).await?;
                if let Some(ended) = ended {
                    News::Ended { ended, bytes: None, seconds: None, opinion: None }.log();
                    if let Some(tally) = &mut self.tally {
                        tally.failed = true;
                    }
                }
                Ok(known)
            }
        }
    }

    /// Tags `key` unless its folder is held by now. Returns whether it was tagged.
    async fn expire(&self, key: &str) -> Result<bool, aws::Error> {
        let Some(folder) = Folder::of_object(key) else { return Ok(false) };
        // Read last: an operator may have put it there since the catalogue was listed.
        let hold = folder.hold();
        if self.world.list(&format!("{folder}/")).await?.iter().any(|listed| listed.key == hold) {
            info!(event = "backup-held", key, "an operator holds {folder}, so it is not tagged");
            return Ok(false);
        }
        self.world.tag(key).await?;
        info!(event = "backup-expired", key, folder = folder.to_string(), "{key} is tagged as expired");
        Ok(true)
    }

    /// Changes the state as it is by now; `change` returns whether there is something to write.
    async fn amend(
        &self,
        (mut runs, mut version): (Runs, Version),
        mut change: impl FnMut(&mut Runs) -> bool,
    ) -> Result<(Runs, Version), Trouble> {
        for _try in 0..TRIES {
            if !change(&mut runs) {
                return Ok((runs, version));
            }
            if let Some(version) = self.write(&runs, &version).await? {
                return Ok((runs, version));
            }
            let (found, newer) = self.world.load().await?;
            // Deleted by an operator: there is nothing to change.
            let Some(found) = found else { return Err(Trouble::Contended) };
            (runs, version) = (found, newer);
        }
        Err(Trouble::Contended)
    }
}
