//! What operators see: plain tables.

use std::{collections::BTreeSet, fmt::Write, net::SocketAddr};

use crate::{
    control::Status,
    elb::{ListenerStatus, TargetStatus},
    stack::Stack,
};

/// Nodes, then stand-alone tasks, then each listener with its targets; of several stacks one after the other.
pub fn status(status: &Status) -> String {
    let nodes = status.nodes.iter().map(|node| node.stack.as_str());
    let balancers = status.balancers.iter().map(|balancer| balancer.stack.as_str());
    let tasks = status.tasks.iter().map(|task| task.stack.as_str());
    let stacks: BTreeSet<&str> = nodes.chain(balancers).chain(tasks).collect();
    if stacks.len() < 2 {
        return of_one(status);
    }
    let titled = |name: &str| format!("STACK {name}\n{}", of_one(&status.clone().of(&Stack::new(name))));
    stacks.into_iter().map(titled).collect()
}

fn of_one(status: &Status) -> String {
    let mut text = String::new();
    let mut line = |cells: [&str; 4]| {
        let _infallible = writeln!(text, "  {:<38} {:<16} {:<12} {}", cells[0], cells[1], cells[2], cells[3]);
    };
    line(["NODE", "ADDRESS", "TASK", "ROLE"]);
    for node in &status.nodes {
        let agent = if node.agent_dead { " (its agent is dead)" } else { "" };
        line([&node.service, &node.address.to_string(), &node.status, &format!("{}{agent}", node.role)]);
    }
    for service in &status.without_host {
        line([service, "(none)", "", "(its slot has no host)"]);
    }
    if !status.tasks.is_empty() {
        line(["STAND-ALONE TASK", "ADDRESS", "TASK", "STARTED BY, END"]);
    }
    for task in &status.tasks {
        let started_by = task.started_by.as_deref().unwrap_or("-");
        let ended = match &task.ended {
            None => String::new(),
            Some((reason, Some(code))) => format!(", {reason}, exit code {code}"),
            Some((reason, None)) => format!(", {reason}"),
        };
        line([&task.family, &task.address.to_string(), &task.status, &format!("{started_by}{ended}")]);
    }
    line(["LISTENER", "TARGET", "HEALTH", "REASON"]);
    for balancer in &status.balancers {
        for (ports, listener) in folded(&balancer.listeners) {
            let whom = if listener.admits_the_master_alone() { "write" } else { "read" };
            let at = format!("{whom} {}:{ports}", balancer.address);
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

/// Listeners that say the same of the same nodes are one, with all their ports: all groups check the same path, so that they differ for a
/// moment only, and then the difference shows.
fn folded(listeners: &[ListenerStatus]) -> Vec<(String, &ListenerStatus)> {
    let says = |listener: &ListenerStatus| {
        let of = |target: &TargetStatus| (target.ip, target.state.clone(), target.reason.clone());
        (listener.check.clone(), listener.targets.iter().map(of).collect::<BTreeSet<_>>())
    };
    let mut folded: Vec<(String, &ListenerStatus)> = Vec::new();
    for listener in listeners {
        match folded.iter_mut().find(|(_, first)| says(first) == says(listener)) {
            Some((ports, _)) => *ports += &format!(",{}", listener.port),
            None => folded.push((listener.port.to_string(), listener)),
        }
    }
    folded
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::StandAlone;

    fn listener(port: u16, state: &str) -> ListenerStatus {
        let target = |last| TargetStatus {
            ip: [127, 0, 0, last].into(),
            port,
            state: if last == 1 { "healthy".to_owned() } else { state.to_owned() },
            reason: None,
        };
        ListenerStatus { port, check: "/role".to_owned(), targets: vec![target(1), target(2)] }
    }

    #[test]
    fn stand_alone_tasks_are_listed_with_their_ends() {
        let task = |task: &str, ended: Option<(String, Option<i32>)>| StandAlone {
            stack: "s".into(),
            family: "s-backup".into(),
            task: task.into(),
            address: [127, 0, 0, 9].into(),
            status: if ended.is_some() { "STOPPED".into() } else { "RUNNING".into() },
            started_by: Some("backup-trigger".into()),
            ended,
            pid: 1,
        };
        let tasks =
            vec![task("1", None), task("2", Some(("Essential container in task exited".into(), Some(3))))];
        let (nodes, balancers, without_host, left_out) = (vec![], vec![], vec![], vec![]);
        let text = super::status(&Status { nodes, tasks, balancers, without_host, left_out });
        let lines: Vec<Vec<&str>> = text.lines().map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(lines[2], ["s-backup", "127.0.0.9", "RUNNING", "backup-trigger"]);
        assert_eq!(
            lines[3].join(" "),
            "s-backup 127.0.0.9 STOPPED backup-trigger, Essential container in task exited, exit code 3"
        );
    }

    #[test]
    fn ports_that_say_the_same_are_one_line_and_one_that_differs_is_its_own() {
        let listeners = [listener(7473, "unhealthy"), listener(7474, "initial"), listener(7687, "unhealthy")];
        let ports: Vec<String> = folded(&listeners).into_iter().map(|(ports, _)| ports).collect();
        assert_eq!(ports, ["7473,7687", "7474"]);
    }
}
