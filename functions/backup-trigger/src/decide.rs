//! What follows from a tick, as data: the new state, the calls, one sentence.

use std::net::SocketAddr;

use backups::{Catalogue, Entry, Folder, Freshness, From as Source, ORDER_FORMAT, Order, Tier, Time};

use crate::{
    Action, Choice, Due, Owner, Policy, Refusal, Started, Tally, View, Wish,
    again::{again, is_without_task},
    choose::choose,
    conclude::{Verdict, second_opinion, verdict},
    due::due,
    news::News,
    runs::{Ended, How, Run, Runs},
    slow::slow,
};

/// How long a request without a slot waits for a source that is fit.
const REQUEST_WAITS_SECONDS: u64 = 3600;
/// The most objects that one tick tags: each is two calls, and a tick has less than a minute. The rest is
/// tagged by the next ones.
const TAGS_AT_ONCE: usize = 100;

/// The plan of a tick. The executor carries it out without a choice of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// The state from now on: write it before acting if it differs, and drop the plan when a concurrent tick
    /// was faster.
    pub runs: Runs,
    pub actions: Vec<Action>,
    /// One English sentence: log line and status at once.
    pub sentence: String,
    /// Why nothing is begun although something is due.
    pub refusal: Option<Refusal>,
    pub tally: Tally,
    /// What is worth a line in the log once the state is written.
    pub news: Vec<News>,
}

/// Decides. `catalogue` was listed after the view's task was looked at: a task that had stopped by then, and
/// has no manifest in it, will never have one.
pub fn decide(now: Time, policy: &Policy, runs: &Runs, catalogue: &Catalogue, view: &View) -> Decision {
    let nothing = Catalogue::default();
    // Backups of another stack keep none of this one fresh.
    let ours = if view.owner == Owner::Ours { catalogue } else { &nothing };
    let mut round = Round {
        now,
        policy,
        catalogue: ours,
        view,
        sentences: Vec::new(),
        decision: Decision {
            runs: runs.clone(),
            actions: Vec::new(),
            sentence: String::new(),
            refusal: None,
            tally: Tally::of(Freshness::of(now, ours, runs.since)),
            news: Vec::new(),
        },
    };
    if let Owner::Another(stack) = &view.owner {
        let refusal = Refusal::OtherOwner { stack: stack.clone() };
        round.give_up(&refusal);
        round.refuse(refusal);
    } else {
        round.conclude();
        match round.decision.runs.current.clone() {
            Some(run) => round.go_on(&run),
            None => round.begin(),
        }
        round.expire();
    }
    round.finish()
}

struct Round<'r> {
    now: Time,
    policy: &'r Policy,
    catalogue: &'r Catalogue,
    view: &'r View,
    sentences: Vec<String>,
    decision: Decision,
}

impl Round<'_> {
    /// Whether the run that is under way has ended, and how.
    fn conclude(&mut self) {
        let Some(current) = &mut self.decision.runs.current else { return };
        if let (None, Started::Task(arn)) = (&current.task, &self.view.started) {
            (current.task, current.launched) = (Some(arn.clone()), Some(self.now));
        }
        let run = current.clone();
        match verdict(self.now, &run, self.catalogue, self.view.task.as_ref()) {
            Verdict::UnderWay if self.now >= run.order.deadline => self.overdue(&run),
            Verdict::UnderWay if is_without_task(self.now, self.view, &run) => {
                // Another source may be fit, and this tick takes it.
                if let Err(why) = self.again(&run) {
                    self.end(How::Failed(format!("no worker was started, and none may be any more: {why}")));
                }
            }
            Verdict::UnderWay => {}
            // Its failure was recorded when the deadline passed, and its task is gone now.
            Verdict::Ended(How::Failed(_)) if run.stopping.is_some() => self.decision.runs.current = None,
            Verdict::Ended(how) if run.stopping.is_some() => {
                // The manifest was written while the task was being stopped: the backup is there after all.
                self.decision.runs.current = None;
                let folder = &run.order.folder;
                let runs = &mut self.decision.runs;
                runs.close_request(&run, &how);
                if let Some(ended) = runs.ended.iter_mut().rfind(|ended| ended.folder == *folder) {
                    (ended.how, ended.ended) = (how, self.now);
                    let ended = ended.clone();
                    self.tell(&ended);
                }
            }
            Verdict::Ended(how) => self.end(how),
        }
    }

    fn again(&self, run: &Run) -> Result<(), String> {
        again(self.now, self.view, self.policy, &self.decision.runs, run)
    }

    fn end(&mut self, how: How) {
        if let Some(ended) = self.decision.runs.end(self.now, how) {
            self.tell(&ended);
        }
    }

    /// The deadline has passed: it failed, once, and its task is stopped until it is gone.
    fn overdue(&mut self, run: &Run) {
        self.decision.tally.stuck = true;
        let Order { deadline, folder, .. } = &run.order;
        // Without a task there is nothing to stop, and until ECS says that there is none it may hang.
        if run.task.is_none() && !is_without_task(self.now, self.view, run) {
            return;
        }
        if run.stopping.is_none() {
            let task = run.task.as_deref().unwrap_or("not there");
            let how = How::Failed(format!("it was not done by its deadline, {deadline}; its task is {task}"));
            self.decision.news.push(News::Stuck(Box::new(run.clone())));
            self.end(how);
        }
        let Some(task) = run.task.clone() else { return };
        let reason = format!("the backup {folder} was not done by {deadline}");
        self.decision.actions.push(Action::StopTask { task, reason });
        let stopping = Some(run.stopping.unwrap_or(self.now));
        self.decision.runs.current = Some(Run { stopping, ..run.clone() });
    }

    /// A run is under way: no other one is begun.
    fn go_on(&mut self, run: &Run) {
        let Order { folder, source, deadline, .. } = &run.order;
        let (tier, slot) = (folder.tier, &source.slot);
        if let Some(since) = run.stopping {
            self.sentences.push(format!(
                "the task of {folder} is being stopped since {since}, and nothing else is begun before it is gone"
            ));
            return;
        }
        if run.task.is_none() && self.now >= *deadline {
            self.sentences.push(format!(
                "the deadline of {folder} has passed, and whether it has a task that must be stopped is not known yet"
            ));
            return;
        }
        if run.task.is_none() {
            if let Err(why) = self.again(run) {
                self.sentences.push(format!("the {tier} backup from {slot} is not started once more: {why}"));
                return;
            }
            let conclusive = is_without_task(self.now, self.view, run);
            // Written before the call, so that a task that it starts is not taken for none.
            let run = Run { asked: Some(self.now), ..run.clone() };
            self.decision.runs.current = Some(run.clone());
            self.decision.actions.push(Action::Launch { run: Box::new(run), conclusive });
            self.sentences
                .push(format!("the {tier} backup from {slot} is started once more, with its token"));
            return;
        }
        let seconds = self.now.since(run.began).as_secs();
        let mut sentence = format!(
            "the {tier} backup from {slot} ({folder}) has run for {seconds} s and must be done by {deadline}"
        );
        if self.decision.runs.requested.is_some() && tier != Tier::Manual {
            sentence += "; the one that was requested waits for it";
        }
        self.sentences.push(sentence);
    }

    /// Begins what is due, if a source is fit for it.
    fn begin(&mut self) {
        let Due { wishes, waits } = due(self.now, self.catalogue, &self.decision.runs, &self.policy.schedule);
        let mut refusals = Vec::new();
        for wish in wishes {
            let last = self.decision.runs.last_source().map(str::to_owned);
            match choose(self.now, self.view, self.policy, last.as_deref(), (&wish).into()) {
                Ok(choice) => return self.start(wish, choice),
                Err(refusal) => {
                    if wish.tier == Tier::Manual && wish.confirms.is_none() && self.has_waited(&wish) {
                        self.give_up(&refusal);
                    }
                    refusals.push(refusal);
                }
            }
        }
        refusals.extend(waits.map(|until| Refusal::Waits { until }));
        if let Some(first) = refusals.into_iter().next() {
            self.refuse(first);
            return;
        }
        self.sentences.push(match self.policy.schedule.next(self.now) {
            Some(next) => format!("no backup is due before {next}"),
            None => "there is no schedule, and no backup was requested".to_owned(),
        });
    }

    /// Whether a request has had its time: one with a slot is answered at once.
    fn has_waited(&self, wish: &Wish) -> bool {
        let at = self.decision.runs.requested.as_ref().map(|request| request.at);
        wish.slot.is_some() || at.is_some_and(|at| self.now.since(at).as_secs() >= REQUEST_WAITS_SECONDS)
    }

    /// An operator's request that cannot be met ends, instead of surprising the operator later.
    fn give_up(&mut self, refusal: &Refusal) {
        let runs = &mut self.decision.runs;
        let Some(request) = runs.requested.take() else { return };
        let slot = request.slot.unwrap_or_else(|| "any slot".to_owned());
        let ended = Ended {
            // The folder that it would have had.
            folder: Folder { time: self.now, tier: Tier::Manual, id: self.view.id.clone() },
            slot,
            began: request.at,
            ended: self.now,
            how: How::Refused(refusal.to_string()),
            confirms: None,
        };
        runs.remember(ended.clone());
        self.tell(&ended);
    }

    fn start(&mut self, wish: Wish, choice: Choice) {
        let folder = Folder { time: self.now, tier: wish.tier, id: self.view.id.clone() };
        let address = SocketAddr::new(choice.address, neo4j::ports::BACKUP);
        let role = choice.role.to_string();
        let source = Source { slot: choice.slot, address, role, store_bytes: choice.store_bytes };
        let deadline = Time::of_epoch(self.now.epoch().saturating_add(self.policy.deadline.as_secs()));
        let article = if wish.tier == Tier::Hourly { "an" } else { "a" };
        let sentence = format!(
            "{article} {} backup from {} ({}) was begun and must be done by {deadline}: {folder}",
            wish.tier, source.slot, source.role
        );
        let run = Run {
            order: Order { format: ORDER_FORMAT, folder, source, master: choice.master, deadline },
            began: self.now,
            task: None,
            asked: None,
            launched: None,
            subnet: choice.subnet,
            confirms: wish.confirms.map(|doubt| doubt.folder),
            stopping: None,
        };
        self.sentences.push(match &run.confirms {
            Some(doubted) => format!("{sentence}, as the second opinion on {doubted}"),
            None => sentence,
        });
        self.decision.runs.current = Some(run.clone());
        self.decision.news.push(News::Started(Box::new(run.clone())));
        self.decision.actions.push(Action::Launch { run: Box::new(run), conclusive: true });
    }

    /// Tags what is not kept and is not tagged yet, and takes the tag off what is kept after all.
    fn expire(&mut self) {
        let catalogue = self.catalogue;
        let runs = &mut self.decision.runs;
        runs.tagged.retain(|key| is_listed(catalogue, key));
        runs.unsure.retain(|key| is_listed(catalogue, key));
        let under_way = runs.current.as_ref().map(|run| &run.order.folder);
        let expired = self.policy.retention.expired(self.now, catalogue);
        let kept = runs.tagged.union(&runs.unsure).filter(|key| !expired.contains(key));
        let kept: Vec<String> = kept.cloned().collect();
        // What a run is writing stays, however long it takes.
        let rest = expired
            .into_iter()
            .filter(|key| !runs.tagged.contains(key) && Folder::of_object(key).as_ref() != under_way);
        let keys: Vec<String> = rest.take(TAGS_AT_ONCE).collect();
        // Written before the calls: an answer that is lost must neither leave the tag on what is kept nor keep
        // what goes without one.
        runs.tagged.retain(|key| !kept.contains(key));
        runs.unsure.extend(kept.iter().chain(&keys).cloned());
        if !kept.is_empty() {
            self.sentences.push(format!("{} objects are kept after all, so their tag goes", kept.len()));
        }
        self.decision.actions.extend(kept.into_iter().map(|key| Action::Untag { key }));
        if !keys.is_empty() {
            self.sentences.push(format!("{} objects are tagged as expired", keys.len()));
        }
        self.decision.actions.extend(keys.into_iter().map(|key| Action::Tag { key }));
    }

    /// Something ended: into the sentence, the figures and the log.
    fn tell(&mut self, ended: &Ended) {
        let Ended { folder, slot, how, .. } = ended;
        self.sentences.push(format!("the {} backup from {slot} ({folder}): {how}", folder.tier));
        let tally = &mut self.decision.tally;
        match how {
            How::Failed(_) | How::Unchecked => tally.failed = true,
            How::Inconsistent => tally.inconsistent = true,
            How::Verified | How::Refused(_) => {}
        }
        let entry = entry_of(self.catalogue, folder);
        if let Some(manifest) = entry.and_then(|entry| entry.manifest.as_ref().ok()) {
            tally.bytes = Some(manifest.data.bytes);
            tally.seconds = manifest.finished.map(|finished| finished.since(manifest.created).as_secs());
        }
        let opinion = second_opinion(ended, &self.decision.runs, self.catalogue);
        self.sentences.extend(opinion.clone());
        let (bytes, seconds) = (tally.bytes, tally.seconds);
        self.decision.news.push(News::Ended { ended: ended.clone(), bytes, seconds, opinion });
    }

    fn refuse(&mut self, refusal: Refusal) {
        self.sentences.push(format!("nothing is begun: {refusal}"));
        self.decision.refusal = Some(refusal);
    }

    fn finish(mut self) -> Decision {
        self.sentences.extend(slow(self.catalogue, &self.policy.schedule).map(|slow| slow.to_string()));
        let mut decision = self.decision;
        decision.sentence = self.sentences.join("; ");
        let key = decision.refusal.as_ref().map(Refusal::key);
        if decision.runs.refused != key {
            decision.news.extend(decision.refusal.clone().map(News::Refused));
            decision.runs.refused = key;
        }
        decision
    }
}

pub(crate) fn entry_of<'c>(catalogue: &'c Catalogue, folder: &Folder) -> Option<&'c Entry> {
    catalogue.entries.iter().find(|entry| entry.folder == *folder)
}

/// Whether an object that may have been tagged is still there: the manifest of a backup, or anything in a
/// folder without one.
fn is_listed(catalogue: &Catalogue, key: &str) -> bool {
    let Some(folder) = Folder::of_object(key) else { return false };
    match entry_of(catalogue, &folder) {
        Some(entry) => entry.folder.manifest() == key,
        None => catalogue.objects(&folder).iter().any(|object| object.key == key),
    }
}

#[cfg(test)]
mod tests;
