//! The function's parameters, checked before the first invocation.

use runtime::{Cluster, Environment, Invalid};
use topology::{Mode, Policy, Rearm, Unfitting};

#[derive(Clone, Debug)]
pub struct Config {
    pub cluster: Cluster,
    /// `(port, ARN)` of every write group.
    pub write_groups: Vec<(u16, String)>,
    /// `(port, ARN)` of every read group; empty when readers have no endpoint.
    pub read_groups: Vec<(u16, String)>,
    pub state_bucket: String,
    pub policy: Policy,
}

/// Where the state is in its bucket: the role may read and write this key only.
pub const STATE_KEY: &str = "master-election/state.json";

/// An invalid parameter; the message names it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// One parameter by itself.
    #[error(transparent)]
    Parameter(#[from] Invalid),
    /// Several that do not fit together.
    #[error(transparent)]
    Relation(#[from] Unfitting),
}

impl Config {
    /// Reads and checks all parameters.
    ///
    /// # Errors
    /// The first invalid parameter.
    pub fn read(environment: &Environment) -> Result<Self, Refused> {
        let cluster = Cluster::read(environment)?;
        let policy = Policy {
            mode: mode(cluster.dialect),
            pause: environment.millis_or("PAUSE_MS", 50)?,
            confirmations: environment.parse_or("CONFIRMATIONS", 2)?,
            heartbeat_timeout: environment.millis("HEARTBEAT_TIMEOUT_MS")?,
            rearm: rearm(environment)?,
            fence_after: environment.seconds_or("FENCE_AFTER_SECONDS", 12)?,
            fence_hold_off: environment.seconds_or("FENCE_HOLD_OFF_SECONDS", 300)?,
            fence_verify: environment.seconds_or("FENCE_VERIFY_SECONDS", 150)?,
            stop_timeout: environment.seconds_or("STOP_TIMEOUT_SECONDS", 90)?,
            read_from_core: environment.parse_or("READ_FROM_CORE", false)?,
            ..Policy::of(cluster.core().count(), cluster.slave_only().count())
        };
        policy.validate()?;
        Ok(Self {
            cluster,
            write_groups: match groups(environment, "WRITE_GROUPS")? {
                none if none.is_empty() => return Err(Invalid::Missing("WRITE_GROUPS").into()),
                groups => groups,
            },
            read_groups: groups(environment, "READ_GROUPS")?,
            state_bucket: environment.need("STATE_BUCKET")?.to_owned(),
            policy,
        })
    }
}

fn mode(dialect: neo4j::Dialect) -> Mode {
    match dialect {
        neo4j::Dialect::Ha => Mode::Ha,
        neo4j::Dialect::Cluster(_) => Mode::Cluster,
        neo4j::Dialect::Single => Mode::Single,
    }
}

fn rearm(environment: &Environment) -> Result<Rearm, Invalid> {
    match environment.text("STANDBY_REARM_SECONDS") {
        Some("-1") => Ok(Rearm::Never),
        Some(text) if text.starts_with('-') => Err(Invalid::Value {
            name: "STANDBY_REARM_SECONDS",
            value: text.to_owned(),
            reason: "it must be -1 (never) or a number of seconds".into(),
        }),
        _ => environment.seconds_or("STANDBY_REARM_SECONDS", 60).map(Rearm::After),
    }
}

fn groups(environment: &Environment, name: &'static str) -> Result<Vec<(u16, String)>, Invalid> {
    let groups = environment.list(name);
    let pair = |text: &String| {
        let (port, arn) = text.split_once('=')?;
        Some((port.parse().ok()?, arn.to_owned())).filter(|(port, arn)| *port > 0 && !arn.is_empty())
    };
    let parsed: Option<Vec<_>> = groups.iter().map(pair).collect();
    parsed.ok_or_else(|| Invalid::Value {
        name,
        value: groups.join(","),
        reason: "it must be a list such as 7687=<target group ARN>,7474=<target group ARN>".into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(changed: &[(&'static str, &'static str)]) -> Environment {
        let good = [
            ("WRITE_GROUPS", "7687=arn:a,7474=arn:b"),
            ("STATE_BUCKET", "b"),
            ("HEARTBEAT_TIMEOUT_MS", "2000"),
            ("FENCE_AFTER_SECONDS", "10"),
        ];
        runtime::example::CLUSTER.into_iter().chain(good).chain(changed.iter().copied()).collect()
    }

    #[test]
    fn what_is_not_set_has_a_default() {
        let config = Config::read(&environment(&[])).unwrap();
        assert_eq!(config.policy.core_size, 3);
        assert_eq!(config.write_groups, [(7687, "arn:a".into()), (7474, "arn:b".into())]);
        assert_eq!(config.policy.rearm, Rearm::After(std::time::Duration::from_secs(60)));
        let never = Config::read(&environment(&[("STANDBY_REARM_SECONDS", "-1")])).unwrap();
        assert_eq!(never.policy.rearm, Rearm::Never);
    }

    #[test]
    fn every_parameter_of_no_use_is_named_in_one_sentence() {
        let table = [
            ("DIALECT", "MYSQL", "DIALECT is \"MYSQL\": \"MYSQL\" is not a dialect"),
            ("DIALECT", "SINGLE", "CORE_SERVICES is \"core-1,core-2,core-3\": a SINGLE has exactly one"),
            ("CORE_SERVICES", "", "CORE_SERVICES is not set"),
            ("WRITE_GROUPS", "", "WRITE_GROUPS is not set"),
            ("WRITE_GROUPS", "7687", "WRITE_GROUPS is \"7687\": it must be a list such as"),
            ("READ_GROUPS", "7474", "READ_GROUPS is \"7474\": it must be a list such as"),
            ("FENCE_AFTER_SECONDS", "3", "FENCE_AFTER_SECONDS (3) must be 0 or at least twice"),
            ("WRITE_GROUPS", "0=arn", "WRITE_GROUPS is \"0=arn\""),
            ("FENCE_AFTER_SECONDS", "17", "FENCE_AFTER_SECONDS (17) is too long"),
            (
                "FENCE_AFTER_SECONDS",
                "18446744073709551615",
                "FENCE_AFTER_SECONDS is \"18446744073709551615\": no time here may be longer than a day",
            ),
            (
                "HEARTBEAT_TIMEOUT_MS",
                "18446744073709551615",
                "HEARTBEAT_TIMEOUT_MS is \"18446744073709551615\": no time",
            ),
            ("PAUSE_MS", "18446744073709551615", "PAUSE_MS is \"18446744073709551615\": no time here"),
            ("CONFIRMATIONS", "4294967295", "CONFIRMATIONS (4294967295) must be 1 to 10"),
            ("FENCE_VERIFY_SECONDS", "86401", "FENCE_VERIFY_SECONDS is \"86401\": no time here"),
            (
                "STANDBY_REARM_SECONDS",
                "9223372036854775807",
                "STANDBY_REARM_SECONDS is \"9223372036854775807\": no time",
            ),
            (
                "STOP_TIMEOUT_SECONDS",
                "150",
                "FENCE_VERIFY_SECONDS (150) must be longer than STOP_TIMEOUT_SECONDS (150)",
            ),
            ("PAUSE_MS", "soon", "PAUSE_MS is \"soon\""),
            ("STANDBY_REARM_SECONDS", "-2", "STANDBY_REARM_SECONDS is \"-2\""),
            ("HEARTBEAT_TIMEOUT_MS", "", "HEARTBEAT_TIMEOUT_MS is not set"),
            ("CLUSTER", "", "CLUSTER is not set"),
            ("STATE_BUCKET", "", "STATE_BUCKET is not set"),
            ("BOLT_PORT", "99999", "BOLT_PORT is \"99999\""),
        ];
        for (name, value, sentence) in table {
            let error = Config::read(&environment(&[(name, value)])).unwrap_err().to_string();
            assert!(error.starts_with(sentence), "{name}={value}: {error}");
            assert!(!error.contains('\n'));
        }
    }
}
