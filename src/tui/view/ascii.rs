//! Replaces what a terminal without Unicode cannot show, such as names and log lines from AWS.

use ratatui::buffer::Buffer;
use unicode_width::UnicodeWidthStr as _;

/// Replaces every symbol outside of ASCII by one of the same width.
pub(super) fn replace(buf: &mut Buffer) {
    let columns = usize::from(buf.area.width);
    for index in 0..buf.content.len() {
        let symbol = buf.content[index].symbol();
        if symbol.is_ascii() {
            continue;
        }
        // The cells behind a wide symbol are hidden by it.
        let width = symbol.width().clamp(1, columns - index % columns);
        let replacement = similar(symbol);
        for cell in &mut buf.content[index..index + width] {
            cell.set_symbol(replacement);
        }
    }
}

/// Returns an ASCII character that looks alike, or `?`.
fn similar(symbol: &str) -> &'static str {
    match symbol {
        "\u{2013}" | "\u{2014}" | "\u{2212}" => "-",
        "\u{2018}" | "\u{2019}" => "'",
        "\u{201c}" | "\u{201d}" => "\"",
        "\u{2026}" => "~",
        "\u{b7}" => "|",
        "\u{d7}" => "x",
        "\u{a0}" => " ",
        _ => "?",
    }
}

#[cfg(test)]
mod tests {
    use ratatui::layout::Rect;
    use ratatui::style::Style;

    use super::*;

    #[test]
    fn replacement_has_the_same_width() {
        let mut buf = Buffer::empty(Rect::new(0, 0, 14, 1));
        buf.set_string(0, 0, "日本 naïve 🇩🇪…|", Style::default());
        replace(&mut buf);
        let text: String = buf.content.iter().map(ratatui::buffer::Cell::symbol).collect();
        assert_eq!(text, "???? na?ve ??~");
    }
}
