//! A terminal buffer as an SVG.

use std::fmt::Write as _;

use anstyle::{Ansi256Color, AnsiColor, Color as Ansi, Effects, RgbColor};
use ratatui::buffer::Buffer;
use ratatui::style::{Color, Modifier};
use ratatui::text::Span;

/// Renders a buffer; the two colours are those of the picture itself.
pub(crate) fn render(buf: &Buffer, foreground: Color, background: Color) -> String {
    anstyle_svg::Term::new()
        .palette(anstyle_svg::WIN10_CONSOLE)
        .fg_color(color(foreground).unwrap())
        .bg_color(color(background).unwrap())
        .render_svg(&ansi(buf, foreground, background))
}

/// Returns the buffer as text with ANSI escape sequences.
fn ansi(buf: &Buffer, foreground: Color, background: Color) -> String {
    let mut text = String::new();
    for y in 0..buf.area.height {
        let mut current = anstyle::Style::new();
        let mut skip = 0;
        for x in 0..buf.area.width {
            let cell = &buf[(x, y)];
            if skip > 0 {
                skip -= 1;
                continue;
            }
            // The picture's own colours are its defaults and need no escape sequence.
            let fg = if cell.fg == foreground { Color::Reset } else { cell.fg };
            let bg = if cell.bg == background { Color::Reset } else { cell.bg };
            let style = style(fg, bg, cell.modifier);
            if style != current {
                write!(text, "{}{}", anstyle::Reset.render(), style.render()).unwrap();
                current = style;
            }
            text.push_str(cell.symbol());
            // A wide character covers the cells after it.
            skip = Span::raw(cell.symbol()).width().saturating_sub(1);
        }
        writeln!(text, "{}", anstyle::Reset.render()).unwrap();
    }
    text
}

fn style(fg: Color, bg: Color, modifier: Modifier) -> anstyle::Style {
    let effects = [
        (Modifier::BOLD, Effects::BOLD),
        (Modifier::DIM, Effects::DIMMED),
        (Modifier::ITALIC, Effects::ITALIC),
        (Modifier::UNDERLINED, Effects::UNDERLINE),
        (Modifier::REVERSED, Effects::INVERT),
    ];
    let effects = effects.into_iter().filter(|(flag, _)| modifier.contains(*flag));
    let effects = effects.fold(Effects::new(), |all, (_, effect)| all | effect);
    anstyle::Style::new().fg_color(color(fg)).bg_color(color(bg)).effects(effects)
}

/// Returns `None` for the terminal's default.
fn color(color: Color) -> Option<Ansi> {
    Some(match color {
        Color::Reset => return None,
        Color::Rgb(r, g, b) => RgbColor(r, g, b).into(),
        Color::Indexed(index) => Ansi256Color(index).into(),
        Color::Black => AnsiColor::Black.into(),
        Color::Red => AnsiColor::Red.into(),
        Color::Green => AnsiColor::Green.into(),
        Color::Yellow => AnsiColor::Yellow.into(),
        Color::Blue => AnsiColor::Blue.into(),
        Color::Magenta => AnsiColor::Magenta.into(),
        Color::Cyan => AnsiColor::Cyan.into(),
        Color::Gray => AnsiColor::White.into(),
        Color::DarkGray => AnsiColor::BrightBlack.into(),
        Color::LightRed => AnsiColor::BrightRed.into(),
        Color::LightGreen => AnsiColor::BrightGreen.into(),
        Color::LightYellow => AnsiColor::BrightYellow.into(),
        Color::LightBlue => AnsiColor::BrightBlue.into(),
        Color::LightMagenta => AnsiColor::BrightMagenta.into(),
        Color::LightCyan => AnsiColor::BrightCyan.into(),
        Color::White => AnsiColor::BrightWhite.into(),
    })
}
