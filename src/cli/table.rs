//! Plain, aligned tables and relative times.

use chrono::{DateTime, Utc};
use comfy_table::{ContentArrangement, Table, presets};

use crate::domain::format::format_duration;

/// Renders rows under their headings. Without rows, renders the `placeholder` line instead.
pub(crate) fn render(headings: &[&str], rows: Vec<Vec<String>>, placeholder: &str) -> String {
    if rows.is_empty() {
        return format!("{placeholder}\n");
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
    format!("{}\n", table.trim_fmt())
}

/// Formats an instant relative to `now`: `5h 2m` in the future, `3m ago` in the past.
pub(crate) fn relative_time(at: DateTime<Utc>, now: DateTime<Utc>) -> String {
    match (at - now).to_std() {
        Ok(remaining) => format_duration(remaining),
        Err(_) => format!("{} ago", format_duration((now - at).to_std().unwrap_or_default())),
    }
}
