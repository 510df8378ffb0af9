//! The presigned URL, which is a secret: anyone who has it can answer in our place.

use std::fmt;

use http::Uri;

/// Where the answer goes. It prints its host and nothing else.
#[derive(Clone, PartialEq, Eq)]
pub struct ResponseUrl(Uri);

impl ResponseUrl {
    /// Reads an absolute `http` or `https` URL with a host; `None` for any other text.
    pub fn read(text: &str) -> Option<Self> {
        let uri: Uri = text.parse().ok()?;
        let web = matches!(uri.scheme_str(), Some("http" | "https"));
        (web && uri.host().is_some_and(|host| !host.is_empty())).then_some(Self(uri))
    }

    /// The address to connect to. It contains the signature: do not print it.
    pub fn secret(&self) -> &Uri {
        &self.0
    }

    /// Host and path, for the log line about a refused answer: without the query, which is the secret part.
    pub fn without_query(&self) -> String {
        format!("{}{}", self.host(), self.0.path())
    }

    fn host(&self) -> &str {
        self.0.host().unwrap_or_default()
    }
}

impl fmt::Display for ResponseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}…", self.host())
    }
}

impl fmt::Debug for ResponseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_absolute_web_addresses_are_one() {
        for text in
            ["https://bucket.s3.amazonaws.com/arn%3Aaws?X-Amz-Signature=abc", "http://127.0.0.1:4566/x"]
        {
            assert!(ResponseUrl::read(text).is_some(), "{text}");
        }
        for text in [
            "",
            "/answer",
            "ftp://host/x",
            "file:///etc/passwd",
            "https://",
            "http:///x",
            "host:80",
            "https://a b/",
        ] {
            assert!(ResponseUrl::read(text).is_none(), "{text}");
        }
    }

    #[test]
    fn it_does_not_print_what_would_let_others_answer() {
        let url =
            ResponseUrl::read("https://user:word@bucket.example/arn%3Aaws?X-Amz-Signature=abc").unwrap();
        assert_eq!(format!("{url} {url:?}"), "bucket.example… bucket.example…");
        assert_eq!(url.without_query(), "bucket.example/arn%3Aaws");
    }
}
