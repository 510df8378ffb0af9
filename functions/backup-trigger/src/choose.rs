//! Which node a backup is taken from.

use std::{cmp::Reverse, collections::BTreeSet, net::IpAddr};

use backups::{Seen, Time};
use topology::{Kind, Mode};

use crate::{
    Doubt, Node, Policy, Refusal, Role, Unfit, View, Wish,
    node::Firm,
    scratch::{TooLarge, scratch_gib},
};

/// The source of a backup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    pub slot: String,
    pub address: IpAddr,
    pub role: Role,
    /// Its subnet, and so its zone: the worker runs there, and no byte of the copy crosses zones.
    pub subnet: String,
    /// The size of its store; `None` if its node program does not report it.
    pub store_bytes: Option<u64>,
    /// How far the master is; `None` if it does not report that.
    pub master: Option<Seen>,
}

/// What a source is wanted for.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wanted<'w> {
    /// The only slot that may be taken.
    pub slot: Option<&'w str>,
    /// Slots that failed, the one that failed last at the end: taken only if no other one is fit.
    pub failed: &'w [String],
    /// A second opinion on this backup.
    pub confirms: Option<&'w Doubt>,
}

impl<'w> From<&'w Wish> for Wanted<'w> {
    fn from(wish: &'w Wish) -> Self {
        Self { slot: wish.slot.as_deref(), failed: &wish.failed, confirms: wish.confirms.as_ref() }
    }
}

/// Chooses the source: a slave-only one before a core slave, the last source if it is as good as any, else the
/// one with the highest server id, because the master pushes to the lowest one. `last` is the source of the
/// last verified backup.
///
/// # Errors
/// While the cluster is not at rest, so that a copy could be torn by an election or a roll, and when no node
/// is fit: what is awaited.
pub fn choose(
    now: Time,
    view: &View,
    policy: &Policy,
    last: Option<&str>,
    wanted: Wanted<'_>,
) -> Result<Choice, Refusal> {
    let nodes = match &view.nodes {
        Ok(nodes) => nodes,
        Err(reason) => return Err(Refusal::Unlisted { reason: reason.clone() }),
    };
    match &view.pause {
        Err(reason) => return Err(Refusal::PauseUnknown { reason: reason.clone() }),
        Ok(pause) => {
            let pause = pause.as_ref().map(|pause| (pause, Time::of_epoch(pause.until.0.div_ceil(1000))));
            // A pause that has ended may still be in the state.
            if let Some((pause, until)) = pause.filter(|(_, until)| now < *until) {
                return Err(Refusal::Paused { owner: pause.owner.clone(), until });
            }
        }
    }
    let master = at_rest(nodes, policy)?;
    let judge = Judge { policy, master, wanted };
    if let Some(slot) = wanted.slot {
        let Some(known) = policy.slot(slot) else {
            let slots = policy.slots.iter().map(|slot| slot.name.clone()).collect();
            return Err(Refusal::UnknownSlot { slot: slot.to_owned(), slots });
        };
        let slot = slot.to_owned();
        let found = of(nodes, &known.name).next().ok_or(Unfit::NoTask).and_then(|node| judge.fit(node));
        return judge.choice(now, found.map_err(|why| Refusal::UnfitSlot { slot, why })?);
    }
    let (mut fit, mut unfit) = (Vec::new(), Vec::new());
    for slot in &policy.slots {
        match of(nodes, &slot.name).next().ok_or(Unfit::NoTask).and_then(|node| judge.fit(node)) {
            Ok(firm) => fit.push(firm),
            Err(why) => unfit.push((slot.name.clone(), why)),
        }
    }
    let best = fit.into_iter().min_by_key(|firm| {
        let slot = &firm.node.slot;
        let failed = wanted.failed.iter().position(|failed| *failed == slot.name);
        // The first one to fail has had the longest time to get well: `None` is before all of them. The
        // master is before slaves that failed, because it is another source.
        (
            failed.is_some(),
            firm.role == Role::Master,
            failed,
            slot.kind == Kind::Core,
            last != Some(slot.name.as_str()),
            Reverse(slot.server_id),
        )
    });
    match (best, wanted.confirms) {
        (Some(best), _) => judge.choice(now, best),
        (None, Some(doubt)) => Err(Refusal::NoOtherSlave { slot: doubt.slot.clone(), unfit }),
        (None, None) => Err(Refusal::NoSource { unfit }),
    }
}

/// The master of a cluster at rest: one firm master, one firm node in every core slot, and no roll.
fn at_rest<'n>(nodes: &'n [Node], policy: &Policy) -> Result<Firm<'n>, Refusal> {
    for slot in policy.core() {
        let mut tasks = of(nodes, &slot.name);
        let (first, more) = (tasks.next(), tasks.count());
        let name = || slot.name.clone();
        let Some(node) = first.filter(|_| more == 0) else {
            return Err(Refusal::NotOneTask {
                slot: name(),
                tasks: if first.is_some() { more + 1 } else { 0 },
            });
        };
        node.firm().map_err(|why| Refusal::NotReady { slot: name(), why })?;
    }
    // A slave-only slot may be at zero or starting; one that is being replaced is a roll.
    for slot in policy.slots.iter().filter(|slot| slot.kind == Kind::SlaveOnly) {
        let tasks = of(nodes, &slot.name).count();
        if tasks > 1 {
            return Err(Refusal::NotOneTask { slot: slot.name.clone(), tasks });
        }
        if of(nodes, &slot.name).any(|node| node.stopping) {
            return Err(Refusal::NotReady { slot: slot.name.clone(), why: Unfit::Stopping });
        }
    }
    for kind in [Kind::Core, Kind::SlaveOnly] {
        let of_kind = nodes.iter().filter(|node| node.slot.kind == kind);
        if of_kind.map(|node| &node.definition).collect::<BTreeSet<_>>().len() > 1 {
            return Err(Refusal::Rolling { kind });
        }
    }
    let masters = nodes.iter().filter_map(|node| node.firm().ok()).filter(|firm| firm.role == Role::Master);
    let masters: Vec<Firm<'_>> = masters.collect();
    match masters[..] {
        // A slave-only node that says so has a fault of its own, and is no master.
        [master] if master.node.slot.kind == Kind::Core => Ok(master),
        [] | [_] => Err(Refusal::NoMaster),
        _ => {
            let slots = masters.iter().map(|firm| firm.node.slot.name.clone()).collect();
            Err(Refusal::SeveralMasters { slots })
        }
    }
}

fn of<'n>(nodes: &'n [Node], slot: &str) -> impl Iterator<Item = &'n Node> {
    nodes.iter().filter(move |node| node.slot.name == slot)
}

/// Says of one node after the other whether it is fit.
struct Judge<'j> {
    policy: &'j Policy,
    master: Firm<'j>,
    wanted: Wanted<'j>,
}

impl<'j> Judge<'j> {
    fn fit(&self, node: &'j Node) -> Result<Firm<'j>, Unfit> {
        let firm = node.firm()?;
        match firm.role {
            // Alone, it is what there is.
            Role::Master if self.policy.mode == Mode::Single && self.wanted.confirms.is_none() => {}
            // A second opinion is about the copies that slaves have.
            Role::Master if !self.policy.from_master || self.wanted.confirms.is_some() => {
                return Err(Unfit::IsMaster);
            }
            Role::Master => {}
            Role::Slave => self.near(&firm)?,
        }
        if self.wanted.confirms.is_some_and(|doubt| doubt.slot == node.slot.name) {
            return Err(Unfit::WasInconsistent);
        }
        if node.subnet.is_none() {
            return Err(Unfit::NoSubnet);
        }
        // A node program that does not report it is asked by the worker.
        if firm.status.backup_server == Some(false) {
            return Err(Unfit::BackupServerOff);
        }
        Ok(firm)
    }

    /// Whether a slave is near enough to the master. What it lacks, the backup lacks.
    fn near(&self, slave: &Firm<'_>) -> Result<(), Unfit> {
        match (self.master.status.last_transaction, slave.status.last_transaction) {
            (Some(master), Some(slave)) => {
                let (transactions, most) = (master.saturating_sub(slave), self.policy.max_lag);
                if transactions > most { Err(Unfit::Behind { transactions, most }) } else { Ok(()) }
            }
            // Nodes of causal clustering do not report it; followers are as far as the majority.
            _ if self.policy.mode == Mode::Cluster => Ok(()),
            _ => Err(Unfit::HowFarUnknown),
        }
    }

    fn choice(&self, now: Time, firm: Firm<'_>) -> Result<Choice, Refusal> {
        let slot = firm.node.slot.name.clone();
        let store_bytes = firm.status.store_bytes;
        if let Some(bytes) = store_bytes {
            scratch_gib(bytes).map_err(|TooLarge { needed, most }| {
                let slot = slot.clone();
                Refusal::TooLarge { slot, bytes, needed, most }
            })?;
        }
        let seen = |last_transaction| Seen { last_transaction, at: now };
        Ok(Choice {
            address: firm.address,
            role: firm.role,
            subnet: firm.node.subnet.clone().unwrap_or_default(),
            store_bytes,
            master: self.master.status.last_transaction.map(seen),
            slot,
        })
    }
}

#[cfg(test)]
mod tests;
