//! Figures as an operator reads them, and columns below each other.

use std::time::Duration;

const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
/// Of a text that another program or an operator wrote, so much is on one line.
const LONGEST: usize = 300;

/// What a column of a table is aligned at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Align {
    Left,
    /// Numbers, so that their digits are below each other.
    Right,
}

/// `1.2 GiB`.
pub(super) fn size(bytes: u64) -> String {
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    // Tenths of a unit, in whole numbers: no float is exact for a store's length.
    let mut tenths = u128::from(bytes) * 10 / 1024;
    let mut unit = 0;
    while tenths >= 10_240 && unit + 1 < UNITS.len() {
        tenths /= 1024;
        unit += 1;
    }
    format!("{}.{} {}", tenths / 10, tenths % 10, UNITS[unit])
}

/// `42 s`, `12 min 05 s`, `3 h 05 min`, `2 d 04 h`: two units at most.
pub(super) fn span(time: Duration) -> String {
    let seconds = time.as_secs();
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{minutes} min {:02} s", seconds % 60),
        3600..86_400 => format!("{hours} h {:02} min", minutes % 60),
        _ => format!("{days} d {:02} h", hours % 24),
    }
}

/// `2,002,312`.
pub(super) fn number(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A text that this program did not write, on one line: what it says to a terminal is shown, not done.
pub(super) fn plain(text: &str) -> String {
    let mut shown = String::new();
    for (index, letter) in text.chars().enumerate() {
        if index == LONGEST {
            return shown + "...";
        }
        if letter.is_control() {
            shown.extend(letter.escape_default());
        } else {
            shown.push(letter);
        }
    }
    shown
}

/// Columns, two blanks apart. The last one is as long as it is.
pub(super) fn table<const N: usize>(head: [(&str, Align); N], rows: &[[String; N]]) -> String {
    let widths: [usize; N] = std::array::from_fn(|column| {
        let cells = rows.iter().map(|row| row[column].chars().count());
        cells.chain([head[column].0.chars().count()]).max().unwrap_or_default()
    });
    let mut text = String::new();
    let mut line = |cells: [&str; N]| {
        let mut row = String::new();
        for ((cell, (_, align)), width) in cells.iter().zip(head).zip(widths) {
            row += &match align {
                Align::Left => format!("{cell:<width$}  "),
                Align::Right => format!("{cell:>width$}  "),
            };
        }
        text += row.trim_end();
        text.push('\n');
    };
    line(head.map(|(title, _)| title));
    for row in rows {
        line(std::array::from_fn(|column| row[column].as_str()));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_spans_and_numbers_are_short_and_never_rounded_up() {
        for (bytes, text) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (1_048_575, "1023.9 KiB"),
            (1_288_490_188, "1.1 GiB"),
            (1_288_490_189, "1.2 GiB"),
            (u64::MAX, "16383.9 PiB"),
        ] {
            assert_eq!(size(bytes), text);
        }
        for (seconds, text) in [
            (0, "0 s"),
            (59, "59 s"),
            (61, "1 min 01 s"),
            (3599, "59 min 59 s"),
            (11_100, "3 h 05 min"),
            (86_400, "1 d 00 h"),
            (187_000, "2 d 03 h"),
        ] {
            assert_eq!(span(Duration::from_secs(seconds)), text);
        }
        for (count, text) in
            [(0, "0"), (999, "999"), (1000, "1,000"), (2_002_312, "2,002,312"), (100_000, "100,000")]
        {
            assert_eq!(number(count), text);
        }
    }

    #[test]
    fn columns_are_below_each_other() {
        let rows =
            [["a".to_owned(), "1".to_owned(), "x".to_owned()], ["bb".into(), "10".into(), String::new()]];
        let text = table([("N", Align::Left), ("COUNT", Align::Right), ("", Align::Left)], &rows);
        assert_eq!(text, "N   COUNT\na       1  x\nbb     10\n");
    }

    #[test]
    fn a_terminal_is_told_nothing_by_what_is_in_a_manifest() {
        assert_eq!(plain("core-1 \u{e4}"), "core-1 \u{e4}");
        assert_eq!(plain("\u{1b}[2Jx\ny"), "\\u{1b}[2Jx\\ny");
        assert_eq!(plain(&"x".repeat(301)).len(), 303);
    }
}
