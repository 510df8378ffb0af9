//! The last lines of a program's output, in bounded memory, for a sentence.

use std::collections::VecDeque;

use super::tool::JAVA_OPTIONS;

/// So many lines are kept,
const LINES: usize = 20;
/// so much of each,
const LONGEST: usize = 300;
/// and so many of them are in a sentence.
const SAID: usize = 3;

/// Of one stream.
#[derive(Debug, Default)]
pub struct Tail {
    first: Option<String>,
    last: VecDeque<String>,
    line: Vec<u8>,
}

impl Tail {
    /// Takes what has come.
    pub fn push(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            if byte == b'\n' {
                self.end_line();
            } else if self.line.len() < LONGEST {
                self.line.push(byte);
            }
        }
    }

    /// Nothing more comes.
    pub fn end_line(&mut self) {
        let line = String::from_utf8_lossy(&self.line).replace(char::is_control, " ").trim().to_owned();
        self.line.clear();
        // What every JVM says that is given options says nothing about the tool.
        if line.is_empty() || line.starts_with("Picked up ") && line.contains(JAVA_OPTIONS) {
            return;
        }
        if self.first.is_none() {
            self.first = Some(line.clone());
        }
        if self.last.len() == LINES {
            self.last.pop_front();
        }
        self.last.push_back(line);
    }

    /// The first line that is not blank.
    pub fn first(&self) -> &str {
        self.first.as_deref().unwrap_or_default()
    }

    /// The last lines that are not blank, as one line; `None` without any.
    pub fn said(&self) -> Option<String> {
        let from = self.last.len().saturating_sub(SAID);
        let lines: Vec<&str> = self.last.range(from..).map(String::as_str).collect();
        (!lines.is_empty()).then(|| lines.join(" | "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_lines_are_one_line_and_the_first_is_kept() {
        let mut tail = Tail::default();
        assert_eq!((tail.first(), tail.said()), ("", None));
        for part in [
            "Picked up JAVA_TOOL_OPTIONS: -Dx=y\n",
            "\n  unrecog",
            "nized command\n",
            "one\n\n",
            "two\u{1b}[2J\t.\r\nthree\n",
            "fo",
            "ur",
        ] {
            tail.push(part.as_bytes());
        }
        assert_eq!(tail.said().unwrap(), "one | two [2J . | three");
        tail.end_line();
        assert_eq!(tail.said().unwrap(), "two [2J . | three | four");
        assert_eq!(tail.first(), "unrecognized command");
    }

    #[test]
    fn memory_is_bounded_whatever_comes() {
        let mut tail = Tail::default();
        for _ in 0..10_000 {
            tail.push(&[0xff; 1000]);
        }
        assert_eq!(tail.line.len(), LONGEST);
        for _ in 0..10_000 {
            tail.push(b"line\n");
        }
        assert_eq!((tail.last.len(), tail.said().unwrap().as_str()), (LINES, "line | line | line"));
    }
}
