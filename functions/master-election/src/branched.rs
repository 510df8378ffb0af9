//! `branched-store`: a member committed transactions that the cluster does not have. Its node program logs
//! that, and rings as well: a log line may be dropped on its way (the log driver does not block the database
//! for it), and it is the only proof of lost writes.

use runtime::{Cluster, Metric, Unit, emit};
use serde_json::Value;
use topology::Slot;

/// The slot that the bell names; `None` for every other event, and for a slot that is not of this cluster.
pub(crate) fn rung<'a>(payload: &Value, cluster: &'a Cluster) -> Option<&'a Slot> {
    let is_one = payload["source"] == "neo4j.node" && payload["detail-type"] == "branched-store";
    let detail = &payload["detail"];
    let slot = cluster.slot(detail["slot"].as_str()?)?;
    (is_one && detail["stack"] == cluster.stack.as_str()).then_some(slot)
}

/// The metric that the filter of the nodes' logs makes too: one alarm covers both ways.
pub(crate) fn report(slot: &Slot, stack: &str) {
    let slot = &slot.name;
    tracing::error!(
        event = "branched-store",
        slot,
        "{slot} committed transactions that the cluster does not have; its own log names the folder that keeps them"
    );
    let name = format!("BranchedStore-{stack}");
    // Without dimensions, like the metrics of log filters: an alarm looks for exactly the
    // dimensions that a metric has.
    emit("Neo4jControlPlane", &[], &[Metric { name: &name, unit: Unit::Count, value: 1 }]);
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn cluster() -> Cluster {
        let slots = [("CORE_SERVICES", "s-core-1,s-core-2,s-core-3"), ("SLAVE_ONLY_SERVICES", "s-slave-1")];
        Cluster::read(&runtime::example::CLUSTER.into_iter().chain(slots).collect()).unwrap()
    }

    #[test]
    fn the_bell_names_its_slot_and_a_malformed_one_is_only_a_bell() {
        let event = |source: &str, what: &str, detail: &Value| json!({"source": source, "detail-type": what, "detail": detail});
        let of_slot_2 = json!({"stack": "s", "slot": "s-core-2"});
        let node = |detail: &Value| event("neo4j.node", "branched-store", detail);
        let table = [
            (node(&of_slot_2), Some(2)),
            (node(&json!({"stack": "s", "slot": "s-slave-1"})), Some(4)),
            (event("neo4j.node", "joined", &of_slot_2), None),
            (event("aws.ecs", "branched-store", &of_slot_2), None),
            (node(&json!({"stack": "other", "slot": "s-core-2"})), None),
            (node(&json!({"stack": "s", "slot": "s-core-9"})), None),
            (node(&json!({"stack": "s", "slot": ["s-core-2"]})), None),
            (node(&json!({"stack": "s"})), None),
            (node(&json!(null)), None),
            (json!([]), None),
            (json!("branched-store"), None),
        ];
        for (payload, expected) in table {
            let cluster = cluster();
            assert_eq!(rung(&payload, &cluster).map(|slot| slot.server_id), expected, "{payload}");
        }
    }
}
