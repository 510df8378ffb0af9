//! What people see: plain tables.

use std::{collections::BTreeSet, fmt::Write, net::SocketAddr};

use crate::{control::Status, stack::Stack};

/// Nodes, then each listener with its targets; of several stacks one after the other.
pub fn status(status: &Status) -> String {
    let nodes = status.nodes.iter().map(|node| node.stack.as_str());
    let balancers = status.balancers.iter().map(|balancer| balancer.stack.as_str());
    let stacks: BTreeSet<&str> = nodes.chain(balancers).collect();
    if stacks.len() < 2 {
        return of_one(status);
    }
    let titled = |name: &str| format!("STACK {name}\n{}", of_one(&status.clone().of(&Stack::new(name))));
    stacks.into_iter().map(titled).collect()
}

fn of_one(status: &Status) -> String {
    let mut text = String::new();
    let mut line = |cells: [&str; 4]| {
        let _infallible = writeln!(text, "  {:<28} {:<16} {:<12} {}", cells[0], cells[1], cells[2], cells[3]);
    };
    line(["NODE", "ADDRESS", "TASK", "ROLE"]);
    for node in &status.nodes {
        let agent = if node.agent_dead { " (its agent is dead)" } else { "" };
        line([&node.service, &node.address.to_string(), &node.status, &format!("{}{agent}", node.role)]);
    }
    for service in &status.without_host {
        line([service, "(none)", "", "(its slot has no host)"]);
    }
    line(["LISTENER", "TARGET", "HEALTH", "REASON"]);
    for balancer in &status.balancers {
        for listener in &balancer.listeners {
            let whom = if listener.admits_the_master_alone() { "write" } else { "read" };
            let at = format!("{whom} {}:{}", balancer.address, listener.port);
            if listener.targets.is_empty() {
                line([&at, "(none)", "", ""]);
            }
            for target in &listener.targets {
                let reason = target.reason.as_deref().unwrap_or_default();
                line([&at, &target.ip.to_string(), &target.state, reason]);
            }
        }
    }
    text
}

/// What of the template is not deployed here.
pub fn left_out(status: &Status) -> String {
    match status.left_out.join(", ") {
        none if none.is_empty() => "all of the template is deployed".to_owned(),
        some => format!("left out here, because the emulator lacks the type: {some}"),
    }
}

/// Where to connect and what to type after `make up`.
pub fn what_next(gateway: SocketAddr, status: &Status) -> String {
    let mut text = String::new();
    for balancer in &status.balancers {
        for listener in &balancer.listeners {
            let scheme = match listener.port {
                7687 => "bolt",
                7473 => "https",
                _ => "http",
            };
            let whom =
                if listener.admits_the_master_alone() { "the master" } else { "those who serve readers" };
            text += &format!("  {scheme}://{}:{:<20} leads to {whom}\n", balancer.address, listener.port);
        }
    }
    text + &format!(
        "  aws --endpoint-url http://{gateway} ...    any AWS command\n  target/debug/local status                   \
         nodes, groups, health\n  target/debug/local kill|freeze|thaw|lose master  break things\n  make down                  \
         \u{20}                the end"
    )
}
