//! Parameters of a query-protocol call, as the body of a request has them.

use std::collections::BTreeMap;

/// The parameters, by name.
pub type Form = BTreeMap<String, String>;

/// `a=b&c=d` with percent-encoding.
pub fn decode_form(body: &[u8]) -> Form {
    let text = String::from_utf8_lossy(body);
    let pairs = text.split('&').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(k, v)| (decode(k), decode(v)))
        .collect()
}

/// The reverse.
pub fn encode_form(form: &Form) -> String {
    let pairs: Vec<String> =
        form.iter().map(|(key, value)| format!("{}={}", encode(key), encode(value))).collect();
    pairs.join("&")
}

/// Percent-encoding, undone.
pub fn decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let hex = tail.get(..2).and_then(|hex| u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok());
        match (first, hex) {
            (b'%', Some(byte)) => {
                bytes.push(byte);
                rest = &tail[2..];
            }
            (b'+', _) => {
                bytes.push(b' ');
                rest = tail;
            }
            (byte, _) => {
                bytes.push(*byte);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Percent-encoding.
pub fn encode(text: &str) -> String {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~".contains(byte);
    text.bytes()
        .map(|byte| if plain(&byte) { char::from(byte).into() } else { format!("%{byte:02X}") })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_survives_the_way_there_and_back() {
        let form =
            Form::from([("A b".to_owned(), "1&2=3%/ü+\n".to_owned()), ("C".to_owned(), String::new())]);
        assert_eq!(decode_form(encode_form(&form).as_bytes()), form);
        assert_eq!(
            decode_form(b"a=1+2&b=%7e%zz"),
            Form::from([("a".into(), "1 2".into()), ("b".into(), "~%zz".into())])
        );
    }
}
