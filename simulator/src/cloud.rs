//! The cloud as far as the election sees it: target groups, the state object, and calls that fail.

use std::{
    collections::{BTreeSet, VecDeque},
    net::IpAddr,
};

use topology::{Group, State};

/// How calls fail now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Weather {
    /// One in so many calls on groups is throttled; zero for none.
    pub throttled: u64,
    /// One in so many is done, and its answer is lost.
    pub half_done: u64,
    /// One in so many reads or writes of the state fails.
    pub state_fails: u64,
    /// Listings lack a service.
    pub incomplete: bool,
    /// Doorbells do not get through.
    pub deaf: bool,
}

/// Everything that calls change.
#[derive(Clone, Debug)]
pub struct Cloud {
    /// The write group.
    pub write: Group,
    /// The read group.
    pub read: Group,
    /// The state object and its version; none before the first write.
    pub state: Option<(State, u64)>,
    /// How calls fail.
    pub weather: Weather,
    /// Calls that changed something.
    pub calls: u64,
    /// From a call to the data plane, milliseconds.
    pub propagation: u64,
    /// What the write group held since when, as far as the data plane may still go by it.
    held: VecDeque<(u64, BTreeSet<IpAddr>)>,
}

impl Cloud {
    /// Groups with these in them, and no state yet.
    pub fn new(registered: BTreeSet<IpAddr>, propagation: u64) -> Self {
        let held = VecDeque::from([(0, registered.clone())]);
        let group = |arn: &str, targets| Group { arn: arn.into(), port: 7474, targets };
        Self {
            write: group("write", registered),
            read: group("read", BTreeSet::new()),
            state: None,
            weather: Weather::default(),
            calls: 0,
            propagation,
            held,
        }
    }

    /// Notes what the write group holds from `now` on.
    pub fn note(&mut self, now: u64) {
        if self.held.back().is_none_or(|(_, held)| *held != self.write.targets) {
            self.held.push_back((now, self.write.targets.clone()));
        }
        while self.held.get(1).is_some_and(|(since, _)| since + self.propagation <= now) {
            self.held.pop_front();
        }
    }

    /// What the data plane goes by at `now`, after [`Cloud::note`].
    pub fn visible(&self) -> BTreeSet<IpAddr> {
        self.held.front().map(|(_, held)| held.clone()).unwrap_or_default()
    }

    /// The group `arn`.
    pub fn group(&mut self, arn: &str) -> &mut Group {
        if arn == "read" { &mut self.read } else { &mut self.write }
    }
}
