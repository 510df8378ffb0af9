//! Metrics as log lines in CloudWatch's embedded metric format: no call, no permission, no client.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Map, Value, json};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    Count,
    Milliseconds,
    Seconds,
    Bytes,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Metric<'a> {
    pub name: &'a str,
    pub unit: Unit,
    pub value: u64,
}

/// Prints one line with all `metrics`, found by all `dimensions` together. Without dimensions it is the
/// metric that a log filter makes.
pub fn emit(namespace: &str, dimensions: &[(&str, &str)], metrics: &[Metric<'_>]) {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
    println!("{}", line(u64::try_from(now).unwrap_or(u64::MAX), namespace, dimensions, metrics));
}

fn line(now: u64, namespace: &str, dimensions: &[(&str, &str)], metrics: &[Metric<'_>]) -> Value {
    let names: Vec<&str> = dimensions.iter().map(|(name, _)| *name).collect();
    let unit = |unit| match unit {
        Unit::Count => "Count",
        Unit::Milliseconds => "Milliseconds",
        Unit::Seconds => "Seconds",
        Unit::Bytes => "Bytes",
    };
    let definitions: Vec<Value> =
        metrics.iter().map(|metric| json!({"Name": metric.name, "Unit": unit(metric.unit)})).collect();
    let directive = json!({"Namespace": namespace, "Dimensions": [names], "Metrics": definitions});
    let mut line =
        Map::from_iter([("_aws".to_owned(), json!({"Timestamp": now, "CloudWatchMetrics": [directive]}))]);
    line.extend(dimensions.iter().map(|(name, value)| ((*name).to_owned(), json!(value))));
    line.extend(metrics.iter().map(|metric| (metric.name.to_owned(), json!(metric.value))));
    Value::Object(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_defines_each_metric_and_has_its_value_beside_the_definition() {
        let metrics = [Metric { name: "Calls", unit: Unit::Count, value: 3 }];
        let line = line(7, "N", &[("Stack", "s")], &metrics);
        let expected = json!({"_aws": {"Timestamp": 7, "CloudWatchMetrics": [{"Namespace": "N",
            "Dimensions": [["Stack"]], "Metrics": [{"Name": "Calls", "Unit": "Count"}]}]}, "Stack": "s", "Calls": 3});
        assert_eq!(line, expected);
    }

    /// One empty set of dimensions; without any set there would be no metric.
    #[test]
    fn a_metric_without_dimensions_has_an_empty_set_of_them() {
        let name = format!("BranchedStore-{}", "s");
        let line = line(7, "N", &[], &[Metric { name: &name, unit: Unit::Count, value: 1 }]);
        let expected = json!({"_aws": {"Timestamp": 7, "CloudWatchMetrics": [{"Namespace": "N",
            "Dimensions": [[]], "Metrics": [{"Name": "BranchedStore-s", "Unit": "Count"}]}]}, "BranchedStore-s": 1});
        assert_eq!(line, expected);
    }
}
