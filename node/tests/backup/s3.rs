//! S3 for one bucket, as much of it as a backup uses, with faults that a test chooses. It does what its documentation says of
//! conditions: an object that is there is not written again.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Router,
    body::Body,
    extract::{Request, State},
    http::{HeaderMap, StatusCode},
    response::Response,
};

pub const BUCKET: &str = "b";
/// The same bucket, by a name that is long enough for an operator to type.
pub const TYPED: &str = "bucket";

/// The bucket. Clones are the same one.
#[derive(Clone, Default)]
pub struct S3(Arc<Mutex<Inner>>);

#[derive(Default)]
struct Inner {
    objects: BTreeMap<String, Vec<u8>>,
    /// Of each upload that was begun: its key, and its parts.
    uploads: BTreeMap<String, (String, BTreeMap<u32, Vec<u8>>)>,
    begun: usize,
    calls: Vec<String>,
    faults: Vec<(&'static str, Fault)>,
}

/// What happens to calls whose name begins with a word.
#[derive(Clone, Debug)]
pub enum Fault {
    /// Nothing is done, and this status is answered.
    Status(u16),
    /// It is done, and a 500 is answered. Once.
    LostAnswer,
    /// Nothing is done or answered.
    Silence,
    /// A byte in the middle is another one.
    FlippedByte,
    /// The object was written a moment before.
    TakenBefore(Vec<u8>),
}

impl S3 {
    pub async fn serve(&self) -> SocketAddr {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        let app = Router::new().fallback(answer).with_state(self.clone());
        tokio::spawn(async move { axum::serve(listener, app).await });
        at
    }

    pub fn fault(&self, call: &'static str, fault: Fault) {
        self.0.lock().unwrap().faults.push((call, fault));
    }

    /// All faults are over.
    pub fn heal(&self) {
        self.0.lock().unwrap().faults.clear();
    }

    pub fn remove(&self, key: &str) {
        self.0.lock().unwrap().objects.remove(key).unwrap();
    }

    /// The version of an object.
    pub fn etag(&self, key: &str) -> String {
        etag(&self.get(key).unwrap())
    }

    pub fn put(&self, key: &str, body: &[u8]) {
        self.0.lock().unwrap().objects.insert(key.to_owned(), body.to_vec());
    }

    pub fn get(&self, key: &str) -> Option<Vec<u8>> {
        self.0.lock().unwrap().objects.get(key).cloned()
    }

    pub fn keys(&self) -> Vec<String> {
        self.0.lock().unwrap().objects.keys().cloned().collect()
    }

    /// Uploads that are neither completed nor aborted.
    pub fn open(&self) -> usize {
        self.0.lock().unwrap().uploads.len()
    }

    pub fn calls(&self) -> Vec<String> {
        self.0.lock().unwrap().calls.clone()
    }
}

async fn answer(State(s3): State<S3>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
    let path = head.uri.path().trim_start_matches('/').to_owned();
    let (bucket, key) = path.split_once('/').unwrap_or((&path, ""));
    assert!([BUCKET, TYPED].contains(&bucket), "{path} is not in the bucket");
    let key = key.trim_start_matches('/').to_owned();
    let query: BTreeMap<String, String> = head
        .uri
        .query()
        .unwrap_or_default()
        .split('&')
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(name, value)| (name.to_owned(), value.replace("%2F", "/")))
        .collect();
    let name = key.rsplit('/').next().unwrap_or_default();
    let part = query.get("partNumber").map(String::as_str).unwrap_or_default();
    let call = match (head.method.as_str(), query.contains_key("uploadId")) {
        ("POST", false) => "begin".to_owned(),
        ("PUT", true) => format!("part {part}"),
        ("POST", true) => "complete".to_owned(),
        ("DELETE", _) => "abort".to_owned(),
        ("GET", _) if key.is_empty() => "list".to_owned(),
        (method, _) => match head.headers.get("range") {
            Some(range) => format!("{} {name} {}", method.to_lowercase(), range.to_str().unwrap()),
            None => format!("{} {name}", method.to_lowercase()),
        },
    };
    let fault = {
        let mut inner = s3.0.lock().unwrap();
        inner.calls.push(call.clone());
        let found = inner.faults.iter().position(|(of, _)| call.starts_with(of));
        let fault = found.map(|index| inner.faults[index].1.clone());
        if let (Some(index), Some(Fault::LostAnswer)) = (found, &fault) {
            inner.faults.remove(index);
        }
        fault
    };
    match &fault {
        Some(Fault::Status(403)) => return refusal(403, "AccessDenied"),
        Some(Fault::Status(status)) => return refusal(*status, "InternalError"),
        Some(Fault::Silence) => {
            tokio::time::sleep(Duration::from_secs(3600)).await;
        }
        Some(Fault::TakenBefore(body)) => s3.put(&key, body),
        _ => {}
    }
    let done = s3.0.lock().unwrap().act(&call, &key, &query, &head.headers, body.to_vec());
    match fault {
        Some(Fault::LostAnswer) => refusal(500, "InternalError"),
        Some(Fault::FlippedByte) => {
            let mut body = s3.get(&key).unwrap();
            let (etag, middle) = (etag(&body), body.len() / 2);
            body[middle] ^= 1;
            ranged(&head.headers, &body, &etag)
        }
        _ => done,
    }
}

impl Inner {
    fn act(
        &mut self,
        call: &str,
        key: &str,
        query: &BTreeMap<String, String>,
        headers: &HeaderMap,
        body: Vec<u8>,
    ) -> Response {
        let is_conditional = headers.get("if-none-match").is_some_and(|value| value == "*");
        let id = query.get("uploadId").cloned().unwrap_or_default();
        match call.split(' ').next().unwrap() {
            "list" => {
                let prefix = query.get("prefix").map(String::as_str).unwrap_or_default();
                let keys = self.objects.iter().filter(|(key, _)| key.starts_with(prefix));
                let content = |(key, body): (&String, &Vec<u8>)| {
                    format!("<Contents><Key>{key}</Key><Size>{}</Size></Contents>", body.len())
                };
                let contents: String = keys.map(content).collect();
                let list = format!(
                    "<ListBucketResult><IsTruncated>false</IsTruncated>{contents}</ListBucketResult>"
                );
                found(list.into_bytes())
            }
            "begin" => {
                self.begun += 1;
                let id = format!("u{}", self.begun);
                self.uploads.insert(id.clone(), (key.to_owned(), BTreeMap::new()));
                let begun = format!(
                    "<InitiateMultipartUploadResult><UploadId>{id}</UploadId></InitiateMultipartUploadResult>"
                );
                found(begun.into_bytes())
            }
            "part" => {
                assert!(headers.contains_key("x-amz-checksum-crc32"), "{headers:?}");
                let Some((_, parts)) = self.uploads.get_mut(&id) else { return refusal(404, "NoSuchUpload") };
                let number: u32 = query["partNumber"].parse().unwrap();
                parts.insert(number, body);
                tagged(200, number)
            }
            "complete" => {
                assert!(is_conditional, "whatever is there must not be replaced");
                if !self.uploads.contains_key(&id) {
                    return refusal(404, "NoSuchUpload");
                }
                if self.objects.contains_key(key) {
                    return refusal(412, "PreconditionFailed");
                }
                let (_, parts) = self.uploads.remove(&id).unwrap();
                let named = String::from_utf8(body).unwrap().matches("<PartNumber>").count();
                assert_eq!(named, parts.len(), "all parts are named");
                let lengths: Vec<usize> = parts.values().map(Vec::len).collect();
                let (_, but_last) = lengths.split_last().unwrap();
                assert!(
                    but_last.iter().all(|length| *length >= 5 << 20 && *length == lengths[0]),
                    "{lengths:?}"
                );
                self.objects.insert(key.to_owned(), parts.into_values().flatten().collect());
                found(
                    b"<CompleteMultipartUploadResult><ETag>e</ETag></CompleteMultipartUploadResult>".to_vec(),
                )
            }
            "abort" => match self.uploads.remove(&id) {
                Some(_) => tagged(204, 0),
                None => refusal(404, "NoSuchUpload"),
            },
            "put" => {
                assert!(is_conditional, "whatever is there must not be replaced");
                if self.objects.contains_key(key) {
                    return refusal(412, "PreconditionFailed");
                }
                self.objects.insert(key.to_owned(), body);
                tagged(200, 0)
            }
            "get" | "head" => match self.objects.get(key) {
                Some(body) => ranged(headers, body, &etag(body)),
                None => refusal(404, "NoSuchKey"),
            },
            other => panic!("{other} {key}"),
        }
    }
}

fn found(body: Vec<u8>) -> Response {
    Response::builder().header("etag", "\"e\"").body(Body::from(body)).unwrap()
}

/// An object, or the range of it that is asked for, if it is the version that is asked for.
fn ranged(headers: &HeaderMap, body: &[u8], etag: &str) -> Response {
    let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap());
    if text("if-match").is_some_and(|version| version != etag) {
        return refusal(412, "PreconditionFailed");
    }
    let Some(range) = text("range").and_then(|range| range.strip_prefix("bytes=")) else {
        return Response::builder().header("etag", etag).body(Body::from(body.to_vec())).unwrap();
    };
    let (from, to) = range.split_once('-').unwrap();
    let from: usize = from.parse().unwrap();
    let to = to.parse().map_or(body.len(), |to: usize| body.len().min(to + 1));
    if from >= to {
        return refusal(416, "InvalidRange");
    }
    let of = format!("bytes {from}-{}/{}", to - 1, body.len());
    let answer = Response::builder().status(206).header("etag", etag).header("content-range", of);
    answer.body(Body::from(body[from..to].to_vec())).unwrap()
}

/// Of some of its bytes: cheap, and another one for what tests put in the place of an object.
fn etag(body: &[u8]) -> String {
    let some = body.iter().step_by(4096).map(|byte| u64::from(*byte));
    let hash = some.fold(body.len() as u64, |hash, byte| hash.wrapping_mul(0x0100_0000_01b3) ^ byte);
    format!("\"{hash:016x}\"")
}

fn tagged(status: u16, number: u32) -> Response {
    let status = StatusCode::from_u16(status).unwrap();
    Response::builder().status(status).header("etag", format!("\"e{number}\"")).body(Body::empty()).unwrap()
}

fn refusal(status: u16, code: &str) -> Response {
    let body = format!("<Error><Code>{code}</Code><Message>m</Message></Error>");
    Response::builder().status(StatusCode::from_u16(status).unwrap()).body(Body::from(body)).unwrap()
}
