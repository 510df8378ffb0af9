//! The wrong triggers: the real tick, which sees or does something that is not so.

use std::time::Duration;

use aws::{Kind, TaskEnd};
use backup_trigger::{Node, Policy, Run, Runs, Stored, Trouble, Version, World};
use backups::{HOLD, Listed, MANIFEST, ROOT, Time};
use topology::Pause;

use super::super::{setting::STACK, weather::refusal, world::Seen};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Wrong {
    Nothing,
    /// It takes a lost race for a won one.
    WinsRaces,
    /// It forgets how runs ended.
    ForgetsEnds,
    /// It does not see that a run is under way.
    SeesNoRun,
    /// It starts a worker with another token each time.
    AnyToken,
    SeesNoPause,
    /// It takes every task for one of the same definition.
    SeesNoRoll,
    /// It takes every second master for a slave.
    SeesOneMaster,
    /// It takes a node that does not answer for a slave that is well.
    SeesNoSilence,
    /// It takes the master for a slave.
    TakesTheMaster,
    /// It takes every slave for one that is near.
    SeesNoLag,
    /// It asks the slot that an inconsistent backup is from.
    AsksAgain,
    /// It takes every manifest for one that says consistent.
    SeesNoDamage,
    /// It does not see holds.
    SeesNoHold,
    /// It does not look for a hold before it tags.
    LooksOnce,
    /// It does not see the data of backups, and so takes none for verified.
    SeesNoData,
    /// It takes all data for what a run left behind.
    SeesNoManifest,
    /// It tags what is in no backup's folder.
    TagsNotes,
    /// It takes every worker for one that has stopped.
    SeesNoWorker,
    /// It takes every worker for one that runs.
    SeesNoEnd,
    /// It takes every bucket for its own.
    SeesNoOwner,
    /// It never sees a request.
    SeesNoRequest,
    /// It drops requests.
    DropsRequests,
    /// It acts when it is asked what it would do.
    ActsWhenAsked,
    /// It has no daily backups.
    HasNoDays,
    NeverLaunches,
    /// It stops each worker that it has started.
    StopsAtOnce,
    NeverStops,
    NeverTags,
    NeverUntags,
}

impl Wrong {
    pub fn policy(self, policy: Policy) -> Policy {
        let mut policy = policy;
        if self == Self::HasNoDays {
            policy.schedule.daily = None;
        }
        policy
    }
}

/// What a wrong trigger sees of the world.
pub struct Tampered(pub Seen, pub Wrong);

impl World for Tampered {
    fn now(&self) -> Time {
        self.0.now()
    }

    async fn sleep(&self, time: Duration) {
        World::sleep(&self.0, time).await;
    }

    fn id(&self) -> Result<String, Trouble> {
        self.0.id()
    }

    async fn load(&self) -> Result<(Option<Runs>, Version), Trouble> {
        let (mut found, version) = self.0.load().await?;
        if let Some(runs) = &mut found {
            match self.1 {
                Wrong::ForgetsEnds => runs.ended.clear(),
                Wrong::SeesNoRun => runs.current = None,
                Wrong::SeesNoRequest | Wrong::DropsRequests => runs.requested = None,
                _ => {}
            }
        }
        Ok((found, version))
    }

    async fn store(&self, runs: &Runs, seen: &Version) -> Result<Stored, Trouble> {
        let mut runs = runs.clone();
        if self.1 == Wrong::SeesNoRequest {
            runs.requested = self.0.load().await?.0.and_then(|stored| stored.requested);
        }
        if let Some(run) = runs.current.as_mut().filter(|_| self.1 == Wrong::AsksAgain) {
            let doubted = runs.ended.iter().find(|ended| Some(&ended.folder) == run.confirms.as_ref());
            doubted.into_iter().for_each(|ended| run.order.source.slot.clone_from(&ended.slot));
        }
        match self.0.store(&runs, seen).await? {
            Stored::Lost if self.1 == Wrong::WinsRaces => Ok(Stored::Written(self.0.load().await?.1)),
            stored => Ok(stored),
        }
    }

    async fn owner(&self) -> Result<Option<String>, Trouble> {
        let owner = self.0.owner().await?;
        Ok(if self.1 == Wrong::SeesNoOwner { Some(STACK.to_owned()) } else { owner })
    }

    async fn claim(&self, stack: &str) -> Result<(), Trouble> {
        self.0.claim(stack).await
    }

    async fn list(&self, prefix: &str) -> Result<Vec<Listed>, aws::Error> {
        if self.1 == Wrong::LooksOnce && prefix != ROOT {
            return Ok(Vec::new());
        }
        let mut listed = self.0.list(prefix).await?;
        let hidden = match self.1 {
            Wrong::SeesNoHold => HOLD,
            Wrong::SeesNoData if prefix == ROOT => backups::DATA,
            Wrong::SeesNoManifest if prefix == ROOT => MANIFEST,
            _ => return Ok(listed),
        };
        listed.retain(|listed| !listed.key.ends_with(hidden));
        Ok(listed)
    }

    async fn manifests(&self, keys: &[String]) -> Vec<Result<Option<Vec<u8>>, aws::Error>> {
        let read = self.0.manifests(keys).await;
        if self.1 != Wrong::SeesNoDamage {
            return read;
        }
        let sound = |body: Vec<u8>| String::from_utf8_lossy(&body).replace("inconsistent", "consistent");
        read.into_iter().map(|read| Ok(read?.map(|body| sound(body).into_bytes()))).collect()
    }

    async fn nodes(&self) -> Result<Vec<Node>, aws::Error> {
        let mut nodes = self.0.nodes().await?;
        let well = nodes.iter().filter_map(|node| node.status.clone()).find(|status| status.role == "slave");
        let mut masters = 0;
        for node in &mut nodes {
            if self.1 == Wrong::SeesNoRoll {
                "same".clone_into(&mut node.definition);
            }
            if self.1 == Wrong::SeesNoSilence && node.status.is_none() {
                node.status.clone_from(&well);
            }
            let Some(status) = &mut node.status else { continue };
            masters += usize::from(status.role == "master");
            if self.1 == Wrong::SeesOneMaster && masters > 1 && status.role == "master" {
                "slave".clone_into(&mut status.role);
            }
            if self.1 == Wrong::SeesNoLag {
                status.last_transaction = Some(1);
            }
            if self.1 == Wrong::TakesTheMaster {
                // The slaves have changed places with it, and only one of them can be the master.
                let role = if node.slot.server_id == 2 { "master" } else { "slave" };
                role.clone_into(&mut status.role);
                status.backup_server = Some(node.slot.server_id == 1);
            }
        }
        Ok(nodes)
    }

    async fn pause(&self) -> Result<Option<Pause>, Trouble> {
        let pause = self.0.pause().await?;
        Ok(pause.filter(|_| self.1 != Wrong::SeesNoPause))
    }

    async fn launch(&self, run: &Run) -> Result<String, aws::Error> {
        let mut run = run.clone();
        match self.1 {
            Wrong::NeverLaunches => return Err(refusal("ecs:RunTask", "no answer", Kind::Passing)),
            Wrong::AnyToken => run.order.folder.id = self.0.id().unwrap_or_default(),
            _ => {}
        }
        let arn = self.0.launch(&run).await?;
        if self.1 == Wrong::StopsAtOnce {
            self.0.stop(&arn, "it was started").await?;
        }
        Ok(arn)
    }

    async fn started(&self, run: &Run) -> Result<Option<String>, aws::Error> {
        self.0.started(run).await
    }

    async fn task(&self, arn: &str) -> Result<TaskEnd, aws::Error> {
        let end = self.0.task(arn).await?;
        Ok(match self.1 {
            Wrong::SeesNoWorker => TaskEnd::Stopped { reason: "it seems so".to_owned(), exit_code: None },
            Wrong::SeesNoEnd => TaskEnd::Running,
            _ => end,
        })
    }

    async fn stop(&self, arn: &str, reason: &str) -> Result<(), aws::Error> {
        if self.1 == Wrong::NeverStops { Ok(()) } else { self.0.stop(arn, reason).await }
    }

    async fn tag(&self, key: &str) -> Result<(), aws::Error> {
        match self.1 {
            Wrong::NeverTags => Ok(()),
            Wrong::TagsNotes => self.0.tag(super::NOTES).await,
            _ => self.0.tag(key).await,
        }
    }

    async fn untag(&self, key: &str) -> Result<(), aws::Error> {
        if self.1 == Wrong::NeverUntags {
            return Err(refusal("s3:DeleteObjectTagging", "no answer", Kind::Passing));
        }
        self.0.untag(key).await
    }
}
