//! Turns the desired members of the write groups into register and deregister calls. Never empties a group.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    time::Duration,
};

use crate::{Action, Group, Kind, Millis, Refusal, View};

/// AWS may give a freed address to something else within seconds, and a listing may lag: two complete
/// listings this far apart must lack the address.
const GONE_AFTER: Duration = Duration::from_secs(10);

/// Registers `keep` first, then deregisters every other address.
pub(crate) fn cut(groups: &[Group], keep: IpAddr) -> Vec<Action> {
    let mut actions = arm(groups, &BTreeSet::from([keep]));
    for group in groups {
        let others = group.targets.iter().filter(|address| **address != keep);
        actions.extend(others.map(|address| deregister(group, *address)));
    }
    actions
}

/// Registers all of `these`, and deregisters nothing.
pub(crate) fn arm(groups: &[Group], these: &BTreeSet<IpAddr>) -> Vec<Action> {
    let absent = |group: &Group| these.difference(&group.targets).copied().collect::<Vec<_>>();
    groups
        .iter()
        .flat_map(|group| {
            absent(group).into_iter().map(|address| register(group, address)).collect::<Vec<_>>()
        })
        .collect()
}

/// Deregisters addresses that do not belong in a group (no task of ours; in write groups no core node), when
/// two complete listings say so.
pub(crate) fn clean(
    view: &View,
    missing: &mut BTreeMap<IpAddr, Millis>,
    actions: &mut Vec<Action>,
    refusals: &mut Vec<Refusal>,
) {
    let addresses = |wanted: fn(Kind) -> bool| -> BTreeSet<IpAddr> {
        let nodes = view.observations.iter().filter(|seen| wanted(seen.node.kind));
        nodes.map(|seen| seen.node.address).collect()
    };
    let registered = |groups: &[Group]| -> BTreeSet<IpAddr> {
        groups.iter().flat_map(|group| &group.targets).copied().collect()
    };
    let writers: BTreeSet<IpAddr> = &registered(&view.groups) - &addresses(|kind| kind == Kind::Core);
    let readers: BTreeSet<IpAddr> = &registered(&view.readers) - &addresses(|_| true);
    let foreign: BTreeSet<IpAddr> = &writers | &readers;
    if !view.complete {
        if !foreign.is_empty() {
            refusals.push(Refusal::IncompleteListing { kept: foreign.into_iter().collect() });
        }
        return;
    }
    missing.retain(|address, _| foreign.contains(address));
    for address in foreign {
        let first = *missing.entry(address).or_insert(view.listed_at);
        if view.listed_at.since(first) < GONE_AFTER {
            continue;
        }
        let written = view.groups.iter().filter(|_| writers.contains(&address));
        let read = view.readers.iter().filter(|_| readers.contains(&address));
        for group in written.chain(read).filter(|group| group.targets.contains(&address)) {
            let call = deregister(group, address);
            if actions.contains(&call) {
                continue;
            }
            if left_in(group, actions) > 1 {
                actions.push(call);
            } else {
                refusals.push(Refusal::WouldEmpty { port: group.port, address });
            }
        }
    }
}

/// How many targets `group` has when `actions` are done.
pub(crate) fn left_in(group: &Group, actions: &[Action]) -> usize {
    let mut targets = group.targets.clone();
    for action in actions.iter().filter(|action| action.group() == Some(&group.arn)) {
        match action {
            Action::Register { address, .. } => targets.insert(*address),
            Action::Deregister { address, .. } => targets.remove(address),
            Action::Fence { .. } => false,
        };
    }
    targets.len()
}

fn register(group: &Group, address: IpAddr) -> Action {
    Action::Register { group: group.arn.clone(), port: group.port, address }
}

pub(crate) fn deregister(group: &Group, address: IpAddr) -> Action {
    Action::Deregister { group: group.arn.clone(), port: group.port, address }
}
