//! When a slave whose first store is copied may be started once more, with its backup server: in a cluster that is well, one node at a
//! time, and in a founding in the order of the ids. A blank node of 3.4.6 has its backup server off until its next start (`conf.rs` has
//! the reason), and the best moment for that start is before the node has joined, when no client has seen it. In a cluster that is not
//! well it joins as it is. Slave-only nodes take their turn after the core nodes, and do not wait for each other.

use std::time::{Duration, Instant};

use neo4j::{Status, phase};
use tracing::{info, warn};

use super::guard::Guard;
use crate::{Settings, addresses, place::Place};

/// From one look at the others to the next.
const LOOK: Duration = Duration::from_secs(1);
/// A peer's status takes [`neo4j::STATUS_BUDGET`].
const PATIENCE: Duration = neo4j::STATUS_PATIENCE;
/// In a founding all nodes are there within this.
const FOUNDING: Duration = Duration::from_secs(60);
/// A node that finds no turn for so long joins as it is: a slot that stays away is worse than one without a backup server.
const GIVE_UP: Duration = Duration::from_secs(180);

/// A core slot as this node sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    pub server_id: u32,
    /// What its node program says; `None` without an answer.
    pub status: Option<Status>,
}

/// What to do now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Turn {
    Go,
    Wait(String),
    /// Another member is not well, so that this one's vote may be needed.
    JoinAsItIs(String),
}

/// Whether the slave `own` may stop its Neo4j now, `waited` after its store was copied. It announces itself as `copied` before it
/// looks, and looks twice a second apart: so of two that look at the same time the higher one sees the lower one.
pub fn turn(own: u32, peers: &[Peer], waited: Duration) -> Turn {
    let others = || peers.iter().filter(|peer| peer.server_id != own);
    // Neither is one whose JVM is silent: what it said last may not be so any more.
    let well = |peer: &Peer| peer.status.as_ref().filter(|status| status.silent_ms == 0).cloned();
    let phase_of = |peer: &Peer| well(peer).map_or(String::new(), |status| status.phase);
    // In a founding it may still come. One that starts for longer recovers or copies a large store; one that does not answer is down.
    let is_there =
        |peer: &&Peer| matches!(phase_of(peer).as_str(), phase::COPIED | phase::RESTARTING | phase::RUNNING);
    if let Some(peer) = others().find(|peer| !is_there(peer)) {
        let reason = format!("the node {} has not joined", peer.server_id);
        return if waited < FOUNDING { Turn::Wait(reason) } else { Turn::JoinAsItIs(reason) };
    }
    // Without one the others may be electing, and every vote counts.
    if others().filter_map(well).filter(|status| status.role == "master").count() != 1 {
        return Turn::Wait("no peer, or more than one, says that it is the master".into());
    }
    if let Some(peer) = others().find(|peer| phase_of(peer) == phase::RESTARTING) {
        return Turn::Wait(format!("the node {} is being started once more", peer.server_id));
    }
    match others().find(|peer| peer.server_id < own && phase_of(peer) == phase::COPIED) {
        Some(peer) => Turn::Wait(format!("the node {} is first", peer.server_id)),
        None => Turn::Go,
    }
}

/// Waits for the turn of this node, whose Neo4j is to be stopped then; false if it joins as it is. It is never the turn of a master.
pub async fn wait(settings: &Settings, own: &Place, guard: &Guard) -> bool {
    guard.until_copied().await;
    let begun = Instant::now();
    let (mut once, mut said) = (false, String::new());
    let inventory = aws::Inventory::new(&aws::sdk_config().await, &settings.cluster.cluster);
    let why = loop {
        if !guard.has_copied() {
            // It announces itself again.
            once = false;
            guard.until_copied().await;
        }
        let turn = match look(settings, own, &inventory).await {
            Ok(peers) => turn(own.slot.server_id, &peers, begun.elapsed()),
            Err(error) => Turn::Wait(format!("the other nodes are not known: {error}")),
        };
        match turn {
            // It may have lost its master, or become one, while the others were asked.
            Turn::Go if once && guard.begin_restart() => return true,
            Turn::Go => once = true,
            Turn::JoinAsItIs(reason) => break reason,
            Turn::Wait(reason) if begun.elapsed() > GIVE_UP => break reason,
            Turn::Wait(reason) => {
                once = false;
                if reason != said {
                    info!(
                        event = "waiting-for-turn",
                        "the store is copied, and Neo4j is not started once more yet: {reason}"
                    );
                    said = reason;
                }
            }
        }
        tokio::time::sleep(LOOK).await;
    };
    warn!(event = "no-backup-server", "Neo4j joins without its backup server until its next start: {why}");
    false
}

/// What the node programs of all core slots say.
///
/// # Errors
/// When ECS does not list them.
pub async fn look(
    settings: &Settings,
    own: &Place,
    inventory: &aws::Inventory,
) -> Result<Vec<Peer>, aws::Error> {
    let cluster = &settings.cluster;
    let known = addresses::look(cluster, own, inventory).await?;
    let asked = known.into_iter().filter_map(|(name, address)| {
        let (server_id, port) = (cluster.slot(&name)?.server_id, cluster.status_port);
        Some(tokio::spawn(async move {
            let status = match address {
                Some(address) => neo4j::status((address, port).into(), PATIENCE).await,
                None => None,
            };
            Peer { server_id, status }
        }))
    });
    let mut peers = Vec::new();
    for peer in asked.collect::<Vec<_>>() {
        peers.extend(peer.await);
    }
    Ok(peers)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(server_id: u32, phase: &str, role: &str) -> Peer {
        let status = Status { phase: phase.into(), role: role.into(), ..Status::default() };
        Peer { server_id, status: Some(status) }
    }

    fn waits(own: u32, peers: &[Peer], waited: u64) -> Option<String> {
        match turn(own, peers, Duration::from_secs(waited)) {
            Turn::Go => None,
            Turn::Wait(reason) => Some(reason),
            Turn::JoinAsItIs(reason) => panic!("it joins as it is: {reason}"),
        }
    }

    #[test]
    fn in_a_founding_slaves_go_in_the_order_of_their_ids_and_the_master_never() {
        let master = peer(1, "running", "master");
        let first = [master.clone(), peer(2, "copied", "unsettled"), peer(3, "copied", "unsettled")];
        assert_eq!(waits(2, &first, 0), None);
        assert_eq!(waits(3, &first, 0).unwrap(), "the node 2 is first");
        let second = [master.clone(), peer(2, "restarting", "not known"), peer(3, "copied", "unsettled")];
        assert_eq!(waits(3, &second, 20).unwrap(), "the node 2 is being started once more");
        let third = [master, peer(2, "running", "slave"), peer(3, "copied", "unsettled")];
        assert_eq!(waits(3, &third, 30), None);
    }

    #[test]
    fn the_others_are_waited_for_as_long_as_a_founding_takes() {
        for phase in ["starting", "waiting-for-peers"] {
            let peers =
                [peer(1, phase, "not known"), peer(2, "running", "master"), peer(3, "copied", "unsettled")];
            assert_eq!(waits(3, &peers, 59).unwrap(), "the node 1 has not joined");
            let joins = turn(3, &peers, Duration::from_secs(60));
            assert_eq!(joins, Turn::JoinAsItIs("the node 1 has not joined".into()), "it may copy for hours");
        }
    }

    #[test]
    fn one_that_replaces_a_lost_node_goes_at_once_when_all_others_are_well() {
        let own = peer(1, "copied", "unsettled");
        let peers = [own.clone(), peer(2, "running", "master"), peer(3, "running", "slave")];
        assert_eq!(waits(1, &peers, 0), None);
        let silent = Peer {
            status: peers[2].status.clone().map(|status| Status { silent_ms: 1, ..status }),
            ..peers[2].clone()
        };
        for away in [Peer { server_id: 3, status: None }, silent] {
            let peers = [own.clone(), peers[1].clone(), away];
            assert!(waits(1, &peers, 59).is_some(), "{peers:?}");
            let joins = turn(1, &peers, Duration::from_secs(60));
            assert_eq!(joins, Turn::JoinAsItIs("the node 3 has not joined".into()), "its vote may be needed");
        }
    }

    #[test]
    fn nothing_is_stopped_while_it_is_not_known_who_the_master_is() {
        let own = peer(2, "copied", "unsettled");
        let none = [peer(1, "running", "unsettled"), own.clone()];
        let two = [peer(1, "running", "master"), own.clone(), peer(3, "running", "master")];
        for peers in [&none[..], &two[..], &[]] {
            assert!(waits(2, peers, 1000).unwrap().contains("says that it is the master"), "{peers:?}");
        }
        let own = [peer(2, "copied", "master"), peer(3, "running", "slave")];
        assert!(waits(2, &own, 0).is_some(), "its own word is not a peer's");
    }
}
