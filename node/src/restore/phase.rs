//! How far a restore is, for its log and for the status of its node.

use std::fmt;

use crate::progress::Meter;

/// What a restore does, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    Look,
    Fetch,
    Sync,
    Rename,
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Look => "look",
            Self::Fetch => "fetch and unpack",
            Self::Sync => "write to the disk",
            Self::Rename => "rename",
        })
    }
}

/// Where a restore is. Clones are of the same one, so one of them can be asked while it goes on.
#[derive(Clone)]
pub struct Progress(pub(super) Meter<Phase>);

impl Progress {
    pub fn new() -> Self {
        Self(Meter::new(Phase::Look))
    }

    /// Of the bytes of the data; 99 while the unpacked files are written to the disk, and up to 99 in any case: what is reported
    /// as going on is not done.
    pub fn percent(&self) -> u64 {
        match self.0.phase() {
            Phase::Look => 0,
            Phase::Fetch => self.0.figures().percent().unwrap_or_default(),
            Phase::Sync | Phase::Rename => 99,
        }
    }

    /// A line with speed and time left.
    pub fn line(&self) -> String {
        self.0.figures().to_string()
    }
}

/// For a status.
impl fmt::Display for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "restoring {} %", self.percent())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clone_says_how_far_it_is() {
        let progress = Progress::new();
        let asked = progress.clone();
        assert_eq!(asked.to_string(), "restoring 0 %");
        progress.0.enter(Phase::Fetch, Some(200));
        progress.0.add(84);
        assert_eq!(asked.to_string(), "restoring 42 %");
        progress.0.add(116);
        assert_eq!(asked.to_string(), "restoring 99 %", "not before it is done");
        progress.0.enter(Phase::Sync, Some(1000));
        assert_eq!(asked.percent(), 99, "it never goes back");
        assert!(asked.line().starts_with("write to the disk: 0 % of 1 MB"), "{}", asked.line());
    }
}
