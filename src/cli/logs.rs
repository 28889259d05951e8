//! `hatchery logs`

use std::time::Duration;

use clap::Args;
use futures::StreamExt as _;

use super::context::Context;
use super::json;
use super::lookup::resolve;
use super::options::parse_duration;
use crate::cloud::{LogItem, LogLine, LogQuery};
use crate::domain::format::format_lines;
use crate::domain::text;
use crate::failure::{Failure, Kind};
use crate::tui::{self, Zone};

#[derive(Debug, Args)]
pub(crate) struct LogsArgs {
    /// Id of the environment, or its name if that is unique
    env: String,
    /// Keep printing new lines as they arrive, through Live Tail, for about $0.01 a minute
    #[arg(long, short)]
    follow: bool,
    /// How far back to start
    #[arg(long, default_value = "10m", value_parser = parse_duration, value_name = "DURATION")]
    since: Duration,
    /// Show only this source, such as bootstrap
    #[arg(long, value_name = "NAME")]
    source: Option<String>,
}

pub(crate) async fn run(context: &Context<'_>, args: LogsArgs) -> Result<(), Failure> {
    // The names of log streams have no colon and no asterisk. What has one is an id or an ARN, not a source.
    let is_valid = |source: &str| text::is_printable(source, 64) && !source.contains(['/', ':', '*']);
    if let Some(source) = args.source.as_ref().filter(|source| !is_valid(source)) {
        let message = format!("not a valid log source: {source:?}");
        return Err(Failure::new(Kind::Usage, message, "use a name such as bootstrap"));
    }
    let record = resolve(context, &args.env).await?;
    let cannot = format!("cannot read the logs of {}", record.environment);
    let query = LogQuery {
        fleet: context.fleet().clone(),
        record: record.id,
        source: args.source,
        since: context.ago(args.since),
    };
    if !args.follow {
        let stored = context.engine.logs(&query).await.map_err(|error| Failure::cloud(&cannot, &error))?;
        if stored.lines.is_empty() && !context.console.is_json() {
            context.console.notice("no log lines in this period; use --since to look further back");
        }
        if let Some(left_out) = stored.left_out {
            context.console.notice(&format!("… {left_out}; use a shorter --since, or --source"));
        }
        return print_lines(context, &stored.lines);
    }
    // What was printed cannot be put behind older lines.
    let mut items = context.engine.follow_logs(query, 0);
    while let Some(item) = items.next().await {
        match item.map_err(|error| Failure::cloud(&cannot, &error))? {
            LogItem::Lines(lines) => print_lines(context, &lines)?,
            LogItem::Mode(mode) => context.console.notice(&format!("following by {mode}")),
            LogItem::LeftOut(left_out) => context.console.notice(&format!("… {left_out}")),
            LogItem::Older { .. } => {}
            LogItem::Paused(reason) => {
                let goes_on = "the log goes on after a login";
                context.console.notice(&format!("AWS refuses the credentials ({reason}); {goes_on}"));
            }
            LogItem::Interrupted(reason) => {
                context.console.notice(&format!("the log was interrupted ({reason}); connecting again"));
            }
        }
    }
    Ok(())
}

/// Prints text, or one JSON document per event of the log, because a log that is followed has no end.
fn print_lines(context: &Context<'_>, lines: &[LogLine]) -> Result<(), Failure> {
    if context.console.is_json() {
        return lines.iter().try_for_each(|line| context.console.print_json(&json::log_line(line)));
    }
    context.console.print(&lines.iter().map(|line| format_line(line, context.zone)).collect::<String>())
}

/// Formats an event as text. The lines after the first one are indented to it.
fn format_line(line: &LogLine, zone: Zone) -> String {
    let mut head = format!("{} {:<12} ", zone.format_full(line.at), line.source);
    let indentation = " ".repeat(tui::text::width(&head));
    let mut text = String::new();
    for (part, _) in format_lines(&line.text) {
        text.push_str(format!("{head}{part}").trim_end());
        text.push('\n');
        head.clone_from(&indentation);
    }
    text
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;

    #[test]
    fn long_line_is_cut_in_text_and_whole_in_json() {
        let text = format!("boom\n{}", "x".repeat(5_234));
        let line = LogLine {
            id: "1".to_owned(),
            at: DateTime::UNIX_EPOCH,
            source: "app".into(),
            text: text.as_str().into(),
        };
        let shown = format_line(&line, chrono_tz::UTC.into());
        assert!(shown.ends_with("xxx… [1,234 more characters cut]\n"), "{shown}");
        let document = json::log_line(&line);
        assert_eq!(document["text"], text);
    }
}
