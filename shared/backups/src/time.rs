//! Points in time as keys and manifests spell them: UTC, to the second, of one width, so that
//! text sorts as time does.

use std::{fmt, str::FromStr, time::Duration};

use serde::{Deserialize, Serialize};

const DAY: u64 = 24 * 60 * 60;
/// The last second of the year 9999: the text of later ones would be wider.
const LAST: u64 = 253_402_300_799;

/// Seconds since the Unix epoch, up to the year 9999. Text is `2026-11-25T21-15-05Z`: no colon, which tools
/// on some systems cannot have in a file's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Time(u64);

/// Text that is not a [`Time`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a time such as 2026-11-25T21-15-05Z")]
pub struct NotATime(String);

impl Time {
    /// The time `seconds` after the Unix epoch; later ones than the year 9999 become its last second.
    pub fn of_epoch(seconds: u64) -> Self {
        Self(seconds.min(LAST))
    }

    /// Reads a time as operators type it: also with colons, and without seconds, such as `2026-11-25T14:00Z`. It must be UTC,
    /// because an hour more or less chooses another backup.
    ///
    /// # Errors
    /// When it is not a time, or says no `Z`.
    pub fn typed(text: &str) -> Result<Self, NotATime> {
        let dashes = text.replace(':', "-");
        let whole = match dashes.strip_suffix('Z') {
            Some(start) if start.len() == "2026-11-25T14-00".len() => format!("{start}-00Z"),
            _ => dashes,
        };
        whole.parse().map_err(|_| NotATime(text.to_owned()))
    }

    /// Seconds since the Unix epoch.
    pub fn epoch(self) -> u64 {
        self.0
    }

    /// How long ago `earlier` was; zero if it lies ahead.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_secs(self.0.saturating_sub(earlier.0))
    }

    /// Year, month and day, by the rule that 400 years have 146,097 days and begin in March.
    fn date(self) -> (u64, u64, u64) {
        let days = self.0 / DAY + 719_468;
        let (era, day) = (days / 146_097, days % 146_097);
        let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
        let day = day - (365 * year + year / 4 - year / 100);
        let month = (5 * day + 2) / 153;
        let day = day - (153 * month + 2) / 5 + 1;
        let (month, later) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
        (era * 400 + year + later, month, day)
    }

    fn of_date(year: u64, month: u64, day: u64) -> Option<u64> {
        if !(1970..=9999).contains(&year) || !(1..=12).contains(&month) || day == 0 {
            return None;
        }
        let (since, months) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
        let (era, years) = (since / 400, since % 400);
        let days = years * 365 + years / 4 - years / 100 + (153 * months + 2) / 5 + day - 1;
        let seconds = (era * 146_097 + days - 719_468) * DAY;
        // The 31st of a shorter month has become a day of the next one.
        (Self(seconds).date() == (year, month, day)).then_some(seconds)
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = self.date();
        let (hour, minute, second) = (self.0 % DAY / 3600, self.0 % 3600 / 60, self.0 % 60);
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}-{minute:02}-{second:02}Z")
    }
}

impl FromStr for Time {
    type Err = NotATime;

    fn from_str(text: &str) -> Result<Self, NotATime> {
        let read = || {
            let (date, time) = text.strip_suffix('Z')?.split_once('T')?;
            let [year, month, day] = numbers(date, [4, 2, 2])?;
            let [hour, minute, second] = numbers(time, [2, 2, 2])?;
            let in_day =
                (hour < 24 && minute < 60 && second < 60).then_some(hour * 3600 + minute * 60 + second)?;
            Some(Self(Self::of_date(year, month, day)? + in_day))
        };
        read().ok_or_else(|| NotATime(text.to_owned()))
    }
}

/// Three numbers of exactly these widths, with a dash between them.
fn numbers(text: &str, widths: [usize; 3]) -> Option<[u64; 3]> {
    let parts: Vec<&str> = text.split('-').collect();
    let parts: [&str; 3] = parts.try_into().ok()?;
    let digits = |(part, width): (&str, usize)| {
        (part.len() == width && part.bytes().all(|byte| byte.is_ascii_digit())).then(|| part.parse().ok())?
    };
    let [a, b, c] = [0, 1, 2].map(|index| digits((parts[index], widths[index])));
    Some([a?, b?, c?])
}

impl TryFrom<String> for Time {
    type Error = NotATime;

    fn try_from(text: String) -> Result<Self, NotATime> {
        text.parse()
    }
}

impl From<Time> for String {
    fn from(time: Time) -> Self {
        time.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn known_times_are_spelled_as_calendars_do() {
        let table = [
            (0, "1970-01-01T00-00-00Z"),
            (951_782_399, "2000-02-28T23-59-59Z"),
            (951_782_400, "2000-02-29T00-00-00Z"),
            (1_000_000_000, "2001-09-09T01-46-40Z"),
            (1_234_567_890, "2009-02-13T23-31-30Z"),
            (4_107_542_400, "2100-03-01T00-00-00Z"),
            (LAST, "9999-12-31T23-59-59Z"),
            (u64::MAX, "9999-12-31T23-59-59Z"),
        ];
        for (seconds, text) in table {
            assert_eq!(Time::of_epoch(seconds).to_string(), text);
            assert_eq!(text.parse(), Ok(Time::of_epoch(seconds)));
        }
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for text in [
            "",
            "2026-11-25",
            "2026-11-25T21:15:05Z",
            "2026-11-25T21-15-05",
            "2026-11-25T24-00-00Z",
            "2026-11-25T21-60-00Z",
            "2026-13-01T00-00-00Z",
            "2026-02-29T00-00-00Z",
            "2100-02-29T00-00-00Z",
            "2026-04-31T00-00-00Z",
            "2026-00-01T00-00-00Z",
            "1969-12-31T00-00-00Z",
            "2026-1-025T00-00-00Z",
            "+026-11-25T00-00-00Z",
            "2026-11-25T00-00-00-00Z",
        ] {
            assert_eq!(text.parse::<Time>(), Err(NotATime(text.into())));
        }
    }

    #[test]
    fn operators_type_colons_and_leave_seconds_out() {
        let whole: Time = "2026-11-25T14-00-00Z".parse().unwrap();
        for text in ["2026-11-25T14:00Z", "2026-11-25T14:00:00Z", "2026-11-25T14-00Z", "2026-11-25T14-00-00Z"]
        {
            assert_eq!(Time::typed(text), Ok(whole), "{text}");
        }
        for text in [
            "",
            "2026-11-25",
            "2026-11-25T14Z",
            "2026-11-25T14:00",
            "2026-11-25T14:00+01:00",
            "2026-11-25T25:00Z",
            "2026:11:25T14:00:00:00Z",
            "yesterday",
        ] {
            assert_eq!(Time::typed(text), Err(NotATime(text.into())));
        }
    }

    proptest! {
        #[test]
        fn text_is_read_back_and_sorts_as_time_does(a in 0..=LAST, b in 0..=LAST) {
            let (a, b) = (Time(a), Time(b));
            prop_assert_eq!(a.to_string().parse(), Ok(a));
            prop_assert_eq!(a.cmp(&b), a.to_string().cmp(&b.to_string()));
        }
    }
}
