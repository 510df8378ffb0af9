//! The table at the end: what happened when after the fault, and who says so.

use std::{
    net::Ipv4Addr,
    time::{Duration, Instant, SystemTime},
};

use serde_json::Value;

use crate::{gateway::Call, watch::Seen};

/// What was observed of one fail-over.
#[derive(Clone, Debug)]
pub struct Phases {
    /// When the fault was injected.
    pub fault: Instant,
    /// The same on the wall clock, which logs and calls are stamped with.
    pub fault_at: SystemTime,
    /// The master that was elected.
    pub new: Ipv4Addr,
    /// What the demo's own watch saw.
    pub seen: Seen,
    /// The Lambda's `retarget` event.
    pub event: Value,
    /// The calls that changed target groups after the fault.
    pub calls: Vec<Call>,
    /// Last acknowledged write before, first after.
    pub outage: Option<(Instant, Instant)>,
}

/// The phases, one a line, in milliseconds after the fault.
pub fn table(phases: &Phases) -> String {
    let since = |at: Instant| millis(at.saturating_duration_since(phases.fault));
    let wall = |at: SystemTime| millis(at.duration_since(phases.fault_at).unwrap_or_default());
    let first_seen =
        |map: &std::collections::HashMap<Ipv4Addr, Instant>| map.get(&phases.new).map(|at| since(*at));
    let logged = |field: &str| {
        let at = phases.event[field].as_u64().map(|ms| SystemTime::UNIX_EPOCH + Duration::from_millis(ms));
        at.map(wall)
    };
    let deregistered = phases.calls.iter().find(|call| call.action == "DeregisterTargets");
    let answered = phases.calls.iter().filter_map(|call| call.answered).map(|(at, _)| at).max();
    let rows: [(&str, Option<u128>, &str); 8] = [
        ("fault: SIGKILL of the master", Some(0), "the demo"),
        (
            "election: a survivor says it is the master",
            first_seen(&phases.seen.elected),
            "a prober, every 20 ms",
        ),
        ("check: the balancer admits it", first_seen(&phases.seen.admitted), "the balancer"),
        ("first write acknowledged", phases.outage.map(|(_, after)| since(after)), "the client"),
        ("sweep: the Lambda saw the new master", logged("detected_at"), "its retarget event"),
        ("decision: confirmed", logged("decided_at"), "its retarget event"),
        ("API calls: first deregistration sent", deregistered.map(|call| wall(call.at)), "the gateway"),
        ("API calls: last one answered", answered.map(wall), "the gateway"),
    ];
    let mut rows = rows.to_vec();
    rows.sort_by_key(|(_, at, _)| at.unwrap_or(u128::MAX));
    let mut text = format!("{:<46}{:>10}   {}\n", "PHASE", "MS AFTER", "SAID BY");
    for (phase, at, who) in rows {
        let at = at.map_or_else(|| "not seen".to_owned(), |ms| ms.to_string());
        text += &format!("{phase:<46}{at:>10}   {who}\n");
    }
    if let Some((before, after)) = phases.outage {
        let outage = millis(after.saturating_duration_since(before));
        text += &format!("outage (last acknowledged write before to first after): {outage} ms\n");
    }
    text
}

fn millis(duration: Duration) -> u128 {
    duration.as_millis()
}
