//! The stage: a local cloud with the deployed stack, and what the tests ask of it.

pub mod expect;
pub mod stacks;
pub mod suite;
pub mod usable;

use std::{
    future::Future,
    net::SocketAddr,
    sync::Mutex,
    time::{Duration, SystemTime},
};

use local::{
    client::{self, User},
    cloud::{Cloud, Settings},
    control::{HTTP_PORT, Status},
    deploy,
    gateway::deliveries::{Events, Twice, When},
    layout::Layout,
    observe, report,
    stacks::Ended,
};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

/// Longer than any election, restart or sweep takes on two busy cores.
pub const PATIENCE: Duration = Duration::from_secs(240);
/// Heartbeats of the template, twice as slow as the demo's; the re-arm short enough to be waited for. What a test changes is here
/// too: `sam deploy` keeps the last value of a parameter that it is not given.
const USUAL: [(&str, &str); 9] = [
    ("HeartbeatIntervalMs", "1000"),
    ("HeartbeatTimeoutMs", "4000"),
    ("StandbyRearmSeconds", "5"),
    ("FenceAfterSeconds", "12"),
    ("AuthEnabled", "true"),
    ("RollWhenDegraded", "no"),
    ("Neo4jSettings", ""),
    // Backups are made when a test wants one: their tests ask for them, and a timing of another one has no worker beside it.
    ("HourlyBackups", "false"),
    ("DailyBackupAt", "off"),
];

/// What the schedule sends.
const SWEEP: &[u8] = include_bytes!("../../../events/sweep.json");
/// What an operator asks after the fact.
pub const HISTORY: &[u8] = include_bytes!("../../../events/history.json");

/// Lambda's queue delivers at least once: here every request of CloudFormation comes twice, at once and late by turns.
const TWICE: Twice =
    Twice { events: Events::CustomResources, when: When::Alternately(Duration::from_secs(20)) };

pub type Outcome = Result<(), String>;

/// A running cloud with the stack in it.
pub struct Stage {
    runtime: Runtime,
    /// What the stack was deployed with.
    parameters: Vec<(&'static str, &'static str)>,
    cloud: Mutex<Option<Cloud>>,
}

impl Stage {
    /// Starts the cloud, with its files in `.local/<run>`, and deploys the stack with these parameters too.
    pub fn set(
        run: &str,
        settings: &Settings,
        parameters: &[(&'static str, &'static str)],
    ) -> Result<Self, String> {
        let runtime = Runtime::new().map_err(|error| error.to_string())?;
        let parameters = with(&USUAL, parameters);
        let cloud = runtime.block_on(async {
            let layout = Layout::find(run).map_err(|error| error.to_string())?;
            let cloud = Cloud::start(layout, settings).await.map_err(|error| error.to_string())?;
            cloud.gateway.deliveries.twice(Some(TWICE));
            let built = deploy::build(&cloud.layout, cloud.endpoint).await;
            let deployed = match built {
                Ok(()) => cloud.deploy(&parameters).await,
                failed => failed,
            };
            match deployed {
                Ok(()) => Ok(cloud),
                Err(error) => {
                    cloud.shutdown().await;
                    Err(error.to_string())
                }
            }
        })?;
        Ok(Self { runtime, parameters, cloud: Mutex::new(Some(cloud)) })
    }

    /// Deploys the stack once more with what it was set with, `changed`, and waits for the end of the operation, whichever it is.
    pub async fn redeploy(
        &self,
        cloud: &Cloud,
        changed: &[(&'static str, &'static str)],
    ) -> Result<Ended, String> {
        let parameters = with(&self.parameters, changed);
        // `sam deploy` fails when the operation does; how it ended says CloudFormation.
        let deployed = cloud.deploy(&parameters).await;
        let ended = local::stacks::ended(cloud.endpoint, cloud.stack.name(), PATIENCE).await?;
        match deployed {
            Err(error) if ended.status == "UPDATE_COMPLETE" => Err(error.to_string()),
            _ => Ok(ended),
        }
    }

    /// Ends every process. Logs stay, so that what failed can be found.
    pub fn strike(&self, failed: bool) {
        if let Some(cloud) = self.cloud.lock().expect("tests run one by one").take() {
            if failed {
                eprintln!("the logs of every process are in {}", cloud.layout.run.join("logs").display());
            }
            self.runtime.block_on(cloud.shutdown());
        }
    }

    /// Runs a test's steps on the cloud.
    pub fn play<T>(&self, steps: impl AsyncFnOnce(&Cloud) -> Result<T, String>) -> Result<T, String> {
        let cloud = self.cloud.lock().map_err(|_| "an earlier test panicked on stage")?;
        let cloud = cloud.as_ref().ok_or("the stage was struck")?;
        self.runtime.block_on(steps(cloud))
    }

    /// Prints what the cloud looks like when a test failed.
    pub fn explain(&self) {
        let shown = self.play(async |cloud| {
            let status = report::status(&local::control::status(&cloud.gateway).await);
            Ok(format!("{status}ELB calls so far: {:?}", elb_writes(cloud)))
        });
        eprintln!("{}", shown.unwrap_or_else(|error| error));
    }
}

/// `parameters`, of which some are changed.
fn with(
    parameters: &[(&'static str, &'static str)],
    changed: &[(&'static str, &'static str)],
) -> Vec<(&'static str, &'static str)> {
    let mut all = parameters.to_vec();
    all.retain(|(name, _)| changed.iter().all(|(other, _)| other != name));
    all.extend(changed);
    all
}

/// Waits for `ask` to answer; `otherwise` is what did not happen.
pub async fn wait<T, F: Future<Output = Option<T>>>(
    otherwise: &str,
    ask: impl Fn() -> F,
) -> Result<T, String> {
    observe::until(PATIENCE, ask).await.ok_or_else(|| format!("not within {PATIENCE:?}: {otherwise}"))
}

/// The stack now.
pub async fn status(cloud: &Cloud) -> Status {
    cloud.status().await
}

/// Invokes the deployed function, as a person would with `aws lambda invoke`, and returns its result.
pub async fn invoke(cloud: &Cloud) -> Result<Value, String> {
    let result = ask(cloud, SWEEP).await?;
    if result["verdict"].is_string() { Ok(result) } else { Err(format!("no verdict in {result}")) }
}

/// Invokes it with a payload of its own.
pub async fn ask(cloud: &Cloud, payload: &'static [u8]) -> Result<Value, String> {
    ask_function(cloud, "master-election", payload).await
}

/// Invokes one of the stack's functions.
pub async fn ask_function(cloud: &Cloud, function: &str, payload: &'static [u8]) -> Result<Value, String> {
    use http::Request;
    let path = format!("/2015-03-31/functions/{}/invocations", cloud.stack.function(function));
    let scope = "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/lambda/aws4_request, SignedHeaders=host, Signature=0";
    let request =
        Request::post(path).header("host", cloud.endpoint.to_string()).header("authorization", scope);
    let request =
        request.body(http_body_util::Full::new(bytes::Bytes::from_static(payload))).expect("constants");
    let answer = local::http::send(cloud.endpoint, request, Duration::from_secs(90)).await;
    let (status, body) = answer.map_err(|error| error.to_string())?;
    let result: Value = serde_json::from_slice(&body).map_err(|error| format!("{status}: {error}"))?;
    if status == 200 && result["errorMessage"].is_null() {
        Ok(result)
    } else {
        Err(format!("{status}: {result}"))
    }
}

/// Waits until all nodes are registered and the master alone is admitted; invoking, so that no test waits for a minute.
pub async fn rest(cloud: &Cloud) -> Result<Status, String> {
    for _ in 0..40 {
        observe::form(cloud).await?;
        invoke(cloud).await?;
        if let Ok(status) = observe::at_rest(cloud, Duration::from_secs(15)).await {
            return Ok(status);
        }
    }
    Err("the cluster did not come to rest".into())
}

/// How often target groups were written to.
pub fn elb_writes(cloud: &Cloud) -> Vec<(String, SystemTime)> {
    let calls = cloud.gateway.calls.of("elasticloadbalancing", &["RegisterTargets", "DeregisterTargets"]);
    calls.into_iter().map(|call| (call.action, call.at)).collect()
}

/// Writes one node through the balancer and returns its number when it is acknowledged.
pub async fn write(cloud: &Cloud, number: u64) -> Outcome {
    let endpoint = observe::write_endpoint(&status(cloud).await, HTTP_PORT).ok_or("no listener")?;
    let create = "CREATE (:Written {number: $number})";
    let login = cloud.login(User::Writer).await?;
    client::cypher(endpoint, &login, create, json!({ "number": number }), Duration::from_secs(10)).await?;
    Ok(())
}

/// How often `number` is stored on the node at `address`.
pub async fn count(cloud: &Cloud, address: SocketAddr, number: u64) -> Result<u64, String> {
    let query = "MATCH (w:Written {number: $number}) RETURN count(w)";
    let login = cloud.login(User::Reader).await?;
    let answer =
        client::cypher(address, &login, query, json!({ "number": number }), Duration::from_secs(10)).await?;
    answer["results"][0]["data"][0]["row"][0].as_u64().ok_or_else(|| format!("no count in {answer}"))
}

/// The master, which every test needs to start with.
pub fn master(status: &Status) -> Result<(String, std::net::Ipv4Addr, i32), String> {
    observe::master(status).ok_or_else(|| format!("there is no master:\n{}", report::status(status)))
}
