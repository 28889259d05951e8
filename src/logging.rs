//! The process's log: written to `--log-file`, or to standard error by a headless engine. Never to the dashboard's terminal.

use std::fs::OpenOptions;
use std::path::Path;
use std::sync::Arc;

use tracing::{Level, Metadata};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::fmt::writer::BoxMakeWriter;
use tracing_subscriber::prelude::*;

use crate::failure::{Failure, Kind};

/// Environment variable with the filter, in the syntax of [`EnvFilter`].
pub(crate) const FILTER_VARIABLE: &str = "HATCHERY_LOG";

/// Starts the log. A file whose name ends in `.json` gets one JSON object per line. Without a file, and without `stderr`,
/// nothing is logged.
///
/// # Errors
/// Returns [`Kind::Usage`] if the file cannot be opened, or if the filter is not valid.
pub(crate) fn start(file: Option<&Path>, stderr: bool) -> Result<(), Failure> {
    let (writer, json): (BoxMakeWriter, bool) = match file {
        Some(path) => {
            let opened = OpenOptions::new().create(true).append(true).open(path).map_err(|error| {
                let message = format!("cannot write the log file {}: {error}", path.display());
                Failure::new(Kind::Usage, message, "correct --log-file")
            })?;
            (
                BoxMakeWriter::new(Arc::new(opened)),
                path.extension().is_some_and(|extension| extension == "json"),
            )
        }
        None if stderr => (BoxMakeWriter::new(std::io::stderr), false),
        None => return Ok(()),
    };
    let filter = match std::env::var_os(FILTER_VARIABLE).filter(|value| !value.is_empty()) {
        None => EnvFilter::new("warn,hatchery=info"),
        Some(value) => EnvFilter::try_from_env(FILTER_VARIABLE).map_err(|error| {
            let message = format!("{FILTER_VARIABLE} is not a valid filter: {}: {error}", value.display());
            Failure::new(
                Kind::Usage,
                message,
                "use a level or a target with its level, such as hatchery=debug",
            )
        })?,
    };
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer).with_ansi(false);
    // Fails if the process has a log already, as in tests; the first one stays.
    let _ = if json {
        builder.json().finish().with(filter_fn(is_harmless)).try_init()
    } else {
        builder.finish().with(filter_fn(is_harmless)).try_init()
    };
    Ok(())
}

/// Rejects the SDK's traces, regardless of the filter, because they contain whole responses, some of which are secret.
fn is_harmless(metadata: &Metadata<'_>) -> bool {
    *metadata.level() != Level::TRACE || !metadata.target().starts_with("aws_")
}
