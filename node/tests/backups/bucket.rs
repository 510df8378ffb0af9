//! S3 with one bucket, for tests: what is in it, what it refuses, and what it was asked.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    process::Command,
    sync::{Arc, Mutex},
    time::{SystemTime, UNIX_EPOCH},
};

use axum::{
    Router,
    body::{Body, Bytes, to_bytes},
    extract::{Request, State},
    http::{HeaderMap, Method, Response, StatusCode},
};
use backups::{Consistency, Counts, Data, Folder, MANIFEST_FORMAT, Manifest, Seen, Tier, Time};
use serde_json::Value;
use sha2::{Digest, Sha256};

pub const BUCKET: &str = "s-backups";

/// The bucket, as the program reaches it.
pub struct Bucket {
    at: SocketAddr,
    pub shared: Arc<Mutex<Shared>>,
    _runtime: tokio::runtime::Runtime,
}

#[derive(Default)]
pub struct Shared {
    objects: BTreeMap<String, Bytes>,
    /// The listing says these lengths, whatever is there.
    pub listed: BTreeMap<String, u64>,
    /// Status and code for calls of this method whose path ends so.
    refused: Vec<(Method, String, u16, &'static str)>,
    /// Method and path of each call.
    calls: Vec<String>,
}

impl Bucket {
    pub fn new() -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let shared: Arc<Mutex<Shared>> = Arc::default();
        let app = Router::new().fallback(answer).with_state(Arc::clone(&shared));
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
        let at = listener.local_addr().unwrap();
        runtime.spawn(async move { axum::serve(listener, app).await });
        Self { at, shared, _runtime: runtime }
    }

    pub fn put(&self, key: &str, body: impl Into<Bytes>) {
        self.shared.lock().unwrap().objects.insert(key.to_owned(), body.into());
    }

    pub fn get(&self, key: &str) -> Option<Bytes> {
        self.shared.lock().unwrap().objects.get(key).cloned()
    }

    pub fn refuse(&self, method: Method, path: &str, status: u16, code: &'static str) {
        self.shared.lock().unwrap().refused.push((method, path.to_owned(), status, code));
    }

    pub fn calls(&self) -> Vec<String> {
        self.shared.lock().unwrap().calls.clone()
    }

    /// A backup that was begun so many seconds ago.
    pub fn backup(&self, tier: Tier, ago: u64, id: &str, consistency: Consistency) -> Folder {
        let folder = Folder::new(tier, ago_now(ago), id).unwrap();
        let body = format!("data of {folder}").repeat(100);
        let manifest = Manifest {
            format: MANIFEST_FORMAT,
            neo4j: "3.4.6".parse().unwrap(),
            dialect: "HA".into(),
            store_format: Some("vE.H.4".into()),
            database: "graph.db".into(),
            created: folder.time,
            source: "core-3".into(),
            last_transaction: Some(1042),
            counts: Some(Counts { nodes: 50_000, relationships: 12 }),
            data: Data { key: folder.data(), bytes: body.len() as u64, sha256: sha256(body.as_bytes()) },
            consistency,
            tool: "neo4j-admin backup 3.4.6".into(),
            store_id: None,
            store_bytes: Some(20 << 20),
            finished: Some(Time::of_epoch(folder.time.epoch() + 72)),
            source_role: Some("slave".into()),
            master: Some(Seen { last_transaction: 1050, at: folder.time }),
            seconds: None,
        };
        self.put(&folder.data(), body);
        self.put(&folder.manifest(), manifest.write());
        folder
    }

    /// What it ends with, prints and says for these words, with these variables and the bucket's name.
    pub fn ended(&self, words: &[&str], variables: &[(&str, &str)]) -> (Option<i32>, String, String) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_node"));
        command.arg("backups").args(words).env_clear().envs([
            ("AWS_REGION", "us-east-1"),
            ("AWS_ACCESS_KEY_ID", "test"),
            ("AWS_SECRET_ACCESS_KEY", "test"),
            ("BACKUP_BUCKET", BUCKET),
        ]);
        command.env("AWS_ENDPOINT_URL", format!("http://{}", self.at)).envs(variables.iter().copied());
        let output = command.output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (output.status.code(), text(output.stdout), text(output.stderr))
    }

    /// What it prints when all is well.
    pub fn printed(&self, words: &[&str]) -> String {
        let (code, printed, said) = self.ended(words, &[]);
        assert_eq!(code, Some(0), "{words:?}: {said}");
        printed
    }

    pub fn json(&self, words: &[&str]) -> Value {
        serde_json::from_str(&self.printed(&[words, &["--json"]].concat())).unwrap()
    }

    /// The sentence with which it refuses, and nothing printed beside it.
    pub fn refusal(&self, words: &[&str]) -> String {
        let (code, printed, said) = self.ended(words, &[]);
        assert_eq!((code, printed.as_str()), (Some(1), ""), "{words:?}: {said}");
        said
    }
}

pub fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"))
}

fn ago_now(ago: u64) -> Time {
    Time::of_epoch(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() - ago)
}

/// The part of S3's protocol that is needed: it panics at anything else, such as a deletion.
async fn answer(State(shared): State<Arc<Mutex<Shared>>>, request: Request) -> Response<Body> {
    let (head, body) = request.into_parts();
    let body = to_bytes(body, 1 << 20).await.unwrap();
    let mut shared = shared.lock().unwrap();
    let path = head.uri.path().to_owned();
    shared.calls.push(format!("{} {path}", head.method));
    let mut refused = shared.refused.iter();
    let refused = refused.find(|(method, suffix, ..)| *method == head.method && path.ends_with(suffix));
    if let Some((.., status, code)) = refused {
        return refusal(*status, code);
    }
    let (bucket, key) = path[1..].split_once('/').unwrap_or((&path[1..], ""));
    if bucket != BUCKET {
        return refusal(404, "NoSuchBucket");
    }
    match head.method {
        Method::GET if key.is_empty() => {
            assert!(head.uri.query().unwrap().contains("prefix=backups%2F"), "{:?}", head.uri);
            listing(&shared)
        }
        Method::GET => match shared.objects.get(key) {
            None => refusal(404, "NoSuchKey"),
            Some(body) => object(body, &head.headers),
        },
        Method::PUT => {
            assert_eq!(head.headers["if-none-match"], "*", "the bucket's policy denies any other write");
            if shared.objects.contains_key(key) {
                return refusal(412, "PreconditionFailed");
            }
            shared.objects.insert(key.to_owned(), body);
            Response::builder().header("etag", "\"w\"").body(Body::empty()).unwrap()
        }
        other => panic!("{other} {path} was called"),
    }
}

fn object(body: &Bytes, headers: &HeaderMap) -> Response<Body> {
    assert!(headers.get("range").is_none(), "a backup is read from its beginning to its end");
    Response::builder().header("etag", "\"v\"").body(Body::from(body.clone())).unwrap()
}

fn listing(shared: &Shared) -> Response<Body> {
    let mut xml = "<ListBucketResult><IsTruncated>false</IsTruncated>".to_owned();
    for (key, body) in &shared.objects {
        let bytes = shared.listed.get(key).copied().unwrap_or(body.len() as u64);
        xml += &format!("<Contents><Key>{key}</Key><Size>{bytes}</Size></Contents>");
    }
    Response::new(Body::from(xml + "</ListBucketResult>"))
}

fn refusal(status: u16, code: &str) -> Response<Body> {
    let xml = format!("<Error><Code>{code}</Code><Message>m</Message></Error>");
    Response::builder().status(StatusCode::from_u16(status).unwrap()).body(Body::from(xml)).unwrap()
}
