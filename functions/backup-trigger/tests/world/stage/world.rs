//! The stage as ticks see it.

use std::time::Duration;

use aws::{Kind, TaskEnd};
use backup_trigger::{Node, Run, Runs, Stored, Trouble, Version, World};
use backups::{Folder, Listed, Time};
use topology::Pause;

use super::{KNOWN, Launch, Stage, Task, Worker, Write, failure};

impl World for Stage {
    fn now(&self) -> Time {
        Time::of_epoch(self.clock.get())
    }

    async fn sleep(&self, _time: Duration) {
        self.others().await;
    }

    fn id(&self) -> Result<String, Trouble> {
        self.ids.set(self.ids.get() + 1);
        Ok(format!("id-{}", self.ids.get()))
    }

    async fn load(&self) -> Result<(Option<Runs>, Version), Trouble> {
        self.others().await;
        let (runs, version) = self.state.borrow().clone();
        // As S3 has it: what was written is read.
        let runs = runs.map(|runs| Runs::read(&runs.write()).unwrap());
        Ok((runs, Version((version > 0).then(|| version.to_string()))))
    }

    async fn store(&self, runs: &Runs, seen: &Version) -> Result<Stored, Trouble> {
        self.others().await;
        let how = self.writes.borrow_mut().pop_front();
        let mut state = self.state.borrow_mut();
        match how {
            Some(Write::Busy) => return Ok(Stored::Busy),
            Some(Write::Broken) => return Err(failure("s3:PutObject", Kind::Passing).into()),
            Some(Write::Rival) => state.1 += 1,
            _ => {}
        }
        if Version((state.1 > 0).then(|| state.1.to_string())) != *seen {
            return Ok(Stored::Lost);
        }
        *state = (Some(runs.clone()), state.1 + 1);
        match how {
            Some(Write::MadeAndLost) => Ok(Stored::Lost),
            Some(Write::MadeAndBroken) => Err(failure("s3:PutObject", Kind::Passing).into()),
            _ => Ok(Stored::Written(Version(Some(state.1.to_string())))),
        }
    }

    async fn owner(&self) -> Result<Option<String>, Trouble> {
        self.others().await;
        Ok(self.owner.borrow().clone())
    }

    async fn claim(&self, stack: &str) -> Result<(), Trouble> {
        self.others().await;
        if self.rival_owner.take() {
            *self.owner.borrow_mut() = Some("arn:other".into());
        }
        self.owner.borrow_mut().get_or_insert_with(|| stack.to_owned());
        Ok(())
    }

    async fn list(&self, prefix: &str) -> Result<Vec<Listed>, aws::Error> {
        self.others().await;
        if self.unlisted.get() {
            return Err(failure("s3:ListBucket", Kind::Passing));
        }
        let held = if prefix == backups::ROOT { None } else { self.late_hold.take() };
        if let Some(folder) = held {
            self.put(&folder.hold(), b"{}".to_vec());
        }
        let bucket = self.bucket.borrow();
        let listed = bucket.objects.iter().filter(|(key, _)| key.starts_with(prefix));
        Ok(listed.map(|(key, bytes)| Listed { key: key.clone(), bytes: bytes.len() as u64 }).collect())
    }

    async fn manifests(&self, keys: &[String]) -> Vec<Result<Option<Vec<u8>>, aws::Error>> {
        self.others().await;
        self.manifests_read.set(self.manifests_read.get() + keys.len());
        let read = |key: &String| {
            if self.unread.get() {
                return Err(failure("s3:GetObject", Kind::Passing));
            }
            Ok(self.bucket.borrow().objects.get(key).cloned())
        };
        keys.iter().map(read).collect()
    }

    async fn nodes(&self) -> Result<Vec<Node>, aws::Error> {
        self.others().await;
        Ok(self.nodes.borrow().clone())
    }

    async fn pause(&self) -> Result<Option<Pause>, Trouble> {
        Ok(self.pause.borrow().clone())
    }

    async fn launch(&self, run: &Run) -> Result<String, aws::Error> {
        self.others().await;
        let how = self.launches.borrow_mut().pop_front();
        match how {
            Some(Launch::Refused) => return Err(failure("ecs:RunTask", Kind::Other)),
            Some(Launch::Throttled) => return Err(failure("ecs:RunTask", Kind::Throttled)),
            Some(Launch::DiesBefore) => std::future::pending().await,
            _ => {}
        }
        let arn = self.start(run);
        match how {
            Some(Launch::AnswerLost) => Err(failure("ecs:RunTask", Kind::Passing)),
            Some(Launch::DiesAfter) => std::future::pending().await,
            _ => Ok(arn),
        }
    }

    async fn started(&self, run: &Run) -> Result<Option<String>, aws::Error> {
        self.others().await;
        if self.unfound.get() {
            return Err(failure("ecs:ListTasks", Kind::Throttled));
        }
        let tasks = self.tasks.borrow();
        let of_run = |task: &&Task| task.order == run.order && task.ended.is_none();
        Ok(tasks.iter().find(of_run).map(|task| task.arn.clone()))
    }

    async fn task(&self, arn: &str) -> Result<TaskEnd, aws::Error> {
        self.others().await;
        if self.undescribed.get() {
            return Err(failure("ecs:DescribeTasks", Kind::Passing));
        }
        let tasks = self.tasks.borrow();
        let Some(task) = tasks.iter().find(|task| task.arn == arn) else { return Ok(TaskEnd::Unknown) };
        Ok(match task.ended {
            None => TaskEnd::Running,
            Some(_) if matches!(task.worker, Worker::Vanishes(_)) => TaskEnd::Unknown,
            Some((at, _)) if at + KNOWN < self.clock.get() => TaskEnd::Unknown,
            Some((_, code)) => {
                TaskEnd::Stopped { reason: "Essential container exited".into(), exit_code: Some(code) }
            }
        })
    }

    async fn stop(&self, arn: &str, reason: &str) -> Result<(), aws::Error> {
        self.others().await;
        assert!(reason.contains("was not done by") || reason.contains("is over"), "{reason}");
        self.stops.set(self.stops.get() + 1);
        if self.unstoppable.get() {
            return Err(failure("ecs:StopTask", Kind::Throttled));
        }
        let mut tasks = self.tasks.borrow_mut();
        let task = tasks.iter_mut().find(|task| task.arn == arn).unwrap();
        task.asked_to_stop.get_or_insert(self.clock.get());
        Ok(())
    }

    async fn tag(&self, key: &str) -> Result<(), aws::Error> {
        self.others().await;
        let now = self.clock.get();
        let mut bucket = self.bucket.borrow_mut();
        let folder = Folder::of_object(key).unwrap();
        assert!(bucket.objects.contains_key(key), "{key} is not there");
        assert!(!bucket.objects.contains_key(&folder.hold()), "{folder} is held");
        let is_manifest = key == folder.manifest();
        assert!(is_manifest || !bucket.objects.contains_key(&folder.manifest()), "the manifest goes first");
        bucket.tagged.entry(key.to_owned()).or_insert(now);
        if self.untold.get() { Err(failure("s3:PutObjectTagging", Kind::Passing)) } else { Ok(()) }
    }

    async fn untag(&self, key: &str) -> Result<(), aws::Error> {
        self.others().await;
        self.bucket.borrow_mut().tagged.remove(key);
        if self.untold.get() { Err(failure("s3:DeleteObjectTagging", Kind::Passing)) } else { Ok(()) }
    }
}
