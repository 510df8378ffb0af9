//! How calls fail for a while.

use aws::{Error, Kind};

use crate::Chance;

/// Each number is one call in so many that fails; zero for none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(clippy::struct_excessive_bools)] // each fails on its own
pub struct Weather {
    /// When calls work again.
    pub until: u64,
    /// Reads and writes of the state.
    pub state: u64,
    /// Writes of the state that succeed with a 412: a layer below has retried them.
    pub own_412: u64,
    /// Writes of the state that are answered with 409.
    pub busy: u64,
    /// Calls that succeed with a lost answer.
    pub half_done: u64,
    /// Listings of the bucket.
    pub list: u64,
    /// Manifests, each on its own.
    pub unread: u64,
    pub owner: u64,
    /// Listings of the nodes' tasks.
    pub unlisted: u64,
    /// How old a listing of tasks may be, milliseconds.
    pub stale: u64,
    pub pause: u64,
    /// Looks at the worker's task.
    pub task: u64,
    pub stop: u64,
    /// RunTask is throttled, or not answered.
    pub launch: u64,
    /// RunTask starts nothing for want of capacity, `failures[]`.
    pub refused: u64,
    /// RunTask starts the task, and the answer is lost.
    pub launch_lost: u64,
    pub launch_denied: bool,
    pub tag: u64,
    pub tag_denied: bool,
}

impl Weather {
    pub fn bad(now: u64, chance: &mut Chance) -> Self {
        let mut often = |most: u64| if chance.one_in(2) { 0 } else { chance.between(1, most) };
        let (state, own_412, busy, half_done) = (often(6) * 2, often(4), often(3), often(4) * 2);
        let (list, unread, owner, unlisted) = (often(4) * 2, often(6), often(4) * 3, often(3));
        let (pause, task, stop, tag) = (often(3), often(3), often(2), often(4));
        let (launch, refused, launch_lost) = (often(3), often(3), often(2));
        Self {
            until: now + chance.between(600_000, 10_800_000),
            state,
            own_412,
            busy,
            half_done,
            list,
            unread,
            owner,
            unlisted,
            stale: if chance.one_in(2) { chance.between(1_000, 15_000) } else { 0 },
            pause,
            task,
            stop,
            launch,
            refused,
            launch_lost,
            launch_denied: chance.one_in(5),
            tag,
            tag_denied: chance.one_in(4),
        }
    }
}

/// A failure of a call: throttled, not answered, or an error of AWS's own.
pub fn failure(call: &'static str, chance: &mut Chance) -> Error {
    let (reason, kind) = match chance.between(0, 2) {
        0 => ("ThrottlingException", Kind::Throttled),
        1 => ("HTTP 500 without an error code", Kind::Passing),
        _ => ("no answer", Kind::Passing),
    };
    Error { call, what: "simulated".to_owned(), reason: reason.to_owned(), kind }
}

/// A failure that no retry mends.
pub fn refusal(call: &'static str, reason: &str, kind: Kind) -> Error {
    Error { call, what: "simulated".to_owned(), reason: reason.to_owned(), kind }
}
