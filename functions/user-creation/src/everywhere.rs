//! One user on all nodes at once.

use neo4j::{Denied, Instance};
use tokio::task::JoinSet;

use crate::{
    Config, Node,
    converge::{Applied, Problem, Proof, Target, converge},
    secrets::Passwords,
};

/// The outcome for one user on one node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    pub node: Node,
    /// The changes that were made, or why not.
    pub outcome: Result<Applied, Problem>,
}

/// Makes the user what it should be on all `nodes` at once; a node that does not answer delays no other.
pub(crate) async fn everywhere(
    config: &Config,
    nodes: &[Node],
    admin: &Passwords,
    target: &Target,
    proof: Proof,
) -> Vec<Told> {
    let told = at_once(config, nodes, admin, target, proof).await;
    // A cluster of 4.4 and later has one list of users, which its leader changes; the
    // others have the changes then.
    let (followers, mut told): (Vec<_>, Vec<_>) = told.into_iter().partition(is_a_follower);
    if followers.is_empty() || told.iter().all(|told| told.outcome.is_err()) {
        told.extend(followers);
    } else {
        let nodes: Vec<Node> = followers.into_iter().map(|told| told.node).collect();
        told.extend(at_once(config, &nodes, admin, target, proof).await);
    }
    told.sort_by(|a, b| a.node.slot.cmp(&b.node.slot));
    told
}

fn is_a_follower(told: &Told) -> bool {
    matches!(told.outcome, Err(Problem::Denied { denied: Denied::NotLeader, .. }))
}

async fn at_once(
    config: &Config,
    nodes: &[Node],
    admin: &Passwords,
    target: &Target,
    proof: Proof,
) -> Vec<Told> {
    let mut asked = JoinSet::new();
    for node in nodes.iter().cloned() {
        let instance: Option<Instance> = node.address.map(|address| config.instance(address));
        let (admin, target) = (admin.clone(), target.clone());
        asked.spawn(async move {
            let outcome = match instance {
                Some(instance) => converge(&instance, &admin, &target, proof).await,
                None => Err(Problem::NoTask),
            };
            Told { node, outcome }
        });
    }
    asked.join_all().await
}

/// `core-3 at 10.0.0.3: it does not answer (...)`, for every node with a problem.
pub(crate) fn problems(told: &[Told]) -> String {
    let problem = |told: &Told| Some(format!("{}: {}", told.node.place(), told.outcome.as_ref().err()?));
    told.iter().filter_map(problem).collect::<Vec<_>>().join("; ")
}

/// `done on core-1, core-2`, or that it was done nowhere.
pub(crate) fn done_on(told: &[Told]) -> String {
    let done: Vec<&str> =
        told.iter().filter(|told| told.outcome.is_ok()).map(|told| told.node.slot.as_str()).collect();
    if done.is_empty() {
        "it was done on no node".to_owned()
    } else {
        format!("it is done on {}", done.join(", "))
    }
}
