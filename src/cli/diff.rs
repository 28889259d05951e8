//! `hatchery diff`

use super::context::Context;
use super::lookup::resolve;
use super::{json, table};
use crate::domain::diff::{Comparison, Version, diff};
use crate::domain::format::short_digest;
use crate::domain::{Environment, Record};
use crate::failure::{Failure, Kind};

/// Prints the services of both environments side by side. A difference is no failure, so the exit code is 0.
pub(crate) async fn run(context: &Context<'_>, first: &str, second: &str) -> Result<(), Failure> {
    let records = [resolve(context, first).await?, resolve(context, second).await?];
    let (world, now) = context.observe_completely().await?;
    let environments = Environment::all(&world, now);
    let find = |record: &Record| {
        let found = environments.iter().find(|environment| environment.record.id == record.id);
        found.ok_or_else(|| {
            let message = format!("AWS does not list {} any more, or not yet", record.environment);
            Failure::new(Kind::NotFound, message, "list them with: hatchery ls")
        })
    };
    let (first, second) = (find(&records[0])?, find(&records[1])?);
    let services = diff(first, second);
    if context.console.is_json() {
        return context.console.print_json(&json::diff(context.fleet(), first, second, &services));
    }
    let rows = services.iter().map(|service| {
        let comparison = match service.comparison {
            Comparison::OnlyFirst => format!("only in {}", first.id()),
            Comparison::OnlySecond => format!("only in {}", second.id()),
            comparison => comparison.to_string(),
        };
        vec![service.service.to_string(), cell(service.first), cell(service.second), comparison]
    });
    let (first, second) = (first.id().to_string(), second.id().to_string());
    let placeholder = "Neither environment has services under test; both run the chart's own versions.";
    context.console.print(&table::render(&["SERVICE", &first, &second, ""], rows.collect(), placeholder))
}

/// Formats a tag and the digest of the running image.
fn cell(version: Option<Version<'_>>) -> String {
    match version {
        None => "default".to_owned(),
        Some(Version { tag, digest: None }) => tag.to_string(),
        Some(Version { tag, digest: Some(digest) }) => format!("{tag} ({})", short_digest(digest)),
    }
}
