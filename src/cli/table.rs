//! Answers for people: plain, aligned tables, and times as people say them.

use std::time::Duration;

use chrono::{DateTime, Utc};
use comfy_table::{ContentArrangement, Table, presets};

use crate::cli::print;
use crate::failure::Failure;

/// Prints rows under their headings, or `nothing` where there are none.
pub(crate) fn show(headings: &[&str], rows: Vec<Vec<String>>, nothing: &str) -> Result<(), Failure> {
    if rows.is_empty() {
        return print(&format!("{nothing}\n"));
    }
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(headings.to_vec());
    for row in rows {
        table.add_row(row);
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    print(&format!("{}\n", table.trim_fmt()))
}

/// A length of time in its two largest units, such as `5h 12m`.
pub(crate) fn length(duration: Duration) -> String {
    crate::domain::text::format_duration(duration)
}

/// The time until an instant, or how long ago it was.
pub(crate) fn until(at: DateTime<Utc>, now: DateTime<Utc>) -> String {
    match (at - now).to_std() {
        Ok(left) => length(left),
        Err(_) => format!("{} ago", length((now - at).to_std().unwrap_or_default())),
    }
}
