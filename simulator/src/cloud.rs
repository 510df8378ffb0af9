//! The cloud as far as the election sees it: target groups, the state object, and calls that fail.

use std::{
    collections::{BTreeSet, VecDeque},
    net::IpAddr,
};

use topology::{Group, State};

/// How calls fail for a while.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(clippy::struct_excessive_bools)] // each fails on its own
pub struct Weather {
    /// When calls work again.
    pub until: u64,
    /// One in this many calls on groups is throttled; zero for none.
    pub throttled: u64,
    /// All registrations in the group with this index fail.
    pub refused_group: Option<usize>,
    /// One in this many groups cannot be read, each independently.
    pub unreadable: u64,
    /// One in this many calls succeeds with a lost answer.
    pub half_done: u64,
    /// One in this many reads or writes of the state fails.
    pub state_fails: u64,
    /// One in this many writes of the state succeeds and is answered with 412: a layer below has retried it.
    pub own_412: u64,
    /// One in this many writes of the state is answered with 409.
    pub busy: u64,
    /// Listings lack a service.
    pub incomplete: bool,
    /// Listings fail.
    pub unlisted: bool,
    /// Listings take long.
    pub slow_listing: bool,
    /// Doorbells are lost.
    pub deaf: bool,
}

/// Everything that calls change.
#[derive(Clone, Debug)]
pub struct Cloud {
    /// The write groups, one a port.
    pub write: Vec<Group>,
    /// The read groups, one a port.
    pub read: Vec<Group>,
    /// The state object and its version; `None` before the first write.
    pub state: Option<(State, u64)>,
    /// The last version; versions never go back.
    pub versions: u64,
    pub weather: Weather,
    /// Number of calls that changed something.
    pub calls: u64,
    /// Milliseconds from a call until the data plane follows it.
    propagation: u64,
    /// Addresses in any write group, and since when, as far as the data plane may still use them.
    held: VecDeque<(u64, BTreeSet<IpAddr>)>,
}

impl Cloud {
    /// Write groups with these addresses in them, empty read groups, and no state yet.
    pub fn new(ports: usize, registered: &BTreeSet<IpAddr>, propagation: u64) -> Self {
        let groups = |kind: &str, targets: &BTreeSet<IpAddr>| {
            let port = |port: u16| Group { arn: format!("{kind}-{port}"), port, targets: targets.clone() };
            [7474, 7687, 7473].into_iter().take(ports).map(port).collect()
        };
        Self {
            write: groups("write", registered),
            read: groups("read", &BTreeSet::new()),
            state: None,
            versions: 0,
            weather: Weather::default(),
            calls: 0,
            propagation,
            held: VecDeque::from([(0, registered.clone())]),
        }
    }

    /// Writes the state, and returns its version.
    pub fn put(&mut self, state: State) -> u64 {
        self.versions += 1;
        self.state = Some((state, self.versions));
        self.versions
    }

    pub fn state(&self) -> Option<&State> {
        self.state.as_ref().map(|(state, _)| state)
    }

    /// Notes the content of the write groups from `now` on.
    pub fn changed(&mut self, now: u64) {
        self.held.push_back((now, self.registered()));
    }

    pub fn registered(&self) -> BTreeSet<IpAddr> {
        self.write.iter().flat_map(|group| &group.targets).copied().collect()
    }

    /// The addresses that the data plane uses at `now`.
    pub fn visible(&mut self, now: u64) -> &BTreeSet<IpAddr> {
        while self.held.get(1).is_some_and(|(since, _)| since + self.propagation <= now) {
            self.held.pop_front();
        }
        &self.held[0].1
    }

    pub fn group(&mut self, arn: &str) -> Option<&mut Group> {
        self.write.iter_mut().chain(&mut self.read).find(|group| group.arn == arn)
    }
}
