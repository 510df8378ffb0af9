//! What was called: the demo's clock for API calls, and the count behind what the product costs at rest.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::SystemTime,
};

use serde::{Deserialize, Serialize};

/// Enough for hours of changes; reads are counted only.
const KEPT: usize = 10_000;

/// One call.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Call {
    /// Such as `elasticloadbalancing`.
    pub service: String,
    /// Such as `DeregisterTargets`.
    pub action: String,
    /// When it arrived.
    pub at: SystemTime,
    /// When it was answered, and with what HTTP status; `None` while it is not, or when its answer was lost.
    pub answered: Option<(SystemTime, u16)>,
}

/// All calls since the start. Clones are the same list.
#[derive(Clone, Debug, Default)]
pub struct Calls(Arc<Mutex<Vec<Call>>>, Arc<Mutex<BTreeMap<String, u64>>>);

impl Calls {
    /// Notes a call that arrived; the number is for [`Calls::end`].
    pub(super) fn begin(&self, service: &str, action: &str) -> usize {
        let mut counts = self.1.lock().expect("no panic while the counts are held");
        *counts.entry(format!("{service}.{action}")).or_default() += 1;
        let mut calls = self.0.lock().expect("no panic while the calls are held");
        let reads =
            ["Describe", "List", "Get", "GET", "LIST", "HEAD"].iter().any(|verb| action.starts_with(verb));
        if !reads && calls.len() < KEPT {
            let (service, action) = (service.to_owned(), action.to_owned());
            calls.push(Call { service, action, at: SystemTime::now(), answered: None });
            return calls.len() - 1;
        }
        KEPT
    }

    /// Notes its answer.
    pub(super) fn end(&self, call: usize, status: u16) {
        let mut calls = self.0.lock().expect("as above");
        if let Some(call) = calls.get_mut(call) {
            call.answered = Some((SystemTime::now(), status));
        }
    }

    /// The calls of `service` whose action is one of `actions`, oldest first.
    pub fn of(&self, service: &str, actions: &[&str]) -> Vec<Call> {
        let calls = self.0.lock().expect("as above");
        let wanted = |call: &&Call| call.service == service && actions.contains(&call.action.as_str());
        calls.iter().filter(wanted).cloned().collect()
    }

    /// How often each `service.Action` was called.
    pub fn counts(&self) -> BTreeMap<String, u64> {
        self.1.lock().expect("as above").clone()
    }
}
