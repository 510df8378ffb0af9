//! What a tick logs, with event names that are stable.

use tracing::{error, info, warn};

use crate::{
    Refusal,
    runs::{Ended, How, Run},
};

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum News {
    Started(Box<Run>),
    /// The deadline of a run passed.
    Stuck(Box<Run>),
    Ended {
        ended: Ended,
        /// The length of the backup, if there is one.
        bytes: Option<u64>,
        /// How long it took.
        seconds: Option<u64>,
        /// What it says about an inconsistent one.
        opinion: Option<String>,
    },
    /// It differs from the last one.
    Refused(Refusal),
}

impl News {
    pub(crate) fn log(&self) {
        match self {
            Self::Started(run) => {
                let order = &run.order;
                let (folder, slot) = (order.folder.to_string(), &order.source.slot);
                let (role, deadline) = (&order.source.role, order.deadline.to_string());
                info!(
                    event = "backup-started",
                    folder, slot, role, deadline, "a backup from {slot} was begun: {folder}"
                );
            }
            Self::Stuck(run) => {
                let (folder, slot) = (run.order.folder.to_string(), &run.order.source.slot);
                let (task, deadline) = (run.task.as_deref(), run.order.deadline.to_string());
                error!(
                    event = "backup-stuck",
                    folder,
                    slot,
                    task,
                    deadline,
                    "{folder} was not done by {deadline}, and its task is stopped"
                );
            }
            Self::Ended { ended, bytes, seconds, opinion } => {
                log_end(ended, *bytes, *seconds);
                if let Some(opinion) = opinion {
                    let folder = ended.folder.to_string();
                    warn!(event = "second-opinion", folder, "{opinion}");
                }
            }
            Self::Refused(refusal) => {
                warn!(event = "backup-refused", refusal = refusal.name(), "nothing is begun: {refusal}");
            }
        }
    }
}

fn log_end(ended: &Ended, bytes: Option<u64>, seconds: Option<u64>) {
    let (folder, slot, how) = (ended.folder.to_string(), &ended.slot, &ended.how);
    match how {
        How::Verified => {
            info!(
                event = "backup-made",
                folder,
                slot,
                verdict = "verified",
                bytes,
                seconds,
                "{folder}: {how}"
            );
        }
        How::Unchecked => {
            warn!(
                event = "backup-made",
                folder,
                slot,
                verdict = "unchecked",
                bytes,
                seconds,
                "{folder}: {how}"
            );
        }
        How::Inconsistent => {
            let report = ended.folder.report();
            error!(event = "backup-inconsistent", folder, slot, report, bytes, seconds, "{folder}: {how}");
        }
        How::Failed(reason) => {
            error!(event = "backup-failed", folder, slot, reason, "the backup {folder} from {slot}: {how}");
        }
        How::Refused(reason) => {
            warn!(event = "backup-refused", slot, reason, "the backup that was requested from {slot}: {how}");
        }
    }
}
