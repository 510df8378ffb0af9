//! What the product asks of AWS while nothing happens, counted at the gateway, and what that costs.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    time::{Duration, SystemTime},
};

use serde_json::{Value, json};

use super::prices;
use crate::{backups, cloud::Cloud, observe, stacks};

/// From the last call of one sweep to the first of the next one most of a minute passes.
const QUIET: Duration = Duration::from_secs(10);
const LOOK: Duration = Duration::from_millis(500);
const RESTING: Duration = Duration::from_secs(240);
/// What CloudWatch Logs adds to each event.
const LOG_OVERHEAD: u64 = 26;
const MINUTES_OF_AN_HOUR: f64 = 60.0;
/// Of backup-trigger: its schedule is a quarter of an hour.
const TICKS_OF_AN_HOUR: f64 = 4.0;
/// As they are on AWS; what samconfig.toml deploys here has none.
const WITH_BACKUPS: [(&str, &str); 2] = [("HourlyBackups", "true"), ("DailyBackupAt", "02:00")];
/// Ticks until one is alone; a sweep comes once a minute.
const TICKS: u32 = 5;
const BACKING_UP: Duration = Duration::from_secs(240);
/// What a cluster of three may ask of AWS in an hour while nothing happens: ListTasks and DescribeTasks share a bucket with all that
/// an account does in a region, and every call has a price. Five a minute are those of sweeps and of the users' reconcile; a tick of
/// backup-trigger has five more, to look at its state, its bucket and the nodes.
const MOST_CALLS_AN_HOUR: f64 = 5.0 * MINUTES_OF_AN_HOUR + 5.0 * TICKS_OF_AN_HOUR;

/// What was seen from one moment to a later one.
#[derive(Clone, Debug, Default, PartialEq)]
struct Seen {
    /// Sweeps of master-election: one a minute on AWS.
    sweeps: u32,
    /// By `service.Action`.
    calls: BTreeMap<String, u64>,
    /// Ticks of backup-trigger.
    ticks: u32,
    /// Of all functions.
    invocations: u32,
    gb_seconds: f64,
    log_bytes: u64,
    /// Each with the values of its dimensions.
    metrics: BTreeSet<String>,
    alarms: usize,
    secrets: usize,
}

/// What there was: the minutes at rest, and one tick of backup-trigger, whose schedule is too slow to be waited for.
struct AtRest {
    minutes: Seen,
    tick: Seen,
}

/// Leaves a cluster at rest for `minutes` and prints the figures.
///
/// # Errors
/// The step that was not observed, or that more was asked for than the goal is.
pub async fn run(cloud: &Cloud, minutes: u32) -> Result<(), String> {
    super::form(cloud, &WITH_BACKUPS).await?;
    observe::at_rest(cloud, RESTING).await?;
    println!("a first backup is made, so that none is due");
    backups::made(cloud, &BTreeSet::new(), BACKING_UP).await?;
    println!("at rest; counting for {minutes} minutes");
    let mut of_minutes = counted(cloud, tokio::time::sleep(Duration::from_secs(60) * minutes)).await?;
    if of_minutes.sweeps == 0 {
        return Err(format!("no sweep in {minutes} minutes: the schedule does not invoke master-election"));
    }
    of_minutes.secrets = count(cloud, "AWS::SecretsManager::Secret").await?;
    of_minutes.alarms = count(cloud, "AWS::CloudWatch::Alarm").await?;
    let seen = AtRest { minutes: of_minutes, tick: quiet_tick(cloud).await? };
    if seen.minutes.ticks > 0 {
        return Err("the schedule's own tick came while the minutes were counted: run this again".into());
    }
    print!("{}", table(&seen));
    println!("{}", within_the_goal(&seen)?);
    Ok(())
}

/// One tick that finds nothing to do, beside no other invocation.
async fn quiet_tick(cloud: &Cloud) -> Result<Seen, String> {
    for _try in 0..TICKS {
        let mut answer = Ok(Value::Null);
        let tick = counted(cloud, async { answer = backups::tick(cloud).await }).await?;
        let answer = answer?;
        if !(answer["refusal"].is_null() && answer["run"].is_null()) {
            return Err(format!("a backup is due, because an hour has begun: run this again ({answer})"));
        }
        if (tick.ticks, tick.invocations) == (1, 1) {
            return Ok(tick);
        }
    }
    Err(format!("none of {TICKS} ticks was alone: other functions were invoked beside each"))
}

/// What there is from a quiet moment to the one after `meanwhile`.
async fn counted(cloud: &Cloud, meanwhile: impl Future<Output = ()>) -> Result<Seen, String> {
    let before = quiet(cloud).await?;
    let (begun, logged) = (SystemTime::now(), task_logs(cloud));
    meanwhile.await;
    let after = quiet(cloud).await?;
    let mut seen = functions(cloud, begun).await?;
    seen.log_bytes += task_logs(cloud).saturating_sub(logged);
    let grown = |(name, count): (&String, &u64)| {
        let new = count - before.get(name).copied().unwrap_or(0);
        (new > 0).then(|| (name.clone(), new))
    };
    seen.calls = after.iter().filter_map(grown).collect();
    Ok(seen)
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
    let groups = cloud.gateway.emulator.json("logs", "Logs_20140328.DescribeLogGroups", &json!({})).await;
    let groups = groups.map_err(|error| error.to_string())?;
    for group in groups["logGroups"].as_array().into_iter().flatten() {
        let name = group["logGroupName"].as_str().unwrap_or_default();
        for message in cloud.log_messages(name, begun).await {
            seen.log_bytes += u64::try_from(message.len()).unwrap_or(u64::MAX).saturating_add(LOG_OVERHEAD);
            if let Some((millis, megabytes)) = report(&message) {
                seen.invocations += 1;
                seen.sweeps += u32::from(name.ends_with("-master-election"));
                seen.ticks += u32::from(name.ends_with("-backup-trigger"));
                seen.gb_seconds += millis / 1000.0 * megabytes / 1024.0;
            }
            seen.metrics.extend(embedded_metrics(&message));
        }
    }
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

impl AtRest {
    /// What this much in the minutes, and this much in a tick, is in an hour.
    fn an_hour(&self, in_minutes: f64, in_a_tick: f64) -> f64 {
        in_minutes * MINUTES_OF_AN_HOUR / f64::from(self.minutes.sweeps) + in_a_tick * TICKS_OF_AN_HOUR
    }

    /// The calls whose `service.Action` is wanted: in the minutes, in a tick, in an hour.
    #[allow(clippy::cast_precision_loss)] // counts of minutes are far below 2^52
    fn calls(&self, wanted: impl Fn(&str) -> bool) -> (u64, u64, f64) {
        let sum =
            |seen: &Seen| seen.calls.iter().filter(|(name, _)| wanted(name)).map(|(_, count)| *count).sum();
        let (in_minutes, in_a_tick): (u64, u64) = (sum(&self.minutes), sum(&self.tick));
        (in_minutes, in_a_tick, self.an_hour(in_minutes as f64, in_a_tick as f64))
    }

    /// Every `service.Action`.
    fn names(&self) -> BTreeSet<&String> {
        self.minutes.calls.keys().chain(self.tick.calls.keys()).collect()
    }
}

/// The line that says whether the goal is met; the error names the calls that there are most of.
fn within_the_goal(seen: &AtRest) -> Result<String, String> {
    let (_, _, all) = seen.calls(|_| true);
    let sum = format!("AWS calls an hour at rest: {all:.0} (at most {MOST_CALLS_AN_HOUR:.0})");
    if all <= MOST_CALLS_AN_HOUR {
        return Ok(sum);
    }
    let mut calls: Vec<_> =
        seen.names().into_iter().map(|name| (name, seen.calls(|other| other == name).2)).collect();
    calls.sort_by(|(_, one), (_, other)| other.total_cmp(one));
    let most = calls.iter().take(3).map(|(name, an_hour)| format!("{name} {an_hour:.0}"));
    Err(format!("{sum}; most of them are {}", most.collect::<Vec<_>>().join(", ")))
}

#[allow(clippy::cast_precision_loss)] // counts of minutes are far below 2^52
fn table(seen: &AtRest) -> String {
    let mut text = format!(
        "\ncounted over {} sweeps, which are one a minute on AWS, and in a tick of backup-trigger, four an hour\n",
        seen.minutes.sweeps
    );
    text += &format!("{:<52}{:>10}{:>10}{:>12}\n", "CALL", "COUNTED", "A TICK", "AN HOUR");
    let mut row = |name: &str, (in_minutes, in_a_tick, an_hour): (u64, u64, f64)| {
        text += &format!("{name:<52}{in_minutes:>10}{in_a_tick:>10}{an_hour:>12.0}\n");
    };
    for name in seen.names() {
        row(name, seen.calls(|other| other == name));
    }
    row("all", seen.calls(|_| true));
    text.push('\n');

    let writes = |name: &str| ["s3.PUT", "s3.POST", "s3.LIST"].contains(&name);
    let calls = |wanted: &dyn Fn(&str) -> bool| seen.calls(wanted).2 * prices::HOURS;
    let a_month = |of: fn(&Seen) -> f64| seen.an_hour(of(&seen.minutes), of(&seen.tick)) * prices::HOURS;
    let invocations = a_month(|seen| f64::from(seen.invocations));
    let rows = [
        ("Lambda: invocations", invocations, prices::LAMBDA_REQUEST),
        (
            "Lambda: GB-seconds, as long as they take here",
            a_month(|seen| seen.gb_seconds),
            prices::LAMBDA_GB_SECOND,
        ),
        ("Scheduler: invocations", invocations, prices::SCHEDULED),
        ("EventBridge: events", calls(&|name| name == "events.PutEvents"), prices::EVENT),
        ("S3: writes and listings", calls(&writes), prices::S3_WRITE),
        ("S3: reads", calls(&|name| name.starts_with("s3.") && !writes(name)), prices::S3_READ),
        ("Secrets Manager: calls", calls(&|name| name.starts_with("secretsmanager.")), prices::SECRET_CALL),
        ("CloudWatch: GB of logs", a_month(|seen| seen.log_bytes as f64) / 1e9, prices::LOGS_GB),
        (
            "CloudWatch: metrics",
            seen.minutes.metrics.union(&seen.tick.metrics).count() as f64,
            prices::METRIC,
        ),
        ("CloudWatch: alarms", seen.minutes.alarms as f64, prices::ALARM),
        ("Secrets Manager: secrets", seen.minutes.secrets as f64, prices::SECRET),
    ];
    text += &format!("{:<52}{:>14}{:>8}\n", "A MONTH OF 730 HOURS, us-east-1, list price", "HOW MANY", "USD");
    for (what, quantity, price) in rows {
        text += &format!("{what:<52}{quantity:>14.3}{:>8.2}\n", quantity * price);
    }
    let total: f64 = rows.iter().map(|(_, quantity, price)| quantity * price).sum();
    text + &format!(
        "{:<52}{:>22.2}\n\nNot in it: nodes, volumes, balancers, backups themselves (docs/backups.md), and NAT or endpoints.\n",
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

    /// Five minutes with so many listings of tasks, and a tick with two.
    fn seen(lists: u64) -> AtRest {
        let calls = |lists| BTreeMap::from([("ecs.ListTasks".to_owned(), lists), ("s3.GET".to_owned(), 5)]);
        let metrics = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let minutes = Seen {
            sweeps: 5,
            calls: calls(lists),
            invocations: 6,
            gb_seconds: 1.0,
            metrics: metrics(&["a", "b"]),
            ..Seen::default()
        };
        let tick = Seen {
            ticks: 1,
            calls: calls(2),
            invocations: 1,
            metrics: metrics(&["b", "c"]),
            ..Seen::default()
        };
        AtRest { minutes, tick }
    }

    #[test]
    fn what_was_counted_in_some_minutes_and_a_tick_is_told_for_an_hour_and_a_month() {
        let text = table(&seen(10));
        let row = |start: &str| {
            let line = text.lines().find(|line| line.starts_with(start)).unwrap_or_else(|| panic!("{text}"));
            line[52..].split_whitespace().map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(row("all"), ["15", "7", "208"]);
        assert_eq!(row("ecs.ListTasks"), ["10", "2", "128"]);
        assert_eq!(row("s3.GET"), ["5", "5", "80"]);
        assert_eq!(row("S3: reads"), ["58400.000", "0.02"]);
        assert_eq!(row("Lambda: invocations"), ["55480.000", "0.01"]);
        assert_eq!(row("CloudWatch: metrics"), ["3.000", "0.90"]);
    }

    #[test]
    fn the_goal_is_a_total_an_hour_and_a_miss_names_the_calls_there_are_most_of() {
        assert_eq!(within_the_goal(&seen(19)).unwrap(), "AWS calls an hour at rest: 316 (at most 320)");
        assert_eq!(
            within_the_goal(&seen(20)).unwrap_err(),
            "AWS calls an hour at rest: 328 (at most 320); most of them are ecs.ListTasks 248, s3.GET 80"
        );
    }
}
