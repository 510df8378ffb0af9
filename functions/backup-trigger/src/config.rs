//! The function's parameters, checked before the first invocation.

use std::time::Duration;

use backups::{Keep, Retention};
use jiff::tz::TimeZone;
use runtime::{Cluster, Environment, Invalid};
use topology::Mode;

use crate::{Policy, Schedule};

/// The longest that a run may take: a backup that is older than a day when it is done is none.
const LONGEST_DEADLINE_MINUTES: u64 = 24 * 60;
/// The shortest: to start a worker takes a minute or two.
const SHORTEST_DEADLINE_MINUTES: u64 = 5;
/// A hundred years, so that no multiple of one leaves the range of a clock.
const MOST_DAYS: u64 = 36_500;
/// Where the state is in its bucket: the role may read and write this key only.
pub const STATE_KEY: &str = "backup-trigger/runs.json";
/// Where the election keeps its state, and with it a pause.
pub const ELECTION_KEY: &str = "master-election/state.json";
/// Which stack owns the backup bucket.
pub const OWNER_KEY: &str = "owner.json";

#[derive(Clone, Debug)]
pub struct Config {
    pub cluster: Cluster,
    pub state_bucket: String,
    pub backup_bucket: String,
    /// ARN of the worker's task definition.
    pub task: String,
    pub security_group: String,
    pub policy: Policy,
}

impl Config {
    /// Reads and checks all parameters.
    ///
    /// # Errors
    /// The first invalid parameter.
    pub fn read(environment: &Environment) -> Result<Self, Invalid> {
        let cluster = Cluster::read(environment)?;
        let minutes = bounded(
            environment,
            "BACKUP_DEADLINE_MINUTES",
            120,
            SHORTEST_DEADLINE_MINUTES..=LONGEST_DEADLINE_MINUTES,
        )?;
        let deadline = Duration::from_secs(minutes * 60);
        let days = |name, default| bounded(environment, name, default, 0..=MOST_DAYS).map(Some);
        let keep = |name, default| environment.parse_or::<usize>(name, default);
        let retention = Retention {
            hourly: Keep { newest: keep("KEEP_HOURLY", 6)?, days: days("HOURLY_DAYS", 1)? },
            daily: Keep { newest: keep("KEEP_DAILY", 7)?, days: days("DAILY_DAYS", 14)? },
            // An operator who asked for one decides when it goes.
            manual: Keep { newest: 0, days: None },
            deadline,
        };
        let policy = Policy {
            stack_id: environment.need("STACK_ID")?.to_owned(),
            mode: mode(cluster.dialect),
            slots: cluster.slots.clone(),
            schedule: Schedule {
                hourly: environment.parse_or("HOURLY_BACKUPS", true)?,
                daily: match environment.text("DAILY_BACKUP_AT") {
                    Some("off") => None,
                    _ => Some(environment.parse("DAILY_BACKUP_AT")?),
                },
                zone: zone(environment)?,
            },
            retention,
            deadline,
            max_lag: environment.parse_or("BACKUP_MAX_LAG", 1000)?,
            from_master: environment.parse_or("BACKUP_FROM_MASTER", false)?,
        };
        Ok(Self {
            state_bucket: environment.need("STATE_BUCKET")?.to_owned(),
            backup_bucket: environment.need("BACKUP_BUCKET")?.to_owned(),
            task: environment.need("BACKUP_TASK")?.to_owned(),
            security_group: environment.need("BACKUP_SECURITY_GROUP")?.to_owned(),
            policy,
            cluster,
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

fn zone(environment: &Environment) -> Result<TimeZone, Invalid> {
    let name = "BACKUP_TIME_ZONE";
    let text = environment.text(name).unwrap_or("UTC");
    TimeZone::get(text).map_err(|_| Invalid::Value {
        name,
        value: text.to_owned(),
        reason: "it is not a time zone such as UTC or Europe/Berlin".to_owned(),
    })
}

fn bounded(
    environment: &Environment,
    name: &'static str,
    default: u64,
    bounds: std::ops::RangeInclusive<u64>,
) -> Result<u64, Invalid> {
    let value = environment.parse_or(name, default)?;
    if bounds.contains(&value) {
        return Ok(value);
    }
    let reason = format!("it must be {} to {}", bounds.start(), bounds.end());
    Err(Invalid::Value { name, value: value.to_string(), reason })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(changed: &[(&'static str, &'static str)]) -> Environment {
        let good = [
            ("STATE_BUCKET", "state"),
            ("BACKUP_BUCKET", "backups"),
            ("BACKUP_TASK", "arn:task"),
            ("BACKUP_SECURITY_GROUP", "sg-1"),
            ("STACK_ID", "arn:stack"),
            ("DAILY_BACKUP_AT", "02:00"),
        ];
        runtime::example::CLUSTER.into_iter().chain(good).chain(changed.iter().copied()).collect()
    }

    #[test]
    fn what_is_not_set_has_a_default() {
        let policy = Config::read(&environment(&[])).unwrap().policy;
        assert_eq!((policy.deadline.as_secs(), policy.max_lag, policy.from_master), (7200, 1000, false));
        assert_eq!(
            policy.retention.deadline, policy.deadline,
            "what is being written is left alone that long"
        );
        assert_eq!(policy.schedule.daily.map(|at| at.to_string()).as_deref(), Some("02:00"));
        assert!(policy.schedule.hourly);
        let off =
            [("DAILY_BACKUP_AT", "off"), ("HOURLY_BACKUPS", "false"), ("BACKUP_TIME_ZONE", "Europe/Berlin")];
        let policy = Config::read(&environment(&off)).unwrap().policy;
        assert_eq!((policy.schedule.daily, policy.schedule.hourly), (None, false));
        assert_eq!(policy.schedule.zone.iana_name(), Some("Europe/Berlin"));
    }

    #[test]
    fn every_invalid_parameter_is_named_in_one_sentence() {
        let table = [
            ("DIALECT", "MYSQL", "DIALECT is \"MYSQL\""),
            ("STACK_ID", "", "STACK_ID is not set"),
            ("STATE_BUCKET", "", "STATE_BUCKET is not set"),
            ("BACKUP_BUCKET", "", "BACKUP_BUCKET is not set"),
            ("BACKUP_TASK", "", "BACKUP_TASK is not set"),
            ("BACKUP_SECURITY_GROUP", "", "BACKUP_SECURITY_GROUP is not set"),
            ("DAILY_BACKUP_AT", "", "DAILY_BACKUP_AT is not set"),
            (
                "DAILY_BACKUP_AT",
                "2am",
                "DAILY_BACKUP_AT is \"2am\": it must be an hour and a minute such as 02:00, or off",
            ),
            (
                "BACKUP_TIME_ZONE",
                "Berlin",
                "BACKUP_TIME_ZONE is \"Berlin\": it is not a time zone such as UTC",
            ),
            ("HOURLY_BACKUPS", "yes", "HOURLY_BACKUPS is \"yes\""),
            ("BACKUP_DEADLINE_MINUTES", "4", "BACKUP_DEADLINE_MINUTES is \"4\": it must be 5 to 1440"),
            ("BACKUP_DEADLINE_MINUTES", "18446744073709551615", "BACKUP_DEADLINE_MINUTES is"),
            ("HOURLY_DAYS", "36501", "HOURLY_DAYS is \"36501\": it must be 0 to 36500"),
            ("DAILY_DAYS", "-1", "DAILY_DAYS is \"-1\""),
            ("KEEP_DAILY", "many", "KEEP_DAILY is \"many\""),
            ("KEEP_HOURLY", "-1", "KEEP_HOURLY is \"-1\""),
            ("BACKUP_MAX_LAG", "x", "BACKUP_MAX_LAG is \"x\""),
            ("BACKUP_FROM_MASTER", "no", "BACKUP_FROM_MASTER is \"no\""),
        ];
        for (name, value, sentence) in table {
            let error = Config::read(&environment(&[(name, value)])).unwrap_err().to_string();
            assert!(error.starts_with(sentence), "{name}={value}: {error}");
            assert!(!error.contains('\n'));
        }
    }
}
