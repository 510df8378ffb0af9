//! A stand-in for the Runtime API of Lambda and for CloudFormation's answer URL, around a function's real binary:
//! events go in, what the function did comes out. It is for one function by itself; a deployed one runs in the emulator.
//!
//! The paths and headers are those of "Using the Lambda runtime API for custom runtimes"
//! (lambda/latest/dg/runtimes-api.html).

use std::{
    collections::VecDeque,
    io,
    net::{Ipv4Addr, SocketAddr},
    path::Path,
    process::Stdio,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use axum::{
    Router,
    body::Bytes,
    extract::{Path as UrlPath, State},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
    routing::{get, post, put},
};
use serde_json::Value;
use tokio::{
    net::TcpListener,
    process::{Child, Command},
    sync::Notify,
    task::JoinHandle,
    time::timeout,
};

use crate::emulator::{KEY, REGION};

/// What a function did with an event.
#[derive(Clone, Debug)]
pub struct Ended {
    /// What it returned to Lambda, or the error that it reported.
    pub result: Result<Value, Value>,
    /// From the moment the event was handed out.
    pub took: Duration,
}

/// A PUT that arrived at the answer URL.
#[derive(Clone, Debug)]
pub struct Put {
    /// Its body, as it was sent.
    pub body: Vec<u8>,
    /// Its `content-type`; CloudFormation's signature is over an empty one.
    pub content_type: Option<String>,
    /// From the moment the event was handed out.
    pub took: Duration,
}

impl Put {
    /// The body as JSON; `Null` when it is none.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }
}

#[derive(Default)]
struct Desk {
    waiting: VecDeque<(Value, u64)>,
    handed_out: Option<Instant>,
    ended: Vec<Ended>,
    puts: Vec<Put>,
    /// What the answer URL says next: a status, or nothing at all.
    replies: VecDeque<Option<u16>>,
}

#[derive(Clone, Default)]
struct Shared {
    desk: Arc<Mutex<Desk>>,
    changed: Arc<Notify>,
}

impl Shared {
    fn desk(&self) -> std::sync::MutexGuard<'_, Desk> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn until<T>(&self, within: Duration, ask: impl Fn(&mut Desk) -> Option<T>) -> Option<T> {
        let asking = async {
            loop {
                let changed = self.changed.notified();
                if let Some(found) = ask(&mut self.desk()) {
                    return found;
                }
                changed.await;
            }
        };
        timeout(within, asking).await.ok()
    }
}

/// What the functions that answer CloudFormation need of the template's variables, as the benchmarks give it: of a cluster that is not
/// there.
pub const TEMPLATE: [(&str, &str); 6] = [
    ("DIALECT", "HA"),
    ("NEO4J_VERSION", "3.4.6"),
    ("CLUSTER", "bench"),
    ("CORE_SERVICES", "core-1,core-2,core-3"),
    ("STACK", "bench"),
    ("ADMIN_SECRET_ARN", "arn:aws:secretsmanager:us-east-1:000000000000:secret:bench/admin-AbCdEf"),
];

/// What Lambda itself sets for a function, whose Runtime API is at `runtime`.
pub fn environment(function: &str, runtime: SocketAddr) -> [(&'static str, String); 9] {
    [
        ("AWS_LAMBDA_RUNTIME_API", runtime.to_string()),
        ("AWS_LAMBDA_FUNCTION_NAME", function.to_owned()),
        ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128".to_owned()),
        ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST".to_owned()),
        ("AWS_LAMBDA_LOG_STREAM_NAME", "stream".to_owned()),
        ("AWS_LAMBDA_LOG_GROUP_NAME", "group".to_owned()),
        ("AWS_REGION", REGION.to_owned()),
        ("AWS_ACCESS_KEY_ID", KEY.to_owned()),
        ("AWS_SECRET_ACCESS_KEY", KEY.to_owned()),
    ]
}

/// A function under test: its process, its Runtime API and its answer URL. Dropping it ends the process.
pub struct Function {
    shared: Shared,
    at: SocketAddr,
    serving: JoinHandle<()>,
    child: Child,
}

impl Function {
    /// Starts `binary` with nothing but `environment` and what Lambda itself sets; its output goes to `log`.
    ///
    /// # Errors
    /// When it cannot be started.
    pub async fn start(binary: &Path, environment: &[(&str, &str)], log: &Path) -> io::Result<Self> {
        let shared = Shared::default();
        let routes = Router::new()
            .route("/2018-06-01/runtime/invocation/next", get(next))
            .route("/2018-06-01/runtime/invocation/{id}/response", post(response))
            .route("/2018-06-01/runtime/invocation/{id}/error", post(error))
            .route("/answer", put(answer))
            .with_state(shared.clone());
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let at = listener.local_addr()?;
        let serving = tokio::spawn(async move {
            let _ends_with_the_function = axum::serve(listener, routes).await;
        });
        let name = binary.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let output = std::fs::File::create(log)?;
        let mut command = Command::new(binary);
        command
            .env_clear()
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .kill_on_drop(true);
        command.envs(self::environment(&name, at)).envs(environment.iter().copied());
        let child = command.spawn()?;
        Ok(Self { shared, at, serving, child })
    }

    /// Where CloudFormation's answers are taken; with a query like the one of a presigned URL, which must not be logged.
    pub fn answer_url(&self) -> String {
        format!("http://{}/answer?X-Amz-Signature=secret-signature", self.at)
    }

    /// Hands out an event that has `time` until Lambda would end the function.
    pub fn invoke(&self, event: Value, time: Duration) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default() + time;
        self.shared.desk().waiting.push_back((event, u64::try_from(now.as_millis()).unwrap_or(u64::MAX)));
        self.shared.changed.notify_waiters();
    }

    /// What the answer URL says to the next PUTs; `None` stays silent. Afterwards, and without any, it says 200.
    pub fn replies(&self, replies: impl IntoIterator<Item = Option<u16>>) {
        self.shared.desk().replies = replies.into_iter().collect();
    }

    /// The end of the next event that has not been taken yet.
    pub async fn ended(&self, within: Duration) -> Option<Ended> {
        self.shared.until(within, |desk| (!desk.ended.is_empty()).then(|| desk.ended.remove(0))).await
    }

    /// Takes every PUT so far.
    pub fn puts(&self) -> Vec<Put> {
        std::mem::take(&mut self.shared.desk().puts)
    }

    /// The process.
    pub fn pid(&self) -> Option<u32> {
        self.child.id()
    }
}

impl Drop for Function {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn next(State(shared): State<Shared>) -> Response {
    let asking = shared.until(Duration::MAX, |desk| desk.waiting.pop_front()).await;
    let Some((event, deadline)) = asking else { return StatusCode::INTERNAL_SERVER_ERROR.into_response() };
    shared.desk().handed_out = Some(Instant::now());
    let headers = [
        ("lambda-runtime-aws-request-id", "8476a536-e9f4-11e8-9739-2dfe598c3fcd".to_owned()),
        ("lambda-runtime-deadline-ms", deadline.to_string()),
        (
            "lambda-runtime-invoked-function-arn",
            "arn:aws:lambda:us-east-1:000000000000:function:f".to_owned(),
        ),
        ("content-type", "application/json".to_owned()),
    ];
    (headers, event.to_string()).into_response()
}

async fn response(state: State<Shared>, _id: UrlPath<String>, body: Bytes) -> StatusCode {
    end(&state, Ok(serde_json::from_slice(&body).unwrap_or_default()))
}

async fn error(state: State<Shared>, _id: UrlPath<String>, body: Bytes) -> StatusCode {
    end(&state, Err(serde_json::from_slice(&body).unwrap_or_default()))
}

fn end(shared: &Shared, result: Result<Value, Value>) -> StatusCode {
    let mut desk = shared.desk();
    let took = desk.handed_out.map_or(Duration::ZERO, |at| at.elapsed());
    desk.ended.push(Ended { result, took });
    drop(desk);
    shared.changed.notify_waiters();
    StatusCode::ACCEPTED
}

async fn answer(State(shared): State<Shared>, headers: HeaderMap, body: Bytes) -> StatusCode {
    let reply = {
        let mut desk = shared.desk();
        let content_type =
            headers.get("content-type").and_then(|value| value.to_str().ok()).map(str::to_owned);
        let took = desk.handed_out.map_or(Duration::ZERO, |at| at.elapsed());
        desk.puts.push(Put { body: body.to_vec(), content_type, took });
        desk.replies.pop_front().unwrap_or(Some(200))
    };
    shared.changed.notify_waiters();
    match reply {
        Some(status) => StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
        None => std::future::pending().await,
    }
}
