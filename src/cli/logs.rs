//! `logs` and `open`.

use std::time::Duration;

use clap::Args;
use futures::StreamExt as _;

use super::connect::Context;
use super::launch::{find, lookup};
use super::list::observe;
use super::{Face, print, print_json, remark};
use crate::cloud::{LogItem, LogLine, LogQuery};
use crate::domain::{Environment, text};
use crate::failure::{Failure, Kind};

/// Which log lines to show.
#[derive(Debug, Args)]
pub(crate) struct LogsArgs {
    /// The environment's id, or its name where that is unique
    env: String,
    /// Go on as lines come
    #[arg(long, short)]
    follow: bool,
    /// How far back
    #[arg(long, default_value = "10m", value_parser = humantime::parse_duration, value_name = "TIME")]
    since: Duration,
    /// Only from this source, such as bootstrap
    #[arg(long, value_name = "NAME")]
    source: Option<String>,
}

pub(crate) async fn run(context: &Context, args: LogsArgs) -> Result<(), Failure> {
    if let Some(source) =
        args.source.as_ref().filter(|source| !text::is_printable(source, 64) || source.contains('/'))
    {
        let message = format!("the source {source:?} is not valid");
        return Err(Failure::new(Kind::Usage, message, "use a name such as bootstrap"));
    }
    let record = find(context, &args.env).await?;
    let what = format!("cannot read the logs of {}", record.environment);
    let query = LogQuery {
        fleet: context.fleet().clone(),
        record: record.id,
        source: args.source,
        since: context.engine.clock().now() - args.since,
    };
    if !args.follow {
        let lines = context.cloud().logs(&query).await.map_err(|error| Failure::cloud(&what, &error))?;
        if lines.is_empty() && !context.json {
            remark("there are no lines in this time; look further back with --since");
        }
        return show(context, &lines);
    }
    let mut items = context.cloud().follow(query);
    while let Some(item) = items.next().await {
        match item.map_err(|error| Failure::cloud(&what, &error))? {
            LogItem::Lines(lines) => show(context, &lines)?,
            LogItem::Mode(mode) => tracing::info!(mode, "following"),
        }
    }
    Ok(())
}

/// Text for people; one JSON object a line for programs, since a log has no end.
fn show(context: &Context, lines: &[LogLine]) -> Result<(), Failure> {
    if context.json {
        return lines.iter().try_for_each(|line| {
            print_json(&serde_json::json!({
                "version": super::json::VERSION, "at": line.at, "source": line.source, "text": line.text,
            }))
        });
    }
    let lines =
        lines.iter().map(|line| format!("{} {:<12} {}\n", line.at.format("%T"), line.source, line.text));
    print(&lines.collect::<String>())
}

pub(crate) async fn open(context: &Context, word: &str, face: Face, only_print: bool) -> Result<(), Failure> {
    let (world, now) = observe(context).await?;
    let record = lookup(&world, word)?;
    let policy = &world.fleet.policy;
    let template = match face {
        Face::App => &policy.url_app,
        Face::Dashboard => &policy.url_dashboard,
        Face::Logs => &policy.url_logs,
    };
    let all = Environment::all(&world, now);
    let url = all.iter().find(|one| one.record.id == record.id).and_then(|one| one.url(template));
    let url = url.ok_or_else(|| {
        let message = format!("{} has no address yet", record.environment);
        Failure::new(Kind::Failed, message, "wait until it has started; see hatchery ls")
    })?;
    if context.json {
        print_json(&serde_json::json!({
            "version": super::json::VERSION, "fleet": context.fleet(), "id": record.environment, "url": url,
        }))?;
    } else {
        print(&format!("{url}\n"))?;
    }
    if !only_print && let Err(error) = ::open::that_detached(&url) {
        remark(&format!("no browser can be opened here ({error}); the URL is above"));
    }
    Ok(())
}
