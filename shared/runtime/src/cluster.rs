//! What the template sets for every program, read in one place: functions and node program agree because they
//! read the same variables with the same rules.

use std::collections::BTreeSet;

use backups::Version;
use neo4j::{Dialect, ports};
use topology::{Kind, Slot};

use crate::{Environment, Invalid};

/// One cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cluster {
    /// How its nodes are clustered and report their role.
    pub dialect: Dialect,
    /// The version of Neo4j in its image.
    pub version: Version,
    /// Name or ARN of the ECS cluster.
    pub cluster: String,
    /// Name of the stack, which distinguishes metrics, events and physical ids.
    pub stack: String,
    /// All slots: the core's in the order of their server ids, then the slave-only ones, whose ids follow.
    pub slots: Vec<Slot>,
    /// 7474, except in tests.
    pub http_port: u16,
    /// 7687, except in tests.
    pub bolt_port: u16,
    /// 7475, except in tests.
    pub status_port: u16,
}

impl Cluster {
    /// Reads and checks what the template sets for every program.
    ///
    /// # Errors
    /// The first parameter that is invalid.
    pub fn read(environment: &Environment) -> Result<Self, Invalid> {
        let cluster = Self {
            dialect: environment.parse("DIALECT")?,
            version: environment.parse("NEO4J_VERSION")?,
            cluster: environment.need("CLUSTER")?.to_owned(),
            stack: environment.need("STACK")?.to_owned(),
            slots: Slot::numbered(
                &environment.need_list("CORE_SERVICES")?,
                &environment.list("SLAVE_ONLY_SERVICES"),
            ),
            // The template opens exactly the default ports; tests run several nodes at one address.
            http_port: environment.parse_or("HTTP_PORT", ports::HTTP)?,
            bolt_port: environment.parse_or("BOLT_PORT", ports::BOLT)?,
            status_port: environment.parse_or("STATUS_PORT", ports::STATUS)?,
        };
        cluster.check(environment)?;
        Ok(cluster)
    }

    /// The slots that may become master, in the order of their server ids.
    pub fn core(&self) -> impl Iterator<Item = &Slot> {
        self.of(Kind::Core)
    }

    /// The slots that are never master.
    pub fn slave_only(&self) -> impl Iterator<Item = &Slot> {
        self.of(Kind::SlaveOnly)
    }

    pub fn slot(&self, name: &str) -> Option<&Slot> {
        self.slots.iter().find(|slot| slot.name == name)
    }

    fn of(&self, kind: Kind) -> impl Iterator<Item = &Slot> {
        self.slots.iter().filter(move |slot| slot.kind == kind)
    }

    fn check(&self, environment: &Environment) -> Result<(), Invalid> {
        let refuse = |name, reason: String| {
            let value = environment.text(name).unwrap_or_default().to_owned();
            Err(Invalid::Value { name, value, reason })
        };
        let mut names = BTreeSet::new();
        if let Some(twice) = self.slots.iter().find(|slot| !names.insert(&slot.name)) {
            let list = if twice.kind == Kind::Core { "CORE_SERVICES" } else { "SLAVE_ONLY_SERVICES" };
            return refuse(list, format!("the service {} must be named once", twice.name));
        }
        let (core, slave_only) = (self.core().count(), self.slave_only().count());
        if self.dialect == Dialect::Single && core + slave_only != 1 {
            return refuse(
                "CORE_SERVICES",
                "a SINGLE has exactly one service, so DIALECT must be HA for more".to_owned(),
            );
        }
        // A majority of four is three: four nodes survive one loss, as three do, and have one
        // node more that can fail.
        if core % 2 == 0 {
            let reason = format!(
                "{core} core slots may lose no more nodes than {} may, so the number must be odd",
                core - 1
            );
            return refuse("CORE_SERVICES", reason);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(changed: &[(&'static str, &'static str)]) -> Environment {
        crate::example::CLUSTER.into_iter().chain(changed.iter().copied()).collect()
    }

    #[test]
    fn ids_of_slave_only_slots_follow_those_of_the_core() {
        let cluster = Cluster::read(&environment(&[("SLAVE_ONLY_SERVICES", "slave-1,slave-2")])).unwrap();
        let told: Vec<_> =
            cluster.slots.iter().map(|slot| (slot.server_id, slot.name.as_str(), slot.kind)).collect();
        assert_eq!(
            told,
            [
                (1, "core-1", Kind::Core),
                (2, "core-2", Kind::Core),
                (3, "core-3", Kind::Core),
                (4, "slave-1", Kind::SlaveOnly),
                (5, "slave-2", Kind::SlaveOnly),
            ]
        );
        assert_eq!((cluster.core().count(), cluster.slave_only().count()), (3, 2));
        assert_eq!(cluster.slot("slave-2").map(|slot| slot.server_id), Some(5));
        assert_eq!(cluster.slot("slave-3"), None);
        assert_eq!((cluster.http_port, cluster.bolt_port, cluster.status_port), (7474, 7687, 7475));
    }

    #[test]
    fn a_single_is_one_slot() {
        let single = [("DIALECT", "SINGLE"), ("CORE_SERVICES", "core-1")];
        assert_eq!(Cluster::read(&environment(&single)).unwrap().slots.len(), 1);
    }

    #[test]
    fn every_invalid_parameter_is_named_in_one_sentence() {
        let table = [
            ("DIALECT", "", "DIALECT is not set"),
            ("DIALECT", "MYSQL", "DIALECT is \"MYSQL\": \"MYSQL\" is not a dialect"),
            ("DIALECT", "SINGLE", "CORE_SERVICES is \"core-1,core-2,core-3\": a SINGLE has exactly one"),
            ("NEO4J_VERSION", "", "NEO4J_VERSION is not set"),
            ("NEO4J_VERSION", "3.4", "NEO4J_VERSION is \"3.4\": \"3.4\" is not a version of Neo4j such as"),
            ("CLUSTER", "", "CLUSTER is not set"),
            ("STACK", " ", "STACK is not set"),
            ("CORE_SERVICES", " , ", "CORE_SERVICES is not set"),
            ("CORE_SERVICES", "a,b,a", "CORE_SERVICES is \"a,b,a\": the service a must be named once"),
            (
                "SLAVE_ONLY_SERVICES",
                "core-2",
                "SLAVE_ONLY_SERVICES is \"core-2\": the service core-2 must be",
            ),
            (
                "CORE_SERVICES",
                "a,b,c,d",
                "CORE_SERVICES is \"a,b,c,d\": 4 core slots may lose no more nodes than 3 may",
            ),
            ("HTTP_PORT", "http", "HTTP_PORT is \"http\""),
            ("STATUS_PORT", "99999", "STATUS_PORT is \"99999\""),
            ("BOLT_PORT", "-1", "BOLT_PORT is \"-1\""),
        ];
        for (name, value, sentence) in table {
            let error = Cluster::read(&environment(&[(name, value)])).unwrap_err().to_string();
            assert!(error.starts_with(sentence), "{name}={value}: {error}");
            assert!(!error.contains('\n'));
        }
    }
}
