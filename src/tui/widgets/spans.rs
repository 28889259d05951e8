//! Lines put together from styled pieces, measured and cut by columns.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};

use crate::tui::text;

/// How many columns a line takes.
#[must_use]
pub fn width(line: &Line<'_>) -> usize {
    line.spans.iter().map(|span| text::width(&span.content)).sum()
}

/// The line in at most `columns` columns.
#[must_use]
pub fn fit(line: Line<'static>, columns: usize, ellipsis: &str) -> Line<'static> {
    if width(&line) <= columns {
        return line;
    }
    let mut kept = Vec::new();
    let mut room = columns;
    for span in line.spans {
        let wide = text::width(&span.content);
        if wide < room {
            room -= wide;
            kept.push(span);
        } else {
            // Something follows or this does not fit, so a mark is due in any case.
            let cut = text::fit(&format!("{}{ellipsis}", span.content), room, ellipsis);
            kept.push(Span::styled(cut, span.style));
            break;
        }
    }
    Line::from(kept)
}

/// The text with every occurrence of `needle` in another style.
#[must_use]
pub fn highlighted(content: &str, needle: &str, style: Style, found: Style) -> Vec<Span<'static>> {
    let mut spans = Vec::new();
    let mut from = 0;
    for (start, end) in text::matches(content, needle) {
        if start > from {
            spans.push(Span::styled(content[from..start].to_owned(), style));
        }
        spans.push(Span::styled(content[start..end].to_owned(), style.patch(found)));
        from = end;
    }
    if from < content.len() || spans.is_empty() {
        spans.push(Span::styled(content[from..].to_owned(), style));
    }
    spans
}

/// Draws a line within an area's first row.
pub fn put(buf: &mut Buffer, area: Rect, line: Line<'static>, ellipsis: &str) {
    let area = area.intersection(buf.area);
    if area.is_empty() {
        return;
    }
    let line = fit(line, usize::from(area.width), ellipsis);
    buf.set_line(area.x, area.y, &line, area.width);
}

/// Draws a line at the right end of an area's first row.
pub fn put_right(buf: &mut Buffer, area: Rect, line: Line<'static>, ellipsis: &str) {
    let wide = u16::try_from(width(&line)).unwrap_or(u16::MAX).min(area.width);
    put(buf, Rect { x: area.x + area.width - wide, width: wide, ..area }, line, ellipsis);
}
