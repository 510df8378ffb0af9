//! How much of its transaction logs a node keeps: a slave that was away catches up from the master's, and copies the whole store when
//! they do not reach back far enough.

use std::str::FromStr;

const MIB: u64 = 1 << 20;
/// What a part of a small volume is rounded up to. At 20 writes a second of some hundred bytes it is a day of them.
const LEAST: u64 = 1024 * MIB;

/// A part of the volume, or a size. Neo4j 3.4 knows one limit only, so there is no age beside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retention {
    /// Of the volume.
    Percent(u64),
    /// In MiB.
    Size(u64),
}

/// The template's default.
pub const DEFAULT: Retention = Retention::Percent(10);

impl Retention {
    /// As in `neo4j.conf`, for a volume of so many bytes.
    pub fn policy(self, volume: u64) -> String {
        let size = match self {
            Self::Percent(percent) => (volume / 100).saturating_mul(percent).max(LEAST) / MIB,
            Self::Size(size) => size,
        };
        format!("{size}M size")
    }
}

impl FromStr for Retention {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const HINT: &str = "it must be a part of the volume from 1% to 50%, or a size such as 500M or 20G";
        let split = text.len().checked_sub(1).filter(|at| text.is_char_boundary(*at)).ok_or(HINT)?;
        let (digits, unit) = text.split_at(split);
        let number =
            Some(digits).filter(|digits| digits.len() <= 6 && digits.bytes().all(|b| b.is_ascii_digit()));
        let number: u64 =
            number.and_then(|digits| digits.parse().ok()).filter(|number| *number > 0).ok_or(HINT)?;
        match unit {
            "%" if number <= 50 => Ok(Self::Percent(number)),
            "M" => Ok(Self::Size(number)),
            "G" => Ok(Self::Size(number * 1024)),
            _ => Err(HINT),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIB: u64 = 1 << 30;

    #[test]
    fn a_part_of_the_volume_is_at_least_one_gibibyte() {
        assert_eq!(DEFAULT.policy(500 * GIB), "51200M size");
        assert_eq!(DEFAULT.policy(8 * GIB), "1024M size");
        assert_eq!(DEFAULT.policy(0), "1024M size");
        assert_eq!(Retention::Percent(50).policy(u64::MAX), "8796093022207M size");
    }

    #[test]
    fn a_size_is_what_was_asked_for() {
        let read = |text: &str| text.parse::<Retention>();
        assert_eq!(read("20G").map(|kept| kept.policy(0)), Ok("20480M size".into()));
        assert_eq!(read("500M").map(|kept| kept.policy(GIB)), Ok("500M size".into()));
        assert_eq!(read("50%"), Ok(Retention::Percent(50)));
        for wrong in
            ["", "%", "51%", "0%", "0G", "G", "10", "10T", "-1G", "1 G", "9999999M", "10 %", "1\u{20ac}"]
        {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }
}
