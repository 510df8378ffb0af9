//! What a tick counts for its metrics.

use std::time::Duration;

use backups::Freshness;
use runtime::{Metric, Unit, emit};

/// The figures of one tick.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tally {
    /// How old the newest verified backups are.
    pub freshness: Freshness,
    /// A run ended in this tick without a backup whose store is known to be consistent or not.
    pub failed: bool,
    /// A run ended in this tick with an inconsistent backup.
    pub inconsistent: bool,
    /// The deadline of a run has passed, and its task had not stopped.
    pub stuck: bool,
    /// The length of the backup that was made, bytes.
    pub bytes: Option<u64>,
    /// How long it took.
    pub seconds: Option<u64>,
}

impl Tally {
    /// Of a tick in which nothing ended.
    pub(crate) fn of(freshness: Freshness) -> Self {
        Self { freshness, failed: false, inconsistent: false, stuck: false, bytes: None, seconds: None }
    }

    /// Prints the metrics in CloudWatch's embedded format.
    pub(crate) fn emit(&self, stack: &str) {
        let count = |name: &'static str, value: u64| Metric { name, unit: Unit::Count, value };
        let seconds = |name: &'static str, value: u64| Metric { name, unit: Unit::Seconds, value };
        let age = |name: &'static str, age: Duration| seconds(name, age.as_secs());
        let mut metrics = vec![
            age("HourlyBackupAge", self.freshness.hourly),
            age("DailyBackupAge", self.freshness.daily),
            count("BackupFailed", u64::from(self.failed)),
            count("BackupInconsistent", u64::from(self.inconsistent)),
            count("BackupStuck", u64::from(self.stuck)),
        ];
        metrics.extend(self.bytes.map(|value| Metric { name: "BackupBytes", unit: Unit::Bytes, value }));
        metrics.extend(self.seconds.map(|value| seconds("BackupSeconds", value)));
        emit("Neo4jControlPlane", &[("Stack", stack), ("Function", "backup-trigger")], &metrics);
    }
}
