//! The result of a run: a Markdown table for an issue, or a JSON document.

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::facts::{Fact, FactBody};
use super::test_bed::TestBed;
use crate::cli::json;
use crate::domain::{format, text};

/// The result without account, names and ids, so that it can be published.
#[derive(Debug, Serialize)]
pub(super) struct Report<'f> {
    version: u32,
    hatchery: &'static str,
    region: String,
    at: DateTime<Utc>,
    /// The engine of the source database with its version.
    database_engine: Option<String>,
    database_class: String,
    seconds: u64,
    facts: Vec<FactBody<'f>>,
    /// How many resources of earlier runs were found.
    leftovers: usize,
    /// How many resources could not be removed.
    left: usize,
    #[serde(skip)]
    all: &'f [Fact],
}

impl<'f> Report<'f> {
    pub(super) async fn new(bed: &TestBed<'_>, facts: &'f [Fact], leftovers: usize, left: usize) -> Self {
        let account = &bed.context.account;
        let policy = &bed.world.fleet.policy;
        let source = account.source_database(&policy.source_database).await.ok().flatten();
        let now = account.time().unwrap_or_else(|| bed.context.engine.clock().now());
        Self {
            version: json::VERSION,
            hatchery: env!("CARGO_PKG_VERSION"),
            region: account.region().to_owned(),
            at: bed.now,
            database_engine: source.map(|source| format!("{} {}", source.engine, source.engine_version)),
            database_class: policy.database_class.clone(),
            seconds: u64::try_from((now - bed.now).num_seconds()).unwrap_or_default(),
            facts: facts.iter().map(FactBody::from).collect(),
            leftovers,
            left,
            all: facts,
        }
    }

    pub(super) fn to_markdown(&self) -> String {
        let mut lines =
            vec!["| fact | expected | observed | verdict |".to_owned(), "|---|---|---|---|".into()];
        for Fact { fact, expected, observed, verdict, .. } in self.all {
            let verdict = match verdict.reason() {
                Some(reason) => format!("not tried: {reason}"),
                None => verdict.as_str().to_owned(),
            };
            let cells = [fact, *expected, observed.as_str(), &verdict].map(cell);
            lines.push(format!("| {} |", cells.join(" | ")));
        }
        let engine = self.database_engine.as_deref().unwrap_or("unknown engine");
        let took = format::format_duration(std::time::Duration::from_secs(self.seconds));
        lines.push(String::new());
        lines.push(format!(
            "hatchery {}, {}, {} UTC, {engine} on {}, took {took}",
            self.hatchery,
            self.region,
            self.at.format("%F %R"),
            self.database_class,
        ));
        lines.iter().map(|line| format!("{line}\n")).collect()
    }
}

/// Escapes what would end a cell of a Markdown table.
fn cell(text: &str) -> String {
    text::sanitize(text).replace('|', "\\|")
}

#[cfg(test)]
mod tests {
    use super::cell;

    #[test]
    fn cell_stays_one_cell() {
        assert_eq!(cell("a|b\nc\u{1b}[31m"), "a\\|b c");
    }
}
