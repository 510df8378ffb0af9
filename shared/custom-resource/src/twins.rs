//! The two ports in memory, for tests of resources: they keep what was sent, and answer what a test sets.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use serde_json::Value;

use crate::{Answers, Broken, HandOver, ResponseUrl};

/// CloudFormation's end of the answer URL. Clones share what they got.
#[derive(Clone, Debug, Default)]
pub struct Mailbox(Arc<Mutex<Post>>);

#[derive(Debug, Default)]
struct Post {
    script: VecDeque<Result<u16, Broken>>,
    seen: Vec<Vec<u8>>,
    taken: Vec<Vec<u8>>,
}

impl Mailbox {
    /// A mailbox that accepts everything.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the answer to the next PUT, in place of 200.
    #[must_use]
    pub fn then(self, answer: Result<u16, Broken>) -> Self {
        self.post().script.push_back(answer);
        self
    }

    /// The bodies that were answered with a 2xx, as JSON.
    ///
    /// # Panics
    /// When one is not JSON.
    pub fn answers(&self) -> Vec<Value> {
        self.bodies().iter().map(|body| serde_json::from_slice(body).expect("an answer is JSON")).collect()
    }

    /// The same, as bytes.
    pub fn bodies(&self) -> Vec<Vec<u8>> {
        self.post().taken.clone()
    }

    /// How many PUTs there were, accepted or not.
    pub fn puts(&self) -> usize {
        self.post().seen.len()
    }

    fn post(&self) -> std::sync::MutexGuard<'_, Post> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Answers for Mailbox {
    async fn put(&self, _url: &ResponseUrl, body: Vec<u8>, _within: Duration) -> Result<u16, Broken> {
        let mut post = self.post();
        let status = post.script.pop_front().unwrap_or(Ok(200));
        post.seen.push(body.clone());
        if matches!(status, Ok(200..300)) {
            post.taken.push(body);
        }
        status
    }
}

/// The way to a further invocation: events wait here until a test takes them. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct Queue(Arc<Mutex<Waiting>>);

#[derive(Debug, Default)]
struct Waiting {
    failures: VecDeque<String>,
    events: VecDeque<Value>,
    calls: usize,
}

impl Queue {
    /// A queue that accepts everything.
    pub fn new() -> Self {
        Self::default()
    }

    /// Refuses the next invocation with this reason.
    #[must_use]
    pub fn refusing(self, reason: &str) -> Self {
        self.waiting().failures.push_back(reason.to_owned());
        self
    }

    /// Takes the oldest waiting event.
    pub fn take(&self) -> Option<Value> {
        self.waiting().events.pop_front()
    }

    /// How often it was called, refused or not.
    pub fn calls(&self) -> usize {
        self.waiting().calls
    }

    fn waiting(&self) -> std::sync::MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl HandOver for Queue {
    async fn invoke(&self, event: Value) -> Result<(), String> {
        let mut waiting = self.waiting();
        waiting.calls += 1;
        if let Some(reason) = waiting.failures.pop_front() {
            return Err(reason);
        }
        waiting.events.push_back(event);
        Ok(())
    }
}
