//! A task for tests: the node program as a process, with a cloud of its own and a stand-in for Neo4j that a test can steer.

use std::{
    fs,
    io::{Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpStream},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use axum::{
    Json, Router,
    extract::State,
    http::HeaderMap,
    routing::{get, post},
};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

pub const PATIENCE: Duration = Duration::from_secs(20);
/// Obeys SIGTERM as the JVM does: it ends with 128 + 15.
pub const OBEYS: &str = "trap 'exit 143' TERM; echo started; while :; do sleep 0.05; done";

/// A task: its metadata, its peers as ECS lists them, and a home with the stand-in.
pub struct Task {
    pub address: Ipv4Addr,
    pub dir: PathBuf,
    /// On another device than the rest, as a volume is.
    pub volume: PathBuf,
    at: SocketAddr,
    pub cloud: Cloud,
    _runtime: tokio::runtime::Runtime,
}

/// What the task finds in the cloud, and tells it.
#[derive(Clone)]
pub struct Cloud {
    /// Of each core slot, as ECS lists them.
    pub peers: Arc<Mutex<Vec<Option<Ipv4Addr>>>>,
    /// `detail-type` and detail of every event that was put.
    pub bells: Arc<Mutex<Vec<(String, String)>>>,
    /// So many puts are refused before one is accepted.
    pub deaf: Arc<AtomicUsize>,
}

/// A loopback address of this test's own.
fn address(test: u8) -> Ipv4Addr {
    let process = std::process::id().to_be_bytes();
    Ipv4Addr::new(127, 240 + process[2] % 14, process[3], test)
}

/// Memory is another device than any disk, and takes no root to write to.
const OTHER_DEVICE: &str = "/dev/shm";

impl Task {
    /// In the slot `core-1`, on its volume, with an agent that tells its service.
    pub fn new(test: u8, script: &str) -> Self {
        Self::with_metadata(test, script, &json!({"ServiceName": "core-1"}))
    }

    /// The same with what the agent tells beside the address.
    pub fn with_metadata(test: u8, script: &str, told: &Value) -> Self {
        let address = address(test);
        let dir = std::env::temp_dir().join(format!("node-{}-{test}", std::process::id()));
        let _absent = fs::remove_dir_all(&dir);
        fs::create_dir_all(dir.join("home/bin")).unwrap();
        let program = dir.join("home/bin/neo4j");
        fs::write(&program, format!("#!/bin/sh\n[ \"$1\" = console ] || exit 9\n{script}\n")).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let peers = Arc::new(Mutex::new(vec![None; 3]));
        let cloud = Cloud { peers, bells: Arc::default(), deaf: Arc::default() };
        let mut metadata = json!({"Containers": [{"Networks": [{"IPv4Addresses": [address.to_string()]}]}]});
        metadata.as_object_mut().unwrap().extend(told.as_object().unwrap().clone());
        let volume = Path::new(OTHER_DEVICE).join(dir.file_name().unwrap());
        let _absent = fs::remove_dir_all(&volume);
        fs::create_dir_all(&volume).unwrap();
        fs::write(volume.join("slot.json"), r#"{"stack":"s","slot":"core-1"}"#).unwrap();
        let app = Router::new()
            .route("/meta/task", get(async move || Json(metadata)))
            .route("/", post(answer))
            .with_state(cloud.clone());
        let listener = runtime.block_on(tokio::net::TcpListener::bind((address, 0))).unwrap();
        let at = listener.local_addr().unwrap();
        runtime.spawn(async move { axum::serve(listener, app).await });
        Self { address, dir, volume, at, cloud, _runtime: runtime }
    }

    /// Starts it with these variables changed.
    pub fn start(&self, changed: &[(&str, &str)]) -> Node {
        let log = self.dir.join("log");
        let output = fs::File::create(&log).unwrap();
        let child = self.command(&["run"], changed).stdout(output).spawn().unwrap();
        Node { child, log }
    }

    /// The program with these words and these variables changed.
    pub fn command(&self, words: &[&str], changed: &[(&str, &str)]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_node"));
        command.args(words).env_clear().envs(runtime::example::CLUSTER).envs([
            ("PATH", "/usr/bin:/bin"),
            ("DIALECT", "SINGLE"),
            ("CORE_SERVICES", "core-1"),
            ("NEO4J_dbms_security_auth__enabled", "false"),
            ("STOP_TIMEOUT_SECONDS", "30"),
            ("AWS_REGION", "us-east-1"),
            ("AWS_ACCESS_KEY_ID", "test"),
            ("AWS_SECRET_ACCESS_KEY", "test"),
            runtime::example::LICENSE,
        ]);
        command.env("AWS_ENDPOINT_URL", format!("http://{}", self.at));
        command.env("ECS_CONTAINER_METADATA_URI_V4", format!("http://{}/meta", self.at));
        for (name, dir) in [("NEO4J_HOME", "home"), ("LOGS_DIR", "logs"), ("CONF_DIR", "conf")] {
            command.env(name, self.dir.join(dir));
        }
        command.env("DATA_DIR", &self.volume).env("ROOT_DISK", &self.dir);
        command.envs(changed.iter().copied()).stdin(Stdio::null());
        command
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        // Memory that is not given back is missing until the machine restarts.
        let _gone = fs::remove_dir_all(&self.volume);
    }
}

/// Three core slots, of which `core-1` is this task's.
pub const THREE: [(&str, &str); 2] = [("DIALECT", "HA"), ("CORE_SERVICES", "core-1,core-2,core-3")];

pub const PASSWORD: &str = "only-the-secret-has-it";

/// `ListTasks` and `DescribeTasks` over the peers: slot N has the task `tN`, and `t0` is a task of no service. One secret, unless the
/// ARN is another one.
async fn answer(State(cloud): State<Cloud>, headers: HeaderMap, body: String) -> Json<Value> {
    let body: Value = serde_json::from_str(&body).unwrap();
    let peers = cloud.peers.lock().unwrap().clone();
    let slot = |name: &str| name.chars().last().and_then(|last| last.to_digit(10)).unwrap() as usize;
    Json(match headers["x-amz-target"].to_str().unwrap().rsplit('.').next().unwrap() {
        "ListTasks" => {
            assert!(body["serviceName"].is_null(), "one listing for all services");
            let running = (1..).zip(&peers).filter(|(_, address)| address.is_some());
            json!({ "taskArns": running.map(|(slot, _)| format!("t{slot}")).collect::<Vec<_>>() })
        }
        "DescribeTasks" => {
            let arns = body["tasks"].as_array().unwrap().iter().map(|arn| arn.as_str().unwrap());
            let described = arns.map(|arn| {
                let slot = slot(arn);
                let group = if slot == 0 { "family:core".into() } else { format!("service:core-{slot}") };
                let address =
                    slot.checked_sub(1).and_then(|index| peers[index]).map(|address| address.to_string());
                json!({"taskArn": arn, "lastStatus": "RUNNING", "desiredStatus": "RUNNING", "group": group,
                    "containers": [{"networkInterfaces": [{"privateIpv4Address": address}]}]})
            });
            json!({"failures": [], "tasks": described.collect::<Vec<_>>()})
        }
        "GetSecretValue" if body["SecretId"] == "arn:slow" => {
            // At once for the start, and then for longer than anything waits.
            static ASKED: AtomicBool = AtomicBool::new(false);
            if ASKED.swap(true, Ordering::SeqCst) {
                tokio::time::sleep(Duration::from_secs(3600)).await;
            }
            json!({"SecretString": PASSWORD, "VersionId": "1"})
        }
        "GetSecretValue" if body["SecretId"] == "arn:admin" => {
            json!({"SecretString": PASSWORD, "VersionId": "1"})
        }
        "PutEvents" => {
            let entry = &body["Entries"][0];
            let text = |name: &str| entry[name].as_str().unwrap().to_owned();
            cloud.bells.lock().unwrap().push((text("DetailType"), text("Detail")));
            let refuse =
                cloud.deaf.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
            match refuse {
                Ok(_) => json!({"FailedEntryCount": 1, "Entries": [{"ErrorCode": "InternalFailure"}]}),
                Err(_) => json!({"FailedEntryCount": 0, "Entries": [{"EventId": "1"}]}),
            }
        }
        // What cannot be read is a failure, whatever it is.
        "GetSecretValue" => json!("no answer of Secrets Manager"),
        other => panic!("{other} was called"),
    })
}

pub struct Node {
    pub child: Child,
    log: PathBuf,
}

impl Node {
    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    pub fn until_log(&self, wanted: &str) {
        let deadline = Instant::now() + PATIENCE;
        while !self.log().contains(wanted) {
            assert!(Instant::now() < deadline, "no {wanted:?} in\n{}", self.log());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    pub fn until_ended(&mut self) -> ExitStatus {
        // Longer than the stop timeout of these tasks: a Neo4j with all workers taken needs most of it, and is to end by itself.
        let deadline = Instant::now() + 3 * PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < deadline, "it still runs:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap(), signal).unwrap();
    }

    /// The stand-in's process, once it runs.
    pub fn neo4j(&self) -> Pid {
        self.until_log("neo4j-started");
        let id = self.child.id();
        let children = fs::read_to_string(format!("/proc/{id}/task/{id}/children")).unwrap();
        Pid::from_raw(children.trim().parse().unwrap()).unwrap()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let id = self.child.id();
        let children = fs::read_to_string(format!("/proc/{id}/task/{id}/children")).unwrap_or_default();
        for child in
            children.split_whitespace().filter_map(|word| word.parse().ok()).filter_map(Pid::from_raw)
        {
            let _gone = kill_process(child, Signal::KILL);
        }
        let _gone = (self.child.kill(), self.child.wait());
    }
}

/// What its status port answers.
pub fn fetch(task: &Task, path: &str) -> (u16, String) {
    // The port is bound beside the start of Neo4j.
    let bound = Instant::now() + PATIENCE;
    let mut stream = loop {
        match TcpStream::connect((task.address, 7475)) {
            Err(error) if Instant::now() > bound => panic!("{error}"),
            Err(_) => std::thread::sleep(Duration::from_millis(10)),
            Ok(stream) => break stream,
        }
    };
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head[9..12].parse().unwrap(), body.to_owned())
}

/// Held by the test that runs a real Neo4j: beside the start of another JVM an answer may be late on two cores.
pub fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The script of a task with a real Neo4j 3.4.6.
pub fn real_neo4j() -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let home = root.join(".local/neo4j-3.4.6").canonicalize().expect("Neo4j 3.4.6: run `make setup`");
    let home = home.display();
    format!("NEO4J_HOME={home} exec {home}/bin/neo4j console")
}
