//! When a slave whose first store is copied may be started once more, with its backup server: one at a time, and in a founding in the
//! order of the ids. A blank node of 3.4.6 has its backup server off until its next start (`conf.rs` has the reason), and the best moment
//! for that start is before the node has joined: no client has seen it, and without it the cluster is what it was a second earlier.

use std::time::{Duration, Instant};

use neo4j::Status;
use tracing::{info, warn};

use super::guard::Guard;
use crate::{Settings, addresses, place::Place};

/// From one look at the others to the next.
const LOOK: Duration = Duration::from_secs(1);
/// A peer's status takes [`neo4j::STATUS_BUDGET`].
const PATIENCE: Duration = neo4j::STATUS_PATIENCE;
/// In a founding all nodes are there within this, so that the lower ones can be waited for. A peer that starts for longer recovers or
/// copies a large store, and is not waited for.
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
}

/// Whether the slave `own` may stop its Neo4j now, `waited` after its store was copied. It announces itself as `copied` before it
/// looks, and looks twice a second apart: so of two that look at the same time the higher one sees the lower one.
pub fn turn(own: u32, peers: &[Peer], waited: Duration) -> Turn {
    let others = || peers.iter().filter(|peer| peer.server_id != own);
    let phase = |peer: &Peer| peer.status.as_ref().map_or(String::new(), |status| status.phase.clone());
    let is_master = |peer: &Peer| peer.status.as_ref().is_some_and(|status| status.role == "master");
    // Without one the others may be electing, and every vote counts.
    if others().filter(|peer| is_master(peer)).count() != 1 {
        return Turn::Wait("no peer, or more than one, says that it is the master".into());
    }
    if let Some(peer) = others().find(|peer| phase(peer) == "restarting") {
        return Turn::Wait(format!("the node {} is being started once more", peer.server_id));
    }
    let is_before = |peer: &Peer| match phase(peer).as_str() {
        "copied" => true,
        "starting" | "waiting-for-peers" => waited < FOUNDING,
        _ => false,
    };
    match others().find(|peer| peer.server_id < own && is_before(peer)) {
        Some(peer) => Turn::Wait(format!("the node {} is first", peer.server_id)),
        None => Turn::Go,
    }
}

/// Waits for the turn of this node; false if it joins as it is. It is never the turn of a master.
pub async fn wait(settings: &Settings, own: &Place, guard: &Guard) -> bool {
    guard.until_copied().await;
    let begun = Instant::now();
    let (mut once, mut said) = (false, String::new());
    let inventory = aws::Inventory::new(&aws::sdk_config().await, &settings.cluster.cluster);
    while begun.elapsed() < GIVE_UP {
        guard.until_copied().await;
        let turn = match look(settings, own, &inventory).await {
            Ok(peers) => turn(own.slot.server_id, &peers, begun.elapsed()),
            Err(error) => Turn::Wait(format!("the other nodes are not known: {error}")),
        };
        match turn {
            Turn::Go if once => return true,
            Turn::Go => once = true,
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
    }
    warn!(
        event = "no-backup-server",
        "Neo4j joins without its backup server until its next start: for {} s it could not be started once more ({said})",
        GIVE_UP.as_secs()
    );
    false
}

async fn look(settings: &Settings, own: &Place, inventory: &aws::Inventory) -> Result<Vec<Peer>, aws::Error> {
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
    fn a_lower_one_that_still_copies_is_waited_for_as_long_as_a_founding_takes() {
        for phase in ["starting", "waiting-for-peers"] {
            let peers =
                [peer(1, phase, "not known"), peer(2, "running", "master"), peer(3, "copied", "unsettled")];
            assert_eq!(waits(3, &peers, 59).unwrap(), "the node 1 is first");
            assert_eq!(waits(3, &peers, 60), None, "it may copy for hours");
        }
        // A higher one waits itself.
        let higher =
            [peer(1, "copied", "unsettled"), peer(2, "running", "master"), peer(3, "starting", "not known")];
        assert_eq!(waits(1, &higher, 0), None);
    }

    #[test]
    fn one_that_replaces_a_lost_node_goes_at_once() {
        let peers =
            [peer(1, "copied", "unsettled"), peer(2, "running", "master"), peer(3, "running", "slave")];
        assert_eq!(waits(1, &peers, 0), None);
        let one_is_away = [
            peer(1, "copied", "unsettled"),
            peer(2, "running", "master"),
            Peer { server_id: 3, status: None },
        ];
        assert_eq!(waits(1, &one_is_away, 0), None, "the cluster is what it was a second earlier");
    }

    #[test]
    fn nothing_is_stopped_while_it_is_not_known_who_the_master_is() {
        let none = [peer(1, "running", "unsettled"), peer(2, "copied", "unsettled")];
        let two =
            [peer(1, "running", "master"), peer(2, "copied", "unsettled"), peer(3, "running", "master")];
        for peers in [&none[..], &two[..], &[]] {
            assert!(waits(2, peers, 1000).unwrap().contains("says that it is the master"), "{peers:?}");
        }
        let own = [peer(2, "copied", "master"), peer(3, "running", "slave")];
        assert!(waits(2, &own, 0).is_some(), "its own word is not a peer's");
    }
}
