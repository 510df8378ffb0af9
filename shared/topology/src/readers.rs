//! Which nodes serve readers: slaves, slave-only ones first; without any slave the master.

use std::{collections::BTreeSet, net::IpAddr};

use crate::{
    Action, Answer, Kind, Policy, View,
    groups::{arm, deregister, left_in},
};

/// The calls that bring the read groups to their desired members, and whether a node is about to become fit.
///
/// A node that says nothing stays: the balancer's own check knows about it, and it may be back in a moment.
pub(crate) fn plan(
    view: &View,
    policy: &Policy,
    master: IpAddr,
    fit: impl Fn(&IpAddr) -> bool,
) -> (Vec<Action>, bool) {
    if view.readers.is_empty() {
        return (Vec::new(), false);
    }
    let slaves = |kind: Kind| -> BTreeSet<IpAddr> {
        let slaves =
            view.observations.iter().filter(|seen| seen.node.kind == kind && seen.answer == Answer::Slave);
        // A node that is stopping is not registered: it leaves in a moment.
        slaves.filter(|seen| !seen.node.stopping).map(|seen| seen.node.address).collect()
    };
    let mut wanted = slaves(Kind::SlaveOnly);
    if wanted.is_empty() || policy.read_from_core {
        wanted.extend(slaves(Kind::Core));
    }
    if wanted.is_empty() {
        wanted.insert(master);
    }
    let ready: BTreeSet<IpAddr> =
        wanted.iter().copied().filter(|address| *address == master || fit(address)).collect();
    let mut actions = arm(&view.readers, &ready);
    let taking_part: BTreeSet<IpAddr> =
        view.observations.iter().filter(|seen| seen.answer.is_firm()).map(|seen| seen.node.address).collect();
    for group in &view.readers {
        for address in
            group.targets.iter().filter(|address| !wanted.contains(address) && taking_part.contains(address))
        {
            // A target is taken out only when at least one wanted node is in the group.
            if left_in(group, &actions) > 1
                && wanted.iter().any(|ours| group.targets.contains(ours) || ready.contains(ours))
            {
                actions.push(deregister(group, *address));
            }
        }
    }
    let almost = wanted
        .difference(&ready)
        .any(|address| view.readers.iter().any(|group| !group.targets.contains(address)));
    (actions, almost)
}
