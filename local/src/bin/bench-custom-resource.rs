//! How soon a bad event is answered FAILED: from the moment the Runtime API hands it out to the answer's PUT, on the
//! binary that is shipped.

use std::{process::ExitCode, time::Duration};

use local::{
    bench::Figures,
    layout::Layout,
    runtime_api::{Function, TEMPLATE},
};
use serde_json::{Value, json};

const RUNS: usize = 200;
/// What the project promises.
const LIMIT: Duration = Duration::from_millis(50);
const PATIENCE: Duration = Duration::from_secs(10);

#[tokio::main]
async fn main() -> ExitCode {
    match measure().await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("bench-custom-resource: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn measure() -> Result<bool, String> {
    // Nobody is there, and nobody may be asked: the event is bad.
    let mut environment = vec![("AWS_ENDPOINT_URL", "http://127.0.0.1:1")];
    environment.extend(TEMPLATE);
    let log = std::env::temp_dir().join(format!("bench-custom-resource-{}.log", std::process::id()));
    let binary = Layout::find("run").map_err(|error| error.to_string())?.binary("user-creation");
    let function = Function::start(&binary, &environment, &log)
        .await
        .map_err(|error| format!("{}: {error}: run `make release`", binary.display()))?;
    let mut took = Vec::new();
    for run in 0..=RUNS {
        function.invoke(bad(run, &function.answer_url()), PATIENCE);
        function.ended(PATIENCE).await.ok_or_else(|| format!("no end of an event; see {}", log.display()))?;
        let puts = function.puts();
        let [put] = &puts[..] else { return Err(format!("{} answers to one event", puts.len())) };
        if put.json()["Status"] != "FAILED" {
            return Err(format!("a bad event was answered {}", put.json()));
        }
        // The first one opens what stays open.
        if run > 0 {
            took.push(u64::try_from(put.took.as_micros()).unwrap_or(u64::MAX));
        }
    }
    let _temporary = std::fs::remove_file(log);
    let figures = Figures::of(took);
    let slowest = figures.percentile(100);
    println!(
        "bad event to FAILED   {} us   p95 {}, maximum {slowest} of {RUNS}   (at most {} ms)",
        figures.range(),
        figures.percentile(95),
        LIMIT.as_millis()
    );
    Ok(u128::from(slowest) <= LIMIT.as_micros())
}

/// Each in its own way.
fn bad(run: usize, answer_url: &str) -> Value {
    let properties = [
        json!({"Username": "neo4j", "Role": "admin", "PasswordSecretArn": "arn"}),
        json!({"Role": "reader"}),
        json!({"Username": "x`y", "Role": "reader", "PasswordSecretArn": "arn"}),
        json!("none"),
    ];
    json!({
        "RequestType": "Create",
        "RequestId": format!("request-{run}"),
        "ResponseURL": answer_url,
        "StackId": "arn:aws:cloudformation:us-east-1:000000000000:stack/bench/1",
        "ResourceType": "Custom::Neo4jUser",
        "LogicalResourceId": "User",
        "ResourceProperties": properties[run % properties.len()],
    })
}
