//! `hatchery activity`

use std::time::Duration;

use super::context::Context;
use super::{json, table};
use crate::failure::Failure;

/// Number of latest events to show.
const MAX_EVENTS: usize = 1_000;

pub(crate) async fn run(context: &Context<'_>, since: Duration) -> Result<(), Failure> {
    let events = context.cloud().audit(context.fleet(), context.ago(since), MAX_EVENTS).await;
    let events = events.map_err(|error| Failure::cloud("cannot read the audit log", &error))?;
    if context.console.is_json() {
        return context.console.print_json(&json::activity(context.fleet(), &events));
    }
    if events.len() == MAX_EVENTS {
        context.console.notice(&format!("only the last {MAX_EVENTS} changes are shown"));
    }
    let rows = events.iter().map(|event| {
        let texts = [event.reason.to_string(), event.detail.to_string()];
        vec![
            context.zone.format_full(event.at),
            event.who.to_string(),
            event.action.to_string(),
            event.target.to_string(),
            event.outcome.to_string(),
            texts.into_iter().filter(|text| !text.is_empty()).collect::<Vec<_>>().join("; "),
        ]
    });
    let headings = ["TIME", "WHO", "ACTION", "TARGET", "OUTCOME", "WHY"];
    context.console.print(&table::render(&headings, rows.collect(), "No changes in this period."))
}
