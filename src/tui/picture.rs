//! The screen as an SVG, for the README and the demo.

use std::fmt::Write as _;

use anstyle::{AnsiColor, Color as Ansi, Effects, RgbColor};
use ratatui::buffer::Buffer;
use ratatui::layout::{Rect, Size};
use ratatui::style::{Color, Modifier, Style};

use super::app::model::Model;
use super::theme::Theme;
use super::view;

/// The foreground and background of the picture if the theme leaves them to the terminal.
const DEFAULT_FOREGROUND: RgbColor = RgbColor(0xd8, 0xde, 0xe9);
const DEFAULT_BACKGROUND: RgbColor = RgbColor(0x16, 0x18, 0x1d);

/// Renders the dashboard as an SVG, `width` by `height` cells.
#[must_use]
pub fn picture(model: &Model, theme: &Theme, width: u16, height: u16) -> String {
    let mut model = model.clone();
    model.styles.theme = theme.clone();
    model.resize(Size::new(width, height));
    let mut buf = Buffer::empty(Rect::new(0, 0, width, height));
    view::draw(&model, &mut buf);
    let screen = theme.style("background");
    anstyle_svg::Term::new()
        .palette(anstyle_svg::WIN10_CONSOLE)
        .fg_color(screen.fg.and_then(color).unwrap_or(DEFAULT_FOREGROUND.into()))
        .bg_color(screen.bg.and_then(color).unwrap_or(DEFAULT_BACKGROUND.into()))
        .render_svg(&ansi(&buf, screen))
}

/// Returns the buffer as text with ANSI escape sequences.
fn ansi(buf: &Buffer, screen: Style) -> String {
    let mut text = String::new();
    for y in 0..buf.area.height {
        let mut current = anstyle::Style::new();
        let mut skip = 0;
        for x in 0..buf.area.width {
            let Some(cell) = buf.cell((x, y)) else { continue };
            if skip > 0 {
                skip -= 1;
                continue;
            }
            // The picture's own colours are its defaults and need no escape sequence.
            let fg = if screen.fg == Some(cell.fg) { Color::Reset } else { cell.fg };
            let bg = if screen.bg == Some(cell.bg) { Color::Reset } else { cell.bg };
            let style = style(fg, bg, cell.modifier);
            if style != current {
                let _ = write!(text, "{}{}", anstyle::Reset.render(), style.render());
                current = style;
            }
            text.push_str(cell.symbol());
            // A wide character covers the cells after it.
            skip = super::text::width(cell.symbol()).saturating_sub(1);
        }
        let _ = writeln!(text, "{}", anstyle::Reset.render());
    }
    text
}

fn style(fg: Color, bg: Color, modifier: Modifier) -> anstyle::Style {
    let mut effects = Effects::new();
    for (has, effect) in [
        (Modifier::BOLD, Effects::BOLD),
        (Modifier::DIM, Effects::DIMMED),
        (Modifier::ITALIC, Effects::ITALIC),
        (Modifier::UNDERLINED, Effects::UNDERLINE),
        (Modifier::REVERSED, Effects::INVERT),
    ] {
        if modifier.contains(has) {
            effects |= effect;
        }
    }
    anstyle::Style::new().fg_color(color(fg)).bg_color(color(bg)).effects(effects)
}

fn color(color: Color) -> Option<Ansi> {
    Some(match color {
        Color::Reset => return None,
        Color::Rgb(r, g, b) => RgbColor(r, g, b).into(),
        Color::Indexed(index) => anstyle::Ansi256Color(index).into(),
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
