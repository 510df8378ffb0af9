//! ministack: the process behind the gateway, and calls to it.

use std::{
    net::{Ipv4Addr, SocketAddr},
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use serde_json::Value;
use tokio::process::{Child, Command};

use crate::{
    http as wire,
    layout::Layout,
    processes::{Processes, tail},
};

/// The emulator has one account and the template is deployed to one region.
pub const REGION: &str = "us-east-1";
/// Any well-formed key is accepted: nothing here is a secret.
pub const KEY: &str = "test";
/// From exec to healthy takes half a second on two idle cores.
const START: Duration = Duration::from_secs(30);
const CALL: Duration = Duration::from_secs(20);
/// The longest a function may run, and a little more.
const INVOCATION: Duration = Duration::from_secs(910);

/// A failure of the emulator or of a call to it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The process did not come up.
    #[error("the emulator did not answer at {at} within {START:?}; the end of its log:\n{log}")]
    NotUp {
        /// Where it was asked.
        at: SocketAddr,
        /// The last lines it printed.
        log: String,
    },
    /// It cannot be started.
    #[error(transparent)]
    Start(#[from] std::io::Error),
    /// A call got no answer.
    #[error(transparent)]
    Wire(#[from] wire::Failure),
    /// A call was refused.
    #[error("the emulator answered {status} to {call}: {body}")]
    Refused {
        /// The API call.
        call: String,
        /// HTTP status.
        status: u16,
        /// The beginning of the answer.
        body: String,
    },
}

/// How a function ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ran {
    /// It returned a result.
    Well,
    /// It returned an error, or crashed.
    Failed,
    /// It did not run: too many of it do, or Lambda itself failed.
    Throttled,
}

/// A function's `EventInvokeConfig`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// `MaximumEventAgeInSeconds`: older than this it is dropped.
    pub age: Duration,
    /// `MaximumRetryAttempts`, of errors of the function; being throttled does not count.
    pub retries: u32,
}

impl Default for Limits {
    /// What a function has without one: six hours, two retries.
    fn default() -> Self {
        Self { age: Duration::from_secs(6 * 3600), retries: 2 }
    }
}

/// Where the emulator listens. Clones are the same emulator.
#[derive(Clone, Copy, Debug)]
pub struct Emulator {
    /// Its internal address, which only the gateway uses.
    pub at: SocketAddr,
}

/// The environment of a process that calls the cloud: where it is, and keys that open nothing.
pub fn cloud_environment(gateway: SocketAddr) -> [(&'static str, String); 5] {
    [
        ("AWS_ENDPOINT_URL", format!("http://{gateway}")),
        ("AWS_ACCESS_KEY_ID", KEY.into()),
        ("AWS_SECRET_ACCESS_KEY", KEY.into()),
        ("AWS_REGION", REGION.into()),
        ("AWS_DEFAULT_REGION", REGION.into()),
    ]
}

impl Emulator {
    /// Starts it on `ip` and waits until it is healthy. Functions it runs are told to call `gateway`.
    pub async fn start(
        layout: &Layout,
        processes: &Processes,
        ip: Ipv4Addr,
        port: u16,
        gateway: SocketAddr,
    ) -> Result<(Self, Child), Error> {
        // It unpacks functions where its port says, and clears that place first: runs side by side must not share it.
        let temporary = layout.run.join("tmp");
        std::fs::create_dir_all(&temporary)?;
        let mut command = Command::new(layout.cloud_python());
        // Functions inherit this environment, so it is made from nothing: a developer's own AWS settings stay out.
        command
            .arg(layout.launcher())
            .env_clear()
            .current_dir(&layout.run)
            .envs(cloud_environment(gateway))
            .envs([
                ("PATH", "/usr/bin:/bin".into()),
                ("HOME", layout.run.display().to_string()),
                ("TMPDIR", temporary.display().to_string()),
                ("BIND_HOST", ip.to_string()),
                ("MINISTACK_HOST", ip.to_string()),
                ("GATEWAY_PORT", port.to_string()),
                ("LAMBDA_EXECUTOR", "local".into()),
            ]);
        let log = layout.log("ministack");
        let child = processes.start("ministack", command, &log)?;
        let emulator = Self { at: SocketAddr::from((ip, port)) };
        let deadline = Instant::now() + START;
        while Instant::now() < deadline {
            let health = wire::get(emulator.at, "/_ministack/health", Duration::from_secs(1)).await;
            if matches!(health, Ok((200, _))) {
                return Ok((emulator, child));
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Err(Error::NotUp { at: emulator.at, log: tail(&log, 20) })
    }

    /// A call of a JSON service, such as `("ecs", "AmazonEC2ContainerServiceV20141113.ListClusters")`.
    pub async fn json(&self, service: &str, target: &str, body: &Value) -> Result<Value, Error> {
        let request = self.request(service, "application/x-amz-json-1.1").header("x-amz-target", target);
        let body = self.send(target, request, body.to_string().into()).await?;
        serde_json::from_slice(&body).map_err(|error| Error::Refused {
            call: target.into(),
            status: 200,
            body: format!("not JSON: {error}"),
        })
    }

    /// Runs a function with an event and waits for its end.
    ///
    /// # Errors
    /// When there is no answer, or one that says neither that it ran nor that it was throttled.
    pub async fn invoke(&self, function: &str, event: &Value) -> Result<Ran, Error> {
        let path = format!("/2015-03-31/functions/{function}/invocations");
        let request = self.request("lambda", "application/json").uri(path);
        let request = request.body(Full::new(event.to_string().into())).expect("a request made of constants");
        let (status, body) = wire::send(self.at, request, INVOCATION).await?;
        match status {
            200 => {
                let result: Value = serde_json::from_slice(&body).unwrap_or_default();
                Ok(if result["errorMessage"].is_string() { Ran::Failed } else { Ran::Well })
            }
            429 | 500.. => Ok(Ran::Throttled),
            _ => Err(refused(&format!("Invoke {function}"), status, &body)),
        }
    }

    /// Runs a function with an event and returns what it answers.
    ///
    /// # Errors
    /// One sentence when it does not answer, or answers with an error.
    pub async fn ask(&self, function: &str, event: &Value) -> Result<Value, String> {
        let path = format!("/2015-03-31/functions/{function}/invocations");
        let request = self.request("lambda", "application/json").uri(path);
        let request = request.body(Full::new(event.to_string().into())).expect("a request made of constants");
        let answer = wire::send(self.at, request, INVOCATION).await;
        let (status, body) = answer.map_err(|error| format!("{function}: {error}"))?;
        match serde_json::from_slice::<Value>(&body) {
            Ok(answer) if status == 200 && answer["errorMessage"].is_null() => Ok(answer),
            _ => Err(format!("{function}: {status}: {}", String::from_utf8_lossy(&body))),
        }
    }

    /// Whether a function can be invoked: what Lambda checks before it accepts an asynchronous event.
    ///
    /// # Errors
    /// The emulator's own answer when it cannot.
    pub async fn can_be_invoked(&self, function: &str) -> Result<(), Error> {
        let path = format!("/2015-03-31/functions/{function}/invocations");
        let request = self.request("lambda", "application/json").uri(path);
        let request = request.header("x-amz-invocation-type", "DryRun");
        self.send(&format!("Invoke {function}"), request, Bytes::from_static(b"{}")).await.map(drop)
    }

    /// How long, and how often, an asynchronous invocation of a function is tried; Lambda's defaults when it does not say.
    pub async fn event_invoke_config(&self, function: &str) -> Limits {
        let path = format!("/2019-09-25/functions/{function}/event-invoke-config");
        let request = self.request("lambda", "application/json").method("GET").uri(path);
        let answer = self.send("GetFunctionEventInvokeConfig", request, Bytes::new()).await;
        let config: Value =
            answer.ok().and_then(|body| serde_json::from_slice(&body).ok()).unwrap_or_default();
        // CloudFormation hands numbers on as strings.
        let number = |name: &str| config[name].as_u64().or_else(|| config[name].as_str()?.parse().ok());
        let defaults = Limits::default();
        Limits {
            age: number("MaximumEventAgeInSeconds").map_or(defaults.age, Duration::from_secs),
            retries: number("MaximumRetryAttempts")
                .and_then(|number| number.try_into().ok())
                .unwrap_or(defaults.retries),
        }
    }

    /// The environment that a function is deployed with.
    pub async fn function_environment(&self, function: &str) -> Result<Value, Error> {
        let path = format!("/2015-03-31/functions/{function}/configuration");
        let request = self.request("lambda", "application/json").method("GET").uri(path);
        let body = self.send("GetFunctionConfiguration", request, Bytes::new()).await?;
        let config: Value = serde_json::from_slice(&body).unwrap_or_default();
        Ok(config["Environment"]["Variables"].clone())
    }

    /// What a service with a REST protocol answers to a GET.
    ///
    /// # Errors
    /// One sentence when it does not answer, or not with JSON.
    pub async fn get(&self, service: &str, path: &str) -> Result<Value, String> {
        let request = self.request(service, "application/json").method("GET").uri(path);
        let call = format!("GET {path} of {service}");
        let body = self.send(&call, request, Bytes::new()).await.map_err(|error| error.to_string())?;
        serde_json::from_slice(&body).map_err(|error| format!("{call}: {error}"))
    }

    /// An object of the emulator's S3.
    pub async fn get_object(&self, bucket_and_key: &str) -> Result<Bytes, Error> {
        let request =
            self.request("s3", "application/octet-stream").method("GET").uri(format!("/{bucket_and_key}"));
        self.send(&format!("GetObject {bucket_and_key}"), request, Bytes::new()).await
    }

    /// Writes an object, or with an empty key makes a bucket.
    pub async fn put_object(&self, bucket_and_key: &str, body: Bytes) -> Result<(), Error> {
        let request =
            self.request("s3", "application/octet-stream").method("PUT").uri(format!("/{bucket_and_key}"));
        self.send(&format!("PutObject {bucket_and_key}"), request, body).await.map(drop)
    }

    fn request(&self, service: &str, content_type: &str) -> http::request::Builder {
        // The emulator finds the service in the credential scope and checks no signature.
        let scope = format!("AWS4-HMAC-SHA256 Credential={KEY}/20260101/{REGION}/{service}/aws4_request");
        Request::builder()
            .method("POST")
            .uri("/")
            .header("host", self.at.to_string())
            .header("content-type", content_type)
            .header("authorization", format!("{scope}, SignedHeaders=host, Signature=0"))
    }

    async fn send(&self, call: &str, request: http::request::Builder, body: Bytes) -> Result<Bytes, Error> {
        let request = request.body(Full::new(body)).expect("a request made of constants");
        let (status, body) = wire::send(self.at, request, CALL).await?;
        if status < 300 {
            return Ok(body);
        }
        Err(refused(call, status, &body))
    }
}

fn refused(call: &str, status: u16, body: &[u8]) -> Error {
    let body = String::from_utf8_lossy(body).chars().take(500).collect();
    Error::Refused { call: call.into(), status, body }
}
