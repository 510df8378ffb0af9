//! Why no backup was made. Each is one sentence, the last line of the run's log, and says what to do.

use std::{io, process::ExitStatus};

use backups::{NotAnOrder, Time, Unsafe};
use runtime::Invalid;

use super::phase::Phase;
use crate::progress::mb;

/// Why a run ended without a manifest. Until there is one nothing else of a run counts, so nothing has to be undone.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Settings(#[from] Invalid),
    #[error(transparent)]
    Order(#[from] NotAnOrder),
    #[error(
        "there is no ORDER, so no backup was begun: the function backup-trigger starts this task with one; `node backup --check` \
         proves role, bucket, port and scratch without"
    )]
    NoOrder,
    #[error(
        "the order's deadline {0} has passed, so no backup was begun: backup-trigger counts this run as failed and begins another one"
    )]
    Overdue(Time),
    #[error("{what} failed ({error}), so no manifest was written and this backup does not exist")]
    Io { what: String, error: io::Error },
    #[error(
        "the scratch {scratch} has {free} free, and a copy of a store of {store} needs {needed}, so no backup was begun: backup-trigger \
         sizes the storage of the next task by what the source reports now",
        free = mb(*free), store = mb(*store), needed = mb(*needed)
    )]
    TooSmall {
        scratch: String,
        free: u64,
        /// Bytes of the store.
        store: u64,
        /// Bytes that must be free.
        needed: u64,
    },
    #[error(
        "{0} is there already, so this order was begun before and no backup was begun: what is there stays as it is, and backup-trigger \
         gives each run a folder of its own"
    )]
    Begun(String),
    #[error(
        "the Neo4j in {0} has no online backup, which is a part of Neo4j Enterprise, so no backup can be made: switch HourlyBackups and \
         DailyBackupAt off, or use an image of Enterprise"
    )]
    NoOnlineBackup(String),
    #[error(
        "`neo4j-admin backup` of {source_slot} failed ({ended}): {said}; {free} were free in the scratch then; nothing was uploaded, and \
         backup-trigger tries another source"
    )]
    Tool {
        /// Slot and address.
        source_slot: String,
        ended: ExitStatus,
        /// The tool's last lines.
        said: String,
        /// Free bytes of the scratch.
        free: String,
    },
    #[error(
        "`neo4j-admin backup` reported success and left no store in {0}, so nothing was uploaded and this backup does not exist"
    )]
    NotAStore(String),
    #[error(
        "{0} in the copy is neither a file nor a directory, so nothing was uploaded: a store has no links, and a restore unpacks none"
    )]
    NotAFile(String),
    #[error("{path:?} in the copy cannot be restored ({why}), so nothing was uploaded")]
    NotAName { path: String, why: Unsafe },
    #[error("{path:?} in the copy is not a name of plain text, so nothing was uploaded")]
    NotText { path: String },
    #[error("{0}; no manifest was written, so this backup does not exist")]
    Aws(#[from] aws::Error),
    #[error(
        "{0} was written by others while this backup was made, and it is not replaced: no manifest was written; two runs have had one \
         folder, so look at the runs that backup-trigger has recorded"
    )]
    Taken(String),
    #[error(
        "{uri} is not what was sent: {difference}; no manifest was written, so this backup does not exist, and backup-trigger makes \
         another one"
    )]
    Differs { uri: String, difference: String },
    #[error(
        "the task was asked to stop in the phase {0}: no manifest was written, so this backup does not exist, and backup-trigger counts \
         this run as failed"
    )]
    Stopped(Phase),
    #[error(
        "the backup was not done at its deadline {deadline}, in the phase {phase} since {seconds} s: no manifest was written, so it \
         does not exist; a larger BackupDeadlineMinutes gives it more time"
    )]
    Late {
        deadline: Time,
        phase: Phase,
        /// For how long the phase had gone on.
        seconds: u64,
    },
}

impl Error {
    pub fn io(what: impl Into<String>, error: io::Error) -> Self {
        Self::Io { what: what.into(), error }
    }
}
