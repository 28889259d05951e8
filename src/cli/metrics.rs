//! The figures of a pass in CloudWatch's Embedded Metric Format: CloudWatch Logs makes metrics of such lines, without a further call.
//! <https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html>

use std::collections::BTreeMap;

use serde::Serialize;

use crate::domain::{ErrorClass, FleetName, Outcome};
use crate::engine::{Report, StepReport};

const NAMESPACE: &str = "hatchery";

/// One line of the log.
#[derive(Debug, Serialize)]
pub(crate) struct Line<'r> {
    #[serde(rename = "_aws")]
    metadata: Metadata,
    /// The dimension.
    #[serde(rename = "Fleet")]
    fleet: &'r str,
    /// The failed steps by their action. No metrics, because each would be charged.
    #[serde(rename = "FailedSteps")]
    failed_steps: BTreeMap<&'static str, usize>,
    #[serde(flatten)]
    values: BTreeMap<&'static str, u64>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Metadata {
    /// In milliseconds.
    timestamp: i64,
    cloud_watch_metrics: [Directive; 1],
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Directive {
    namespace: &'static str,
    dimensions: [[&'static str; 1]; 1],
    metrics: Vec<Definition>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Definition {
    name: &'static str,
    unit: &'static str,
}

/// Returns the line of one pass. `now` is used if AWS's time is not known.
pub(crate) fn line<'r>(
    fleet: &'r FleetName,
    report: &Report,
    now: chrono::DateTime<chrono::Utc>,
) -> Line<'r> {
    let metrics = &report.metrics;
    let mut values = BTreeMap::new();
    let mut definitions = Vec::new();
    let mut add = |name, unit, value: u64| {
        definitions.push(Definition { name, unit });
        values.insert(name, value);
    };
    let failed = |action: &str| {
        report
            .steps
            .iter()
            .filter(|step| is_failed(step) && (action.is_empty() || step.action == action))
            .count()
    };
    let throttled = report.steps.iter().filter(|step| step.error == Some(ErrorClass::Throttled)).count();
    add("CompletePasses", "Count", u64::from(metrics.is_complete));
    add("StepsFailed", "Count", to_u64(failed("")));
    add("LaunchesFailed", "Count", to_u64(failed("launch-instance")));
    add("RestoresFailed", "Count", to_u64(failed("create-database")));
    add("Throttled", "Count", to_u64(metrics.throttled + throttled));
    if let Some(fleet) = &metrics.fleet {
        for (name, count) in [
            ("FreeDatabases", fleet.free),
            ("CreatingDatabases", fleet.creating),
            ("BusyDatabases", fleet.busy),
            ("ClaimedDatabases", fleet.claimed),
            ("FailedDatabases", fleet.failed),
            ("Environments", fleet.environments),
        ] {
            add(name, "Count", to_u64(count));
        }
        add("TargetDatabases", "Count", u64::from(fleet.target));
        let available = fleet.free + fleet.creating;
        add("MissingDatabases", "Count", u64::from(fleet.target).saturating_sub(to_u64(available)));
        add("EmptyPool", "Count", u64::from(fleet.target > 0 && fleet.free == 0));
        add("OverdueSeconds", "Seconds", fleet.overdue);
        if let Some(restore) = fleet.restore {
            add("RestoreSeconds", "Seconds", restore);
        }
        if let Some((hits, misses)) = fleet.hits {
            add("HitsInLastDay", "Count", to_u64(hits));
            add("MissesInLastDay", "Count", to_u64(misses));
        }
        if let Some(warm) = fleet.warm_hits {
            add("WarmHitsInLastDay", "Count", to_u64(warm));
        }
        if let Some(age) = fleet.last_pass {
            add("LastPassSeconds", "Seconds", age);
        }
    }
    let mut failed_steps = BTreeMap::new();
    for step in report.steps.iter().filter(|step| is_failed(step)) {
        *failed_steps.entry(step.action).or_default() += 1;
    }
    let directive = Directive { namespace: NAMESPACE, dimensions: [["Fleet"]], metrics: definitions };
    let timestamp = metrics.at.unwrap_or(now).timestamp_millis();
    let metadata = Metadata { timestamp, cloud_watch_metrics: [directive] };
    Line { metadata, fleet: fleet.as_str(), failed_steps, values }
}

fn is_failed(step: &StepReport) -> bool {
    step.outcome == Outcome::Failed
}

fn to_u64(count: usize) -> u64 {
    count.try_into().unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::domain::metrics::{FleetMetrics, Metrics};

    fn step(action: &'static str, outcome: Outcome, error: Option<ErrorClass>) -> StepReport {
        StepReport {
            action,
            target: "dev-1".to_owned(),
            reason: String::new(),
            outcome,
            detail: String::new(),
            error,
            is_news: true,
        }
    }

    fn document(report: &Report) -> serde_json::Value {
        let now = chrono::DateTime::from_timestamp(1_700_000_000, 0).unwrap();
        serde_json::to_value(line(&"dev".parse().unwrap(), report, now)).unwrap()
    }

    fn names(document: &serde_json::Value) -> Vec<&str> {
        let metrics = document["_aws"]["CloudWatchMetrics"][0]["Metrics"].as_array().unwrap();
        metrics.iter().map(|metric| metric["Name"].as_str().unwrap()).collect()
    }

    #[test]
    fn incomplete_pass_has_no_figures_of_the_fleet() {
        let report = Report {
            steps: vec![
                step("create-database", Outcome::Failed, Some(ErrorClass::Throttled)),
                step("retire-database", Outcome::Failed, Some(ErrorClass::Quota)),
                step("delete-record", Outcome::Done, None),
                step("delete-record", Outcome::Skipped, None),
            ],
            metrics: Metrics { throttled: 2, ..Metrics::default() },
            ..Report::default()
        };
        let count = |name: &str| json!({ "Name": name, "Unit": "Count" });
        assert_eq!(
            document(&report),
            json!({
                "_aws": {
                    "Timestamp": 1_700_000_000_000_i64,
                    "CloudWatchMetrics": [{
                        "Namespace": "hatchery",
                        "Dimensions": [["Fleet"]],
                        "Metrics": [
                            count("CompletePasses"), count("StepsFailed"), count("LaunchesFailed"),
                            count("RestoresFailed"), count("Throttled"),
                        ],
                    }],
                },
                "Fleet": "dev",
                "FailedSteps": { "create-database": 1, "retire-database": 1 },
                "CompletePasses": 0,
                "StepsFailed": 2,
                "LaunchesFailed": 0,
                "RestoresFailed": 1,
                "Throttled": 3,
            })
        );
    }

    #[test]
    fn each_metric_has_its_value() {
        let fleet = FleetMetrics {
            free: 1,
            creating: 2,
            busy: 3,
            claimed: 4,
            failed: 5,
            target: 9,
            environments: 6,
            overdue: 7,
            restore: Some(900),
            hits: Some((8, 1)),
            warm_hits: Some(5),
            last_pass: Some(300),
        };
        let at = chrono::DateTime::from_timestamp(1_800_000_000, 0);
        let metrics = Metrics { at, is_complete: true, throttled: 0, fleet: Some(fleet) };
        let document = document(&Report { metrics, ..Report::default() });
        assert_eq!(document["_aws"]["Timestamp"], 1_800_000_000_000_i64);
        let values: Vec<_> =
            names(&document).into_iter().map(|name| (name, document[name].as_u64().unwrap())).collect();
        assert_eq!(
            values,
            [
                ("CompletePasses", 1),
                ("StepsFailed", 0),
                ("LaunchesFailed", 0),
                ("RestoresFailed", 0),
                ("Throttled", 0),
                ("FreeDatabases", 1),
                ("CreatingDatabases", 2),
                ("BusyDatabases", 3),
                ("ClaimedDatabases", 4),
                ("FailedDatabases", 5),
                ("Environments", 6),
                ("TargetDatabases", 9),
                ("MissingDatabases", 6),
                ("EmptyPool", 0),
                ("OverdueSeconds", 7),
                ("RestoreSeconds", 900),
                ("HitsInLastDay", 8),
                ("MissesInLastDay", 1),
                ("WarmHitsInLastDay", 5),
                ("LastPassSeconds", 300),
            ]
        );
    }
}
