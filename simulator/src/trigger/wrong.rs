//! Triggers that are wrong on purpose: the checks must break them, and must not break the right one in the same
//! history.

use std::time::Duration;

use aws::{Kind, TaskEnd};
use backup_trigger::{Memory, Node, Policy, Run, Runs, Schedule, Stored, Trouble, Version, World, tick};
use backups::{Folder, HOLD, Keep, Listed, MANIFEST, ROOT, Retention, Tier, Time};
use jiff::tz::TimeZone;
use tokio::{
    task::{LocalSet, spawn_local},
    time::sleep,
};
use topology::{Mode, Pause, Slot};

use super::{
    bounds::{Bounds, LOOK, PERIOD},
    check::Checks,
    ecs::Course,
    faults::Fault,
    schedule::Stage,
    setting::{STACK, Setting},
    sim::Sim,
    weather::{Weather, refusal},
    world::Seen,
};
use crate::Chance;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wrong {
    Nothing,
    /// It takes a lost race for a won one.
    WinsRaces,
    /// It forgets how runs ended.
    ForgetsEnds,
    /// It starts a worker with another token each time.
    AnyToken,
    SeesNoPause,
    /// It takes every task for one of the same definition.
    SeesNoRoll,
    /// It takes every second master for a slave.
    SeesOneMaster,
    /// It takes every slave for one that is near.
    SeesNoLag,
    /// It does not see holds.
    SeesNoHold,
    /// It does not see the data of backups, and so takes none for verified.
    SeesNoData,
    /// It takes all data for what a run left behind.
    SeesNoManifest,
    /// It takes every worker for one that has stopped.
    SeesNoWorker,
    /// It takes every bucket for its own.
    SeesNoOwner,
    NeverLaunches,
    NeverStops,
    NeverTags,
}

struct Tampered(Seen, Wrong);

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
        let (mut runs, version) = self.0.load().await?;
        if let Some(runs) = runs.as_mut().filter(|_| self.1 == Wrong::ForgetsEnds) {
            runs.ended.clear();
        }
        Ok((runs, version))
    }

    async fn store(&self, runs: &Runs, seen: &Version) -> Result<Stored, Trouble> {
        match self.0.store(runs, seen).await? {
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
        self.0.manifests(keys).await
    }

    async fn nodes(&self) -> Result<Vec<Node>, aws::Error> {
        let mut nodes = self.0.nodes().await?;
        let mut masters = 0;
        for node in &mut nodes {
            if self.1 == Wrong::SeesNoRoll {
                node.definition = "same".to_owned();
            }
            let Some(status) = &mut node.status else { continue };
            masters += usize::from(status.role == "master");
            if self.1 == Wrong::SeesOneMaster && masters > 1 && status.role == "master" {
                status.role = "slave".to_owned();
            }
            if self.1 == Wrong::SeesNoLag {
                status.last_transaction = Some(1);
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
        self.0.launch(&run).await
    }

    async fn started(&self, run: &Run) -> Result<Option<String>, aws::Error> {
        self.0.started(run).await
    }

    async fn task(&self, arn: &str) -> Result<TaskEnd, aws::Error> {
        let end = self.0.task(arn).await?;
        let stopped = TaskEnd::Stopped { reason: "it seems so".to_owned(), exit_code: None };
        Ok(if self.1 == Wrong::SeesNoWorker { stopped } else { end })
    }

    async fn stop(&self, arn: &str, reason: &str) -> Result<(), aws::Error> {
        if self.1 == Wrong::NeverStops { Ok(()) } else { self.0.stop(arn, reason).await }
    }

    async fn tag(&self, key: &str) -> Result<(), aws::Error> {
        if self.1 == Wrong::NeverTags { Ok(()) } else { self.0.tag(key).await }
    }
}

type Happens = (u64, fn(&mut Sim, u64));

fn setting() -> Setting {
    let keep = Keep { newest: 2, days: Some(0) };
    let deadline = Duration::from_secs(1_800);
    let policy = Policy {
        stack_id: STACK.to_owned(),
        mode: Mode::Ha,
        slots: Slot::numbered(&["core-1", "core-2", "core-3"], &[]),
        schedule: Schedule { hourly: true, daily: None, zone: TimeZone::UTC },
        retention: Retention { hourly: keep, daily: keep, manual: keep, deadline },
        deadline,
        max_lag: 1_000,
        from_master: false,
    };
    Setting { policy, starts: 1_790_000_000, longest: 180_000, days: Vec::new() }
}

/// Plays what `happens` (at these minutes) to a trigger, for `hours` hours. Each tick comes twice.
fn play(wrong: Wrong, happens: &[Happens], hours: u64) -> Checks {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    let happens = happens.to_vec();
    LocalSet::new().block_on(&runtime.unwrap(), async move {
        let stage = Stage::new(Sim::new(setting(), &Chance::new(3), true));
        let (mut chance, mut bounds) = (Chance::new(4), Bounds::default());
        for look in 0..hours * 3_600_000 / LOOK {
            for (_, happens) in happens.iter().filter(|(minute, _)| minute * 60_000 == look * LOOK) {
                let (now, sim) = (stage.now(), &mut *stage.sim.borrow_mut());
                happens(sim, now);
                sim.nodes.changed(now);
            }
            let ticks = if look % (PERIOD / LOOK) == 0 { 2 } else { 0 };
            for _ in 0..ticks {
                let seen = Tampered(stage.seen(&mut chance, "tick", false), wrong);
                let stage = stage.clone();
                spawn_local(async move {
                    let policy = setting().policy;
                    let ended = tick(&seen, &policy, &Memory::default()).await;
                    let (now, sim) = (stage.now(), &mut *stage.sim.borrow_mut());
                    if let Some(tally) = &ended.tally {
                        sim.checks.tallied(&seen.0.name, &seen.0.look(), tally, now, &sim.setting);
                    }
                });
            }
            sleep(Duration::from_millis(LOOK)).await;
            let (now, sim) = (stage.now(), &mut *stage.sim.borrow_mut());
            sim.step(now);
            let late = bounds.look(now, sim);
            late.iter().for_each(|late| sim.checks.breaks(now, late));
        }
        std::mem::take(&mut stage.sim.borrow_mut().checks)
    })
}

/// `wrong` breaks with `what`, and the right trigger in the same history breaks nothing.
fn breaks(wrong: Wrong, happens: &[Happens], what: &str) {
    let right = play(Wrong::Nothing, happens, 12);
    assert!(right.broken.is_empty(), "{:#?}\n{:#?}", right.told, right.broken);
    let broken = play(wrong, happens, 12);
    let found = broken.broken.iter().any(|complaint| complaint.contains(what));
    assert!(found, "{wrong:?}: {:#?}\n{:#?}", broken.told, broken.broken);
}

fn strike(sim: &mut Sim, now: u64, fault: Fault) {
    fault.strike(sim, now);
}

#[test]
fn a_trigger_that_begins_two_runs_is_found() {
    breaks(Wrong::WinsRaces, &[], "were at work at once");
    let all_fail: Happens = (100, |sim, _| sim.ecs.courses.extend([Course::FailsEarly; 8]));
    breaks(Wrong::ForgetsEnds, &[all_fail], "three runs an hour");
    let answers_are_lost: Happens = (130, |sim, now| {
        sim.weather = Weather { until: now + 1_200_000, launch_lost: 1, ..Weather::default() };
    });
    breaks(Wrong::AnyToken, &[answers_are_lost], "were at work at once");
}

#[test]
fn a_trigger_that_starts_in_unrest_is_found() {
    let pauses: Happens = (100, |sim, now| strike(sim, now, Fault::Pause));
    breaks(Wrong::SeesNoPause, &[(119, pauses.1)], "no start in a pause");
    // From the end of a slot's replacement to the beginning of the next one.
    let differs: Happens =
        (119, |sim, now| sim.nodes.ails(1, now + 3_600_000, |member| member.definition = 7));
    breaks(Wrong::SeesNoRoll, &[differs], "no start in a roll");
    let claims: Happens = (119, |sim, now| sim.nodes.claims(1, now + 3_600_000));
    breaks(Wrong::SeesOneMaster, &[claims], "no start without exactly one master");
    let lag: Happens = (119, |sim, now| strike(sim, now, Fault::AllLag));
    breaks(Wrong::SeesNoLag, &[lag], "no start on a node that is not fit");
}

#[test]
fn a_trigger_that_tags_what_must_stay_is_found() {
    let held: Happens = (190, |sim, _| {
        let folders: Vec<Folder> = sim.bucket.verified().cloned().collect();
        folders.iter().for_each(|folder| sim.bucket.put(folder.hold(), 1));
    });
    breaks(Wrong::SeesNoData, &[], "no tag on the newest verified backup");
    breaks(Wrong::SeesNoManifest, &[], "no tag on data beside a manifest");
    breaks(Wrong::SeesNoHold, &[held], "no tag on what is held");
    let foreign: Happens = (100, |sim, now| sim.loses_bucket(now + 7_200_000));
    breaks(Wrong::SeesNoOwner, &[foreign], "is another stack's");
}

#[test]
fn a_trigger_that_does_not_end_runs_is_found() {
    let freezes: Happens = (100, |sim, _| sim.ecs.courses.push_back(Course::Freezes));
    breaks(Wrong::NeverStops, &[freezes], "a worker ends at its deadline");
    breaks(Wrong::SeesNoWorker, &[freezes], "no run fails while its worker works");
    breaks(Wrong::NeverLaunches, &[], "a run has a worker");
}

#[test]
fn a_trigger_whose_backups_get_old_or_pile_up_is_found() {
    breaks(Wrong::NeverLaunches, &[], "the hourly backup is fresh");
    breaks(Wrong::NeverTags, &[], "what expires is tagged");
    breaks(Wrong::SeesNoData, &[], "freshness is true");
}

/// What of a folder is held, newest, or not there yet is true whatever the trigger thinks.
#[test]
fn the_bucket_knows_what_must_go() {
    let mut sim = Sim::new(setting(), &Chance::new(5), false);
    let time = |hours: u64| Time::of_epoch(setting().starts + hours * 3_600);
    for hours in 0..4 {
        let folder = Folder { time: time(hours), tier: Tier::Hourly, id: hours.to_string() };
        sim.bucket.put(folder.data(), 7);
        sim.bucket.commit(&folder, super::bucket::Said::Consistent, 7, "core-2", time(hours));
        if hours == 0 {
            sim.bucket.put(folder.hold(), 1);
        }
    }
    let cut = Folder { time: time(5), tier: Tier::Daily, id: "cut".to_owned() };
    sim.bucket.put(cut.data(), 7);
    let retention = setting().policy.retention;
    let must_go = |hours, current| sim.bucket.must_go(time(hours).epoch(), &retention, current);
    let third = Folder { time: time(1), tier: Tier::Hourly, id: "1".to_owned() };
    assert_eq!(must_go(5, None), [third.manifest()]);
    assert_eq!(must_go(6, None), [third.manifest(), cut.data()]);
    assert_eq!(must_go(6, Some(&cut)), [third.manifest()]);
}
