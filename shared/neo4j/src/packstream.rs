//! The binary form of Bolt's values: what a login and a statement need, and everything
//! that an answer may hold.

use serde_json::{Map, Number, Value};

/// No answer that is read here is nested deeper than a map in a list.
const DEEPEST: u8 = 8;

pub(crate) fn text(out: &mut Vec<u8>, text: &str) {
    let length = text.len();
    match (u8::try_from(length), u16::try_from(length)) {
        (Ok(short), _) if short < 16 => out.push(0x80 | short),
        (Ok(byte), _) => out.extend([0xd0, byte]),
        (_, Ok(word)) => {
            out.push(0xd1);
            out.extend(word.to_be_bytes());
        }
        // This program makes no text of 4 GB: a secret has at most 64 KB.
        _ => {
            out.push(0xd2);
            out.extend(u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes());
        }
    }
    out.extend(text.as_bytes());
}

/// Appends a map of texts, at most fifteen.
pub(crate) fn texts(out: &mut Vec<u8>, entries: &[(&str, &str)]) {
    debug_assert!(entries.len() < 16, "a tiny map");
    out.push(0xa0 | u8::try_from(entries.len()).unwrap_or(15));
    for (name, value) in entries {
        text(out, name);
        text(out, value);
    }
}

/// The tag of a message and its first field; `None` if it is malformed.
pub(crate) fn message(bytes: &[u8]) -> Option<(u8, Value)> {
    let (&marker, rest) = bytes.split_first()?;
    let (&tag, mut rest) = rest.split_first()?;
    match marker {
        0xb0 => Some((tag, Value::Null)),
        0xb1..=0xbf => Some((tag, value(&mut rest, 0)?)),
        _ => None,
    }
}

fn value(rest: &mut &[u8], depth: u8) -> Option<Value> {
    if depth > DEEPEST {
        return None;
    }
    let marker = take(rest, 1)?[0];
    Some(match marker {
        0xc0 => Value::Null,
        0xc1 => Number::from_f64(f64::from_be_bytes(take(rest, 8)?.try_into().ok()?)).into(),
        0xc2 | 0xc3 => Value::Bool(marker == 0xc3),
        0x00..=0x7f => marker.into(),
        0xf0..=0xff => i8::from_be_bytes([marker]).into(),
        0xc8 => i8::from_be_bytes([take(rest, 1)?[0]]).into(),
        0xc9 => i16::from_be_bytes(take(rest, 2)?.try_into().ok()?).into(),
        0xca => i32::from_be_bytes(take(rest, 4)?.try_into().ok()?).into(),
        0xcb => i64::from_be_bytes(take(rest, 8)?.try_into().ok()?).into(),
        0x80..=0x8f => words(rest, usize::from(marker & 0x0f))?,
        0xd0..=0xd2 => {
            let length = length(rest, marker - 0xd0)?;
            words(rest, length)?
        }
        0x90..=0x9f => list(rest, usize::from(marker & 0x0f), depth)?,
        0xd4..=0xd6 => {
            let length = length(rest, marker - 0xd4)?;
            list(rest, length, depth)?
        }
        0xa0..=0xaf => map(rest, usize::from(marker & 0x0f), depth)?,
        0xd8..=0xda => {
            let length = length(rest, marker - 0xd8)?;
            map(rest, length, depth)?
        }
        _ => return None,
    })
}

fn take<'a>(rest: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (taken, left) = rest.split_at_checked(length)?;
    *rest = left;
    Some(taken)
}

/// A length of one, two or four bytes: `size` is 0, 1 or 2.
fn length(rest: &mut &[u8], size: u8) -> Option<usize> {
    let bytes = take(rest, 1 << size)?;
    Some(bytes.iter().fold(0, |length, byte| length << 8 | usize::from(*byte)))
}

fn words(rest: &mut &[u8], length: usize) -> Option<Value> {
    Some(String::from_utf8_lossy(take(rest, length)?).into())
}

fn list(rest: &mut &[u8], length: usize, depth: u8) -> Option<Value> {
    // Without a capacity: the length comes from the other side and may be a lie.
    (0..length).map(|_| value(rest, depth + 1)).collect::<Option<Vec<_>>>().map(Value::Array)
}

fn map(rest: &mut &[u8], length: usize, depth: u8) -> Option<Value> {
    let entry = |_| Some((value(rest, depth + 1)?.as_str()?.to_owned(), value(rest, depth + 1)?));
    (0..length).map(entry).collect::<Option<Map<_, _>>>().map(Value::Object)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_written_can_be_read() {
        let long = "x".repeat(70_000);
        for word in ["", "fifteen letters", "sixteen letters!", "ü€😀", &long[..300], &long] {
            let mut bytes = vec![0xb1, 0x70];
            texts(&mut bytes, &[("key", word)]);
            assert_eq!(message(&bytes), Some((0x70, json!({"key": word}))));
        }
    }

    #[test]
    fn a_failure_of_3_4_6_is_read() {
        let failure = b"\xb1\x7f\xa2\x84code\xd0%Neo.ClientError.Security.Unauthorized\x87message\x84nope";
        let expected = json!({"code": "Neo.ClientError.Security.Unauthorized", "message": "nope"});
        assert_eq!(message(failure), Some((0x7f, expected)));
        let values = b"\xb1\x71\x96\x2a\xf0\xc9\x01\x00\xc0\xc3\x91\xc1\x3f\xf0\0\0\0\0\0\0";
        assert_eq!(message(values), Some((0x71, json!([42, -16, 256, null, true, [1.0]]))));
    }

    #[test]
    fn what_is_cut_off_or_endless_is_no_message() {
        let failure = b"\xb1\x7f\xa1\x84code\x84nope";
        for end in 0..failure.len() {
            assert_eq!(message(&failure[..end]), None, "{end}");
        }
        assert_eq!(message(b"\xb1\x70\xd6\xff\xff\xff\xff"), None);
        assert_eq!(message(&[vec![0xb1, 0x70], vec![0x91; 100_000]].concat()), None);
        assert_eq!(message(b"HTTP/1.1 400 Bad Request"), None);
    }
}
