//! What ticks remember: the run that is under way, those that ended, what an operator requested. One small
//! object, written conditionally, so that there is at most one run at a time.

use std::{collections::BTreeSet, fmt};

use backups::{Folder, Order, Tier, Time};
use serde::{Deserialize, Serialize};

/// The format that is written, and the only one that is read.
pub const FORMAT: u32 = 1;
/// Runs that are remembered: more than an hour has, and a day's.
const REMEMBERED: usize = 50;

/// The state between ticks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Runs {
    /// The format of this object: [`FORMAT`].
    pub format: u32,
    /// The first tick: the age of a backup that was never made counts from here.
    pub since: Time,
    /// The run that is under way, or whose task is still being stopped.
    pub current: Option<Run>,
    /// The newest runs that ended, oldest first.
    pub ended: Vec<Ended>,
    /// A manual backup that an operator wants and that has not come to its end.
    pub requested: Option<Request>,
    /// Keys that were tagged as expired and are still listed.
    pub tagged: BTreeSet<String>,
    /// Keys whose tag was about to be put on or taken off: until the answer is recorded it may be there or not.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub unsure: BTreeSet<String>,
    /// The last refusal that was logged, by name, so that it is logged once.
    #[serde(default)]
    pub refused: Option<String>,
}

/// A run. It is written before its task is started.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    pub order: Order,
    pub began: Time,
    /// ARN of its task; `None` until `RunTask` has answered. A tick that finds `None` calls it again, with
    /// the same token.
    pub task: Option<String>,
    /// When `RunTask` was called again for it; `None` if it was called only when the run began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked: Option<Time>,
    /// When the ARN was recorded.
    #[serde(default)]
    pub launched: Option<Time>,
    /// The source's subnet, where the worker runs too.
    pub subnet: String,
    /// The inconsistent backup that this run is the second opinion on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confirms: Option<Folder>,
    /// Since when its task is being stopped: its failure is recorded, and nothing else is started before the
    /// task is gone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stopping: Option<Time>,
}

/// A run that ended, or a request that was refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ended {
    pub folder: Folder,
    /// The source; of a refused request the slot that it named.
    pub slot: String,
    pub began: Time,
    pub ended: Time,
    pub how: How,
    /// The inconsistent backup that it was the second opinion on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confirms: Option<Folder>,
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum How {
    /// Its manifest says that the store is consistent.
    Verified,
    /// Its manifest says that the store was not checked, or that the check itself failed.
    Unchecked,
    /// Its manifest says that the store is inconsistent.
    Inconsistent,
    /// It made no backup, for this reason.
    Failed(String),
    /// An operator's request that was not begun, for this reason.
    Refused(String),
}

/// A manual backup that an operator wants.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// The slot that it is to be taken from; `None`: any that is fit.
    pub slot: Option<String>,
    pub at: Time,
}

/// Bytes that are not a state of ours.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotRuns {
    #[error("{0}")]
    Malformed(String),
    #[error("it is of format {0}, and this version reads format {FORMAT}: deploy the newer function again")]
    Format(u64),
}

/// Read first: another format may have other fields.
#[derive(Deserialize)]
struct Envelope {
    format: u64,
}

impl Runs {
    /// The state of a first tick.
    pub fn new(now: Time) -> Self {
        Self {
            format: FORMAT,
            since: now,
            current: None,
            ended: Vec::new(),
            requested: None,
            tagged: BTreeSet::new(),
            unsure: BTreeSet::new(),
            refused: None,
        }
    }

    /// Reads the object.
    ///
    /// # Errors
    /// When it is of another format, or malformed.
    pub fn read(bytes: &[u8]) -> Result<Self, NotRuns> {
        let malformed = |error: serde_json::Error| NotRuns::Malformed(error.to_string());
        match serde_json::from_slice::<Envelope>(bytes).map_err(malformed)?.format {
            format if format == u64::from(FORMAT) => serde_json::from_slice(bytes).map_err(malformed),
            other => Err(NotRuns::Format(other)),
        }
    }

    /// The bytes to be written.
    pub fn write(&self) -> Vec<u8> {
        serde_json::to_vec_pretty(self).expect("a state has neither maps nor numbers that JSON cannot have")
    }

    /// Records how the run that is under way ended; it is under way no more.
    pub(crate) fn end(&mut self, now: Time, how: How) -> Option<Ended> {
        let run = self.current.take()?;
        self.close_request(&run, &how);
        let ended = run.ended(now, how);
        self.remember(ended.clone());
        Some(ended)
    }

    /// Records an end.
    pub(crate) fn remember(&mut self, ended: Ended) {
        self.ended.push(ended);
        let more = self.ended.len().saturating_sub(REMEMBERED);
        self.ended.drain(..more);
    }

    /// A manual run that ended fulfils the request, unless another source may be tried: three in all.
    pub(crate) fn close_request(&mut self, run: &Run, how: &How) {
        let Some(request) = &self.requested else { return };
        // A second opinion is on the backup of an earlier request.
        if run.order.folder.tier != Tier::Manual || run.began < request.at || run.confirms.is_some() {
            return;
        }
        let before = self.ended.iter().filter(|ended| ended.is_manual_since(request.at)).count();
        let again = matches!(how, How::Failed(_) | How::Unchecked) && request.slot.is_none();
        if !again || before + 1 >= crate::due::RUNS_AN_HOUR {
            self.requested = None;
        }
    }

    /// The source of the last backup that was verified.
    pub(crate) fn last_source(&self) -> Option<&str> {
        let last = self.ended.iter().rev().find(|ended| ended.how == How::Verified);
        last.map(|ended| ended.slot.as_str())
    }
}

impl Run {
    /// What is recorded of it when it ends.
    pub(crate) fn ended(&self, now: Time, how: How) -> Ended {
        Ended {
            folder: self.order.folder.clone(),
            slot: self.order.source.slot.clone(),
            began: self.began,
            ended: now,
            how,
            confirms: self.confirms.clone(),
        }
    }
}

impl Ended {
    /// Whether a run was begun: a refused request was not.
    pub(crate) fn was_begun(&self) -> bool {
        !matches!(self.how, How::Refused(_))
    }

    /// Whether it says something about the store.
    pub(crate) fn has_a_verdict(&self) -> bool {
        matches!(self.how, How::Verified | How::Inconsistent)
    }

    pub(crate) fn is_manual_since(&self, at: Time) -> bool {
        self.was_begun() && self.folder.tier == Tier::Manual && self.began >= at && self.confirms.is_none()
    }
}

impl fmt::Display for How {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Verified => f.write_str("it is verified"),
            Self::Unchecked => {
                f.write_str("its consistency was not checked, so it does not count as verified")
            }
            Self::Inconsistent => f.write_str("its store is inconsistent, and its report lies beside it"),
            Self::Failed(reason) => write!(f, "it failed: {reason}"),
            Self::Refused(reason) => write!(f, "it was not begun: {reason}"),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use backups::{From as Source, ORDER_FORMAT};

    use super::*;

    pub(crate) fn run(tier: Tier, slot: &str, began: u64) -> Run {
        let began = Time::of_epoch(began);
        let folder = Folder::new(tier, began, format!("r{}", began.epoch())).unwrap();
        let address = "10.0.0.3:6362".parse().unwrap();
        let source = Source { slot: slot.into(), address, role: "slave".into(), store_bytes: Some(1) };
        let deadline = Time::of_epoch(began.epoch() + 7200);
        Run {
            order: Order { format: ORDER_FORMAT, folder, source, master: None, deadline },
            began,
            task: None,
            asked: None,
            launched: None,
            subnet: "subnet-1".into(),
            confirms: None,
            stopping: None,
        }
    }

    #[test]
    fn a_state_is_read_back_and_one_of_another_format_is_refused() {
        let mut runs = Runs::new(Time::of_epoch(7));
        runs.current = Some(run(Tier::Hourly, "core-3", 10));
        runs.remember(run(Tier::Daily, "core-2", 8).ended(Time::of_epoch(9), How::Failed("gone".into())));
        runs.requested = Some(Request { slot: None, at: Time::of_epoch(5) });
        assert_eq!(Runs::read(&runs.write()), Ok(runs));
        assert_eq!(Runs::read(br#"{"format":2,"more":1}"#), Err(NotRuns::Format(2)));
        for bytes in [&b""[..], b"[]", br#"{"format":1}"#] {
            assert!(matches!(Runs::read(bytes), Err(NotRuns::Malformed(_))), "{bytes:?}");
        }
    }

    #[test]
    fn only_the_newest_ends_are_remembered() {
        let mut runs = Runs::new(Time::of_epoch(0));
        for began in 0..200 {
            runs.current = Some(run(Tier::Hourly, "core-3", began));
            runs.end(Time::of_epoch(began + 1), How::Verified);
        }
        assert_eq!((runs.ended.len(), runs.ended[0].began), (REMEMBERED, Time::of_epoch(150)));
        assert!(runs.write().len() < 32 << 10, "{} bytes", runs.write().len());
    }

    #[test]
    fn a_request_ends_with_a_verdict_with_its_slot_or_with_its_third_run() {
        let failed = || How::Failed("x".into());
        let table = [
            (None, vec![How::Verified], true),
            (None, vec![How::Inconsistent], true),
            (None, vec![How::Unchecked], false),
            (None, vec![failed(), failed()], false),
            (None, vec![failed(), How::Unchecked, failed()], true),
            (Some("core-2"), vec![failed()], true),
            (Some("core-2"), vec![How::Unchecked], true),
        ];
        for (slot, hows, is_over) in table {
            let mut runs = Runs::new(Time::of_epoch(0));
            runs.requested = Some(Request { slot: slot.map(str::to_owned), at: Time::of_epoch(10) });
            // Of another tier, of an earlier request, and the second opinion on one: they say nothing of this one.
            let earlier = run(Tier::Manual, "core-2", 5);
            let opinion = run(Tier::Manual, "core-2", 25);
            let opinion = Run { confirms: Some(earlier.order.folder.clone()), ..opinion };
            for other in [run(Tier::Hourly, "core-2", 20), earlier, opinion] {
                runs.current = Some(other);
                runs.end(Time::of_epoch(30), How::Verified);
            }
            assert!(runs.requested.is_some());
            for how in &hows {
                runs.current = Some(run(Tier::Manual, "core-2", 40));
                runs.end(Time::of_epoch(50), how.clone());
            }
            assert_eq!(runs.requested.is_none(), is_over, "{slot:?} {hows:?}");
        }
    }
}
