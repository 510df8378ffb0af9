//! What the product asks of AWS while nothing happens, counted at the gateway, and what that costs.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    time::{Duration, SystemTime},
};

use serde_json::{Value, json};

use super::prices;
use crate::{cloud::Cloud, observe, stacks};

/// From the last call of one sweep to the first of the next one most of a minute passes.
const QUIET: Duration = Duration::from_secs(10);
const LOOK: Duration = Duration::from_millis(500);
const RESTING: Duration = Duration::from_secs(240);
/// What CloudWatch Logs adds to each event.
const LOG_OVERHEAD: u64 = 26;
const MINUTES_OF_AN_HOUR: f64 = 60.0;
/// What a cluster of three may ask of AWS in an hour while nothing happens: ListTasks and DescribeTasks share a bucket with all that
/// an account does in a region, and every call has a price.
const MOST_CALLS_AN_HOUR: f64 = 300.0;

/// What was seen from one moment to a later one.
#[derive(Clone, Debug, Default, PartialEq)]
struct Seen {
    /// Sweeps of master-election: one a minute on AWS.
    sweeps: u32,
    /// By `service.Action`.
    calls: BTreeMap<String, u64>,
    /// Of all functions.
    invocations: u32,
    gb_seconds: f64,
    log_bytes: u64,
    metrics: usize,
    alarms: usize,
    secrets: usize,
}

/// Leaves a cluster at rest for `minutes` and prints the figures.
///
/// # Errors
/// The step that was not observed, or that more was asked for than the goal is.
pub async fn run(cloud: &Cloud, minutes: u32) -> Result<(), String> {
    super::form(cloud, &[]).await?;
    observe::at_rest(cloud, RESTING).await?;
    let before = quiet(cloud).await?;
    let (begun, logged) = (SystemTime::now(), task_logs(cloud));
    println!("at rest; counting for {minutes} minutes");
    tokio::time::sleep(Duration::from_secs(60) * minutes).await;
    let after = quiet(cloud).await?;
    let mut seen = functions(cloud, begun).await?;
    seen.log_bytes += task_logs(cloud).saturating_sub(logged);
    let grown = |(name, count): (&String, &u64)| {
        let new = count - before.get(name).copied().unwrap_or(0);
        (new > 0).then(|| (name.clone(), new))
    };
    seen.calls = after.iter().filter_map(grown).collect();
    seen.secrets = count(cloud, "AWS::SecretsManager::Secret").await?;
    seen.alarms = count(cloud, "AWS::CloudWatch::Alarm").await?;
    if seen.sweeps == 0 {
        return Err(format!("no sweep in {minutes} minutes: the schedule does not invoke master-election"));
    }
    print!("{}", table(&seen));
    println!("{}", within_the_goal(&seen)?);
    Ok(())
}

/// The counts at a moment in the middle of nothing, so that sweeps are counted as a whole.
async fn quiet(cloud: &Cloud) -> Result<BTreeMap<String, u64>, String> {
    let still = || async {
        let before = cloud.gateway.calls.counts();
        let looks = QUIET.as_millis() / LOOK.as_millis();
        for _look in 0..looks {
            tokio::time::sleep(LOOK).await;
            if cloud.gateway.calls.counts() != before {
                return None;
            }
        }
        Some(before)
    };
    observe::until(RESTING, still)
        .await
        .ok_or_else(|| format!("AWS was called again and again for {RESTING:?}"))
}

/// What the functions logged since `begun`: their invocations, and what is ingested.
async fn functions(cloud: &Cloud, begun: SystemTime) -> Result<Seen, String> {
    let mut seen = Seen::default();
    let mut metrics = BTreeSet::new();
    let groups = cloud.gateway.emulator.json("logs", "Logs_20140328.DescribeLogGroups", &json!({})).await;
    let groups = groups.map_err(|error| error.to_string())?;
    for group in groups["logGroups"].as_array().into_iter().flatten() {
        let name = group["logGroupName"].as_str().unwrap_or_default();
        for message in cloud.log_messages(name, begun).await {
            seen.log_bytes += u64::try_from(message.len()).unwrap_or(u64::MAX).saturating_add(LOG_OVERHEAD);
            if let Some((millis, megabytes)) = report(&message) {
                seen.invocations += 1;
                seen.sweeps += u32::from(name.ends_with("-master-election"));
                seen.gb_seconds += millis / 1000.0 * megabytes / 1024.0;
            }
            metrics.extend(embedded_metrics(&message));
        }
    }
    seen.metrics = metrics.len();
    Ok(seen)
}

/// Billed milliseconds and megabytes of an invocation, from the line that Lambda writes at its end.
fn report(message: &str) -> Option<(f64, f64)> {
    let field = |name: &str| message.split_once(name)?.1.split_whitespace().next()?.parse::<f64>().ok();
    message.starts_with("REPORT ").then_some(())?;
    Some((field("Billed Duration: ")?, field("Memory Size: ")?))
}

/// The metrics that a log line makes in CloudWatch, each with the values of its dimensions.
fn embedded_metrics(message: &str) -> Vec<String> {
    let line: Value = serde_json::from_str(message.trim()).unwrap_or_default();
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let mut found = Vec::new();
    for directive in list(&line["_aws"]["CloudWatchMetrics"]) {
        for set in list(&directive["Dimensions"]) {
            let value = |name: &Value| line[name.as_str().unwrap_or_default()].to_string();
            let dimensions: Vec<String> = list(&set).iter().map(value).collect();
            let named =
                |metric: &Value| format!("{} {dimensions:?} {}", directive["Namespace"], metric["Name"]);
            found.extend(list(&directive["Metrics"]).iter().map(named));
        }
    }
    found
}

/// Bytes that tasks have printed: the agent sends them to CloudWatch Logs.
fn task_logs(cloud: &Cloud) -> u64 {
    let files = fs::read_dir(cloud.layout.run.join("logs")).into_iter().flatten().flatten();
    let prefix = format!("{}-core-", cloud.stack);
    let of_tasks = files.filter(|file| file.file_name().to_string_lossy().starts_with(&prefix));
    of_tasks
        .filter_map(|file| file.metadata().ok())
        .filter(|meta| meta.is_file())
        .map(|meta| meta.len())
        .sum()
}

/// How many resources of a type the stack has, those of nested stacks too.
async fn count(cloud: &Cloud, kind: &str) -> Result<usize, String> {
    let resources = stacks::resources(cloud.gateway.emulator.at, cloud.stack.name()).await?;
    Ok(resources.iter().filter(|resource| resource.kind == kind).count())
}

impl Seen {
    /// What a count of these sweeps is in an hour.
    #[allow(clippy::cast_precision_loss)] // counts of minutes are far below 2^52
    fn an_hour(&self, count: u64) -> f64 {
        count as f64 * MINUTES_OF_AN_HOUR / f64::from(self.sweeps)
    }

    /// All calls.
    fn all(&self) -> u64 {
        self.calls.values().sum()
    }
}

/// The line that says whether the goal is met; the error names the calls that there are most of.
fn within_the_goal(seen: &Seen) -> Result<String, String> {
    let all = seen.an_hour(seen.all());
    let sum = format!("AWS calls an hour at rest: {all:.0} (at most {MOST_CALLS_AN_HOUR:.0})");
    if all <= MOST_CALLS_AN_HOUR {
        return Ok(sum);
    }
    let mut calls: Vec<_> = seen.calls.iter().collect();
    calls.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
    let most = calls.iter().take(3).map(|(name, count)| format!("{name} {:.0}", seen.an_hour(**count)));
    Err(format!("{sum}; most of them are {}", most.collect::<Vec<_>>().join(", ")))
}

#[allow(clippy::cast_precision_loss)] // counts of minutes are far below 2^52
fn table(seen: &Seen) -> String {
    let an_hour = MINUTES_OF_AN_HOUR / f64::from(seen.sweeps);
    let mut text = format!("\ncounted over {} sweeps, which are one a minute on AWS\n", seen.sweeps);
    text += &format!("{:<52}{:>10}{:>12}\n", "CALL", "COUNTED", "AN HOUR");
    for (name, count) in &seen.calls {
        text += &format!("{name:<52}{count:>10}{:>12.0}\n", seen.an_hour(*count));
    }
    let calls = |wanted: &dyn Fn(&str) -> bool| {
        let matching = seen.calls.iter().filter(|(name, _)| wanted(name));
        matching.map(|(_, count)| *count).sum::<u64>() as f64
    };
    text += &format!("{:<52}{:>10}{:>12.0}\n\n", "all", seen.all(), seen.an_hour(seen.all()));

    let writes = |name: &str| ["s3.PUT", "s3.POST"].contains(&name);
    let a_month = an_hour * prices::HOURS;
    let rows = [
        ("Lambda: invocations", f64::from(seen.invocations) * a_month, prices::LAMBDA_REQUEST),
        (
            "Lambda: GB-seconds, as long as they take here",
            seen.gb_seconds * a_month,
            prices::LAMBDA_GB_SECOND,
        ),
        ("Scheduler: invocations", f64::from(seen.invocations) * a_month, prices::SCHEDULED),
        ("EventBridge: events", calls(&|name| name == "events.PutEvents") * a_month, prices::EVENT),
        ("S3: writes", calls(&writes) * a_month, prices::S3_WRITE),
        ("S3: reads", calls(&|name| name.starts_with("s3.") && !writes(name)) * a_month, prices::S3_READ),
        (
            "Secrets Manager: calls",
            calls(&|name| name.starts_with("secretsmanager.")) * a_month,
            prices::SECRET_CALL,
        ),
        ("CloudWatch: GB of logs", seen.log_bytes as f64 * a_month / 1e9, prices::LOGS_GB),
        ("CloudWatch: metrics", seen.metrics as f64, prices::METRIC),
        ("CloudWatch: alarms", seen.alarms as f64, prices::ALARM),
        ("Secrets Manager: secrets", seen.secrets as f64, prices::SECRET),
    ];
    text += &format!("{:<52}{:>14}{:>8}\n", "A MONTH OF 730 HOURS, us-east-1, list price", "HOW MANY", "USD");
    for (what, quantity, price) in rows {
        text += &format!("{what:<52}{quantity:>14.3}{:>8.2}\n", quantity * price);
    }
    let total: f64 = rows.iter().map(|(_, quantity, price)| quantity * price).sum();
    text + &format!(
        "{:<52}{:>22.2}\n\nNot in it: nodes, volumes, balancers, and NAT or endpoints.\n",
        "all", total
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_invocation_is_read_off_lambdas_own_line() {
        let line = "REPORT RequestId: 1-2\tDuration: 41.2 ms\tBilled Duration: 42 ms\tMemory Size: 128 MB\tMax Memory Used: 9 MB";
        assert_eq!(report(line), Some((42.0, 128.0)));
        assert_eq!(report("START RequestId: 1-2"), None);
        assert_eq!(report(r#"{"message":"REPORT "}"#), None);
    }

    #[test]
    fn a_metric_counts_once_for_each_set_of_dimension_values() {
        let line = |stack: &str| {
            json!({"_aws": {"Timestamp": 1, "CloudWatchMetrics": [{"Namespace": "N", "Dimensions": [["Stack"]],
                "Metrics": [{"Name": "A"}, {"Name": "B"}]}]}, "Stack": stack, "A": 1, "B": 2})
            .to_string()
        };
        let all: BTreeSet<String> =
            ["s", "s", "t"].iter().flat_map(|stack| embedded_metrics(&line(stack))).collect();
        assert_eq!(all.len(), 4);
        assert!(embedded_metrics("not JSON").is_empty());
    }

    #[test]
    fn what_was_counted_in_some_minutes_is_told_for_an_hour_and_a_month() {
        let calls = BTreeMap::from([("ecs.ListTasks".to_owned(), 10), ("s3.GET".to_owned(), 5)]);
        let seen = Seen { sweeps: 5, calls, invocations: 6, gb_seconds: 1.0, metrics: 9, ..Seen::default() };
        let text = table(&seen);
        let row = |start: &str| {
            let line = text.lines().find(|line| line.starts_with(start)).unwrap_or_else(|| panic!("{text}"));
            line[52..].split_whitespace().map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(row("all"), ["15", "180"]);
        assert_eq!(row("ecs.ListTasks"), ["10", "120"]);
        assert_eq!(row("s3.GET"), ["5", "60"]);
        assert_eq!(row("S3: reads"), ["43800.000", "0.02"]);
        assert_eq!(row("Lambda: invocations"), ["52560.000", "0.01"]);
        assert_eq!(row("CloudWatch: metrics"), ["9.000", "2.70"]);
    }

    #[test]
    fn the_goal_is_a_total_an_hour_and_a_miss_names_the_calls_there_are_most_of() {
        let seen = |lists| Seen {
            sweeps: 5,
            calls: BTreeMap::from([("ecs.ListTasks".to_owned(), lists), ("s3.GET".to_owned(), 5)]),
            ..Seen::default()
        };
        assert_eq!(within_the_goal(&seen(20)).unwrap(), "AWS calls an hour at rest: 300 (at most 300)");
        assert_eq!(
            within_the_goal(&seen(21)).unwrap_err(),
            "AWS calls an hour at rest: 312 (at most 300); most of them are ecs.ListTasks 252, s3.GET 60"
        );
    }
}
