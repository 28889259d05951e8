//! Where tracing goes: to a file that was named, or to stderr for the headless engine; never to the dashboard's terminal.

use std::fs::OpenOptions;
use std::path::Path;
use std::sync::Arc;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::writer::BoxMakeWriter;

use crate::failure::{Failure, Kind};

/// The variable that filters what is written, in the syntax of `tracing_subscriber::EnvFilter`.
pub const FILTER: &str = "HATCHERY_LOG";

/// Starts writing. A file whose name ends in `.json` gets one JSON object a line.
///
/// # Errors
/// Returns `Usage` if the file cannot be opened or the filter is not valid.
pub fn start(file: Option<&Path>, stderr: bool) -> Result<(), Failure> {
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
    let filter = match std::env::var_os(FILTER) {
        None => EnvFilter::new("warn,hatchery=info"),
        Some(value) => EnvFilter::try_from_env(FILTER).map_err(|error| {
            let message = format!("{FILTER} is not a valid filter: {}: {error}", value.display());
            Failure::new(
                Kind::Usage,
                message,
                "use a level or a target with its level, such as hatchery=debug",
            )
        })?,
    };
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer).with_ansi(false);
    // A second start in one process (a test) keeps the first writer.
    let _ = if json { builder.json().try_init() } else { builder.try_init() };
    Ok(())
}
