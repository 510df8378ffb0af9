//! Which host a task is placed on: a function of the service's constraints, the hosts, and how many tasks are on each.
//!
//! Pages of the developer guide: `task-placement-constraints`, `cluster-query-language`, `service-event-messages-list`,
//! `api_failures_messages`; for interfaces `ec2-considerations` of `task-networking-awsvpc`.

use serde_json::Value;

use super::host::Host;

/// A `.large` instance has three interfaces: one is the host's, and a task of `awsvpc` has one of its own.
pub const TASKS_A_HOST: usize = 2;

/// What a service asks of the host of its tasks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Constraint {
    /// `memberOf` with `attribute:NAME == VALUE`.
    Attribute(String, String),
    /// Any other one. AWS knows more; here no host meets it, so that it is seen.
    NotKnown(String),
}

impl Constraint {
    /// The `placementConstraints` of a service.
    pub fn all(service: &Value) -> Vec<Self> {
        let constraints = service["placementConstraints"].as_array().into_iter().flatten();
        constraints.map(Self::parse).collect()
    }

    fn parse(constraint: &Value) -> Self {
        let expression = constraint["expression"].as_str().unwrap_or_default();
        let parts = expression.split_once("==").map(|(subject, value)| (subject.trim(), value.trim()));
        match (constraint["type"].as_str(), parts) {
            (Some("memberOf"), Some((subject, value))) if !value.is_empty() => {
                match subject.strip_prefix("attribute:").filter(|name| !name.is_empty()) {
                    Some(name) => Self::Attribute(name.to_owned(), value.to_owned()),
                    None => Self::NotKnown(constraint.to_string()),
                }
            }
            _ => Self::NotKnown(constraint.to_string()),
        }
    }

    /// The value that the attribute `name` must have.
    pub fn value_of(&self, name: &str) -> Option<&str> {
        match self {
            Self::Attribute(own, value) if own == name => Some(value),
            _ => None,
        }
    }

    fn is_met_by(&self, host: &Host) -> bool {
        match self {
            Self::Attribute(name, value) => host.attributes.get(name) == Some(value),
            Self::NotKnown(_) => false,
        }
    }
}

/// Why a task is placed on no host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unplaced {
    /// The cluster has none.
    NoHosts,
    /// None has what the service asks for.
    Unsatisfied,
    /// The agent of this one is dead.
    Agent(String),
    /// This one has no interface left.
    Full(String),
}

/// A host and what is known of it now.
pub struct Candidate<'a> {
    /// The host.
    pub host: &'a Host,
    /// Its agent is connected.
    pub connected: bool,
    /// Tasks on it that have not stopped.
    pub tasks: usize,
}

/// The host with the fewest tasks among those that meet all `constraints`. Without constraints any host will do: that is how a
/// task gets to another slot's volume.
pub fn place<'a>(hosts: &[Candidate<'a>], constraints: &[Constraint]) -> Result<&'a Host, Unplaced> {
    if hosts.is_empty() {
        return Err(Unplaced::NoHosts);
    }
    let meets = |host: &Host| constraints.iter().all(|constraint| constraint.is_met_by(host));
    let mut closest = Unplaced::Unsatisfied;
    let mut best: Option<&Candidate<'a>> = None;
    for candidate in hosts.iter().filter(|candidate| meets(candidate.host)) {
        let name = || candidate.host.name.clone();
        if !candidate.connected {
            closest = Unplaced::Agent(name());
        } else if candidate.tasks >= TASKS_A_HOST {
            closest = Unplaced::Full(name());
        } else if best.is_none_or(|best| candidate.tasks < best.tasks) {
            best = Some(candidate);
        }
    }
    best.map(|best| best.host).ok_or(closest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::path::Path;

    fn member_of(expression: &str) -> Constraint {
        Constraint::parse(&json!({"type": "memberOf", "expression": expression}))
    }

    /// `cluster-query-language`: an expression is a subject, an operator and an argument.
    #[test]
    fn an_attribute_with_a_value_is_understood_and_all_else_is_met_by_no_host() {
        let slot = Constraint::Attribute("neo4j.slot".into(), "s-core-1".into());
        assert_eq!(member_of("attribute:neo4j.slot == s-core-1"), slot);
        assert_eq!(member_of("attribute:neo4j.slot==s-core-1"), slot);
        for other in [
            "attribute:neo4j.slot != s-core-1",
            "attribute:neo4j.slot in [s-core-1]",
            "attribute:neo4j.slot ==",
            "attribute: == s-core-1",
            "neo4j.slot == s-core-1",
            "",
        ] {
            assert!(matches!(member_of(other), Constraint::NotKnown(_)), "{other}");
        }
        let distinct = json!({"placementConstraints": [{"type": "distinctInstance"}]});
        assert!(matches!(Constraint::all(&distinct)[..], [Constraint::NotKnown(_)]));
        assert!(Constraint::all(&json!({})).is_empty());
    }

    /// `task-placement-constraints`: constraints are binding, and can keep a task from being placed.
    #[test]
    fn a_task_goes_where_its_constraint_is_met_and_without_one_where_there_is_room() {
        let hosts = ["a", "b"].map(|slot| Host::of(slot, "c", Path::new("/hosts")));
        let slot = |name: &str| [Constraint::Attribute("neo4j.slot".into(), name.into())];
        let placed = |tasks: [usize; 2], connected: [bool; 2], constraints: &[Constraint]| {
            let candidates: Vec<_> = (0..2)
                .map(|n| Candidate { host: &hosts[n], connected: connected[n], tasks: tasks[n] })
                .collect();
            place(&candidates, constraints).map(|host| host.name.clone())
        };
        let up = [true, true];
        assert_eq!(placed([1, 0], up, &slot("a")), Ok("a".into()), "a constraint is binding");
        assert_eq!(placed([1, 0], up, &[]), Ok("b".into()));
        assert_eq!(placed([0, 0], up, &slot("z")), Err(Unplaced::Unsatisfied));
        assert_eq!(placed([0, 0], up, &[member_of("agentConnected == true")]), Err(Unplaced::Unsatisfied));
        assert_eq!(placed([2, 0], up, &slot("a")), Err(Unplaced::Full("a".into())));
        assert_eq!(placed([2, 2], up, &[]), Err(Unplaced::Full("b".into())));
        assert_eq!(placed([0, 0], [false, true], &slot("a")), Err(Unplaced::Agent("a".into())));
        assert_eq!(placed([0, 0], [false, true], &[]), Ok("b".into()));
        assert_eq!(place(&[], &[]), Err(Unplaced::NoHosts));
    }
}
