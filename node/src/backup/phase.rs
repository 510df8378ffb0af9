//! What a backup does, in this order.

use std::fmt;

/// One part of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    Scratch,
    Copy,
    Facts,
    Check,
    Stream,
    ReadBack,
    Manifest,
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Scratch => "scratch",
            Self::Copy => "copy",
            Self::Facts => "facts",
            Self::Check => "check",
            Self::Stream => "stream",
            Self::ReadBack => "read-back",
            Self::Manifest => "manifest",
        })
    }
}
