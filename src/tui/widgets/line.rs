//! Lines of styled spans, truncated by columns.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};

use crate::tui::text;

/// Truncates the line to at most `columns` columns, with `ellipsis` at the cut.
pub(crate) fn fit(line: Line<'static>, columns: usize, ellipsis: &str) -> Line<'static> {
    if line.width() <= columns {
        return line;
    }
    let mut kept = Vec::new();
    let mut room = columns;
    for span in line.spans {
        let width = span.width();
        if width < room {
            room -= width;
            kept.push(span);
        } else {
            // The appended ellipsis makes `fit` truncate even a span that fills the room exactly, because more follows.
            let cut = text::fit(&format!("{}{ellipsis}", span.content), room, ellipsis);
            kept.push(Span::styled(cut, span.style));
            break;
        }
    }
    Line::from(kept)
}

/// Splits the text into spans so that every occurrence of `needle` has the style `highlight` on top of `style`.
pub(crate) fn highlighted(content: &str, needle: &str, style: Style, highlight: Style) -> Vec<Span<'static>> {
    with_ranges(content, &text::matches(content, needle), style, highlight)
}

/// Splits the text into spans so that the ascending `ranges` of bytes have the style `highlight` on top of `style`.
pub(crate) fn with_ranges(
    content: &str,
    ranges: &[(usize, usize)],
    style: Style,
    highlight: Style,
) -> Vec<Span<'static>> {
    let mut spans = Vec::new();
    let mut from = 0;
    for &(start, end) in ranges {
        if start > from {
            spans.push(Span::styled(content[from..start].to_owned(), style));
        }
        spans.push(Span::styled(content[start..end].to_owned(), style.patch(highlight)));
        from = end;
    }
    if from < content.len() || spans.is_empty() {
        spans.push(Span::styled(content[from..].to_owned(), style));
    }
    spans
}

/// Draws a line in the area's first row.
pub(crate) fn put(buf: &mut Buffer, area: Rect, line: impl Into<Line<'static>>, ellipsis: &str) {
    let area = area.intersection(buf.area);
    if area.is_empty() {
        return;
    }
    let line = fit(line.into(), usize::from(area.width), ellipsis);
    buf.set_line(area.x, area.y, &line, area.width);
}

/// Draws a line at the right end of the area's first row.
pub(crate) fn put_right(buf: &mut Buffer, area: Rect, line: impl Into<Line<'static>>, ellipsis: &str) {
    let line = line.into();
    let width = u16::try_from(line.width()).unwrap_or(u16::MAX).min(area.width);
    put(buf, Rect { x: area.x + area.width - width, width, ..area }, line, ellipsis);
}

/// Draws lines from the top of the area, as many as fit.
pub(crate) fn put_all(
    buf: &mut Buffer,
    area: Rect,
    lines: impl IntoIterator<Item = Line<'static>>,
    ellipsis: &str,
) {
    for (row, line) in area.rows().zip(lines) {
        put(buf, row, line, ellipsis);
    }
}
