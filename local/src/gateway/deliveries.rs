//! What Lambda's queue delivers, what of it twice, and the last events again when a test asks for it.
//!
//! Lambda's developer guide, invocation-async-error-handling: "Even if your function doesn't return an error, it's possible for it to
//! receive the same event from Lambda multiple times because the queue itself is eventually consistent." So an event may come a
//! second time at once, or late. (That an event may also be deleted without being sent is not played.)

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use serde_json::Value;
use tracing::info;

use super::queue::{self, Ended};
use crate::emulator::{Emulator, Limits};

/// So many events of each function can be asked for again.
const REMEMBERED: usize = 100;

/// Which events are delivered twice, and when the second time is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Twice {
    /// Which.
    pub events: Events,
    /// When.
    pub when: When,
}

/// Some of all asynchronous events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Events {
    /// Those of custom resources: CloudFormation's, and what their functions send to themselves.
    CustomResources,
    /// Every one.
    All,
}

/// When an event is delivered for the second time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// With the first time, so that two invocations run side by side.
    AtOnce,
    /// So long after it was put into the queue, whatever became of the first delivery.
    After(Duration),
    /// Of each function's events the first one at once, the second one after this time, the third one at once, and so on.
    Alternately(Duration),
}

/// The queue. Clones are the same queue.
#[derive(Clone)]
pub struct Deliveries(Arc<Inner>);

struct Inner {
    emulator: Emulator,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    twice: Option<Twice>,
    /// By function, the oldest one first.
    remembered: BTreeMap<String, VecDeque<Value>>,
    /// By function: how many events were delivered twice.
    doubled: BTreeMap<String, u32>,
    /// By function: of how many of its next answers the sender is killed.
    to_kill: BTreeMap<String, u32>,
    /// Answer URLs whose sender is killed.
    doomed: Vec<String>,
}

impl Deliveries {
    /// A queue in which every event is delivered once.
    pub fn new(emulator: Emulator) -> Self {
        Self(Arc::new(Inner { emulator, state: Mutex::default() }))
    }

    /// The emulator that runs the functions.
    pub fn emulator(&self) -> Emulator {
        self.0.emulator
    }

    /// Delivers events twice from now on, or every one once.
    pub fn twice(&self, twice: Option<Twice>) {
        let mut state = self.state();
        state.doubled.clear();
        state.twice = twice;
    }

    /// Puts an event into the queue of `function`, a name with or without a qualifier.
    pub fn put(&self, function: &str, event: &Value) {
        let second = self.remember(function, event);
        let mut waits = vec![Duration::ZERO];
        waits.extend(second);
        for wait in waits {
            let (this, function, event) = (self.clone(), function.to_owned(), event.clone());
            tokio::spawn(async move {
                tokio::time::sleep(wait).await;
                if wait > Duration::ZERO {
                    info!(function, "an event is delivered again, late");
                }
                let limits = this.0.emulator.event_invoke_config(&function).await;
                queue::deliver(this.0.emulator, &function, &event, limits).await
            });
        }
    }

    /// Delivers the last event that `wanted` takes, by function and content, again: now, and once, except that a throttled
    /// function gets it as soon as it can. Returns how that delivery ended; `None` if no such event is remembered.
    pub async fn again(&self, wanted: impl Fn(&str, &Value) -> bool) -> Option<Ended> {
        let (function, event) = self.last(wanted)?;
        info!(function, "an event is delivered again, because a test wants it");
        let once = Limits { retries: 0, ..Limits::default() };
        Some(queue::deliver(self.0.emulator, &function, &event, once).await)
    }

    /// The events that `function` was sent, the oldest one first; only the last hundred.
    pub fn remembered(&self, function: &str) -> Vec<Value> {
        self.state().remembered.get(function).into_iter().flatten().cloned().collect()
    }

    /// Kills the process of `function` as soon as its next answer to a custom resource's URL was taken: its invocation ends
    /// with an error, and the event is delivered again after a minute.
    pub fn kill_after_answer(&self, function: &str) {
        *self.state().to_kill.entry(function.to_owned()).or_default() += 1;
    }

    /// Whether the sender of an answer to `path` is killed; it is only once.
    pub(super) fn is_to_be_killed(&self, path: &str) -> bool {
        let mut state = self.state();
        let doomed = state.doomed.iter().position(|url| url.ends_with(path));
        doomed.map(|index| state.doomed.swap_remove(index)).is_some()
    }

    fn last(&self, wanted: impl Fn(&str, &Value) -> bool) -> Option<(String, Value)> {
        let state = self.state();
        let found = state.remembered.iter().filter_map(|(function, events)| {
            events.iter().rev().map(move |event| (function, event)).find(|(name, event)| wanted(name, event))
        });
        // Of several functions the first one by name: a test that means one names it.
        found.into_iter().next().map(|(function, event)| (function.clone(), event.clone()))
    }

    /// Keeps the event; returns how long its second delivery waits, if there is one.
    fn remember(&self, function: &str, event: &Value) -> Option<Duration> {
        let mut guard = self.state();
        let state = &mut *guard;
        let own = state.remembered.entry(function.to_owned()).or_default();
        if own.len() == REMEMBERED {
            own.pop_front();
        }
        own.push_back(event.clone());
        let answer = event["ResponseURL"].as_str().filter(|_| event["RequestType"].is_string());
        let name = function.split(':').next().unwrap_or(function);
        if let (Some(answer), Some(left @ 1..)) = (answer, state.to_kill.get_mut(name)) {
            *left -= 1;
            state.doomed.push(answer.to_owned());
        }
        let twice = state.twice.filter(|twice| twice.events == Events::All || answer.is_some())?;
        let number = state.doubled.entry(function.to_owned()).or_default();
        *number += 1;
        Some(match twice.when {
            When::AtOnce => Duration::ZERO,
            When::Alternately(_) if *number % 2 == 1 => Duration::ZERO,
            When::After(wait) | When::Alternately(wait) => wait,
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().expect("no panic while the queue is held")
    }
}
