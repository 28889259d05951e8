//! A graph of counts over time, in lines of text.

use ratatui::text::{Line, Span};

use crate::tui::styles::Styles;

/// The rows of a graph.
const HEIGHT: usize = 4;

/// The columns of the scale at the left.
const SCALE: usize = 4;

/// One column of a graph: the lowest count of its period; `None` where nothing is known.
type Value = Option<usize>;

/// Returns a graph of at most `width` columns: a scale, the counts as bars, and labels of the times below. Several values share a column if there
/// are more values than columns; the lowest of them counts. `label` returns the label of the time at the start of a value.
pub(super) fn lines(
    styles: &Styles,
    values: &[Value],
    target: usize,
    width: usize,
    label: impl Fn(usize) -> String,
) -> Vec<Line<'static>> {
    let room = width.saturating_sub(SCALE).max(1);
    let per_column = values.len().div_ceil(room).max(1);
    let wide = (room / values.len().max(1)).clamp(1, 2);
    let columns: Vec<Value> = values.chunks(per_column).map(lowest).collect();
    let top = columns.iter().flatten().copied().max().unwrap_or(0).max(target).max(1);
    let mut lines: Vec<_> = (0..HEIGHT)
        .map(|row| {
            let scale = match row {
                0 => top.to_string(),
                _ if row == HEIGHT - 1 => "0".to_owned(),
                _ => String::new(),
            };
            let mut line = vec![styles.span("text.muted", format!("{scale:>2} {}", edge(styles)))];
            line.extend(bars(styles, &columns, top, HEIGHT - 1 - row, wide));
            Line::from(line)
        })
        .collect();
    lines.push(Line::from(styles.span("text.muted", axis(values.len(), per_column, wide, label))));
    lines
}

/// Returns the left edge of a row.
fn edge(styles: &Styles) -> &'static str {
    if styles.glyphs.ascii { "|" } else { "│" }
}

/// Returns the lowest of the known values.
fn lowest(values: &[Value]) -> Value {
    values.iter().flatten().min().copied()
}

/// Returns one row, `above` rows above the lowest one, as few spans.
fn bars(styles: &Styles, columns: &[Value], top: usize, above: usize, wide: usize) -> Vec<Span<'static>> {
    let levels = styles.glyphs.spark;
    let cell = |value: &Value| -> (&'static str, &'static str) {
        let Some(value) = *value else {
            return ("text.muted", if above == 0 { styles.glyphs.dot } else { " " });
        };
        if value == 0 {
            // An empty pool must not look like an unknown one.
            return ("pool.empty", if above == 0 { levels[0] } else { " " });
        }
        let filled = (value * HEIGHT * levels.len()).div_ceil(top).saturating_sub(above * levels.len());
        ("spark", filled.checked_sub(1).map_or(" ", |level| levels[level.min(levels.len() - 1)]))
    };
    let mut spans: Vec<(&'static str, String)> = Vec::new();
    for (role, symbol) in columns.iter().map(cell) {
        let symbol = symbol.repeat(wide);
        match spans.last_mut().filter(|(last, _)| *last == role) {
            Some((_, text)) => text.push_str(&symbol),
            None => spans.push((role, symbol)),
        }
    }
    spans.into_iter().map(|(role, text)| styles.span(role, text)).collect()
}

/// Returns the labels of times below a graph: at its start, its quarters, and its end.
fn axis(count: usize, per_column: usize, wide: usize, label: impl Fn(usize) -> String) -> String {
    let mut axis = " ".repeat(SCALE);
    for quarter in 0..4 {
        let index = count * quarter / 4;
        let column = SCALE + index / per_column * wide;
        let text = label(index);
        // A narrow graph has fewer labels.
        if quarter == 0 || column > axis.chars().count() {
            let gap = column.saturating_sub(axis.chars().count());
            axis.push_str(&" ".repeat(gap));
            axis.push_str(&text);
        }
    }
    let end = SCALE + count.div_ceil(per_column) * wide;
    let gap = end.saturating_sub(axis.chars().count() + 3);
    if gap > 0 {
        axis.push_str(&" ".repeat(gap));
        axis.push_str("now");
    }
    axis
}
